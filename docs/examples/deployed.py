"""An app as it is deployed: a function that streams, and a health check beside it, under ASGI and under WSGI."""

from collections.abc import Iterator
from typing import Any

import flask
import httpx2
import openai
from fastapi import FastAPI

from openai_middleware import Dispatcher
from openai_middleware.adapters import fastapi as fastapi_adapter
from openai_middleware.adapters import flask as flask_adapter

dispatch = Dispatcher()


@dispatch.reply
def answer(messages: list[dict[str, Any]]) -> Iterator[str]:
    for word in messages[-1]["content"].split():
        yield f"{word} "


# --8<-- [start:asgi]
app = FastAPI()
fastapi_adapter.set_openai_frontend(app, prefix="/v1", handlers=dispatch)


@app.get("/health")
async def health() -> dict[str, str]:  # no operation of OpenAI: the request arrives untouched
    return {"status": "ok"}


# --8<-- [end:asgi]

# --8<-- [start:wsgi]
wsgi_app = flask.Flask(__name__)
flask_adapter.set_openai_frontend(wsgi_app, prefix="/v1", handlers=dispatch)


@wsgi_app.get("/health")
def is_healthy() -> dict[str, str]:
    return {"status": "ok"}


# --8<-- [end:wsgi]


def main() -> None:
    http_client = httpx2.Client(transport=httpx2.WSGITransport(wsgi_app))
    print(http_client.get("http://app/health").json())
    with openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        print(client.responses.create(model="m", input="Good morning to you").output_text)


if __name__ == "__main__":
    main()
