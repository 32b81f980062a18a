"""One app for the SDK's Azure clients and for its plain ones.

uvicorn --app-dir docs/examples azure:app
"""

import asyncio
import hmac
import time
from typing import Annotated, Any

import httpx2
import openai

# --8<-- [start:app]
from fastapi import APIRouter, Depends, FastAPI, Request

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware
from openai_middleware.adapters.fastapi import openai_kwargs, set_openai_frontend
from openai_middleware.errors import AuthenticationError

PREFIXES = ["/openai/deployments/{deployment}", "/openai", "/openai/v1", "/v1"]


def check_key(request: Request) -> None:
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    key = request.headers.get("api-key", bearer)
    if not hmac.compare_digest(key.encode(), b"secret"):
        raise AuthenticationError("This is no key of ours.", code="invalid_api_key")


routes = APIRouter(dependencies=[Depends(check_key)])


@routes.post("/chat/completions")
async def create(kwargs: Annotated[dict[str, Any], Depends(openai_kwargs)]) -> dict[str, Any]:
    name = kwargs.get("deployment", kwargs["model"])
    return completion(name, f"I am {name}, by the API of {kwargs.get('api-version', 'today')}.")


@routes.get("/models")
async def models() -> dict[str, Any]:
    return {"object": "list", "data": [{"id": "echo", "object": "model", "created": 1, "owned_by": "us"}]}


app = FastAPI()
set_openai_frontend(app, prefix=PREFIXES)
for prefix in PREFIXES:
    app.include_router(routes, prefix=prefix)
# --8<-- [end:app]

# --8<-- [start:functions]
dispatch = Dispatcher()


@dispatch("chat.completions.create")
async def answer(body: Any, *, model: str, deployment: str | None = None, **kwargs: Any) -> dict[str, Any]:
    return completion(deployment or model, f"api-version: {kwargs.get('api-version')}")


functions = OpenAIMiddleware(HandlerApp(dispatch), prefix=PREFIXES)
# --8<-- [end:functions]


def completion(model: str, text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    about = {"id": "chatcmpl-1", "object": "chat.completion", "created": int(time.time()), "model": model}
    return {**about, "choices": [choice]}


def in_process(server: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(server))


async def ask(client: openai.AsyncOpenAI) -> str | None:
    answered = await client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "Who?"}])
    return answered.choices[0].message.content


async def main() -> None:
    # --8<-- [start:clients]
    azure: Any = {"azure_endpoint": "http://app", "api_key": "secret", "api_version": "2024-10-21"}
    async with openai.AsyncAzureOpenAI(**azure, http_client=in_process(app)) as client:
        assert await ask(client) == "I am echo, by the API of 2024-10-21."
        assert [model.id async for model in client.models.list()] == ["echo"]

    async with openai.AsyncAzureOpenAI(**azure, azure_deployment="ours", http_client=in_process(app)) as client:
        assert await ask(client) == "I am ours, by the API of 2024-10-21."

    for base_url in ("http://app/openai/v1/", "http://app/v1"):
        async with openai.AsyncOpenAI(base_url=base_url, api_key="secret", http_client=in_process(app)) as client:
            assert await ask(client) == "I am echo, by the API of today."
    # --8<-- [end:clients]

    async with openai.AsyncAzureOpenAI(**azure | {"api_key": "stolen"}, http_client=in_process(app)) as client:
        try:
            await ask(client)
        except openai.AuthenticationError as error:
            print(error.code, error)

    async with openai.AsyncAzureOpenAI(**azure, http_client=in_process(functions)) as client:
        assert await ask(client) == "api-version: 2024-10-21"
    print("Azure's clients and the plain ones got their answers.")


if __name__ == "__main__":
    asyncio.run(main())
