"""A plain function as an ASGI app."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from openai_middleware.handlers.dispatcher import Dispatcher, as_handler
from openai_middleware.handlers.handler import HandlerFunction, reporting, unknown_url
from openai_middleware.handlers.response import Response
from openai_middleware.headers import as_bytes
from openai_middleware.interfaces import Receive, Scope, Send, send_error
from openai_middleware.iteration import aclose, aiterate, is_on_asyncio
from openai_middleware.request.call import CALL_KEY, OpenAICall
from openai_middleware.route import CallHandler

_NEEDS_ASYNCIO: Final = (
    "Functions as handlers need a server that runs on asyncio: uvicorn, daphne, granian, or hypercorn with its worker "
    "classes asyncio and uvloop. On trio, such as hypercorn's worker class trio, apps can only be wrapped."
)


class HandlerApp:
    """An ASGI app made of a plain function; wrap it with `OpenAIMiddleware`.

    The handler is called as `handler(body, **kwargs)` with those of the call's kwargs that it declares. A sync function
    runs in a thread, a coroutine function on the event loop. What it returns becomes the answer: a dict, list, pydantic
    or SDK model becomes JSON, a generator (sync or async) an event stream, a `Response` itself. An `OpenAIError` that
    it raises becomes an envelope; any other exception is logged and becomes a 500 that SDKs do not retry.

    Args:
        handler: The function, or a `Dispatcher` with one for each operation.
        threads: How many sync functions may run at once. Without it, all apps of the process share 64 threads.

    Raises:
        ValueError: `threads` is less than one.
    """

    def __init__(self, handler: HandlerFunction | Dispatcher, *, threads: int | None = None) -> None:
        self._handler = as_handler(handler)
        self._pool = None if threads is None else ThreadPoolExecutor(threads, "openai-handler")

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
            await send_error(unknown_url(scope["method"], scope["path"]), send)
            return
        await answer_call(self._handler, call, receive, send, self._pool)


async def answer_call(
    handler: CallHandler, call: OpenAICall, receive: Receive, send: Send, pool: ThreadPoolExecutor | None = None
) -> None:
    """Answer a call with what a handler returns. Sync code runs in a thread of the pool, or of the shared one.

    Raises:
        OpenAIError: The handler raised it, or failed: then it is a 500 that says so, and the log has the rest.
        RuntimeError: The server does not run on asyncio.
    """
    if not is_on_asyncio():
        raise RuntimeError(_NEEDS_ASYNCIO)
    events: AsyncIterator[bytes] | None = None
    try:
        with reporting(call):
            response = Response.of(await handler.arun(call, pool=pool))
            events = None if response.events is None else aiterate(response.events, pool)
            headers = as_bytes(response.headers)
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        if events is None:
            await send({"type": "http.response.body", "body": response.content})
        else:
            await _while_connected(_stream(events, send, call), receive)
    finally:
        # Where the stream has begun, it is closed already, in the task that it ran in.
        await aclose(events)


async def _stream(events: AsyncIterator[bytes], send: Send, call: OpenAICall) -> None:
    try:
        while True:
            with reporting(call):
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
        if not is_on_asyncio():
            await send({"type": "lifespan.startup.failed", "message": _NEEDS_ASYNCIO})
            return
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
