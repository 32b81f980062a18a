"""A Flask app behind the OpenAI API.

gunicorn --chdir docs/examples --threads 8 flask_app:app
"""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import openai

# --8<-- [start:app]
from flask import Flask

from openai_middleware.adapters.flask import openai_call, openai_view, set_openai_frontend
from openai_middleware.errors import NotFoundError

app = Flask(__name__)
set_openai_frontend(app, prefix="/v1")

stored: dict[str, dict[str, Any]] = {}
numbers = itertools.count(1)


@app.post("/v1/chat/completions")
@openai_view
def create(body: Any, *, model: str, messages: list[dict[str, Any]], stream: bool = False) -> Any:
    text = f"You said: {messages[-1]['content']}"
    if stream:
        return words(text)
    completion = completion_of(f"chatcmpl-{next(numbers)}", model, text)
    stored[completion["id"]] = completion
    return completion


def words(text: str) -> Iterator[str]:  # a reply: the middleware makes the chunks
    for word in text.split(" "):
        yield f"{word} "


@app.get("/v1/chat/completions/<completion_id>")
def retrieve(completion_id: str) -> dict[str, Any]:  # a view in Flask's own style
    assert openai_call.operation == "chat.completions.retrieve"
    assert openai_call.kwargs["completion_id"] == completion_id
    if completion_id not in stored:
        raise NotFoundError("There is no such completion.", param="completion_id")
    return stored[completion_id]


@app.get("/health")
def health() -> dict[str, str]:  # no operation of OpenAI: the request arrives untouched
    return {"status": "ok"}


# --8<-- [end:app]


def completion_of(completion_id: str, model: str, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "took_ms": 0.1,  # an internal field: no client ever sees it
    }


def main() -> None:
    http_client = httpx2.Client(transport=httpx2.WSGITransport(app), base_url="http://app")
    with openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        messages: Any = [{"role": "user", "content": "Hello"}]
        created = client.chat.completions.create(model="echo", messages=messages)
        print(created.choices[0].message.content, created.model_extra)
        print(client.chat.completions.retrieve(created.id) == created)
        for chunk in client.chat.completions.create(model="echo", messages=messages, stream=True):
            print(repr(chunk.choices[0].delta.content))
        try:
            client.chat.completions.retrieve("unknown")
        except openai.NotFoundError as error:
            print(error.param, error)
        print(http_client.get("/health").json())


if __name__ == "__main__":
    main()
