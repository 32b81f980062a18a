"""Every way to serve the OpenAI API, behind one interface: the same behaviour, the same request, the same reply.

A behaviour is a plain function from what the app sees of a request to its answer. A stack makes an app of it, in the
manner of its framework, and puts the middleware in front of that. Nothing here goes through a client library: the apps
are driven as servers drive them, and what they send is recorded as they send it.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.validate import validator

import flask
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from openai_middleware import OpenAICall, OpenAIMiddleware, OpenAIWSGIMiddleware
from openai_middleware.adapters import fastapi as fastapi_adapter
from openai_middleware.adapters import flask as flask_adapter
from openai_middleware.request.call import CALL_KEY
from tests.support.django_site import DjangoSite, Mode
from tests.support.drivers import Message, Sent, http_scope, part, read_body, request_messages, start

Headers = list[tuple[str, str]]
GROUPS = ["chat_completions", "responses", "completions", "embeddings", "models", "files"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
JSON: Headers = [("Content-Type", "application/json")]
EVENTS: Headers = [("Content-Type", "text/event-stream")]


@dataclass
class Seen:
    """A request as the app sees it; header names are in lower case."""

    call: OpenAICall | None
    headers: dict[str, str]
    body: bytes
    line: str = ""
    """The method, the path as it was sent, and the query, as in `GET /v1/models?limit=1`."""
    path: str = ""
    """The decoded path."""


@dataclass
class Answer:
    """What the app answers: a whole body, which gets its Content-Length, or one that comes in chunks."""

    body: bytes | Iterable[bytes]
    status: int = 200
    headers: Headers = field(default_factory=lambda: list(JSON))

    @property
    def all_headers(self) -> Headers:
        length = [("Content-Length", str(len(self.body)))] if isinstance(self.body, bytes) else []
        return [*self.headers, *length]


Behaviour = Callable[[Seen], Answer]


@dataclass
class Reply(Sent):
    """What a client gets, and what the server would have to log."""

    raised: Exception | None = None

    @property
    def chunks(self) -> list[bytes]:
        bodies = [m.get("body", b"") for m in self.messages if m["type"] == "http.response.body"]
        return [body for body in bodies if body]


@dataclass
class Stack:
    """One way to serve.

    Attributes:
        name: For test ids.
        build: Makes the app of a behaviour and the middleware's options.
        drive: Sends one request to such an app.
        not_utf8: What a path parameter has in place of the byte `%FF`. Django goes by its own reading of the path.
    """

    name: str
    build: Callable[..., Any]
    drive: Callable[..., Reply]
    not_utf8: str = "\ufffd"
    _behave: Behaviour = field(init=False, repr=False)

    def app(self, behave: Behaviour, **options: Any) -> "StackedApp":
        """An app with this behaviour.

        Without options, it serves the whole API at `/v1`. Without a `config`, the prefix is that too, and the groups
        are those that most tests are about: building all of them takes longer than a test does.
        """
        if not options:
            return StackedApp(self._app_without_options, self.drive, partial(setattr, self, "_behave", behave))
        if "config" not in options:
            options = {"prefix": "/v1", "endpoints": GROUPS, **options}
        return StackedApp(self.build(behave, options), self.drive)

    @cached_property
    def _app_without_options(self) -> Any:
        # Most tests are about this one, and building it takes longer than they do. A middleware keeps nothing of a
        # request, so that they may share it.
        return self.build(lambda seen: self._behave(seen), {"prefix": "/v1"})


@dataclass
class StackedApp:
    """An app behind the middleware. `prepare` is called before every request."""

    app: Any
    drive: Callable[..., Reply]
    prepare: Callable[[], object] = lambda: None

    def send(
        self,
        method: str,
        target: str,
        body: bytes | list[bytes] = b"",
        headers: Iterable[tuple[str, str]] = JSON,
        root_path: str = "",
        on_chunk: Callable[[bytes], object] = lambda chunk: None,
        fails: bool = False,
    ) -> Reply:
        """Send one request.

        Args:
            method: The HTTP method.
            target: The percent-encoded path, `root_path` included, and the query.
            body: The body, whole or in the chunks in which it arrives. Its Content-Length is sent.
            headers: The request headers.
            root_path: Where the app is mounted: `root_path` of ASGI, `SCRIPT_NAME` of WSGI.
            on_chunk: Called with every part of the answer's body as it leaves.
            fails: Whether an exception that reaches the server is expected, and recorded.
        """
        length = len(body) if isinstance(body, bytes) else sum(map(len, body))
        sent_headers = [*headers, *([("Content-Length", str(length))] if length else [])]
        self.prepare()
        reply = self.drive(self.app, method, target, body, sent_headers, root_path, on_chunk)
        if reply.raised is not None and not fails:
            raise reply.raised
        return reply


def drive_asgi(
    app: Any,
    method: str,
    target: str,
    body: bytes | list[bytes],
    headers: Headers,
    root_path: str = "",
    on_chunk: Callable[[bytes], object] = lambda chunk: None,
) -> Reply:
    """Drive an ASGI app as a server does whose client stays until the end."""
    reply = Reply()
    pending = request_messages(body)

    async def receive() -> Message:
        if not pending:
            await asyncio.Event().wait()
        return pending.pop(0)

    async def send(message: Message) -> None:
        reply.messages.append(message)
        if message.get("body"):
            on_chunk(message["body"])

    wire_headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope = http_scope(method, target, headers=wire_headers, root_path=root_path)
    try:
        asyncio.run(app(scope, receive, send))
    except Exception as error:
        reply.raised = error
    return reply


def wsgi_environ(
    method: str, target: str, body: bytes | list[bytes], headers: Iterable[tuple[str, str]], root_path: str = ""
) -> dict[str, Any]:
    """An environ as gunicorn makes it."""
    target = target.encode().decode("latin-1")
    raw_path, _, query = target.partition("?")
    path = unquote_to_bytes(raw_path.encode("latin-1")).decode("latin-1")
    special = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
    environ = {special.get(name.lower(), f"HTTP_{name.upper().replace('-', '_')}"): value for name, value in headers}
    return {
        **environ,
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": root_path,
        "PATH_INFO": path.removeprefix(root_path),
        "RAW_URI": target,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body if isinstance(body, bytes) else b"".join(body)),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def drive_wsgi(
    app: Any,
    method: str,
    target: str,
    body: bytes | list[bytes],
    headers: Headers,
    root_path: str = "",
    on_chunk: Callable[[bytes], object] = lambda chunk: None,
) -> Reply:
    """Drive a WSGI app as a server does whose client stays until the end, and check that it does as PEP 3333 says."""
    reply = Reply()

    def start_response(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], object]:
        wire_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        reply.messages.append(start(int(status[:3]), wire_headers))
        return lambda chunk: None

    try:
        chunks: Any = validator(app)(wsgi_environ(method, target, body, headers, root_path), start_response)
        with closing(chunks):
            for chunk in chunks:
                reply.messages.append(part(chunk, more_body=True))
                on_chunk(chunk)
            reply.messages.append(part(b""))
    except Exception as error:
        reply.raised = error
    return reply


def asgi_line(scope: Any) -> tuple[str, str]:
    query = scope["query_string"].decode()
    return f"{scope['method']} {scope['raw_path'].decode()}{'?' if query else ''}{query}", scope["path"]


def wsgi_line(environ: Any) -> tuple[str, str]:
    target, query = environ["RAW_URI"], environ["QUERY_STRING"]
    assert target.partition("?")[2] == query
    path = (environ["SCRIPT_NAME"] + environ["PATH_INFO"]).encode("latin-1").decode("utf-8", "replace")
    return f"{environ['REQUEST_METHOD']} {target}", path


async def asynchronous(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def raw_asgi(behave: Behaviour, options: dict[str, Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        answer = behave(Seen(scope.get(CALL_KEY), headers, await read_body(receive), *asgi_line(scope)))
        wire_headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.all_headers]
        await send(start(answer.status, wire_headers))
        if isinstance(answer.body, bytes):
            await send(part(answer.body))
            return
        for chunk in answer.body:
            await send(part(chunk, more_body=True))
        await send(part(b""))

    return OpenAIMiddleware(app, **options)


def raw_wsgi(behave: Behaviour, options: dict[str, Any]) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = {key[5:].lower().replace("_", "-"): environ[key] for key in environ if key.startswith("HTTP_")}
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answer = behave(Seen(environ.get(CALL_KEY), headers, body, *wsgi_line(environ)))
        start_response(f"{answer.status} Status", answer.all_headers)
        return [answer.body] if isinstance(answer.body, bytes) else answer.body

    return OpenAIWSGIMiddleware(app, **options)


def fastapi_app(behave: Behaviour, options: dict[str, Any]) -> Any:
    app = FastAPI()
    fastapi_adapter.set_openai_frontend(app, **options)

    @app.api_route("/{path:path}", methods=METHODS)
    async def serve(request: Request) -> Response:
        call, line = request.scope.get(CALL_KEY), asgi_line(request.scope)
        answer = behave(Seen(call, dict(request.headers), await request.body(), *line))
        headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.all_headers]
        body = answer.body
        response = Response(body) if isinstance(body, bytes) else StreamingResponse(asynchronous(body))
        response.status_code, response.raw_headers = answer.status, headers
        return response

    return app


def flask_app(behave: Behaviour, options: dict[str, Any]) -> Any:
    app = flask.Flask("stack")
    app.url_map.merge_slashes = False
    flask_adapter.set_openai_frontend(app, **options)

    @app.route("/", methods=METHODS, defaults={"path": ""}, provide_automatic_options=False)
    @app.route("/<path:path>", methods=METHODS, provide_automatic_options=False)
    def serve(path: str) -> flask.Response:
        request = flask.request
        headers = {name.lower(): value for name, value in request.headers.items()}
        environ = request.environ
        answer = behave(Seen(environ.get(CALL_KEY), headers, request.get_data(), *wsgi_line(environ)))
        return flask.Response(answer.body, answer.status, answer.all_headers)

    return app


def django_app(mode: Mode) -> Callable[[Behaviour, dict[str, Any]], Any]:
    def build(behave: Behaviour, options: dict[str, Any]) -> Any:
        def answer_of(request: HttpRequest) -> Answer:
            headers = {name.lower(): value for name, value in request.headers.items()}
            line, _ = asgi_line(request.scope) if hasattr(request, "scope") else wsgi_line(request.META)
            return behave(Seen(getattr(request, "openai_call", None), headers, request.body, line, request.path))

        def view(request: HttpRequest) -> Any:
            answer = answer_of(request)
            response_class = HttpResponse if isinstance(answer.body, bytes) else StreamingHttpResponse
            return response_class(answer.body, status=answer.status, headers=dict(answer.all_headers))

        async def async_view(request: HttpRequest) -> Any:
            answer = answer_of(request)
            headers = dict(answer.all_headers)
            if isinstance(answer.body, bytes):
                return HttpResponse(answer.body, status=answer.status, headers=headers)
            return StreamingHttpResponse(asynchronous(answer.body), status=answer.status, headers=headers)

        return DjangoSite(mode, view if mode == "sync" else async_view, options=options)

    return build


STACKS = [
    Stack("asgi", raw_asgi, drive_asgi),
    Stack("wsgi", raw_wsgi, drive_wsgi),
    Stack("fastapi", fastapi_app, drive_asgi),
    Stack("django-sync", django_app("sync"), drive_wsgi, not_utf8="%FF"),
    Stack("django-async", django_app("async"), drive_asgi),
    Stack("flask", flask_app, drive_wsgi),
]
