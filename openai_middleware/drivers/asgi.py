"""The ASGI driver: moves messages between server, exchange and app."""

from collections.abc import Iterable
from typing import Unpack

from openai_middleware.config.app import app_mistakes
from openai_middleware.contract import GroupName, OpenAIEndpoint
from openai_middleware.drivers.outgoing import Outgoing
from openai_middleware.drivers.recording import RecordedSend
from openai_middleware.errors import OpenAIError
from openai_middleware.exchange import Exchange
from openai_middleware.frontend import Frontend
from openai_middleware.handlers.asgi_app import answer_call
from openai_middleware.interfaces import ASGIApp, Message, Receive, Scope, Send, send_error
from openai_middleware.keeping import StoreSession
from openai_middleware.mistakes import report_mistakes
from openai_middleware.options import Options
from openai_middleware.replies.chat_request import takes_long
from openai_middleware.request.call import CALL_KEY, AppRequest
from openai_middleware.route import AppRewrite


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
        outgoing = Outgoing(exchange, receive, send)
        try:
            try:
                body = message = None
                if exchange.takes_body:
                    message = await receive()
                    if message.get("more_body", False) or message["type"] == "http.disconnect":
                        message = await _whole(message, exchange, receive)
                        if message is None:
                            return
                    body = message.get("body", b"")
                    if type(body) is not bytes:
                        body = bytes(body)
                request = exchange.receive(body)
                if session is not None:
                    request = await session.aprepare(request)
                if (rewrite := exchange.rewrite) is not None:
                    request = await _rewritten(rewrite, request, exchange.mount, session)
            except OpenAIError as error:
                exchange.refuse(error)
                raise
            if request.body is not body:
                message = {"type": "http.request", "body": request.body, "more_body": False}
            outgoing.request = message
            call = request.call
            app_scope = dict(scope)
            app_scope["method"] = request.method
            app_scope["path"] = request.path
            app_scope["headers"] = request.headers
            app_scope[CALL_KEY] = call
            if request.raw_path is not None:
                app_scope["raw_path"] = request.raw_path
            if request.query is not None:
                app_scope["query_string"] = request.query
            del body, message, request  # a stream may last for hours, and needs its body no longer
            if exchange.handler is not None:
                await answer_call(exchange.handler, call, outgoing.receive, outgoing.send)
            else:
                await self.app(app_scope, outgoing.receive, outgoing.send)
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


async def _whole(message: Message, exchange: Exchange, receive: Receive) -> Message | None:
    """The request's messages as one, from the first one on; None where the client went away before the last.

    Raises:
        RequestTooLargeError: The body is over the limit.
    """
    reader = exchange.body_reader
    while reader is not None and message["type"] != "http.disconnect":
        reader.feed(message.get("body", b""))
        if not message.get("more_body", False):
            return {**message, "body": reader.body}
        message = await receive()
    return None


async def _rewritten(rewrite: AppRewrite, request: AppRequest, mount: str, session: StoreSession | None) -> AppRequest:
    if rewrite.is_async:
        return await rewrite.arequest(request, mount)
    if session is not None and takes_long(request.call.history):
        return await session.in_thread(lambda: rewrite.request(request, mount))
    return rewrite.request(request, mount)
