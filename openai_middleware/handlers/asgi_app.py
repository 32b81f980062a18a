"""A plain function as an ASGI app."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from openai_middleware.errors import OpenAIError
from openai_middleware.handlers.dispatcher import Dispatcher, as_handler
from openai_middleware.handlers.handler import HandlerFunction, reported, reporting, unknown_url
from openai_middleware.handlers.replying import arespond
from openai_middleware.handlers.response import Response
from openai_middleware.headers import Header, as_bytes
from openai_middleware.interfaces import Receive, Scope, Send, send_error
from openai_middleware.iteration import aclose, aiterate, is_on_asyncio
from openai_middleware.request.call import CALL_KEY, OpenAICall
from openai_middleware.route import HandlerSource

_NEEDS_ASYNCIO: Final = (
    "Functions as handlers need a server that runs on asyncio: uvicorn, daphne, granian, or hypercorn with its worker "
    "classes asyncio and uvloop. On trio, such as hypercorn's worker class trio, apps can only be wrapped."
)


class HandlerApp:
    """An ASGI app made of a plain function; wrap it with `OpenAIMiddleware`.

    The handler is called as `handler(body, **kwargs)` with those of the call's kwargs that it declares. A sync function
    runs in a thread, a coroutine function on the event loop. What it returns becomes the answer: a reply (a str, a
    `Reply`, or an iterator of them) becomes what the client asked for; a dict, list, pydantic or SDK model becomes
    JSON, any other generator (sync or async) an event stream, a `Response` itself. An `OpenAIError` that it raises
    becomes an envelope; any other exception is logged and becomes a 500 that SDKs do not retry.

    Args:
        handler: The function, or a `Dispatcher` with one for each operation.
        threads: How many sync functions may run at once. Without it, all apps of the process share 64 threads.
        keep_alive: After how many seconds of silence in a running stream a comment is sent, which clients skip, so
            that nobody on the way takes the connection for dead. None: never.

    Raises:
        ValueError: `threads` is less than one, or `keep_alive` is no number above zero.
    """

    def __init__(
        self, handler: HandlerFunction | Dispatcher, *, threads: int | None = None, keep_alive: float | None = None
    ) -> None:
        if keep_alive is not None and (type(keep_alive) not in (int, float) or not keep_alive > 0):
            raise ValueError(f"keep_alive is a number of seconds above zero, not {keep_alive!r}.")
        self._keep_alive = keep_alive
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
        await answer_call(self._handler, call, receive, send, self._pool, self._keep_alive)


async def answer_call(
    source: HandlerSource,
    call: OpenAICall,
    receive: Receive,
    send: Send,
    pool: ThreadPoolExecutor | None = None,
    keep_alive: float | None = None,
) -> None:
    """Answer a call with what a handler returns. Sync code runs in a thread of the pool, or of the shared one.

    Raises:
        OpenAIError: The handler raised it, or failed: then it is a 500 that says so, and the log has the rest.
        RuntimeError: The server does not run on asyncio.
    """
    if not is_on_asyncio():
        raise RuntimeError(_NEEDS_ASYNCIO)
    try:
        response = await arespond(source, call, pool=pool)
    except OpenAIError:
        raise
    except Exception as error:
        raise reported(error, call) from error
    await send_response(response, call, receive, send, pool=pool, keep_alive=keep_alive)


async def send_response(
    response: Response,
    call: OpenAICall,
    receive: Receive,
    send: Send,
    *,
    headers: Sequence[Header] | None = None,
    pool: ThreadPoolExecutor | None = None,
    keep_alive: float | None = None,
) -> None:
    """Send what a handler answered. A stream ends when the client has gone.

    Args:
        response: The answer.
        call: The call that it answers.
        receive: The app's.
        send: The app's.
        headers: The headers as they leave; None are the answer's own.
        pool: Where sync code runs; None is the pool that all handlers share.
        keep_alive: See `HandlerApp`.

    Raises:
        OpenAIError: The handler raised it, or failed: then it is a 500 that says so, and the log has the rest.
    """
    events = None if response.events is None else aiterate(response.events, pool)
    try:
        if headers is None:
            try:
                headers = as_bytes(response.headers)
            except UnicodeEncodeError as error:
                raise reported(error, call) from error
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        if events is None:
            await send({"type": "http.response.body", "body": response.content})
            return
        stream = events if call.delivery.is_final else _reported(events, call)
        if keep_alive is not None:
            stream = _kept_alive(stream, keep_alive)
        await _while_connected(_stream(stream, send), receive)
    finally:
        # Where the stream has begun, it is closed already, in the task that it ran in.
        if events is not None:
            await aclose(events)


async def _stream(events: AsyncIterator[bytes], send: Send) -> None:
    try:
        async for event in events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await aclose(events)


async def _reported(events: AsyncIterator[bytes], call: OpenAICall) -> AsyncIterator[bytes]:
    """Events, whose failure is reported."""
    with reporting(call):
        async for event in events:
            yield event


async def _kept_alive(events: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """The events, with a comment after so many silent seconds. None comes before the first event."""
    following: asyncio.Future[bytes | None] | None = None
    try:
        yield await anext(events)
        while True:
            following = asyncio.ensure_future(anext(events, None))
            while not (await asyncio.wait({following}, timeout=seconds))[0]:
                yield b": keep-alive\n\n"
            event = following.result()
            if event is None:
                return
            yield event
    finally:
        if following is not None and not following.done():
            following.cancel()
            await asyncio.wait({following})
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
