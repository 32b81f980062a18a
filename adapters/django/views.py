"""Django views made of functions that take a call's keyword arguments."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Final

from django.http import HttpRequest, HttpResponseBase

from openai_middleware.adapters.django.responses import aanswer, answer
from openai_middleware.drivers import CALL_KEY, Handler, OpenAICall, call_in

__all__ = ["OPENAI_VIEW", "openai_view"]

# By this attribute the system checks know a view that is made here.
OPENAI_VIEW: Final = "is_openai_view"


def openai_view(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a view of a function that is called as `function(request, **kwargs)` with the kwargs that it declares.

    What it returns becomes the answer: a reply (a str, a `Reply`, or an iterator of them) becomes what the client asked
    for; a dict, list, pydantic or SDK model becomes JSON, any other generator (sync or async) an event stream, an
    `openai_middleware.Response` itself. Sync and async functions work under WSGI and ASGI alike.
    """
    if isinstance(function, partial):
        # From `method_decorator`: a bound method that claims the signature of the unbound one, `self` included.
        vars(function).pop("__wrapped__", None)
    handler = Handler(function)

    @wraps(function)
    def view(request: HttpRequest, *_: Any, **__: Any) -> HttpResponseBase:
        return answer(handler, _call(request), request, request)

    @wraps(function)
    async def async_view(request: HttpRequest, *_: Any, **__: Any) -> HttpResponseBase:
        return await aanswer(handler, _call(request), request, request)

    made = async_view if handler.is_async else view
    setattr(made, OPENAI_VIEW, True)
    return made


def _call(request: HttpRequest) -> OpenAICall:
    remedy = "openai_middleware.adapters.django.OpenAIMiddleware is not in MIDDLEWARE"
    return call_in({CALL_KEY: getattr(request, "openai_call", None)}, f"{request.method} {request.path}", remedy)
