"""A function that reports how many tokens it used, and how a client gets to know them.

uvicorn --app-dir docs/examples reply_usage:app
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import openai

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware, Usage

# --8<-- [start:app]
dispatch = Dispatcher()


@dispatch.reply
def answer(messages: list[dict[str, Any]]) -> Iterator[str | Usage]:
    yield "Good "
    yield "morning to you"
    yield Usage(input_tokens=2, output_tokens=3)


# --8<-- [end:app]

app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        # --8<-- [start:client]
        messages: Any = [{"role": "user", "content": "Good morning"}]
        completion = await client.chat.completions.create(model="m", messages=messages)
        if used := completion.usage:
            print("chat:", used.prompt_tokens, used.completion_tokens, used.total_tokens)

        stream = await client.chat.completions.create(model="m", messages=messages, stream=True)
        print("chat, streamed:", [chunk.usage async for chunk in stream])

        stream = await client.chat.completions.create(
            model="m", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        print("chat, streamed with usage:", [chunk.usage and chunk.usage.total_tokens async for chunk in stream])

        response = await client.responses.create(model="m", input="Good morning")
        if counted := response.usage:
            print("responses:", counted.input_tokens, counted.output_tokens, counted.total_tokens)
        # --8<-- [end:client]


if __name__ == "__main__":
    asyncio.run(main())
