"""What is wanted: which endpoints there are, what is allowed, and how bodies are mapped."""

from openai_middleware.config.api_handler import APIHandlerAction, APIHandlerConfig, BodyMappings, EndpointConfig

__all__ = ["APIHandlerAction", "APIHandlerConfig", "BodyMappings", "EndpointConfig"]
