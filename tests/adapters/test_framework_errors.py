"""The errors of the frameworks themselves: OpenAI's envelope where a request is one of the API, and only there."""

import json
from collections.abc import Callable
from typing import Any

import flask
import openai
import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_POST
from fastapi import FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from flask_cors import CORS
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.routing import Route
from werkzeug.exceptions import abort

from openai_middleware.adapters import fastapi as fastapi_adapter
from openai_middleware.adapters import flask as flask_adapter
from tests.support.django_site import DjangoSite, Mode
from tests.support.drivers import JSON_HEADERS, Sent, request
from tests.support.servers import uvicorn_server
from tests.support.stacks import Reply, StackedApp, drive_asgi, drive_wsgi

CHAT_URL = "/v1/chat/completions"
CHAT: dict[str, Any] = {"model": "m", "messages": []}
CORS_HEADERS = [*JSON_HEADERS, (b"origin", b"http://page.test")]


class Question(BaseModel):
    model: str
    temperature: float


def fastapi_app(**options: Any) -> FastAPI:
    """An app with a route of the API and one of its own, which fail alike."""
    app = FastAPI()
    fastapi_adapter.set_openai_frontend(app, prefix="/v1", **options)

    @app.post(CHAT_URL)
    @app.post("/own")
    async def create(question: Question) -> None:
        raise HTTPException(429, "Slow down.", headers={"Retry-After": "20"})

    return app


async def post(app: Any, url: str, body: Any = CHAT) -> Sent:
    return await request(app, "POST", url, body, headers=CORS_HEADERS)


async def test_http_exception_of_fastapi_is_an_envelope_with_its_status_and_headers() -> None:
    sent = await post(fastapi_app(), CHAT_URL, CHAT | {"temperature": 1})
    assert (sent.status, sent.header("retry-after")) == (429, "20")
    assert sent.error["message"] == "Slow down."

    own = await post(fastapi_app(), "/own", CHAT | {"temperature": 1})
    assert (own.status, own.json) == (429, {"detail": "Slow down."})


async def test_status_that_http_has_no_phrase_for_is_an_envelope_too() -> None:
    app = FastAPI()
    fastapi_adapter.set_openai_frontend(app, prefix="/v1")

    @app.post(CHAT_URL)
    async def create() -> None:
        raise StarletteHTTPException(499, "")

    sent = await post(app, CHAT_URL)

    assert (sent.status, sent.error["message"]) == (499, "Error.")


async def test_failed_validation_of_fastapi_names_the_field() -> None:
    sent = await post(fastapi_app(), CHAT_URL, CHAT | {"temperature": "hot"})
    assert sent.status == 422
    assert sent.error["param"] == "temperature"
    assert sent.error["message"].startswith("Invalid value for 'temperature': Input should be a valid number")

    assert list((await post(fastapi_app(), "/own")).json) == ["detail"]


async def test_operation_without_a_route_says_so_in_fastapi() -> None:
    app = fastapi_app()
    sent = await request(app, "GET", "/v1/models")
    assert sent.status == 404
    assert (sent.error["message"], sent.error["code"]) == (
        "This server does not support models.list.",
        "unsupported_operation",
    )
    # The path has a route, but not for this method.
    listed = await request(app, "GET", CHAT_URL)
    assert (listed.status, listed.header("allow")) == (405, "POST")
    assert listed.error["message"] == "Method Not Allowed"

    assert (await request(app, "GET", "/nowhere")).json == {"detail": "Not Found"}


async def test_handlers_of_the_app_go_on_for_all_other_requests() -> None:
    seen: list[str] = []

    async def own_handler(request: Request, error: Any) -> JSONResponse:
        seen.append(request.url.path)
        return JSONResponse({"own": str(error)}, 418)

    app = FastAPI(exception_handlers={StarletteHTTPException: own_handler})
    fastapi_adapter.set_openai_frontend(app, prefix="/v1")

    assert (await request(app, "GET", "/nowhere")).status == 418
    assert (await request(app, "GET", "/v1/models")).status == 404
    assert seen == ["/nowhere"]


async def test_detail_that_is_no_text_is_told_as_json() -> None:
    app = FastAPI()
    fastapi_adapter.set_openai_frontend(app, prefix="/v1")

    @app.get("/v1/models")
    async def models() -> None:
        raise HTTPException(400, {"reason": "ünknown"})

    assert (await request(app, "GET", "/v1/models")).error["message"] == '{"reason": "ünknown"}'


async def test_starlette_alone_has_envelopes_too_and_its_own_words_elsewhere() -> None:
    async def create(_: Request) -> None:
        raise StarletteHTTPException(403, "Not you.")

    app = Starlette(routes=[Route(CHAT_URL, create, methods=["POST"]), Route("/own", create, methods=["POST"])])
    fastapi_adapter.set_openai_frontend(app, prefix="/v1")

    assert (await post(app, CHAT_URL)).error["message"] == "Not you."
    assert (await post(app, "/own")).body == b"Not you."


async def test_refusals_carry_the_headers_of_cors_that_was_added_earlier() -> None:
    order: list[str] = []

    class Outside(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Callable[..., Any]) -> Any:
            order.append(request.url.path)
            return await call_next(request)

    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    fastapi_adapter.set_openai_frontend(app, prefix="/v1")
    app.add_middleware(Outside)

    refused = await post(app, CHAT_URL, {})

    assert refused.error["code"] == "missing_required_parameter"
    assert refused.header("access-control-allow-origin") == "*"
    assert order == [CHAT_URL]


async def test_middlewares_of_the_app_stay_inside_where_there_is_no_cors() -> None:
    app = FastAPI()

    @app.middleware("http")
    async def never(request: Request, call_next: Callable[..., Any]) -> Any:
        raise AssertionError("A refused request reached the app.")

    fastapi_adapter.set_openai_frontend(app, prefix="/v1")

    assert (await post(app, CHAT_URL, {})).status == 422


async def test_frontend_of_an_app_that_has_started_is_refused() -> None:
    app = FastAPI()
    await request(app, "GET", "/")
    with pytest.raises(RuntimeError, match="before its first request"):
        fastapi_adapter.set_openai_frontend(app, prefix="/v1")


def test_sdk_raises_what_fastapi_raised() -> None:
    with (
        uvicorn_server(fastapi_app()) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client,
    ):
        with pytest.raises(openai.RateLimitError, match=r"Slow down\."):
            client.chat.completions.create(model="m", messages=[], temperature=1)
        with pytest.raises(openai.NotFoundError, match=r"does not support models\.list"):
            client.models.list()


# --- Flask


def flask_app(view: Callable[..., Any]) -> flask.Flask:
    app = flask.Flask("app")
    CORS(app)
    flask_adapter.set_openai_frontend(app, prefix="/v1")
    app.add_url_rule(CHAT_URL, "api", view, methods=["POST"])
    app.add_url_rule("/own", "own", view, methods=["POST"])
    return app


def send(app: Any, url: str, body: Any = CHAT, method: str = "POST", drive: Any = drive_wsgi) -> Reply:
    headers = [("Content-Type", "application/json"), ("Origin", "http://page.test")]
    return StackedApp(app, drive).send(method, url, json.dumps(body).encode(), headers=headers)


def test_abort_in_flask_is_an_envelope() -> None:
    app = flask_app(lambda: abort(418, "No coffee."))

    reply = send(app, CHAT_URL)
    assert (reply.status, reply.error["message"]) == (418, "No coffee.")
    assert reply.header("content-type") == "application/json"
    assert b"<title>" in send(app, "/own").body


def test_operation_without_a_route_says_so_in_flask() -> None:
    app = flask_app(lambda: "")

    missing = send(app, "/v1/models", method="GET")
    assert (missing.status, missing.error["message"]) == (404, "This server does not support models.list.")
    other_method = send(app, CHAT_URL, method="GET")
    assert other_method.status == 405
    assert sorted((other_method.header("allow") or "").split(", ")) == ["OPTIONS", "POST"]
    assert b"<title>404" in send(app, "/nowhere").body


def test_refusals_carry_the_headers_of_flask_cors() -> None:
    reply = send(flask_app(lambda: ""), CHAT_URL, {})
    assert reply.error["code"] == "missing_required_parameter"
    assert reply.header("access-control-allow-origin") in ("*", "http://page.test")


# --- Django


def raising(error: Exception) -> Callable[..., Any]:
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    return view


def django_site(mode: Mode, view: Callable[..., Any]) -> Any:
    site = DjangoSite(mode, [path(CHAT_URL[1:], view), path("own", view)], options={"prefix": "/v1"})
    return lambda url, **options: send(site, url, drive=drive_wsgi if mode == "sync" else drive_asgi, **options)


modes = pytest.mark.parametrize("mode", ["sync", "async"])


@modes
@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (Http404("No such thread."), 404, "No such thread."),
        (PermissionDenied("secret"), 403, "Forbidden."),
        (SuspiciousOperation("secret"), 400, "Bad Request."),
    ],
)
def test_exceptions_that_django_answers_are_envelopes(mode: Mode, error: Exception, status: int, message: str) -> None:
    site = django_site(mode, raising(error))

    reply = site(CHAT_URL)
    assert (reply.status, reply.error["message"]) == (status, message)
    own = site("/own")
    assert own.status == status
    assert b'"error"' not in own.body


@modes
def test_operation_without_a_route_says_so_in_django(mode: Mode) -> None:
    site = django_site(mode, require_POST(lambda request: HttpResponse()))

    missing = site("/v1/models", method="GET")
    assert (missing.status, missing.error["message"]) == (404, "This server does not support models.list.")
    other_method = site(CHAT_URL, method="GET")
    assert (other_method.status, other_method.header("allow")) == (405, "POST")
    assert other_method.error["message"] == "Method Not Allowed."
    assert b'"error"' not in site("/nowhere", method="GET").body
