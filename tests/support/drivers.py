"""A raw ASGI driver: sends one request to an app and records every message, with no client library in between."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any
from urllib.parse import unquote_to_bytes

from openai_middleware import APIHandlerConfig, BodyMappings, OpenAIMiddleware
from openai_middleware.mapping.rule import BodyMapping
from openai_middleware.request.call import OpenAICall

Message = MutableMapping[str, Any]
Header = tuple[bytes, bytes]
MADE_ID = re.compile(rb"req_[0-9a-f]{32}")
JSON_HEADERS: list[Header] = [(b"content-type", b"application/json")]


def without_made_id(headers: Iterable[Header]) -> list[Header]:
    """Headers without an `x-request-id` that the middleware made."""
    return [header for header in headers if not (header[0] == b"x-request-id" and MADE_ID.fullmatch(header[1]))]


def without_id(start: Message) -> Message:
    """A start, as an app sent it that gave no request id."""
    return {**start, "headers": without_made_id(start.get("headers", ()))}


@dataclass
class Sent:
    """What an app sent."""

    messages: list[Message] = field(default_factory=list)

    @property
    def starts(self) -> list[Message]:
        return [message for message in self.messages if message["type"] == "http.response.start"]

    @property
    def status(self) -> int:
        [start] = self.starts
        return start["status"]

    @property
    def headers(self) -> list[Header]:
        """The headers, but for a request id that the middleware made: `request_id` has that."""
        [start] = self.starts
        return without_made_id(start.get("headers", ()))

    @property
    def request_id(self) -> str:
        """What the answer has as `x-request-id`, once."""
        [start] = self.starts
        [found] = [value for name, value in start["headers"] if name.lower() == b"x-request-id"]
        return found.decode()

    def header(self, name: str) -> str | None:
        values = [value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode()]
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.messages if m["type"] == "http.response.body")

    @property
    def is_complete(self) -> bool:
        return (
            bool(self.messages)
            and self.messages[-1]["type"] == "http.response.body"
            and not self.messages[-1].get("more_body")
        )

    def is_very_same(self, messages: Iterable[Message]) -> bool:
        """Whether the messages are these: the same objects, not only equal ones. A start may have gained an id."""
        return all(
            sent is message or (sent["type"] == "http.response.start" and without_id(sent) == without_id(message))
            for sent, message in zip_longest(self.messages, messages, fillvalue={"type": None})
        )

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error of an envelope, which is checked for its shape."""
        assert self.header("content-type") == "application/json"
        assert self.header("content-length") == str(len(self.body))
        assert list(self.json) == ["error"]
        error = self.json["error"]
        assert list(error) == ["message", "type", "param", "code"]
        assert isinstance(error["message"], str)
        assert error["message"]
        is_of_server = self.status >= 500 or error["code"] == "invalid_response"
        assert error["type"] == ("server_error" if is_of_server else "invalid_request_error")
        assert error["code"] is None or (isinstance(error["code"], str) and error["code"] != "None")
        return error


def http_scope(
    method: str,
    target: str,
    *,
    headers: Iterable[Header] = (),
    root_path: str = "",
    **extra: Any,
) -> MutableMapping[str, Any]:
    """A scope for a request target as it stands in a request line: percent-encoded path, then the query."""
    raw_path, _, query = target.encode().partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": root_path,
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        **extra,
    }


def request_messages(body: bytes | Iterable[bytes]) -> list[Message]:
    """The `http.request` messages of a body, given whole or in chunks."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    return [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]


async def request(
    app: Any,
    method: str = "GET",
    target: str = "/",
    body: Any = b"",
    *,
    messages: list[Message] | None = None,
    sent: Sent | None = None,
    **scope: Any,
) -> Sent:
    """Send one request and return what came back.

    Args:
        app: The ASGI app.
        method: The HTTP method.
        target: The percent-encoded path and query.
        body: Bytes, an iterable of byte chunks, or any other value, which is sent as JSON.
        messages: What `receive` returns, instead of a body; after the last of them, `http.disconnect`.
        sent: Where to record; give one to see what was sent by an app that raises.
        scope: More for `http_scope`.
    """
    if messages is None:
        is_chunks = isinstance(body, list) and all(isinstance(chunk, bytes) for chunk in body) and body
        messages = request_messages(body if isinstance(body, bytes) or is_chunks else json.dumps(body).encode())
    pending = list(messages)
    sent = Sent() if sent is None else sent

    async def receive() -> Message:
        return pending.pop(0) if pending else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.messages.append(message)

    await app(http_scope(method, target, **scope), receive, send)
    return sent


@dataclass
class App:
    """An ASGI app that records its calls and gives a fixed answer.

    `answer` is bytes, or a value to be sent as JSON. `body` is what the app itself read.
    """

    answer: Any = b""
    status: int = 200
    headers: list[Header] = field(default_factory=lambda: list(JSON_HEADERS))
    raises: BaseException | None = None
    scopes: list[MutableMapping[str, Any]] = field(default_factory=list)
    receives: list[Callable[[], Awaitable[Message]]] = field(default_factory=list)
    sends: list[Callable[[Message], Awaitable[None]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.receives.append(receive)
        self.sends.append(send)
        if scope["type"] != "http":
            return
        self.bodies.append(await read_body(receive))
        if self.raises is not None:
            raise self.raises
        body = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": body})

    @property
    def is_called(self) -> bool:
        return bool(self.scopes)

    @property
    def call(self) -> OpenAICall:
        """The one call that the app got."""
        [scope] = self.scopes
        return scope["openai_middleware.call"]

    @property
    def kwargs(self) -> dict[str, Any]:
        return self.call.kwargs


@dataclass
class Script:
    """An ASGI app that reads its request, sends these messages, and then raises if it is told so.

    As frameworks do that send a page for an exception, it sends a 500 while it handles what it raises again.
    """

    messages: list[Message]
    raises: BaseException | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await read_body(receive)
        try:
            if self.raises is not None and self.messages and self.messages[0].get("status") == 500:
                raise self.raises
        except BaseException:
            await self._send_all(send)
            raise
        await self._send_all(send)
        if self.raises is not None:
            raise self.raises

    async def _send_all(self, send: Any) -> None:
        for message in self.messages:
            await send(message)


def start(status: int = 200, headers: Iterable[Header] = JSON_HEADERS, **extra: Any) -> Message:
    """The message with which an answer begins."""
    return {"type": "http.response.start", "status": status, "headers": list(headers), **extra}


def part(body: bytes, *, more_body: bool = False) -> Message:
    """A message with a part of an answer's body: the last one, or one that has more after it."""
    return {"type": "http.response.body", "body": body, "more_body": more_body}


def mappings(*rules: tuple[str, str] | tuple[str, str, bool]) -> BodyMappings:
    """Body mappings of `(source, destination)`, or `(source, destination, True)` for a mandatory one."""
    return BodyMappings([BodyMapping(*rule) for rule in rules])


def endpoint(
    app: Any,
    *,
    takes: Iterable[Any] = (),
    gives: Iterable[Any] = (),
    method: str = "POST",
    path: str = "/run",
    **options: Any,
) -> OpenAIMiddleware:
    """The middleware with one endpoint, which maps request bodies by the rules `takes` and answers by `gives`."""
    config = APIHandlerConfig()
    config.add_endpoint_handler(
        path,
        method,
        input_body_mappings=mappings(*takes) if takes else None,
        output_body_mappings=mappings(*gives) if gives else None,
    )
    return OpenAIMiddleware(app, config=config, **options)


async def read_body(receive: Any) -> bytes:
    """Read a request body to its end."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body
