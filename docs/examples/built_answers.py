"""An endpoint of your own that mappings alone let answer as chat completions do, streamed or not."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from openai_middleware import APIHandlerConfig, BodyMappings
from openai_middleware.adapters.fastapi import set_openai_frontend

# --8<-- [start:app]
app = FastAPI()


class Question(BaseModel):
    question: str
    stream: bool = False


@app.post("/ask", response_model=None)
async def ask(asked: Question) -> StreamingResponse | dict[str, Any]:
    if asked.stream:
        return StreamingResponse(words(), media_type="text/event-stream")
    tokens = {"asked": 4, "answered": 5, "all": 9}
    return {"id": "a-17", "time": 1767225600, "answer": {"text": "Refunds take five working days."}, "tokens": tokens}


async def words() -> AsyncIterator[str]:
    for word in ("Refunds ", "take ", "five ", "working ", "days."):
        yield f"data: {json.dumps({'id': 'a-17', 'time': 1767225600, 'word': word})}\n\n"


# --8<-- [end:app]

# --8<-- [start:built]
question = BodyMappings()
question.add_mapping("$.messages[-1].content", "question", mandatory=True)
question.add_mapping("$.stream", "stream")

completion = BodyMappings()
completion.add_mapping("$.id", "id")
completion.add_value("chat.completion", "object")
completion.add_mapping("$.time", "created")
completion.add_value("desk", "model")
completion.add_value(0, "$.choices[0].index")
completion.add_value("assistant", "$.choices[0].message.role")
completion.add_mapping("$.answer.text", "$.choices[0].message.content", mandatory=True)
completion.add_value("stop", "$.choices[0].finish_reason")
completion.add_mapping("$.tokens.asked", "$.usage.prompt_tokens")
completion.add_mapping("$.tokens.answered", "$.usage.completion_tokens")
completion.add_mapping("$.tokens.all", "$.usage.total_tokens")

chunk = BodyMappings()
chunk.add_mapping("$.id", "id")
chunk.add_value("chat.completion.chunk", "object")
chunk.add_mapping("$.time", "created")
chunk.add_value("desk", "model")
chunk.add_value(0, "$.choices[0].index")
chunk.add_mapping("$.word", "$.choices[0].delta.content")

config = APIHandlerConfig()
config.add_endpoint_handler(
    "/desk/chat/completions",
    input_body_mappings=question,
    output_body_mappings=completion,
    stream_body_mappings=chunk,
    rewrite="/ask",
)
set_openai_frontend(app, config=config)
# --8<-- [end:built]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    # --8<-- [start:client]
    async with openai.AsyncOpenAI(base_url="http://app/desk", api_key="unused", http_client=http_client) as client:
        messages: Any = [{"role": "user", "content": "Where is my refund?"}]
        answer = await client.chat.completions.create(model="desk", messages=messages)
        print(answer.choices[0].message.content, answer.usage and answer.usage.total_tokens)
        async for part in await client.chat.completions.create(model="desk", messages=messages, stream=True):
            print(part.choices[0].delta.content, end="")
        print()
    # --8<-- [end:client]


if __name__ == "__main__":
    asyncio.run(main())
