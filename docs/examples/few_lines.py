"""All that is written so that an app's text is an answer of both APIs, whole and streamed, on each kind of app."""

import asyncio
from collections.abc import Iterator
from typing import Any

import django
import flask
import httpx2
import openai
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import URLPattern, path
from fastapi import FastAPI

from openai_middleware import Dispatcher, OpenAIMiddleware, OpenAIWSGIMiddleware
from openai_middleware.adapters import fastapi as fastapi_adapter
from openai_middleware.adapters import flask as flask_adapter


# What is there already: what the app says, and the app.
def text_of_the_app() -> Iterator[str]:
    yield from ("Refunds ", "take ", "five ", "days.")


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404})
    await send({"type": "http.response.body"})


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return []


fastapi_app = FastAPI()
flask_app = flask.Flask(__name__)
MIDDLEWARE: list[str] = []
urlpatterns: list[URLPattern] = []

# --8<-- [start:function]
dispatch = Dispatcher()


@dispatch.reply
def say(messages: list[dict[str, Any]]) -> Iterator[str]:
    return text_of_the_app()  # of your app; a str will do, too


# --8<-- [end:function]

# --8<-- [start:fastapi]
fastapi_adapter.set_openai_frontend(fastapi_app, prefix="/v1", handlers=dispatch)
# --8<-- [end:fastapi]

# --8<-- [start:flask]
flask_adapter.set_openai_frontend(flask_app, prefix="/v1", handlers=dispatch)
# --8<-- [end:flask]

# --8<-- [start:asgi]
asgi_application = OpenAIMiddleware(asgi_app, prefix="/v1", handlers=dispatch)
# --8<-- [end:asgi]

# --8<-- [start:wsgi]
wsgi_application = OpenAIWSGIMiddleware(wsgi_app, prefix="/v1", handlers=dispatch)
# --8<-- [end:wsgi]


# --8<-- [start:django]
def view(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(text_of_the_app(), content_type="text/plain")


urlpatterns.extend([path("v1/chat/completions", view), path("v1/responses", view)])
MIDDLEWARE.append("openai_middleware.adapters.django.OpenAIMiddleware")
OPENAI_MIDDLEWARE = {"prefix": "/v1"}
# --8<-- [end:django]

settings.configure(
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=MIDDLEWARE,
    OPENAI_MIDDLEWARE=OPENAI_MIDDLEWARE,
)
django.setup()
django_app = get_wsgi_application()

MESSAGES: Any = [{"role": "user", "content": "When do I get my refund?"}]


async def ask(app: Any) -> list[str]:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        completion = await client.chat.completions.create(model="m", messages=MESSAGES)
        chunks = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        response = await client.responses.create(model="m", input="When do I get my refund?")
        events = await client.responses.create(model="m", input="When do I get my refund?", stream=True)
        return [
            completion.choices[0].message.content or "",
            "|".join([chunk.choices[0].delta.content or "" async for chunk in chunks]),
            response.output_text,
            "|".join([event.delta async for event in events if event.type == "response.output_text.delta"]),
        ]


def ask_wsgi(app: Any) -> list[str]:
    http_client = httpx2.Client(transport=httpx2.WSGITransport(app))
    with openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        completion = client.chat.completions.create(model="m", messages=MESSAGES)
        chunks = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        response = client.responses.create(model="m", input="When do I get my refund?")
        events = client.responses.create(model="m", input="When do I get my refund?", stream=True)
        return [
            completion.choices[0].message.content or "",
            "|".join(chunk.choices[0].delta.content or "" for chunk in chunks),
            response.output_text,
            "|".join(event.delta for event in events if event.type == "response.output_text.delta"),
        ]


def main() -> None:
    print("fastapi", asyncio.run(ask(fastapi_app)))
    print("asgi", asyncio.run(ask(asgi_application)))
    print("flask", ask_wsgi(flask_app))
    print("django", ask_wsgi(django_app))
    print("wsgi", ask_wsgi(wsgi_application))


if __name__ == "__main__":
    main()
