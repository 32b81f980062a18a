"""The configuration: which endpoints there are, what is allowed, and how bodies are mapped.

Names, signatures and dictionaries are those of MLRun's API handler, so that a configuration written for it works here.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPMethod
from typing import Any, cast

from pydantic import ValidatorFunctionWrapHandler, field_validator

from openai_middleware.config.checks import endpoint_mistakes
from openai_middleware.config.endpoint import (
    APIHandlerAction,
    BodyMappings,
    Configuration,
    EndpointConfig,
    endpoint_key,
    with_leading_slash,
)
from openai_middleware.config.openai_endpoints import openai_endpoints
from openai_middleware.contract import OpenAIEndpoint, shipped
from openai_middleware.errors import ConfigurationMistake, raise_mistakes
from openai_middleware.validation import collected, configuration_errors

__all__ = ["APIHandlerAction", "APIHandlerConfig", "BodyMappings", "EndpointConfig"]

logger = logging.getLogger("openai_middleware")


class APIHandlerConfig(Configuration):
    """All endpoints.

    Args:
        enabled: Whether the middleware does anything at all.
        endpoints: The endpoints, keyed by `METHOD:path`; dictionaries are taken too.
        include_url_info: Whether handlers get `mlrun_request_path` and `mlrun_request_method`.

    Raises:
        ConfigurationError: With every mistake in these values.
    """

    enabled: bool
    endpoints: dict[str, EndpointConfig]
    include_url_info: bool

    def __init__(
        self,
        /,
        enabled: bool = True,
        endpoints: Mapping[str, EndpointConfig | Mapping[str, Any]] | None = None,
        include_url_info: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__(
            enabled=enabled,
            endpoints={} if endpoints is None else endpoints,
            include_url_info=include_url_info,
            **unknown,
        )

    @field_validator("endpoints", mode="wrap")
    @classmethod
    def _keyed_by_method_and_path(
        cls, endpoints: object, validate: ValidatorFunctionWrapHandler
    ) -> dict[str, EndpointConfig]:
        if not isinstance(endpoints, Mapping):
            return cast(dict[str, EndpointConfig], validate(endpoints))
        valid: dict[str, EndpointConfig] = {}
        mistakes: list[ConfigurationMistake] = []
        for item in endpoints.items():
            with collected(mistakes), configuration_errors():
                [(key, endpoint)] = validate(dict([item])).items()
                mistakes.extend(_key_mistakes(key, endpoint))
                _put(valid, endpoint)
        if mistakes:
            # Without any, these are left for the middleware to find. All that is wrong is reported together.
            mistakes.extend(endpoint_mistakes(valid.values(), shipped()))
        raise_mistakes(mistakes)
        return valid

    def add_endpoint_handler(
        self,
        path: str,
        http_method: HTTPMethod | str = HTTPMethod.POST,
        action: APIHandlerAction | str = APIHandlerAction.ALLOW,
        description: str | None = None,
        input_body_mappings: BodyMappings | None = None,
        output_body_mappings: BodyMappings | None = None,
        stream_body_mappings: BodyMappings | None = None,
    ) -> None:
        """Add an endpoint; the arguments are those of `EndpointConfig`.

        Raises:
            ConfigurationError: With every mistake in these values.
        """
        self.add_endpoint_config(
            EndpointConfig(
                path,
                http_method,
                action,
                description,
                input_body_mappings,
                output_body_mappings,
                stream_body_mappings,
            )
        )

    def add_endpoint_config(self, endpoint: EndpointConfig) -> None:
        """Add an endpoint. One with the same method and path is replaced in its place, and a warning says so."""
        _put(self.endpoints, endpoint)

    def get_endpoint_config(self, method: HTTPMethod | str, path: str) -> EndpointConfig | None:
        """The endpoint that is configured for just this method and path, or None.

        Raises:
            ConfigurationError: There is no such HTTP method.
        """
        return self.endpoints.get(endpoint_key(method, path))

    def remove_endpoint_handler(self, path: str, http_method: HTTPMethod | str = HTTPMethod.POST) -> None:
        """Remove an endpoint; nothing happens where there is none.

        Raises:
            ConfigurationError: There is no such HTTP method.
        """
        self.endpoints.pop(endpoint_key(http_method, path), None)

    def set_openai_frontend(
        self, endpoints: Iterable[OpenAIEndpoint | str] | None = None, prefix: str | Iterable[str] | None = None
    ) -> None:
        """Add the endpoints of the OpenAI API to those that are there.

        Args:
            endpoints: The groups of operations; None is every supported group, an empty list none.
            prefix: What the paths start with, such as `/v1`, or several of them; placeholders are allowed.

        Raises:
            ConfigurationError: An unknown group, or a prefix that does not start with a slash or ends with one.
        """
        for endpoint in openai_endpoints(endpoints, prefix, shipped()):
            self.add_endpoint_config(endpoint)


def _put(endpoints: dict[str, EndpointConfig], endpoint: EndpointConfig) -> None:
    key = endpoint.get_endpoint_key()
    if key in endpoints:
        logger.warning("The endpoint %s is replaced.", key)
    endpoints[key] = endpoint


def _key_mistakes(key: str, endpoint: EndpointConfig) -> Iterator[ConfigurationMistake]:
    method, _, path = key.partition(":")
    if f"{method.upper()}:{with_leading_slash(path)}" != endpoint.get_endpoint_key():
        message = f"The endpoint under this key is {endpoint.get_endpoint_key()}."
        hint = "The key is 'METHOD:path', with the endpoint's own http_method and path."
        yield ConfigurationMistake("endpoint_key_mismatch", message, key, hint, key)
