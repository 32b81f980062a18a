"""FastAPI: a function as a route that replies, with dependencies of the app; the bridge lets it serve Responses too.

uvicorn --app-dir docs/examples reply_fastapi:app
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import openai

# --8<-- [start:app]
from fastapi import Depends, FastAPI, Header

from openai_middleware.adapters.fastapi import openai_view, set_openai_frontend
from openai_middleware.errors import AuthenticationError

app = FastAPI()
set_openai_frontend(app, prefix="/v1", rewrites={"responses.create": "chat.completions.create"})


async def user_of(authorization: Annotated[str, Header()] = "") -> str:
    if authorization != "Bearer sk-ada":
        raise AuthenticationError("Incorrect API key provided.", code="invalid_api_key")
    return "Ada"


@app.post("/v1/chat/completions")
@openai_view
async def chat(
    user_name: Annotated[str, Depends(user_of)], messages: list[dict[str, Any]], temperature: float = 1
) -> AsyncIterator[str]:
    yield f"Hello, {user_name}. "
    yield f"You said: {messages[-1]['content']}"


# --8<-- [end:app]


async def ask(key: str) -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key=key, http_client=http_client) as client:
        print((await client.responses.create(model="m", input="Good morning")).output_text)
        messages: Any = [{"role": "user", "content": "Good evening"}]
        async with client.chat.completions.stream(model="m", messages=messages) as stream:
            print((await stream.get_final_completion()).choices[0].message.content)


async def main() -> None:
    await ask("sk-ada")
    try:
        await ask("sk-eve")
    except openai.AuthenticationError as error:
        print(error.code, error)
    print("temperature" in str(app.openapi()["paths"]["/v1/chat/completions"]))


if __name__ == "__main__":
    asyncio.run(main())
