"""What stands around the middleware, in both orders: authentication, sessions, cross-origin rules, compression, a
second instance, and a mount.

"Outside" is in front of the middleware: it sees a request first. "Inside" is between the middleware and the app.
"""

import gzip
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple

import httpx
import openai
import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from flask import Flask
from openai import OpenAI
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    SimpleUser,
    requires,
)
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from openai_middleware import HandlerApp, OpenAIMiddleware, OpenAIWSGIMiddleware, WSGIHandlerApp, errors
from openai_middleware.adapters.flask import openai_call, set_openai_frontend
from openai_middleware.request.call import CALL_KEY
from tests.support.django_site import MIDDLEWARE, DjangoSite, Mode
from tests.support.drivers import Header, part, read_body, start
from tests.support.samples import CHUNK, COMPLETION
from tests.support.servers import gunicorn_server, uvicorn_server
from tests.support.stacks import Headers, Reply, StackedApp, drive_asgi, drive_wsgi

Place = Literal["outside", "inside"]
PLACES: list[Place] = ["outside", "inside"]

JSON: Headers = [("content-type", "application/json")]
EVENTS: Headers = [("content-type", "text/event-stream")]
CREATE = "/v1/chat/completions"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Who am I?"}]}
BODY = json.dumps(QUESTION).encode()
STREAM_BODY = json.dumps({**QUESTION, "stream": True}).encode()
USERS = {"Bearer sk-ada": "ada"}
ADA = [*JSON, ("Authorization", "Bearer sk-ada")]
REFUSALS = {
    401: b'{"detail": "Who are you?",  "internal": 1}',
    403: b'{"detail": "You may not.",  "internal": 1}',
}
REFUSAL_HEADERS: Headers = [("content-type", "application/json"), ("etag", '"1"'), ("www-authenticate", "Bearer")]


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
JUNK_STREAM = [event({**CHUNK, "junk": number}) for number in range(2)]
STREAM = event(CHUNK) * 2 + DONE


def decoded(stream: bytes) -> list[Any]:
    return [json.loads(line[6:]) if line[6:] != b"[DONE]" else "[DONE]" for line in stream.split(b"\n\n") if line]


# Apps and checks without a framework


class Seen(NamedTuple):
    """What an app or a check finds in a request."""

    call: Any
    headers: dict[str, str]
    user: Any


def asgi_app(seen: list[Seen], answer: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(seen_in_scope(scope))
        await read_body(receive)
        is_stream = isinstance(answer, list)
        await send(start(200, in_bytes(EVENTS if is_stream else JSON)))
        for chunk in answer if is_stream else [json.dumps(answer).encode()]:
            await send(part(chunk, more_body=True))
        await send(part(b""))

    return app


def asgi_check(app: Any, seen: list[Seen], refusal: Any = 401) -> Any:
    async def check(scope: Any, receive: Any, send: Any) -> None:
        seen.append(seen_in_scope(scope))
        user = USERS.get(seen[-1].headers.get("authorization", ""))
        if user is not None:
            scope["user"] = user
            await app(scope, receive, send)
        elif isinstance(refusal, Exception):
            raise refusal
        else:
            await send(start(refusal, in_bytes(REFUSAL_HEADERS)))
            await send(part(REFUSALS[refusal]))

    return check


def in_bytes(headers: Headers) -> list[Header]:
    return [(name.encode(), value.encode()) for name, value in headers]


def seen_in_scope(scope: Mapping[str, Any]) -> Seen:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    return Seen(scope.get(CALL_KEY), headers, scope.get("user"))


def wsgi_app(seen: list[Seen], answer: Any) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.append(seen_in_environ(environ))
        is_stream = isinstance(answer, list)
        start_response("200 OK", list(EVENTS if is_stream else JSON))
        return iter(answer) if is_stream else [json.dumps(answer).encode()]

    return app


def wsgi_check(app: Any, seen: list[Seen], refusal: Any = 401) -> Any:
    def check(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.append(seen_in_environ(environ))
        user = USERS.get(seen[-1].headers.get("authorization", ""))
        if user is not None:
            environ["user"] = user
            answer: Iterable[bytes] = app(environ, start_response)
            return answer
        if isinstance(refusal, Exception):
            raise refusal
        start_response(f"{refusal} Refused", list(REFUSAL_HEADERS))
        return [REFUSALS[refusal]]

    return check


def seen_in_environ(environ: Mapping[str, Any]) -> Seen:
    headers = {key[5:].lower().replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")}
    headers |= {key.lower().replace("_", "-"): environ.get(key, "") for key in ("CONTENT_TYPE", "CONTENT_LENGTH")}
    return Seen(environ.get(CALL_KEY), headers, environ.get("user"))


class Interface(NamedTuple):
    """A server interface: the middleware for it, an app and a check of its kind, and a driver."""

    middleware: Any
    app: Callable[..., Any]
    check: Callable[..., Any]
    drive: Callable[..., Reply]

    def send(self, app: Any, path: str, body: bytes = BODY, headers: Headers = ADA, **options: Any) -> Reply:
        return StackedApp(app, self.drive).send("POST" if body else "GET", path, body, headers, **options)


ASGI = Interface(OpenAIMiddleware, asgi_app, asgi_check, drive_asgi)
WSGI = Interface(OpenAIWSGIMiddleware, wsgi_app, wsgi_check, drive_wsgi)
both_interfaces = pytest.mark.parametrize("interface", [ASGI, WSGI], ids=["asgi", "wsgi"])
both_places = pytest.mark.parametrize("place", PLACES)
both_modes = pytest.mark.parametrize("mode", ["sync", "async"])


class Checked:
    """An app with a check of its own, outside the middleware or inside it."""

    def __init__(self, interface: Interface, place: Place, answer: Any = None, refusal: Any = 401) -> None:
        self.app_saw: list[Seen] = []
        self.check_saw: list[Seen] = []
        app = interface.app(self.app_saw, answer or {**COMPLETION, "junk": 1})
        if place == "outside":
            self.app = interface.check(interface.middleware(app, prefix="/v1"), self.check_saw, refusal)
        else:
            self.app = interface.middleware(interface.check(app, self.check_saw, refusal), prefix="/v1")


# A check of one's own


@pytest.mark.parametrize("status", [401, 403])
@both_places
@both_interfaces
def test_refusal_leaves_untouched_and_the_app_never_sees_the_request(  # O1
    interface: Interface, place: Place, status: int
) -> None:
    checked = Checked(interface, place, refusal=status)
    reply = interface.send(checked.app, CREATE, headers=JSON)
    assert (reply.status, reply.body) == (status, REFUSALS[status])
    assert reply.headers == in_bytes(REFUSAL_HEADERS)
    assert checked.app_saw == []


@both_places
@both_interfaces
def test_who_is_let_in_is_answered_as_without_the_check(interface: Interface, place: Place) -> None:  # O2
    checked = Checked(interface, place)
    assert interface.send(checked.app, CREATE).json == COMPLETION
    [seen] = checked.app_saw
    assert (seen.call.kwargs["model"], seen.user) == ("m", "ada")


@both_places
@both_interfaces
def test_stream_goes_through_a_check(interface: Interface, place: Place) -> None:  # S2 S3
    checked = Checked(interface, place, answer=JUNK_STREAM)
    assert decoded(interface.send(checked.app, CREATE, STREAM_BODY).body) == decoded(STREAM)


@both_interfaces
def test_check_inside_sees_the_original_headers_and_the_call(interface: Interface) -> None:  # O7 O9
    checked = Checked(interface, "inside")
    sent = [*ADA, ("Cookie", "a=b"), ("X-Own", "1"), ("Accept-Encoding", "gzip")]
    interface.send(checked.app, CREATE, headers=sent)
    [seen] = checked.check_saw
    length = {"content-length": str(len(BODY))}
    assert seen.headers == {name.lower(): value for name, value in sent if name != "Accept-Encoding"} | length
    assert seen.call.operation == "chat.completions.create"


@both_interfaces
def test_check_outside_sees_the_request_as_it_came(interface: Interface) -> None:  # O9
    checked = Checked(interface, "outside")
    interface.send(checked.app, CREATE, headers=[*ADA, ("Accept-Encoding", "gzip")])
    [seen] = checked.check_saw
    assert seen.headers["accept-encoding"] == "gzip"
    assert seen.call is None


@both_interfaces
def test_user_that_is_found_inside_stays_inside(interface: Interface) -> None:  # O9
    checked = Checked(interface, "inside")
    scopes: list[Any] = []

    def remembering(scope: Any, *io: Any) -> Any:
        scopes.append(scope)
        return checked.app(scope, *io)

    interface.send(remembering, CREATE)
    assert [seen.user for seen in checked.app_saw] == ["ada"]
    assert "user" not in scopes[0]


@both_interfaces
def test_check_inside_may_raise_its_refusal(interface: Interface) -> None:  # E1 E4
    refusal = errors.AuthenticationError("Who are you?", code="invalid_api_key")
    checked = Checked(interface, "inside", refusal=refusal)
    reply = interface.send(checked.app, CREATE, headers=JSON)
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
    assert checked.app_saw == []


@both_interfaces
def test_refusal_that_is_raised_outside_is_the_server_s_business(interface: Interface) -> None:  # E4
    refusal = errors.AuthenticationError("Who are you?")
    reply = interface.send(Checked(interface, "outside", refusal=refusal).app, CREATE, headers=JSON, fails=True)
    assert (reply.raised, reply.messages) == (refusal, [])


@pytest.mark.parametrize(("place", "status"), [("outside", 401), ("inside", 400)])
@both_interfaces
def test_who_stands_outside_refuses_first(interface: Interface, place: Place, status: int) -> None:
    reply = interface.send(Checked(interface, place).app, CREATE, b"{no JSON", JSON)
    assert reply.status == status


# A plain function

current_user: ContextVar[str] = ContextVar("current_user")


def asgi_user(app: Any) -> Any:
    async def remember(scope: Any, receive: Any, send: Any) -> None:
        current_user.set(seen_in_scope(scope).headers["x-user"])
        await app(scope, receive, send)

    return remember


def wsgi_user(app: Any) -> Any:
    def remember(environ: dict[str, Any], start_response: Any) -> Any:
        current_user.set(environ["HTTP_X_USER"])
        return app(environ, start_response)

    return remember


def function(body: Any) -> Any:
    return {**COMPLETION, "model": current_user.get()}


async def async_function(body: Any) -> Any:
    return function(body)


def generator(body: Any) -> Iterator[Any]:
    yield {**CHUNK, "model": current_user.get()}


async def async_generator(body: Any) -> AsyncIterator[Any]:
    for item in generator(body):
        yield item


@pytest.mark.parametrize("handler", [function, async_function, generator, async_generator])
@both_places
@both_interfaces
def test_function_finds_what_a_check_left_in_the_context(  # O9
    interface: Interface, place: Place, handler: Callable[..., Any]
) -> None:
    app = HandlerApp(handler) if interface is ASGI else WSGIHandlerApp(handler)
    remember = asgi_user if interface is ASGI else wsgi_user
    if place == "outside":
        stacked = remember(interface.middleware(app, prefix="/v1"))
    else:
        stacked = interface.middleware(remember(app), prefix="/v1")
    for user in ("ada", "bob"):
        is_stream = inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler)
        body = STREAM_BODY if is_stream else BODY
        reply = interface.send(stacked, CREATE, body, headers=[*JSON, ("X-User", user)])
        assert f'"model":"{user}"'.encode() in reply.body


# The SDK against live servers


class KeyBackend(AuthenticationBackend):
    """Knows users by their API keys."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        key = conn.headers.get("authorization", "")
        if key == "Bearer sk-guest":
            return None
        if key not in USERS:
            raise AuthenticationError("Who are you?")
        return AuthCredentials(["authenticated"]), SimpleUser(USERS[key])


def refused(conn: HTTPConnection, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 401)


def reply_to(user: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": f"You are {user}."}, "finish_reason": "stop"}
    return {**COMPLETION, "choices": [choice], "junk": 1}


@requires("authenticated")
async def create(request: Request) -> Response:
    return JSONResponse(reply_to(request.user.display_name))


def starlette_site(place: Place) -> Any:
    app = Starlette(routes=[Route(CREATE, create, methods=["POST"])])
    if place == "inside":
        app.add_middleware(AuthenticationMiddleware, backend=KeyBackend(), on_error=refused)
    app.add_middleware(OpenAIMiddleware, prefix="/v1")
    if place == "outside":
        app.add_middleware(AuthenticationMiddleware, backend=KeyBackend(), on_error=refused)
    return app


def own_site(place: Place) -> Any:
    return Checked(ASGI, place, answer=reply_to("ada")).app


SITES: dict[str, list[tuple[Callable[..., AbstractContextManager[str]], Any]]] = {
    "starlette": [(uvicorn_server, starlette_site(place)) for place in PLACES],
    "own": [(uvicorn_server, own_site(place)) for place in PLACES],
    "gunicorn": [
        (gunicorn_server, "docs.examples.auth_api_key:wsgi_app"),
        (gunicorn_server, "docs.examples.auth_api_key:wsgi_app_checked_inside"),
    ],
    "django": [
        (gunicorn_server, "docs.examples.auth_django:application"),
        (gunicorn_server, "docs.examples.auth_django:application_checked_inside"),
    ],
}


@pytest.fixture(scope="module")
def live_url(request: pytest.FixtureRequest) -> Iterator[str]:
    serve, app = request.param
    with serve(app) as url:
        yield url


def on(*names: str) -> pytest.MarkDecorator:
    """Run a test against the sites of these names, with the check outside and with the check inside."""
    sites = {f"{name}-{place}": site for name in names for place, site in zip(PLACES, SITES[name], strict=True)}
    return pytest.mark.parametrize("live_url", sites.values(), ids=sites.keys(), indirect=True)


def ask(url: str, api_key: str, **options: Any) -> str | None:
    with OpenAI(base_url=f"{url}/v1", api_key=api_key) as client:
        completion = client.chat.completions.create(**QUESTION, **options)  # type: ignore[call-overload]
    assert completion.model_extra == {}
    content: str | None = completion.choices[0].message.content
    return content


@pytest.mark.parametrize("stream", [False, True])
@on(*SITES)
def test_unauthenticated_call_is_an_authentication_error_of_the_sdk(live_url: str, stream: bool) -> None:
    with pytest.raises(openai.AuthenticationError, match="Error code: 401") as caught:
        ask(live_url, "sk-eve", stream=stream)
    assert caught.value.request.headers["x-stainless-retry-count"] == "0"


@on(*SITES)
def test_authenticated_call_reaches_the_app_with_its_user(live_url: str) -> None:  # O2
    answer = ask(live_url, "sk-ada")
    assert answer is not None
    assert answer.lower() == "you are ada."


@on("starlette")
def test_user_without_the_right_is_a_permission_error_of_the_sdk(live_url: str) -> None:  # O1
    with pytest.raises(openai.PermissionDeniedError, match="Error code: 403"):
        ask(live_url, "sk-guest")


@on("django")
def test_session_of_django_authenticates_as_well_as_a_key(live_url: str) -> None:
    with httpx.Client(base_url=live_url) as browser:
        refused = browser.post(CREATE, json=QUESTION)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"

        assert browser.post("/login", data={"api_key": "sk-bob"}).text == "Welcome, bob."
        completion = browser.post(CREATE, json=QUESTION).json()
        assert completion["choices"][0]["message"]["content"] == "You are bob."


# Sessions


@pytest.mark.parametrize("stream", [False, True])
@both_places
def test_session_is_kept_by_mapped_answers(place: Place, stream: bool) -> None:
    async def count(request: Request) -> Response:
        request.session["calls"] = request.session.get("calls", 0) + 1
        if stream:
            return Response(event({**CHUNK, "system_fingerprint": str(request.session["calls"])}), 200, dict(EVENTS))
        return JSONResponse({**COMPLETION, "junk": 1, "system_fingerprint": str(request.session["calls"])})

    app = Starlette(routes=[Route(CREATE, count, methods=["POST"])])
    if place == "inside":
        app.add_middleware(SessionMiddleware, secret_key="secret")
    app.add_middleware(OpenAIMiddleware, prefix="/v1")
    if place == "outside":
        app.add_middleware(SessionMiddleware, secret_key="secret")

    headers = list(JSON)
    counts = []
    for _ in range(3):
        reply = ASGI.send(app, CREATE, STREAM_BODY if stream else BODY, headers=headers)
        counts.append((decoded(reply.body)[0] if stream else reply.json)["system_fingerprint"])
        cookie = reply.header("set-cookie")
        assert cookie is not None
        headers = [*JSON, ("Cookie", cookie.partition(";")[0])]
    assert counts == ["1", "2", "3"]


# Cross-origin calls

ORIGIN = ("Origin", "https://app.example")
PREFLIGHT = [ORIGIN, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")]


def cors(app: Any) -> Any:
    return CORSMiddleware(app, allow_origins=[ORIGIN[1]], allow_methods=["POST"], allow_headers=["authorization"])


def cors_and_openai(place: Place, app: Any, **options: Any) -> Any:
    if place == "outside":
        return cors(OpenAIMiddleware(app, prefix="/v1", **options))
    return OpenAIMiddleware(cors(app), prefix="/v1", **options)


def preflight(app: Any) -> Reply:
    return StackedApp(app, drive_asgi).send("OPTIONS", CREATE, headers=PREFLIGHT)


@both_places
def test_preflight_is_answered_without_the_app(place: Place) -> None:  # M12
    seen: list[Seen] = []
    reply = preflight(cors_and_openai(place, asgi_app(seen, COMPLETION)))
    assert (reply.status, reply.header("access-control-allow-origin")) == (200, ORIGIN[1])
    assert reply.header("access-control-allow-headers") is not None
    assert seen == []


@pytest.mark.parametrize("answer", [{**COMPLETION, "junk": 1}, JUNK_STREAM], ids=["json", "stream"])
@both_places
def test_mapped_answer_may_be_read_across_origins(place: Place, answer: Any) -> None:  # O2 S2
    body = STREAM_BODY if isinstance(answer, list) else BODY
    reply = ASGI.send(cors_and_openai(place, asgi_app([], answer)), CREATE, body, headers=[*ADA, ORIGIN])
    assert reply.header("access-control-allow-origin") == ORIGIN[1]
    assert decoded(reply.body) == decoded(STREAM) if isinstance(answer, list) else reply.json == COMPLETION


@pytest.mark.parametrize(("place", "allowed"), [("outside", ORIGIN[1]), ("inside", None)])
def test_errors_of_the_middleware_may_be_read_across_origins_where_the_rules_are_outside(
    place: Place, allowed: str | None
) -> None:
    reply = ASGI.send(cors_and_openai(place, asgi_app([], COMPLETION)), CREATE, b"{", [*ADA, ORIGIN])
    assert (reply.status, reply.header("access-control-allow-origin")) == (400, allowed)


@pytest.mark.parametrize(("place", "status"), [("outside", 200), ("inside", 405)])
def test_gate_lets_preflights_pass_only_where_the_rules_are_outside(place: Place, status: int) -> None:  # M11
    assert preflight(cors_and_openai(place, asgi_app([], COMPLETION), unmatched="reject")).status == status


def test_preflight_carries_no_key_so_the_rules_stand_outside_the_check() -> None:
    app = OpenAIMiddleware(asgi_app([], COMPLETION), prefix="/v1")
    assert preflight(cors(asgi_check(app, []))).status == 200
    assert preflight(asgi_check(cors(app), [])).status == 401
    refused = ASGI.send(cors(asgi_check(app, [])), CREATE, headers=[*JSON, ORIGIN])
    assert (refused.status, refused.header("access-control-allow-origin")) == (401, ORIGIN[1])


# Compression

COMPRESSED = [*ADA, ("Accept-Encoding", "gzip")]
LONG = {**COMPLETION, "system_fingerprint": "x" * 1_000}


def wsgi_gzip(app: Any) -> Any:
    """Compresses what is asked for compressed, as far as a test needs it."""

    def compressed(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "gzip" not in environ.get("HTTP_ACCEPT_ENCODING", ""):
            answer: Iterable[bytes] = app(environ, start_response)
            return answer
        begun: list[Any] = []
        body = gzip.compress(b"".join(app(environ, lambda *start: begun.extend(start))))
        status, headers = begun
        kept = [header for header in headers if header[0].lower() != "content-length"]
        start_response(status, [*kept, ("Content-Encoding", "gzip"), ("Content-Length", str(len(body)))])
        return [body]

    return compressed


COMPRESSORS = [(ASGI, GZipMiddleware), (WSGI, wsgi_gzip)]


@both_places
@pytest.mark.parametrize(("interface", "compress"), COMPRESSORS, ids=["asgi", "wsgi"])
def test_answer_is_mapped_wherever_the_compression_is(interface: Interface, compress: Any, place: Place) -> None:  # O7
    app = interface.app([], {**LONG, "junk": 1})
    if place == "outside":
        app = compress(interface.middleware(app, prefix="/v1"))
    else:
        app = interface.middleware(compress(app), prefix="/v1")
    reply = interface.send(app, CREATE, headers=COMPRESSED)
    assert reply.header("content-encoding") == ("gzip" if place == "outside" else None)
    assert json.loads(gzip.decompress(reply.body) if place == "outside" else reply.body) == LONG

    own = interface.send(app, "/own", headers=COMPRESSED)
    assert own.header("content-encoding") == "gzip"
    assert json.loads(gzip.decompress(own.body)) == {**LONG, "junk": 1}


@both_places
def test_starlette_leaves_streams_uncompressed(place: Place) -> None:  # S1
    app = asgi_app([], JUNK_STREAM)
    if place == "outside":
        app = GZipMiddleware(OpenAIMiddleware(app, prefix="/v1"))
    else:
        app = OpenAIMiddleware(GZipMiddleware(app), prefix="/v1")
    reply = ASGI.send(app, CREATE, STREAM_BODY, headers=COMPRESSED)
    assert decoded(reply.body) == decoded(STREAM)
    assert len(reply.chunks) == 3


# Middlewares of Django


def refuse(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    def refuse(request: HttpRequest) -> HttpResponse:
        return HttpResponse(REFUSALS[401], status=401, headers=dict(REFUSAL_HEADERS))

    return refuse


def raise_error(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    def raise_error(request: HttpRequest) -> None:
        raise errors.AuthenticationError("Who are you?")

    return raise_error


def django_site(mode: Mode, place: Place, middleware: str, answer: Any = None) -> StackedApp:
    order = [middleware, MIDDLEWARE] if place == "outside" else [MIDDLEWARE, middleware]
    if answer is None:
        answer = HttpResponse(json.dumps({**LONG, "junk": 1}), content_type="application/json")
    site = DjangoSite(mode, lambda request: answer, middleware=order, options={"prefix": "/v1"})
    return StackedApp(site, drive_wsgi if mode == "sync" else drive_asgi)


@both_places
@both_modes
def test_refusal_of_a_django_middleware_leaves_untouched(mode: Mode, place: Place) -> None:  # O1
    reply = django_site(mode, place, "tests.stacks.test_surroundings.refuse").send("POST", CREATE, BODY)
    assert (reply.status, reply.body, reply.header("etag")) == (401, REFUSALS[401], '"1"')


@both_places
@both_modes
def test_error_that_a_django_middleware_raises_is_django_s_to_answer(mode: Mode, place: Place) -> None:
    reply = django_site(mode, place, "tests.stacks.test_surroundings.raise_error").send("POST", CREATE, BODY)
    assert (reply.status, reply.header("content-type")) == (500, "text/html; charset=utf-8")


@both_modes
def test_django_compresses_nothing_of_the_api_from_inside(mode: Mode) -> None:  # O7
    site = django_site(mode, "inside", "django.middleware.gzip.GZipMiddleware")
    reply = site.send("POST", CREATE, BODY, headers=COMPRESSED)
    assert (reply.json, reply.header("content-encoding")) == (LONG, None)
    assert site.send("POST", "/own", BODY, headers=COMPRESSED).header("content-encoding") == "gzip"


def junk_stream(mode: Mode, headers: Headers) -> StreamingHttpResponse:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in JUNK_STREAM:
            yield chunk

    return StreamingHttpResponse(iter(JUNK_STREAM) if mode == "sync" else chunks(), headers=dict(headers))


@both_places
@both_modes
def test_django_leaves_streams_of_the_api_uncompressed(mode: Mode, place: Place) -> None:  # S1 O7
    answer = junk_stream(mode, EVENTS)
    site = django_site(mode, place, "django.middleware.gzip.GZipMiddleware", answer)
    reply = site.send("POST", CREATE, STREAM_BODY, headers=COMPRESSED)
    assert decoded(reply.body) == decoded(STREAM)
    assert len(reply.chunks) == 3


# Two instances


@both_interfaces
def test_each_of_two_instances_maps_its_own(interface: Interface) -> None:  # C2
    seen: list[Seen] = []
    inner = interface.middleware(interface.app(seen, {**COMPLETION, "junk": 1}), prefix="/v2")
    app = interface.middleware(inner, prefix="/v1")
    for path in (CREATE, "/v2/chat/completions"):
        assert interface.send(app, path).json == COMPLETION
        assert seen.pop().call.path == path
    assert interface.send(app, "/v3/chat/completions").json == {**COMPLETION, "junk": 1}
    assert seen.pop().call is None


@both_interfaces
def test_two_instances_of_one_prefix_are_as_good_as_one(interface: Interface) -> None:  # S3
    seen: list[Seen] = []
    inner = interface.middleware(interface.app(seen, JUNK_STREAM), prefix="/v1")
    reply = interface.send(interface.middleware(inner, prefix="/v1"), CREATE, STREAM_BODY)
    assert decoded(reply.body) == decoded(STREAM)
    assert seen.pop().call.operation == "chat.completions.create"


@both_interfaces
def test_request_of_the_outer_instance_is_a_stranger_to_the_inner_one(interface: Interface) -> None:  # M11
    gate = interface.middleware(interface.app([], COMPLETION), prefix="/v2", unmatched="reject")
    reply = interface.send(interface.middleware(gate, prefix="/v1"), CREATE)
    assert (reply.status, reply.error["code"]) == (404, "unknown_url")


# A sub-path

ITEM = "/v1/responses/a%2Fb"
RESPONSE = {
    "id": "r-1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "output": [],
    "parallel_tool_calls": False,
    "tool_choice": "none",
    "tools": [],
    "junk": 1,
}


def not_found(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"Not here."]


def mounted(interface: Interface, app: Any) -> Any:
    if interface is WSGI:
        return DispatcherMiddleware(not_found, {"/site": app})
    return Starlette(routes=[Mount("/site", app)])


@pytest.mark.parametrize(("place", "path"), [("outside", "/site/v1/responses/a/b"), ("inside", "/v1/responses/a/b")])
@both_interfaces
def test_mounted_app_has_the_api_below_its_mount(interface: Interface, place: str, path: str) -> None:  # M10 M9
    seen: list[Seen] = []
    app = interface.app(seen, RESPONSE)
    if place == "outside":
        app = interface.middleware(mounted(interface, app), prefix="/site/v1")
    else:
        app = mounted(interface, interface.middleware(app, prefix="/v1"))
    reply = interface.send(app, f"/site{ITEM}", b"", [("Accept", "application/json")])
    assert (reply.status, "junk" in reply.json) == (200, False)
    [found] = seen
    assert (found.call.path, found.call.path_params) == (path, {"response_id": "a/b"})


@both_interfaces
def test_mount_may_itself_be_below_a_mount(interface: Interface) -> None:  # M10
    seen: list[Seen] = []
    app = mounted(interface, interface.middleware(interface.app(seen, COMPLETION), prefix="/v1"))
    assert interface.send(app, f"/outer/site{CREATE}", root_path="/outer").status == 200
    assert seen.pop().call.path == CREATE


def test_flask_below_a_mount_goes_by_its_own_paths() -> None:  # M10
    app = Flask("below")
    set_openai_frontend(app, prefix="/v1")

    @app.get("/v1/responses/<response_id>")
    def retrieve(response_id: str) -> dict[str, Any]:
        return {**RESPONSE, "id": openai_call.path}

    reply = WSGI.send(DispatcherMiddleware(not_found, {"/site": app}), "/site/v1/responses/r-1", b"", [])
    assert (reply.json["id"], "junk" in reply.json) == ("/v1/responses/r-1", False)


@both_modes
def test_django_below_a_mount_goes_by_its_own_paths(mode: Mode) -> None:  # M10 M9
    calls: list[Any] = []

    def retrieve(request: HttpRequest) -> HttpResponse:
        calls.append(request.openai_call)
        return HttpResponse(json.dumps(RESPONSE), content_type="application/json")

    interface = WSGI if mode == "sync" else ASGI
    site = DjangoSite(mode, retrieve, options={"prefix": "/v1"})
    reply = interface.send(mounted(interface, site), f"/site{ITEM}", b"", [])
    assert "junk" not in reply.json
    assert [(call.path, call.path_params) for call in calls] == [("/v1/responses/a/b", {"response_id": "a/b"})]
