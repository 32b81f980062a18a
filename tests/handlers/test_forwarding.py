"""A reply function that hands all that it gets to another OpenAI client."""

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware, Reply

MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]


def client_of(dispatch: Dispatcher) -> AsyncOpenAI:
    app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")
    http_client: Any = httpx.AsyncClient(transport=httpx.ASGITransport(app))
    return AsyncOpenAI(base_url="http://app/v1", api_key="none", http_client=http_client, max_retries=0)


@pytest.fixture
def received() -> list[dict[str, Any]]:
    """The keyword arguments that reached the server behind."""
    return []


@pytest.fixture
def client(received: list[dict[str, Any]]) -> AsyncOpenAI:
    behind, dispatch = Dispatcher(), Dispatcher()

    @behind.reply("chat.completions.create")
    def answer(messages: list[Any], **kwargs: Any) -> Reply:
        received.append(kwargs)
        return Reply("Hi", usage={"prompt_tokens": 1, "completion_tokens": 2})

    backend = client_of(behind)

    @dispatch.reply
    async def forward(messages: list[Any], **kwargs: Any) -> Any:
        return await backend.chat.completions.create(messages=messages, **kwargs)

    return client_of(dispatch)


async def test_whole_answer_of_another_client_serves_both_apis(client: AsyncOpenAI, received: list[Any]) -> None:
    completion = await client.chat.completions.create(model="m", messages=MESSAGES, temperature=0)
    response = await client.responses.create(model="m", input="Hello", temperature=0)
    assert (completion.choices[0].message.content, response.output_text) == ("Hi", "Hi")
    assert received == [{"model": "m", "temperature": 0}] * 2


async def test_usage_is_asked_for_where_a_response_is_streamed(client: AsyncOpenAI, received: list[Any]) -> None:
    *_, completed = [event async for event in await client.responses.create(model="m", input="Hello", stream=True)]
    assert completed.type == "response.completed"
    assert completed.response.usage is not None
    assert completed.response.usage.total_tokens == 3
    assert received == [{"model": "m", "stream": True, "stream_options": {"include_usage": True}}]


async def test_url_info_reaches_a_reply_function_that_names_it() -> None:
    dispatch = Dispatcher()

    @dispatch.reply
    def told(messages: list[Any], mlrun_request_path: str, **kwargs: Any) -> str:
        return f"{mlrun_request_path} {sorted(kwargs)}"

    async with client_of(dispatch) as client:
        completion = await client.chat.completions.create(model="m", messages=MESSAGES)
    assert completion.choices[0].message.content == "/v1/chat/completions ['model']"
