"""Calls fastapi_app with the official SDK and no server in between: httpx2 hands the requests to the app."""

import asyncio

import httpx2
import openai
from fastapi_app import app


async def main() -> None:
    # --8<-- [start:client]
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        completion = await client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "Hello"}])
        print(completion.choices[0].message.content)
        try:
            await client.chat.completions.retrieve("unknown")
        except openai.NotFoundError as error:
            print(error.status_code, error.param, error)
    # --8<-- [end:client]


if __name__ == "__main__":
    asyncio.run(main())
