"""Functions whose bodies have types: editors complete their fields, and type checkers know them.

uvicorn --app-dir docs/examples typed_bodies:app
"""

import asyncio
from typing import Any

import httpx2
import openai

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware

# --8<-- [start:app]
from openai_middleware.contract.bodies import ChatCompletionsCreateBody, EmbeddingsCreateBody

dispatch = Dispatcher()


@dispatch("chat.completions.create")
def chat(body: ChatCompletionsCreateBody, **kwargs: Any) -> str:
    words = body["messages"][-1]["content"].split()
    return " ".join(words[: body.get("max_completion_tokens")])


@dispatch("embeddings.create")
def embed(body: EmbeddingsCreateBody) -> list[list[float]]:
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    return [[float(len(text)) if isinstance(text, str) else 0.0] for text in texts]


# --8<-- [end:app]

app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        messages: Any = [{"role": "user", "content": "One two three four"}]
        completion = await client.chat.completions.create(model="m", messages=messages, max_completion_tokens=2)
        print(completion.choices[0].message.content)
        completion = await client.chat.completions.create(model="m", messages=messages)
        print(completion.choices[0].message.content)
        embeddings = await client.embeddings.create(model="m", input=["One", "three"])
        print([item.embedding for item in embeddings.data])


if __name__ == "__main__":
    asyncio.run(main())
