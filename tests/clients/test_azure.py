"""The official SDK's Azure clients: they name a deployment in the path and a version of the API in the query."""

import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncAzureOpenAI, AzureOpenAI, OpenAI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from openai_middleware import OpenAICall, OpenAIMiddleware, OpenAIWSGIMiddleware
from openai_middleware.contract import shipped
from openai_middleware.request.call import CALL_KEY
from tests.support import samples, wsgi_driver
from tests.support.drivers import App, request
from tests.support.sdk_methods import arguments, public_methods
from tests.support.servers import uvicorn_server

# Deprecated methods are called too.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Json = dict[str, Any]

PREFIXES = ["/openai/deployments/{deployment}", "/openai", "/openai/v1", "/v1"]
VERSION = "2024-10-21"
MESSAGES: Any = [{"role": "user", "content": "Hello"}]

# What Azure serves by deployment.
BY_DEPLOYMENT = {
    *("audio.speech.create", "audio.transcriptions.create", "audio.translations.create", "chat.completions.create"),
    *("completions.create", "embeddings.create", "images.edit", "images.generate"),
}

MESSAGE = {"role": "assistant", "content": "Hello!", "refusal": None}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": MESSAGE, "content_filter_results": {"hate": {}}}],
}
CHUNK = {**COMPLETION, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hello!"}}]}
EMBEDDING = {"object": "embedding", "index": 0, "embedding": [0.5]}
FILE = {
    "id": "file-1",
    "object": "file",
    "bytes": 2,
    "created_at": 1,
    "filename": "f",
    "purpose": "batch",
    "status": "processed",
}
MODEL = {"id": "org/name", "object": "model", "created": 1, "owned_by": "org"}
RESPONSE = {**samples.RESPONSE, "id": "resp-1", "model": "gpt-4o"}
ANSWERS: dict[str, Json] = {
    "chat.completions.create": COMPLETION,
    "embeddings.create": {
        "object": "list",
        "model": "m",
        "data": [EMBEDDING],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    },
    "files.create": FILE,
    "files.list": {"object": "list", "data": [FILE], "has_more": False},
    "models.list": {"object": "list", "data": [MODEL]},
    "models.retrieve": MODEL,
    "responses.create": RESPONSE,
    "responses.retrieve": RESPONSE,
}
JUNK: Json = {"prompt_filter_results": [{"prompt_index": 0}], "_internal": "secret"}


class Backend:
    """An app that records its calls and the headers of its requests."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.calls: list[OpenAICall] = []
        self.headers: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        call = scope[CALL_KEY]
        self.calls.append(call)
        self.headers.append(Request(scope).headers)
        await self._answer(call)(scope, receive, send)

    def _answer(self, call: OpenAICall) -> Response:
        if call.kwargs.get("stream"):
            return StreamingResponse(chunks(), media_type="text/event-stream")
        if call.operation == "files.content":
            return Response(b'{"a": 1}', media_type="application/json")
        return JSONResponse({**ANSWERS[str(call.operation)], **JUNK})


async def chunks() -> AsyncIterator[str]:
    yield f"data: {json.dumps({**CHUNK, **JUNK})}\n\n"


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Backend, str]]:
    backend = Backend()
    with uvicorn_server(OpenAIMiddleware(backend, prefix=PREFIXES), lifespan="off") as url:
        yield backend, url


@pytest.fixture
def backend(live: tuple[Backend, str]) -> Backend:
    live[0].reset()
    return live[0]


@pytest.fixture
def client(live: tuple[Backend, str]) -> Iterator[AzureOpenAI]:
    with AzureOpenAI(azure_endpoint=live[1], api_key="az-key", api_version=VERSION) as client:
        yield client


@pytest.fixture
async def async_client(live: tuple[Backend, str]) -> AsyncIterator[AsyncAzureOpenAI]:
    async with AsyncAzureOpenAI(azure_endpoint=live[1], api_key="az-key", api_version=VERSION) as client:
        yield client


# The operation, its path, its kwargs beside those of every request, and the call.
CALLS: list[tuple[str, str, Json, Callable[[Any], Any]]] = [
    (
        "chat.completions.create",
        "/openai/deployments/gpt-4o/chat/completions",
        {"model": "gpt-4o", "messages": MESSAGES, "deployment": "gpt-4o"},
        lambda client: client.chat.completions.create(model="gpt-4o", messages=MESSAGES),
    ),
    (
        "embeddings.create",
        "/openai/deployments/ada/embeddings",
        {"model": "ada", "input": "x", "encoding_format": "float", "deployment": "ada"},
        lambda client: client.embeddings.create(model="ada", input="x", encoding_format="float"),
    ),
    (
        "responses.create",
        "/openai/responses",
        {"model": "gpt-4o", "input": "Hello"},
        lambda client: client.responses.create(model="gpt-4o", input="Hello"),
    ),
    (
        "responses.retrieve",
        "/openai/responses/resp-1",
        {"response_id": "resp-1"},
        lambda client: client.responses.retrieve("resp-1"),
    ),
    ("models.list", "/openai/models", {}, lambda client: client.models.list()),
    (
        "models.retrieve",
        "/openai/models/org/name",
        {"model": "org/name"},
        lambda client: client.models.retrieve("org/name"),
    ),
    (
        "files.create",
        "/openai/files",
        {},
        lambda client: client.files.create(file=("f", b"{}"), purpose="batch"),
    ),
    ("files.list", "/openai/files", {"limit": 5}, lambda client: client.files.list(limit=5)),
]
each_call = pytest.mark.parametrize(("operation", "path", "kwargs", "ask"), CALLS, ids=[one[0] for one in CALLS])


def url_info(path: str, method: str) -> Json:
    return {"mlrun_request_path": path, "mlrun_request_method": method}


def check(backend: Backend, answer: Any, operation: str, path: str, kwargs: Json) -> None:
    [call] = backend.calls
    assert call.operation == operation
    assert call.kwargs == {**kwargs, "api-version": VERSION, **url_info(path, call.method)}
    assert backend.headers[0]["api-key"] == "az-key"
    assert answer.to_dict().items() >= {"object": ANSWERS[operation]["object"]}.items()
    assert not JUNK.keys() & answer.to_dict().keys()


@each_call
def test_the_azure_client_is_served(  # C2 O2
    operation: str, path: str, kwargs: Json, ask: Callable[[Any], Any], client: AzureOpenAI, backend: Backend
) -> None:
    check(backend, ask(client), operation, path, kwargs)


@each_call
async def test_the_azure_client_is_served_asynchronously(  # C2 O2
    operation: str, path: str, kwargs: Json, ask: Callable[[Any], Any], async_client: AsyncAzureOpenAI, backend: Backend
) -> None:
    check(backend, await ask(async_client), operation, path, kwargs)


def test_fields_that_only_azure_has_are_dropped_from_answers_and_kept_in_them(  # O2 O11 C5
    client: AzureOpenAI, backend: Backend
) -> None:
    sources: Json = {"data_sources": [{"type": "azure_search"}]}
    answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, extra_body=sources)

    assert answer.to_dict() == COMPLETION
    assert backend.calls[0].body["data_sources"] == sources["data_sources"]
    assert "data_sources" not in backend.calls[0].kwargs


def test_the_azure_client_reads_a_stream(client: AzureOpenAI, backend: Backend) -> None:  # S2 S3
    stream = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)

    [chunk] = stream
    assert chunk.choices[0].delta.content == "Hello!"
    assert not JUNK.keys() & chunk.to_dict().keys()
    assert backend.calls[0].kwargs["deployment"] == "gpt-4o"


async def test_the_azure_client_reads_a_stream_asynchronously(  # S2 S3
    async_client: AsyncAzureOpenAI, backend: Backend
) -> None:
    stream = await async_client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)

    assert [chunk.choices[0].delta.content async for chunk in stream] == ["Hello!"]


def test_the_azure_client_downloads_a_file(client: AzureOpenAI, backend: Backend) -> None:  # O1
    assert client.files.content("file-1").content == b'{"a": 1}'
    assert backend.calls[0].kwargs["file_id"] == "file-1"


def test_a_deployment_that_the_client_is_made_for_is_in_every_path_that_has_one(  # M7
    live: tuple[Backend, str], backend: Backend
) -> None:
    settings: Json = {"azure_endpoint": live[1], "azure_deployment": "my model", "api_version": VERSION}
    with AzureOpenAI(**settings, azure_ad_token="token") as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        client.models.list()

    completion, models = backend.calls
    assert (completion.kwargs["deployment"], completion.kwargs["model"]) == ("my model", "gpt-4o")
    assert (models.path, models.path_params) == ("/openai/models", {})
    assert [headers["authorization"] for headers in backend.headers] == ["Bearer token"] * 2


@pytest.mark.parametrize("path", ["/openai/v1/", "/v1"])
def test_the_plain_client_is_served_beside_it(path: str, live: tuple[Backend, str], backend: Backend) -> None:  # C2
    with OpenAI(base_url=live[1] + path, api_key="az-key") as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    [call] = backend.calls
    assert call.path == f"{path.rstrip('/')}/chat/completions"
    assert (call.path_params, call.query_params) == ({}, {})


# --- every operation


class Refusing:
    """A client whose requests reach an app that refuses them all."""

    def __init__(self) -> None:
        error = {"error": {"message": "refused"}}
        self.app = wsgi_driver.App(error, status="400 Bad Request")
        transport = httpx2.WSGITransport(OpenAIWSGIMiddleware(self.app, prefix=PREFIXES))
        http_client = httpx2.Client(transport=transport)
        self.client = AzureOpenAI(
            azure_endpoint="http://azure", api_key="az-key", api_version=VERSION, http_client=http_client
        )
        self.methods = dict(public_methods(self.client))

    def call_of(self, name: str) -> Any:
        self.app.environs.clear()
        with contextlib.suppress(openai.BadRequestError):
            self.methods[name](**arguments(self.methods[name], only=None))
        return self.app.call


@pytest.fixture(scope="module")
def refusing() -> Refusing:
    return Refusing()


@pytest.mark.parametrize("name", shipped().operation_names())
def test_every_operation_of_the_azure_client_is_found(name: str, refusing: Refusing) -> None:  # C1 C2
    call = refusing.call_of(name)

    assert call.operation == name
    assert call.query_params["api-version"] == VERSION
    assert call.path_params.get("deployment") == ("model" if name in BY_DEPLOYMENT else None)


# --- the paths


@pytest.mark.parametrize(
    ("target", "operation", "params"),
    [
        ("/openai/deployments/d/chat/completions", "chat.completions.create", {"deployment": "d"}),
        ("/openai/deployments/a%2Fb/chat/completions", "chat.completions.create", {"deployment": "a/b"}),
        ("/openai/deployments/v1/chat/completions", "chat.completions.create", {"deployment": "v1"}),
        ("/openai/chat/completions", "chat.completions.create", {}),
        ("/openai/v1/chat/completions", "chat.completions.create", {}),
        ("/v1/chat/completions", "chat.completions.create", {}),
        ("/openai/deployments/d/responses/compact", "responses.compact", {"deployment": "d"}),
        ("/openai/deployments//chat/completions", None, {}),
        ("/openai/deployments/d/v1/chat/completions", None, {}),
        ("/openai/v2/chat/completions", None, {}),
        ("/chat/completions", None, {}),
    ],
)
async def test_a_path_belongs_to_one_prefix(target: str, operation: str | None, params: Json) -> None:  # C2 M7
    app = App({**COMPLETION, "output": [], "usage": {}, "created_at": 1})

    await request(OpenAIMiddleware(app, prefix=PREFIXES), "POST", target, {"model": "m", "messages": []})

    call = app.scopes[0].get(CALL_KEY)
    assert (call and call.operation, call.path_params if call else {}) == (operation, params)


def test_the_prefixes_of_azure_take_nothing_from_each_other(caplog: pytest.LogCaptureFixture) -> None:  # C2
    OpenAIMiddleware(App(), prefix=PREFIXES)

    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
