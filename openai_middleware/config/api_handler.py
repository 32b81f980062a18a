"""The configuration of all endpoints.

Names, signatures and dictionaries are those of MLRun's API handler, so that a configuration written for it works here.
"""

import logging
import os
from collections.abc import Iterable, Mapping
from http import HTTPMethod

from pydantic import Field, TypeAdapter, ValidationInfo, field_validator

from openai_middleware.config.action import APIHandlerAction
from openai_middleware.config.body_mappings import BodyMappings
from openai_middleware.config.checks import endpoint_mistakes
from openai_middleware.config.configuration import Configuration, configuration, plain
from openai_middleware.config.contract_option import contract_of
from openai_middleware.config.endpoint import EndpointConfig, endpoint_key, with_leading_slash
from openai_middleware.config.openai_endpoints import openai_endpoints
from openai_middleware.config.rewrite import Rewrite
from openai_middleware.contract import Contract, GroupName, OpenAIEndpoint
from openai_middleware.mistakes import Mistakes

logger = logging.getLogger("openai_middleware")

_endpoint_of = TypeAdapter(EndpointConfig).validate_python


@configuration
class APIHandlerConfig(Configuration):
    """All endpoints.

    Args:
        enabled: Whether the middleware does anything at all.
        endpoints: The endpoints, keyed by `METHOD:path`; dictionaries are taken too.
        include_url_info: Whether handlers get `mlrun_request_path` and `mlrun_request_method`.

    Raises:
        ConfigurationError: With every mistake in these values.
    """

    enabled: bool = True
    endpoints: dict[str, EndpointConfig] = Field(default=None, validate_default=True)
    include_url_info: bool = False

    @field_validator("endpoints", mode="before")
    @classmethod
    def _keyed_by_method_and_path(cls, endpoints: object, info: ValidationInfo) -> object:
        if endpoints is None:
            return {}
        if not isinstance(endpoints, Mapping):
            return endpoints
        valid: dict[str, EndpointConfig] = {}
        mistakes = Mistakes()
        for key, value in endpoints.items():
            inside = Mistakes()
            with inside:
                endpoint = _endpoint_of(plain(value))
                _check_key(key, endpoint, mistakes)
                _put(valid, endpoint)
            mistakes.extend(mistake.inside(key) for mistake in inside)
        if mistakes:
            # Without any, these are left for the middleware to find. All that is wrong is reported together.
            mistakes.extend(endpoint_mistakes(valid.values(), (info.context or {}).get("contract")))
        mistakes.report()
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
        *,
        rewrite: Rewrite | str | None = None,
    ) -> None:
        """Add an endpoint; the arguments are those of `EndpointConfig`.

        Raises:
            ConfigurationError: With every mistake in these values.
        """
        self.add_endpoint_config(
            EndpointConfig(
                path,
                http_method,  # type: ignore[arg-type]
                action,  # type: ignore[arg-type]
                description,
                input_body_mappings,
                output_body_mappings,
                stream_body_mappings,
                rewrite=rewrite,
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
        self,
        endpoints: Iterable[OpenAIEndpoint | GroupName | str] | None = None,
        prefix: str | Iterable[str] | None = None,
        contract: str | os.PathLike[str] | Contract | None = None,
    ) -> None:
        """Add the endpoints of the OpenAI API to those that are there.

        Args:
            endpoints: The groups of operations; None is every supported group, an empty list none.
            prefix: What the paths start with, such as `/v1`, or several of them; placeholders are allowed.
            contract: The contract that the middleware uses too, where it is not the shipped one.

        Raises:
            ConfigurationError: No contract, an unknown group, or a prefix that does not start with a slash or ends with
                one.
        """
        for endpoint in openai_endpoints(endpoints, prefix, contract_of(contract)):
            self.add_endpoint_config(endpoint)


def _put(endpoints: dict[str, EndpointConfig], endpoint: EndpointConfig) -> None:
    key = endpoint.get_endpoint_key()
    if key in endpoints:
        logger.warning("The endpoint %s is replaced.", key)
    endpoints[key] = endpoint


def _check_key(key: str, endpoint: EndpointConfig, mistakes: Mistakes) -> None:
    method, _, path = key.partition(":")
    if f"{method.upper()}:{with_leading_slash(path)}" != endpoint.get_endpoint_key():
        message = f"The endpoint under this key is {endpoint.get_endpoint_key()}."
        hint = "The key is 'METHOD:path', with the endpoint's own http_method and path."
        mistakes.add("endpoint_key_mismatch", message, key, hint, key)
