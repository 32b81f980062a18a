"""The official SDK against one function of five lines: under uvicorn and gunicorn, and in Django and Flask."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import flask
import pytest
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware, OpenAIWSGIMiddleware, WSGIHandlerApp
from openai_middleware.adapters.flask import set_openai_frontend
from tests.support.servers import gunicorn_server, uvicorn_server

# --- the servers: this module is imported by gunicorn too

dispatch = Dispatcher()


@dispatch.reply
def answer(messages: list[Any]) -> Iterator[str]:
    yield '{"city": '
    yield '"Köln"}'


asgi_app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")
wsgi_app = OpenAIWSGIMiddleware(WSGIHandlerApp(dispatch), prefix="/v1")


def django_wsgi() -> Any:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=type(sys)("urls", ""),
        MIDDLEWARE=["openai_middleware.adapters.django.OpenAIMiddleware"],
        OPENAI_MIDDLEWARE={"prefix": "/v1", "handlers": "tests.clients.test_openai_sdk_replies.dispatch"},
    )
    settings.ROOT_URLCONF.urlpatterns = []
    return get_wsgi_application()


def flask_wsgi() -> flask.Flask:
    app = flask.Flask("replies")
    set_openai_frontend(app, prefix="/v1", handlers=dispatch)
    return app


HERE = "tests.clients.test_openai_sdk_replies"
SERVERS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "uvicorn": lambda: uvicorn_server(asgi_app),
    "gunicorn": lambda: gunicorn_server(f"{HERE}:wsgi_app"),
    "django": lambda: gunicorn_server(f"{HERE}:django_wsgi()"),
    "flask": lambda: gunicorn_server(f"{HERE}:flask_wsgi()"),
}


@pytest.fixture(scope="module", params=SERVERS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with SERVERS[request.param]() as url:
        yield f"{url}/v1"


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key="none", _strict_response_validation=True) as client:
        yield client


# --- the client


class Place(BaseModel):
    """What the answer is parsed as."""

    city: str


QUESTION: Any = {"model": "m", "messages": [{"role": "user", "content": "Where?"}]}
INPUT: Any = {"model": "m", "input": "Where?"}
TEXT = '{"city": "Köln"}'


def test_chat_completion_is_created(client: OpenAI) -> None:  # R20 R1
    completion = client.chat.completions.create(**QUESTION)
    assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == (TEXT, "stop")


def test_chunks_are_streamed(client: OpenAI) -> None:  # R30 R1
    with client.chat.completions.create(**QUESTION, stream=True) as stream:
        texts = [choice.delta.content for chunk in stream for choice in chunk.choices]
    assert [text for text in texts if text] == ['{"city": ', '"Köln"}']


def test_stream_of_chat_is_followed(client: OpenAI) -> None:  # R30
    with client.chat.completions.stream(**QUESTION, response_format=Place) as stream:
        kinds = [event.type for event in stream]
        completion = stream.get_final_completion()
    assert completion.choices[0].message.parsed == Place(city="Köln")
    # The opening delta has a text too, which is empty.
    assert kinds.count("content.delta") == 3
    assert kinds[-1] == "content.done"


def test_chat_completion_is_parsed(client: OpenAI) -> None:  # R20
    completion = client.chat.completions.parse(**QUESTION, response_format=Place)
    assert completion.choices[0].message.parsed == Place(city="Köln")


def test_response_is_created(client: OpenAI) -> None:  # R40 R1
    response = client.responses.create(**INPUT, instructions="Be short.")
    assert (response.output_text, response.status, response.instructions) == (TEXT, "completed", "Be short.")


def test_events_are_streamed(client: OpenAI) -> None:  # R46 R1
    with client.responses.create(**INPUT, stream=True) as stream:
        events = list(stream)
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_stream_of_a_response_is_followed(client: OpenAI) -> None:  # R46 R48
    with client.responses.stream(**INPUT, text_format=Place) as stream:
        kinds = [event.type for event in stream]
        response = stream.get_final_response()
    assert response.output_parsed == Place(city="Köln")
    assert kinds[-1] == "response.completed"


def test_response_is_parsed(client: OpenAI) -> None:  # R40
    assert client.responses.parse(**INPUT, text_format=Place).output_parsed == Place(city="Köln")


def test_text_completion_is_created(client: OpenAI) -> None:  # R60
    assert client.completions.create(model="m", prompt="Where?").choices[0].text == TEXT


async def test_async_client_gets_the_same(url: str) -> None:  # R46 R30
    async with AsyncOpenAI(base_url=url, api_key="none", _strict_response_validation=True) as client:
        async with client.responses.stream(**INPUT) as stream:
            response = await stream.get_final_response()
        completion = await client.chat.completions.create(**QUESTION)
    assert (response.output_text, completion.choices[0].message.content) == (TEXT, TEXT)
