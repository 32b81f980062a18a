"""A raw WSGI driver: the server's side of PEP 3333, one step at a time, with no client library in between.

What was sent is told as `tests.support.drivers.Sent`, so that one expectation serves ASGI and WSGI.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

from openai_middleware import APIHandlerConfig, OpenAIWSGIMiddleware
from openai_middleware.request.call import OpenAICall
from tests.support.drivers import Message, Sent, mappings, part, start, without_made_id

Environ = dict[str, Any]
WSGIHeaders = list[tuple[str, str]]
JSON_HEADERS: WSGIHeaders = [("Content-Type", "application/json")]


class Input:
    """A server's `wsgi.input`.

    A read past the end of what came fails the test, as a server would wait there for the next request; unless the
    input `has_end`: the server tells where the body ends, or the client has gone.

    Args:
        data: What came over the connection.
        has_end: Whether a read at the end returns nothing.
        at_most: How many bytes one read returns at most.
    """

    def __init__(self, data: bytes = b"", *, has_end: bool = False, at_most: int | None = None) -> None:
        self.unread = len(data)
        self.reads: list[int] = []
        self._stream = BytesIO(data)
        self._has_end = has_end
        self._at_most = at_most

    def read(self, size: int = -1) -> bytes:
        self.reads.append(size)
        if not self._has_end and not 0 <= size <= self.unread:
            raise AssertionError(f"read({size}) waits for ever: there are {self.unread} bytes")
        data = self._stream.read(size if self._at_most is None else min(size, self._at_most))
        self.unread -= len(data)
        return data

    def readline(self, size: int = -1) -> bytes:
        raise AssertionError("what is read line by line is read without regard to its length")

    readlines = __iter__ = readline


def environ(
    method: str = "GET",
    target: str = "/",
    body: bytes | Input = b"",
    *,
    script_name: str = "",
    headers: Iterable[tuple[str, str]] = (),
    **more: Any,
) -> Environ:
    """The environ of a request target as it stands in a request line: percent-encoded path, then the query.

    Args:
        method: The HTTP method.
        target: The whole path, `script_name` included, and the query.
        body: The body; its length is declared where it is given as bytes.
        script_name: Where the app is mounted.
        headers: The request headers.
        more: More variables, such as `REQUEST_URI`; None leaves a variable out.
    """
    path, _, query = target.partition("?")
    decoded = unquote_to_bytes(path).decode("latin-1")
    if isinstance(body, bytes):
        more = {"CONTENT_LENGTH": str(len(body)), **more}
        body = Input(body)
    variables: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": script_name,
        "PATH_INFO": decoded.removeprefix(script_name),
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.errors": _Errors(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    for name, value in headers:
        variable = name.upper().replace("-", "_")
        variables[variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}"] = value
    return {name: value for name, value in {**variables, **more}.items() if value is not None}


class _Errors:
    def write(self, text: str) -> None:
        raise AssertionError(text)

    def flush(self) -> None:
        pass

    def writelines(self, lines: Iterable[str]) -> None:
        raise AssertionError("".join(lines))


class Start(NamedTuple):
    """What `start_response` was called with."""

    status: str
    headers: WSGIHeaders
    exc_info: Any = None


@dataclass
class Server:
    """The server's side of one request. It takes chunk after chunk by `step`, or all of them by `serve`.

    Attributes:
        starts: The calls of `start_response`, without a request id that the middleware made.
        sent_bytes: What left, in pieces: written and iterated over.
        log: What happened, in order: "start", "write", "chunk".
        is_complete: Whether the answer ended as it should.
    """

    starts: list[Start] = field(default_factory=list)
    sent_bytes: list[bytes] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    is_complete: bool = False
    returned: Any = None
    fails: Exception | None = None
    """What sending raises: the client has gone."""

    def start_response(self, status: str, headers: WSGIHeaders, exc_info: Any = None) -> Callable[[bytes], None]:
        """See PEP 3333, "The start_response() Callable"."""
        if exc_info is not None and any(self.sent_bytes):
            raise exc_info[1].with_traceback(exc_info[2])
        assert exc_info is not None or not self.starts, "start_response was called twice"
        self._fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        kept = [pair for pair, field in zip(headers, self._fields, strict=True) if without_made_id([field])]
        self.starts.append(Start(status, kept, exc_info))
        self.log.append("start")
        return self.write

    def write(self, data: bytes) -> None:
        self._send("write", data)

    def call(self, app: Any, environ: Environ) -> None:
        """Call the app; what it returned is iterated over by `step`."""
        self.returned = app(environ, self.start_response)
        self._iterator = iter(self.returned)

    def step(self) -> bytes | None:
        """Take one chunk and send it; None is the end."""
        for chunk in self._iterator:
            self._send("chunk", chunk)
            return chunk
        assert self.starts, "the app ended before it called start_response"
        self.is_complete = True
        return None

    def close(self) -> None:
        if hasattr(self.returned, "close"):
            self.returned.close()

    def serve(self, app: Any, environ: Environ) -> None:
        """Serve the whole request. The iterable is closed however this ends."""
        self.call(app, environ)
        try:
            while self.step() is not None:
                pass
        finally:
            self.close()

    def _send(self, how: str, data: bytes) -> None:
        assert self.starts, "the app sent a body before it called start_response"
        assert isinstance(data, bytes)
        if self.fails is not None:
            raise self.fails
        self.log.append(how)
        self.sent_bytes.append(data)

    @property
    def sent(self) -> Sent:
        """What was sent, as ASGI would tell it."""
        messages: list[Message] = []
        for status, _, _ in self.starts[-1:]:
            messages.append(start(int(status[:3]), self._fields))
        messages += [part(data, more_body=True) for data in self.sent_bytes]
        if self.is_complete:
            messages.append(part(b""))
        return Sent(messages)


def request(
    app: Any,
    method: str = "GET",
    target: str = "/",
    body: Any = b"",
    *,
    server: Server | None = None,
    is_validated: bool = True,
    **more: Any,
) -> Sent:
    """Send one request and return what came back.

    Args:
        app: The WSGI app.
        method: The HTTP method.
        target: The percent-encoded path and query.
        body: Bytes, an `Input`, or any other value, which is sent as JSON.
        server: Who serves it; give one to see what was sent by an app that raises.
        is_validated: Whether the standard library's validator watches both sides. It refuses environs that are not as
            PEP 3333 says.
        more: More for `environ`.
    """
    server = Server() if server is None else server
    body = body if isinstance(body, bytes | Input) else json.dumps(body).encode()
    server.serve(validator(app) if is_validated else app, environ(method, target, body, **more))
    return server.sent


class Body:
    """What an app returns: chunks, and exceptions to raise between them. Counts how often it is closed."""

    def __init__(self, *chunks: bytes | BaseException, close_raises: BaseException | None = None) -> None:
        self.produced = 0
        self.closes = 0
        self._chunks = chunks
        self._close_raises = close_raises

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.produced += 1
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk

    def close(self) -> None:
        self.closes += 1
        if self._close_raises is not None:
            raise self._close_raises


@dataclass
class App:
    """A WSGI app that records its calls and gives a fixed answer.

    `answer` is what it returns, if it is a `Body`; else bytes, or a value to be sent as JSON.
    """

    answer: Any = b""
    status: str = "200 OK"
    headers: WSGIHeaders = field(default_factory=lambda: list(JSON_HEADERS))
    raises: BaseException | None = None
    environs: list[Environ] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        self.environs.append(environ)
        self.bodies.append(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        if self.raises is not None:
            raise self.raises
        start_response(self.status, list(self.headers))
        if isinstance(self.answer, Body):
            return self.answer
        return [self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()]

    @property
    def is_called(self) -> bool:
        return bool(self.environs)

    @property
    def call(self) -> OpenAICall:
        """The one call that the app got."""
        [environ] = self.environs
        return environ["openai_middleware.call"]

    @property
    def kwargs(self) -> dict[str, Any]:
        return self.call.kwargs


def endpoint(
    app: Any,
    *,
    takes: Iterable[Any] = (),
    gives: Iterable[Any] = (),
    method: str = "POST",
    path: str = "/run",
    **options: Any,
) -> OpenAIWSGIMiddleware:
    """The middleware with one endpoint, which maps request bodies by the rules `takes` and answers by `gives`."""
    config = APIHandlerConfig()
    config.add_endpoint_handler(
        path,
        method,
        input_body_mappings=mappings(*takes) if takes else None,
        output_body_mappings=mappings(*gives) if gives else None,
    )
    return OpenAIWSGIMiddleware(app, config=config, **options)
