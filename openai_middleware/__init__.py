"""The OpenAI REST API in front of an app that already exists."""

from openai_middleware.asgi import OpenAIMiddleware
from openai_middleware.call import OpenAICall
from openai_middleware.config import APIHandlerAction, APIHandlerConfig, BodyMappings, EndpointConfig
from openai_middleware.contract import OpenAIEndpoint
from openai_middleware.handler import Dispatcher
from openai_middleware.handler_app import HandlerApp, WSGIHandlerApp
from openai_middleware.response import Response
from openai_middleware.wsgi import OpenAIWSGIMiddleware

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
    "Response",
    "WSGIHandlerApp",
]

__version__ = "0.1.0"
