"""Slashes that are sent percent-encoded: what the middleware matched is what the app's own router finds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import flask
import pytest
from django.http import HttpRequest, JsonResponse
from django.urls import path as django_path
from fastapi import FastAPI, Request

from openai_middleware import APIHandlerAction, APIHandlerConfig, OpenAIMiddleware, OpenAIWSGIMiddleware
from openai_middleware.adapters import fastapi as fastapi_adapter
from openai_middleware.adapters import flask as flask_adapter
from openai_middleware.request.call import CALL_KEY
from tests.support.behaviours import Backend, dump
from tests.support.django_site import DjangoSite, Mode
from tests.support.drivers import App, part, request, start
from tests.support.samples import CHAT, COMPLETION
from tests.support.stacks import Reply, Stack, drive_asgi, drive_wsgi

JUNK = {"junk": 1}


# --- what matches nothing as it was sent


@pytest.mark.parametrize("path", ["/v1/chat%2Fcompletions", "/v1%2Fchat/completions", "/v1%2fchat%2Fcompletions"])
def test_operation_with_an_encoded_slash_is_the_operation_with_all_its_checks(path: str, stack: Stack) -> None:  # M9
    backend = Backend({**COMPLETION, **JUNK})
    app = stack.app(backend, unmatched="reject")
    assert app.send("POST", path, dump(CHAT)).json == COMPLETION
    assert backend.call.operation == "chat.completions.create"
    assert backend.call.kwargs["mlrun_request_path"] == "/v1/chat/completions"
    assert app.send("POST", path, b"{}").status == 422
    assert app.send("PUT", path).status == 405
    assert len(backend.requests) == 1


def test_it_is_not_the_app_s_own_where_unmatched_requests_pass(stack: Stack) -> None:  # M9 B2
    backend = Backend()
    assert stack.app(backend).send("POST", "/v1/chat%2Fcompletions", b"{}").status == 422
    assert not backend.is_called


# --- what matches as it was sent, behind real routers


@dataclass
class Routed:
    """An app with routes of a framework, and the routes that were found, each with its parameters."""

    found: list[tuple[str, str]] = field(default_factory=list)
    calls: list[Any] = field(default_factory=list)

    def note(self, route: str, value: str, call: Any) -> dict[str, Any]:
        self.found.append((route, value))
        self.calls.append(call)
        return {"id": value, "object": "model", "created": 1, "owned_by": "us"}


Build = Callable[[Routed, dict[str, Any]], Any]


def routed_fastapi(routed: Routed, options: dict[str, Any]) -> Any:
    app = FastAPI()
    fastapi_adapter.set_openai_frontend(app, **options)

    @app.get("/items/{i}")
    async def item(i: str, request: Request) -> Any:
        return routed.note("item", i, request.scope.get(CALL_KEY))

    @app.get("/items/{i}/secret")
    async def secret(i: str, request: Request) -> Any:
        return routed.note("secret", i, request.scope.get(CALL_KEY))

    @app.get("/v1/models/{model:path}")
    async def model(model: str, request: Request) -> Any:
        return routed.note("model", model, request.scope.get(CALL_KEY))

    return app


def routed_flask(routed: Routed, options: dict[str, Any]) -> Any:
    app = flask.Flask("routed")
    flask_adapter.set_openai_frontend(app, **options)

    @app.get("/items/<i>")
    def item(i: str) -> Any:
        return routed.note("item", i, flask.request.environ.get(CALL_KEY))

    @app.get("/items/<i>/secret")
    def secret(i: str) -> Any:
        return routed.note("secret", i, flask.request.environ.get(CALL_KEY))

    @app.get("/v1/models/<path:model>")
    def model(model: str) -> Any:
        return routed.note("model", model, flask.request.environ.get(CALL_KEY))

    return app


def routed_django(mode: Mode) -> Build:
    def build(routed: Routed, options: dict[str, Any]) -> Any:
        def view(route: str) -> Any:
            def noted(request: HttpRequest, value: str) -> JsonResponse:
                return JsonResponse(routed.note(route, value, getattr(request, "openai_call", None)))

            async def anoted(request: HttpRequest, value: str) -> JsonResponse:
                return noted(request, value)

            return noted if mode == "sync" else anoted

        urls = [
            django_path("items/<str:value>", view("item")),
            django_path("items/<str:value>/secret", view("secret")),
            django_path("v1/models/<path:value>", view("model")),
        ]
        return DjangoSite(mode, urls, options=options)

    return build


def by_hand(path: str) -> tuple[str, str]:
    """A router of one's own, which splits the decoded path."""
    match path.split("/")[1:]:
        case ["items", value]:
            return "item", value
        case ["items", value, "secret"]:
            return "secret", value
        case ["v1", "models", *segments]:
            return "model", "/".join(segments)
    raise AssertionError(path)


def routed_asgi(routed: Routed, options: dict[str, Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        answer = routed.note(*by_hand(scope["path"]), scope.get(CALL_KEY))
        await send(start())
        await send(part(dump(answer)))

    return OpenAIMiddleware(app, **options)


def routed_wsgi(routed: Routed, options: dict[str, Any]) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        answer = routed.note(*by_hand(environ["PATH_INFO"]), environ.get(CALL_KEY))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [dump(answer)]

    return OpenAIWSGIMiddleware(app, **options)


ROUTED = {
    "asgi": (routed_asgi, drive_asgi),
    "wsgi": (routed_wsgi, drive_wsgi),
    "fastapi": (routed_fastapi, drive_asgi),
    "flask": (routed_flask, drive_wsgi),
    "django-sync": (routed_django("sync"), drive_wsgi),
    "django-async": (routed_django("async"), drive_asgi),
}
frameworks = pytest.mark.parametrize("framework", ROUTED)


def get(framework: str, routed: Routed, target: str, root_path: str = "", **options: Any) -> Reply:
    build, drive = ROUTED[framework]
    return drive(build(routed, options), "GET", target, b"", [], root_path)


def gate(*paths: str) -> dict[str, Any]:
    """Options of a gate that lets nothing through but these paths."""
    config = APIHandlerConfig()
    for path in paths:
        config.add_endpoint_handler(path, "GET")
    return {"config": config, "unmatched": "reject"}


@frameworks
@pytest.mark.parametrize("target", ["/items/a%2Fsecret", "/items/a%2fsecret", "/items/%61%2Fsecret"])
def test_slash_that_is_part_of_a_parameter_takes_the_app_to_no_other_route(framework: str, target: str) -> None:  # M9
    routed = Routed()
    reply = get(framework, routed, target, **gate("/items/{i}"))
    assert reply.status == 200
    assert routed.found == [("item", "a%2Fsecret")]
    assert routed.calls[0].path_params == {"i": "a/secret"}
    assert routed.calls[0].path == "/items/a/secret"


@frameworks
def test_path_without_the_slash_goes_where_it_always_went(framework: str) -> None:  # M9
    routed = Routed()
    options = gate("/items/{i}")
    assert get(framework, routed, "/items/%61", **options).status == 200
    assert get(framework, routed, "/items/a/secret", **options).status == 404
    assert routed.found == [("item", "a")]


@frameworks
def test_slash_that_would_give_the_route_other_parameters_stays_encoded(framework: str) -> None:  # M9
    routed = Routed()
    get(framework, routed, "/items/a%2Fsecret", **gate("/items/{i}", "/items/{i}/secret"))
    assert routed.found == [("item", "a%2Fsecret")]


@pytest.mark.parametrize("framework", [name for name in ROUTED if name != "asgi"])  # its router knows no mounts
def test_slash_stays_encoded_below_a_mount(framework: str) -> None:  # M9 M10
    routed = Routed()
    get(framework, routed, "/api/items/a%2Fsecret", root_path="/api", **gate("/items/{i}"))
    assert routed.found == [("item", "a%2Fsecret")]


@frameworks
@pytest.mark.parametrize("target", ["/v1/models/org%2Fname", "/v1/models/org/name", "/v1/models/org%2fname"])
def test_name_of_a_model_reaches_the_app_s_own_route_with_its_slash(framework: str, target: str) -> None:  # M9
    routed = Routed()
    reply = get(framework, routed, target, prefix="/v1")
    assert reply.json["id"] == "org/name"
    assert routed.found == [("model", "org/name")]
    assert (routed.calls[0].operation, routed.calls[0].path_params) == ("models.retrieve", {"model": "org/name"})


# --- templates that take a part of the encoded slash for their own


async def gated(target: str, *endpoints: str, forbidden: str | None = None) -> tuple[int, App]:
    """The status of a GET at a gate that has these endpoints, and the app that was behind it."""
    options = gate(*endpoints)
    if forbidden is not None:
        options["config"].add_endpoint_handler(forbidden, "GET", APIHandlerAction.FORBID)
    app = App()
    sent = await request(OpenAIMiddleware(app, **options), "GET", target)
    return sent.status, app


@pytest.mark.parametrize("other", ["/items/{i}Flag", "/items/{i}2Flag", "/items/a%2Flag"])
@pytest.mark.parametrize("target", ["/items/a%2Flag", "/items/a%2flag", "/./items/a%2Flag"])
async def test_route_that_is_forbidden_is_not_reached_by_a_part_of_an_encoded_slash(  # M9 M13
    target: str, other: str
) -> None:
    status, app = await gated(target, "/*", forbidden=other)
    assert (status, app.scopes) == (403, [])


@pytest.mark.parametrize("other", ["/items/{j}Flag", "/items/{j}2Flag", "/items/a%2Flag"])
async def test_slash_that_another_route_would_take_for_its_own_separates(other: str) -> None:  # M9
    status, app = await gated("/items/a%2Flag", "/items/{i}", other)
    assert (status, app.scopes) == (404, [])

    status, app = await gated("/items/a%2Flag", "/items/{i}", other, "/items/{i}/{j}")
    assert status == 200
    assert (app.scopes[0]["path"], app.call.path_params) == ("/items/a/lag", {"i": "a", "j": "lag"})


async def test_slash_that_would_divide_the_parameters_in_another_way_separates() -> None:  # M9
    status, app = await gated("/items/aFb%2Fc", "/items/{i}F{j}")
    assert (status, app.scopes) == (404, [])


async def test_sign_that_looks_like_an_encoded_slash_divides_nothing() -> None:  # M9
    _, app = await gated("/items/a%252F%2Fc", "/items/{i}")
    assert (app.scopes[0]["path"], app.call.path_params) == ("/items/a%2F%2Fc", {"i": "a%2F/c"})
