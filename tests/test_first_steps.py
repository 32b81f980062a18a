"""Wrong first steps: each is told in words that lead to the right one."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import transaction
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI
from flask import Flask

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware, OpenAIWSGIMiddleware, WSGIHandlerApp
from openai_middleware.adapters import fastapi as fastapi_adapter
from openai_middleware.adapters import flask as flask_adapter
from openai_middleware.adapters.django import OpenAIMiddleware as DjangoMiddleware
from openai_middleware.adapters.django import openai_view
from openai_middleware.errors import ConfigurationError, ConfigurationMistake
from openai_middleware.extras import needs_extra
from tests.support.django_site import MIDDLEWARE, DjangoSite
from tests.support.drivers import request


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


def wsgi(environ: Any, start_response: Any) -> Any: ...


def mistake_of(function: Callable[[], object]) -> ConfigurationMistake:
    with pytest.raises(ConfigurationError) as caught:
        function()
    [mistake] = caught.value.mistakes
    return mistake


def test_prefix_in_the_place_of_the_groups_is_told_where_it_belongs() -> None:
    for take in (partial(OpenAIMiddleware, asgi), partial(fastapi_adapter.set_openai_frontend, FastAPI())):
        assert mistake_of(partial(take, "/v1")).hint.startswith("Write prefix='/v1'")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"prefixes": "/v1"}, "Did you mean 'prefix'?"),
        ({"handler": {}}, "Did you mean 'handlers'?"),
        ({"max_body": 1}, "Did you mean 'max_body_size'?"),
        ({"endpoints": ["chat"]}, "Did you mean 'chat_completions'?"),
        ({"endpoints": ["response"]}, "Did you mean 'responses'?"),
        ({"handlers": {"chat.completion.create": print}}, "Did you mean 'chat.completions.create'?"),
    ],
)
def test_misspelt_name_is_told_the_nearest(given: dict[str, Any], meant: str) -> None:
    mistake = mistake_of(lambda: OpenAIMiddleware(asgi, **{"prefix": "/v1", **given}))
    assert mistake.hint.startswith(meant)


@pytest.mark.parametrize("app", [wsgi, Flask("app"), Flask("app").wsgi_app, WSGIHandlerApp(print)])
def test_wsgi_app_under_the_asgi_middleware_is_told_the_other(app: Any) -> None:
    mistake = mistake_of(lambda: OpenAIMiddleware(app, prefix="/v1"))
    assert (mistake.code, mistake.hint) == ("app_interface", "Wrap it with OpenAIWSGIMiddleware.")


@pytest.mark.parametrize("app", [asgi, FastAPI(), HandlerApp(print)])
def test_asgi_app_under_the_wsgi_middleware_is_told_the_other(app: Any) -> None:
    mistake = mistake_of(lambda: OpenAIWSGIMiddleware(app, prefix="/v1"))
    assert (mistake.code, mistake.hint) == ("app_interface", "Wrap it with OpenAIMiddleware.")


def test_app_that_takes_anything_or_tells_nothing_is_taken() -> None:
    def anything(*arguments: Any) -> Any: ...

    apps: list[Any] = [anything, print, dict]
    for app in apps:
        OpenAIMiddleware(app, ["models"], prefix="/v1")
        OpenAIWSGIMiddleware(app, ["models"], prefix="/v1")


async def in_starlette(app: FastAPI) -> None:
    await request(app, "GET", "/")


def twice_by_hand() -> None:
    OpenAIMiddleware(OpenAIMiddleware(asgi, ["models"], prefix="/v1"), prefix="/v1")


def twice_in_flask() -> None:
    app = Flask("app")
    for _ in range(2):
        flask_adapter.set_openai_frontend(app, ["models"], prefix="/v1")


@pytest.mark.parametrize("build", [twice_by_hand, twice_in_flask])
def test_app_wrapped_twice_is_told_in_the_log(build: Callable[[], None], caplog: pytest.LogCaptureFixture) -> None:
    build()
    assert "The app is wrapped twice for 3 endpoints, such as DELETE:/v1/models/{model" in caplog.text


async def test_app_wrapped_twice_in_starlette_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    fastapi_adapter.set_openai_frontend(app, ["models"], prefix="/v1")
    app.add_middleware(OpenAIMiddleware, ["models"], prefix="/v1")
    await request(app, "GET", "/")
    assert caplog.text.count("wrapped twice") == 1


def test_two_middlewares_with_different_paths_are_none_too_many(caplog: pytest.LogCaptureFixture) -> None:
    inner = OpenAIMiddleware(asgi, ["models"], prefix="/v1")
    OpenAIMiddleware(inner, ["responses"], prefix="/v1")
    OpenAIMiddleware(inner, ["models"], prefix="/v2")
    assert not caplog.records


def test_own_module_that_is_missing_is_no_reason_to_install_anything() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named") as raised, needs_extra("flask"):
        importlib.import_module("openai_middleware.nowhere")
    assert raised.value.name == "openai_middleware.nowhere"


def test_package_that_another_one_misses_is_named_too() -> None:
    with pytest.raises(ModuleNotFoundError, match="'nowhere' is not installed"), needs_extra("flask"):
        importlib.import_module("nowhere.at_all")


@pytest.mark.parametrize(
    ("module", "missing", "extra"),
    [("fastapi", "starlette", "fastapi"), ("flask", "flask", "flask"), ("django", "django", "django")],
)
def test_missing_package_is_named_with_the_line_that_installs_it(module: str, missing: str, extra: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import openai_middleware.adapters.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "pip install 'openai-middleware[" + extra + "]'" in last
    assert f"{missing!r}" in last or f"{missing}." in last


# --- Django's system checks


def ids(**settings: Any) -> list[str]:
    with override_settings(**settings):
        return [str(message.id).removeprefix("openai_middleware.") for message in run_checks()]


class OwnMiddleware(DjangoMiddleware):
    """One of a project, which does more."""


def test_setting_without_its_middleware_is_told_by_manage_check() -> None:
    options = {"prefix": "/v1"}
    assert ids(OPENAI_MIDDLEWARE=options, MIDDLEWARE=[]) == ["not_in_middleware"]
    assert ids(OPENAI_MIDDLEWARE=options, MIDDLEWARE=[MIDDLEWARE]) == []
    assert ids(OPENAI_MIDDLEWARE=options, MIDDLEWARE=[f"{__name__}.OwnMiddleware"]) == []
    assert ids(OPENAI_MIDDLEWARE=options, MIDDLEWARE=[MIDDLEWARE, MIDDLEWARE]) == ["twice_in_middleware"]
    assert ids(MIDDLEWARE=[]) == []


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
def test_async_view_under_atomic_requests_is_told_the_way_out() -> None:
    async def answer(request: Any, model: str) -> str:
        return model

    def found(view: Any, *, is_atomic: bool = True) -> list[str]:
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "ATOMIC_REQUESTS": is_atomic}
        site = DjangoSite("sync", [path("v1/chat/completions", view)], options={"prefix": "/v1"})
        with site.active():
            return ids(DATABASES={"default": database})

    assert found(openai_view(answer)) == ["atomic_requests"]
    assert found(openai_view(answer), is_atomic=False) == []
    assert found(transaction.non_atomic_requests(openai_view(answer))) == []
    assert found(openai_view(lambda request: "")) == []


# --- fields that OpenAI does not have


@pytest.mark.parametrize("kind", ["handler", "reply"])
async def test_field_that_a_function_names_reaches_it_though_openai_has_none_of_it(kind: str) -> None:
    given: list[Any] = []

    def answer(messages: Any, *, model: str, top_k: int | None = None, **kwargs: Any) -> str:
        given.append((model, top_k, "junk" in kwargs))
        return "Hello"

    dispatch = Dispatcher()
    (dispatch.reply if kind == "reply" else dispatch("chat.completions.create"))(answer)
    app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")

    for body in ({"top_k": 5, "junk": 1}, {}):
        sent = await request(app, "POST", "/v1/chat/completions", {"model": "m", "messages": [], **body})
        assert sent.status == 200

    assert given == [("m", 5, False), ("m", None, False)]


async def test_field_cannot_stand_for_the_url_or_for_the_call() -> None:
    given: list[Any] = []

    def answer(body: Any, *, call: Any = None, mlrun_request_path: str = "none") -> dict[str, Any]:
        given.append((type(call).__name__, mlrun_request_path))
        return {}

    app = OpenAIMiddleware(HandlerApp(answer), prefix="/v1", include_url_info=False)
    body = {"model": "m", "messages": [], "call": 1, "mlrun_request_path": "/other"}
    await request(app, "POST", "/v1/chat/completions", body)

    assert given == [("OpenAICall", "none")]
