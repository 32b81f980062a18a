"""FastAPI: three ways to read a request in a route, and an error of the app."""

import asyncio
import time
from typing import Annotated, Any

import httpx2
import openai

# --8<-- [start:app]
from fastapi import Depends, FastAPI
from pydantic import BaseModel

from openai_middleware import OpenAICall
from openai_middleware.adapters.fastapi import openai_call, openai_kwargs, set_openai_frontend
from openai_middleware.errors import NotFoundError

app = FastAPI()
set_openai_frontend(app, prefix="/v1")

Call = Annotated[OpenAICall, Depends(openai_call)]
Kwargs = Annotated[dict[str, Any], Depends(openai_kwargs)]
stored: dict[str, dict[str, Any]] = {}


@app.post("/v1/responses")
async def create(call: Call) -> dict[str, Any]:
    response: dict[str, Any] = {
        "id": f"resp_{len(stored) + 1}",
        "object": "response",
        "created_at": int(time.time()),
        "model": call.kwargs.get("model", "parrot"),
        "output": [],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
        "metadata": {"asked": str(call.body["input"])},
    }
    stored[response["id"]] = response
    return response


@app.get("/v1/responses/{response_id}")
async def retrieve(kwargs: Kwargs) -> dict[str, Any]:
    if kwargs["response_id"] not in stored:
        raise NotFoundError("No response has this id.", param="response_id")
    return stored[kwargs["response_id"]]


class Count(BaseModel):
    input: str


@app.post("/v1/responses/input_tokens")
async def count(body: Count) -> dict[str, Any]:  # the body is still there for FastAPI's own parameters
    return {"object": "response.input_tokens", "input_tokens": len(body.input.split())}


@app.get("/health")
async def health() -> dict[str, str]:  # no operation of OpenAI: the request arrives untouched
    return {"status": "ok"}


# --8<-- [end:app]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://app")
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        created = await client.responses.create(input="Polly?")
        print((await client.responses.retrieve(created.id)).metadata)
        print((await client.responses.input_tokens.count(input="one two three")).input_tokens)
        try:
            await client.responses.retrieve("unknown")
        except openai.NotFoundError as error:
            print(error)
        print((await http_client.get("/health")).json())


if __name__ == "__main__":
    asyncio.run(main())
