"""Any ASGI app behind the OpenAI API, without a framework: it looks at the name of the operation."""

import asyncio
import json
import time
from typing import Any

import httpx2
import openai

# --8<-- [start:app]
from openai_middleware import OpenAICall, OpenAIMiddleware
from openai_middleware.errors import NotFoundError


async def app(scope: Any, receive: Any, send: Any) -> None:
    call: OpenAICall | None = scope.get("openai_middleware.call")
    if call is None:
        await send_json(send, 404, {"detail": "A page of your own would be here."})
    elif call.operation == "responses.create":
        await send_json(send, 200, shouted(**call.kwargs))
    else:
        raise NotFoundError(f"This server does not know {call.operation}.", code="unknown_operation")


def shouted(input: str, model: str = "shout", **others: object) -> dict[str, Any]:  # the SDK's word
    text: dict[str, Any] = {"type": "output_text", "text": input.upper(), "annotations": []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": int(time.time()),
        "model": model,
        "output": [message],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
    }


async def send_json(send: Any, status: int, content: object) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


application = OpenAIMiddleware(app, prefix="/v1")
# --8<-- [end:app]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(application))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        response = await client.responses.create(model="loud", input="hello")
        print(response.model, response.output_text)
        try:
            await client.responses.retrieve("resp_1")
        except openai.NotFoundError as error:
            print(error.code, error)


if __name__ == "__main__":
    asyncio.run(main())
