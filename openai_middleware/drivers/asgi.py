"""The ASGI driver: moves messages between server, exchange and app."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any, Unpack

from openai_middleware.answer.event_stream import EventStream
from openai_middleware.config.checks import app_mistakes
from openai_middleware.contract import OpenAIEndpoint
from openai_middleware.errors import OpenAIError, raise_mistakes
from openai_middleware.exchange import Exchange, Handling
from openai_middleware.frontend import Frontend, Options
from openai_middleware.request.call import CALL_KEY

# Starlette's spelling of the ASGI types: asgiref's TypedDicts do not type-check against `app.add_middleware`.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class OpenAIMiddleware:
    """Puts the OpenAI API in front of an ASGI app.

    Requests that match an operation reach the app with an `OpenAICall` under `"openai_middleware.call"` in the scope,
    and the app's successful JSON answers leave as the official SDKs expect them. All else passes untouched.

    Args:
        app: The ASGI app (ASGI 3.0).
        endpoints: The groups of operations to serve; None is every supported group, an empty list none.
        prefix: What the paths start with, such as `/v1`, or several of them; placeholders are allowed.
        options: See `openai_middleware.frontend.Options`.

    Raises:
        ConfigurationError: With every mistake in the arguments.
    """

    def __init__(
        self,
        app: ASGIApp,
        endpoints: Iterable[OpenAIEndpoint | str] | None = None,
        prefix: str | Iterable[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        raise_mistakes(app_mistakes(app))
        self._app = app
        self._frontend = Frontend(endpoints, prefix, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI spec says."""
        exchange = None
        if scope["type"] == "http":
            try:
                exchange = self._open(scope)
            except OpenAIError as error:
                await send_error(error, send)
                return
        if exchange is None:
            await self._app(scope, receive, send)
            return
        answer = _Answer(exchange, send)
        try:
            body = None
            if exchange.reads_body:
                body = await _read_body(exchange, receive)
                if body is None:
                    return
            app_scope = {**scope, "headers": exchange.request_headers, CALL_KEY: exchange.receive(body)}
            await self._app(app_scope, answer.receiving(body, receive), answer.send)
        except OpenAIError as error:
            if answer.has_started:
                await answer.fail(error)
                raise
            await send_error(error, send)
        except Exception as error:
            await answer.fail(error)
            raise
        else:
            await answer.end()

    def _open(self, scope: Scope) -> Exchange | None:
        return self._frontend.open(
            scope["method"],
            scope["path"],
            scope.get("query_string", b""),
            scope["headers"],
            raw_path=scope.get("raw_path"),
            root_path=scope.get("root_path", ""),
        )


async def _read_body(exchange: Exchange, receive: Receive) -> bytes | None:
    """The whole request body, or None where the client went away before its end."""
    chunks: list[bytes] = []
    size = 0
    has_more = True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        has_more = message.get("more_body", False)
        size += len(chunk)
        exchange.check_size(size)
        chunks.append(chunk)
    return b"".join(chunks)


async def send_error(error: OpenAIError, send: Send) -> None:
    """Send an error as a whole answer."""
    status, headers, body = error.response()
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Answer:
    """The app's answer on its way to the server."""

    __slots__ = ("_events", "_exchange", "_handling", "_held", "_is_broken", "_is_replaced", "_send", "has_started")

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self._handling: Handling | None = None
        self._held: list[Message] = []
        self._events: EventStream | None = None
        self._is_replaced = False
        self._is_broken = False
        self.has_started = False

    def receiving(self, body: bytes | None, receive: Receive) -> Receive:
        """The app's `receive`: the body that was read, then the server's own."""
        pending: list[Message] = []
        if body is not None:
            pending.append({"type": "http.request", "body": body, "more_body": False})

        async def receive_replayed() -> Message:
            if pending:
                return pending.pop()
            # An app that waits for the client to go has answered: nothing else will come to replace the answer.
            await self.end()
            return await receive()

        return receive_replayed

    async def send(self, message: Message) -> None:
        """The app's `send`."""
        kind = message["type"]
        if self._handling is Handling.PASS:
            await self._forward(message)
        elif kind == "http.response.start" and self._handling is None:
            await self._start(message)
        elif kind == "http.response.body" and self._events is not None:
            await self._stream(self._events, message)
        elif kind == "http.response.body" and self._held:
            self._held.append(message)
            await self._collect(is_last=not message.get("more_body", False))
        else:
            if kind in ("http.response.pathsend", "http.response.zerocopysend"):
                await self._release()
            await self._forward(message)

    async def end(self) -> None:
        """Let go of an answer that was held back for an exception that has not come."""
        if self._handling is Handling.HOLD:
            await self._release()

    async def fail(self, error: Exception) -> None:
        """End what has begun for an app that failed."""
        await self.end()
        if self._events is not None and self.has_started and not self._is_broken:
            with suppress(OSError):
                await self._forward({"type": "http.response.body", "body": self._events.fail(error)})

    async def _start(self, start: Message) -> None:
        headers = start.get("headers", ())
        if not isinstance(headers, list | tuple):
            # ASGI allows any iterable; one that can be read only once is read here.
            headers = list(headers)
            start = {**start, "headers": headers}
        self._handling = self._exchange.start_response(start["status"], headers)
        if self._handling is Handling.HOLD and start.get("trailers"):
            self._handling = Handling.PASS
        if self._handling is Handling.STREAM:
            headers, self._events = self._exchange.event_stream()
            start = {**start, "headers": headers}
        self._held.append(start)
        if self._handling is Handling.PASS:
            await self._release()

    async def _stream(self, events: EventStream, message: Message) -> None:
        # Starlette sends memoryviews too; of bytes this is no copy.
        body = bytes(message.get("body", b""))
        is_last = not message.get("more_body", False)
        mapped = events.feed(body)
        if is_last:
            mapped += events.finish()
        elif not mapped:
            return
        if not self.has_started:
            self.has_started = True
            await self._forward(self._held.pop())
        await self._forward(message if mapped is body or mapped == body else {**message, "body": mapped})
        if is_last:
            self._events = None

    async def _collect(self, *, is_last: bool) -> None:
        if self._handling is Handling.MAP and is_last:
            await self._finish()
        elif self._handling is Handling.HOLD and not is_last:
            await self._release()

    async def _finish(self) -> None:
        start, *parts = self._held
        body = b"".join(part.get("body", b"") for part in parts)
        try:
            headers, mapped = self._exchange.finish(body)
        except OpenAIError as error:
            self._handling, self._held = Handling.PASS, []
            self.has_started = self._is_replaced = True
            await send_error(error, self._send)
            return
        if headers is not None:
            self._held[0] = {**start, "headers": headers}
        if mapped is not body:
            self._held[1:] = [{**parts[-1], "body": mapped}]
        await self._release()

    async def _release(self) -> None:
        self.has_started = True
        self._handling, self._events = Handling.PASS, None
        held, self._held = self._held, []
        for message in held:
            await self._forward(message)

    async def _forward(self, message: Message) -> None:
        if self._is_replaced:
            return
        try:
            await self._send(message)
        except Exception:
            self._is_broken = True
            raise
