"""A Django project in one file behind the OpenAI API, for WSGI and for ASGI servers.

gunicorn --chdir docs/examples --threads 8 django_app:application
uvicorn --app-dir docs/examples django_app:asgi_application
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import django
import httpx2
import openai
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

# --8<-- [start:imports]
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from openai_middleware import OpenAICall
from openai_middleware.adapters.django import openai_view
from openai_middleware.errors import NotFoundError

# --8<-- [end:imports]

# --8<-- [start:settings]
settings.configure(
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["openai_middleware.adapters.django_checks"],
    MIDDLEWARE=[
        "openai_middleware.adapters.django.OpenAIMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    OPENAI_MIDDLEWARE={"prefix": "/v1"},
)
django.setup()
# --8<-- [end:settings]

# --8<-- [start:views]
stored: dict[str, dict[str, Any]] = {}
numbers = itertools.count(1)


@openai_view
@csrf_exempt
async def create(request: HttpRequest, *, model: str, messages: list[dict[str, Any]], stream: bool = False) -> Any:
    text = f"You said: {messages[-1]['content']}"
    if stream:
        return words(text)
    completion = completion_of(f"chatcmpl-{next(numbers)}", model, text)
    stored[completion["id"]] = completion
    return completion


async def words(text: str) -> AsyncIterator[str]:  # a reply: the middleware makes the chunks
    for word in text.split(" "):
        yield f"{word} "


class OpenAIRequest(HttpRequest):
    openai_call: OpenAICall  # of the middleware


def retrieve(request: OpenAIRequest, completion_id: str) -> JsonResponse:  # a view in Django's own style
    assert request.openai_call.operation == "chat.completions.retrieve"
    if completion_id not in stored:
        raise NotFoundError("There is no such completion.", param="completion_id")
    return JsonResponse(stored[completion_id])


def health(request: HttpRequest) -> JsonResponse:  # no operation of OpenAI: the request arrives untouched
    return JsonResponse({"status": "ok"})


urlpatterns = [
    path("v1/chat/completions", create),
    path("v1/chat/completions/<completion_id>", retrieve),
    path("health", health),
]
# --8<-- [end:views]

# --8<-- [start:applications]
application = get_wsgi_application()
asgi_application: Any = get_asgi_application()
# --8<-- [end:applications]


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


MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def use_wsgi() -> None:
    http_client = httpx2.Client(transport=httpx2.WSGITransport(application), base_url="http://app")
    with openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        created = client.chat.completions.create(model="echo", messages=MESSAGES)
        print("WSGI:", created.choices[0].message.content, created.model_extra)
        print("WSGI:", client.chat.completions.retrieve(created.id) == created)
        for chunk in client.chat.completions.create(model="echo", messages=MESSAGES, stream=True):
            print("WSGI:", repr(chunk.choices[0].delta.content))
        try:
            client.chat.completions.retrieve("unknown")
        except openai.NotFoundError as error:
            print("WSGI:", error.param, error)
        print("WSGI:", http_client.get("/health").json())


async def use_asgi() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(asgi_application), base_url="http://app")
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        created = await client.chat.completions.create(model="echo", messages=MESSAGES)
        print("ASGI:", created.choices[0].message.content, created.model_extra)
        async for chunk in await client.chat.completions.create(model="echo", messages=MESSAGES, stream=True):
            print("ASGI:", repr(chunk.choices[0].delta.content))


if __name__ == "__main__":
    use_wsgi()
    asyncio.run(use_asgi())
