"""LangChain's text completions and embeddings."""

import openai
import pytest
from langchain_openai import OpenAI, OpenAIEmbeddings


def test_text_completions() -> None:
    model = OpenAI(model="agent")

    assert model.invoke("Hello") == "Hello from the agent."
    assert list(filter(None, model.stream("Hello"))) == ["Hello ", "from ", "the ", "agent."]


def test_several_prompts_in_one_request_are_refused() -> None:
    with pytest.raises(openai.BadRequestError, match="prompt"):
        OpenAI(model="agent", max_retries=0).batch(["Hello", "Hello"])


def test_embeddings() -> None:
    embeddings = OpenAIEmbeddings(model="agent", check_embedding_ctx_length=False)

    assert embeddings.embed_documents(["one", "two"]) == [[0.25, -0.5, 0.0], [0.25, -0.5, 1.0]]
    assert embeddings.embed_query("one") == [0.25, -0.5, 0.0]
