"""Django: a setting is the whole integration, for WSGI and for ASGI servers.

gunicorn --chdir docs/examples --threads 8 reply_django:application
uvicorn --app-dir docs/examples reply_django:asgi_application
"""

import asyncio
from typing import Any

import django
import httpx2
import openai
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

# --8<-- [start:settings]
settings.configure(
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["openai_middleware.adapters.django.OpenAIMiddleware"],
    OPENAI_MIDDLEWARE={"prefix": "/v1", "handlers": "reply_models.dispatch"},
)
# --8<-- [end:settings]
django.setup()

urlpatterns: list[Any] = []  # no view, and no route
application = get_wsgi_application()
asgi_application: Any = get_asgi_application()


def use_wsgi() -> None:
    http_client = httpx2.Client(transport=httpx2.WSGITransport(application))
    with openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        print("WSGI:", client.responses.create(model="parrot", input="Hello").output_text)


async def use_asgi() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(asgi_application))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        response = await client.responses.create(model="support-agent", input="Help!")
        print("ASGI:", response.output_text)


if __name__ == "__main__":
    use_wsgi()
    asyncio.run(use_asgi())
