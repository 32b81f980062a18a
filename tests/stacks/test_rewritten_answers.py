"""Rewrites: what becomes of the answers of another route of the app, whatever serves it."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from openai_middleware import Rewrite
from openai_middleware.errors import RateLimitError
from openai_middleware.replies.reply import Reply as AppReply
from tests.support.behaviours import Backend, documents, dump, event, streaming
from tests.support.samples import CHAT, CHUNK, FULL_COMPLETION, JUNK
from tests.support.stacks import EVENTS, JSON, Answer, Headers, Reply, Stack, StackedApp

CREATE = "chat.completions.create"
TEXT: Headers = [("Content-Type", "text/plain; charset=utf-8")]
LINES: Headers = [("Content-Type", "application/x-ndjson")]
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "completions": "/v1/completions"}
REQUESTS: dict[str, Any] = {
    "chat": CHAT,
    "responses": {"model": "m", "input": "Hello"},
    "completions": {"model": "m", "prompt": "Hello"},
}
# What is served: building all groups takes longer than the tests.
GROUPS = ["chat_completions", "responses", "completions"]


def send(app: StackedApp, kind: str = "chat", **fields: Any) -> Reply:
    return app.send("POST", PATHS[kind], dump({**REQUESTS[kind], **fields}))


def app_of(stack: Stack, backend: Any, rewrite: Rewrite, *, by_chat: bool = False) -> StackedApp:
    """An app whose three operations with text are one route."""
    by_way: Any = CREATE if by_chat else rewrite
    rewrites = {CREATE: rewrite, "responses.create": by_way, "completions.create": by_way}
    return stack.app(backend, rewrites=rewrites, endpoints=GROUPS)


def text_of(reply: Reply, kind: str) -> str:
    """The text that a client reads in an answer of either form."""
    assert reply.status == 200, reply.body
    if reply.header("content-type") == "text/event-stream":
        found = documents(reply)
        if kind == "responses":
            assert found[-1]["type"] == "response.completed"
            return "".join(one["delta"] for one in found if one["type"] == "response.output_text.delta")
        assert found.pop() == "[DONE]"
        choices = [one["choices"][0] for one in found if one["choices"]]
        return "".join(one["delta"].get("content") or "" if kind == "chat" else one["text"] for one in choices)
    if kind == "responses":
        return reply.json["output"][0]["content"][0]["text"]
    [choice] = reply.json["choices"]
    return choice["message"]["content"] if kind == "chat" else choice["text"]


def lines(*pieces: Any) -> Iterator[bytes]:
    return (dump(piece) + b"\n" for piece in pieces)


def message_of(stack: Stack, rewrite: Rewrite, answer: Any) -> Any:
    """The message that a client gets for a whole answer of the app."""
    reply = send(app_of(stack, Backend(answer), rewrite))
    assert reply.status == 200, reply.body
    return reply.json["choices"][0]


# --- whole answers


@pytest.mark.parametrize("by_chat", [False, True])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", PATHS)
def test_reply_is_read_from_the_json_of_the_app(kind: str, stream: bool, by_chat: bool, stack: Stack) -> None:  # T5 T8
    backend = Backend({"answer": {"text": "Grüße"}})
    reply = send(app_of(stack, backend, Rewrite("/ask", reply="$.answer.text"), by_chat=by_chat), kind, stream=stream)
    assert text_of(reply, kind) == "Grüße"
    assert (reply.header("content-type") == "text/event-stream") is stream


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"a": "x"}, "x"),
        ({"a": None}, ""),
        ({"a": 5}, "5"),
        ({"a": 0.5}, "0.5"),
        ({"a": True}, "true"),
        ({"a": ""}, ""),
        ({"a": ["x", "y", 1]}, "xy1"),
        ({"a": {"b": 1}}, '{"b":1}'),
        ({"a": "x", "error": None}, "x"),
    ],
)
def test_what_is_found_becomes_text(answer: Any, text: str, stack: Stack) -> None:  # T5
    assert message_of(stack, Rewrite("/ask", reply="$.a"), answer)["message"]["content"] == text


@pytest.mark.parametrize("answer", [b'"Hi"', b'"{\\"a\\": 1}"', b"5"])
def test_dollar_reads_a_document_that_is_a_text_itself(answer: bytes, stack: Stack) -> None:  # T5
    decoded = json.loads(answer)
    text = decoded if isinstance(decoded, str) else str(decoded)
    assert message_of(stack, Rewrite("/ask", reply="$"), answer)["message"]["content"] == text


def test_dict_reads_the_parts_of_a_reply(stack: Stack) -> None:  # T5
    reply = {
        "content": "$.text",
        "tool_calls": "$.tools",
        "reasoning": "$.thought",
        "refusal": "$.no",
        "finish_reason": "$.why",
        "usage": "$.tokens",
    }
    calls = [
        {"name": "a", "arguments": {"x": 1}},
        {"id": "call_own", "type": "function", "function": {"name": "b", "arguments": '{"y":2}'}},
    ]
    answer = {
        "text": "Hi",
        "tools": calls,
        "thought": "Hm.",
        "no": None,
        "why": "odd",
        "tokens": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    found = send(app_of(stack, Backend(answer), Rewrite("/ask", reply=reply))).json
    [choice] = found["choices"]
    message = choice["message"]
    assert (message["content"], message["reasoning_content"], message["refusal"]) == ("Hi", "Hm.", None)
    first, second = message["tool_calls"]
    assert first["function"] == {"name": "a", "arguments": '{"x":1}'}
    assert (second["id"], second["function"]) == ("call_own", {"name": "b", "arguments": '{"y":2}'})
    assert choice["finish_reason"] == "tool_calls"
    assert found["usage"]["total_tokens"] == 3


def test_parts_that_are_not_there_are_left_out(stack: Stack) -> None:  # T5
    reading = {"content": "$.text", "tool_calls": "$.tools[*]", "usage": "$.tokens", "finish_reason": "$.why"}
    choice = message_of(stack, Rewrite("/ask", reply=reading), {"text": "Hi", "why": "length"})
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hi", "length")
    assert "tool_calls" not in choice["message"]


def test_one_call_that_a_path_to_several_finds_is_a_call(stack: Stack) -> None:  # T5
    answer = {"tools": [{"name": "a", "arguments": None}]}
    choice = message_of(stack, Rewrite("/ask", reply={"tool_calls": "$.tools[*]"}), answer)
    assert [call["function"] for call in choice["message"]["tool_calls"]] == [{"name": "a", "arguments": "{}"}]


def test_function_reads_the_answer(stack: Stack) -> None:  # T5
    rewrite = Rewrite("/ask", reply=lambda answer: AppReply(answer["a"], finish_reason="length"))
    choice = message_of(stack, rewrite, {"a": "x"})
    assert (choice["message"]["content"], choice["finish_reason"]) == ("x", "length")


def test_openai_error_of_a_reading_function_is_its_envelope(stack: Stack) -> None:  # T5
    def read(answer: Any) -> Any:
        raise RateLimitError("Later.", code="busy")

    for stream in (False, True):
        reply = send(app_of(stack, Backend({}), Rewrite("/ask", reply=read)), stream=stream)
        assert (reply.status, reply.error["code"]) == (429, "busy")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("answer", "headers"), [(b'"Hi"', JSON), (b"Hi", TEXT), (dump(FULL_COMPLETION | JUNK), JSON)])
def test_without_reply_text_is_text_and_an_object_openais_own(
    answer: bytes, headers: Headers, stream: bool, stack: Stack
) -> None:  # T5
    reply = send(app_of(stack, Backend(Answer(answer, headers=headers)), Rewrite("/ask")), stream=stream)
    assert text_of(reply, "chat") == ("Hi" if b"Hi" in answer else "Grüße\u2028!")
    assert b"secret" not in reply.body


def test_names_and_vectors_are_read_for_the_operations_that_take_them(stack: Stack) -> None:  # T5
    backend = Backend({"items": [{"name": "a", "vector": [0.5, 1]}]})
    for names in ("$.items[*].name", lambda answer: [item["name"] for item in answer["items"]]):
        app = app_of_lists(stack, backend, names, "$.items[*].vector")
        assert [model["id"] for model in app.send("GET", "/v1/models").json["data"]] == ["a"]
        embedded = app.send("POST", "/v1/embeddings", b'{"model": "m", "input": "x"}').json
        assert [one["embedding"] for one in embedded["data"]] == [[0.5, 1]]


def app_of_lists(stack: Stack, backend: Any, names: Any, vectors: Any) -> StackedApp:
    rewrites = {
        "models.list": Rewrite("GET /items", reply=names),
        "embeddings.create": Rewrite("/embed", reply=vectors),
    }
    return stack.app(backend, rewrites=rewrites, endpoints=["models", "embeddings"])


def test_what_is_no_list_of_names_or_vectors_is_a_502(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:  # T5 I2
    app = app_of_lists(stack, Backend({"items": {"a secret": [[0.5]]}}), "$.items", "$.items['a secret']")
    listed = app.send("GET", "/v1/models")
    embedded = app.send("POST", "/v1/embeddings", b'{"model": "m", "input": ["x", "y"]}')
    assert (listed.status, embedded.status) == (502, 502)
    first, second = (record.getMessage() for record in caplog.records if record.name == "openai_middleware")
    unread = "the app's answer could not be read"
    told = f"a dict holds no names or vectors. The client gets 502 (request {listed.request_id})."
    assert first == f"models.list: {unread}: {told}"
    assert second.startswith(f"embeddings.create: {unread}: ")
    assert "secret" not in first + second


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reading", "answer", "said"),
    [
        ("$.answer", {"reply": "a secret"}, "there is nothing at $.answer, but the fields 'reply'"),
        ("$.a.b", {"a": "a secret"}, "there is nothing at $.a.b, but the fields 'a'"),
        ("$.answer", ["a secret"], "there is nothing at $.answer, but an array"),
        ("$.answer", "a secret", "there is nothing at $.answer, but a string"),
        (
            {"content": "$.a", "usage": "$.b"},
            {"c": "a secret"},
            "there is nothing at $.a (content) or $.b (usage), but the fields 'c'",
        ),
        ("$.answer", b'{"answer": "a secr', "it is no JSON"),
        ({"usage": "$.u"}, {"u": {"input_tokens": "a secret"}}, "$.u (usage) is no tool call or usage"),
        ({"tool_calls": "$.t"}, {"t": ["a secret"]}, "$.t (tool_calls) is no tool call or usage"),
    ],
)
def test_reading_that_finds_nothing_is_a_502_that_is_not_retried_and_said_without_values(
    reading: Any, answer: Any, said: str, stream: bool, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # T5 E3 I2
    reply = send(app_of(stack, Backend(answer), Rewrite("/ask", reply=reading)), stream=stream)
    assert (reply.status, reply.header("x-should-retry")) == (502, "false")
    assert reply.header("content-type") == "application/json"
    assert reply.error["type"] == "server_error"
    [line] = [record.getMessage() for record in caplog.records if record.name == "openai_middleware"]
    told = f"The client gets 502 (request {reply.request_id})."
    assert line == f"{CREATE}: the app's answer could not be read: {said}. {told}"
    assert "secret" not in line


def test_several_choices_are_refused_before_the_app_is_called(stack: Stack) -> None:  # T5
    backend = Backend({"answer": "Hi"})
    reply = send(app_of(stack, backend, Rewrite("/ask", reply="$.answer")), n=2)
    assert (reply.status, reply.error["param"]) == (400, "n")
    assert not backend.is_called


# --- streams


STREAMS: list[Any] = [
    pytest.param(TEXT, [b"Gr\xc3", b"\xbc\xc3\x9fe", b" 5"], {}, id="text"),
    pytest.param(TEXT, [b"Gr\xc3", b"\xbc\xc3\x9fe 5"], {"reply": "$.t"}, id="text beside a path for JSON"),
    pytest.param(
        LINES,
        [*lines({"t": "Gr"}, {"x": 1}, {"t": "üße"}, {"t": None}, {"t": " "}, {"t": 5})],
        {"delta": "$.t"},
        id="ndjson",
    ),
    pytest.param(LINES, [b'{"t": "Gr', b'\xc3\xbc\xc3\x9fe 5"}'], {"reply": "$.t"}, id="ndjson, cut elsewhere"),
    pytest.param([("Content-Type", "application/jsonl")], [*lines("Gr", "üße ", 5)], {}, id="jsonl of texts"),
    pytest.param(
        EVENTS, [event({"t": "Gr"}), event({"t": "üße 5"}), b"data: [DONE]\n\n"], {"delta": "$.t"}, id="events"
    ),
    pytest.param(
        EVENTS,
        [event({"t": "Gr"}), b"data: x\n\n", event({"t": "üße 5"})],
        {"delta": {"content": "$.t"}},
        id="events, dict",
    ),
    pytest.param(
        EVENTS, [b"data: Gr\n\n", "data: üße\n\n".encode(), b"data:  \n\n", b"data: 5\n\n"], {}, id="events of text"
    ),
    pytest.param(EVENTS, [event("Gr"), event("üße 5"), b"data: [DONE]\n\n"], {}, id="events of JSON texts"),
    pytest.param(
        EVENTS,
        ["data: Grüße\n\n".encode(), event({"x": 1}), b"data:  \n\n", b"data: 5\n\n"],
        {"reply": "$.t"},
        id="events of text beside a path for JSON",
    ),
    pytest.param(
        EVENTS,
        ["data: Grüße\n\n".encode(), b"data:  \n\n", b"data: 5\n\n"],
        {"reply": lambda answer: answer["t"]},
        id="events of text beside a function for JSON",
    ),
    pytest.param(
        EVENTS,
        [event({**CHUNK, "choices": [{"index": 0, "delta": {"content": "Grüße 5"}}]}), b"data: [DONE]\n\n"],
        {"reply": "$.t"},
        id="chunks of chat beside a path for JSON",
    ),
    pytest.param(
        EVENTS,
        [event({"t": "Grüße 5"}), b"data: END\n\n", event({"t": "!"})],
        {"delta": "$.t", "done": "END"},
        id="literal end",
    ),
    pytest.param(
        LINES,
        [*lines({"t": "Grüße", "end": 0}, {"t": " 5", "end": 1}, {"t": "!"})],
        {"delta": "$.t", "done": "$.end"},
        id="end at a path",
    ),
    pytest.param(
        EVENTS,
        [event({**CHUNK, "choices": [{"index": 0, "delta": {"content": "Grüße 5"}}]}), b"data: [DONE]\n\n"],
        {},
        id="chunks of chat",
    ),
]


@pytest.mark.parametrize("by_chat", [False, True])
@pytest.mark.parametrize(("headers", "chunks", "reading"), STREAMS)
def test_stream_is_read_piece_by_piece(
    headers: Headers, chunks: list[bytes], reading: Any, by_chat: bool, stack: Stack
) -> None:  # T6 T8 T12
    app = app_of(stack, streaming(*chunks, headers=headers), Rewrite("/ask", **reading), by_chat=by_chat)
    are_of_chat = reading == {} and b"choices" in chunks[0]  # which are the operation's own only there
    for kind in ["chat"] if are_of_chat and not by_chat else PATHS:
        for stream in (False, True):
            assert text_of(send(app, kind, stream=stream), kind) == "Grüße 5", (kind, stream)


@pytest.mark.parametrize(
    "tokens", [["{", '"a": ', "5", ", ", "[1]", "true", "}"], ["[", "]"], ['{"a"', ":1}"], ["[1]", "x"]]
)
def test_text_that_looks_like_json_is_text(tokens: list[str], stack: Stack) -> None:  # T6
    events = [f"data: {token}\n\n".encode() for token in tokens]
    reply = send(app_of(stack, streaming(*events), Rewrite("/ask")), stream=True)
    assert text_of(reply, "chat") == "".join(tokens)


def test_each_piece_leaves_before_the_next_is_asked_for(stack: Stack) -> None:  # T6
    heard: list[bytes] = []
    seen: list[int] = []

    def body() -> Iterator[bytes]:
        for word in ("a", "b", "c"):
            seen.append(sum(b'"content":"' in chunk and b'"content":""' not in chunk for chunk in heard))
            yield from lines({"t": word})

    backend = Backend(Answer(body(), headers=LINES))
    app = app_of(stack, backend, Rewrite("/ask", delta="$.t"))
    app.send("POST", PATHS["chat"], dump({**CHAT, "stream": True}), on_chunk=heard.append)
    if stack.name in ("asgi", "wsgi", "flask"):  # the others read one chunk ahead
        assert seen[1:] == [1, 2] or seen[1:] == [0, 1]
    assert len(heard) >= 3


def test_usage_and_calls_of_pieces_arrive(stack: Stack) -> None:  # T5 T6
    pieces = lines(
        {"t": "Hi"}, {"call": {"name": "f", "arguments": {"x": 1}}}, {"u": {"input_tokens": 1, "output_tokens": 2}}
    )
    delta = {"content": "$.t", "tool_calls": "$.call", "usage": "$.u"}
    found = send(app_of(stack, streaming(*pieces, headers=LINES), Rewrite("/ask", delta=delta))).json
    [choice] = found["choices"]
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert (choice["finish_reason"], found["usage"]["total_tokens"]) == ("tool_calls", 3)


def test_whole_answer_is_read_by_delta_where_there_is_no_reply(stack: Stack) -> None:  # T6
    app = app_of(stack, Backend({"t": "Hi"}), Rewrite("/ask", delta="$.t"))
    assert text_of(send(app, stream=True), "chat") == "Hi"
    app = app_of(stack, Backend({"t": "Hi", "whole": "Hello"}), Rewrite("/ask", delta="$.t", reply="$.whole"))
    assert text_of(send(app, stream=True), "chat") == "Hello"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("headers", [EVENTS, LINES, JSON], ids=["events", "ndjson", "json"])
def test_failure_that_the_app_tells_of_first_is_a_status(headers: Headers, stream: bool, stack: Stack) -> None:  # T6
    failure = {"error": {"message": "No tokens left.", "code": "quota"}}
    pieces = [event(failure)] if headers is EVENTS else [*lines(failure)]
    reply = send(app_of(stack, streaming(*pieces, headers=headers), Rewrite("/ask", delta="$.t")), stream=stream)
    assert (reply.status, reply.error["message"], reply.error["code"]) == (500, "No tokens left.", "quota")
    assert reply.header("content-type") == "application/json"


@pytest.mark.parametrize("kind", PATHS)
def test_failure_that_the_app_tells_of_later_ends_the_stream(kind: str, stack: Stack) -> None:  # T6 S4
    pieces = lines({"t": "Hi"}, {"error": {"message": "No tokens left.", "code": "quota"}}, {"t": "never"})
    app = app_of(stack, streaming(*pieces, headers=LINES), Rewrite("/ask", delta="$.t"))
    reply = send(app, kind, stream=True)
    found = documents(reply)
    assert reply.status == 200
    assert b"never" not in reply.body
    assert "[DONE]" not in found
    if kind == "responses":
        assert [one["type"] for one in found[-2:]] == ["error", "response.failed"]
    failures = [one["error"] for one in found if one.get("error")]
    assert (failures[0]["message"], failures[0]["code"]) == ("No tokens left.", "quota")
    whole = send(
        app_of(stack, streaming(*lines({"t": "Hi"}, {"error": "x"}), headers=LINES), Rewrite("/ask", delta="$.t"))
    )
    assert (whole.status, whole.error["message"]) == (500, "x")


def test_piece_that_cannot_be_read_ends_the_stream_and_is_said(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # T6 S4 I2
    delta = {"content": "$.t", "usage": "$.u"}
    pieces = lines({"t": "Hi"}, {"u": {"input_tokens": "a secret"}})
    reply = send(app_of(stack, streaming(*pieces, headers=LINES), Rewrite("/ask", delta=delta)), stream=True)
    assert (reply.status, documents(reply)[-1]["error"]["code"]) == (200, "invalid_response")
    [line] = [record.getMessage() for record in caplog.records if record.name == "openai_middleware"]
    assert "$.t (content) or $.u (usage) is no tool call or usage" in line
    assert line.endswith(f"(request {reply.request_id}).")
    assert "secret" not in line


@pytest.mark.parametrize(
    ("rewrite", "headers", "pieces"),
    [
        (Rewrite("/ask", delta="$.t"), LINES, [*lines({"t": "Hi"}, {"t": "!"})]),
        (Rewrite("/ask"), EVENTS, [b"data: Hi\n\n", b"data: !\n\n"]),
    ],
    ids=["lines", "events of text"],
)
def test_app_that_fails_in_the_middle_ends_the_stream(
    rewrite: Rewrite, headers: Headers, pieces: list[bytes], stack: Stack
) -> None:  # T6 S4
    app = app_of(stack, streaming(*pieces, raises=ValueError("a secret"), headers=headers), rewrite)
    reply = app.send("POST", PATHS["chat"], dump({**CHAT, "stream": True}), fails=True)
    assert documents(reply)[-1]["error"]["type"] == "server_error"
    assert b"secret" not in reply.body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reading", "wanted"),
    [
        ({"delta": "$.t"}, "has anything at $.t"),
        ({"reply": {"content": "$.t"}}, "has anything at $.t (content)"),
        ({}, "is text"),
    ],
)
def test_stream_without_pieces_is_an_empty_reply_and_is_said(
    reading: Any, wanted: str, stream: bool, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # T6 I2
    app = app_of(stack, streaming(*lines({"x": "secret"}, {"y": 1}), headers=LINES), Rewrite("/ask", **reading))
    reply = send(app, stream=stream)
    assert text_of(reply, "chat") == ""
    [line] = [record.getMessage() for record in caplog.records if record.name == "openai_middleware"]
    could = "the app's stream could not be read: no piece of it"
    assert line == f"{CREATE}: {could} {wanted} (request {reply.request_id})."


# --- what passes


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [300, 400, 401, 429, 500, 503])
def test_answers_without_success_pass_untouched(status: int, stream: bool, stack: Stack) -> None:  # T7
    answer = Answer(b'{"detail": "no"}', status, [*JSON, ("X-Own", "1")])
    reply = send(app_of(stack, Backend(answer), Rewrite("/ask", reply="$.answer")), stream=stream)
    assert (reply.status, reply.body, reply.header("x-own")) == (status, b'{"detail": "no"}', "1")


@pytest.mark.parametrize(
    ("path", "headers"), [("/v1/models", TEXT), (PATHS["chat"], [("Content-Type", "text/html")]), (PATHS["chat"], [])]
)
def test_other_content_types_pass_untouched_and_are_said(
    path: str, headers: Headers, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # T7
    if not headers and stack.name in ("wsgi", "django-sync", "django-async"):
        return  # Django gives every response a content type, and the validator of WSGI wants one
    backend = Backend(Answer(b"<p>Hi</p>", headers=headers))
    rewrites = {"models.list": Rewrite("GET /names", reply="$"), CREATE: Rewrite("/ask", reply="$.answer")}
    app = stack.app(backend, rewrites=rewrites)
    with caplog.at_level(logging.WARNING, "openai_middleware"):
        reply = app.send("GET" if path == "/v1/models" else "POST", path, dump(CHAT) if path != "/v1/models" else b"")
    assert reply.body == b"<p>Hi</p>"
    [line] = [record.getMessage() for record in caplog.records if record.name == "openai_middleware"]
    assert "leaves as it is" in line


def test_answers_of_operations_without_a_document_are_not_remarked(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # T7
    audio = Answer(b"RIFF", headers=[("Content-Type", "audio/wav")])
    app = stack.app(Backend(audio), endpoints=["audio"], rewrites={"audio.speech.create": "/say"})
    assert app.send("POST", "/v1/audio/speech", b'{"model": "m", "input": "i", "voice": "v"}').body == b"RIFF"
    app = stack.app(Backend({"id": "r"}), rewrites={"responses.delete": "DELETE /r/{response_id}"})
    assert app.send("DELETE", "/v1/responses/r").json == {"id": "r"}
    assert [record for record in caplog.records if record.name == "openai_middleware"] == []
