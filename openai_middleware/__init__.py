"""The OpenAI REST API in front of an app that already exists."""

from openai_middleware.asgi import OpenAIMiddleware
from openai_middleware.call import OpenAICall
from openai_middleware.config import APIHandlerAction, APIHandlerConfig, BodyMappings, EndpointConfig
from openai_middleware.contract import OpenAIEndpoint

__all__ = [
    "APIHandlerAction",
    "APIHandlerConfig",
    "BodyMappings",
    "EndpointConfig",
    "OpenAICall",
    "OpenAIEndpoint",
    "OpenAIMiddleware",
]
