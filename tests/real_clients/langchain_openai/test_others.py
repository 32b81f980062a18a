"""LangChain's text completions and embeddings."""

from langchain_openai import OpenAI, OpenAIEmbeddings


def test_text_completions() -> None:
    model = OpenAI(model="agent")

    assert model.invoke("Hello") == "Hello from the agent."
    assert list(filter(None, model.stream("Hello"))) == ["Hello ", "from ", "the ", "agent."]


def test_embeddings() -> None:
    embeddings = OpenAIEmbeddings(model="agent", check_embedding_ctx_length=False)

    assert embeddings.embed_documents(["one", "two"]) == [[0.25, -0.5, 0.0], [0.25, -0.5, 1.0]]
    assert embeddings.embed_query("one") == [0.25, -0.5, 0.0]
