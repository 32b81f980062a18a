"""The official SDK against the help desks of the documentation, which know nothing of OpenAI, on live servers."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from openai_middleware import Rewrite
from openai_middleware.adapters.fastapi import set_openai_frontend
from tests.support.help_desks import SERVERS, TOKEN
from tests.support.servers import uvicorn_server

HELLO: Any = [{"role": "user", "content": "Where is my refund?"}]


class Answer(BaseModel):
    topic: str
    text: str


@pytest.fixture(scope="module", params=SERVERS)
def base_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with SERVERS[request.param]() as url:
        yield f"{url}/v1"


@pytest.fixture
def client(base_url: str) -> Iterator[OpenAI]:
    settings: dict[str, Any] = {"base_url": base_url, "max_retries": 0, "_strict_response_validation": True}
    with OpenAI(api_key=TOKEN, **settings) as client:
        yield client


def test_sdk_creates(client: OpenAI) -> None:  # T5 T8
    text = client.chat.completions.create(model="desk", messages=HELLO).choices[0].message.content
    assert text
    assert "refund" in text.lower()
    assert client.responses.create(model="desk", input=HELLO).output_text == text


def test_sdk_streams(client: OpenAI) -> None:  # T6 T8
    with client.chat.completions.stream(model="desk", messages=HELLO) as chunks:
        deltas = [event.delta for event in chunks if event.type == "content.delta" and event.delta]
        completion = chunks.get_final_completion()
    text = completion.choices[0].message.content
    assert text is not None
    assert len(deltas) > 4
    assert "".join(deltas) == text
    with client.responses.stream(model="desk", input=HELLO) as events:
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        response = events.get_final_response()
    assert pieces == deltas
    assert response.output_text == text


def test_sdk_parses(client: OpenAI) -> None:  # T4 T8
    parsed = client.chat.completions.parse(model="desk", messages=HELLO, response_format=Answer)
    answer = parsed.choices[0].message.parsed
    assert answer is not None
    assert answer.topic in ("refund", "echo")
    assert client.responses.parse(model="desk", input=HELLO, text_format=Answer).output_parsed == answer


def test_authentication_of_the_app_applies(client: OpenAI) -> None:  # T2 T7
    stranger = client.with_options(api_key="unknown")
    for ask in (
        lambda: stranger.chat.completions.create(model="desk", messages=HELLO),
        lambda: stranger.responses.create(model="desk", input=HELLO, stream=True),
    ):
        with pytest.raises(openai.AuthenticationError):
            ask()


async def test_client_that_goes_away_stops_the_generator_of_the_app() -> None:  # T6 S8
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    app = FastAPI()

    @app.post("/ask")
    async def ask(question: dict[str, Any]) -> StreamingResponse:
        async def tokens() -> AsyncIterator[str]:
            try:
                while True:
                    yield json.dumps({"t": "word "}) + "\n"
                    await asyncio.sleep(0.001)
            finally:
                loop.call_soon_threadsafe(ended.set)

        return StreamingResponse(tokens(), media_type="application/x-ndjson")

    rewrites: dict[str, Rewrite | str] = {
        "chat.completions.create": Rewrite("/ask", delta="$.t"),
        "responses.create": "chat.completions.create",
    }
    set_openai_frontend(app, prefix="/v1", rewrites=rewrites)
    with uvicorn_server(app) as url:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            chat = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
            await anext(aiter(chat))
            await chat.close()
            await asyncio.wait_for(ended.wait(), 30)
            ended.clear()
            responses = await client.responses.create(model="m", input=HELLO, stream=True)
            async for event in responses:
                if event.type == "response.output_text.delta":
                    break
            await responses.close()
            await asyncio.wait_for(ended.wait(), 30)
