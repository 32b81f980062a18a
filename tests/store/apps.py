"""Apps with a store, for every stack: functions that reply, and an app that knows OpenAI's objects itself.

gunicorn imports this module, and the database comes by the environment.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest

from openai_middleware import (
    Dispatcher,
    HandlerApp,
    OpenAIMiddleware,
    Reply,
    ToolCall,
    Usage,
    errors,
)
from openai_middleware.store import Store, by_api_key

dispatch = Dispatcher()


@dispatch.reply
def agent(messages: list[dict[str, Any]], tools: Any = None) -> Iterator[Any]:
    """Says what it has been told, so that a test sees the whole history in the answer."""
    said = [(message["role"], message.get("content") or "") for message in messages]
    last = said[-1][1]
    if last == "Break":
        yield "It was going "
        raise errors.InternalServerError("It broke.")
    if last == "Think":
        yield Reply(reasoning="Hm.")
    if last == "Cut":
        yield Reply("It was cut", finish_reason="length")
        return
    if tools and last == "Call":
        yield ToolCall("look", {"at": "it"})
        return
    yield from ("I know: ", json.dumps(said))
    yield Usage(3, 4)


def asgi_app(store: Store) -> Any:
    return OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1", store=store)


def django_owner(request: HttpRequest) -> str | None:
    return by_api_key(request)


def django_app() -> Any:
    options: Mapping[str, Any] = {
        "prefix": "/v1",
        "handlers": "tests.store.apps.dispatch",
        "store": {"url": os.environ["STORE_URL"], "owner": "tests.store.apps.django_owner"},
    }
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=type(sys)("urls", ""),
        MIDDLEWARE=["openai_middleware.adapters.django.OpenAIMiddleware"],
        OPENAI_MIDDLEWARE=options,
    )
    settings.ROOT_URLCONF.urlpatterns = []
    return get_wsgi_application()
