"""FastAPI and Starlette: one call installs everything, and dependencies give a route its call."""

from collections.abc import Iterable
from typing import Any, Unpack

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from openai_middleware.contract import OpenAIEndpoint
from openai_middleware.drivers import ASGIApp, ASGIDriver, Frontend, OpenAICall, Options, Receive, Scope, Send, call_in
from openai_middleware.errors import OpenAIError

__all__ = ["openai_call", "openai_error_response", "openai_kwargs", "set_openai_frontend"]


def set_openai_frontend(
    app: Starlette,
    endpoints: Iterable[OpenAIEndpoint | str] | None = None,
    prefix: str | Iterable[str] | None = None,
    **options: Unpack[Options],
) -> None:
    """Put the OpenAI API in front of a FastAPI or Starlette app.

    Wraps the app as `OpenAIMiddleware` does, with the same arguments, and installs a handler that turns an
    `OpenAIError` raised in any route into its envelope.

    Args:
        app: The app; its middleware stack must not have been built, so call this before the first request.
        endpoints: See `OpenAIMiddleware`.
        prefix: See `OpenAIMiddleware`.
        options: See `OpenAIMiddleware`.

    Raises:
        ConfigurationError: With every mistake in the arguments. `app.add_middleware` alone would raise it no earlier
            than at the first request.
    """
    frontend = Frontend(endpoints, prefix, **options)
    app.add_middleware(_OriginalErrors)
    app.add_middleware(ASGIDriver, frontend=frontend)
    app.add_exception_handler(OpenAIError, openai_error_response)


# Starlette's own words, which tell its RuntimeError from an app's.
_ALREADY_STARTED = ("Caught handled exception, but response already started.",)


class _OriginalErrors:
    """Raises an `OpenAIError` that comes too late for its handler, where Starlette raises a RuntimeError for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except RuntimeError as error:
            if isinstance(error.__cause__, OpenAIError) and error.args == _ALREADY_STARTED:
                raise error.__cause__ from None
            raise


async def openai_call(request: Request) -> OpenAICall:
    """A dependency: the call that this request is.

    Use it as `call: Annotated[OpenAICall, Depends(openai_call)]`.

    Raises:
        RuntimeError: The request reached the route without the middleware, or matched none of its endpoints.
    """
    remedy = (
        "no OpenAIMiddleware stands in front of this app (call set_openai_frontend(app, prefix=...) before the first "
        "request)"
    )
    return call_in(request.scope, f"{request.method} {request.url.path}", remedy)


async def openai_kwargs(request: Request) -> dict[str, Any]:
    """A dependency: the call's keyword arguments alone.

    Use it as `kwargs: Annotated[dict[str, Any], Depends(openai_kwargs)]`.

    Raises:
        RuntimeError: As `openai_call` does.
    """
    return (await openai_call(request)).kwargs


async def openai_error_response(request: Request, error: Exception) -> Response:
    """An exception handler: an `OpenAIError` as its envelope. Any other exception is raised again."""
    if not isinstance(error, OpenAIError):
        raise error
    status, headers, body = error.response()
    response = Response(body, status)
    response.raw_headers = headers
    return response
