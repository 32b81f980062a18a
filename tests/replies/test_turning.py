"""Objects turned over to events and back, and replies whose two forms say the same."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware import (
    APIHandlerConfig,
    BodyMappings,
    EndpointConfig,
    OpenAIMiddleware,
    Reply,
    ToolCall,
    Usage,
)
from openai_middleware.mapping.rule import BodyMapping
from openai_middleware.replies.turning import collector_of, events_of
from tests.support.drivers import App, request
from tests.support.replies import (
    CHAT,
    COMPLETIONS,
    OPERATIONS,
    RESPONSES,
    deltas_of,
    rendered,
    rendered_whole,
    text_of,
    validate_events,
)
from tests.support.server_sent_events import parse

each_operation = pytest.mark.parametrize("operation", OPERATIONS)

names = st.sampled_from(["weather", "shell", "find"])
texts = st.text(max_size=5)
calls = st.builds(
    ToolCall,
    names,
    st.dictionaries(texts, st.integers(), max_size=2) | st.sampled_from(["", "{}", "ls -l"]),
    id=st.none() | st.text("abc", min_size=1, max_size=3),
)
usages = st.builds(Usage, st.integers(0, 9), st.integers(0, 9), total_tokens=st.none() | st.integers(0, 99))
reasons = st.sampled_from([None, "stop", "length", "content_filter"])


def replies(*, with_calls: bool) -> st.SearchStrategy[Reply]:
    return st.builds(
        Reply,
        st.none() | texts,
        tool_calls=st.lists(calls, max_size=2) if with_calls else st.just(()),
        refusal=st.none() | texts,
        reasoning=st.none() | texts,
        finish_reason=reasons,
        usage=st.none() | usages,
    )


def chunk(delta: Any, reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


begun_calls = st.fixed_dictionaries(
    {
        "index": st.integers(0, 1),
        "id": st.sampled_from(["call_1", "call_2"]),
        "function": st.fixed_dictionaries({"name": names, "arguments": st.sampled_from(["", "{}", '{"a":'])}),
    }
)
fragments = st.builds(lambda index: {"index": index, "function": {"arguments": "1}"}}, st.integers(0, 1))


def chunks(*, with_calls: bool) -> st.SearchStrategy[dict[str, Any]]:
    said = {"content": texts, "reasoning_content": texts}
    called = {"tool_calls": st.lists(begun_calls | fragments, max_size=2)} if with_calls else {}
    return st.builds(chunk, st.fixed_dictionaries({}, optional=said | called), reasons)


def pieces(operation: str) -> st.SearchStrategy[list[Any]]:
    with_calls = operation != COMPLETIONS
    piece = st.none() | texts | replies(with_calls=with_calls) | usages | chunks(with_calls=with_calls)
    return st.lists(piece | calls if with_calls else piece, max_size=6)


TOOLS = [
    {"type": "custom", "name": "shell", "custom": {"name": "shell"}},
    {"type": "namespace", "name": "crm", "description": "d", "tools": [{"type": "function", "name": "find"}]},
]
answers = st.sampled_from(OPERATIONS).flatmap(lambda operation: st.tuples(st.just(operation), pieces(operation)))


def documents(stream: bytes) -> list[Any]:
    return [json.loads(found.data) for found in parse(stream) if found.data != "[DONE]"]


def collected(operation: str, events: list[Any]) -> Any:
    """The object that the events of a stream are."""
    collector = collector_of(operation)
    for event in events:
        collector.feed(event)
    whole = collector.whole()
    assert whole is not None
    return json.loads(whole)


# --- the two forms of a reply


@given(answers)
def test_stream_says_what_the_whole_answer_says(answer: tuple[str, list[Any]]) -> None:  # R1 R46 R48
    operation, said = answer
    events, whole = rendered(operation, said, tools=TOOLS, stream_options={"include_usage": True})
    if operation == RESPONSES:
        assert events[-1]["response"] == whole
    else:
        # That nobody knows the usage is null in chunks, and no field in an object.
        joined = collected(operation, events)
        assert {name: value for name, value in joined.items() if value is not None} == whole
    assert "".join(deltas_of(operation, events)) == text_of(operation, whole)


def functions_of(operation: str, whole: Any) -> list[Any]:
    if operation == RESPONSES:
        return [item for item in whole["output"] if item["type"] == "function_call"]
    return [call["function"] for call in _calls(whole) if call["type"] == "function"]


@given(st.sampled_from([CHAT, RESPONSES]).flatmap(lambda operation: st.tuples(st.just(operation), pieces(operation))))
def test_call_of_a_function_has_arguments_in_every_form(answer: tuple[str, list[Any]]) -> None:  # R8
    operation, said = answer
    events, whole = rendered(operation, said, tools=TOOLS)
    forms = [whole, rendered_whole(operation, said, tools=TOOLS)]
    if operation == CHAT:
        forms.append(collected(CHAT, events))
    for form in forms:
        assert all(function["arguments"] for function in functions_of(operation, form))


def normal(answer: Any) -> Any:
    """An answer without what is new in each."""
    fresh = ("id", "call_id", "created", "created_at", "completed_at")
    if isinstance(answer, dict):
        return {name: normal(value) for name, value in answer.items() if name not in fresh}
    return [normal(item) for item in answer] if isinstance(answer, list) else answer


@given(answers)
def test_answer_that_nobody_streams_is_the_same(answer: tuple[str, list[Any]]) -> None:  # R1
    operation, said = answer
    whole = rendered_whole(operation, said, tools=TOOLS)
    assert normal(whole) == normal(rendered(operation, said, tools=TOOLS)[1])


@given(st.lists(st.text(max_size=4), max_size=6), st.sampled_from(OPERATIONS))
def test_any_split_of_a_text_gives_the_same_answer(said: list[str], operation: str) -> None:  # R1 R5
    assert normal(rendered_whole(operation, said)) == normal(rendered_whole(operation, ["".join(said)]))


@given(pieces(CHAT))
def test_chunks_are_what_the_sdk_knows(said: list[Any]) -> None:  # R30 R31 R32
    events, _ = rendered(CHAT, said, stream_options={"include_usage": True})
    validate_events(CHAT, events)
    choices = [choice for event in events for choice in event["choices"]]
    assert [choice["finish_reason"] is None for choice in choices] == [True] * (len(choices) - 1) + [False]
    assert all(len(choice["delta"]) == 1 for choice in choices[1:-1])


@given(pieces(RESPONSES))
def test_events_are_numbered_without_gaps_and_known_to_the_sdk(said: list[Any]) -> None:  # R46 R48
    events, whole = rendered(RESPONSES, said, tools=TOOLS)
    validate_events(RESPONSES, events)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == whole["output"]
    assert [item["id"] for item in added] == [item["id"] for item in done]
    assert len({item["id"] for item in done}) == len(done)
    for event in events:
        if "output_index" in event and "item_id" in event:
            assert event["item_id"] == done[event["output_index"]]["id"]


# --- objects of the app


@given(answers)
def test_whole_answer_as_events_is_the_same_answer(answer: tuple[str, list[Any]]) -> None:  # R34
    operation, said = answer
    _, whole = rendered(operation, said, tools=TOOLS)
    events = documents(events_of(operation, whole, with_usage=True))
    if operation != CHAT or not any("custom" in call for call in _calls(whole)):
        validate_events(operation, events)
    assert collected(operation, events) == whole
    if operation == RESPONSES:
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
    else:
        untold = documents(events_of(operation, whole))
        assert all(event["choices"] and "usage" not in event for event in untold)


def _calls(completion: Any) -> list[Any]:
    return completion["choices"][0]["message"].get("tool_calls") or []


@each_operation
@pytest.mark.parametrize("answer", [{}, {"choices": None}, {"choices": [7]}, {"output": [7, {}]}, {"output": "x"}])
def test_object_that_lacks_everything_is_turned_over_without_a_crash(answer: Any, operation: str) -> None:  # R34
    assert events_of(operation, answer).endswith(b"\n\n")


@each_operation
@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b"{no"])
def test_json_that_is_no_object_leaves_as_it_came(body: bytes, operation: str) -> None:  # R34 O6 O8
    config = APIHandlerConfig()
    rules = BodyMappings([BodyMapping("stream", "stream")])
    config.add_endpoint_config(EndpointConfig("/own", "POST", operation=operation, input_body_mappings=rules))  # type: ignore[arg-type]
    app = OpenAIMiddleware(App(body), config=config)
    sent = asyncio.run(request(app, "POST", "/own", {"stream": True}))
    assert (sent.header("content-type"), sent.body) == ("application/json", body)


def test_calls_in_chunks_are_joined_by_their_index() -> None:  # R34 X32
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    second = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{"}}
    answer = collected(
        CHAT,
        [
            chunk({"tool_calls": [first]}),
            chunk({"tool_calls": [second]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            chunk({"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]}, "tool_calls"),
        ],
    )
    assert [(call["id"], call["function"]["arguments"]) for call in _calls(answer)] == [
        ("call_1", "{}"),
        ("call_2", "{}"),
    ]


@pytest.mark.parametrize("place", [{}, {"index": 0}], ids=["no index", "one index"])
def test_another_id_begins_another_call(place: Any) -> None:  # R34 X31
    whole_calls = [
        {**place, "id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for name, arguments in (("f", '{"a":'), ("g", "{}"))
    ]
    rest = {**place, "function": {"arguments": "1}"}}
    first, second = whole_calls
    chunks_of_them = [chunk({"tool_calls": [call]}) for call in (first, rest, second)]
    assert [(call["id"], call["function"]["arguments"]) for call in _calls(collected(CHAT, chunks_of_them))] == [
        ("call_f", '{"a":1}'),
        ("call_g", "{}"),
    ]


# --- malformed requests

strange = (
    st.none() | st.booleans() | st.integers() | texts | st.lists(st.none() | texts | st.dictionaries(texts, texts))
)
fields = ["tools", "stream_options", "text", "metadata", "reasoning", "functions", "temperature", "n", "echo"]


@given(st.sampled_from([CHAT, RESPONSES]), st.fixed_dictionaries({}, optional=dict.fromkeys(fields, strange)))
def test_malformed_request_breaks_no_rendering(operation: str, request: Any) -> None:  # R41
    events, whole = rendered(operation, ["a", ToolCall("f"), Reply("b", reasoning="c")], **request)
    assert events
    assert whole["id"]
