"""`openai-middleware routes` and `contract`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from openai_middleware import APIHandlerAction, APIHandlerConfig, OpenAIEndpoint, OpenAIMiddleware
from openai_middleware.cli.main import cli
from openai_middleware.cli.routes import ServedRoute, served_by

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)


async def bare(scope: object, receive: object, send: object) -> None: ...


def test_routes_of_a_configuration_say_what_is_forbidden() -> None:
    config = APIHandlerConfig()
    config.set_openai_frontend([OpenAIEndpoint.EMBEDDINGS], "/v1")
    config.add_endpoint_handler("/admin/*", "POST", APIHandlerAction.FORBID)

    assert list(served_by(OpenAIMiddleware(bare, config=config))) == [
        ServedRoute("POST", "/v1/embeddings", "embeddings.create", ["input", "model"], "allow", ""),
        ServedRoute("POST", "/admin/*", "", [], "forbid", ""),
    ]


class Slotted:
    """A wrapper without a `__dict__`."""

    __slots__ = ("app", "nothing")

    def __init__(self, app: object) -> None:
        self.app = app

    async def __call__(self, scope: object, receive: object, send: object) -> None: ...


def test_routes_are_found_behind_slots() -> None:
    wrapped = Slotted(Slotted(OpenAIMiddleware(bare, endpoints=[OpenAIEndpoint.EMBEDDINGS], prefix="/v1")))

    assert [route.operation for route in served_by(wrapped)] == ["embeddings.create"]


def test_what_an_app_prints_does_not_mix_with_the_json_of_its_routes(tmp_path: Path) -> None:
    (tmp_path / "noisy_app_of_routes.py").write_text(f"print('imported'){FLASK}")

    done = run("routes", "noisy_app_of_routes:app", "--app-dir", tmp_path, "--json")

    assert len(json.loads(done.stdout)) > 0
    assert done.stderr == "imported\n"


STARLETTE = """
from starlette.applications import Starlette
from starlette.routing import Mount
from openai_middleware import Dispatcher, HandlerApp, OpenAIEndpoint, OpenAIMiddleware, Rewrite

dispatch = Dispatcher()

@dispatch.reply("completions.create")
def answer(messages):
    return "Hello"

app = Starlette()
rewrites = {"models.list": Rewrite("GET /topics", reply="$[*]"), "responses.create": "chat.completions.create"}
groups = [OpenAIEndpoint.RESPONSES, OpenAIEndpoint.MODELS, OpenAIEndpoint.COMPLETIONS, OpenAIEndpoint.CHAT_COMPLETIONS]
app.add_middleware(OpenAIMiddleware, endpoints=groups, prefix="/v1", rewrites=rewrites, handlers=dispatch)
mounted = Starlette(routes=[Mount("/tenant", app)])
"""
FLASK = """
import flask
from openai_middleware.adapters.flask import set_openai_frontend

app = flask.Flask(__name__)
set_openai_frontend(app, ["models"], prefix="/v1")
"""


@pytest.mark.parametrize("name", ["app", "mounted"])
def test_routes_are_found_in_a_framework_and_tell_what_serves_them(name: str, tmp_path: Path) -> None:
    (tmp_path / "starlette_app_of_routes.py").write_text(STARLETTE)

    done = run("routes", f"starlette_app_of_routes:{name}", "--app-dir", tmp_path, "--json")

    routes = {route["operation"]: route for route in json.loads(done.stdout)}
    assert {operation: route["served_by"] for operation, route in routes.items() if route["served_by"]} == {
        "completions.create": "answer",
        "models.list": "GET /topics",
        "responses.create": "chat.completions.create",
    }
    assert routes["chat.completions.create"] == {
        "method": "POST",
        "path": "/v1/chat/completions",
        "operation": "chat.completions.create",
        "mandatory": ["messages", "model"],
        "action": "allow",
        "served_by": "",
    }


def test_routes_are_a_table_for_people(tmp_path: Path) -> None:
    (tmp_path / "flask_app_of_routes.py").write_text(FLASK)

    done = run("routes", "flask_app_of_routes:app", "--app-dir", tmp_path)

    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["GET", "/v1/models", "models.list", "allow"] in rows
    assert ["DELETE", "/v1/models/{model:path}", "models.delete", "allow"] in rows


def test_routes_of_an_app_without_the_middleware_are_none() -> None:
    done = run("routes", "tests.cli.test_commands:bare", "--app-dir", ROOT)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "There is no middleware of this package in tests.cli.test_commands:bare." in done.stderr


def test_contract_is_the_command_that_it_was(tmp_path: Path) -> None:
    written = run("contract", "--write", tmp_path / "contract.json")
    both = run("contract", "--contract", tmp_path / "contract.json", "--write", tmp_path / "contract.json")
    nowhere = run("contract", "--contract", tmp_path / "nowhere.json")

    assert written.exit_code == 0
    assert "contract.json: 150 operations of openai 3.54.0 and Open Responses 2026-04-24" in written.stdout
    assert (both.exit_code, both.stderr) == (2, "--contract and --write do not go together.\n")
    assert nowhere.exit_code == 2
