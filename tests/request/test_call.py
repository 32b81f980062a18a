"""From a request to the keyword arguments of a handler."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware import APIHandlerConfig, EndpointConfig, OpenAIMiddleware
from openai_middleware.errors import BadRequestError, ConfigurationError
from openai_middleware.request.call import merge_params
from tests.support.drivers import App, Header, Message, endpoint, mappings, part, request, request_messages, start
from tests.support.samples import COMPLETION

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
DEEP = b"[" * 100_000 + b"]" * 100_000


def content_type(value: str) -> list[Header]:
    return [(b"content-type", value.encode())]


def openai(app: Any, **options: Any) -> OpenAIMiddleware:
    return OpenAIMiddleware(app, prefix="/v1", **options)


# --- which bodies are mapped


async def test_fields_of_the_body_become_kwargs_and_the_body_stays_whole() -> None:  # B7
    app = App(COMPLETION)

    sent = await request(openai(app), "POST", "/v1/chat/completions", {**CHAT, "temperature": 0.5, "x_own": [1]})

    assert sent.status == 200
    assert app.call.operation == "chat.completions.create"
    assert app.call.body_params == {**CHAT, "temperature": 0.5}
    assert app.call.body == {**CHAT, "temperature": 0.5, "x_own": [1]}
    assert json.loads(app.bodies[0]) == app.call.body


NO_OBJECTS = [
    (b"[1, 2]", [1, 2]),
    (b'"text"', "text"),
    (b"5", 5),
    (b"0.5", 0.5),
    (b"true", True),
    (b"false", False),
    (b"null", None),
    (b"[]", []),
]


@pytest.mark.parametrize(("body", "decoded"), NO_OBJECTS)
async def test_body_that_is_no_object_is_refused_where_a_field_is_mandatory(body: bytes, decoded: Any) -> None:  # B1
    app = App()

    sent = await request(endpoint(app, takes=[("$.a", "a", True), ("$.b", "b")]), "POST", "/run", body)

    assert (sent.status, sent.error["type"]) == (422, "invalid_request_error")
    assert not app.is_called


@pytest.mark.parametrize(("body", "decoded"), NO_OBJECTS)
async def test_body_that_is_no_object_passes_as_it_is_where_no_field_is_mandatory(
    body: bytes, decoded: Any
) -> None:  # B1
    app = App()

    await request(endpoint(app, takes=[("$.a", "a"), ("$", "everything")]), "POST", "/run?q=1", body)

    assert (app.call.body, app.kwargs, app.bodies) == (decoded, {"q": "1"}, [body])


async def test_refusal_of_a_body_names_what_it_is() -> None:  # B1 E1
    sent = await request(openai(App()), "POST", "/v1/chat/completions", [1])

    assert sent.error["message"] == "The request body must be a JSON object, not an array."


@pytest.mark.parametrize("headers", [[], content_type("application/json"), content_type("text/plain")])
async def test_empty_body_is_none_whatever_its_content_type_says(headers: list[Header]) -> None:  # B1 B3
    app = App()

    await request(endpoint(app, takes=[("$.a", "a"), ("$", "everything")]), "POST", "/run", headers=headers)

    assert (app.call.body, app.kwargs, app.bodies) == (None, {}, [b""])


@pytest.mark.parametrize("source", ["$.a", "$.a.b", "$"])
async def test_empty_body_lacks_every_mandatory_field(source: str) -> None:  # B1 B2
    app = App()

    sent = await request(endpoint(app, takes=[(source, "a", True)]), "POST", "/run")

    assert (sent.status, sent.error["code"]) == (422, "missing_required_parameter")
    assert not app.is_called


async def test_operation_without_body_fields_takes_an_empty_body_that_says_it_is_json() -> None:  # B1
    app = App({"id": "c", "object": "chat.completion.deleted", "deleted": True})

    sent = await request(openai(app), "DELETE", "/v1/chat/completions/c", headers=content_type("application/json"))

    assert (sent.status, app.call.body) == (200, None)


# --- mandatory and optional fields


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({}, ["messages", "model"]),
        ({"model": "m"}, ["messages"]),
        ({"messages": []}, ["model"]),
    ],
)
async def test_absent_mandatory_fields_are_named_and_the_app_is_not_called(body: Any, missing: list[str]) -> None:  # B2
    app = App()

    sent = await request(openai(app), "POST", "/v1/chat/completions", body)

    assert (sent.status, sent.error["code"]) == (422, "missing_required_parameter")
    assert sent.error["param"] == missing[0]
    assert all(f"'{name}'" in sent.error["message"] for name in missing)
    assert not app.is_called


async def test_missing_field_is_named_by_its_source_and_not_by_its_argument() -> None:  # B2
    sent = await request(
        endpoint(App(), takes=[("$.prompt", "text", True), ("$.user.name", "name", True)]), "POST", "/run", {}
    )

    assert sent.error["param"] == "prompt"
    assert sent.error["message"] == "Missing required parameters: 'prompt', '$.user.name'."


@pytest.mark.parametrize("value", [None, 0, False, "", [], {}, 0.0])
async def test_null_and_empty_values_are_present(value: Any) -> None:  # B2
    app = App()

    sent = await request(endpoint(app, takes=[("$.a", "a", True), ("$.b", "b")]), "POST", "/run", {"a": value})

    assert (sent.status, app.kwargs) == (200, {"a": value})


# --- malformed bodies

# --- bodies that nobody has asked for


async def test_body_and_arguments_are_the_same_objects_each_time() -> None:  # B7
    app = App(COMPLETION)

    await request(openai(app), "POST", "/v1/chat/completions", {**CHAT, "x_own": 1})

    call = app.call
    assert call.body is call.body
    assert call.kwargs is call.kwargs
    assert call.body_params is call.body_params
    assert call.kwargs == {**CHAT, "mlrun_request_path": "/v1/chat/completions", "mlrun_request_method": "POST"}


BEYOND_A_FLOAT = b'{"model": "m", "messages": [], "metadata": {"a": 1e999}}'


async def test_number_beyond_a_float_is_the_app_s_business_where_it_reads_the_body_itself() -> None:  # B4 B11
    app = App(COMPLETION)

    sent = await request(openai(app), "POST", "/v1/chat/completions", BEYOND_A_FLOAT)

    assert (sent.status, app.bodies) == (200, [BEYOND_A_FLOAT])


async def test_number_beyond_a_float_is_a_bad_request_where_the_app_asks_for_the_call() -> None:  # B4 B11
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            with pytest.raises(BadRequestError, match="out of range"):
                _ = scope["openai_middleware.call"].kwargs
        _ = scope["openai_middleware.call"].body

    sent = await request(openai(app), "POST", "/v1/chat/completions", BEYOND_A_FLOAT)

    assert (sent.status, sent.error["code"]) == (400, "invalid_json")


async def test_number_beyond_a_float_does_not_reach_a_function() -> None:  # B4
    called: list[Any] = []
    handlers = {"chat.completions.create": called.append}

    sent = await request(openai(App(), handlers=handlers), "POST", "/v1/chat/completions", BEYOND_A_FLOAT)

    assert (sent.status, sent.error["code"], called) == (400, "invalid_json", [])


MALFORMED = [
    pytest.param(b'{"a": ', id="cut off"),
    pytest.param(b"{'a': 1}", id="single quotes"),
    pytest.param(b'{"a": 1,}', id="trailing comma"),
    pytest.param(b'{"a": 1} x', id="something after it"),
    pytest.param(b"a=1&b=2", id="a form"),
    pytest.param(b" \n ", id="blank"),
    pytest.param(b"{" * 100, id="braces"),
    pytest.param(b'{"a": NaN}', id="NaN"),
    pytest.param(b'{"a": Infinity}', id="Infinity"),
    pytest.param(b'{"a": -Infinity}', id="-Infinity"),
    pytest.param(b'{"a": 1e999}', id="beyond a float"),
    pytest.param(b'{"a": ' + b"9" * 5000 + b"}", id="5000 digits"),
    pytest.param(b'{"a": "\xff"}', id="invalid UTF-8 in a value"),
    pytest.param(b'{"unmapped": {"b": "\xff"}, "a": 1}', id="invalid UTF-8 where nothing is mapped"),
    pytest.param(b'{"\xff": 1}', id="invalid UTF-8 in a name"),
    pytest.param(b'{"a": "\xed\xa0\x80"}', id="a surrogate in UTF-8"),
    pytest.param(rb'{"a": "\ud800"}', id="a lone surrogate"),
    pytest.param(rb'{"a": "\udc00 and more"}', id="a lone low surrogate"),
    pytest.param(b'\xef\xbb\xbf{"a": 1}', id="a byte order mark"),
    pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
    pytest.param(b'{"a": "\x00"}', id="a control character"),
    pytest.param(b'{"a": ' + DEEP + b"}", id="100,000 deep"),
    pytest.param(b'{"unmapped": ' + DEEP + b"}", id="100,000 deep where nothing is mapped"),
    pytest.param(b'{"a":' * 100_000, id="100,000 deep and cut off"),
    pytest.param(DEEP, id="nothing but depth"),
]


@pytest.mark.parametrize("body", MALFORMED)
async def test_malformed_body_is_a_bad_request(body: bytes) -> None:  # B4 B11
    app = App()

    sent = await request(endpoint(app, takes=[("$.a", "a")]), "POST", "/run", body)

    assert (sent.status, sent.error["code"], sent.error["param"]) == (400, "invalid_json", None)
    assert not app.is_called


@pytest.mark.parametrize("body", MALFORMED)
async def test_malformed_body_reaches_the_app_where_nothing_is_mapped(body: bytes) -> None:  # B4 B7
    app = App()

    await request(endpoint(app), "POST", "/run", body)

    assert app.bodies == [body]
    assert app.call.body in (body, body.decode("utf-8", "replace"))


async def test_last_of_duplicate_fields_wins() -> None:  # B4
    app = App()

    await request(endpoint(app, takes=[("$.a", "a")]), "POST", "/run", b'{"a": 1, "a": 2}')

    assert app.kwargs == {"a": 2}


@pytest.mark.parametrize("depth", [300, 900])
@pytest.mark.parametrize("source", ["$..id", "$.a[?@..id].n"])
async def test_body_too_deep_for_a_path_is_a_bad_request(source: str, depth: int) -> None:  # B4 B5
    """Python 3.11 decodes 300 levels, and fails on 900."""
    app = App()
    deep = b'{"a":' * depth + b'{"id": 1}' + b"}" * depth

    sent = await request(endpoint(app, takes=[(source, "id")]), "POST", "/run", deep)

    assert (sent.status, sent.error["code"]) == (400, "invalid_json")
    assert not app.is_called


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    ),
    st.sampled_from([None, 2]),
    st.booleans(),
)
async def test_body_is_decoded_as_json_loads_decodes_it(
    value: Any, indent: int | None, ensure_ascii: bool
) -> None:  # B7
    app = App()
    body = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii).encode()

    await request(endpoint(app, takes=[("$.a", "a")]), "POST", "/run", body)

    assert repr(app.call.body) == repr(json.loads(body))
    assert app.bodies == [body]


async def test_body_is_decoded_in_full_before_the_app_is_called() -> None:  # B11
    app = App()

    await request(endpoint(app), "POST", "/run", [b'{"a": {"b"', b": [1, ", b"2]}}"])

    assert app.call.body == {"a": {"b": [1, 2]}}
    assert app.bodies == [b'{"a": {"b": [1, 2]}}']


# --- the body that no mapping needs


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b"", None),
        (b'{"a": 1}', {"a": 1}),
        (b"null", None),
        (b'"text"', "text"),
        (b"plain text", "plain text"),
        ("größer".encode(), "größer"),
        (b"NaN", "NaN"),
        (b"\xff\x00", b"\xff\x00"),
        ("größer".encode("latin-1"), "größer".encode("latin-1")),
    ],
)
async def test_body_that_no_mapping_needs_is_json_or_text_or_bytes(body: bytes, seen: Any) -> None:  # B7
    app = App()

    await request(endpoint(app), "POST", "/run", body)

    assert (app.call.body, app.bodies) == (seen, [body])


# --- content types


@pytest.mark.parametrize(
    "headers",
    [
        [],
        content_type("application/json"),
        content_type("application/json; charset=utf-8"),
        content_type("application/x-www-form-urlencoded"),
        content_type("text/plain"),
        content_type(""),
        content_type("nonsense"),
        [(b"Content-Type", b"application/vnd.api+json")],
    ],
)
async def test_any_other_content_type_or_none_is_read_as_json(headers: list[Header]) -> None:  # B10
    app = App(COMPLETION)

    await request(openai(app), "POST", "/v1/chat/completions", CHAT, headers=headers)

    assert app.call.body_params == CHAT


STREAMED = ["multipart/form-data; boundary=x", "multipart/mixed", "application/octet-stream", "Multipart/Form-Data;a=b"]


@pytest.mark.parametrize("media_type", STREAMED)
async def test_multipart_and_octet_streams_are_no_json_object(media_type: str) -> None:  # B10 B1
    app = App(COMPLETION)

    sent = await request(openai(app), "POST", "/v1/chat/completions", CHAT, headers=content_type(media_type))

    assert sent.status == 422
    assert not app.is_called


@pytest.mark.parametrize("media_type", STREAMED)
@pytest.mark.parametrize("takes", [[], [("$.a", "a")]])
async def test_multipart_and_octet_streams_are_left_to_the_app(media_type: str, takes: list[Any]) -> None:  # B10
    app = App()
    middleware = endpoint(app, takes=takes, path="/files/{file_id}", include_url_info=True)

    await request(middleware, "POST", "/files/f?purpose=p", [b'{"a"', b": 1}"], headers=content_type(media_type))

    assert app.call.body is None
    assert app.bodies == [b'{"a": 1}']
    assert app.kwargs == {
        "purpose": "p",
        "file_id": "f",
        "mlrun_request_path": "/files/f",
        "mlrun_request_method": "POST",
    }


async def test_mandatory_fields_of_a_multipart_operation_are_the_business_of_the_app() -> None:  # B10
    app = App()
    config = APIHandlerConfig()
    rules = mappings(("$.file", "file", True))
    config.add_endpoint_config(EndpointConfig("/files", input_body_mappings=rules, operation="files.create"))

    sent = await request(
        OpenAIMiddleware(app, config=config), "POST", "/files", b"--x--", headers=content_type("multipart/form-data")
    )

    assert (sent.status, app.kwargs, app.bodies) == (200, {}, [b"--x--"])


async def test_multipart_body_reaches_the_app_chunk_by_chunk_as_the_server_receives_it() -> None:  # B10
    incoming = request_messages([b"one", b"two", b"three"])
    pending = list(incoming)
    seen: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while len(seen) < 3:
            assert len(pending) == 3 - len(seen)  # nothing was read ahead
            seen.append(await receive())
        await send(start())
        await send(part(b"{}"))

    async def receive() -> Any:
        return pending.pop(0)

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/run", "headers": content_type("multipart/form-data")}
    await endpoint(app)(scope, receive, send)

    assert [id(message) for message in seen] == [id(message) for message in incoming]


# --- kwargs


async def test_kwargs_come_in_the_order_body_query_path_and_url() -> None:  # B7 B9
    app = App()
    middleware = endpoint(app, takes=[("$.z", "z"), ("$.a", "a")], path="/m/{model}/{version}", include_url_info=True)

    await request(middleware, "POST", "/m/gpt/5?q2=1&q1=2", {"a": 1, "z": 2, "other": 3})

    assert list(app.kwargs.items()) == [
        ("z", 2),
        ("a", 1),
        ("q2", "1"),
        ("q1", "2"),
        ("model", "gpt"),
        ("version", "5"),
        ("mlrun_request_path", "/m/gpt/5"),
        ("mlrun_request_method", "POST"),
    ]
    assert app.call.body_params == {"z": 2, "a": 1}
    assert app.call.query_params == {"q2": "1", "q1": "2"}
    assert app.call.path_params == {"model": "gpt", "version": "5"}


@pytest.mark.parametrize(
    ("target", "body", "name", "places"),
    [
        ("/v1/responses?model=m", {"model": "m"}, "model", "in the body and in the query string"),
        ("/v1/responses?model=other", {"model": "m"}, "model", "in the body and in the query string"),
        ("/v1/responses?model[]=m", {"model": "m"}, "model", "in the body and in the query string"),
        ("/v1/responses?%6dodel=", {"model": None}, "model", "in the body and in the query string"),
        ("/v1/responses/r/cancel?response_id=r", b"", "response_id", "in the query string and in the path"),
    ],
)
async def test_name_from_two_places_is_a_bad_request(target: str, body: Any, name: str, places: str) -> None:  # B8
    app = App()

    sent = await request(openai(app), "POST", target, body)

    assert (sent.status, sent.error["param"], sent.error["code"]) == (400, name, "duplicate_parameter")
    assert sent.error["message"] == f"The parameter '{name}' was sent twice: {places}."
    assert not app.is_called


@pytest.mark.parametrize(
    ("query", "places"),
    [("", "in the body and in the path"), ("?a=1", "in the body and in the query string and in the path")],
)
async def test_name_from_the_body_and_the_path_is_a_bad_request(query: str, places: str) -> None:  # B8
    """The rule is that of another template, which matches the request too."""
    config = APIHandlerConfig()
    config.add_endpoint_handler("/x/{a}/z")
    config.add_endpoint_handler("/x/y/{b}", input_body_mappings=mappings(("$.a", "a")))

    sent = await request(OpenAIMiddleware(App(), config=config), "POST", f"/x/y/z{query}", {"a": 1})

    assert (sent.status, sent.error["param"]) == (400, "a")
    assert sent.error["message"] == f"The parameter 'a' was sent twice: {places}."


PARAMS = st.dictionaries(st.sampled_from("abcdef"), st.integers(), max_size=3)


@given(PARAMS, PARAMS, PARAMS)
def test_parameters_join_in_order_where_no_name_stands_twice(
    body: dict[str, int], query: dict[str, int], path: dict[str, int]
) -> None:  # B7 B8
    items = [*body.items(), *query.items(), *path.items()]
    names = [name for name, _ in items]
    twice = {name for name in names if names.count(name) > 1}

    if not twice:
        assert list(merge_params(body, query, path).items()) == items
        return
    with pytest.raises(BadRequestError) as caught:
        merge_params(body, query, path)
    assert caught.value.param in twice


async def test_query_parameter_may_have_the_name_of_a_body_field_that_is_not_mapped() -> None:  # B8
    app = App()

    await request(endpoint(app, takes=[("$.a", "b")]), "POST", "/run?a=query", {"a": "body", "c": 1})

    assert app.kwargs == {"b": "body", "a": "query"}


async def test_query_parameter_that_takes_a_renamed_destination_is_a_conflict() -> None:  # B8
    sent = await request(endpoint(App(), takes=[("$.a", "b")]), "POST", "/run?b=query", {"a": "body"})

    assert (sent.status, sent.error["param"]) == (400, "b")


async def test_absent_field_leaves_its_name_to_the_query() -> None:  # B3 B8
    app = App()

    await request(endpoint(app, takes=[("$.a", "a")]), "POST", "/run?a=query", {})

    assert app.kwargs == {"a": "query"}


@pytest.mark.parametrize("path", ["/items/{item_id}", "/items/*", "/*"])
def test_body_destination_named_as_a_path_parameter_is_a_configuration_error(path: str) -> None:  # B8
    config = APIHandlerConfig()
    config.add_endpoint_handler(path, input_body_mappings=mappings(("$.a", "item_id")))
    if path.endswith("*"):
        config.add_endpoint_handler("/items/{item_id}")

    with pytest.raises(ConfigurationError) as caught:
        OpenAIMiddleware(App(), config=config)

    assert [(mistake.code, mistake.value) for mistake in caught.value.mistakes] == [("parameter_conflict", "item_id")]


# --- URL info


@pytest.mark.parametrize(
    ("target", "root_path", "expected"),
    [
        ("/v1/responses/r%2F1/cancel", "", "/v1/responses/r/1/cancel"),
        ("/v1/responses/%C3%A9/cancel?x=1", "", "/v1/responses/é/cancel"),
        ("/mounted/v1/responses/r/cancel", "/mounted", "/v1/responses/r/cancel"),
    ],
)
async def test_url_info_is_the_decoded_path_below_the_mount_and_the_method(
    target: str, root_path: str, expected: str
) -> None:  # B9
    app = App()

    await request(openai(app), "post", target, root_path=root_path)

    assert app.kwargs["mlrun_request_path"] == app.call.path == expected
    assert app.kwargs["mlrun_request_method"] == app.call.method == "POST"
    assert list(app.kwargs)[-2:] == ["mlrun_request_path", "mlrun_request_method"]


@pytest.mark.parametrize(
    "query",
    ["mlrun_request_path=/admin&mlrun_request_method=DELETE&q=1", "q=1&mlrun_request%5Fpath[]=x&mlrun_request_path=y"],
)
async def test_url_info_in_the_query_is_overwritten(query: str) -> None:  # B9
    app = App()

    sent = await request(openai(app), "POST", f"/v1/responses?{query}", {"model": "m"})

    assert sent.status != 400
    assert app.kwargs == {
        "model": "m",
        "q": "1",
        "mlrun_request_path": "/v1/responses",
        "mlrun_request_method": "POST",
    }


async def test_url_info_in_the_query_is_dropped_where_it_is_switched_off() -> None:  # B9
    app = App()
    query = "mlrun_request_path=/admin&mlrun_request_method=DELETE&q=1"

    await request(openai(app, include_url_info=False), "POST", f"/v1/responses?{query}", {"model": "m"})

    assert app.kwargs == {"model": "m", "q": "1"}
    assert app.call.query_params == {"q": "1"}


@pytest.mark.parametrize("include_url_info", [True, False])
async def test_url_info_in_the_body_is_no_argument(include_url_info: bool) -> None:  # B9
    app = App()
    spoofed = {"mlrun_request_path": "/admin", "mlrun_request_method": "DELETE"}

    await request(openai(app, include_url_info=include_url_info), "POST", "/v1/responses", {"model": "m", **spoofed})

    real = {"mlrun_request_path": "/v1/responses", "mlrun_request_method": "POST"} if include_url_info else {}
    assert app.kwargs == {"model": "m", **real}
    assert app.call.body == {"model": "m", **spoofed}


async def test_url_info_overwrites_even_what_a_mapping_puts_there() -> None:  # B9
    app = App()
    takes = [("$.p", "mlrun_request_path"), ("$.m", "mlrun_request_method")]

    sent = await request(
        endpoint(app, takes=takes, include_url_info=True),
        "POST",
        "/run?mlrun_request_path=/query",
        {"p": "/body", "m": "DELETE"},
    )

    assert sent.status == 200
    assert app.kwargs == {"mlrun_request_path": "/run", "mlrun_request_method": "POST"}
