"""Flask: one call installs everything, `openai_call` is the call, and a decorator feeds plain functions."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Unpack

from openai_middleware.contract import GroupName, OpenAIEndpoint
from openai_middleware.drivers import (
    CALL_KEY,
    Environ,
    Frontend,
    Handler,
    OpenAICall,
    Options,
    Response,
    StartResponse,
    WSGIDriver,
    call_in,
    error_of_status,
    iterate,
    respond,
    unsupported,
)
from openai_middleware.errors import OpenAIError
from openai_middleware.extras import needs_extra

with needs_extra("flask"):
    import flask
    from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
    from werkzeug.local import LocalProxy
    from werkzeug.routing import RequestRedirect

__all__ = ["openai_call", "openai_error_response", "openai_view", "set_openai_frontend"]


def set_openai_frontend(
    app: flask.Flask,
    endpoints: Iterable[OpenAIEndpoint | GroupName | str] | None = None,
    prefix: str | Iterable[str] | None = None,
    **options: Unpack[Options],
) -> None:
    """Put the OpenAI API in front of a Flask app.

    Wraps `app.wsgi_app` as `OpenAIWSGIMiddleware` does, with the same arguments. An `OpenAIError` raised in any view
    becomes its envelope, and so does Flask's own error (`abort`, a missing route) where the request is one of the API.
    Refusals of the middleware pass the app's `after_request` functions, such as those of flask-cors.

    Raises:
        ConfigurationError: With every mistake in the arguments.
    """
    app.wsgi_app = _Driver(app, Frontend(endpoints, prefix, **options))  # type: ignore[method-assign]
    app.register_error_handler(OpenAIError, openai_error_response)
    app.register_error_handler(HTTPException, _http_error_response)


class _Driver(WSGIDriver):
    """The driver of an app that may still get routes until its first request."""

    _has_looked = False

    def __init__(self, app: flask.Flask, frontend: Frontend) -> None:
        super().__init__(app.wsgi_app, frontend)
        self._flask = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not self._has_looked:
            self._has_looked = True
            self.frontend.warn_of_absent_routes(self._has_route)
        return super().__call__(environ, start_response)

    def refused(self, error: OpenAIError, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        with self._flask.request_context(environ):
            response = self._flask.process_response(openai_error_response(error))
        return response(environ, start_response)

    def _has_route(self, method: str, path: str) -> bool:
        try:
            self._flask.url_map.bind("").match(path, method)
        except RequestRedirect:
            return True
        except (NotFound, MethodNotAllowed):
            return False
        return True


def _current_call() -> OpenAICall:
    request = flask.request
    remedy = "set_openai_frontend(app, prefix=...) was not called"
    return call_in(request.environ, f"{request.method} {request.path}", remedy)


openai_call: OpenAICall = LocalProxy(_current_call)  # type: ignore[assignment]
"""The call that the current request is, as a proxy like `flask.request`.

Raises RuntimeError where the request reached the view without the middleware, or matched none of its endpoints.
"""


def openai_view(function: Callable[..., Any]) -> Callable[..., flask.Response]:
    """Make a view of a function that is called as `function(body, **kwargs)` with the kwargs that it declares.

    What it returns becomes the answer: a reply (a str, a `Reply`, or an iterator of them) becomes what the client asked
    for; a dict, list, pydantic or SDK model becomes JSON, any other generator (sync or async) an event stream, an
    `openai_middleware.Response` itself. Coroutine functions work too.
    """
    handler = Handler(function)

    @wraps(function)
    def view(**_: Any) -> flask.Response:
        return _flask_response(respond(handler, _current_call()))

    return view


def openai_error_response(error: OpenAIError) -> flask.Response:
    """An error handler: an `OpenAIError` as its envelope."""
    return _flask_response(Response.of_error(error))


def _http_error_response(error: HTTPException) -> Any:
    """An error handler: Flask's own error as an envelope, where the request is one of the API; else as it is."""
    request = flask.request
    call = request.environ.get(CALL_KEY)
    is_foreign = getattr(error, "original_exception", None) is not None
    if call is None or is_foreign or error.code is None or error.code < 400:
        return error
    if isinstance(request.routing_exception, NotFound):
        return openai_error_response(unsupported(call))
    headers = {name: value for name, value in error.get_headers(request.environ) if name.lower() != "content-type"}
    return openai_error_response(error_of_status(error.code, error.description or "", headers))


def _flask_response(response: Response) -> flask.Response:
    body: Any = response.content
    if response.events is not None:
        body = flask.stream_with_context(iterate(response.events))
    return flask.Response(body, response.status_code, response.headers)
