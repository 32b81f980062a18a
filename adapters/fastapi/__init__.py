"""FastAPI and Starlette: one call installs everything, dependencies give a route its call, a decorator its function."""

from typing import TYPE_CHECKING, Any

from openai_middleware.extras import needs_extra

with needs_extra("fastapi"):
    from openai_middleware.adapters.fastapi.calls import openai_call, openai_kwargs
    from openai_middleware.adapters.fastapi.frontend import set_openai_frontend
    from openai_middleware.adapters.fastapi.responses import openai_error_response

if TYPE_CHECKING:
    from openai_middleware.adapters.fastapi.views import openai_view

__all__ = ["openai_call", "openai_error_response", "openai_kwargs", "openai_view", "set_openai_frontend"]


def __getattr__(name: str) -> Any:
    # It is FastAPI's alone; all else works in an app of Starlette, where FastAPI is not installed.
    if name == "openai_view":
        with needs_extra("fastapi"):
            from openai_middleware.adapters.fastapi.views import openai_view

        return openai_view
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
