"""The servers that the end-to-end benchmark compares: `uvicorn tests.benchmarks.apps:app`, named by VARIANT.

All answer `POST /v1/chat/completions` with a chat completion, or with 200 chunks where a stream is asked for. The bare
app and what stands in front of it are one Starlette app (for WSGI one plain function).
"""

import json
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from openai_middleware import OpenAIMiddleware, OpenAIWSGIMiddleware
from tests.benchmarks.workloads import CHUNK, COMPLETION, EVENTS, encoded

JUNK = {"junk": 1}
DONE = b"data: [DONE]\n\n"


def starlette(extra: dict[str, Any]) -> Starlette:
    """An app that speaks chat completions; `extra` are fields that the contract does not have."""
    completion, event = {**COMPLETION, **extra}, b"data: " + encoded({**CHUNK, **extra}) + b"\n\n"

    async def events() -> AsyncIterator[bytes]:
        for _ in range(EVENTS):
            yield event
        yield DONE

    async def create(request: Request) -> Response:
        if (await request.json()).get("stream"):
            return StreamingResponse(events(), media_type="text/event-stream")
        return JSONResponse(completion)

    return Starlette(routes=[Route("/v1/chat/completions", create, methods=["POST"])])


class PassThrough:
    """An ASGI middleware that hands everything on, through functions of its own."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""

        async def own_receive() -> Any:
            return await receive()

        async def own_send(message: Any) -> None:
            await send(message)

        await self.app(scope, own_receive, own_send)


class DoingNothing(BaseHTTPMiddleware):
    """Starlette's base class for middlewares, which most are written with."""

    async def dispatch(self, request: Request, call_next: Callable[..., Any]) -> Response:
        """Hand the request on."""
        response: Response = await call_next(request)
        return response


def compat() -> Any:
    """The same answers by fastapi-openai-compat, which makes the objects of text."""
    from fastapi import FastAPI
    from fastapi_openai_compat import create_openai_router

    [choice] = COMPLETION["choices"]
    [delta] = CHUNK["choices"]

    async def pieces() -> AsyncIterator[str]:
        for _ in range(EVENTS):
            yield delta["delta"]["content"]

    async def answer(model: str, messages: Any, body: dict[str, Any]) -> Any:
        return pieces() if body.get("stream") else choice["message"]["content"]

    async def models() -> list[str]:
        return ["m"]

    app = FastAPI()
    app.include_router(create_openai_router(list_models=models, run_completion=answer))
    return app


def wsgi(extra: dict[str, Any]) -> Callable[..., Iterable[bytes]]:
    """A plain WSGI app with the same answers."""
    completion = encoded({**COMPLETION, **extra})
    event = b"data: " + encoded({**CHUNK, **extra}) + b"\n\n"

    def events() -> Iterator[bytes]:
        for _ in range(EVENTS):
            yield event
        yield DONE

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        if body.get("stream"):
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            return events()
        length = str(len(completion))
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", length)])
        return [completion]

    return app


ASGI: dict[str, Callable[[], Any]] = {
    "the bare app": lambda: starlette({}),
    "openai-middleware": lambda: OpenAIMiddleware(starlette({}), prefix="/v1"),
    "openai-middleware, a field dropped": lambda: OpenAIMiddleware(starlette(JUNK), prefix="/v1"),
    "a middleware that passes everything": lambda: PassThrough(starlette({})),
    "BaseHTTPMiddleware": lambda: DoingNothing(starlette({})),
    "fastapi-openai-compat": compat,
}
WSGI: dict[str, Callable[[], Any]] = {
    "the bare app": lambda: wsgi({}),
    "openai-middleware": lambda: OpenAIWSGIMiddleware(wsgi({}), prefix="/v1"),
    "openai-middleware, a field dropped": lambda: OpenAIWSGIMiddleware(wsgi(JUNK), prefix="/v1"),
}

if "VARIANT" in os.environ:
    app = {"asgi": ASGI, "wsgi": WSGI}[os.environ["INTERFACE"]][os.environ["VARIANT"]]()
