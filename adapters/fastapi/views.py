"""Routes made of functions that take a call's keyword arguments."""

import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, get_args, get_origin

from fastapi import BackgroundTasks, Depends, params
from fastapi.dependencies.utils import get_typed_signature
from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection
from starlette.responses import Response
from typing_extensions import TypeAliasType

from openai_middleware.adapters.fastapi.calls import openai_call
from openai_middleware.adapters.fastapi.responses import HandlerResponse
from openai_middleware.drivers import Handler, OpenAICall, OwnLoop, arespond, reporting

__all__ = ["openai_view"]

# What FastAPI fills in by its type.
_INJECTED = (HTTPConnection, BackgroundTasks, Response, SecurityScopes)
_CALL = "_openai_call"


def openai_view(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a route of a function that is called as `function(body, **kwargs)` with the kwargs that it declares.

    Use it below the decorator of the route, as in `@app.post("/v1/chat/completions")`. FastAPI fills the parameters
    that are its own: those with `Depends`, `Security`, `Header` and the like, and those of the types that it injects,
    such as `Request`. Where the first parameter is one of them, the function gets the body by a parameter named `body`,
    or does without it.

    What it returns becomes the answer: a reply (a str, a `Reply`, or an iterator of them) becomes what the client asked
    for; a dict, list, pydantic or SDK model becomes JSON, any other generator (sync or async) an event stream, an
    `openai_middleware.Response` itself.
    """
    parameters = _parameters(function)
    own = [parameter for parameter in parameters if _is_of_fastapi(parameter)]
    handler = Handler(function, takes_body=not (parameters and parameters[0] in own))
    names_body = handler.declares("body") and all(parameter.name != "body" for parameter in own)

    async def view(**given: Any) -> Response:
        call: OpenAICall = given.pop(_CALL)
        if names_body:
            given["body"] = call.body
        with reporting(call):
            return HandlerResponse(await arespond(_Given(handler, given), call), call)

    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(view, name, getattr(function, name, getattr(view, name)))
    by_keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    annotation = Annotated[OpenAICall, Depends(openai_call)]
    call = inspect.Parameter(_CALL, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
    view.__signature__ = inspect.Signature([*by_keyword, call], return_annotation=Response)  # type: ignore[attr-defined]
    return view


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters with their annotations; those whose names are there for type checkers alone stay as they are."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except NameError:
        signature = get_typed_signature(function)
    return [
        parameter.replace(annotation=_unaliased(parameter.annotation)) for parameter in signature.parameters.values()
    ]


def _unaliased(annotation: Any) -> Any:
    while isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    return annotation


def _is_of_fastapi(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    marks = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    if any(isinstance(mark, params.Depends | params.Param | params.Body) for mark in (parameter.default, *marks)):
        return True
    kind = get_args(annotation)[0] if marks else annotation
    return isinstance(kind, type) and issubclass(kind, _INJECTED)


class _Given:
    """A function with what FastAPI has filled in. See `CallHandler`."""

    only_replies = False

    def __init__(self, handler: Handler, given: Mapping[str, Any]) -> None:
        self._handler = handler
        self._given = given
        self.name = handler.name
        self.takes_choices = handler.takes_choices

    def handler_for(self, call: OpenAICall) -> "_Given":
        """See `HandlerSource.handler_for`."""
        return self

    def run(self, call: OpenAICall, *first: Any, loop: OwnLoop | None = None) -> Any:
        """See `CallHandler.run`."""
        return self._handler.run(call, *first, kwargs={**call.kwargs, **self._given}, loop=loop)

    async def arun(self, call: OpenAICall, *first: Any, pool: ThreadPoolExecutor | None = None) -> Any:
        """See `CallHandler.arun`."""
        return await self._handler.arun(call, *first, kwargs={**call.kwargs, **self._given}, pool=pool)
