"""The smallest useful FastAPI app behind the OpenAI API: it says back what it was told.

uvicorn --app-dir docs/examples fastapi_app:app
"""

import time
import uuid
from typing import Annotated, Any

from fastapi import Depends, FastAPI

from openai_middleware import OpenAICall
from openai_middleware.adapters.fastapi import openai_call, openai_kwargs, set_openai_frontend
from openai_middleware.errors import NotFoundError

app = FastAPI()
set_openai_frontend(app, prefix="/v1")

completions: dict[str, dict[str, Any]] = {}


@app.post("/v1/chat/completions")
async def create(call: Annotated[OpenAICall, Depends(openai_call)]) -> dict[str, Any]:
    answer = {"role": "assistant", "content": f"You said: {call.kwargs['messages'][-1]['content']}"}
    completion: dict[str, Any] = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": call.kwargs["model"],
        "choices": [{"index": 0, "message": answer, "finish_reason": "stop"}],
        "took_ms": 0.1,  # an internal field: OpenAI's API has none of that name, so no client ever sees it
    }
    completions[completion["id"]] = completion
    return completion


@app.get("/v1/chat/completions/{completion_id}")
async def retrieve(kwargs: Annotated[dict[str, Any], Depends(openai_kwargs)]) -> dict[str, Any]:
    if kwargs["completion_id"] not in completions:
        raise NotFoundError("There is no such completion.", param="completion_id")
    return completions[kwargs["completion_id"]]
