"""Functions beside an app: an app that serves chat gets a list of its models, without a route for it.

uvicorn --app-dir docs/examples beside_an_app:app
"""

import asyncio

import httpx2
import openai
from fastapi import FastAPI

from openai_middleware.adapters.fastapi import set_openai_frontend

# --8<-- [start:app]
app = FastAPI()


@app.post("/v1/chat/completions")
async def chat() -> str:
    return "Hello from the app."


set_openai_frontend(app, prefix="/v1", handlers={"models.list": lambda: ["house"]})
# --8<-- [end:app]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        async for model in client.models.list():
            print("the function:", model.id)
        completion = await client.chat.completions.create(model="house", messages=[{"role": "user", "content": "Hi"}])
        print("the app:", completion.choices[0].message.content)


if __name__ == "__main__":
    asyncio.run(main())
