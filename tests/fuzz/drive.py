"""Both interfaces, driven without an event loop and a thousand times a second: nothing here ever has to wait."""

import io
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from openai_middleware.headers import as_bytes, as_text
from tests.support.drivers import Message, http_scope, part, start

Header = tuple[bytes, bytes]


@dataclass
class Reply:
    """What the server got, and what it would have to log."""

    messages: list[Message] = field(default_factory=list)
    raised: Exception | None = None

    @property
    def status(self) -> int | None:
        return next((message["status"] for message in self.messages if message["type"] == "http.response.start"), None)

    @property
    def headers(self) -> list[Header]:
        start = next((message for message in self.messages if message["type"] == "http.response.start"), {})
        return sorted((name.lower(), value) for name, value in start.get("headers", ()))

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


@dataclass
class Request:
    """A request as it stands on the wire."""

    method: str
    target: bytes
    headers: list[Header]
    body: bytes

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def decoded_path(self) -> bytes:
        return unquote_to_bytes(self.path)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that has everything it could wait for."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise AssertionError("it waits for what never comes")


def through_asgi(app: Any, request: Request) -> Reply:
    reply = Reply()
    pending = [{"type": "http.request", "body": request.body, "more_body": False}]
    scope = http_scope(request.method, "/", headers=request.headers)
    scope["raw_path"], _, scope["query_string"] = request.target.partition(b"?")
    scope["path"] = request.decoded_path.decode(errors="replace")

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        reply.messages.append(message)

    try:
        run(app(scope, receive, send))
    except Exception as error:
        reply.raised = error
    return reply


def through_wsgi(app: Any, request: Request) -> Reply:
    reply = Reply()
    special = {"content-type": "CONTENT_TYPE"}
    environ: dict[str, Any] = {
        special.get(name, "HTTP_" + name.upper().replace("-", "_")): value for name, value in as_text(request.headers)
    }
    environ |= {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.decoded_path.decode("latin-1"),
        "RAW_URI": request.target.decode("latin-1"),
        "QUERY_STRING": request.target.partition(b"?")[2].decode("latin-1"),
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.input": io.BytesIO(request.body),
    }

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        reply.messages.append(start(int(status[:3]), as_bytes(headers)))
        return lambda data: reply.messages.append(part(data, more_body=True))

    try:
        chunks: Any = app(environ, start_response)
        with closing(chunks) if hasattr(chunks, "close") else closing(io.BytesIO()):
            for chunk in chunks:
                reply.messages.append(part(chunk, more_body=True))
            reply.messages.append(part(b""))
    except Exception as error:
        reply.raised = error
    return reply
