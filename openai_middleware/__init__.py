"""The OpenAI REST API in front of an app that already exists."""

from typing import TYPE_CHECKING, Any

from openai_middleware import config
from openai_middleware.config import APIHandlerAction
from openai_middleware.config.rewrite import Rewrite
from openai_middleware.contract import OpenAIEndpoint
from openai_middleware.drivers.asgi import OpenAIMiddleware
from openai_middleware.drivers.wsgi import OpenAIWSGIMiddleware
from openai_middleware.handlers.asgi_app import HandlerApp
from openai_middleware.handlers.dispatcher import Dispatcher
from openai_middleware.handlers.response import Response
from openai_middleware.handlers.wsgi_app import WSGIHandlerApp
from openai_middleware.replies.reply import Reply, ToolCall, Usage
from openai_middleware.request.call import OpenAICall

__all__ = [
    "APIHandlerAction",
    "APIHandlerConfig",
    "BodyMappings",
    "Dispatcher",
    "EndpointConfig",
    "HandlerApp",
    "OpenAICall",
    "OpenAIEndpoint",
    "OpenAIMiddleware",
    "OpenAIWSGIMiddleware",
    "Reply",
    "Response",
    "Rewrite",
    "ToolCall",
    "Usage",
    "WSGIHandlerApp",
]

__version__ = "0.1.0"

if TYPE_CHECKING:
    from openai_middleware.config import APIHandlerConfig, BodyMappings, EndpointConfig
else:  # type checkers would take any name for one that `__getattr__` finds

    def __getattr__(name: str) -> Any:
        if name in config.__all__:
            return getattr(config, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
