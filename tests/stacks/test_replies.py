"""Plain answers, whatever serves them: text, JSON strings, objects in the other form, and functions beside an app."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from openai_middleware import Dispatcher
from openai_middleware import Reply as Said
from openai_middleware.errors import NotFoundError
from tests.support.behaviours import Backend, dump, event, streaming
from tests.support.replies import (
    CHAT,
    COMPLETIONS,
    OPERATIONS,
    QUESTIONS,
    RESPONSES,
    TARGETS,
    deltas_of,
    documents,
    text_of,
    validate_events,
)
from tests.support.samples import FULL_COMPLETION, FULL_RESPONSE
from tests.support.stacks import JSON, Answer, Reply, Stack, StackedApp

TEXT = [("Content-Type", "text/plain; charset=utf-8")]
FULL_TEXT_COMPLETION = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1_700_000_000,
    "model": "m-1",
    "choices": [{"text": "Grüße", "index": 0, "logprobs": None, "finish_reason": "stop"}],
}
OBJECTS: dict[str, Any] = {CHAT: FULL_COMPLETION, RESPONSES: FULL_RESPONSE, COMPLETIONS: FULL_TEXT_COMPLETION}

each_operation = pytest.mark.parametrize("operation", OPERATIONS)


def ask(app: StackedApp, operation: str, **fields: Any) -> Reply:
    return app.send("POST", TARGETS[operation], dump({**QUESTIONS[operation], **fields}))


def whole(reply: Reply) -> Any:
    assert (reply.status, reply.header("content-type")) == (200, "application/json")
    assert reply.header("content-length") in (None, str(len(reply.body)))
    return reply.json


# --- text


@each_operation
def test_plain_text_is_a_reply(operation: str, stack: Stack) -> None:  # R3
    app = stack.app(Backend(Answer("Grüße.".encode(), headers=TEXT)))
    assert text_of(operation, whole(ask(app, operation))) == "Grüße."
    events = documents(ask(app, operation, stream=True))
    validate_events(operation, events)
    assert deltas_of(operation, events) == ["Grüße."]


@each_operation
def test_chunks_of_plain_text_are_deltas_even_where_they_split_a_character(  # R3 R1
    operation: str, stack: Stack
) -> None:
    chunks = [b"Gr", b"\xc3", b"\xbc", "ße.".encode()]
    assert text_of(operation, whole(ask(stack.app(streaming(*chunks, headers=TEXT)), operation))) == "Grüße."
    events = documents(ask(stack.app(streaming(*chunks, headers=TEXT)), operation, stream=True))
    assert deltas_of(operation, events) == ["Gr", "ü", "ße."]


@each_operation
def test_piece_of_text_leaves_before_the_next_is_made(operation: str, stack: Stack) -> None:  # R10 S1
    log: list[str] = []

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            log.append(f"made {number}")
            yield b"%d" % number

    def note(chunk: bytes) -> None:
        log.extend(f"left {number}" for number in range(3) if f'"{number}"'.encode() in chunk)

    app = stack.app(Backend(Answer(chunks(), headers=TEXT)))
    body = dump({**QUESTIONS[operation], "stream": True})
    app.send("POST", TARGETS[operation], body, on_chunk=note)
    assert log == ["made 0", "left 0", "made 1", "left 1", "made 2", "left 2"]


@each_operation
def test_text_in_another_charset_is_decoded(operation: str, stack: Stack) -> None:  # R3
    headers = [("Content-Type", "text/plain; charset=latin-1")]
    app = stack.app(Backend(Answer("Grüße.".encode("latin-1"), headers=headers)))
    assert text_of(operation, whole(ask(app, operation))) == "Grüße."


@each_operation
def test_json_string_is_a_reply(operation: str, stack: Stack) -> None:  # R3 O6
    app = stack.app(Backend(Answer(b' "Gr\\u00fc\xc3\x9fe."\n', headers=JSON)))
    assert text_of(operation, whole(ask(app, operation))) == "Grüße."
    assert deltas_of(operation, documents(ask(app, operation, stream=True))) == ["Grüße."]


@each_operation
def test_empty_text_is_a_reply(operation: str, stack: Stack) -> None:  # R6 R3
    app = stack.app(Backend(Answer(b"", headers=TEXT)))
    assert text_of(operation, whole(ask(app, operation))) == ""
    assert deltas_of(operation, documents(ask(app, operation, stream=True))) == []


@pytest.mark.parametrize("stream", [True, False])
def test_text_for_several_choices_is_refused(stream: bool, stack: Stack) -> None:  # R9
    app = stack.app(Backend(Answer(b"Hello.", headers=TEXT)))
    reply = ask(app, CHAT, n=2, stream=stream)
    assert (reply.status, reply.error["param"]) == (400, "n")


@pytest.mark.parametrize("status", [201, 299])
def test_status_of_a_reply_is_kept(status: int, stack: Stack) -> None:  # R3
    assert ask(stack.app(Backend(Answer(b"Hello.", status, TEXT))), CHAT).status == status


@pytest.mark.parametrize(("status", "target"), [(404, TARGETS[CHAT]), (500, TARGETS[RESPONSES]), (200, "/own")])
def test_text_that_is_no_answer_of_these_operations_leaves_as_it_is(  # R3 O1
    status: int, target: str, stack: Stack
) -> None:
    reply = stack.app(Backend(Answer(b"Hello.", status, TEXT))).send(
        "POST", target, dump(QUESTIONS[CHAT] | QUESTIONS[RESPONSES])
    )
    assert (reply.status, reply.body) == (status, b"Hello.")


@each_operation
def test_text_that_breaks_off_ends_the_stream_with_an_error(operation: str, stack: Stack) -> None:  # R7 R47 S4
    app = stack.app(streaming(b"a", raises=NotFoundError("It is gone."), headers=TEXT))
    body = dump({**QUESTIONS[operation], "stream": True})
    events = documents(app.send("POST", TARGETS[operation], body, fails=True))
    assert deltas_of(operation, [event for event in events if "error" not in event]) == ["a"]
    assert [event["error"]["message"] for event in events if event.get("error")] == ["It is gone."]


# --- objects in the other form


@each_operation
def test_object_for_a_stream_is_turned_over_to_events(operation: str, stack: Stack) -> None:  # R34 R1
    events = documents(ask(stack.app(Backend(OBJECTS[operation])), operation, stream=True))
    assert "".join(deltas_of(operation, events)) == text_of(operation, OBJECTS[operation])
    if operation == RESPONSES:
        assert events[-1]["response"].items() >= FULL_RESPONSE.items()
    else:
        assert {event["id"] for event in events} == {OBJECTS[operation]["id"]}


@pytest.mark.parametrize("operation", [CHAT, COMPLETIONS])
def test_object_with_its_usage_tells_it_in_chunks_where_the_client_asked(operation: str, stack: Stack) -> None:  # R31
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    app = stack.app(Backend({**OBJECTS[operation], "usage": usage}))

    events = documents(ask(app, operation, stream=True))
    assert all(event["choices"] and "usage" not in event for event in events)

    events = documents(ask(app, operation, stream=True, stream_options={"include_usage": True}))
    assert [event["usage"] for event in events] == [None] * (len(events) - 1) + [usage]
    assert [bool(event["choices"]) for event in events] == [True] * (len(events) - 1) + [False]


def chunks_of(operation: str) -> list[bytes]:
    if operation == RESPONSES:
        return [event({"type": "response.completed", "response": FULL_RESPONSE, "sequence_number": 0})]
    shared = {name: value for name, value in OBJECTS[operation].items() if name not in ("choices", "usage")}
    if operation == CHAT:
        shared["object"] = "chat.completion.chunk"
    said: list[Any] = [{"delta": {"content": text}} if operation == CHAT else {"text": text} for text in ("Gr", "üße")]
    chunks = [{**shared, "choices": [{"index": 0, "finish_reason": None, **one}]} for one in said]
    return [event(chunk) for chunk in chunks]


@each_operation
@pytest.mark.parametrize("has_done", [True, False])
def test_events_for_a_whole_answer_are_collected(has_done: bool, operation: str, stack: Stack) -> None:  # R34 R1
    done = [b"data: [DONE]\n\n"] if has_done else []
    answer = whole(ask(stack.app(streaming(*chunks_of(operation), *done)), operation))
    assert text_of(operation, answer) == "Grüße"
    assert answer["id"] == OBJECTS[operation]["id"]


@each_operation
def test_error_in_events_that_are_collected_is_a_status(operation: str, stack: Stack) -> None:  # R7 R34
    told = {"message": "Slow.", "type": "server_error", "param": None, "code": "slow"}
    reply = ask(stack.app(streaming(*chunks_of(operation)[:-1], event({"error": told}))), operation)
    assert (reply.status, reply.error["message"], reply.error["code"]) == (500, "Slow.", "slow")


@each_operation
def test_object_in_the_right_form_leaves_as_it_came(operation: str, stack: Stack) -> None:  # R34 O2
    body = json.dumps(OBJECTS[operation] | ({} if operation != RESPONSES else NULLS), indent=1).encode()
    assert ask(stack.app(Backend(Answer(body))), operation).body == body


NULLS = dict.fromkeys(["error", "incomplete_details", "instructions", "metadata", "temperature", "top_p"])


# --- functions beside the app


def hello(messages: list[Any]) -> Iterator[str]:
    yield "Hello, "
    yield str(messages[-1]["content"])


async def hello_on_a_loop(messages: list[Any]) -> AsyncIterator[str]:
    for piece in hello(messages):
        yield piece


@each_operation
@pytest.mark.parametrize("function", [hello, hello_on_a_loop])
def test_function_beside_the_app_replies(function: Any, operation: str, stack: Stack) -> None:  # R1 R10 R11
    dispatch = Dispatcher()
    dispatch.reply(function)
    backend = Backend()
    app = stack.app(backend, handlers=dispatch)
    assert text_of(operation, whole(ask(app, operation))) == "Hello, Why?"
    events = documents(ask(app, operation, stream=True))
    validate_events(operation, events)
    assert deltas_of(operation, events) == ["Hello, ", "Why?"]
    assert not backend.is_called


@pytest.mark.parametrize("stream", [True, False])
def test_reply_keeps_fields_that_the_contract_does_not_have(stream: bool, stack: Stack) -> None:  # R11 R25
    dispatch = Dispatcher()
    dispatch.reply(lambda messages: Said("Yes.", reasoning="Hm."))
    reply = ask(stack.app(Backend(), handlers=dispatch), CHAT, stream=stream)
    assert b'"reasoning_content":"Hm."' in reply.body


def test_other_number_of_vectors_than_of_inputs_is_an_error_of_the_server(stack: Stack) -> None:  # R70
    backend = Backend(Answer(b"[[0.5], [1.5]]", 200, JSON))
    reply = stack.app(backend).send("POST", "/v1/embeddings", dump({"model": "m", "input": "one"}))

    assert (reply.status, reply.error["code"]) == (502, "invalid_response")
