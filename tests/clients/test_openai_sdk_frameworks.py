"""The official SDK against live servers: Django under uvicorn and gunicorn, and Flask under gunicorn."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import uuid4

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.support.samples import ANSWERS, FULL_RESPONSE, NULLABLE_OF_RESPONSE
from tests.support.sdk_calls import BY_NAME, HELLO, Client, each_operation, result
from tests.support.servers import gunicorn_server, server_process

TEXT = ["a", "b\u2028", "é"]


@contextmanager
def uvicorn_process(factory: str) -> Iterator[str]:
    command = [sys.executable, "-m", "uvicorn", "--port=0", "--lifespan=off", "--factory", factory]
    with server_process(command, r"running on (http://127\.0\.0\.1:\d+)") as server:
        yield server.ready[1]


SERVERS = {
    "django-uvicorn": lambda: uvicorn_process("tests.support.live_apps:django_asgi"),
    "django-gunicorn": lambda: gunicorn_server("tests.support.live_apps:django_wsgi()"),
    "flask-gunicorn": lambda: gunicorn_server("tests.support.live_apps:flask_wsgi()"),
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    serving: AbstractContextManager[str] = SERVERS[request.param]()
    with serving as url:
        yield url


@pytest.fixture(params=["sync", "async"], ids=lambda kind: f"{kind}-functions")
def base_url(request: pytest.FixtureRequest, server: str) -> str:
    return f"{server}/{request.param}"


@pytest.fixture(params=["sync", "async"], ids=lambda kind: f"{kind}-client")
async def client(request: pytest.FixtureRequest, base_url: str) -> AsyncIterator[Client]:
    settings: dict[str, Any] = {"base_url": base_url, "api_key": "none", "_strict_response_validation": True}
    if request.param == "sync":
        with OpenAI(**settings) as sync_client:
            yield sync_client
    else:
        async with AsyncOpenAI(**settings) as async_client:
            yield async_client


@pytest.fixture
def sync_client(base_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        yield client


@each_operation
async def test_sdk_gets_its_answer_without_the_junk(name: str, client: Client) -> None:  # C3 C4 O2 O4
    answer = await result(BY_NAME[name][2](client))
    if name == "responses.delete":
        assert answer is None
        return
    filled = dict.fromkeys(NULLABLE_OF_RESPONSE) if ANSWERS[name] is FULL_RESPONSE else {}
    assert answer.to_dict() == {**ANSWERS[name], **filled}


async def test_sdk_raises_the_namesake_of_what_the_app_raised(client: Client) -> None:  # E1 E4
    with pytest.raises(openai.NotFoundError) as caught:
        await result(client.responses.retrieve("unknown"))
    assert (caught.value.param, caught.value.body) == (
        "response_id",
        {
            "message": "There is no such response.",
            "type": "invalid_request_error",
            "param": "response_id",
            "code": None,
        },
    )


async def test_sdk_raises_for_what_never_reaches_the_app(client: Client) -> None:  # B2 E2
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        await result(client.post("/chat/completions", body={"model": "m"}, cast_to=object))
    assert caught.value.param == "messages"


async def items_of(stream: Any) -> list[Any]:
    """All items of a stream, whichever client it belongs to."""
    stream = await result(stream)
    return [item async for item in stream] if isinstance(stream, openai.AsyncStream) else list(stream)


async def test_sdk_reads_a_stream_of_chunks(client: Client) -> None:  # S2 S3
    chunks = await items_of(client.chat.completions.create(model="m", messages=HELLO, stream=True))
    assert [chunk.choices[0].delta.content for chunk in chunks] == TEXT
    assert all(chunk.model_extra == {} for chunk in chunks)


async def test_sdk_reads_a_stream_of_typed_events(client: Client) -> None:  # S2 S3 O4
    *deltas, last = await items_of(client.responses.create(model="m", input="i", stream=True))
    assert [event.delta for event in deltas] == TEXT
    assert [event.sequence_number for event in (*deltas, last)] == [0, 1, 2, 3]
    assert last.response.to_dict() == {**FULL_RESPONSE, **dict.fromkeys(NULLABLE_OF_RESPONSE)}


async def test_failure_before_the_first_event_is_a_status(client: Client) -> None:  # S4
    with pytest.raises(openai.NotFoundError) as caught:
        await items_of(client.chat.completions.create(model="fails-at-once", messages=HELLO, stream=True))
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("model", "message"), [("fails-late", "The model is gone."), ("breaks-late", "The server failed while")]
)
@pytest.mark.parametrize("operation", ["chat", "responses"])
def test_failure_within_a_stream_reaches_the_client(  # S4
    operation: str, model: str, message: str, sync_client: OpenAI
) -> None:
    stream: Any
    if operation == "chat":
        stream = sync_client.chat.completions.create(model=model, messages=HELLO, stream=True)
    else:
        stream = sync_client.responses.create(model=model, input="i", stream=True)
    assert next(stream)
    with pytest.raises(openai.APIError, match=message):
        next(stream)


def test_event_reaches_the_client_before_the_next_one_is_produced(sync_client: OpenAI) -> None:  # S1 W2
    user = uuid4().hex
    stream = sync_client.chat.completions.create(model="waits", messages=HELLO, user=user, stream=True)
    texts = [next(stream).choices[0].delta.content]
    sync_client.responses.cancel(user)
    texts += [chunk.choices[0].delta.content for chunk in stream]
    assert texts == TEXT


def test_stream_is_closed_when_the_client_goes(sync_client: OpenAI) -> None:  # S8
    user = uuid4().hex
    with sync_client.chat.completions.create(model="endless", messages=HELLO, user=user, stream=True) as stream:
        assert next(stream)
    assert sync_client.responses.retrieve(f"closed-{user}").id == "resp-1"


def test_stream_of_a_route_that_knows_nothing_of_openai_is_closed_when_the_client_goes(  # S8 T6 T12
    sync_client: OpenAI,
) -> None:
    user = uuid4().hex
    with sync_client.completions.create(model="m", prompt="p", user=user, stream=True) as stream:
        assert [next(stream).choices[0].text for _ in range(3)] == ["0 ", "1 ", "2 "]
    assert sync_client.responses.retrieve(f"closed-{user}").id == "resp-1"
