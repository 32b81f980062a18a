"""Apps for servers in processes of their own: one behaviour under Django and under Flask, by sync and async functions.

The API of the sync functions is at `/sync`, that of the async ones at `/async`. The name of the model says how a stream
goes. One that waits goes on when the response with the id that it was given as `user` is cancelled; when a stream has
been closed, retrieving the response `closed-` and its `user` is answered.
"""

import asyncio
import itertools
import json
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import closing
from typing import Any

import flask
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from openai_middleware import OpenAICall, Rewrite
from openai_middleware.adapters import django as django_adapter
from openai_middleware.adapters import flask as flask_adapter
from openai_middleware.errors import NotFoundError
from tests.support.samples import ANSWERS, FULL_RESPONSE, JUNK
from tests.support.servers import TIMEOUT

Json = dict[str, Any]

signals: defaultdict[str, threading.Event] = defaultdict(threading.Event)


def answer(call: OpenAICall) -> Json:
    """A whole answer, with more in it than OpenAI's API has."""
    assert call.operation is not None
    name = call.path_params.get("response_id", "")
    if name == "unknown":
        raise NotFoundError("There is no such response.", param="response_id")
    if call.operation == "responses.cancel":
        signals[name].set()
    elif name.startswith("closed-"):
        assert signals[name].wait(TIMEOUT)
    return {**JUNK, **ANSWERS[call.operation]}


def events(call: OpenAICall) -> Iterator[Json | None]:
    """The events of a stream; None is a moment to wait at."""
    model = call.kwargs["model"]
    if model == "fails-at-once":
        raise NotFoundError("There is no such model.", param="model")
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model}
    texts = map(str, itertools.count()) if model == "endless" else ["a", "b\u2028", "é"]
    for number, text in enumerate(texts):
        if number == 1 and model == "fails-late":
            raise NotFoundError("The model is gone.", param="model")
        if number == 1 and model == "breaks-late":
            raise ZeroDivisionError("a secret of the app")
        if number == 1 and model == "waits":
            yield None
        if call.operation == "chat.completions.create":
            yield {**JUNK, **chunk, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        else:
            place = {"item_id": "msg-1", "output_index": 0, "content_index": 0}
            yield {**JUNK, "type": "response.output_text.delta", **place, "delta": text, "logprobs": []}
    if call.operation == "responses.create":
        yield {**JUNK, "type": "response.completed", "response": {**JUNK, **FULL_RESPONSE}}


def stream(call: OpenAICall) -> Iterator[Json]:
    try:
        for event in events(call):
            if event is None:
                assert signals[call.kwargs["user"]].wait(TIMEOUT)
            else:
                yield event
    finally:
        signals[f"closed-{call.kwargs.get('user')}"].set()


async def async_stream(call: OpenAICall) -> AsyncIterator[Json]:
    try:
        for event in events(call):
            if event is None:
                assert await asyncio.to_thread(signals[call.kwargs["user"]].wait, TIMEOUT)
            else:
                await asyncio.sleep(0)
                yield event
    finally:
        signals[f"closed-{call.kwargs.get('user')}"].set()


def serve(call: OpenAICall) -> Any:
    return stream(call) if call.kwargs.get("stream") else answer(call)


async def async_serve(call: OpenAICall) -> Any:
    return async_stream(call) if call.kwargs.get("stream") else await asyncio.to_thread(answer, call)


def django_view(request: HttpRequest) -> Any:
    return serve(request.openai_call)


async def async_django_view(request: HttpRequest) -> Any:
    return await async_serve(request.openai_call)


# A route that knows nothing of OpenAI: rewrites send text completions there.
REWRITES: Any = {"completions.create": Rewrite("/words", body={"asked_by": "$.user"}, delta="$.word")}


def words(asked_by: str) -> Generator[str]:
    try:
        for number in itertools.count():
            yield f'{{"word": "{number} "}}\n'
    finally:
        signals[f"closed-{asked_by}"].set()


async def async_words(asked_by: str) -> AsyncIterator[str]:
    with closing(words(asked_by)) as found:
        for word in found:
            await asyncio.sleep(0)
            yield word


@csrf_exempt
def words_view(request: HttpRequest) -> StreamingHttpResponse:
    find = async_words if hasattr(request, "scope") else words
    return StreamingHttpResponse(find(json.loads(request.body)["asked_by"]), content_type="application/x-ndjson")


urlpatterns = [
    re_path("^words$", words_view),
    re_path("^sync/", csrf_exempt(django_adapter.openai_view(django_view))),
    re_path("^async/", csrf_exempt(django_adapter.openai_view(async_django_view))),
]


def django(get_application: Callable[[], Any]) -> Any:
    settings.configure(
        SECRET_KEY="for tests only",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[
            "openai_middleware.adapters.django.OpenAIMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
        ],
        OPENAI_MIDDLEWARE={"prefix": ["/sync", "/async"], "rewrites": REWRITES},
    )
    return get_application()


def django_wsgi() -> Any:
    return django(get_wsgi_application)


def django_asgi() -> Any:
    return django(get_asgi_application)


def flask_wsgi() -> flask.Flask:
    app = flask.Flask(__name__)
    flask_adapter.set_openai_frontend(app, prefix=["/sync", "/async"], rewrites=REWRITES)

    @app.post("/words")
    def words_route() -> flask.Response:
        return flask.Response(words(flask.request.get_json()["asked_by"]), mimetype="application/x-ndjson")

    @flask_adapter.openai_view
    def view() -> Any:
        return serve(flask_adapter.openai_call)

    @flask_adapter.openai_view
    async def async_view() -> Any:
        return await async_serve(flask_adapter.openai_call)

    methods = ["GET", "POST", "DELETE"]
    app.add_url_rule("/sync/<path:_>", "sync", view, methods=methods)
    app.add_url_rule("/async/<path:_>", "async", async_view, methods=methods)
    return app
