"""Tests of an app behind the middleware, in the four ways that there are.

pytest docs/examples/testing.py
"""

import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
import pytest
import uvicorn
from replies import app, hello
from starlette.testclient import TestClient

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware

QUESTION: Any = [{"role": "user", "content": "Good morning"}]


# --8<-- [start:function]
def test_function_answers() -> None:
    assert hello([{"role": "user", "content": "Hi"}]) == "Hello! You said: Hi"


# --8<-- [end:function]


# --8<-- [start:test_client]
def test_request_without_messages_is_refused() -> None:
    with TestClient(app) as client:
        answer = client.post("/v1/chat/completions", json={"model": "hello"})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "messages"


# --8<-- [end:test_client]


# --8<-- [start:sdk]
@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    with TestClient(app) as http_client:
        yield openai.OpenAI(base_url="http://testserver/v1", api_key="unused", http_client=http_client)


def test_sdk_gets_a_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="hello", messages=QUESTION) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Hello! You said: Good morning"


# --8<-- [end:sdk]


# --8<-- [start:asynchronous]
@pytest.fixture
async def async_client() -> AsyncIterator[openai.AsyncOpenAI]:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        yield client


async def test_sdk_gets_a_response(async_client: openai.AsyncOpenAI) -> None:
    response = await async_client.responses.create(model="hello", input="Good morning")
    assert response.output_text == "Hello! You said: Good morning"


# --8<-- [end:asynchronous]


# --8<-- [start:live]
@contextmanager
def live(served: Any) -> Generator[str]:
    """Serve an app on a free port; yields the base URL for an SDK."""
    with socket.create_server(("127.0.0.1", 0)) as listener:  # it listens: who connects before the start has to wait
        server = uvicorn.Server(uvicorn.Config(served, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()


dispatch = Dispatcher()
has_arrived = threading.Event()


@dispatch.reply
def two_words(messages: list[dict[str, Any]]) -> Iterator[str]:
    yield "Good "
    yield "morning" if has_arrived.wait(30) else "nothing"


def test_first_word_leaves_before_there_is_a_second() -> None:
    slow_app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")
    with live(slow_app) as base_url, openai.OpenAI(base_url=base_url, api_key="unused") as client:
        words: list[str] = []
        for chunk in client.chat.completions.create(model="m", messages=QUESTION, stream=True):
            if word := chunk.choices[0].delta.content:
                words.append(word)
                has_arrived.set()
        assert words == ["Good ", "morning"]


# --8<-- [end:live]


if __name__ == "__main__":
    options = ["--quiet", "--import-mode=prepend", "-p", "no:cacheprovider", "--asyncio-mode=auto"]
    sys.exit(subprocess.call([sys.executable, "-m", "pytest", *options, __file__]))
