"""Flask: one call installs everything, `openai_call` is the call, and a decorator feeds plain functions."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Unpack

import flask
from werkzeug.local import LocalProxy

from openai_middleware.contract import OpenAIEndpoint
from openai_middleware.drivers.wsgi import OpenAIWSGIMiddleware
from openai_middleware.errors import OpenAIError
from openai_middleware.frontend import Options
from openai_middleware.handlers.handler import Handler
from openai_middleware.handlers.response import Response
from openai_middleware.iteration import iterate
from openai_middleware.request.call import CALL_KEY, OpenAICall

__all__ = ["openai_call", "openai_error_response", "openai_view", "set_openai_frontend"]


def set_openai_frontend(
    app: flask.Flask,
    endpoints: Iterable[OpenAIEndpoint | str] | None = None,
    prefix: str | Iterable[str] | None = None,
    **options: Unpack[Options],
) -> None:
    """Put the OpenAI API in front of a Flask app.

    Wraps `app.wsgi_app` in `OpenAIWSGIMiddleware`, and installs an error handler that turns an `OpenAIError` raised in
    any view into its envelope.

    Args:
        app: The Flask app.
        endpoints: The groups of operations to serve; None is every supported group, an empty list none.
        prefix: What the paths start with, such as `/v1`, or several of them.
        options: See `openai_middleware.frontend.Options`.

    Raises:
        ConfigurationError: With every mistake in the arguments.
    """
    app.wsgi_app = OpenAIWSGIMiddleware(app.wsgi_app, endpoints, prefix, **options)  # type: ignore[method-assign]
    app.register_error_handler(OpenAIError, openai_error_response)


def _current_call() -> OpenAICall:
    call = flask.request.environ.get(CALL_KEY)
    if isinstance(call, OpenAICall):
        return call
    raise RuntimeError(
        f"No OpenAI call in {flask.request.method} {flask.request.path}: either set_openai_frontend(app, prefix=...) "
        "was not called, or none of its endpoints matches this path (is the prefix the same as in the route?)."
    )


openai_call: OpenAICall = LocalProxy(_current_call)  # type: ignore[assignment]
"""The call that the current request is, as a proxy like `flask.request`.

Raises RuntimeError where the request reached the view without the middleware, or matched none of its endpoints.
"""


def openai_view(function: Callable[..., Any]) -> Callable[..., flask.Response]:
    """Make a view of a function that is called as `function(body, **kwargs)` with the kwargs that it declares.

    What it returns becomes the answer: a dict, list, pydantic or SDK model becomes JSON, a generator (sync or async) an
    event stream, an `openai_middleware.Response` itself. Coroutine functions work too.
    """
    handler = Handler(function)

    @wraps(function)
    def view(**_: Any) -> flask.Response:
        response = Response.of(handler.run(_current_call()))
        body: Any = response.content
        if response.events is not None:
            body = flask.stream_with_context(iterate(response.events))
        return flask.Response(body, response.status_code, response.headers)

    return view


def openai_error_response(error: OpenAIError) -> flask.Response:
    """An error handler: an `OpenAIError` as its envelope."""
    status, headers, body = error.response()
    return flask.Response(body, status, [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
