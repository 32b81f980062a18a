"""Another OpenAI client behind the function: what it returns, or yields, serves both APIs.

Here it talks to a second app in the same process. In yours it talks to a model server.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware, Usage

# What stands behind: it speaks chat completions alone.
model_server = Dispatcher()


@model_server.reply("chat.completions.create")
async def count_down(messages: list[dict[str, Any]]) -> AsyncIterator[str | Usage]:
    for number in ("3 ", "2 ", "1"):
        yield number
    yield Usage(input_tokens=3, output_tokens=3)


behind = httpx2.AsyncClient(transport=httpx2.ASGITransport(OpenAIMiddleware(HandlerApp(model_server), prefix="/v1")))
backend: Any = openai.AsyncOpenAI(base_url="http://behind/v1", api_key="unused", http_client=behind)

# --8<-- [start:app]
dispatch = Dispatcher()


@dispatch.reply
async def forward(messages: list[Any], **kwargs: Any) -> Any:
    brief = {"role": "system", "content": "Be brief."}
    return await backend.chat.completions.create(messages=[brief, *messages], **kwargs)


app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")
# --8<-- [end:app]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        print((await client.responses.create(model="m", input="Count.")).output_text)
        async for event in await client.responses.create(model="m", input="Count.", stream=True):
            if event.type == "response.output_text.delta":
                print(repr(event.delta))
            elif event.type == "response.completed" and event.response.usage is not None:
                print(event.response.usage.total_tokens, "tokens")
        messages: Any = [{"role": "user", "content": "Count."}]
        async with client.chat.completions.stream(model="m", messages=messages) as stream:
            print((await stream.get_final_completion()).choices[0].message.content)
    await backend.close()


if __name__ == "__main__":
    asyncio.run(main())
