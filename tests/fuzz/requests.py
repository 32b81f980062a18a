"""Any request, and any answer to it, through both drivers.

An input is a letter that chooses the middleware, and then text as on the wire: a request, and after a line `----` the
app's answer, in as many pieces as there are more such lines. A `!` after its status makes the app fail at the end, a
`?` makes it raise an error of the API.

    1POST /v1/chat/completions?limit=2
    content-type: application/json

    {"model": "m", "messages": []}
    ----
    200 application/json

    {"id": "c"}
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from openai_middleware import APIHandlerAction, APIHandlerConfig, OpenAIMiddleware, OpenAIWSGIMiddleware
from openai_middleware.errors import NotFoundError
from openai_middleware.interfaces import status_line
from openai_middleware.request.call import CALL_KEY
from tests.fuzz.drive import Reply, Request, through_asgi, through_wsgi
from tests.support.drivers import mappings, part, start, without_made_id
from tests.support.models import Endpoint, as_decoded, as_sent, find, is_forbidden

LIMIT = 2000
PIECE = b"\n----\n"
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
METHOD = re.compile(rb"[A-Z]{1,10}")


def config() -> APIHandlerConfig:
    own = APIHandlerConfig(include_url_info=True)
    own.set_openai_frontend(["chat_completions", "responses", "models", "files"], "/v1")
    own.add_endpoint_handler("/own/{x}", "POST", input_body_mappings=mappings(("$.model", "m"), ("$..a", "deep")))
    own.add_endpoint_handler("/own/{x}/{y}", "GET", output_body_mappings=mappings(("$.x", "y", True)))
    own.add_endpoint_handler("/own/secret", "GET", APIHandlerAction.FORBID)
    own.add_endpoint_handler("/own/{x}/keys/", "POST", APIHandlerAction.FORBID)
    own.add_endpoint_handler("/admin/*", "GET", APIHandlerAction.FORBID)
    own.add_endpoint_handler("/admin/open", "GET")
    return own


class App:
    """An app for both interfaces that answers what the input says."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self.fails: Exception | None = None
        self.calls: list[Any] = []

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        self.calls.append((scope.get(CALL_KEY), body))
        if self.fails is not None and not any(self.chunks):
            raise self.fails
        await send(start(self.status, self.headers))
        for chunk in self.chunks:
            await send(part(chunk, more_body=True))
        if self.fails is not None:
            raise self.fails
        await send(part(b""))

    def wsgi(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        self.calls.append((environ.get(CALL_KEY), body))
        if self.fails is not None and not any(self.chunks):
            raise self.fails
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]
        start_response(status_line(self.status), headers)
        return self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.fails is not None:
            raise self.fails


# What is made for one answer alone: its ids and its time.
MADE = re.compile(rb'[0-9a-f]{32}|"(?:created|created_at|completed_at)":[0-9]+')
APP = App()
CONFIG = config()
ENDPOINTS = [
    Endpoint(e.http_method.value, e.path, e.action is APIHandlerAction.FORBID) for e in CONFIG.endpoints.values()
]
OPTIONS: list[dict[str, Any]] = [{}, {"unmatched": "reject"}, {"absent_optional": "null", "extra_fields": "keep"}]
MIDDLEWARES: list[tuple[Any, Any, str]] = [
    (
        OpenAIMiddleware(APP.asgi, config=CONFIG, max_body_size=LIMIT, **options),
        OpenAIWSGIMiddleware(APP.wsgi, config=CONFIG, max_body_size=LIMIT, **options),
        options.get("unmatched", "pass"),
    )
    for options in OPTIONS
]


def check(data: bytes) -> None:
    """Serve one request by both drivers, and compare the two, and what they do with what they should."""
    read = parsed(data)
    if read is None:
        return
    request, (asgi_app, wsgi_app, unmatched) = read
    APP.calls = []
    asgi, wsgi = through_asgi(asgi_app, request), through_wsgi(wsgi_app, request)
    assert left(asgi) == left(wsgi) or (request.method == "HEAD" and not APP.calls), (left(asgi), left(wsgi))
    assert len(APP.calls) in (0, 2)
    if APP.calls:
        assert seen(*APP.calls[0]) == seen(*APP.calls[1])
    check_decision(request, asgi, unmatched)
    check_answer(asgi)


def parsed(data: bytes) -> tuple[Request, tuple[Any, Any, str]] | None:
    """The request, and who serves it. What no server would hand on is None."""
    first, *answer = data[1:].split(PIECE)
    head, _, body = first.partition(b"\n\n")
    line, *lines = head.split(b"\n")
    method, _, target = line.partition(b" ")
    if not METHOD.fullmatch(method) or not target.startswith(b"/") or any(byte <= 32 or byte == 127 for byte in target):
        return None
    head, _, piece = (answer or [b"200 application/json\n\n{}"])[0].partition(b"\n\n")
    status, *answer_lines = head.split(b"\n")
    code, _, kind = status.partition(b" ")
    APP.status = int(code[:3]) if code[:3].isdigit() and 200 <= int(code[:3]) <= 599 else 200
    APP.fails = {b"!": KeyError("secret"), b"?": NotFoundError("There is none.")}.get(code[3:4])
    APP.headers = [(b"Content-Type", kind), *headers(answer_lines)]
    APP.chunks = [piece, *answer[1:]]
    request = Request(method.decode(), target, [(name.lower(), value) for name, value in headers(lines)], body)
    return request, MIDDLEWARES[data[0] % len(MIDDLEWARES)]


def headers(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Headers as a server hands them on: each name once, as a WSGI environ has it; the length is the server's."""
    found: dict[bytes, tuple[bytes, bytes]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        key = name.lower().replace(b"_", b"-")
        if colon and TOKEN.fullmatch(name) and b"_" not in name and key != b"content-length" and value.strip():
            found[key] = (name, value.strip())
    return list(found.values())


def left(reply: Reply) -> Any:
    # WSGI servers do not hear of a stream that failed after its start: it is logged instead.
    raised = None if reply.status else repr(reply.raised)
    return reply.status, without_made_id(reply.headers), MADE.sub(b"", reply.body) if reply.status else b"", raised


def seen(call: Any, body: bytes) -> Any:
    if call is None:
        return body
    names = ("operation", "method", "path", "body", "kwargs", "path_params", "query_params", "body_params")
    return [body, *(repr(getattr(call, name)) for name in names), sorted(set(call.headers) - {"content-length"})]


def check_decision(request: Request, reply: Reply, unmatched: str) -> None:
    """Whether the request was forbidden, taken or passed as a plain reading of the configuration has it."""
    path = request.path.decode("latin-1")
    code = error_of(reply)["code"] if not APP.calls else None
    assert (code == "forbidden") == is_forbidden(ENDPOINTS, request.method, path)
    if code == "forbidden":
        return
    is_taken = bool(find(ENDPOINTS, request.method, as_sent(path)) or find(ENDPOINTS, request.method, as_decoded(path)))
    if APP.calls:
        assert (APP.calls[0][0] is not None) == is_taken
        assert is_taken or unmatched == "pass"
    else:
        assert is_taken or unmatched == "reject"
        assert (reply.status in (404, 405)) != is_taken
        assert (reply.status == 413) == (is_taken and len(request.body) > LIMIT and not is_streamed(request))


def is_streamed(request: Request) -> bool:
    kind = dict(request.headers).get(b"content-type", b"").partition(b";")[0].strip().lower()
    return kind.startswith((b"multipart/", b"application/octet-stream"))


def check_answer(reply: Reply) -> None:
    """No exception but the app's, no 5xx but the app's, and a length that is right."""
    if not APP.calls:
        assert reply.raised is None
        assert reply.status in (400, 403, 404, 405, 413, 422)
        return
    assert reply.raised in (None, APP.fails)
    # 400: several choices of a text; 500: a stream that was to be collected, and has no end.
    assert reply.status in (None, APP.status, 400, 422, 500) or APP.fails is not None
    assert reply.status is None or reply.status <= 500 or reply.status == APP.status
    if isinstance(APP.fails, KeyError):
        assert b"secret" not in reply.body or any(b"secret" in chunk for chunk in APP.chunks)
    for name, value in reply.headers:
        assert name != b"content-length" or int(value) == len(reply.body)


def error_of(reply: Reply) -> dict[str, Any]:
    """The error of an envelope, checked for its form."""
    error = json.loads(reply.body)["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert isinstance(error["message"], str)
    return error
