"""The bridge: an app that only speaks chat completions serves Responses too.

uvicorn --app-dir docs/examples bridge:app
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Annotated, Any

import httpx2
import openai

# --8<-- [start:app]
from fastapi import Body, FastAPI
from fastapi.responses import StreamingResponse

from openai_middleware.adapters.fastapi import set_openai_frontend

app = FastAPI()


@app.post("/v1/chat/completions", response_model=None)
def chat(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any] | StreamingResponse:
    text = f"{len(body['messages'])} messages, the last of them: {body['messages'][-1]['content']}"
    if body.get("stream"):
        return StreamingResponse(chunks(text), media_type="text/event-stream")
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {**ABOUT, "object": "chat.completion", "choices": [choice]}


set_openai_frontend(app, prefix="/v1", rewrites={"responses.create": "chat.completions.create"})
# --8<-- [end:app]

ABOUT: Any = {"id": "chatcmpl-1", "created": 1, "model": "house"}


def chunks(text: str) -> Iterator[str]:
    for word in text.split(" "):
        yield chunk({"content": f"{word} "})
    yield chunk({}, finish_reason="stop")


def chunk(delta: dict[str, str], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({**ABOUT, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    # --8<-- [start:client]
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        response = await client.responses.create(model="house", instructions="Be brief.", input="Hello")
        print(response.output_text)

        async with client.responses.stream(model="house", input="Hello") as stream:
            print((await stream.get_final_response()).output_text)

        try:
            await client.responses.create(model="house", input="And?", previous_response_id=response.id)
        except openai.BadRequestError as error:
            print(error.param, error.code)
    # --8<-- [end:client]


if __name__ == "__main__":
    asyncio.run(main())
