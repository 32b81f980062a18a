"""The ASGI driver: moves messages between server, exchange and app."""

from collections.abc import Iterable
from typing import Unpack

from openai_middleware.config.checks import app_mistakes
from openai_middleware.contract import GroupName, OpenAIEndpoint
from openai_middleware.drivers.outgoing import Outgoing
from openai_middleware.drivers.recording import RecordedSend
from openai_middleware.errors import OpenAIError
from openai_middleware.exchange import Exchange
from openai_middleware.frontend import Frontend
from openai_middleware.handlers.asgi_app import answer_call
from openai_middleware.interfaces import ASGIApp, Receive, Scope, Send, send_error
from openai_middleware.keeping import StoreSession
from openai_middleware.mistakes import report_mistakes
from openai_middleware.options import Options
from openai_middleware.request.call import CALL_KEY, AppRequest


class ASGIDriver:
    """Serves an ASGI app through a frontend.

    Args:
        app: The ASGI app (ASGI 3.0).
        frontend: What opens exchanges.

    Attributes:
        app: The app.
        frontend: What opens exchanges.

    Raises:
        ConfigurationError: The app cannot be called, or is one of WSGI.
    """

    def __init__(self, app: ASGIApp, frontend: Frontend) -> None:
        report_mistakes(app_mistakes(app, "ASGI"))
        frontend.warn_of_another(app)
        self.app = app
        self.frontend = frontend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI spec says."""
        exchange = None
        if scope["type"] == "http":
            try:
                exchange = self.frontend.open(
                    scope["method"],
                    scope["path"],
                    scope.get("query_string", b""),
                    scope["headers"],
                    raw_path=scope.get("raw_path"),
                    root_path=scope.get("root_path", ""),
                )
            except OpenAIError as error:
                await send_error(error, send)
                return
        if exchange is None:
            await self.app(scope, receive, send)
            return
        session = None
        if exchange.store is not None:
            session = exchange.store.session(scope)
            send = RecordedSend(session, exchange.request_id, send)
        outgoing = Outgoing(exchange, send)
        try:
            if (request := await _received(exchange, receive, session)) is None:
                return
            call = request.call
            app_receive = outgoing.receiving(request.body, receive)
            app_scope = {
                **scope,
                "method": request.method,
                "path": request.path,
                "headers": request.headers,
                CALL_KEY: call,
            }
            if request.raw_path is not None:
                app_scope["raw_path"], app_scope["query_string"] = request.raw_path, request.query or b""
            request = None  # a stream may last for hours, and needs its body no longer
            if exchange.handler is not None:
                await answer_call(exchange.handler, call, app_receive, outgoing.send)
            else:
                await self.app(app_scope, app_receive, outgoing.send)
        except Exception as error:
            if not await outgoing.fail(_alone(error)):
                raise
        else:
            if outgoing.is_withholding:
                await outgoing.end()


class OpenAIMiddleware(ASGIDriver):
    """Puts the OpenAI API in front of an ASGI app.

    Requests that match an operation reach the app with an `OpenAICall` under `"openai_middleware.call"` in the scope,
    and the app's successful JSON answers leave as the official SDKs expect them. All else passes untouched.

    Args:
        app: The ASGI app (ASGI 3.0).
        endpoints: The groups of operations to serve; None is every supported group, an empty list none.
        prefix: What the paths start with, such as `/v1`, or several of them; placeholders are allowed.
        options: See `openai_middleware.options.Options`.

    Raises:
        ConfigurationError: With every mistake in the arguments.
    """

    def __init__(
        self,
        app: ASGIApp,
        endpoints: Iterable[OpenAIEndpoint | GroupName | str] | None = None,
        prefix: str | Iterable[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(app, Frontend(endpoints, prefix, **options))


def _alone(error: Exception) -> Exception:
    """The one exception of a group of one, as a task group of the app raises it (PEP 654)."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _received(exchange: Exchange, receive: Receive, session: StoreSession | None) -> AppRequest | None:
    """The app's request, or None where the client went away before the end of the body."""
    reader = exchange.body_reader
    body = None
    try:
        while reader is not None and body is None:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body = reader.take(message.get("body", b""), is_last=not message.get("more_body", False))
        request = exchange.receive(body)
        if session is not None:
            request = await session.aprepare(request)
        rewrite = exchange.rewrite
        if rewrite is None:
            return request
        if rewrite.is_async:
            return await rewrite.arequest(request, exchange.mount)
        return rewrite.request(request, exchange.mount)
    except OpenAIError as error:
        exchange.refuse(error)
        raise
