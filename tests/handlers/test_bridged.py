"""A function for chat completions that answers Responses and text completions too, by the bridge."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from openai_middleware import OpenAIMiddleware, OpenAIWSGIMiddleware
from tests.support.drivers import App

BRIDGE = {"responses.create": "chat.completions.create", "completions.create": "chat.completions.create"}


def whole(body: Any, *, messages: list[Any], **_: Any) -> str:
    return f"You said: {messages[-1]['content']}"


async def coroutine(body: Any, *, messages: list[Any], **_: Any) -> str:
    return whole(body, messages=messages)


def pieces(body: Any, *, messages: list[Any], **_: Any) -> Iterator[str]:
    yield from ("You said: ", messages[-1]["content"])


async def async_pieces(body: Any, *, messages: list[Any], **_: Any) -> AsyncIterator[str]:
    for piece in pieces(body, messages=messages):
        yield piece


FUNCTIONS: list[Callable[..., Any]] = [whole, coroutine, pieces, async_pieces]


def options(function: Callable[..., Any]) -> dict[str, Any]:
    return {"prefix": "/v1", "rewrites": BRIDGE, "handlers": {"chat.completions.create": function}}


def async_client(function: Callable[..., Any]) -> AsyncOpenAI:
    http_client: Any = httpx.AsyncClient(transport=httpx.ASGITransport(OpenAIMiddleware(App(), **options(function))))
    return AsyncOpenAI(base_url="http://app/v1", api_key="none", http_client=http_client, max_retries=0)


def client(function: Callable[..., Any]) -> OpenAI:
    app: Any = OpenAIWSGIMiddleware(lambda environ, start_response: [], **options(function))
    http_client: Any = httpx.Client(transport=httpx.WSGITransport(app))
    return OpenAI(base_url="http://app/v1", api_key="none", http_client=http_client, max_retries=0)


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_function_answers_what_the_bridge_makes_chat_of(function: Callable[..., Any]) -> None:  # X1
    sdk = async_client(function)

    response = await sdk.responses.create(model="m", input="Hello")
    completion = await sdk.completions.create(model="m", prompt="Hello")
    async with sdk.responses.stream(model="m", input="Hello") as stream:
        streamed = await stream.get_final_response()

    assert response.output_text == completion.choices[0].text == streamed.output_text == "You said: Hello"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_answers_what_the_bridge_makes_chat_of_under_wsgi(function: Callable[..., Any]) -> None:  # X1
    sdk = client(function)

    response = sdk.responses.create(model="m", input="Hello")
    with sdk.responses.stream(model="m", input="Hello") as stream:
        streamed = stream.get_final_response()

    assert response.output_text == streamed.output_text == "You said: Hello"


async def test_what_has_no_form_in_chat_does_not_reach_the_function() -> None:  # X3
    with pytest.raises(openai.BadRequestError, match="not found"):
        await async_client(whole).responses.create(model="m", input="Hello", previous_response_id="resp_1")
