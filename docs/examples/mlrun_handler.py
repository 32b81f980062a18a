"""One handler for the whole API, in MLRun's style: it looks at the path and the method of the request.

uvicorn --app-dir docs/examples mlrun_handler:app
"""

import asyncio
import itertools
import time
from typing import Any

import httpx2
import openai

# --8<-- [start:app]
from openai_middleware import HandlerApp, OpenAIEndpoint, OpenAIMiddleware
from openai_middleware.errors import NotFoundError

stored: dict[str, dict[str, Any]] = {}
numbers = itertools.count(1)


def handler(body: Any, **kwargs: Any) -> Any:
    path, method = kwargs["mlrun_request_path"], kwargs["mlrun_request_method"]
    if path == "/v1/chat/completions":
        return create(**kwargs) if method == "POST" else listed()
    if path == f"/v1/chat/completions/{kwargs['completion_id']}":
        if method == "GET":
            return find(kwargs["completion_id"])
        if method == "DELETE":
            return delete(kwargs["completion_id"])
    raise NotFoundError(f"This server has no {method} {path}.", code="unsupported_operation")


app = OpenAIMiddleware(HandlerApp(handler), [OpenAIEndpoint.CHAT_COMPLETIONS], prefix="/v1")
# --8<-- [end:app]


def create(messages: list[dict[str, Any]], model: str, **others: Any) -> dict[str, Any]:
    answer = {"role": "assistant", "content": f"You said: {messages[-1]['content']}"}
    completion: dict[str, Any] = {
        "id": f"chatcmpl-{next(numbers)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": answer, "finish_reason": "stop"}],
        "metadata": others.get("metadata"),
    }
    stored[completion["id"]] = completion
    return completion


def listed() -> dict[str, Any]:
    return {"object": "list", "data": list(stored.values()), "has_more": False}


def find(completion_id: str) -> dict[str, Any]:
    if completion_id not in stored:
        raise NotFoundError("There is no such completion.", param="completion_id")
    return stored[completion_id]


def delete(completion_id: str) -> dict[str, Any]:
    del stored[find(completion_id)["id"]]
    return {"id": completion_id, "object": "chat.completion.deleted", "deleted": True}


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        messages: Any = [{"role": "user", "content": "Hello"}]
        created = await client.chat.completions.create(model="echo", messages=messages, metadata={"tag": "demo"})
        print("created", created.id, "-", created.choices[0].message.content)
        print("listed", [completion.id async for completion in client.chat.completions.list()])
        print("retrieved", (await client.chat.completions.retrieve(created.id)).metadata)
        print("deleted", (await client.chat.completions.delete(created.id)).deleted)
        try:
            await client.chat.completions.retrieve(created.id)
        except openai.NotFoundError as error:
            print(error.param, error)
        try:
            await client.chat.completions.update(created.id, metadata={})
        except openai.NotFoundError as error:
            print(error.code, error)


if __name__ == "__main__":
    asyncio.run(main())
