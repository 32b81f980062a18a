"""One call that installs everything in a FastAPI or Starlette app."""

from collections.abc import Iterable, Sequence
from typing import Any, Unpack

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Match

from openai_middleware.adapters.fastapi.errors import install_error_handlers
from openai_middleware.adapters.fastapi.openapi import describe_operations
from openai_middleware.contract import GroupName, OpenAIEndpoint
from openai_middleware.drivers import ASGIApp, ASGIDriver, Frontend, Options, Receive, Scope, Send
from openai_middleware.errors import OpenAIError

__all__ = ["set_openai_frontend"]


def set_openai_frontend(
    app: Starlette,
    endpoints: Iterable[OpenAIEndpoint | GroupName | str] | None = None,
    prefix: str | Iterable[str] | None = None,
    **options: Unpack[Options],
) -> None:
    """Put the OpenAI API in front of a FastAPI or Starlette app.

    Wraps the app as `OpenAIMiddleware` does, with the same arguments: outside all middlewares that were added earlier,
    but inside a `CORSMiddleware`, whose headers are then on every answer. An `OpenAIError` raised in any route becomes
    its envelope, and so do `HTTPException` and failed validation where the request is one of the API. FastAPI's
    documentation shows what the operations take and answer, where a route does not say it itself.

    Args:
        app: The app; its middleware stack must not have been built, so call this before the first request.
        endpoints: See `OpenAIMiddleware`.
        prefix: See `OpenAIMiddleware`.
        options: See `OpenAIMiddleware`.

    Raises:
        ConfigurationError: With every mistake in the arguments. `app.add_middleware` alone would raise it no earlier
            than at the first request.
        RuntimeError: The app has had its first request.
    """
    frontend = Frontend(endpoints, prefix, **options)
    if app.middleware_stack is not None:
        raise RuntimeError("The app has started: call set_openai_frontend before its first request.")
    place = _place_in(app.user_middleware)
    app.user_middleware[place:place] = [
        Middleware(_driver, frontend=frontend, routes=app.routes),
        Middleware(_OriginalErrors),
    ]
    install_error_handlers(app)
    describe_operations(app, frontend)


def _place_in(middlewares: Sequence[Middleware]) -> int:
    """How many middlewares stay outside, given the outermost first: those up to the innermost CORSMiddleware."""
    kinds: list[Any] = [middleware.cls for middleware in middlewares]
    places = [place for place, kind in enumerate(kinds, 1) if kind is CORSMiddleware]
    return max(places, default=0)


def _driver(app: ASGIApp, frontend: Frontend, routes: Sequence[BaseRoute]) -> ASGIDriver:
    """The driver, made when the app starts: all of its routes are there."""
    scope = {"type": "http", "root_path": "", "headers": []}
    frontend.warn_of_absent_routes(
        lambda method, path: any(
            route.matches({**scope, "method": method, "path": path})[0] is Match.FULL for route in routes
        )
    )
    return ASGIDriver(app, frontend)


# Starlette's own words, which tell its RuntimeError from an app's.
_ALREADY_STARTED = ("Caught handled exception, but response already started.",)


class _OriginalErrors:
    """Raises an `OpenAIError` that comes too late for its handler, where Starlette raises a RuntimeError for it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except RuntimeError as error:
            if isinstance(error.__cause__, OpenAIError) and error.args == _ALREADY_STARTED:
                raise error.__cause__ from None
            raise
