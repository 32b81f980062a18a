"""What happens to the JSON answers of the app. Each `assert` is a fact of the documentation."""

import asyncio
import logging
from typing import Any

import httpx2
from fastapi import FastAPI, Response

from openai_middleware import APIHandlerConfig, BodyMappings, OpenAIMiddleware

# --8<-- [start:app]
app = FastAPI()


@app.get("/v1/responses/{response_id}")
async def retrieve(response_id: str, reply: Response) -> dict[str, Any]:
    reply.headers["etag"] = '"1"'
    return {
        "id": response_id,
        "object": "response",
        "created_at": 1,
        "model": "m",
        "output": [],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
        "row_id": 42,  # a field of the app's own
    }


# --8<-- [end:app]


@app.get("/v1/chat/completions")
async def list_completions() -> dict[str, Any]:
    return {"data": []}


@app.get("/weather")
async def weather() -> dict[str, Any]:
    return {"place": {"name": "Oslo"}, "hours": [{"celsius": 3}, {"celsius": 5}], "source": "internal"}


def client_of(application: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(application), base_url="http://app")


async def main() -> None:
    # --8<-- [start:mapped]
    client = client_of(OpenAIMiddleware(app, prefix="/v1"))
    answer = await client.get("/v1/responses/r1")
    assert answer.json() == {
        "id": "r1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "output": [],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
        # "row_id" is gone. These were absent, and the API requires them, if only as null:
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": None,
        "temperature": None,
        "top_p": None,
    }
    assert "etag" not in answer.headers  # it described other bytes
    # --8<-- [end:mapped]

    # --8<-- [start:null]
    client = client_of(OpenAIMiddleware(app, prefix="/v1", absent_optional="null"))
    answer = await client.get("/v1/responses/r1")
    assert answer.json()["usage"] is None
    # --8<-- [end:null]

    # --8<-- [start:missing]
    answer = await client.get("/v1/chat/completions")  # the app forgot "has_more"
    assert answer.status_code == 422
    assert answer.json()["error"] == {
        "message": "The server's answer lacks the mandatory field 'has_more'.",
        "type": "server_error",
        "param": "has_more",
        "code": "invalid_response",
    }
    # --8<-- [end:missing]

    # --8<-- [start:own]
    shape = BodyMappings()
    shape.add_mapping("place.name", "city", mandatory=True)
    shape.add_mapping("$.hours[*].celsius", "celsius")
    shape.add_mapping("$.wind", "wind")

    config = APIHandlerConfig()
    config.add_endpoint_handler("/weather", "GET", output_body_mappings=shape)
    client = client_of(OpenAIMiddleware(app, config=config))

    assert (await client.get("/weather")).json() == {"city": "Oslo", "celsius": [3, 5]}
    # --8<-- [end:own]

    print("Every answer left as the documentation says.")


if __name__ == "__main__":
    logging.getLogger("openai_middleware").setLevel(logging.CRITICAL)  # one answer here is wrong on purpose
    asyncio.run(main())
