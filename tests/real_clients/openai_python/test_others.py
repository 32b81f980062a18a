"""Text completions, embeddings and models."""

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

MODEL = "agent"


def test_a_text_completion(client: OpenAI) -> None:
    completion = client.completions.create(model=MODEL, prompt="Hello")

    assert completion.choices[0].text == "Hello from the agent."
    assert completion.usage is not None
    assert completion.usage.total_tokens == 18


# Not with the strict client: its type knows no finish reason that is null, which all chunks but the last have.
@pytest.mark.parametrize("strict", [False], ids=[""])
def test_a_text_completion_with_a_stream(client: OpenAI) -> None:
    chunks = list(client.completions.create(model=MODEL, prompt="Hello", stream=True))

    assert [chunk.choices[0].text for chunk in chunks] == ["Hello ", "from ", "the ", "agent.", ""]
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_a_text_completion_asynchronously(async_client: AsyncOpenAI) -> None:
    completion = await async_client.completions.create(model=MODEL, prompt="Hello")

    assert completion.choices[0].text == "Hello from the agent."


def test_an_error_of_a_text_completion(client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError, match=r"Slow down\."):
        client.completions.create(model=MODEL, prompt="Rate limit")


def test_embeddings(client: OpenAI) -> None:
    answer = client.embeddings.create(model=MODEL, input=["one", "two"], encoding_format="float")

    assert [item.embedding for item in answer.data] == [[0.25, -0.5, 0.0], [0.25, -0.5, 1.0]]
    assert [item.index for item in answer.data] == [0, 1]


# Nor here: it cannot validate base64, which it asks for itself.
@pytest.mark.parametrize("strict", [False], ids=[""])
async def test_embeddings_in_base64(async_client: AsyncOpenAI) -> None:
    answer = await async_client.embeddings.create(model=MODEL, input="one")

    assert answer.data[0].embedding == [0.25, -0.5, 0.0]


def test_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["agent", "gpt-5-x"]


async def test_a_model(async_client: AsyncOpenAI) -> None:
    model = await async_client.models.retrieve("agent")

    assert (model.id, model.object) == ("agent", "model")


def test_an_unknown_model(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("none")
    assert raised.value.code == "model_not_found"
