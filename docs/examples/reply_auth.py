"""API keys for functions beside an app: checked outside, before anything is read, or in the function itself.

uvicorn --app-dir docs/examples reply_auth:app
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import openai

# --8<-- [start:outside]
from fastapi import FastAPI, Request, Response

from openai_middleware import Dispatcher, OpenAICall
from openai_middleware.adapters.fastapi import openai_error_response, set_openai_frontend
from openai_middleware.errors import AuthenticationError

app = FastAPI()
dispatch = Dispatcher()
USERS = {"Bearer sk-ada": "Ada", "Bearer sk-bob": "Bob"}

set_openai_frontend(app, prefix="/v1", handlers=dispatch)


@app.middleware("http")  # added later than the frontend, and so outside of it: it sees every request first
async def check_key(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    if request.headers.get("authorization") not in USERS:
        error = AuthenticationError("Incorrect API key provided.", code="invalid_api_key")
        return await openai_error_response(request, error)
    return await call_next(request)


# --8<-- [end:outside]


# --8<-- [start:inside]
@dispatch.reply
def greet(messages: list[dict[str, Any]], call: OpenAICall) -> str:
    user = USERS.get(call.headers.get("authorization", ""))
    if user is None:
        raise AuthenticationError("Incorrect API key provided.", code="invalid_api_key")
    return f"Hello, {user}."


# --8<-- [end:inside]


async def ask(served: Any, key: str) -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(served))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key=key, http_client=http_client) as client:
        try:
            print((await client.responses.create(model="m", input="Hi")).output_text)
        except openai.AuthenticationError as error:
            print(error.code, error)


async def main() -> None:
    unchecked = FastAPI()
    set_openai_frontend(unchecked, prefix="/v1", handlers=dispatch)
    for served in (app, unchecked):
        for key in ("sk-ada", "sk-eve"):
            await ask(served, key)


if __name__ == "__main__":
    asyncio.run(main())
