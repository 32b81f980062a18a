"""Rewrites in frameworks: what they know of their routes, and what Django's settings and requests need."""

import json
from collections.abc import Iterator
from typing import Any

import flask
import pytest
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from openai_middleware import Dispatcher, OpenAICall, OpenAIMiddleware, Rewrite
from openai_middleware.adapters import fastapi as fastapi_adapter
from openai_middleware.adapters import flask as flask_adapter
from openai_middleware.errors import ConfigurationError
from tests.support.behaviours import dump
from tests.support.django_site import MIDDLEWARE, DjangoSite, Mode
from tests.support.samples import CHAT
from tests.support.stacks import StackedApp, drive_asgi, drive_wsgi

CREATE = "chat.completions.create"
HELLO = [{"role": "user", "content": "Hello"}]
REWRITES: dict[str, Any] = {
    CREATE: Rewrite("/ask", body={"question": "$.prompt"}, reply="$.answer"),
    "models.retrieve": "GET /items/{model}",
    "models.list": "GET /ask",
    "files.list": "GET /nowhere",
}
HERE = __name__


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> Mode:
    return request.param


def chat(app: StackedApp, **fields: Any) -> Any:
    return app.send("POST", "/v1/chat/completions", dump({**CHAT, "messages": HELLO, **fields}))


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The targets that were said to be missing."""
    lines = [record.getMessage() for record in caplog.records if record.name == "openai_middleware"]
    return [line.removeprefix("A rewrite sends requests to ").partition(",")[0] for line in lines]


# --- routes that are not there


def test_fastapi_tells_at_start_which_routes_are_missing(caplog: pytest.LogCaptureFixture) -> None:  # T10
    app = FastAPI()
    fastapi_adapter.set_openai_frontend(app, prefix="/v1", rewrites=REWRITES)

    @app.post("/ask")
    async def ask(question: dict[str, str]) -> dict[str, str]:
        return {"answer": f"{question['question']}!"}

    @app.get("/items/{number:int}")
    async def item(number: int) -> None: ...

    reply = chat(StackedApp(app, drive_asgi))
    assert reply.json["choices"][0]["message"]["content"] == "Hello!"
    assert warned(caplog) == ["GET /ask", "GET /nowhere"]


def test_flask_tells_at_its_first_request_which_routes_are_missing(caplog: pytest.LogCaptureFixture) -> None:  # T10
    app = flask.Flask("missing")
    flask_adapter.set_openai_frontend(app, prefix="/v1", rewrites=REWRITES)

    @app.post("/ask")
    def ask() -> dict[str, str]:
        return {"answer": f"{flask.request.get_json()['question']}!"}

    @app.get("/items/<uuid:number>")
    def item(number: Any) -> str:
        return str(number)

    for _ in range(2):
        assert chat(StackedApp(app, drive_wsgi)).json["choices"][0]["message"]["content"] == "Hello!"
    assert warned(caplog) == ["GET /ask", "GET /nowhere"]


def ask_view(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"answer": f"{json.loads(request.body)['question']}!"})


def item_view(request: HttpRequest, number: int) -> HttpResponse:
    return JsonResponse({})


URLS = [path("ask", ask_view), path("items/<int:number>", item_view)]


def test_checks_of_django_tell_which_routes_are_missing(caplog: pytest.LogCaptureFixture) -> None:  # T10
    site = DjangoSite("sync", URLS, options={"prefix": "/v1", "rewrites": REWRITES})
    with site.active():
        assert run_checks() == []
    assert warned(caplog) == ["GET /nowhere"]  # only a view knows its methods


# --- mounts


def test_app_that_is_mounted_with_its_middleware_gets_the_path_below_its_mount() -> None:  # T1
    inner = FastAPI()

    @inner.post("/ask")
    async def ask(question: dict[str, str]) -> dict[str, str]:
        return {"answer": f"{question['question']}!"}

    outer = Starlette(routes=[Mount("/tenant", OpenAIMiddleware(inner, prefix="/v1", rewrites=REWRITES))])
    reply = StackedApp(outer, drive_asgi).send("POST", "/tenant/v1/chat/completions", dump({**CHAT, "messages": HELLO}))
    assert reply.json["choices"][0]["message"]["content"] == "Hello!"


# --- Django's requests


def words_of_question(request: HttpRequest) -> Iterator[bytes]:
    # All of this runs when the response has left the middlewares.
    words = json.loads(request.body)["question"].split()
    for word in [request.method, request.path, request.GET["q"], *words]:
        yield dump({"t": f"{word} "}) + b"\n"


def stream_view(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(words_of_question(request), content_type="application/x-ndjson")


async def async_stream_view(request: HttpRequest) -> StreamingHttpResponse:
    async def words() -> Any:
        for word in words_of_question(request):
            yield word

    return StreamingHttpResponse(words(), content_type="application/x-ndjson")


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("view", [stream_view, async_stream_view])
def test_stream_of_either_kind_sees_the_app_s_request_to_its_end(view: Any, stream: bool, mode: Mode) -> None:  # T12
    rewrite = Rewrite("PUT /words", body={"question": "$.prompt"}, query={"q": "$.model"}, delta="$.t")
    site = DjangoSite(mode, [path("words", view)], options={"prefix": "/v1", "rewrites": {CREATE: rewrite}})
    reply = chat(StackedApp(site, drive_wsgi if mode == "sync" else drive_asgi), stream=stream)
    said = b"".join(part for part in (b"PUT ", b"/words ", b"m ", b"Hello "))
    text = b"".join(json.loads(f'"{one}"').encode() for one in _contents(reply.body.decode()))
    assert text == said


def _contents(body: str) -> list[str]:
    return [part.partition('"')[0] for part in body.split('"content":"')[1:]]


def outer(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        response["X-Outer"] = f"{request.method} {request.path} {request.GET['own']} {request.user} {len(request.body)}"
        return response

    return middleware


def inner(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        request.user = f"user of {request.path} {sorted(request.GET)}"
        return get_response(request)

    return middleware


def test_middlewares_further_out_keep_their_request_and_learn_what_the_inner_ones_found(mode: Mode) -> None:  # T2 T12
    middleware = [f"{HERE}.outer", MIDDLEWARE, f"{HERE}.inner"]
    options = {"prefix": "/v1", "rewrites": REWRITES}
    app = StackedApp(
        DjangoSite(mode, URLS, middleware=middleware, options=options), drive_wsgi if mode == "sync" else drive_asgi
    )
    body = dump({**CHAT, "messages": HELLO})
    reply = app.send("POST", "/v1/chat/completions?own=1", body)
    assert reply.json["choices"][0]["message"]["content"] == "Hello!"
    assert reply.header("x-outer") == f"POST /v1/chat/completions 1 user of /ask [] {len(body)}"


# --- Django's settings


def question(call: OpenAICall) -> Any:
    return {"question": f"{call.kwargs['messages'][-1]['content']}?"}


def text(answer: Any) -> str:
    return answer["answer"].upper()


def models() -> list[str]:
    return ["echo"]


dispatch = Dispatcher()
dispatch("models.list")(models)
functions = {"models.list": models}


@pytest.mark.parametrize(
    "rewrite",
    [
        Rewrite("/ask", body=f"{HERE}.question", reply=f"{HERE}.text"),
        {"target": "/ask", "body": f"{HERE}.question", "reply": f"{HERE}.text"},
        {"target": "/ask", "body": question, "reply": text},
    ],
)
def test_dotted_names_stand_for_functions_in_the_settings(rewrite: Any, mode: Mode) -> None:  # T12
    site = DjangoSite(mode, URLS, options={"prefix": "/v1", "rewrites": {CREATE: rewrite}})
    reply = chat(StackedApp(site, drive_wsgi if mode == "sync" else drive_asgi))
    assert reply.json["choices"][0]["message"]["content"] == "HELLO?!"


@pytest.mark.parametrize(
    "handlers", [f"{HERE}.dispatch", f"{HERE}.functions", {"models.list": f"{HERE}.models"}, functions]
)
def test_dotted_names_stand_for_handlers_in_the_settings(handlers: Any, mode: Mode) -> None:
    site = DjangoSite(mode, URLS, options={"prefix": "/v1", "handlers": handlers})
    app = StackedApp(site, drive_wsgi if mode == "sync" else drive_asgi)
    assert [model["id"] for model in app.send("GET", "/v1/models").json["data"]] == ["echo"]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"handlers": "shop.assistant"}, "handlers"),
        ({"handlers": "shop"}, "handlers"),
        ({"handlers": {"models.list": f"{HERE}.nothing"}}, "handlers.models.list"),
        ({"rewrites": {CREATE: Rewrite("/ask", body="shop.question")}}, f"rewrites.{CREATE}.body"),
        ({"rewrites": {CREATE: {"target": "/ask", "delta": "shop.read"}}}, f"rewrites.{CREATE}.delta"),
    ],
)
def test_name_that_cannot_be_imported_is_a_system_check(options: Any, where: str) -> None:
    with override_settings(OPENAI_MIDDLEWARE={"prefix": "/v1", **options}):
        [message] = run_checks()
        with pytest.raises(ConfigurationError) as caught:
            DjangoSite("sync", URLS, options={"prefix": "/v1", **options})
    assert (message.id, message.obj) == ("openai_middleware.settings_import", where)
    [mistake] = caught.value.mistakes
    assert mistake.where == where
