"""An app that goes on as it is, and one function that answers chat, Responses and text completions, streamed or not.

uvicorn --app-dir docs/examples replies:app
"""

import asyncio
from typing import Any

import httpx2
import openai

# --8<-- [start:app]
from fastapi import FastAPI

from openai_middleware import Dispatcher
from openai_middleware.adapters.fastapi import set_openai_frontend

app = FastAPI()  # your app, as it is
dispatch = Dispatcher()


@dispatch.reply
def hello(messages: list[dict[str, Any]]) -> str:
    return f"Hello! You said: {messages[-1]['content']}"


set_openai_frontend(app, prefix="/v1", handlers=dispatch)
# --8<-- [end:app]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    # --8<-- [start:client]
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        response = await client.responses.create(model="hello", input="Good morning")
        print("responses:", response.output_text)

        messages: Any = [{"role": "user", "content": "Good morning"}]
        completion = await client.chat.completions.create(model="hello", messages=messages)
        print("chat:", completion.choices[0].message.content)

        async for chunk in await client.chat.completions.create(model="hello", messages=messages, stream=True):
            print("chat, streamed:", repr(chunk.choices[0].delta.content))

        text = await client.completions.create(model="hello", prompt="Good morning")
        print("text:", text.choices[0].text)
    # --8<-- [end:client]


if __name__ == "__main__":
    asyncio.run(main())
