"""The apps that live servers serve: chat by a function of the package's own, responses by a route of a framework, and
text completions by a route that knows nothing of OpenAI.

The model says how a stream goes: `endless`, or one that waits until as many streams are open as `user` says, or a short
one. What a server cannot be asked from outside is told at `/counters`, and at `/settled` as soon as no stream is open.
"""

import asyncio
import gc
import json
import resource
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from openai_middleware import (
    APIHandlerAction,
    APIHandlerConfig,
    Dispatcher,
    OpenAIMiddleware,
    OpenAIWSGIMiddleware,
    Rewrite,
)
from openai_middleware.adapters.flask import openai_call
from openai_middleware.request.call import CALL_KEY
from tests.support.samples import CHUNK, COMPLETION, JUNK, RESPONSE

LIMIT = 100_000
PAUSE = 0.01
PATIENCE = 20
"""Seconds after which a stream whose client has gone, or that waits for others, is told to be left over."""


class Counters:
    """What happened so far."""

    def __init__(self) -> None:
        self.begun = self.closed = self.calls = 0
        self.changed = threading.Condition()

    @property
    def open(self) -> int:
        return self.begun - self.closed

    def begin(self) -> None:
        with self.changed:
            self.begun += 1
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.closed += 1
            self.changed.notify_all()

    def as_json(self) -> dict[str, int]:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory = pages * resource.getpagesize()
        return {"begun": self.begun, "closed": self.closed, "open": self.open, "calls": self.calls, "memory": memory}


COUNTERS = Counters()


def documents(model: str, kind: str) -> Iterator[dict[str, Any]]:
    """The events of a stream; `endless` has no end."""
    number = 0
    while model == "endless" or number < 3:
        if kind == "chat":
            choice = {"index": 0, "delta": {"content": str(number)}, "finish_reason": None}
            yield {**CHUNK, **JUNK, "choices": [choice]}
        else:
            place = {"item_id": "m", "output_index": 0, "content_index": 0, "logprobs": []}
            yield {"type": "response.output_text.delta", **place, "delta": str(number), **JUNK}
        number += 1
    if kind != "chat":
        yield {"type": "response.completed", "response": {**RESPONSE, **JUNK}}


async def async_events(model: str, kind: str, user: str = "0") -> AsyncIterator[dict[str, Any]]:
    COUNTERS.begin()
    try:
        for number, document in enumerate(documents(model, kind)):
            yield document
            if model == "endless":
                await asyncio.sleep(PAUSE)
            elif model == "together" and number == 0:
                await until(lambda: COUNTERS.begun >= int(user))
    finally:
        COUNTERS.close()


def events(model: str, kind: str) -> Iterator[dict[str, Any]]:
    COUNTERS.begin()
    try:
        for document in documents(model, kind):
            yield document
            if model == "endless":
                threading.Event().wait(PAUSE)
    finally:
        COUNTERS.close()


async def until(is_so: Any) -> bool:
    """Wait for something that threads may do, too."""
    for _ in range(int(PATIENCE / PAUSE)):
        if is_so():
            return True
        await asyncio.sleep(PAUSE)
    return False


def config() -> APIHandlerConfig:
    made = APIHandlerConfig(include_url_info=True)
    made.set_openai_frontend(["chat_completions", "responses", "completions"], "/v1")
    made.add_endpoint_handler("/secret/*", "GET", APIHandlerAction.FORBID)
    return made


REWRITES: Any = {"completions.create": Rewrite("/words", body={"model": "$.model"}, delta="$.id")}
LINES = "application/x-ndjson"


def encoded(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


# --- ASGI

dispatch = Dispatcher()


@dispatch("chat.completions.create")
async def chat(body: Any, *, model: str, user: str = "0", stream: bool = False) -> Any:
    COUNTERS.calls += 1
    return async_events(model, "chat", user) if stream else {**COMPLETION, **JUNK}


async def responses(request: Request) -> Any:
    COUNTERS.calls += 1
    call = request.scope[CALL_KEY]
    if not call.kwargs.get("stream"):
        return JSONResponse({**RESPONSE, **JUNK})
    found = async_events(call.kwargs["model"], "responses", call.kwargs.get("user", "0"))
    return StreamingResponse((encoded(document) async for document in found), media_type="text/event-stream")


async def words(request: Request) -> StreamingResponse:
    COUNTERS.calls += 1
    found = async_events((await request.json())["model"], "chat")
    return StreamingResponse((json.dumps(document) + "\n" async for document in found), media_type=LINES)


async def counters(request: Request) -> JSONResponse:
    return JSONResponse(COUNTERS.as_json())


async def settled(request: Request) -> JSONResponse:
    # Starlette cancels a stream whose client has gone, and leaves closing its iterator to the garbage collector where
    # the stream stood in `send` at that moment.
    gc.collect()
    is_settled = await until(lambda: COUNTERS.open == 0)
    return JSONResponse({**COUNTERS.as_json(), "is_settled": is_settled})


asgi = OpenAIMiddleware(
    Starlette(
        routes=[
            Route("/v1/responses", responses, methods=["POST"]),
            Route("/words", words, methods=["POST"]),
            Route("/counters", counters),
            Route("/settled", settled),
        ]
    ),
    config=config(),
    handlers=dispatch,
    rewrites=REWRITES,
    max_body_size=LIMIT,
)

# --- WSGI

wsgi_dispatch = Dispatcher()


@wsgi_dispatch("chat.completions.create")
def wsgi_chat(body: Any, *, model: str, stream: bool = False) -> Any:
    COUNTERS.calls += 1
    return events(model, "chat") if stream else {**COMPLETION, **JUNK}


wsgi_app = flask.Flask(__name__)


@wsgi_app.post("/v1/responses")
def wsgi_responses() -> Any:
    COUNTERS.calls += 1
    kwargs = openai_call.kwargs
    if not kwargs.get("stream"):
        return {**RESPONSE, **JUNK}
    return flask.Response(Stream(events(kwargs["model"], "responses")), content_type="text/event-stream")


@wsgi_app.post("/words")
def wsgi_words() -> Any:
    COUNTERS.calls += 1
    found = events(flask.request.get_json()["model"], "chat")
    return flask.Response(Stream(found, lambda document: json.dumps(document).encode() + b"\n"), content_type=LINES)


class Stream:
    """The events as bytes; closed with what it reads from."""

    def __init__(
        self, documents: Iterator[dict[str, Any]], encode: Callable[[dict[str, Any]], bytes] = encoded
    ) -> None:
        self.documents = documents
        self.encode = encode

    def __iter__(self) -> Iterator[bytes]:
        return map(self.encode, self.documents)

    def close(self) -> None:
        self.documents.close()  # type: ignore[attr-defined]


@wsgi_app.get("/counters")
@wsgi_app.get("/settled")
def wsgi_counters() -> Any:
    is_settled = True
    if flask.request.path == "/settled":
        with COUNTERS.changed:
            is_settled = COUNTERS.changed.wait_for(lambda: COUNTERS.open == 0, PATIENCE)
    return {**COUNTERS.as_json(), "is_settled": is_settled}


wsgi = OpenAIWSGIMiddleware(wsgi_app, config=config(), handlers=wsgi_dispatch, rewrites=REWRITES, max_body_size=LIMIT)
