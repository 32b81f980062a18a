"""Plain functions as the wrapped app."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from openai_middleware.drivers.asgi import Receive, Scope, Send, send_error
from openai_middleware.drivers.wsgi import Environ, StartResponse, status_line
from openai_middleware.drivers.wsgi import send_error as send_wsgi_error
from openai_middleware.errors import InternalServerError, NotFoundError, OpenAIError
from openai_middleware.handlers.handler import Dispatcher, HandlerFunction, as_handler
from openai_middleware.handlers.response import Response
from openai_middleware.iteration import aclose, aiterate, iterate
from openai_middleware.request.call import CALL_KEY, OpenAICall

logger = logging.getLogger("openai_middleware")


@contextmanager
def _reporting(call: OpenAICall) -> Iterator[None]:
    """A bug in a handler becomes an error that tells the client to stop trying, and the log everything."""
    try:
        yield
    except OpenAIError:
        raise
    except Exception as error:
        logger.exception("%s: the handler failed.", call.operation or f"{call.method} {call.path}")
        raise InternalServerError("The server had an error while processing your request.") from error


def _no_call(method: str, path: str) -> NotFoundError:
    return NotFoundError(f"Unknown request URL: {method} {path}.", code="unknown_url")


class HandlerApp:
    """An ASGI app made of a plain function; wrap it with `OpenAIMiddleware`.

    The handler is called as `handler(body, **kwargs)` with those of the call's kwargs that it declares. A sync function
    runs in a thread, a coroutine function on the event loop. What it returns becomes the answer: a dict, list, pydantic
    or SDK model becomes JSON, a generator (sync or async) an event stream, a `Response` itself. An `OpenAIError` that
    it raises becomes an envelope; any other exception is logged and becomes a 500 that SDKs do not retry.

    Args:
        handler: The function, or a `Dispatcher` with one for each operation.
    """

    def __init__(self, handler: HandlerFunction | Dispatcher) -> None:
        self._handler = as_handler(handler)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI spec says."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        call = scope.get(CALL_KEY)
        if not isinstance(call, OpenAICall):
            await send_error(_no_call(scope["method"], scope["path"]), send)
            return
        with _reporting(call):
            response = Response.of(await self._handler.handler_for(call).arun(call))
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        if response.events is None:
            await send({"type": "http.response.body", "body": response.content})
        else:
            await _while_connected(_stream(aiterate(response.events), send, call), receive)


async def _stream(events: AsyncIterator[bytes], send: Send, call: OpenAICall) -> None:
    try:
        while True:
            with _reporting(call):
                event = await anext(events, None)
            if event is None:
                break
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await aclose(events)


async def _while_connected(streaming: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Run a coroutine to its end, or until the client has gone: then it is cancelled."""
    task = asyncio.ensure_future(streaming)
    watch = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for unfinished in (task, watch):
            unfinished.cancel()
        await asyncio.wait({task, watch})
    if not task.cancelled():
        task.result()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


class WSGIHandlerApp:
    """A WSGI app made of a plain function; wrap it with `OpenAIWSGIMiddleware`. See `HandlerApp`.

    Coroutine functions and async generators run on an event loop of their own.

    Args:
        handler: The function, or a `Dispatcher` with one for each operation.
    """

    def __init__(self, handler: HandlerFunction | Dispatcher) -> None:
        self._handler = as_handler(handler)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as PEP 3333 says."""
        call = environ.get(CALL_KEY)
        if not isinstance(call, OpenAICall):
            return send_wsgi_error(_no_call(environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")), start_response)
        with _reporting(call):
            response = Response.of(self._handler.handler_for(call).run(call))
            start_response(status_line(response.status_code), list(response.headers))
        if response.events is None:
            return [response.content or b""]
        return _reported(iterate(response.events), call)


def _reported(events: Iterator[bytes], call: OpenAICall) -> Iterator[bytes]:
    with _reporting(call):
        yield from events
