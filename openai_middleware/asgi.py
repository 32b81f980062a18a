"""The ASGI driver: moves messages between server, exchange and app."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Unpack

from openai_middleware.call import CALL_KEY
from openai_middleware.contract import OpenAIEndpoint
from openai_middleware.errors import OpenAIError
from openai_middleware.exchange import Exchange, Handling
from openai_middleware.frontend import Frontend, Options

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
        self._app = app
        self._frontend = Frontend(endpoints, prefix, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI spec says."""
        exchange = None
        if scope["type"] == "http":
            try:
                exchange = self._open(scope)
            except OpenAIError as error:
                await _send_error(error, send)
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
                raise
            await _send_error(error, send)
        except Exception:
            await answer.end()
            raise
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


async def _send_error(error: OpenAIError, send: Send) -> None:
    status, headers, body = error.response()
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Answer:
    """The app's answer on its way to the server."""

    __slots__ = ("_exchange", "_handling", "_held", "_is_replaced", "_send", "has_started")

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self._handling = Handling.PASS
        self._held: list[Message] = []
        self._is_replaced = False
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
        if self.has_started:
            if not self._is_replaced:
                await self._send(message)
        elif kind == "http.response.start" and not self._held:
            self._handling = self._exchange.start_response(message["status"], message.get("headers", ()))
            self._held.append(message)
            if self._handling is Handling.PASS:
                await self._release()
        elif kind == "http.response.body" and self._held:
            self._held.append(message)
            is_last = not message.get("more_body", False)
            if self._handling is Handling.MAP:
                if is_last:
                    await self._finish()
            elif not is_last:
                await self._release()
        elif kind in ("http.response.pathsend", "http.response.zerocopysend"):
            await self._release()
            await self._send(message)
        else:
            await self._send(message)

    async def end(self) -> None:
        """Let go of an answer that was held back for an exception that has not come."""
        if self._handling is Handling.HOLD:
            await self._release()

    async def _finish(self) -> None:
        start, *parts = self._held
        body = b"".join(part.get("body", b"") for part in parts)
        try:
            headers, mapped = self._exchange.finish(body)
        except OpenAIError as error:
            self.has_started = self._is_replaced = True
            await _send_error(error, self._send)
            return
        if headers is not None:
            self._held[0] = {**start, "headers": headers}
        if mapped is not body:
            self._held[1:] = [{**parts[-1], "body": mapped}]
        await self._release()

    async def _release(self) -> None:
        self.has_started = True
        held, self._held = self._held, []
        for message in held:
            await self._send(message)
