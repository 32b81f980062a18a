"""Query strings: every parameter is a keyword argument, in the shape in which the SDK's caller wrote it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote, quote_plus

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._qs import Querystring

from openai_middleware import OpenAIMiddleware
from openai_middleware.errors import BadRequestError
from openai_middleware.request.query import MAX_QUERY_PARAMETERS, parse_query
from tests.support.drivers import App, Sent, request

TYPES = {"limit": "integer", "score": "number", "stream": "boolean", "include": "array", "metadata": "object"}
# The SDK puts keys between brackets as they are, so a bracket inside a key cannot be told from one around it.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="[]"), min_size=1, max_size=8)
LISTS = st.lists(TEXT, min_size=1, max_size=3)


def nested(depth: int) -> st.SearchStrategy[Any]:
    """What the SDK can send below one name: brackets up to so many levels deep."""
    below = TEXT | LISTS if depth == 0 else TEXT | LISTS | st.deferred(lambda: nested(depth - 1))
    return below if depth == 0 else below | st.dictionaries(KEYS, nested(depth - 1), min_size=1, max_size=3)


@given(st.dictionaries(KEYS, nested(5), max_size=4))
def test_what_the_sdk_sends_comes_back_as_it_was(params: dict[str, Any]) -> None:  # Q1 Q3
    query = Querystring(array_format="brackets").stringify(params)

    assert parse_query(query.encode(), {}) == params


@given(st.binary(), st.dictionaries(st.sampled_from(["a", "limit", ""]), st.sampled_from(list(TYPES.values()))))
def test_any_bytes_are_parsed_or_refused_with_400(query: bytes, types: dict[str, str]) -> None:  # Q1
    with suppress(BadRequestError):
        parse_query(query, types)


@given(st.text(st.sampled_from("ab[]=&+%25;.é"), max_size=30))
@settings(max_examples=200)
def test_brackets_in_any_order_are_parsed_or_refused_with_400(query: str) -> None:  # Q3
    with suppress(BadRequestError):
        params = parse_query(query.encode(), {"a": "integer", "b": "boolean"})
        assert isinstance(params.get("a", 0), int)
        assert isinstance(params.get("b", False), bool)


@given(st.lists(st.tuples(KEYS, TEXT), max_size=6), st.sampled_from([quote, quote_plus]))
def test_a_single_value_is_a_string_and_a_repeated_one_a_list(  # Q1
    pairs: list[tuple[str, str]], encode: Callable[..., str]
) -> None:
    query = "&".join(f"{encode(name, safe='')}={encode(value, safe='')}" for name, value in pairs)
    values = {name: [value for other, value in pairs if other == name] for name, _ in pairs}

    assert parse_query(query.encode(), {}) == {name: v if len(v) > 1 else v[0] for name, v in values.items()}


@pytest.mark.parametrize(
    ("query", "params"),
    [
        (b"", {}),
        (b"&&", {}),
        (b"k=v", {"k": "v"}),
        (b"k=1&k=2&k=3", {"k": ["1", "2", "3"]}),
        (b"k=2&x=0&k=1", {"k": ["2", "1"], "x": "0"}),
        (b"k=1&k=1", {"k": ["1", "1"]}),
        (b"k=", {"k": ""}),
        (b"k", {"k": ""}),
        (b"k&k=", {"k": ["", ""]}),
        (b"k=a=b", {"k": "a=b"}),
        (b"k=a+b%20c", {"k": "a b c"}),
        (b"a+b=1", {"a b": "1"}),
        (b"k=%2B", {"k": "+"}),
        (b"k=caf%C3%A9", {"k": "café"}),
        ("k=café".encode(), {"k": "café"}),
        (b"k=%FF", {"k": "\ufffd"}),
        (b"k=\xff", {"k": "\ufffd"}),
        (b"k=%zz%", {"k": "%zz%"}),
        (b"k=1;j=2", {"k": "1;j=2"}),
        (b"k=%26%3D%3B", {"k": "&=;"}),
        (b"k=true&n=1", {"k": "true", "n": "1"}),
        (b"=v", {"": "v"}),
    ],
)
def test_every_parameter_is_a_keyword_argument(query: bytes, params: dict[str, Any]) -> None:  # Q1
    assert parse_query(query, {}) == params


@pytest.mark.parametrize(
    ("query", "params"),
    [
        (b"include[]=a&include[]=b", {"include": ["a", "b"]}),
        (b"include%5B%5D=a&include%5b%5d=b", {"include": ["a", "b"]}),
        (b"include[]=a", {"include": ["a"]}),
        (b"include[]=", {"include": [""]}),
        (b"include[]", {"include": [""]}),
        (b"a=1&a[]=2", {"a": ["1", "2"]}),
        (b"a[]=1&a=2", {"a": ["1", "2"]}),
        (b"metadata[k]=v", {"metadata": {"k": "v"}}),
        (b"metadata[k]=v&metadata[j]=w", {"metadata": {"k": "v", "j": "w"}}),
        (b"metadata%5Ba+b%5D=v", {"metadata": {"a b": "v"}}),
        (b"metadata[k]=1&metadata[k]=2", {"metadata": {"k": ["1", "2"]}}),
        (b"metadata[k][]=1", {"metadata": {"k": ["1"]}}),
        (b"a[b][c]=1&a[b][d]=2&a[e]=3", {"a": {"b": {"c": "1", "d": "2"}, "e": "3"}}),
        (b"a[0]=x", {"a": {"0": "x"}}),
        (b"a[=1", {"a[": "1"}),
        (b"a]=1", {"a]": "1"}),
        (b"a[b=1", {"a[b": "1"}),
        (b"[]=1", {"[]": "1"}),
        (b"[k]=1", {"[k]": "1"}),
        (b"a[][]=1", {"a[][]": "1"}),
        (b"a[][b]=1", {"a[][b]": "1"}),
        (b"a[b]c=1", {"a[b]c": "1"}),
    ],
)
def test_brackets_make_lists_and_objects(query: bytes, params: dict[str, Any]) -> None:  # Q3
    assert parse_query(query, {}) == params


def test_nesting_beyond_five_levels_is_a_plain_name() -> None:  # Q3
    deep = "a" + "[b]" * 6

    assert parse_query(f"{deep}=1".encode(), {}) == {deep: "1"}


@pytest.mark.parametrize(
    "query", [b"a=1&a[k]=2", b"a[k]=2&a=1", b"a[]=1&a[k]=2", b"a[k]=1&a[k][j]=2", b"a[k][j]=1&a[k]=2"]
)
def test_a_name_that_is_a_value_and_an_object_at_once_is_refused(query: bytes) -> None:  # Q3
    with pytest.raises(BadRequestError) as caught:
        parse_query(query, {})

    assert (caught.value.param, caught.value.code) == ("a", "invalid_type")


@pytest.mark.parametrize(
    ("query", "params"),
    [
        (b"limit=20", {"limit": 20}),
        (b"limit=-1", {"limit": -1}),
        (b"limit=%2B1", {"limit": 1}),
        (b"limit=007", {"limit": 7}),
        (b"score=1", {"score": 1.0}),
        (b"score=0.5", {"score": 0.5}),
        (b"score=.5", {"score": 0.5}),
        (b"score=-1e-3", {"score": -0.001}),
        (b"stream=true", {"stream": True}),
        (b"stream=True", {"stream": True}),
        (b"stream=false", {"stream": False}),
        (b"include=a", {"include": "a"}),
        (b"include[]=1", {"include": ["1"]}),
        (b"metadata[limit]=1", {"metadata": {"limit": "1"}}),
        (b"other=20&other2=true", {"other": "20", "other2": "true"}),
    ],
)
def test_declared_scalars_are_converted_and_all_else_stays_text(query: bytes, params: dict[str, Any]) -> None:  # Q4
    parsed = parse_query(query, TYPES)

    assert parsed == params
    assert {name: type(value) for name, value in parsed.items()} == {name: type(v) for name, v in params.items()}


@pytest.mark.parametrize(
    ("name", "query"),
    [
        (name, query)
        for name, queries in {
            "limit": "limit= limit limit=a limit=1.0 limit=1e3 limit=0x1 limit=1_0 limit=+1 limit=%EF%BC%91 limit=true "
            f"limit=1&limit=1 limit[]=1 limit[k]=1 limit={'9' * 1001}",
            "score": "score= score=a score=nan score=inf score=-Infinity score=1e999 score=1_0 score=. score=1&score=1",
            "stream": "stream= stream=1 stream=0 stream=yes stream=on stream=true&stream=true stream[]=true",
        }.items()
        for query in queries.split()
    ],
)
def test_a_bad_empty_or_repeated_scalar_is_refused(name: str, query: str) -> None:  # Q4
    with pytest.raises(BadRequestError) as caught:
        parse_query(query.encode(), TYPES)

    assert (caught.value.param, caught.value.code) == (name, "invalid_type")


# --- through the middleware


async def get(app: App, target: str) -> Sent:
    return await request(OpenAIMiddleware(app, prefix="/v1"), "GET", target)


async def test_query_parameters_reach_the_app_as_keyword_arguments() -> None:  # Q1 Q3 Q4
    app = App()

    query = "include%5B%5D=a&include%5B%5D=b&starting_after=7&stream=false&x=1&x=2&m%5Bk%5D=v+w&empty="
    await get(app, f"/v1/responses/resp_1?{query}")

    expected = {
        "include": ["a", "b"],
        "starting_after": 7,
        "stream": False,
        "x": ["1", "2"],
        "m": {"k": "v w"},
        "empty": "",
    }
    assert app.call.query_params == expected
    assert {name: app.kwargs[name] for name in expected} == expected


@pytest.mark.parametrize("query", ["limit=x", "limit=", "limit=1&limit=2", "limit%5B%5D=1"])
async def test_a_bad_scalar_is_a_400_that_names_the_parameter_and_the_app_is_not_called(query: str) -> None:  # Q4
    app = App()

    sent = await get(app, f"/v1/chat/completions?{query}")

    assert not app.is_called
    assert sent.status == 400
    assert sent.error["param"] == "limit"


@pytest.mark.parametrize("query", ["", "?", "?/v1/chat/completions", "?a=/x/y", "?%3F", "?a?b"])
async def test_the_query_never_takes_part_in_matching(query: str) -> None:  # Q2
    app = App()

    await get(app, f"/v1/responses/resp_1{query}")

    assert app.call.operation == "responses.retrieve"
    assert app.call.path_params == {"response_id": "resp_1"}
    assert app.call.path == "/v1/responses/resp_1"


async def test_a_path_in_the_query_alone_matches_nothing() -> None:  # Q2
    app = App()

    await get(app, "/?/v1/chat/completions")

    assert "openai_middleware.call" not in app.scopes[0]


async def test_what_a_caller_of_the_official_sdk_wrote_reaches_the_app() -> None:  # Q3 Q4
    params: Any = {"limit": 3, "metadata": {"a b": "c&d"}, "model": "é", "order": "asc"}
    targets = []

    def record(request: httpx2.Request) -> httpx2.Response:
        targets.append(request.url.raw_path.decode())
        return httpx2.Response(200, json={"object": "list", "data": [], "has_more": False})

    with openai.OpenAI(
        base_url="http://test/v1", api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(record))
    ) as client:
        client.chat.completions.list(**params, extra_query={"include": ["x", "y"]})
    app = App()
    await get(app, targets[0])

    assert app.call.query_params == {**params, "include": ["x", "y"]}


def test_query_of_too_many_parameters_is_400() -> None:  # Q5
    most = "&".join(["a=1"] * MAX_QUERY_PARAMETERS).encode()

    assert len(parse_query(most, {})["a"]) == MAX_QUERY_PARAMETERS
    with pytest.raises(BadRequestError) as caught:
        parse_query(most + b"&a=1", {})
    assert (caught.value.code, caught.value.param) == ("too_many_parameters", None)
