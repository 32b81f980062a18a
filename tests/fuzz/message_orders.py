"""Any order of messages: of an app that answers, fails and starts over, and of a server that goes away.

The first bytes of an input say when the server's `send` fails and which middleware it is; each of the others is a step
of the app.
"""

import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from openai_middleware import OpenAIMiddleware, OpenAIWSGIMiddleware
from openai_middleware.errors import RateLimitError
from tests.fuzz.drive import run
from tests.support.drivers import Message, http_scope, part, start

JSON, EVENTS, TEXT = b"application/json", b"text/event-stream", b"text/plain"
DOCUMENT = b'{"id": "c", "object": "o", "created": 1, "model": "m", "choices": [], "junk": 1}'
CHUNK = b'data: {"id": "c", "choices": [], "junk": 1}\n\n'
REQUEST = b'{"model": "m", "messages": [], "stream": true}'


class SecretError(Exception):
    """A failure of the app that no client may read of."""


class GoneError(OSError):
    """What the server's `send` raises."""


class App:
    """An app that takes its steps out of the input. `is_legal` tells whether they are such as ASGI or WSGI allows."""

    def __init__(self, steps: bytes) -> None:
        self.steps = steps
        self.is_legal = True
        self.has_begun = self.is_over = self.has_returned = False
        self.closes = 0
        self.raised: BaseException | None = None

    def begins(self, *, again: bool = False) -> None:
        self.is_legal = self.is_legal and (again or not self.has_begun)
        self.has_begun = True

    def sends(self, *, more: bool) -> None:
        self.is_legal = self.is_legal and self.has_begun and not self.is_over
        self.is_over = self.is_over or not more

    def failing(self, error: Exception) -> Exception:
        self.raised = error
        return error

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        for step in self.steps:
            kind = step % 20
            if kind < 7:
                status, content_type = STARTS[kind]
                self.begins()
                await send(start(status, [(b"content-type", content_type)]))
            elif kind < 13:
                body, more = BODIES[kind - 7]
                self.sends(more=more)
                await send(part(body, more_body=more))
            elif kind == 13:
                await receive()
            elif kind == 14:
                raise self.failing(RateLimitError("Later."))
            elif kind == 15:
                raise self.failing(SecretError("secret"))
            elif kind == 16:
                await self._page(send, RateLimitError("Later."))
            elif kind == 17:
                await self._page(send, SecretError("secret"))
            elif kind == 18:
                await send({"type": "http.response.debug", "info": {}})
            else:
                self.sends(more=False)
                await send({"type": "http.response.pathsend", "path": "/file"})

    async def _page(self, send: Any, error: Exception) -> None:
        """As frameworks do: an exception is answered with a page, where nothing was sent, and raised again."""
        try:
            raise self.failing(error)
        except (RateLimitError, SecretError):
            if not self.has_begun:
                self.begins()
                await send(start(500, [(b"content-type", TEXT)]))
                self.sends(more=False)
                await send(part(b"Internal Server Error"))
            raise

    def wsgi(self, environ: Any, start_response: Any) -> Any:
        self.write: Callable[[bytes], object] = lambda data: None
        before, _, after = self.steps.partition(b"\xff")
        for _ in self._taken(before, start_response):
            self.is_legal = False  # before it has returned, an app can only write
        self.has_returned = True
        return Returned(self, self._taken(after, start_response))

    def _taken(self, steps: bytes, start_response: Any) -> Iterator[bytes]:
        for step in steps:
            kind = step % 20
            if kind < 7:
                status, content_type = STARTS[kind]
                self.begins()
                self.write = start_response(f"{status} Status", [("Content-Type", content_type.decode())])
            elif kind < 13:
                self.sends(more=True)
                yield BODIES[kind - 7][0]
            elif kind == 13:
                self.sends(more=True)
                self.write(CHUNK)
            elif kind in (14, 15):
                raise self.failing(RateLimitError("Later.") if kind == 14 else SecretError("secret"))
            elif kind in (16, 17):
                try:
                    raise SecretError("secret")
                except SecretError as error:
                    self.raised = error
                    self.begins(again=True)
                    start_response("500 Error", [("Content-Type", "text/plain")], sys.exc_info())
                    self.raised = None


class Returned:
    """What a WSGI app returns."""

    def __init__(self, app: App, chunks: Iterator[bytes]) -> None:
        self.app = app
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks

    def close(self) -> None:
        self.app.closes += 1


STARTS = [(200, JSON), (200, EVENTS), (404, JSON), (500, JSON), (200, TEXT), (204, b""), (500, EVENTS)]
BODIES = [(CHUNK, True), (CHUNK[:20], True), (b"", False), (DOCUMENT, False), (b"", True), (b"data: [DONE]\n\n", True)]
APPS: list[App] = []


async def _asgi(scope: Any, receive: Any, send: Any) -> None:
    await APPS[0].asgi(scope, receive, send)


def _wsgi(environ: Any, start_response: Any) -> Any:
    return APPS[0].wsgi(environ, start_response)


PATHS = ["/v1/chat/completions", "/v1/responses", "/elsewhere"]
ASGI = OpenAIMiddleware(_asgi, prefix="/v1")
WSGI = OpenAIWSGIMiddleware(_wsgi, prefix="/v1")


def check(data: bytes) -> None:
    """Send one request through both drivers to an app that takes these steps."""
    if len(data) < 2:
        return
    path, fails_at, steps = PATHS[data[0] % len(PATHS)], data[1] % 16, data[2:40]
    check_asgi(App(steps), path, fails_at)
    check_wsgi(App(steps), path, fails_at)


def check_asgi(app: App, path: str, fails_at: int) -> None:
    APPS[:] = [app]
    sent: list[Message] = []
    gone: list[GoneError] = []
    pending = [{"type": "http.request", "body": REQUEST, "more_body": False}]

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        assert not (gone and app.is_legal), "a message after the client had gone"
        if fails_at and len(sent) + 1 == fails_at:
            gone.append(GoneError())
            raise gone[0]
        sent.append(message)

    raised = None
    try:
        run(ASGI(http_scope("POST", path, headers=[(b"content-type", JSON)]), receive, send))
    except Exception as error:
        raised = error
    is_second_start = str(raised) == "The app sent a second http.response.start."
    assert raised is None or raised is app.raised or raised in gone or is_second_start, raised
    assert not gone or raised is not None or isinstance(app.raised, RateLimitError) or app.raised is None
    if not app.is_legal:
        return
    kinds = [message["type"] for message in sent if message["type"] != "http.response.debug"]
    assert kinds.count("http.response.start") <= 1
    assert "http.response.start" not in kinds[1:], "a body before its start"
    ends = [
        index
        for index, message in enumerate(sent)
        if message["type"].endswith("pathsend") or (message["type"].endswith("body") and not message.get("more_body"))
    ]
    assert len(ends) <= 1, "two ends"
    bodies = [index for index, message in enumerate(sent) if message["type"].endswith(("body", "pathsend"))]
    assert not ends or ends[0] == bodies[-1], "a body after the end"
    body = b"".join(message.get("body", b"") for message in sent)
    assert b"secret" not in body
    if app.is_over and raised is None and not gone:
        assert ends, "an answer that the app has ended is not"
    if app.raised is None and not app.is_over and not gone:
        assert not ends, "an answer that the app has not ended is"


def check_wsgi(app: App, path: str, fails_at: int) -> None:
    APPS[:] = [app]
    gone: list[GoneError] = []
    starts: list[str] = []
    sent: list[bytes] = []

    def write(data: bytes) -> None:
        assert starts, "a body before its start"
        if fails_at and len(sent) + 1 == fails_at:
            gone.append(GoneError())
            raise gone[0]
        sent.append(data)

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info and any(sent):
            raise exc_info[1].with_traceback(exc_info[2])
        assert exc_info or not starts, "started twice"
        starts.append(status)
        return write

    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(REQUEST)),
        "wsgi.input": BytesIO(REQUEST),
    }
    raised = None
    returned: Any = None
    try:
        returned = WSGI(environ, start_response)
        try:
            for chunk in returned:
                write(chunk)
        finally:
            if hasattr(returned, "close"):
                returned.close()
    except AssertionError:
        if app.is_legal:
            raise
        return
    except Exception as error:
        raised = error
    if not app.is_legal or not app.has_begun:
        return
    is_second_start = str(raised) == "The app sent a second http.response.start."
    assert raised is None or raised is app.raised or raised in gone or is_second_start, raised
    assert b"secret" not in b"".join(sent)
    assert app.closes == app.has_returned
