"""An app that speaks chat completions alone, asked for Responses and text completions."""

import json
from typing import Any

import pytest

from openai_middleware import Rewrite
from openai_middleware.errors import NotFoundError
from tests.support.behaviours import Backend, dump, event, streaming
from tests.support.replies import (
    CHAT,
    COMPLETIONS,
    QUESTIONS,
    RESPONSES,
    TARGETS,
    deltas_of,
    documents,
    text_of,
    validate_events,
)
from tests.support.samples import FULL_COMPLETION
from tests.support.stacks import EVENTS, JSON, Answer, Reply, Stack, StackedApp

BRIDGE = {"prefix": "/v1", "rewrites": {RESPONSES: CHAT}}
QUESTION = {"model": "m", "input": "Why?"}
TEXT = [("Content-Type", "text/plain")]
SHARED = {"id": "own", "object": "chat.completion.chunk", "created": 1, "model": "other"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def ask(app: StackedApp, **fields: Any) -> Reply:
    return app.send("POST", TARGETS[RESPONSES], dump({**QUESTION, **fields}), fails=True)


def chunk(delta: Any, reason: str | None = None, **more: Any) -> bytes:
    return event({**SHARED, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more})


def chunks(*deltas: Any) -> list[bytes]:
    return [chunk(delta) for delta in deltas]


DONE = b"data: [DONE]\n\n"
SAID = [*chunks({"role": "assistant", "content": ""}, {"content": "Gr"}, {"content": "üße"}), chunk({}, "stop")]
WITH_USAGE = [*SAID, event({**SHARED, "choices": [], "usage": USAGE}), DONE]


# --- what the app is asked


def test_app_is_asked_for_a_chat_completion(stack: Stack) -> None:  # X1 X12 I1
    backend = Backend(FULL_COMPLETION)
    reply = ask(stack.app(backend, **BRIDGE), instructions="Be kind.", max_output_tokens=9, store=True)
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]
    body = {"messages": messages, "model": "m", "max_completion_tokens": 9}
    assert json.loads(backend.seen.body) == body
    assert (backend.call.operation, backend.call.request_id) == (CHAT, reply.request_id)
    kwargs = {name: value for name, value in backend.call.kwargs.items() if not name.startswith("mlrun_")}
    assert kwargs == body


def test_app_that_is_to_stream_is_asked_for_the_usage(stack: Stack) -> None:  # X12
    backend = Backend(Answer(b"".join(WITH_USAGE), headers=EVENTS))
    ask(stack.app(backend, **BRIDGE), stream=True)
    assert json.loads(backend.seen.body)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("operation", [RESPONSES, COMPLETIONS])
def test_app_gets_the_query_of_the_client(operation: str, stack: Stack) -> None:  # X12
    backend = Backend(FULL_COMPLETION)
    app = stack.app(backend, prefix="/v1", rewrites={operation: CHAT})
    target, body = f"{TARGETS[operation]}?tenant=a%2Fb&x=1", {"model": "m", **QUESTIONS[operation]}
    assert app.send("POST", target, dump(body)).status == 200
    assert backend.seen.line == "POST /v1/chat/completions?tenant=a%2Fb&x=1"
    assert backend.call.query_params == {"tenant": "a/b", "x": "1"}
    assert backend.call.kwargs.items() >= backend.call.query_params.items()
    assert not json.loads(backend.seen.body).keys() & backend.call.query_params.keys()


def test_body_that_is_no_json_does_not_reach_the_app(stack: Stack) -> None:  # X9 B10
    backend = Backend(FULL_COMPLETION)
    form = [("Content-Type", "multipart/form-data; boundary=x")]
    reply = stack.app(backend, **BRIDGE).send("POST", "/v1/responses", b"--x--", form)
    assert (reply.status, reply.error["code"], backend.is_called) == (422, "invalid_type", False)


def test_request_without_a_form_in_chat_does_not_reach_the_app(stack: Stack) -> None:  # X9
    backend = Backend(FULL_COMPLETION)
    reply = ask(stack.app(backend, **BRIDGE), previous_response_id="resp_1")
    assert (reply.status, reply.error["code"], backend.is_called) == (400, "previous_response_not_found", False)


# --- what the client gets


def test_chat_completion_is_a_response(stack: Stack) -> None:  # X30
    reply = ask(stack.app(Backend(FULL_COMPLETION), **BRIDGE), instructions="Be kind.")
    assert (reply.status, reply.header("content-type")) == (200, "application/json")
    answer = reply.json
    assert text_of(RESPONSES, answer) == "Grüße\u2028!"
    assert (answer["model"], answer["instructions"], answer["usage"]["input_tokens"]) == ("m", "Be kind.", 1)
    assert answer["id"].startswith("resp_")


def test_chunks_are_events(stack: Stack) -> None:  # X30 X31
    events = documents(ask(stack.app(streaming(*WITH_USAGE), **BRIDGE), stream=True))
    validate_events(RESPONSES, events)
    assert deltas_of(RESPONSES, events) == ["Gr", "üße"]
    assert events[-1]["response"]["usage"]["total_tokens"] == 8


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_chunks_may_come_in_any_pieces_with_comments_between(size: int, stack: Stack) -> None:  # X31
    whole = b": ping\n\n".join([b"", *WITH_USAGE])
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    events = documents(ask(stack.app(streaming(*pieces), **BRIDGE), stream=True))
    assert deltas_of(RESPONSES, events) == ["Gr", "üße"]


def test_stream_that_was_not_asked_for_is_collected(stack: Stack) -> None:  # X32
    answer = ask(stack.app(streaming(*WITH_USAGE), **BRIDGE)).json
    assert text_of(RESPONSES, answer) == "Grüße"
    assert answer["usage"]["total_tokens"] == 8


def test_whole_answer_for_a_stream_is_one_delta_of_each_field(stack: Stack) -> None:  # X32
    message = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    answer = {**FULL_COMPLETION, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    events = documents(ask(stack.app(Backend(answer), **BRIDGE), stream=True))
    deltas = [event["delta"] for event in events if "delta" in event]
    assert deltas == ["Hm.", "Yes."]


@pytest.mark.parametrize("headers", [TEXT, JSON])
@pytest.mark.parametrize("stream", [True, False])
def test_text_is_a_reply_here_too(stream: bool, headers: Any, stack: Stack) -> None:  # X32 R3
    body = b"Hello." if headers is TEXT else b'"Hello."'
    reply = ask(stack.app(Backend(Answer(body, headers=headers)), **BRIDGE), stream=stream)
    said = deltas_of(RESPONSES, documents(reply)) if stream else [text_of(RESPONSES, reply.json)]
    assert said == ["Hello."]


# --- when it fails


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_answer_that_is_no_success_leaves_as_it_is(status: int, stream: bool, stack: Stack) -> None:  # X33 O1
    body = b'{"error": {"message": "No.",  "type": "t", "param": null, "code": "c"}}'
    backend = Backend(Answer(body, status, [*JSON, ("X-Own", "1")]))
    reply = ask(stack.app(backend, **BRIDGE), stream=stream)
    assert (reply.status, reply.body, reply.header("x-own")) == (status, body, "1")


def test_answer_of_another_content_type_leaves_as_it_is_and_is_said(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # X33 T7
    page = Answer(b"<p>Hi</p>", headers=[("Content-Type", "text/html")])
    assert ask(stack.app(Backend(page), **BRIDGE)).body == b"<p>Hi</p>"
    lines = [record.getMessage() for record in caplog.records if record.name == "openai_middleware"]
    assert lines == ["responses.create: the app answers chat with text/html, as it is."]


def test_route_of_a_rewrite_that_is_not_there_is_said_once(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # T8 T10
    app = stack.app(Backend(Answer(b"", 404)), rewrites={RESPONSES: CHAT, CHAT: Rewrite("/ask", reply="$.answer")})
    for _ in range(2):
        assert ask(app).status == 404
    lines = [record.getMessage() for record in caplog.records if record.name == "openai_middleware"]
    assert lines == [f"{CHAT}: /v1/responses goes to /ask, and the app answers 404 there."]


def test_error_frame_of_the_app_ends_the_response(stack: Stack) -> None:  # X33 R47
    frame = event({"error": {"message": "Slow.", "code": "rate_limit_exceeded"}})
    events = documents(ask(stack.app(streaming(*chunks({"content": "a"}), frame), **BRIDGE), stream=True))
    error, failed = events[-2:]
    assert (error["type"], error["error"]["message"]) == ("error", "Slow.")
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {"code": "rate_limit_exceeded", "message": "Slow."}
    assert failed["response"]["output"][0]["content"][0]["text"] == "a"


def test_error_frame_in_a_stream_that_is_collected_is_a_status(stack: Stack) -> None:  # X33 R7
    frame = event({"error": {"message": "Slow.", "code": "slow"}})
    reply = ask(stack.app(streaming(*chunks({"content": "a"}), frame), **BRIDGE))
    assert (reply.status, reply.error["message"], reply.error["code"]) == (500, "Slow.", "slow")


@pytest.mark.parametrize(
    ("error", "message"),
    [(NotFoundError("It is gone."), "It is gone."), (ZeroDivisionError("secret"), "The server failed")],
)
def test_app_that_raises_in_mid_stream_ends_the_response(error: Exception, message: str, stack: Stack) -> None:  # X33
    reply = ask(stack.app(streaming(*chunks({"content": "a"}), raises=error), **BRIDGE), stream=True)
    *_, told, failed = documents(reply)
    assert (told["type"], failed["type"]) == ("error", "response.failed")
    assert told["error"]["message"].startswith(message)
    assert b"secret" not in reply.body


@pytest.mark.parametrize("left_out", [1, 2, 3])
def test_stream_that_ends_well_without_its_end_is_completed(left_out: int, stack: Stack) -> None:  # X33
    events = documents(ask(stack.app(streaming(*WITH_USAGE[:-left_out]), **BRIDGE), stream=True))
    assert (events[-1]["type"], events[-1]["response"]["status"]) == ("response.completed", "completed")


# --- chat completions of such an app


@pytest.mark.parametrize("stream", [True, False])
def test_chat_completions_are_the_app_s_own(stream: bool, stack: Stack) -> None:  # X34 R34
    backend = streaming(*WITH_USAGE) if stream else Backend(FULL_COMPLETION)
    body = dump({"model": "m", "messages": [], "stream": stream})
    reply = stack.app(backend, **BRIDGE).send("POST", TARGETS[CHAT], body)
    if stream:
        assert reply.body == b"".join(WITH_USAGE)
    else:
        assert reply.json == FULL_COMPLETION
    assert json.loads(backend.seen.body) == json.loads(body)
