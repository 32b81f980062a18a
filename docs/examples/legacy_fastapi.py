"""The help desk of legacy_app, which stays as it is, behind the OpenAI API.

uvicorn --app-dir docs/examples legacy_fastapi:app
"""

import asyncio
from typing import Any

import httpx2
import openai

# --8<-- [start:served]
from legacy_app import app

from openai_middleware import Rewrite
from openai_middleware.adapters.fastapi import set_openai_frontend

question = {
    "question": "$.prompt",
    "stream": "$.stream",
    "format": "$.response_format.type",
}
answer = {"content": "$.answer", "usage": "$.tokens"}
token = {"content": "$.token", "usage": "$.tokens"}
ask = Rewrite("/ask", body=question, reply=answer, delta=token)
set_openai_frontend(
    app,
    prefix="/v1",
    rewrites={
        "chat.completions.create": ask,
        "responses.create": "chat.completions.create",
        "models.list": Rewrite("GET /topics", reply="$[*].name"),
    },
)
# --8<-- [end:served]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    # --8<-- [start:client]
    async with openai.AsyncOpenAI(
        base_url="http://app/v1", api_key="token-of-ada", http_client=http_client, max_retries=0
    ) as client:
        messages: Any = [{"role": "user", "content": "Where is my refund?"}]
        completion = await client.chat.completions.create(model="desk", messages=messages)
        print(completion.choices[0].message.content)
        async for chunk in await client.chat.completions.create(model="desk", messages=messages, stream=True):
            print(chunk.choices[0].delta.content or "", end="|")
        print()
        response = await client.responses.create(model="desk", input="I forgot my password.")
        print(response.output_text, response.usage and response.usage.total_tokens)
        print([model.id async for model in client.models.list()])
        try:
            await client.with_options(api_key="unknown").models.list()
        except openai.AuthenticationError as error:
            print(error)
    # --8<-- [end:client]


if __name__ == "__main__":
    asyncio.run(main())
