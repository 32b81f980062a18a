"""Any WSGI app behind the OpenAI API, without a framework: it looks at the name of the operation.

gunicorn --chdir docs/examples --threads 8 bare_wsgi:application
"""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2
import openai

# --8<-- [start:app]
from openai_middleware import OpenAICall, OpenAIWSGIMiddleware
from openai_middleware.errors import NotFoundError


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    call: OpenAICall | None = environ.get("openai_middleware.call")
    if call is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"A page of your own would be here."]
    if call.operation != "chat.completions.create":
        raise NotFoundError(f"This server does not know {call.operation}.", code="unknown_operation")
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return chunks(**call.kwargs)


def chunks(model: str, messages: list[dict[str, Any]], **others: object) -> Iterator[bytes]:
    for word in messages[-1]["content"].upper().split():
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
        yield b"data: " + json.dumps({**about, "choices": [choice]}).encode() + b"\n\n"


application = OpenAIWSGIMiddleware(app, prefix="/v1")
# --8<-- [end:app]


def main() -> None:
    # --8<-- [start:client]
    http_client = httpx2.Client(transport=httpx2.WSGITransport(application))
    with openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        question: Any = [{"role": "user", "content": "is anybody there"}]
        for chunk in client.chat.completions.create(model="loud", messages=question, stream=True):
            print(chunk.model, chunk.choices[0].delta.content)
        # --8<-- [end:client]
        try:
            client.responses.retrieve("resp_1")
        except openai.NotFoundError as error:
            print(error.code, error)


if __name__ == "__main__":
    main()
