"""Django views made of functions that take a call's keyword arguments."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from openai_middleware.handlers.handler import Handler
from openai_middleware.handlers.response import Response
from openai_middleware.iteration import aiterate, iterate
from openai_middleware.request.call import OpenAICall

__all__ = ["openai_view"]


def openai_view(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a view of a function that is called as `function(request, **kwargs)` with the kwargs that it declares.

    What it returns becomes the answer: a dict, list, pydantic or SDK model becomes JSON, a generator (sync or async) an
    event stream, an `openai_middleware.Response` itself. Sync and async functions work under WSGI and ASGI alike.
    """
    if isinstance(function, partial):
        # From `method_decorator`: a bound method that claims the signature of the unbound one, `self` included.
        vars(function).pop("__wrapped__", None)
    handler = Handler(function)

    @wraps(function)
    def view(request: HttpRequest, *_: Any, **__: Any) -> HttpResponseBase:
        return _http_response(request, handler.run(_call(request), request))

    @wraps(function)
    async def async_view(request: HttpRequest, *_: Any, **__: Any) -> HttpResponseBase:
        return _http_response(request, await handler.arun(_call(request), request))

    return async_view if handler.is_async else view


def _call(request: HttpRequest) -> OpenAICall:
    call = getattr(request, "openai_call", None)
    if isinstance(call, OpenAICall):
        return call
    raise RuntimeError(
        f"No OpenAI call in {request.method} {request.path}: either openai_middleware.adapters.django.OpenAIMiddleware "
        "is not in MIDDLEWARE, or none of its endpoints matches this path (is the prefix the same as in the URL?)."
    )


def _http_response(request: HttpRequest, result: Any) -> HttpResponseBase:
    response = Response.of(result)
    headers = dict(response.headers)
    if response.events is None:
        return HttpResponse(response.content, status=response.status_code, headers=headers)
    events = aiterate(response.events) if hasattr(request, "scope") else iterate(response.events)
    return StreamingHttpResponse(events, status=response.status_code, headers=headers)
