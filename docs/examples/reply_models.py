"""Several models, one function each; and vectors, choices, and an operation with a function of its own.

uvicorn --app-dir docs/examples reply_models:app
"""

import asyncio
from typing import Any

import httpx2
import openai

from openai_middleware import Dispatcher, HandlerApp, OpenAICall, OpenAIMiddleware, Reply

# --8<-- [start:app]
dispatch = Dispatcher()


@dispatch.reply(model="support-agent")
def support(messages: list[dict[str, Any]]) -> str:
    return "Have you tried turning it off and on again?"


@dispatch.reply(model="parrot")
async def parrot(messages: list[dict[str, Any]], n: int = 1) -> list[str]:
    return [messages[-1]["content"] + "!" * (choice + 1) for choice in range(n)]


app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")
# --8<-- [end:app]


# --8<-- [start:embeddings]
@dispatch("embeddings.create")
def embed(body: Any, input: str | list[str]) -> list[list[float]]:
    texts = [input] if isinstance(input, str) else input
    return [[len(text), text.count(" ")] for text in texts]


# --8<-- [end:embeddings]


# --8<-- [start:call]
@dispatch.reply("chat.completions.create", model="whoami")
def whoami(messages: list[dict[str, Any]], call: OpenAICall) -> Reply:
    return Reply(f"{call.headers['authorization']} asked by {call.operation}")


# --8<-- [end:call]


# --8<-- [start:override]
@dispatch("completions.create")
def complete(body: dict[str, Any], prompt: str, max_tokens: int = 16) -> str:
    return "".join(reversed(prompt))[:max_tokens]


# --8<-- [end:override]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        print([model.id async for model in client.models.list()])
        print((await client.responses.create(model="support-agent", input="Help!")).output_text)
        messages: Any = [{"role": "user", "content": "Hello"}]
        completion = await client.chat.completions.create(model="parrot", messages=messages, n=2)
        print([choice.message.content for choice in completion.choices])
        print((await client.responses.create(model="parrot", input="Hello")).output_text)
        completion = await client.chat.completions.create(model="whoami", messages=messages)
        print(completion.choices[0].message.content)
        mistakes: list[Any] = [{"model": "unheard-of"}, {"model": "support-agent", "n": 2}]
        for wrong in mistakes:
            try:
                await client.chat.completions.create(messages=messages, **wrong)
            except openai.APIStatusError as error:
                print(error.status_code, error.param, error.code, error.message)
        embeddings = await client.embeddings.create(model="lengths", input=["Hello", "Hello you"])
        print([item.embedding for item in embeddings.data])
        print((await client.completions.create(model="m", prompt="stressed", max_tokens=3)).choices[0].text)


if __name__ == "__main__":
    asyncio.run(main())
