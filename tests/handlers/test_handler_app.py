"""Plain functions as the wrapped app: where they run, what leaves and when, and what becomes of their failures."""

import asyncio
import contextvars
import inspect
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from openai_middleware import (
    APIHandlerConfig,
    HandlerApp,
    OpenAIMiddleware,
    OpenAIWSGIMiddleware,
    Response,
    WSGIHandlerApp,
)
from openai_middleware.errors import InternalServerError, NotFoundError, RateLimitError
from openai_middleware.request.call import CALL_KEY, Arguments, OpenAICall
from tests.support import drivers, wsgi_driver
from tests.support.drivers import Sent
from tests.support.handlers import Client, by_asgi, by_wsgi
from tests.support.samples import CHAT, CHUNK, COMPLETION
from tests.support.server_sent_events import Event, parse
from tests.support.servers import uvicorn_server
from tests.support.wsgi_driver import Server, environ

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")
Serve = Callable[..., Sent]


@pytest.fixture(params=[by_asgi, by_wsgi], ids=["asgi", "wsgi"])
def serve(request: pytest.FixtureRequest) -> Serve:
    return request.param


def chat(serve: Serve, handler: Any, body: Any = CHAT, **options: Any) -> Sent:
    if isinstance(body, dict) and (inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler)):
        body = {**body, "stream": True}
    return serve(handler, "POST", "/v1/chat/completions", body, **options)


def a_call() -> OpenAICall:
    """A call of an endpoint without anything."""
    empty: dict[str, Any] = {}
    return OpenAICall(
        operation=None,
        method="POST",
        path="/run",
        path_params=empty,
        query_params=empty,
        arguments=Arguments((None, empty, empty)),
    )


def own(handler: Any) -> Any:
    """The ASGI app with one endpoint, whose answers are not mapped."""
    return drivers.endpoint(HandlerApp(handler))


# --- where a function runs


async def where_it_runs(make: Callable[[list[threading.Thread]], Any]) -> list[bool]:
    """Whether each note was made in the thread of the loop."""
    threads: list[threading.Thread] = []
    await Client().asks(own(make(threads)))
    assert threads
    return [thread is threading.current_thread() for thread in threads]


def sync_function(threads: list[threading.Thread]) -> Any:
    return lambda body: threads.append(threading.current_thread())


def sync_generator(threads: list[threading.Thread]) -> Any:
    def handler(body: Any) -> Iterator[int]:
        for number in range(3):
            threads.append(threading.current_thread())
            yield number
        threads.append(threading.current_thread())

    return handler


def async_function(threads: list[threading.Thread]) -> Any:
    async def handler(body: Any) -> None:
        threads.append(threading.current_thread())

    return handler


def async_generator(threads: list[threading.Thread]) -> Any:
    async def handler(body: Any) -> AsyncIterator[int]:
        for number in range(3):
            threads.append(threading.current_thread())
            yield number

    return handler


def object_with_async_call(threads: list[threading.Thread]) -> Any:
    class Callee:
        async def __call__(self, body: Any) -> None:
            threads.append(threading.current_thread())

    return Callee()


@pytest.mark.parametrize("make", [sync_function, sync_generator])
async def test_sync_function_runs_in_a_thread(make: Any) -> None:
    assert not any(await where_it_runs(make))


@pytest.mark.parametrize("make", [async_function, async_generator, object_with_async_call])
async def test_async_function_runs_on_the_loop(make: Any) -> None:
    assert all(await where_it_runs(make))


@pytest.mark.parametrize("make", [sync_function, sync_generator, async_generator])
def test_under_wsgi_functions_and_generators_run_in_the_servers_thread(make: Any) -> None:
    threads: list[threading.Thread] = []

    wsgi_driver.request(wsgi_driver.endpoint(WSGIHandlerApp(make(threads))), "POST", "/run")

    assert set(threads) == {threading.current_thread()}


@pytest.mark.parametrize("make", [async_function, object_with_async_call])
def test_under_wsgi_a_coroutine_function_has_a_loop(make: Any) -> None:
    threads: list[threading.Thread] = []

    sent = wsgi_driver.request(wsgi_driver.endpoint(WSGIHandlerApp(make(threads))), "POST", "/run")

    assert (len(threads), sent.status) == (1, 200)


async def test_sync_functions_do_not_wait_for_each_other() -> None:
    all_are_here = threading.Barrier(4)

    def handler(body: Any) -> str:
        all_are_here.wait(60)
        return "here"

    app = own(handler)
    answers = await asyncio.gather(*(Client().asks(app) for _ in range(4)))

    assert [sent.body for sent in answers] == [b"here"] * 4


def noting(seen: list[str]) -> dict[str, Any]:
    def function(body: Any) -> None:
        seen.append(VARIABLE.get())

    async def coroutine(body: Any) -> None:
        seen.append(VARIABLE.get())

    def generator(body: Any) -> Iterator[None]:
        seen.append(VARIABLE.get())
        yield None

    async def async_generator(body: Any) -> AsyncIterator[None]:
        seen.append(VARIABLE.get())
        yield None

    return {function.__name__: function for function in (function, coroutine, generator, async_generator)}


@pytest.mark.parametrize("kind", noting([]))
async def test_context_of_the_server_is_visible_in_a_handler(kind: str) -> None:  # O9
    seen: list[str] = []
    VARIABLE.set("by the server")

    await Client().asks(own(noting(seen)[kind]))

    assert seen == ["by the server"]


@pytest.mark.parametrize("kind", noting([]))
def test_context_of_a_wsgi_server_is_visible_in_a_handler(kind: str) -> None:  # O9
    seen: list[str] = []

    def serve() -> None:
        VARIABLE.set("by the server")
        wsgi_driver.request(wsgi_driver.endpoint(WSGIHandlerApp(noting(seen)[kind])), "POST", "/run")

    contextvars.copy_context().run(serve)

    assert seen == ["by the server"]


# --- answers


@pytest.mark.parametrize("is_async", [True, False])
def test_answer_of_a_function_is_mapped_as_any_apps(is_async: bool, serve: Serve) -> None:  # O2
    def function(body: Any, model: str) -> Any:
        return {**COMPLETION, "model": model, "junk": body}

    async def coroutine(body: Any, model: str) -> Any:
        return {**COMPLETION, "model": model, "junk": body}

    sent = chat(serve, coroutine if is_async else function)

    assert (sent.status, sent.json) == (200, COMPLETION)
    assert sent.header("content-length") == str(len(sent.body))


def test_answer_without_a_mandatory_field_is_422(serve: Serve) -> None:  # O3
    sent = chat(serve, lambda body: {"id": "c"})

    assert (sent.status, sent.error["code"]) == (422, "invalid_response")


def sync_chunks(body: Any) -> Iterator[Any]:
    yield {**CHUNK, "junk": 1}
    yield {**CHUNK, "id": "d"}


async def async_chunks(body: Any) -> AsyncIterator[Any]:
    for chunk in sync_chunks(body):
        yield chunk


def list_iterator(body: Any) -> Any:
    return iter(list(sync_chunks(body)))


async def coroutine_with_a_generator(body: Any) -> Any:
    return async_chunks(body)


def function_with_an_async_generator(body: Any) -> Any:
    return async_chunks(body)


@pytest.mark.parametrize(
    "handler",
    [sync_chunks, async_chunks, list_iterator, coroutine_with_a_generator, function_with_an_async_generator],
)
def test_generator_becomes_an_event_stream(handler: Any, serve: Serve) -> None:  # S3 S6
    sent = chat(serve, handler, {**CHAT, "stream": True})

    first, second, done = parse(sent.body)
    assert (json.loads(first.data), json.loads(second.data)) == (CHUNK, {**CHUNK, "id": "d"})
    assert done == Event("[DONE]")
    assert (sent.status, sent.is_complete) == (200, True)
    headers = ("content-type", "cache-control", "x-accel-buffering", "content-length")
    assert [sent.header(name) for name in headers] == ["text/event-stream", "no-cache", "no", None]


@pytest.mark.parametrize("is_async", [True, False])
async def test_event_leaves_before_the_next_one_is_made(is_async: bool) -> None:  # S1
    client = Client()
    seen = []

    def handler(body: Any) -> Iterator[int]:
        for number in range(3):
            yield number
            seen.append(client.sent.body)

    async def async_handler(body: Any) -> AsyncIterator[int]:
        for number in handler(body):
            yield number

    await client.asks(own(async_handler if is_async else handler))

    events = b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"
    assert seen == [b"".join(events[:count]) for count in (1, 2, 3)]


@pytest.mark.parametrize("is_async", [True, False])
def test_under_wsgi_an_event_leaves_before_the_next_one_is_made(is_async: bool) -> None:  # S1 W2
    produced = []

    def handler(body: Any) -> Iterator[int]:
        for number in range(3):
            produced.append(number)
            yield number

    async def async_handler(body: Any) -> AsyncIterator[int]:
        for number in handler(body):
            yield number

    server = Server()
    app = wsgi_driver.endpoint(WSGIHandlerApp(async_handler if is_async else handler))
    server.call(app, environ("POST", "/run", b"{}"))

    assert produced == [0]
    for number in range(3):
        assert server.step() == b"data: %d\n\n" % number
        assert produced == list(range(number + 1))
    assert server.step() is None


# --- the client goes away


class Closing:
    """Handlers that make one event, wait for ever, and note how they end."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.is_waiting = threading.Event()
        self.goes_on = threading.Event()

    async def waiting(self, body: Any) -> AsyncIterator[str]:
        try:
            yield "first"
            await asyncio.Event().wait()
            yield "never"
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0)
            self.log.append("closed")

    async def endless(self, body: Any) -> AsyncIterator[str]:
        try:
            while True:
                await asyncio.sleep(0)
                yield "event"
        finally:
            await asyncio.sleep(0)
            self.log.append("closed")

    def sync_endless(self, body: Any) -> Iterator[str]:
        try:
            while True:
                yield "event"
        finally:
            self.log.append("closed")

    def sync_waiting(self, body: Any) -> Iterator[str]:
        try:
            yield "first"
            self.is_waiting.set()
            self.goes_on.wait()
            self.log.append("step done")
            yield "never"
        finally:
            self.log.append("closed")


async def test_async_generator_that_waits_is_cancelled_when_the_client_goes() -> None:  # S8
    closing, client = Closing(), Client()

    asking = asyncio.ensure_future(client.asks(own(closing.waiting)))
    assert await client.bodies.get() == b"data: first\n\n"
    client.goes.set()
    await asking

    assert closing.log == ["cancelled", "closed"]
    assert client.sent.body == b"data: first\n\n"
    assert not client.sent.is_complete


async def test_async_generator_is_closed_when_the_client_goes_while_an_event_leaves() -> None:  # S8
    closing, client = Closing(), Client()

    asking = asyncio.ensure_future(client.asks(own(closing.endless)))
    await client.bodies.get()
    client.may_send.clear()
    client.goes.set()
    await asking

    assert closing.log == ["closed"]


async def test_sync_generator_is_closed_when_the_client_goes_while_an_event_leaves() -> None:  # S8
    closing, client = Closing(), Client()

    asking = asyncio.ensure_future(client.asks(own(closing.sync_endless)))
    await client.bodies.get()
    client.may_send.clear()
    client.goes.set()
    await asking

    assert closing.log == ["closed"]


async def test_sync_generator_that_waits_is_closed_as_soon_as_its_thread_is_free() -> None:  # S8
    closing, client = Closing(), Client()

    asking = asyncio.ensure_future(client.asks(own(closing.sync_waiting)))
    await asyncio.to_thread(closing.is_waiting.wait)
    client.goes.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert closing.log == []
    closing.goes_on.set()
    await asking

    assert closing.log == ["step done", "closed"]
    assert client.sent.body == b"data: first\n\n"


@pytest.mark.parametrize("kind", ["waiting", "endless", "sync_endless"])
async def test_stream_is_closed_when_the_server_cancels_the_app(kind: str) -> None:  # S8
    closing, client = Closing(), Client()

    asking = asyncio.ensure_future(client.asks(own(getattr(closing, kind))))
    await client.bodies.get()
    client.may_send.clear()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert closing.log[-1:] == ["closed"]


class Upstream:
    """A stream as the OpenAI SDK gives it: no generator, but to be closed."""

    def __init__(self) -> None:
        self.closes = 0

    def __iter__(self) -> "Upstream":
        return self

    def __next__(self) -> str:
        return "event"

    def close(self) -> None:
        self.closes += 1


class AsyncUpstream:
    """The same, async."""

    def __init__(self) -> None:
        self.closes = 0

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            await asyncio.sleep(0)
            yield "event"

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closes += 1


@pytest.mark.parametrize("kind", [Upstream, AsyncUpstream])
async def test_stream_of_another_server_is_closed_when_the_client_goes(kind: Callable[[], Any]) -> None:  # S8
    upstream, client = kind(), Client()

    asking = asyncio.ensure_future(client.asks(own(lambda body: upstream)))
    await client.bodies.get()
    client.goes.set()
    await asking

    assert upstream.closes == 1


@pytest.mark.parametrize("kind", [Upstream, AsyncUpstream])
def test_under_wsgi_a_stream_of_another_server_is_closed_with_its_iterable(kind: Callable[[], Any]) -> None:  # S8 W2
    upstream, server = kind(), Server()

    server.call(wsgi_driver.endpoint(WSGIHandlerApp(lambda body: upstream)), environ("POST", "/run", b"{}"))
    server.step()
    server.close()

    assert upstream.closes == 1


@pytest.mark.parametrize("kind", [Upstream, AsyncUpstream])
async def test_stream_is_closed_when_its_start_cannot_be_sent(kind: Callable[[], Any]) -> None:  # S8
    upstream, client = kind(), Client()
    client.fails = ConnectionResetError()
    answer = Response(upstream, content_type="text/plain")

    with pytest.raises(ConnectionResetError):
        await client.asks(own(lambda body: answer))

    assert upstream.closes == 1


@pytest.mark.parametrize("kind", [Upstream, AsyncUpstream])
async def test_stream_is_closed_when_a_header_of_its_start_has_no_latin_1_form(
    kind: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:  # S8
    upstream, client = kind(), Client()
    answer = Response(upstream, headers={"x-name": "\u0142"})

    await client.asks(own(lambda body: answer))

    assert (client.sent.status, upstream.closes) == (500, 1)


@pytest.mark.parametrize("kind", [Upstream, AsyncUpstream])
def test_under_wsgi_a_stream_is_closed_when_its_start_fails(kind: Callable[[], Any]) -> None:  # S8 W2
    upstream = kind()

    def start_response(*_: Any) -> Any:
        raise ConnectionResetError

    app = WSGIHandlerApp(lambda body: upstream)
    with pytest.raises(InternalServerError):
        app({CALL_KEY: a_call()}, start_response)

    assert upstream.closes == 1


@pytest.mark.parametrize("kind", [Upstream, AsyncUpstream])
def test_under_wsgi_a_stream_of_which_nothing_was_taken_is_closed(kind: Callable[[], Any]) -> None:  # S8 W2
    upstream = kind()

    returned: Any = WSGIHandlerApp(lambda body: upstream)({CALL_KEY: a_call()}, Server().start_response)
    returned.close()

    assert upstream.closes == 1


def test_under_wsgi_a_coroutine_and_its_stream_run_on_one_loop() -> None:
    places = set()

    async def stream() -> AsyncIterator[int]:
        for number in range(3):
            places.add((asyncio.get_running_loop(), asyncio.current_task()))
            yield number

    async def handler(body: Any) -> AsyncIterator[int]:
        places.add((asyncio.get_running_loop(), asyncio.current_task()))
        return stream()

    sent = wsgi_driver.request(wsgi_driver.endpoint(WSGIHandlerApp(handler)), "POST", "/run")

    assert [event.data for event in parse(sent.body)] == ["0", "1", "2"]
    assert len(places) == 1


@pytest.mark.parametrize("kind", ["endless", "sync_endless"])
async def test_server_that_fails_to_send_is_no_bug_of_the_handler(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:  # S4 S8
    closing, client = Closing(), Client()

    asking = asyncio.ensure_future(client.asks(own(getattr(closing, kind))))
    await client.bodies.get()
    client.fails = ConnectionResetError()
    with pytest.raises(ConnectionResetError):
        await asking

    assert closing.log == ["closed"]
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["waiting", "endless", "sync_endless", "sync_waiting"])
@pytest.mark.parametrize("steps", [1])
def test_under_wsgi_a_stream_is_closed_with_its_iterable(steps: int, kind: str) -> None:  # S8 W2
    closing, server = Closing(), Server()

    server.call(wsgi_driver.endpoint(WSGIHandlerApp(getattr(closing, kind))), environ("POST", "/run", b"{}"))
    for _ in range(steps):
        server.step()
    server.close()

    assert closing.log == ["closed"]


async def test_client_that_stays_is_watched_no_longer_than_its_answer_takes() -> None:  # S8
    client = Client()

    await client.asks(own(async_chunks))

    assert client.sent.is_complete
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- failures


def failing(error: BaseException, *before: Any) -> dict[str, Any]:
    """Handlers of all kinds that raise, those that stream after some items."""

    def function(body: Any) -> None:
        raise error

    async def coroutine(body: Any) -> None:
        raise error

    def generator(body: Any) -> Iterator[Any]:
        yield from before
        raise error

    async def async_generator(body: Any) -> AsyncIterator[Any]:
        for item in before:
            yield item
        raise error

    return {function.__name__: function for function in (function, coroutine, generator, async_generator)}


KINDS = list(failing(ValueError()))
STREAMS = KINDS[2:]


@pytest.mark.parametrize("kind", KINDS)
def test_bug_in_a_handler_is_an_error_that_is_not_tried_again(
    kind: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:  # E1 E3
    sent = chat(serve, failing(ZeroDivisionError("secret"))[kind])

    assert (sent.status, sent.header("x-should-retry")) == (500, "false")
    assert sent.error == {
        "message": "The server had an error while processing your request.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    [record] = caplog.records
    assert record.getMessage() == f"chat.completions.create: the handler failed (request {sent.request_id})."
    assert record.exc_info is not None
    assert "secret" in str(record.exc_info[1])


@pytest.mark.parametrize("kind", KINDS)
def test_openai_error_of_a_handler_is_its_envelope(
    kind: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:  # E4
    error = RateLimitError("Slow down.", param="model", code="too_fast", headers={"Retry-After": "7"})

    sent = chat(serve, failing(error)[kind])

    assert (sent.status, sent.header("retry-after"), sent.header("x-should-retry")) == (429, "7", None)
    assert (sent.error["message"], sent.error["param"], sent.error["code"]) == ("Slow down.", "model", "too_fast")
    assert caplog.records == []


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize(
    ("target", "body", "first", "kind_of_event"),
    [
        ("/v1/chat/completions", CHAT, CHUNK, ""),
        ("/v1/responses", {"input": "x"}, {"type": "response.queued"}, "error"),
    ],
)
def test_bug_within_a_stream_is_an_error_frame_and_reaches_the_server(
    target: str, body: Any, first: Any, kind_of_event: str, kind: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:  # S4
    error = ZeroDivisionError("secret")
    raised: list[Exception] = []

    sent = serve(failing(error, first)[kind], "POST", target, {**body, "stream": True}, raised)

    [caught] = raised if serve is by_asgi else [caplog.records[-1].exc_info[1]]  # type: ignore[index]
    assert isinstance(caught, InternalServerError)
    assert caught.__cause__ is error
    _, frame = parse(sent.body)
    assert frame.type == kind_of_event
    assert json.loads(frame.data)["error"] == caught.detail
    assert b"secret" not in sent.body
    assert sent.is_complete
    assert "secret" in caplog.text


@pytest.mark.parametrize("kind", STREAMS)
def test_openai_error_within_a_stream_is_an_error_frame(
    kind: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:  # S4
    error = NotFoundError("Gone.", param="model", code="gone")
    raised: list[Exception] = []

    sent = chat(serve, failing(error, CHUNK)[kind], raised=raised)

    assert raised == ([error] if serve is by_asgi else [])
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == ([] if raised else [error])
    assert json.loads(parse(sent.body)[1].data) == {"error": error.detail}
    assert sent.is_complete


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_what_ends_a_program_ends_it(error: BaseException, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(type(error)):
        chat(by_wsgi, failing(error)[kind])

    assert caplog.records == []


def test_bug_on_an_endpoint_of_ones_own_is_logged_with_its_path(caplog: pytest.LogCaptureFixture) -> None:
    app = wsgi_driver.endpoint(WSGIHandlerApp(failing(ValueError())["function"]))

    sent = wsgi_driver.request(app, "POST", "/run")

    assert sent.status == 500
    assert caplog.messages == [f"POST /run: the handler failed (request {sent.request_id})."]


# --- what is not for the handler


@pytest.mark.parametrize("is_wrapped", [True, False])
@pytest.mark.parametrize("is_asgi", [True, False])
async def test_request_that_is_no_call_is_404(is_asgi: bool, is_wrapped: bool) -> None:  # E1
    def handler(**kwargs: Any) -> None:
        raise AssertionError

    app: Any
    if is_asgi:
        app = HandlerApp(handler)
        app = OpenAIMiddleware(app, prefix="/v1") if is_wrapped else app
        sent = await drivers.request(app, "GET", "/v1/nothing?a=1")
    else:
        app = WSGIHandlerApp(handler)
        app = OpenAIWSGIMiddleware(app, prefix="/v1") if is_wrapped else app
        sent = wsgi_driver.request(app, "GET", "/v1/nothing?a=1")

    assert sent.status == 404
    assert (sent.error["message"], sent.error["code"]) == ("Unknown request URL: GET /v1/nothing.", "unknown_url")


async def test_websocket_is_closed() -> None:  # M12
    sent = Sent()

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.messages.append(message)

    app = OpenAIMiddleware(HandlerApp(lambda: None), prefix="/v1")
    await app({"type": "websocket", "path": "/v1/responses"}, receive, send)

    assert sent.messages == [{"type": "websocket.close", "code": 1000}]


async def test_lifespan_is_followed_to_its_end() -> None:  # M12
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = Sent()

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.messages.append(message)

    await OpenAIMiddleware(HandlerApp(lambda: None), prefix="/v1")({"type": "lifespan"}, receive, send)

    assert [message["type"] for message in sent.messages] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_server_that_insists_on_lifespan_can_serve_a_handler() -> None:  # M12
    app = OpenAIMiddleware(HandlerApp(lambda body, response_id: {"was": response_id}), prefix="/v1")

    with uvicorn_server(app, lifespan="on") as url:
        answer = httpx.delete(f"{url}/v1/responses/r%2F1")

    assert (answer.status_code, answer.json()) == (200, {"was": "r/1"})


# --- many at once


def ids(sent: Sent) -> list[Any]:
    if sent.header("content-type") == "application/json":
        return [sent.json["id"]] * 2
    return [json.loads(event.data)["id"] for event in parse(sent.body)[:-1]]


def test_eight_threads_and_a_thousand_interleaved_requests_do_not_touch_each_other() -> None:
    all_are_here = threading.Barrier(8)

    def stream(model: int) -> Iterator[Any]:
        for _ in range(2):
            all_are_here.wait(60)
            yield {**CHUNK, "id": model, "junk": 1}

    def handler(body: Any, model: int) -> Any:
        all_are_here.wait(60)
        if model % 2:
            return stream(model)
        all_are_here.wait(60)
        all_are_here.wait(60)
        return {**COMPLETION, "id": model, "junk": 1}

    app = OpenAIWSGIMiddleware(WSGIHandlerApp(handler), prefix="/v1")

    def ask(number: int) -> Sent:
        return wsgi_driver.request(app, "POST", "/v1/chat/completions", {"model": number, "messages": []})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(1000)))

    assert [ids(sent) for sent in answers] == [[number] * 2 for number in range(1000)]


def test_eight_loops_and_a_thousand_interleaved_requests_do_not_touch_each_other() -> None:
    all_are_here: contextvars.ContextVar[asyncio.Barrier] = contextvars.ContextVar("all_are_here")

    async def stream(model: int) -> AsyncIterator[Any]:
        for _ in range(2):
            await all_are_here.get().wait()
            yield {**CHUNK, "id": model, "junk": 1}

    async def handler(body: Any, model: int) -> Any:
        await all_are_here.get().wait()
        if model % 2:
            return stream(model)
        await all_are_here.get().wait()
        await all_are_here.get().wait()
        return {**COMPLETION, "id": model, "junk": 1}

    app = OpenAIMiddleware(HandlerApp(handler), prefix="/v1")

    async def ask(numbers: range) -> list[Sent]:
        all_are_here.set(asyncio.Barrier(len(numbers)))
        clients = [Client("POST", "/v1/chat/completions", {"model": number, "messages": []}) for number in numbers]
        return await asyncio.gather(*(client.asks(app) for client in clients))

    parts = [range(first, first + 125) for first in range(0, 1000, 125)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda numbers: asyncio.run(ask(numbers)), parts))

    assert [[ids(sent) for sent in of_a_loop] for of_a_loop in answers] == [[[n] * 2 for n in part] for part in parts]


def test_log_line_of_a_bug_cannot_be_forged(caplog: pytest.LogCaptureFixture) -> None:
    config = APIHandlerConfig()
    config.add_endpoint_handler("/run/{name}", "GET")
    app = OpenAIWSGIMiddleware(WSGIHandlerApp(failing(ValueError())["function"]), config=config)

    sent = wsgi_driver.request(app, "GET", "/run/a%0Aforged%1b[2J")

    assert sent.status == 500
    assert caplog.messages == [f"GET /run/a\\nforged\\x1b[2J: the handler failed (request {sent.request_id})."]


async def test_slow_sync_handlers_do_not_stop_the_work_of_others() -> None:
    """More of them than the loop's default executor has threads."""
    are_released = threading.Event()
    waiting = threading.Semaphore(0)

    def slow(body: Any) -> str:
        waiting.release()
        are_released.wait()
        return "done"

    app = own(slow)
    requests = [asyncio.ensure_future(drivers.request(app, "POST", "/run")) for _ in range(40)]
    for _ in requests:
        await asyncio.to_thread(waiting.acquire)
    are_released.set()

    assert {(await sent).status for sent in requests} == {200}


async def test_sync_functions_run_in_as_many_threads_as_an_app_is_given() -> None:
    running: list[int] = []
    most: list[int] = []

    def count(body: Any) -> str:
        running.append(1)
        most.append(len(running))
        running.pop()
        return "done"

    app = drivers.endpoint(HandlerApp(count, threads=1))
    await asyncio.gather(*(drivers.request(app, "POST", "/run") for _ in range(20)))

    assert max(most) == 1
