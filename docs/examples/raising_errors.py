"""What the app raises is what the caller of the SDK catches."""

import asyncio
from typing import Annotated, Any

import httpx2
import openai
from fastapi import Depends, FastAPI

from openai_middleware.adapters.fastapi import openai_kwargs, set_openai_frontend

# --8<-- [start:app]
from openai_middleware.errors import NotFoundError, RateLimitError

app = FastAPI()
set_openai_frontend(app, prefix="/v1")


@app.get("/v1/responses/{response_id}")
async def retrieve(kwargs: Annotated[dict[str, Any], Depends(openai_kwargs)]) -> None:
    if kwargs["response_id"] == "busy":
        raise RateLimitError("The model is busy.", code="model_busy", headers={"Retry-After": "20"})
    raise NotFoundError("No response has this id.", param="response_id", code="response_not_found")


# --8<-- [end:app]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    # --8<-- [start:client]
    client = openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client)
    try:
        await client.responses.retrieve("r1")
    except openai.NotFoundError as error:
        print(error.status_code, error.code, error.param)
        print(error.body)
    # --8<-- [end:client]

    try:
        await client.with_options(max_retries=0).responses.retrieve("busy")
    except openai.RateLimitError as error:
        print("The SDK raised", type(error).__name__, error.code, "after", error.response.headers["retry-after"])


if __name__ == "__main__":
    asyncio.run(main())
