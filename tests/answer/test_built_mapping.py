"""Output rules that build an answer: places inside of fields, and values that the app does not send."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware import APIHandlerConfig, BodyMappings, OpenAIMiddleware
from openai_middleware.answer.built_mapping import mapping_class
from openai_middleware.errors import ConfigurationError
from openai_middleware.mapping.json_path import Place
from openai_middleware.mapping.rule import BodyMapping
from tests.support.behaviours import Backend, documents, event, streaming
from tests.support.drivers import App, request
from tests.support.stacks import STACKS

NAMES = st.sampled_from(["a", "b", "a b", "é", "a.b", "$", "'", '"', "\\", "0"])
LEAVES: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.text() | st.just({}) | st.just([])
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        max_leaves=8,
    ),
    min_size=1,
)


def leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value that holds no other one, with the way to it."""
    if not value or not isinstance(value, dict | list):
        yield place, value
        return
    for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(inner, (*place, step))


def without(value: Any, absent: set[Place], place: Place = ()) -> Any:
    """The document without the values at some places, and without what is empty then; None where that is all."""
    if place in absent:
        return None
    if not value or not isinstance(value, dict | list):
        return (value,)
    items = value.items() if isinstance(value, dict) else enumerate(value)
    kept = {step: found[0] for step, inner in items if (found := without(inner, absent, (*place, step))) is not None}
    if not kept:
        return None
    return (kept if isinstance(value, dict) else list(kept.values()),)


def written(place: Place) -> str:
    return "$" + "".join(f"[{json.dumps(step, ensure_ascii=False)}]" for step in place)


@given(DOCUMENTS, st.data())
def test_any_document_can_be_built_of_what_is_in_it(document: Any, data: st.DataObject) -> None:  # O16
    parts = data.draw(st.permutations(list(leaves(document))))
    kinds = data.draw(st.lists(st.sampled_from(["value", "found", "absent"]), min_size=len(parts), max_size=len(parts)))
    sent = {f"s{index}": value for index, (_, value) in enumerate(parts) if kinds[index] == "found"}
    rules = [
        BodyMapping("", written(place), value=value)
        if kind == "value"
        else BodyMapping(f"s{index}", written(place), kind == "found")
        for index, ((place, value), kind) in enumerate(zip(parts, kinds, strict=True))
    ]

    built = json.loads(mapping_class(rules)(rules).apply(json.dumps(sent | {"junk": 1}).encode()))

    absent = {place for (place, _), kind in zip(parts, kinds, strict=True) if kind == "absent"}
    expected = without(document, absent)
    assert built == (expected[0] if expected else {})


COMPLETION = [
    {"source_path": "$.id", "destination_path": "id"},
    {"value": "chat.completion", "destination_path": "object"},
    {"source_path": "$.answer.text", "destination_path": "$.choices[0].message.content", "mandatory": True},
    {"value": None, "destination_path": "$.choices[0].logprobs"},
    {"source_path": "$.words", "destination_path": "$.usage.total_tokens"},
    {"source_path": "$.literal", "destination_path": "a.b[0]"},
]
CHUNK = [
    {"value": "chat.completion.chunk", "destination_path": "object"},
    {"source_path": "$.word", "destination_path": "$.choices[0].delta.content"},
]


def config_of(**endpoint: Any) -> APIHandlerConfig:
    return APIHandlerConfig.from_dict({"endpoints": {"POST:/own": {"path": "/own", **endpoint}}})


def test_own_endpoint_gives_what_an_sdk_waits_for() -> None:  # O16 O2
    config = config_of(output_body_mappings={"mappings": COMPLETION}, stream_body_mappings={"mappings": CHUNK})
    assert APIHandlerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    stack = STACKS[0]
    answer = {"id": "c", "answer": {"text": "Hi"}, "words": 1, "literal": 2, "junk": 3}

    reply = stack.app(Backend(answer), config=config).send("POST", "/own", b"{}")

    assert reply.json == {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"message": {"content": "Hi"}, "logprobs": None}],
        "usage": {"total_tokens": 1},
        "a.b[0]": 2,
    }
    assert reply.header("content-length") == str(len(reply.body))

    events = [event({"word": "Hi"}), event({"junk": 1}), b": kept\n\n", event({"error": "x"}), b"data: [DONE]\n\n"]
    reply = stack.app(streaming(*events), config=config).send("POST", "/own", b"{}")

    made = {"object": "chat.completion.chunk"}
    assert documents(reply) == [
        {**made, "choices": [{"delta": {"content": "Hi"}}]},
        made,
        {"error": "x"},
        "[DONE]",
    ]


async def test_what_is_absent_is_left_out_null_or_a_422(caplog: pytest.LogCaptureFixture) -> None:  # O3 O5 O16
    config = config_of(output_body_mappings={"mappings": COMPLETION})
    found = {"object": "chat.completion", "choices": [{"message": {"content": "Hi"}, "logprobs": None}]}
    app = App({"answer": {"text": "Hi"}})
    assert (await request(OpenAIMiddleware(app, config=config), "POST", "/own")).json == found

    filled = OpenAIMiddleware(app, config=config, absent_optional="null")
    nulls = {"id": None, **found, "usage": {"total_tokens": None}, "a.b[0]": None}
    assert (await request(filled, "POST", "/own")).json == nulls

    app.answer = {"answer": {"word": "Hi"}}
    sent = await request(OpenAIMiddleware(app, config=config), "POST", "/own")
    assert (sent.status, sent.error["param"]) == (422, "$.choices[0].message.content")
    app.answer = ["Hi"]
    assert (await request(OpenAIMiddleware(app, config=config), "POST", "/own")).status == 422
    caplog.clear()
    optional = config_of(output_body_mappings={"mappings": COMPLETION[:2]})
    assert (await request(OpenAIMiddleware(app, config=optional), "POST", "/own")).json == ["Hi"]
    assert not caplog.records


@pytest.mark.parametrize(
    ("inherited", "specific", "answer"),
    [
        (["$.u.a", "$.u.b"], ["$.u.a"], {"u": {"a": "specific 0", "b": "inherited 1"}}),
        (["$.u.a", "$.v"], ["u"], {"v": "inherited 1", "u": "specific 0"}),
        (["u", "$.v[0]"], ["$.u.a", "$.v.b"], {"u": {"a": "specific 0"}, "v": {"b": "specific 1"}}),
        (["$.u['a'][0]"], ["$.u.a[1]", "$.u.a[0]"], {"u": {"a": ["specific 1", "specific 0"]}}),
        (["$.u"], ["u"], {"u": "specific 0"}),
    ],
)
async def test_specific_place_counts_more_than_one_that_excludes_it(
    inherited: list[str], specific: list[str], answer: Any
) -> None:  # H1 O17
    config = APIHandlerConfig()
    for path, scope, places in (("/*", "inherited", inherited), ("/a", "specific", specific)):
        rules = [{"value": f"{scope} {index}", "destination_path": place} for index, place in enumerate(places)]
        config.add_endpoint_handler(path, output_body_mappings=BodyMappings(rules))

    assert (await request(OpenAIMiddleware(App({}), config=config), "POST", "/a")).json == answer


async def test_operation_is_built_of_its_own_mappings_and_keeps_what_the_contract_repairs() -> None:  # O16 S3
    endpoint = {"operation": "chat.completions.create", "output_body_mappings": {"mappings": COMPLETION}}
    input_body_mappings = {"mappings": [{"source_path": "$.stream", "destination_path": "stream"}]}
    config = config_of(**endpoint, stream_body_mappings={"mappings": CHUNK}, input_body_mappings=input_body_mappings)
    middleware = OpenAIMiddleware(
        App({"answer": {"text": "Hi"}, "own": 1, "choices": []}), config=config, extra_fields="keep"
    )

    sent = await request(middleware, "POST", "/own", {})

    assert sent.json["choices"] == [{"message": {"content": "Hi"}, "logprobs": None}]
    assert list(sent.json)[-1] == "own"


@pytest.mark.parametrize(
    ("places", "code"),
    [
        (["$.a", "$.a.b"], "destination_path_overlap"),
        (["$.a.b", "a"], "destination_path_overlap"),
        (["$.a[0]", "$.a.b"], "destination_path_overlap"),
        (["$.a[0].b", "$['a'][0]"], "destination_path_overlap"),
        (["$.a..b"], "destination_path_ambiguous"),
        (["$.a[-1]"], "destination_path_ambiguous"),
        (["$[0]"], "destination_path_ambiguous"),
        (["$.a[0:1]"], "destination_path_ambiguous"),
        (["$.a["], "destination_path_ambiguous"),
        (["$.a['b','c']"], "destination_path_ambiguous"),
    ],
)
def test_places_that_cannot_be_written_are_mistakes(places: list[str], code: str) -> None:  # O17
    mappings = BodyMappings()
    for place in places[:-1]:
        mappings.add_value(1, place)
    with pytest.raises(ConfigurationError, match=code):
        mappings.add_value(1, places[-1])
    with pytest.raises(ConfigurationError, match=code):
        BodyMappings([{"value": 1, "destination_path": place} for place in places])


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, [b"x"], {"a": [object()]}])
def test_value_that_is_no_json_is_a_mistake(value: Any) -> None:  # O17
    with pytest.raises(ConfigurationError, match="value_invalid"):
        BodyMappings().add_value(value, "a")


def test_all_mistakes_of_built_answers_are_reported_together() -> None:  # O17
    rules = [
        {"value": 1, "destination_path": "$.a[2].b"},
        {"value": 1, "destination_path": "$.a[0]"},
        {"value": 1, "destination_path": "$.c[1][0]"},
    ]
    bad = [{"value": 1, "destination_path": "$.a"}, *rules[:1], {"value": {1}, "destination_path": "$.b[*]"}]
    mappings = {"mappings": rules}
    endpoints = {
        "POST:/a": {"path": "/a", "output_body_mappings": mappings, "stream_body_mappings": mappings},
        "POST:/b": {"path": "/b", "output_body_mappings": {"mappings": bad}},
    }

    with pytest.raises(ConfigurationError) as caught:
        OpenAIMiddleware(App(), config={"endpoints": endpoints})

    assert [(mistake.code, mistake.value, mistake.where) for mistake in caught.value.mistakes] == [
        ("value_invalid", {1}, "endpoints.POST:/b.output_body_mappings.mappings.2"),
        ("destination_path_ambiguous", "$.b[*]", "endpoints.POST:/b.output_body_mappings.mappings.2"),
        ("destination_path_gap", "$.a[2].b", "endpoints.POST:/a.output_body_mappings"),
        ("destination_path_gap", "$.c[1][0]", "endpoints.POST:/a.output_body_mappings"),
        ("destination_path_gap", "$.a[2].b", "endpoints.POST:/a.stream_body_mappings"),
        ("destination_path_gap", "$.c[1][0]", "endpoints.POST:/a.stream_body_mappings"),
    ]
