"""The WSGI driver: moves bytes between server, exchange and app (PEP 3333)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from io import BytesIO
from types import TracebackType
from typing import Any, Unpack

from openai_middleware.answer.event_stream import EventStream
from openai_middleware.config.checks import app_mistakes
from openai_middleware.contract import OpenAIEndpoint
from openai_middleware.errors import OpenAIError, raise_mistakes
from openai_middleware.exchange import Exchange, Handling, Header
from openai_middleware.frontend import Frontend, Options
from openai_middleware.request.call import CALL_KEY

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
WSGIHeaders = list[tuple[str, str]]
Write = Callable[[bytes], object]
StartResponse = Callable[..., Write]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]

_READ_SIZE = 64 * 1024


class OpenAIWSGIMiddleware:
    """Puts the OpenAI API in front of a WSGI app.

    Requests that match an operation reach the app with an `OpenAICall` under `"openai_middleware.call"` in the environ,
    and the app's successful answers leave as the official SDKs expect them. All else passes untouched.

    Args:
        app: The WSGI app.
        endpoints: The groups of operations to serve; None is every supported group, an empty list none.
        prefix: What the paths start with, such as `/v1`, or several of them; placeholders are allowed.
        options: See `openai_middleware.frontend.Options`.

    Raises:
        ConfigurationError: With every mistake in the arguments.
    """

    def __init__(
        self,
        app: WSGIApp,
        endpoints: Iterable[OpenAIEndpoint | str] | None = None,
        prefix: str | Iterable[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        raise_mistakes(app_mistakes(app))
        self._app = app
        self._frontend = Frontend(endpoints, prefix, **options)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as PEP 3333 says."""
        try:
            exchange = self._open(environ)
            if exchange is not None:
                environ = _environ_for_app(exchange, environ)
        except OpenAIError as error:
            return send_error(error, start_response)
        if exchange is None:
            return self._app(environ, start_response)
        answer = _Answer(exchange, start_response)
        try:
            returned = self._app(environ, answer.start_response)
        except Exception as error:
            return _ClosingIterator(answer, answer.ended_by(error))
        return answer.following(returned, environ.get("wsgi.file_wrapper"))

    def _open(self, environ: Environ) -> Exchange | None:
        script_name = _decoded(environ.get("SCRIPT_NAME", ""))
        return self._frontend.open(
            environ["REQUEST_METHOD"],
            script_name + _decoded(environ.get("PATH_INFO", "")),
            environ.get("QUERY_STRING", "").encode("latin-1"),
            [
                (b"content-type", environ.get("CONTENT_TYPE", "").encode("latin-1")),
                (b"content-length", environ.get("CONTENT_LENGTH", "").encode("latin-1")),
            ],
            raw_path=raw_path(environ),
            root_path=script_name,
        )


def _decoded(value: str) -> str:
    return value.encode("latin-1").decode("utf-8", "replace")


def raw_path(environ: Mapping[str, Any]) -> bytes | None:
    """The path as it was sent, where the server has it: uWSGI and mod_wsgi, or gunicorn. It may be a whole URL."""
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    if not isinstance(target, str):
        return None
    if not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]
    return target.encode("latin-1", "replace")


def _environ_for_app(exchange: Exchange, environ: Environ) -> Environ:
    """The environ as the app is to see it: a copy, with the call and with the body to be read again."""
    environ = environ.copy()
    # What `Exchange.request_headers` leaves out.
    environ.pop("HTTP_ACCEPT_ENCODING", None)
    body = None
    if exchange.reads_body:
        body = _read_body(exchange, environ)
        environ["wsgi.input"] = BytesIO(body)
        environ["wsgi.input_terminated"] = True
        environ["CONTENT_LENGTH"] = str(len(body))
    environ[CALL_KEY] = exchange.receive(body)
    return environ


def _read_body(exchange: Exchange, environ: Environ) -> bytes:
    """Read the body, never past Content-Length: on most servers that would wait for the next request.

    Raises:
        BadRequestError: The body ends before its declared length.
        RequestTooLargeError: The body is over the limit.
    """
    stream = environ["wsgi.input"]
    length = exchange.content_length
    if length is None and not environ.get("wsgi.input_terminated"):
        return b""
    chunks: list[bytes] = []
    size = 0
    while length is None or size < length:
        chunk = stream.read(_READ_SIZE if length is None else min(_READ_SIZE, length - size))
        if not chunk:
            break
        size += len(chunk)
        exchange.check_size(size)
        chunks.append(chunk)
    exchange.check_end(size)
    return b"".join(chunks)


def status_line(status: int) -> str:
    """The status with its phrase, as WSGI wants it."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Error"


def _as_bytes(headers: Iterable[tuple[str, str]]) -> list[Header]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _as_text(headers: Iterable[Header]) -> WSGIHeaders:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def send_error(error: OpenAIError, start_response: StartResponse) -> list[bytes]:
    """Start an error as a whole answer, and return its body."""
    status, headers, body = error.response()
    start_response(status_line(status), _as_text(headers))
    return [body]


class _Answer:
    """The app's answer on its way to the server. The server's `start_response` waits until the first bytes leave."""

    def __init__(self, exchange: Exchange, start_response: StartResponse) -> None:
        self._exchange = exchange
        self._start_response = start_response
        self._handling: Handling | None = None
        self._start: tuple[str, WSGIHeaders] | None = None
        self._write: Write | None = None
        self._collected: list[bytes] = []
        self._events: EventStream | None = None
        self._is_broken = False
        self.has_started = False
        self.failure: Exception | None = None

    def start_response(self, status: str, headers: WSGIHeaders, exc_info: ExcInfo | None = None) -> Write:
        """The app's `start_response`."""
        if self._handling is not None and exc_info is None:
            raise RuntimeError("start_response was called twice, and without exc_info.")
        if self.has_started:
            return self._start_response(status, headers, exc_info)
        self._start = (status, headers)
        self._collected.clear()
        self._handling = self._exchange.start_response(int(status[:3]), _as_bytes(headers))
        self._events = None
        if self._handling is Handling.STREAM:
            event_headers, self._events = self._exchange.event_stream()
            self._start = (status, _as_text(event_headers))
        return self.write

    def write(self, data: bytes) -> None:
        """The callable that `start_response` returns (PEP 3333, "The write() Callable")."""
        self._send(self._take(data))

    def following(self, chunks: Iterable[bytes], file_wrapper: object) -> Iterable[bytes]:
        """What the server iterates over, given what the app returned."""
        if self._handling is Handling.PASS and isinstance(file_wrapper, type) and isinstance(chunks, file_wrapper):
            # The server may send a file faster than Python can read it.
            self._begin()
            return chunks
        return _ClosingIterator(self, self._mapped(chunks), chunks)

    def ended_by(self, error: Exception) -> Iterable[bytes]:
        """What is still to leave for an app that failed. Raises the error where that is nothing."""
        if isinstance(error, OpenAIError) and not self.has_started:
            return send_error(error, self._start_response)
        if self._events is None or not self.has_started or self._is_broken:
            raise error
        self.failure = error
        return [self._events.fail(error)]

    def _mapped(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                taken = self._take(chunk)
                if taken:
                    yield taken
            rest = self._finish()
            if rest:
                yield rest
        except Exception as error:
            yield from self.ended_by(error)

    def _take(self, chunk: bytes) -> bytes:
        """Take some bytes of the app, and return those that leave now."""
        if self._handling is None:
            raise RuntimeError("The app sent a body before it called start_response.")
        if self._handling is Handling.MAP:
            self._collected.append(chunk)
            return b""
        if self._events is not None:
            chunk = self._events.feed(bytes(chunk))
        if chunk:
            self._begin()
        return chunk

    def _finish(self) -> bytes:
        """The app has sent all; return what is still to leave."""
        if self._handling is None:
            raise RuntimeError("The app ended before it called start_response.")
        rest = b""
        if self._events is not None:
            rest = self._events.finish()
        elif self._handling is Handling.MAP and self._start is not None:
            headers, rest = self._exchange.finish(b"".join(self._collected))
            if headers is not None:
                self._start = (self._start[0], _as_text(headers))
        self._begin()
        return rest

    def _begin(self) -> None:
        if self._start is not None and not self.has_started:
            self._write = self._start_response(*self._start)
            self.has_started = True

    def _send(self, data: bytes) -> None:
        if not data or self._write is None:
            return
        try:
            self._write(data)
        except Exception:
            self._is_broken = True
            raise


class _ClosingIterator:
    """An iterator that closes what the app returned, exactly once, however the iteration ends."""

    def __init__(self, answer: _Answer, chunks: Iterable[bytes], returned: Iterable[bytes] = ()) -> None:
        self._answer = answer
        self._chunks = iter(chunks)
        self._close: Callable[[], object] | None = getattr(returned, "close", None)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        close, self._close = self._close, None
        try:
            if close is not None:
                close()
        finally:
            failure, self._answer.failure = self._answer.failure, None
            if failure is not None:
                # Not before: where iterating fails, servers cut the connection instead of ending the stream.
                raise failure
