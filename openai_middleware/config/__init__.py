"""What is wanted: which endpoints there are, what is allowed, and how bodies are mapped."""

from openai_middleware.config.api_handler import APIHandlerConfig
from openai_middleware.config.body_mappings import BodyMappings
from openai_middleware.config.endpoint import APIHandlerAction, EndpointConfig

__all__ = ["APIHandlerAction", "APIHandlerConfig", "BodyMappings", "EndpointConfig"]
