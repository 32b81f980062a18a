"""Handlers served both ways, behind the middleware, by raw drivers."""

import asyncio
import json
from typing import Any

from openai_middleware import HandlerApp, OpenAIMiddleware, OpenAIWSGIMiddleware, WSGIHandlerApp
from tests.support import wsgi_driver
from tests.support.drivers import Message, Sent, http_scope, request_messages
from tests.support.wsgi_driver import Server


class Client:
    """The client of an ASGI app, and the server between them. It stays until `goes` is set.

    Attributes:
        sent: What the app sent.
        bodies: The parts of the answer's body, to be awaited one by one.
        fails: What sending raises: the server knows that the client has gone.
    """

    def __init__(self, method: str = "POST", target: str = "/run", body: Any = b"{}", **scope: Any) -> None:
        self.sent = Sent()
        self.bodies: asyncio.Queue[bytes] = asyncio.Queue()
        self.goes = asyncio.Event()
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.fails: Exception | None = None
        self._scope = http_scope(method, target, **scope)
        self._pending = request_messages(body if isinstance(body, bytes) else json.dumps(body).encode())

    async def asks(self, app: Any) -> Sent:
        await app(self._scope, self._receive, self._send)
        return self.sent

    async def _receive(self) -> Message:
        if self._pending:
            return self._pending.pop(0)
        await self.goes.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.may_send.wait()
        if self.fails is not None:
            raise self.fails
        self.sent.messages.append(message)
        if message.get("body"):
            self.bodies.put_nowait(message["body"])


def by_asgi(
    handler: Any, method: str, target: str, body: Any, raised: list[Exception] | None = None, **options: Any
) -> Sent:
    """Have one request handled. What reaches the server is raised, or put into `raised`."""
    client = Client(method, target, body)
    app = OpenAIMiddleware(HandlerApp(handler), **{"prefix": "/v1", **options})
    try:
        asyncio.run(client.asks(app))
    except Exception as error:
        if raised is None:
            raise
        raised.append(error)
    return client.sent


def by_wsgi(
    handler: Any, method: str, target: str, body: Any, raised: list[Exception] | None = None, **options: Any
) -> Sent:
    """The same, by WSGI."""
    server = Server()
    app = OpenAIWSGIMiddleware(WSGIHandlerApp(handler), **{"prefix": "/v1", **options})
    try:
        wsgi_driver.request(app, method, target, body, server=server)
    except Exception as error:
        if raised is None:
            raise
        raised.append(error)
    return server.sent
