"""Plain text is an answer in every framework: FastAPI, Flask, Django, and apps of bare ASGI and WSGI."""

import asyncio
from collections.abc import Iterator
from typing import Any

import django
import flask
import httpx2
import openai
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from openai_middleware import OpenAIMiddleware, OpenAIWSGIMiddleware
from openai_middleware.adapters import fastapi as fastapi_adapter
from openai_middleware.adapters import flask as flask_adapter

# --8<-- [start:fastapi]
fastapi_app = FastAPI()
fastapi_adapter.set_openai_frontend(fastapi_app, prefix="/v1")


@fastapi_app.post("/v1/responses")
def say() -> str:
    return "Hello from FastAPI"  # a JSON string


@fastapi_app.post("/v1/chat/completions")
def say_piece_by_piece() -> StreamingResponse:
    return StreamingResponse(words("Hello from FastAPI"), media_type="text/plain")


# --8<-- [end:fastapi]


# --8<-- [start:flask]
flask_app = flask.Flask(__name__)
flask_adapter.set_openai_frontend(flask_app, prefix="/v1")


@flask_app.post("/v1/responses")
@flask_app.post("/v1/chat/completions")
def answer() -> flask.Response:
    return flask.Response(words("Hello from Flask"), content_type="text/plain; charset=utf-8")


# --8<-- [end:flask]


# --8<-- [start:django]
def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello from Django", content_type="text/plain")


urlpatterns = [path("v1/chat/completions", view), path("v1/responses", view)]
# --8<-- [end:django]

settings.configure(
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["openai_middleware.adapters.django.OpenAIMiddleware"],
    OPENAI_MIDDLEWARE={"prefix": "/v1"},
)
django.setup()
django_app = get_wsgi_application()


# --8<-- [start:bare]
async def asgi(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for word in words("Hello from ASGI"):
        await send({"type": "http.response.body", "body": word.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def wsgi(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (word.encode() for word in words("Hello from WSGI"))


asgi_app = OpenAIMiddleware(asgi, prefix="/v1")
wsgi_app = OpenAIWSGIMiddleware(wsgi, prefix="/v1")
# --8<-- [end:bare]


def words(text: str) -> Iterator[str]:
    for word in text.split():
        yield f"{word} "


MESSAGES: Any = [{"role": "user", "content": "Hi"}]


async def ask(app: Any) -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        response = await client.responses.create(model="m", input="Hi")
        stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        print(response.output_text, [chunk.choices[0].delta.content async for chunk in stream])


def ask_wsgi(app: Any) -> None:
    http_client = httpx2.Client(transport=httpx2.WSGITransport(app))
    with openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        response = client.responses.create(model="m", input="Hi")
        stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        print(response.output_text, [chunk.choices[0].delta.content for chunk in stream])


def main() -> None:
    for app in (fastapi_app, asgi_app):
        asyncio.run(ask(app))
    for application in (flask_app, django_app, wsgi_app):
        ask_wsgi(application)


if __name__ == "__main__":
    main()
