"""Dependencies that give a route its call."""

from typing import Any

from starlette.requests import Request

from openai_middleware.drivers import OpenAICall, call_in

__all__ = ["openai_call", "openai_kwargs"]


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
