"""Event streams, and what the middleware does with them. Run as a program, it shows what the client gets."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse

from openai_middleware import OpenAICall, OpenAIMiddleware, errors
from openai_middleware.adapters.fastapi import openai_call

# --8<-- [start:app]
app = FastAPI()


@app.post("/v1/chat/completions")
async def create(call: Annotated[OpenAICall, Depends(openai_call)]) -> StreamingResponse:
    return StreamingResponse(chunks(call.kwargs["model"]), media_type="text/event-stream")


async def chunks(model: str) -> AsyncIterator[str]:
    for word in ("Good", " morning"):
        chunk = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "delta": {"content": word}}],
            "took_ms": 12,
        }
        yield f"data: {json.dumps(chunk)}\n\n"
        # --8<-- [end:app]
        if model == "breaks":
            # --8<-- [start:failure]
            raise errors.InternalServerError("The model ran out of words.", code="out_of_words")
        # --8<-- [end:failure]


client_app = OpenAIMiddleware(app, prefix="/v1")


async def answer_to(model: str) -> str:
    transport: Any = httpx2.ASGITransport(app=client_app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        response = await client.post("/v1/chat/completions", json={"model": model, "messages": [], "stream": True})
        return response.text


async def main() -> None:
    answer = await answer_to("m")
    print(answer)
    assert answer.endswith("data: [DONE]\n\n")
    assert "took_ms" not in answer
    answer = await answer_to("breaks")
    print(answer)
    assert '"code":"out_of_words"' in answer.split("\n\n")[-2]


if __name__ == "__main__":
    asyncio.run(main())
