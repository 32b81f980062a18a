"""Event streams through the ASGI middleware, seen from the server: when messages leave, and how streams end."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from openai_middleware import APIHandlerConfig, EndpointConfig, OpenAIMiddleware
from openai_middleware.adapters.fastapi import set_openai_frontend
from openai_middleware.errors import NotFoundError, RateLimitError
from tests.support.drivers import (
    Header,
    Message,
    Script,
    Sent,
    http_scope,
    part,
    read_body,
    request,
    request_messages,
    start,
)
from tests.support.samples import NULLABLE_OF_RESPONSE, RESPONSE
from tests.support.server_sent_events import Event, parse

EVENT_STREAM: list[Header] = [(b"content-type", b"text/event-stream")]
WRONG = b'data: {"id":"c","secret":1}\n\n'
RIGHT = b'data: {"id":"c"}\n\n'
DONE = b"data: [DONE]\n\n"
TOLD = NotFoundError("There is no such model.", param="model", code="model_not_found")
CHAT = {"model": "m", "messages": [], "stream": True}
RESPONSES = {"model": "m", "input": "i", "stream": True}


def stream(*chunks: bytes, headers: Iterable[Header] = EVENT_STREAM, is_complete: bool = True) -> list[Message]:
    """The messages of an app that streams, as frameworks send them: the last one is empty."""
    parts = [part(chunk, more_body=True) for chunk in chunks]
    return [start(headers=headers), *parts, *([part(b"")] if is_complete else [])]


def failing_after(error: BaseException, *chunks: bytes, headers: Iterable[Header] = EVENT_STREAM) -> Script:
    return Script(stream(*chunks, headers=headers, is_complete=False), raises=error)


async def chat(app: Any, **options: Any) -> Sent:
    return await request(OpenAIMiddleware(app), "POST", "/chat/completions", CHAT, **options)


async def failed_chat(app: Any, error: BaseException, body: Any = CHAT, path: str = "/chat/completions") -> Sent:
    """What was sent until the middleware raised just this error."""
    sent = Sent()
    with pytest.raises(type(error)) as raised:
        await request(OpenAIMiddleware(app), "POST", path, body, sent=sent)
    assert raised.value is error
    return sent


async def serve_chat(app: Any, send: Callable[[Message], Awaitable[None]]) -> None:
    """Serve a chat request with a server's `send` of one's own."""
    pending = request_messages(json.dumps(CHAT).encode())

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    await OpenAIMiddleware(app)(http_scope("POST", "/chat/completions"), receive, send)


class BreakingServer(Sent):
    """A server that loses its client while it sends the third message."""

    failure = OSError("the client is gone")

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        if len(self.messages) == 3:
            raise self.failure


def bodies(sent: Sent) -> list[bytes]:
    return [message["body"] for message in sent.messages if message["type"] == "http.response.body"]


# --- when messages leave


async def test_the_first_event_is_out_before_the_second_is_produced() -> None:  # S1
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(headers=EVENT_STREAM))
        for number in range(3):
            log.append(f"produced {number}")
            await send(part(b'data: {"id":"%d","secret":1}\n\n' % number, more_body=True))
        await send(part(b""))

    async def server_send(message: Message) -> None:
        log.append(f"sent {message.get('body', 'start')!r}")

    await serve_chat(app, server_send)

    assert log == [
        *["produced 0", "sent 'start'", 'sent b\'data: {"id":"0"}\\n\\n\''],
        *["produced 1", 'sent b\'data: {"id":"1"}\\n\\n\''],
        *["produced 2", 'sent b\'data: {"id":"2"}\\n\\n\''],
        "sent b'data: [DONE]\\n\\n'",
    ]


async def test_a_comment_is_reason_enough_to_begin() -> None:  # S1 S2
    sent = await chat(Script(stream(b": one moment\n\n", is_complete=False)))

    assert [message["type"] for message in sent.messages] == ["http.response.start", "http.response.body"]


async def test_parts_of_an_event_leave_together_and_events_apart() -> None:  # S1
    sent = await chat(Script(stream(b"data: {", b'"id":', b'"c"}\n', b"\n", WRONG + WRONG, b"da", b"ta: 1\n\n")))

    assert bodies(sent) == [RIGHT, RIGHT + RIGHT, b"data: 1\n\n", DONE]
    assert sent.is_complete


async def test_an_event_that_needs_no_change_leaves_as_the_very_message_of_the_app() -> None:  # S1
    messages = [start(headers=EVENT_STREAM), part(RIGHT, more_body=True), part(DONE)]
    messages[1]["extra"] = "kept"

    sent = await chat(Script(messages))

    assert sent.messages[1] is messages[1]
    assert sent.messages[2] is messages[2]


async def test_the_last_message_may_hold_the_last_event() -> None:  # S1 S3
    sent = await chat(Script([start(headers=EVENT_STREAM), part(WRONG + b'data: {"id":"c"}')]))

    assert bodies(sent) == [RIGHT, RIGHT + DONE]
    assert sent.is_complete


async def test_a_stream_without_events_is_still_a_whole_answer() -> None:  # S3
    sent = await request(OpenAIMiddleware(Script(stream())), "POST", "/responses", RESPONSES)

    assert sent.status == 200
    assert sent.body == b""
    assert sent.is_complete


@pytest.mark.parametrize("chunks", [[], [RIGHT], [RIGHT, b"data: {"]])
async def test_an_unfinished_stream_is_never_completed(chunks: list[bytes]) -> None:  # O8
    sent = await chat(Script(stream(*chunks, is_complete=False)))

    assert sent.body == RIGHT * bool(chunks)
    assert not sent.is_complete


@pytest.mark.parametrize("view", [bytes, bytearray, memoryview])
async def test_an_app_may_send_any_kind_of_bytes(view: Callable[[bytes], Any]) -> None:
    sent = await chat(Script([start(headers=EVENT_STREAM), part(view(WRONG), more_body=True), part(view(RIGHT))]))

    assert b"".join(bytes(body) for body in bodies(sent)) == RIGHT + RIGHT + DONE


# --- backpressure


async def test_the_app_goes_on_when_the_server_has_taken_an_event_and_not_before() -> None:  # S1 S8
    log: list[str] = []
    tasks = asyncio.all_tasks()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(headers=EVENT_STREAM))
        for _ in range(3):
            await send(part(WRONG, more_body=True))
            log.append("app goes on")
        await send(part(b""))

    async def server_send(message: Message) -> None:
        log.append("server takes")
        assert asyncio.all_tasks() == tasks
        # A chance for whatever could run in the meantime.
        for _ in range(10):
            await asyncio.sleep(0)
        log.append("server took")

    await serve_chat(app, server_send)

    taken = ["server takes", "server took"]
    assert log == [*taken, *[*taken, "app goes on"] * 3, *taken]


# --- headers


async def test_proxies_and_caches_are_told_not_to_hold_events_back() -> None:  # S6
    sent = await chat(Script(stream(RIGHT)))

    assert sent.headers == [*EVENT_STREAM, (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


async def test_headers_of_the_app_against_buffering_are_kept() -> None:  # S6
    own = [(b"Cache-Control", b"no-store"), (b"X-Accel-Buffering", b"yes"), (b"X-Own", b"1"), *EVENT_STREAM]

    sent = await chat(Script(stream(RIGHT, headers=own)))

    assert sent.headers == own


async def test_what_described_the_apps_own_bytes_is_dropped() -> None:  # S6 O2
    length = [(b"Content-Length", b"30"), (b"ETag", b'"x"'), (b"Content-MD5", b"x"), (b"Digest", b"x")]

    sent = await chat(Script(stream(WRONG, headers=[*EVENT_STREAM, *length])))

    assert {name for name, _ in sent.headers} == {b"content-type", b"cache-control", b"x-accel-buffering"}


async def test_unknown_keys_of_the_start_stay() -> None:  # O10
    sent = await chat(Script([start(headers=EVENT_STREAM, trailers=True, own=1), part(RIGHT)]))

    assert (sent.starts[0]["trailers"], sent.starts[0]["own"]) == (True, 1)


@pytest.mark.parametrize(
    "content_type", [b"text/event-stream", b"text/event-stream; charset=utf-8", b"Text/Event-Stream ;charset=utf-8"]
)
@pytest.mark.parametrize("accept", [b"application/json", b"text/event-stream", b"*/*", None])
async def test_the_content_type_of_the_answer_alone_decides(content_type: bytes, accept: bytes | None) -> None:  # S7
    headers = [(b"accept", accept)] if accept else []

    sent = await chat(Script(stream(WRONG, headers=[(b"CONTENT-Type", content_type)])), headers=headers)

    assert sent.body == RIGHT + DONE
    assert sent.headers[0] == (b"CONTENT-Type", content_type)


async def test_a_json_answer_to_a_request_for_a_stream_is_mapped_as_json() -> None:  # S7
    app = OpenAIMiddleware(Script([start(), part(json.dumps({**RESPONSE, "secret": 1}).encode())]))

    sent = await request(app, "GET", "/responses/r?stream=true", headers=[(b"accept", b"text/event-stream")])

    assert sent.json.keys() == {*RESPONSE, *NULLABLE_OF_RESPONSE}


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
async def test_streams_that_are_not_successful_pass(status: int) -> None:  # O1
    messages = [start(status, EVENT_STREAM), part(WRONG, more_body=True), part(b"data: half")]

    assert (await chat(Script(messages))).is_very_same(messages)


async def test_streams_that_are_already_encoded_pass() -> None:  # O1
    messages = stream(b"\x1f\x8b...", headers=[*EVENT_STREAM, (b"content-encoding", b"gzip")])

    assert (await chat(Script(messages))).is_very_same(messages)


async def test_streams_that_no_endpoint_matches_pass() -> None:  # M11
    messages = stream(WRONG, b"data: half")

    sent = await request(OpenAIMiddleware(Script(messages)), "POST", "/other", CHAT)

    assert sent.messages == messages
    assert all(one is other for one, other in zip(sent.messages, messages, strict=True))


# --- ASGI extensions


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.pathsend", "path": "/srv/events"},
        {"type": "http.response.zerocopysend", "file": 7, "offset": 0, "count": 5, "more_body": False},
    ],
    ids=lambda message: message["type"],
)
async def test_files_that_the_server_sends_itself_leave_unmapped_after_their_start(message: Message) -> None:  # O10
    sent = await chat(Script([start(headers=EVENT_STREAM), message]))

    assert [one["type"] for one in sent.messages] == ["http.response.start", message["type"]]
    assert sent.messages[1] is message


async def test_other_messages_are_not_held_back() -> None:  # O10
    hint = {"type": "http.response.early_hint", "links": []}
    push = {"type": "http.response.push", "path": "/x", "headers": []}
    trailers = {"type": "http.response.trailers", "headers": [], "more_trailers": False}

    sent = await chat(
        Script([hint, start(headers=EVENT_STREAM), push, part(RIGHT, more_body=True), part(DONE), trailers])
    )

    kinds = [message["type"].removeprefix("http.response.") for message in sent.messages]
    assert kinds == ["early_hint", "push", "start", "body", "body", "trailers"]


# --- failures


@pytest.mark.parametrize("chunks", [[], [b""], [b"data: {"], [b"id: 7\n\n"]], ids=repr)
async def test_an_error_before_the_first_event_has_left_is_a_real_status(chunks: list[bytes]) -> None:  # S4 E4
    sent = await chat(failing_after(TOLD, *chunks))

    assert sent.status == 404
    assert sent.error == {
        "message": "There is no such model.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    assert sent.is_complete
    assert sent.header("cache-control") is None


async def test_an_error_alone_in_a_group_is_what_it_is_by_itself() -> None:  # S4 E4
    group = ExceptionGroup("unhandled errors in a TaskGroup", [ExceptionGroup("again", [TOLD])])

    sent = await chat(failing_after(group))

    assert (sent.status, sent.error["code"]) == (404, "model_not_found")


async def test_an_error_before_the_start_is_a_real_status() -> None:  # S4 E4
    sent = await chat(Script([], raises=RateLimitError("Slow down.", headers={"Retry-After": "7"})))

    assert (sent.status, sent.header("retry-after")) == (429, "7")


async def test_a_foreign_exception_before_the_first_event_is_left_to_the_server() -> None:  # S4 E4
    error = RuntimeError("hunter2")

    assert (await failed_chat(failing_after(error, b"data: {"), error)).messages == []


async def test_a_chat_stream_that_breaks_ends_with_an_error_frame_and_the_server_gets_the_exception() -> None:  # S4
    error = RuntimeError("hunter2")

    sent = await failed_chat(failing_after(error, WRONG, b'data: {"id":'), error)

    [frame] = parse(sent.body.removeprefix(RIGHT))
    assert sent.status == 200
    assert json.loads(frame.data)["error"] == {
        "message": "The server failed while it was sending this answer.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    assert b"hunter2" not in sent.body
    assert sent.is_complete


@pytest.mark.parametrize("error", [TOLD, RuntimeError("hunter2")], ids=["told", "foreign"])
async def test_a_responses_stream_that_breaks_ends_with_an_error_event(error: Exception) -> None:  # S4
    created = b'data: {"type":"response.created","sequence_number":0}\n\n'

    sent = await failed_chat(failing_after(error, created), error, RESPONSES, "/responses")

    [frame] = parse(sent.body.removeprefix(created))
    document = json.loads(frame.data)
    assert frame.type == "error"
    assert (list(document), document["type"], document["sequence_number"]) == (
        ["type", "sequence_number", "error"],
        "error",
        1,
    )
    assert (document["error"]["message"] == "There is no such model.") is (error is TOLD)
    assert b"hunter2" not in sent.body
    assert sent.is_complete


async def test_an_openai_error_in_the_middle_tells_the_client_what_it_says_and_goes_on_to_the_server() -> None:  # S4
    sent = await failed_chat(failing_after(TOLD, RIGHT), TOLD)

    detail = (
        '{"message":"There is no such model.","type":"invalid_request_error","param":"model","code":"model_not_found"}'
    )
    assert parse(sent.body.removeprefix(RIGHT)) == [Event(f'{{"error":{detail}}}')]
    assert sent.is_complete


async def test_an_error_after_done_only_closes_the_stream() -> None:  # S4
    error = RuntimeError()

    sent = await failed_chat(failing_after(error, RIGHT, DONE), error)

    assert sent.body == RIGHT + DONE
    assert sent.is_complete


async def test_nothing_is_sent_for_an_error_after_the_end() -> None:  # S4
    error = RuntimeError()
    messages = stream(RIGHT, DONE)

    sent = await failed_chat(Script(messages, raises=error), error)

    assert len(sent.messages) == len(messages)
    assert sent.body == RIGHT + DONE


async def test_an_error_of_the_server_s_own_send_is_passed_on_without_a_frame() -> None:  # S4 S8
    server = BreakingServer()

    with pytest.raises(OSError, match="the client is gone") as raised:
        await serve_chat(Script(stream(RIGHT, RIGHT, RIGHT)), server.send)

    assert raised.value is server.failure
    assert len(server.messages) == 3


async def test_no_frame_is_sent_where_the_app_turns_an_error_of_send_into_its_own() -> None:  # S4 S8
    server = BreakingServer()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            for message in stream(RIGHT, RIGHT):
                await send(message)
        except OSError as error:
            raise RuntimeError("the app's own") from error

    with pytest.raises(RuntimeError, match="the app's own"):
        await serve_chat(app, server.send)

    assert len(server.messages) == 3


async def test_an_os_error_of_the_app_itself_gets_its_frame() -> None:  # S4
    error = OSError(5, "hunter2")

    sent = await failed_chat(failing_after(error, RIGHT), error)

    assert len(parse(sent.body)) == 2
    assert b"hunter2" not in sent.body
    assert sent.is_complete


async def test_the_exception_of_the_app_arrives_also_where_its_frame_cannot_be_sent() -> None:  # S4
    error = ValueError("the app's own")
    server = BreakingServer()

    with pytest.raises(ValueError, match="the app's own") as raised:
        await serve_chat(failing_after(error, RIGHT), server.send)

    assert raised.value is error
    assert len(server.messages) == 3


async def test_start_leaves_first_also_where_two_tasks_send_while_it_is_being_sent() -> None:  # S1
    messages: list[Message] = []
    events = [b'data: {"id":"%d"}\n\n' % number for number in range(6)]

    async def send(message: Message) -> None:
        await asyncio.sleep(0.001 if message["type"] == "http.response.start" else 0)
        messages.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def task(own: list[bytes]) -> None:
            for event in own:
                await send(part(event, more_body=True))

        await send(start(headers=EVENT_STREAM))
        await asyncio.gather(task(events[:3]), task(events[3:]))
        await send(part(b""))

    await serve_chat(app, send)

    first, *others = messages
    assert first["type"] == "http.response.start"
    assert {message["type"] for message in others} == {"http.response.body"}
    *sent, last = [message["body"] for message in others if message["body"]]
    assert (sorted(sent), last) == (events, DONE)
    assert [event for event in sent if event in events[:3]] == events[:3]


async def test_a_cancelled_app_sends_nothing_more() -> None:  # S8
    sent = await failed_chat(failing_after(error := asyncio.CancelledError(), RIGHT), error)

    assert sent.body == RIGHT
    assert not sent.is_complete


async def test_the_end_leaves_also_where_the_app_cancels_its_watch_for_the_client_meanwhile() -> None:  # S3 S8
    """A server that waits while it sends, and an app whose watch starts late and ends with its stream."""
    sent = Sent()
    has_end = asyncio.Event()

    async def send(message: Message) -> None:
        if message.get("body", b"").endswith(DONE):
            has_end.set()
            for _ in range(3):
                await asyncio.sleep(0)
        sent.messages.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        for message in stream(RIGHT):
            await send(message)
        watch = asyncio.ensure_future(receive())
        await has_end.wait()
        watch.cancel()
        await asyncio.wait({watch})
        assert watch.cancelled()

    await serve_chat(app, send)

    assert bodies(sent) == [RIGHT, DONE]
    assert sent.is_complete


async def test_the_exception_of_a_server_that_cannot_take_the_end_reaches_the_app() -> None:  # S4 S8
    seen: list[OSError] = []
    gone = OSError("the client is gone")

    async def send(message: Message) -> None:
        if not message.get("more_body", True):
            raise gone

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        for message in stream(RIGHT):
            await send(message)
        try:
            await receive()
        except OSError as error:
            seen.append(error)
            raise

    with pytest.raises(OSError, match="is gone"):
        await serve_chat(app, send)

    assert seen == [gone]


# --- the client goes away


async def test_after_the_body_receive_is_the_server_s_own() -> None:  # S8
    disconnect = {"type": "http.disconnect"}
    pending: list[Message] = [{"type": "http.request", "body": json.dumps(CHAT).encode()}, disconnect, disconnect]
    received: list[Message] = []
    left: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in stream(RIGHT, is_complete=False):
            await send(message)
        left.append(len(pending))
        received.extend([await receive(), await receive()])

    async def receive() -> Message:
        return pending.pop(0)

    async def send(message: Message) -> None: ...

    await OpenAIMiddleware(app)(http_scope("POST", "/chat/completions"), receive, send)

    assert left == [2], "nobody but the app asks for the disconnect"
    assert all(message is disconnect for message in received)


@pytest.mark.parametrize("has_begun", [False, True], ids=["before the first event", "in mid-stream"])
@pytest.mark.parametrize("is_wrapped", [False, True], ids=["bare", "wrapped"])
async def test_a_waiting_generator_is_cancelled_when_the_client_goes(has_begun: bool, is_wrapped: bool) -> None:  # S8
    waits, client_is_gone = asyncio.Event(), asyncio.Event()
    log: list[str] = []

    async def events() -> AsyncIterator[bytes]:
        try:
            if has_begun:
                yield RIGHT
            waits.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        finally:
            log.append("closed")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await StreamingResponse(events(), media_type="text/event-stream")(scope, receive, send)

    pending: list[Message] = [{"type": "http.request", "body": json.dumps(CHAT).encode()}]

    async def receive() -> Message:
        if not is_wrapped:
            pending.clear()
        if pending:
            return pending.pop()
        await client_is_gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None: ...

    scope = http_scope("POST", "/chat/completions", asgi={"version": "3.0", "spec_version": "2.3"})
    serving = asyncio.create_task((OpenAIMiddleware(app) if is_wrapped else app)(scope, receive, send))
    await waits.wait()
    client_is_gone.set()
    await serving

    assert log == ["cancelled", "closed"]


async def test_a_sending_generator_ends_when_the_server_says_that_the_client_is_gone() -> None:  # S8
    server = BreakingServer()
    log: list[str] = []

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield RIGHT
        finally:
            log.append("closed")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(headers=EVENT_STREAM))
        async with aclosing(events()) as generator:
            async for event in generator:
                await send(part(event, more_body=True))

    with pytest.raises(OSError, match="the client is gone"):
        await serve_chat(app, server.send)

    assert log == ["closed"]
    assert len(server.messages) == 3


# --- through a framework


def fastapi_app(events: Callable[[], Any]) -> FastAPI:
    app = FastAPI()
    set_openai_frontend(app)

    @app.post("/chat/completions")
    async def create() -> StreamingResponse:
        return StreamingResponse(events(), media_type="text/event-stream")

    return app


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_an_openai_error_raised_by_a_generator_before_its_first_event_is_a_real_status(
    spec_version: str,
) -> None:  # S4 E4
    async def events() -> AsyncIterator[bytes]:
        raise TOLD
        yield b""

    sent = await framework_chat(fastapi_app(events), spec_version)

    assert (sent.status, sent.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_an_openai_error_raised_by_a_generator_in_mid_stream_tells_the_client_what_it_says(
    spec_version: str,
) -> None:  # S4
    async def events() -> AsyncIterator[bytes]:
        yield WRONG
        raise TOLD

    sent = Sent()
    with pytest.raises((NotFoundError, RuntimeError)):
        await framework_chat(fastapi_app(events), spec_version, sent)

    [chunk, frame] = parse(sent.body)
    assert chunk == Event('{"id":"c"}')
    assert json.loads(frame.data)["error"]["message"] == "There is no such model."
    assert sent.is_complete


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_foreign_exception_of_a_generator_gets_the_frame_and_reaches_the_server(
    spec_version: str,
) -> None:  # S4
    async def events() -> AsyncIterator[bytes]:
        yield WRONG
        raise LookupError("hunter2")

    sent = Sent()
    with pytest.raises(LookupError, match="hunter2"):
        await framework_chat(fastapi_app(events), spec_version, sent)

    assert len(parse(sent.body)) == 2
    assert b"hunter2" not in sent.body
    assert sent.is_complete


async def framework_chat(app: Any, spec_version: str, sent: Sent | None = None) -> Sent:
    """As a server would: the client stays, so there is nothing to receive after the body."""
    sent = Sent() if sent is None else sent
    pending: list[Message] = [{"type": "http.request", "body": json.dumps(CHAT).encode()}]

    async def receive() -> Message:
        if pending:
            return pending.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.messages.append(message)

    scope = http_scope("POST", "/chat/completions", asgi={"version": "3.0", "spec_version": spec_version})
    await app(scope, receive, send)
    return sent


# --- endpoints of one's own


async def test_a_user_s_own_endpoint_maps_its_events() -> None:  # S2
    config = APIHandlerConfig()
    rules: Any = {"mappings": [{"source_path": "$.message.text", "destination_path": "text", "mandatory": False}]}
    config.add_endpoint_config(EndpointConfig("/talk", "GET", stream_body_mappings=rules))  # type: ignore[arg-type]
    app = Script(stream(b'data: {"message": {"text": "Hi"}, "x": 1}\n\n', b": ping\n\n"))

    sent = await request(OpenAIMiddleware(app, config=config.to_dict()), "GET", "/talk")

    assert sent.body == b'data: {"text":"Hi"}\n\n: ping\n\n'


@pytest.mark.parametrize("query", ["?stream=true", ""])
async def test_retrieving_a_response_streams_too(query: str) -> None:  # S2 S7
    app = Script(stream(b'data: {"type":"response.queued","secret":1}\n\n'))

    sent = await request(OpenAIMiddleware(app, prefix="/v1"), "GET", f"/v1/responses/resp_1{query}")

    assert sent.body == b'data: {"type":"response.queued","sequence_number":0}\n\n'


# --- a quarter of a gibibyte

MEASURED = """
import asyncio, json, resource
from openai_middleware import OpenAIMiddleware

PIECE = 64 * 1024
EVENT = b'data: {"id":"' + b"x" * 1024 * 1024 + b'","secret":1}\\n\\n'
taken = 0

def app_of(events):
    async def app(scope, receive, send):
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(events):
            for begin in range(0, len(EVENT), PIECE):
                await send({"type": "http.response.body", "body": EVENT[begin : begin + PIECE], "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    return app

async def receive():
    return {"type": "http.request", "body": b'{"model":"m","messages":[],"stream":true}'}

async def send(message):
    global taken
    taken += len(message.get("body", b""))

async def stream(events):
    scope = {"type": "http", "method": "POST", "path": "/chat/completions", "query_string": b"", "headers": []}
    await OpenAIMiddleware(app_of(events))(scope, receive, send)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = asyncio.run(stream(8))
taken = 0
after = asyncio.run(stream(256))
print(json.dumps({"taken": taken, "growth": (after - before) * 1024}))
"""


@pytest.mark.slow
def test_a_quarter_of_a_gibibyte_streams_through_without_piling_up() -> None:  # S1 S8
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)

    measured = json.loads(done.stdout)
    assert measured["taken"] > 1024**3 // 4
    assert measured["growth"] < 20 * 1000 * 1000
