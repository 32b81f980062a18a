"""One function for each operation, for a small API of responses that remembers what it answered.

uvicorn --app-dir docs/examples dispatcher:app
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai

# --8<-- [start:app]
from openai_middleware import Dispatcher, HandlerApp, OpenAIEndpoint, OpenAIMiddleware, Response
from openai_middleware.errors import ConfigurationError, NotFoundError

dispatch = Dispatcher()
stored: dict[str, dict[str, Any]] = {}
numbers = itertools.count(1)


@dispatch("responses.create")
async def create(body: Any, *, input: str, model: str = "echo", stream: bool = False) -> Any:
    response = completed(f"resp_{next(numbers)}", model, f"You said: {input}")
    stored[response["id"]] = response
    return events(response) if stream else response


@dispatch("responses.retrieve")
def retrieve(body: Any, response_id: str) -> dict[str, Any]:  # a plain function runs in a thread
    if response_id not in stored:
        raise NotFoundError("There is no such response.", param="response_id")
    return stored[response_id]


@dispatch("responses.delete")
async def delete(body: Any, response_id: str) -> Response:
    stored.pop(response_id, None)
    deleted = {"id": response_id, "object": "response.deleted", "deleted": True}
    return Response(deleted, headers={"X-Responses-Left": str(len(stored))})


async def events(response: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    [item] = response["output"]
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}}
    for word in item["content"][0]["text"].split(" "):
        yield {"type": "response.output_text.delta", **place, "delta": f"{word} ", "logprobs": []}
    yield {"type": "response.completed", "response": response}


# The events have no `sequence_number`: the middleware counts them.
app = OpenAIMiddleware(HandlerApp(dispatch), [OpenAIEndpoint.RESPONSES], prefix="/v1")
# --8<-- [end:app]


def completed(response_id: str, model: str, text: str) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [content]}
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(time.time()),
        "model": model,
        "status": "completed",
        "output": [message],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
    }


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        created = await client.responses.create(input="Hello")
        print((await client.responses.retrieve(created.id)).output_text)

        async for event in await client.responses.create(input="Hello again", stream=True):
            delta = repr(event.delta) if event.type == "response.output_text.delta" else ""
            print(event.sequence_number, event.type, delta)

        deleted = await client.responses.with_raw_response.delete(created.id)
        print("left:", deleted.headers["x-responses-left"])
        try:
            await client.responses.retrieve(created.id)
        except openai.NotFoundError as error:
            print(error.param, error)
        try:
            await client.responses.cancel(created.id)
        except openai.NotFoundError as error:
            print(error.code, error)

    # --8<-- [start:mistake]
    try:
        dispatch("responses.retrive")
    except ConfigurationError as error:
        print(error)
    # --8<-- [end:mistake]


if __name__ == "__main__":
    asyncio.run(main())
