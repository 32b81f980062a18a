"""The WSGI driver: moves bytes between server, exchange and app (PEP 3333)."""

import logging
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from itertools import chain
from typing import Unpack

from openai_middleware.answer.answer import Answer
from openai_middleware.config.app import app_mistakes
from openai_middleware.contract import GroupName, OpenAIEndpoint
from openai_middleware.drivers.environ import keys_left_out, raw_path, redirected, request_headers
from openai_middleware.drivers.recording import RecordedStart
from openai_middleware.errors import OpenAIError
from openai_middleware.exchange import Exchange
from openai_middleware.frontend import Frontend
from openai_middleware.handlers.wsgi_app import answer_call
from openai_middleware.headers import as_bytes, as_text
from openai_middleware.interfaces import Environ, ExcInfo, StartResponse, Write, WSGIApp, WSGIHeaders, start_error
from openai_middleware.keeping import StoreSession
from openai_middleware.mistakes import report_mistakes
from openai_middleware.options import Options
from openai_middleware.request.body import BodyReader
from openai_middleware.request.call import CALL_KEY, AppRequest

logger = logging.getLogger("openai_middleware")

_FAILED = "%s: the app failed after its event stream had begun (request %s)."
_READ_SIZE = 64 * 1024


class WSGIDriver:
    """Serves a WSGI app through a frontend.

    Args:
        app: The WSGI app.
        frontend: What opens exchanges.

    Attributes:
        app: The app.
        frontend: What opens exchanges.

    Raises:
        ConfigurationError: The app cannot be called, or is one of ASGI.
    """

    def __init__(self, app: WSGIApp, frontend: Frontend) -> None:
        report_mistakes(app_mistakes(app, "WSGI"))
        frontend.warn_of_another(app)
        self.app = app
        self.frontend = frontend

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as PEP 3333 says."""
        path = _decoded(environ.get("SCRIPT_NAME", "")) + _decoded(environ.get("PATH_INFO", ""))
        exchange = request = session = None
        try:
            exchange = self._open(environ, path)
            if exchange is not None:
                session = None if exchange.store is None else exchange.store.session(environ)
                request = _received(exchange, environ, session)
        except OpenAIError as error:
            if exchange is not None:
                exchange.refuse(error)
            body = self.refused(error, environ, start_response)
            return [] if environ["REQUEST_METHOD"] == "HEAD" else body
        if exchange is None or request is None:
            return self.app(environ, start_response)
        app_environ = _environ_for_app(request, environ, path)
        if session is None:
            return self._answered(exchange, request, app_environ, start_response)
        recorded = RecordedStart(session, exchange.request_id, start_response)
        answer = self._answered(exchange, request, app_environ, recorded.start_response)
        return _Leaving(recorded.chunks(answer), answer)

    def refused(self, error: OpenAIError, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request that does not reach the app."""
        return start_error(error, start_response)

    def _open(self, environ: Environ, path: str) -> Exchange | None:
        return self.frontend.open(
            environ["REQUEST_METHOD"],
            path,
            environ.get("QUERY_STRING", "").encode("latin-1"),
            request_headers(environ),
            raw_path=raw_path(environ),
            root_path=_decoded(environ.get("SCRIPT_NAME", "")),
        )

    def _answered(
        self, exchange: Exchange, request: AppRequest, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        outgoing = _Outgoing(exchange, start_response)
        try:
            if exchange.handler is not None:
                returned = answer_call(exchange.handler, request.call, outgoing.start_response)
            else:
                returned = self.app(environ, outgoing.start_response)
        except Exception as error:
            return _Leaving(outgoing.ended_by(error))
        return outgoing.following(returned, environ.get("wsgi.file_wrapper"))


class OpenAIWSGIMiddleware(WSGIDriver):
    """Puts the OpenAI API in front of a WSGI app.

    Requests that match an operation reach the app with an `OpenAICall` under `"openai_middleware.call"` in the environ,
    and the app's successful answers leave as the official SDKs expect them. All else passes untouched. The arguments
    are those of `OpenAIMiddleware`.

    Raises:
        ConfigurationError: With every mistake in the arguments.
    """

    def __init__(
        self,
        app: WSGIApp,
        endpoints: Iterable[OpenAIEndpoint | GroupName | str] | None = None,
        prefix: str | Iterable[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(app, Frontend(endpoints, prefix, **options))


def _decoded(value: str) -> str:
    return value.encode("latin-1").decode("utf-8", "replace")


def _received(exchange: Exchange, environ: Environ, session: StoreSession | None) -> AppRequest:
    request = exchange.receive(_read_body(exchange.body_reader, environ))
    if session is not None:
        request = session.prepare(request)
    return request if exchange.rewrite is None else exchange.rewrite.request(request, exchange.mount)


def _environ_for_app(request: AppRequest, environ: Environ, path: str) -> Environ:
    """The environ as the app is to see it: a copy, with the call and with the body to be read again."""
    environ = environ.copy()
    for key in keys_left_out(environ, request):
        del environ[key]
    if request.path != path:
        below = request.path.removeprefix(_decoded(environ.get("SCRIPT_NAME", "")))
        environ["PATH_INFO"] = below.encode().decode("latin-1")
    if request.raw_path is not None:
        environ |= redirected(environ, request)
    if request.body is not None:
        environ["wsgi.input"] = BytesIO(request.body)
        environ["wsgi.input_terminated"] = True
        environ["CONTENT_LENGTH"] = str(len(request.body))
    environ[CALL_KEY] = request.call
    return environ


def _read_body(reader: BodyReader | None, environ: Environ) -> bytes | None:
    """Read the body, or return None where the app reads it itself.

    It is never read past Content-Length: on most servers that would wait for the next request.

    Raises:
        BadRequestError: The body ends before its declared length.
        RequestTooLargeError: The body is over the limit.
    """
    if reader is None:
        return None
    stream = environ["wsgi.input"]
    length = reader.content_length
    if length is None and not environ.get("wsgi.input_terminated"):
        return b""
    while length is None or reader.size < length:
        chunk = stream.read(_READ_SIZE if length is None else min(_READ_SIZE, length - reader.size))
        if not chunk:
            break
        reader.feed(chunk)
    return reader.end()


class _Outgoing:
    """The app's answer on its way to the server. The server's `start_response` waits until the first bytes leave."""

    def __init__(self, exchange: Exchange, start_response: StartResponse) -> None:
        self._exchange = exchange
        self._start_response = start_response
        self._start: tuple[str, WSGIHeaders] | None = None
        self._answer: Answer | None = None
        self._write: Write | None = None
        self._is_broken = False
        self.has_started = False

    def start_response(self, status: str, headers: WSGIHeaders, exc_info: ExcInfo | None = None) -> Write:
        """The app's `start_response`."""
        if self._start is not None and exc_info is None:
            raise RuntimeError("start_response was called twice, and without exc_info.")
        if self.has_started:
            return self._start_response(status, headers, exc_info)
        given = as_bytes(headers)
        sent, self._answer = self._exchange.begin(int(status[:3]), given)
        self._start = (status, headers if sent is given else as_text(sent))
        return self.write

    def write(self, data: bytes) -> None:
        """The callable that `start_response` returns (PEP 3333, "The write() Callable")."""
        taken = self._take(data)
        if not taken or self._write is None:
            return
        try:
            self._write(taken)
        except Exception:
            self._is_broken = True
            raise

    def following(self, chunks: Iterable[bytes], file_wrapper: object) -> Iterable[bytes]:
        """What the server iterates over, given what the app returned."""
        is_file = isinstance(file_wrapper, type) and isinstance(chunks, file_wrapper)
        if is_file and self._start is not None and self._answer is None:
            # The server may send a file faster than Python can read it.
            self._begin()
            return chunks
        return _Leaving(self._mapped(chunks), chunks)

    def ended_by(self, error: Exception) -> Iterable[bytes]:
        """What is still to leave for an app that failed. Raises the error where that is nothing."""
        if isinstance(error, OpenAIError) and not self.has_started:
            self.has_started = True
            return start_error(error, self._start_response, request_id=self._exchange.request_id)
        if self._answer is None or not self.has_started or self._is_broken:
            raise error
        # It is not raised, neither here nor by `close`: servers would cut the connection instead of ending the stream.
        logger.error(_FAILED, self._exchange.name, self._exchange.request_id, exc_info=error)
        return [self._answer.fail(error)]

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
        if self._start is None:
            raise RuntimeError("The app sent a body before it called start_response.")
        if self._answer is not None:
            chunk = self._answer.feed(bytes(chunk))
        if chunk and not self.has_started:
            self._begin()
        return chunk

    def _finish(self) -> bytes:
        """The app has sent all; return what is still to leave."""
        if self._start is None:
            raise RuntimeError("The app ended before it called start_response.")
        rest = b"" if self._answer is None else self._answer.finish()
        self._begin()
        return rest

    def _begin(self) -> None:
        if self._start is not None and not self.has_started:
            status, headers = self._start
            if self._answer is not None:
                headers = as_text(self._answer.headers)
            self._write = self._start_response(status, headers)
            self.has_started = True


class _Leaving:
    """An iterator that closes what the app returned, exactly once, however the iteration ends."""

    def __init__(self, chunks: Iterable[bytes], returned: Iterable[bytes] = ()) -> None:
        self._close: Callable[[], object] | None = getattr(returned, "close", None)
        self._chunks = iter(chunks)
        try:
            # Some servers want `start_response` called before they get this: it is called when the first bytes leave.
            first = next(self._chunks, None)
        except BaseException:
            self.close()
            raise
        self._chunks = chain(() if first is None else (first,), self._chunks)

    def __iter__(self) -> Iterator[bytes]:
        # Not itself: `close` is all that a server wants of this one, and each chunk would pass through here.
        return self._chunks

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            close()
