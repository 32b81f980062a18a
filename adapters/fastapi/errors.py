"""FastAPI's and Starlette's own errors, as OpenAI's envelope where a request is one of the API."""

import json
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from openai_middleware.adapters.fastapi.responses import openai_error_response
from openai_middleware.drivers import CALL_KEY, error_of_status, unsupported
from openai_middleware.errors import OpenAIError, UnprocessableEntityError

__all__ = ["install_error_handlers"]

ExceptionHandler = Callable[[Request, Any], Any]


def install_error_handlers(app: Starlette) -> None:
    """Give an app handlers for `OpenAIError`, and for its own errors where a request is one of the API.

    What the app had as a handler goes on to answer all other requests; one that it gets later replaces these.
    """
    app.add_exception_handler(OpenAIError, openai_error_response)
    handlers = app.exception_handlers
    handlers[HTTPException] = _in_openai_s_words(_of_http_exception, handlers.get(HTTPException, _plain_text))
    for kind, handler in list(handlers.items()):
        # FastAPI registers it; apps of Starlette alone have none.
        if getattr(kind, "__name__", "") == "RequestValidationError":
            handlers[kind] = _in_openai_s_words(_of_validation_error, handler)


def _in_openai_s_words(
    translate: Callable[[Request, Any], OpenAIError | None], otherwise: ExceptionHandler
) -> ExceptionHandler:
    async def handle(request: Request, error: Exception) -> Any:
        translated = translate(request, error) if CALL_KEY in request.scope else None
        if translated is not None:
            return await openai_error_response(request, translated)
        if iscoroutinefunction(otherwise):
            return await otherwise(request, error)
        return await run_in_threadpool(otherwise, request, error)

    return handle


def _of_http_exception(request: Request, error: HTTPException) -> OpenAIError | None:
    if error.status_code < 400:
        return None
    if error.status_code == 404 and "endpoint" not in request.scope:
        # The router's: no route of the app has the path.
        return unsupported(request.scope[CALL_KEY])
    detail: Any = error.detail  # FastAPI's may be anything that has a JSON form
    message = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
    return error_of_status(error.status_code, message, error.headers)


def _of_validation_error(request: Request, error: Any) -> OpenAIError:
    first, *_ = error.errors()
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header", "cookie")]
    message = f"{first['msg']}." if not place else f"Invalid value for '{'.'.join(place)}': {first['msg']}."
    return UnprocessableEntityError(message, param=".".join(place) or None, code=first["type"])


async def _plain_text(request: Request, error: HTTPException) -> Response:
    """As Starlette answers them."""
    if error.status_code in (204, 304):
        return Response(status_code=error.status_code, headers=error.headers)
    return PlainTextResponse(error.detail, status_code=error.status_code, headers=error.headers)
