"""`openai_view` of FastAPI: a function as a route, with what FastAPI fills in; and what its documentation shows."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request
from fastapi.openapi.models import OpenAPI
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from openai_middleware import OpenAICall, Reply, Response
from openai_middleware.adapters.fastapi import openai_call, openai_view, set_openai_frontend
from tests.support.drivers import JSON_HEADERS, Sent
from tests.support.handlers import Client
from tests.support.server_sent_events import parse

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def app_with(function: Any, path: str = "/v1/chat/completions") -> FastAPI:
    app = FastAPI()
    set_openai_frontend(app, prefix="/v1")
    app.post(path)(openai_view(function))
    return app


async def chat(app: FastAPI, *headers: tuple[bytes, bytes], **fields: Any) -> Sent:
    client = Client("POST", "/v1/chat/completions", CHAT | fields, headers=[*JSON_HEADERS, *headers])
    return await client.asks(app)


def content(sent: Sent) -> Any:
    return sent.json["choices"][0]["message"]["content"]


def sync_text(body: Any, *, messages: Any) -> str:
    return f"{messages[0]['content']}!"


async def async_text(body: Any, *, messages: Any) -> str:
    return sync_text(body, messages=messages)


def sync_pieces(body: Any, *, messages: Any) -> Iterator[str]:
    yield "Hi"
    yield "!"


async def async_pieces(body: Any, *, messages: Any) -> AsyncIterator[Any]:
    yield Reply("Hi")
    yield "!"


@pytest.mark.parametrize("function", [sync_text, async_text, sync_pieces, async_pieces])
async def test_text_of_a_function_is_what_the_client_asked_for(function: Any) -> None:
    app = app_with(function)

    whole, streamed = await chat(app), await chat(app, stream=True)

    assert content(whole) == "Hi!"
    assert streamed.header("content-type") == "text/event-stream"
    *chunks, done = parse(streamed.body)
    assert done.data == "[DONE]"
    assert "".join(_delta(chunk.data) for chunk in chunks) == "Hi!"


def _delta(data: str) -> str:
    choices = json.loads(data)["choices"]
    return choices[0]["delta"].get("content") or ""


async def user(authorization: Annotated[str, Header()]) -> str:
    if authorization != "Bearer key":
        raise HTTPException(401, "Who are you?")
    return "Ann"


User = Annotated[str, Depends(user)]


async def test_dependencies_of_the_app_are_filled_and_may_refuse() -> None:
    async def answer(body: Any, *, model: str, user: User, request: Request) -> str:
        return f"{user} asks {model} at {request.url.path}"

    app = app_with(answer)

    accepted = await chat(app, (b"authorization", b"Bearer key"))
    refused = await chat(app, (b"authorization", b"Bearer other"))

    assert content(accepted) == "Ann asks m at /v1/chat/completions"
    assert (refused.status, refused.error["message"]) == (401, "Who are you?")


async def test_function_whose_first_parameter_is_a_dependency_does_without_the_body() -> None:
    def answer(user: User, model: str) -> str:
        return f"{user} and {model}"

    sent = await chat(app_with(answer), (b"authorization", b"Bearer key"))

    assert content(sent) == "Ann and m"


async def test_body_has_a_name_where_the_first_parameter_is_a_dependency() -> None:
    def answer(request: Request, body: Any) -> str:
        return f"{request.url.path} {body['model']}"

    assert content(await chat(app_with(answer))) == "/v1/chat/completions m"


async def test_body_that_fastapi_fills_is_its_own() -> None:
    def answer(request: Request, body: Annotated[str, Depends(lambda: "own")]) -> str:
        return body

    assert content(await chat(app_with(answer))) == "own"


UserAlias = TypeAliasType("UserAlias", User)


async def test_dependency_may_have_another_name() -> None:
    async def answer(body: Any, *, user: UserAlias) -> str:
        return user

    assert content(await chat(app_with(answer), (b"authorization", b"Bearer key"))) == "Ann"


async def test_types_that_are_there_for_type_checkers_alone_are_no_hindrance() -> None:
    async def answer(body: "Absent", *, user: "User", model: "Absent") -> "Absent":  # type: ignore[name-defined]  # noqa: F821
        return f"{user} asks {model}"

    assert content(await chat(app_with(answer), (b"authorization", b"Bearer key"))) == "Ann asks m"


async def test_several_choices_are_refused_before_the_function_is_called() -> None:  # R9
    called: list[Any] = []

    def answer(*, model: str) -> str:
        called.append(model)
        return "Hi"

    sent = await chat(app_with(answer), n=2)
    assert (sent.status, sent.error["param"], called) == (400, "n", [])


async def test_client_cannot_fill_what_fastapi_fills() -> None:
    async def answer(body: Any, *, user: User, **kwargs: Any) -> str:
        return user

    app = FastAPI()
    set_openai_frontend(app, prefix="/v1")
    app.post("/v1/chat/completions")(openai_view(answer))
    sent = await chat(app, (b"authorization", b"Bearer key"), user="Eve")

    assert content(sent) == "Ann"


async def test_call_is_a_parameter_too() -> None:
    async def answer(body: Any, *, call: OpenAICall) -> str:
        return call.headers["x-tenant"]

    assert content(await chat(app_with(answer), (b"x-tenant", b"blue"))) == "blue"


async def test_background_tasks_run_after_the_answer() -> None:
    done: list[str] = []

    def answer(body: Any, *, tasks: BackgroundTasks) -> str:
        tasks.add_task(done.append, "task")
        return "Hi"

    sent = await chat(app_with(answer))

    assert (content(sent), done) == ("Hi", ["task"])


async def test_view_works_in_a_router() -> None:
    router = APIRouter(prefix="/v1/chat")
    router.post("/completions")(openai_view(sync_text))
    app = FastAPI()
    set_openai_frontend(app, prefix="/v1")
    app.include_router(router)

    assert content(await chat(app)) == "Hi!"


async def test_response_leaves_as_the_function_says() -> None:
    def answer(body: Any) -> Response:
        return Response({"busy": True}, 503, headers={"Retry-After": "3"})

    sent = await chat(app_with(answer))

    assert (sent.status, sent.json, sent.header("retry-after")) == (503, {"busy": True}, "3")


async def test_bug_is_an_envelope_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def answer(body: Any) -> str:
        raise ZeroDivisionError("secret")

    sent = await chat(app_with(answer))

    assert (sent.status, sent.error["type"]) == (500, "server_error")
    assert b"secret" not in sent.body
    assert "secret" in caplog.text


def test_view_keeps_the_name_and_the_description_of_its_function() -> None:
    def greet(body: Any) -> str:
        """Say hello."""
        return "Hi"

    description = app_with(greet).openapi()["paths"]["/v1/chat/completions"]["post"]

    assert (description["summary"], description["description"]) == ("Greet", "Say hello.")


# --- the document of the API


def documented() -> dict[str, Any]:
    app = FastAPI()
    set_openai_frontend(app, prefix="/v1")
    app.post("/v1/chat/completions")(openai_view(sync_text))

    @app.get("/v1/responses/{identifier}/input_items")
    async def items(call: Annotated[OpenAICall, Depends(openai_call)]) -> dict[str, Any]:
        return {}

    class Own(BaseModel):
        input: str

    @app.post("/v1/responses")
    async def create(body: Own) -> Own:
        return body

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {}

    return app.openapi()


def test_document_shows_what_an_operation_takes_and_answers() -> None:
    description = documented()["paths"]["/v1/chat/completions"]["post"]

    taken = description["requestBody"]["content"]["application/json"]["schema"]
    assert sorted(taken["required"]) == ["messages", "model"]
    assert {"temperature", "tools", "stream"} <= taken["properties"].keys()
    answered = description["responses"]["200"]["content"]
    assert "choices" in answered["application/json"]["schema"]["required"]
    assert "text/event-stream" in answered
    assert "error" in description["responses"]["default"]["content"]["application/json"]["schema"]["properties"]


def test_document_shows_parameters_of_path_and_query() -> None:
    description = documented()["paths"]["/v1/responses/{identifier}/input_items"]["get"]

    places = {parameter["name"]: parameter["in"] for parameter in description["parameters"]}
    assert places["identifier"] == "path"
    assert places["limit"] == "query"


def test_document_keeps_what_a_route_says_itself() -> None:
    document = documented()

    description = document["paths"]["/v1/responses"]["post"]
    reference = {"$ref": "#/components/schemas/Own"}
    assert description["requestBody"]["content"]["application/json"]["schema"] == reference
    assert description["responses"]["200"]["content"]["application/json"]["schema"] == reference
    assert "default" not in document["paths"]["/health"]["get"]["responses"]


def test_document_is_valid_and_stays_the_same() -> None:
    app = FastAPI()
    set_openai_frontend(app, prefix="/v1")
    app.post("/v1/chat/completions")(openai_view(sync_text))

    document = app.openapi()

    OpenAPI.model_validate(document)
    assert app.openapi() == document
