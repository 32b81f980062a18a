"""The configuration: which endpoints there are, what is allowed, and how bodies are mapped.

Names, signatures and dictionaries are those of MLRun's API handler, so that a configuration written for it works here.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from enum import StrEnum
from http import HTTPMethod
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator

from openai_middleware import contract
from openai_middleware.body_mapping import BodyMapping, merged
from openai_middleware.contract import OpenAIEndpoint, Operation
from openai_middleware.errors import ConfigurationError, ConfigurationMistake, raise_mistakes
from openai_middleware.path_template import check_path
from openai_middleware.validation import configuration_errors

logger = logging.getLogger("openai_middleware")


class APIHandlerAction(StrEnum):
    """What happens to the requests of an endpoint."""

    ALLOW = "allow"
    FORBID = "forbid"


def _upper_case(method: object) -> object:
    return method.upper() if isinstance(method, str) else method


def _checked_path(path: object) -> object:
    if isinstance(path, str):
        path = path if path.startswith("/") else f"/{path}"
        check_path(path)
    return path


_Method = Annotated[HTTPMethod, BeforeValidator(_upper_case)]
_Path = Annotated[str, BeforeValidator(_checked_path)]
_method_of = TypeAdapter[HTTPMethod](_Method).validate_python
_rule_of = TypeAdapter(BodyMapping).validate_python


def endpoint_key(http_method: HTTPMethod | str, path: str) -> str:
    """The key of an endpoint in `APIHandlerConfig.endpoints`, such as `POST:/v1/responses`.

    Raises:
        ConfigurationError: There is no such HTTP method.
    """
    with configuration_errors():
        method = _method_of(http_method)
    return f"{method.value}:{path if path.startswith('/') else f'/{path}'}"


class _Configuration(BaseModel):
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    def __init__(self, **fields: Any) -> None:
        with configuration_errors():
            super().__init__(**fields)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain JSON values; what is None is left out."""
        return self.model_dump(mode="json", exclude_none=True, warnings=False)

    @classmethod
    def from_dict(cls, struct: Mapping[str, Any]) -> Self:
        """The configuration that `to_dict` wrote.

        Raises:
            ConfigurationError: With every mistake in the dictionary.
        """
        with configuration_errors():
            return cls.model_validate(struct)


class BodyMappings(_Configuration):
    """A set of `source_path -> destination_path` rules for request bodies or for JSON answers.

    A rule replaces the earlier ones that have its source or its destination, and a warning says so.

    Attributes:
        rules: The rules, in order.

    Raises:
        ConfigurationError: Some rules are malformed.
    """

    rules: list[BodyMapping] = Field(default=[], alias="mappings")

    def __init__(self, mappings: Iterable[BodyMapping | Mapping[str, Any]] = (), **unknown: Any) -> None:
        super().__init__(mappings=mappings if isinstance(mappings, str | Mapping) else list(mappings), **unknown)

    @field_validator("rules")
    @classmethod
    def _without_duplicates(cls, rules: list[BodyMapping]) -> list[BodyMapping]:
        joined: list[BodyMapping] = []
        for rule in rules:
            joined = _joined(joined, rule)
        return joined

    @property
    def mappings(self) -> list[dict[str, Any]]:
        """The rules as dictionaries with `source_path`, `destination_path` and `mandatory`."""
        return [asdict(rule) for rule in self.rules]

    @mappings.setter
    def mappings(self, value: Iterable[Mapping[str, Any]] | None) -> None:
        self.rules = BodyMappings(value or ()).rules

    def add_mapping(self, source_path: str, destination_path: str, mandatory: bool = False) -> None:
        """Add a rule.

        Args:
            source_path: A JSONPath (RFC 9535) into the request body, or into the app's answer; `$.` may be left out.
            destination_path: The keyword argument, or the field of the answer, that gets the value.
            mandatory: Whether the absence of the field is a 422.

        Raises:
            ConfigurationError: A path is empty, or the source is no JSONPath.
        """
        rule = {"source_path": source_path, "destination_path": destination_path, "mandatory": mandatory}
        with configuration_errors():
            self.rules = _joined(self.rules, _rule_of(rule))

    def remove_mapping(self, destination_path: str) -> None:
        """Remove the rule with this destination; nothing happens where there is none."""
        self.rules = [rule for rule in self.rules if rule.destination_path != destination_path]


def _joined(rules: list[BodyMapping], rule: BodyMapping) -> list[BodyMapping]:
    result = merged(rules, [rule])
    for replaced in rules:
        if replaced not in result:
            logger.warning("The body mapping %s replaces %s.", _arrow(rule), _arrow(replaced))
    return result


def _arrow(rule: BodyMapping) -> str:
    return f"{rule.source_path!r} -> {rule.destination_path!r}"


class EndpointConfig(_Configuration):
    """One endpoint.

    Args:
        path: Written decoded: an exact path, a template such as `/items/{item_id}`, or a wildcard such as `/items/*`.
            A leading slash is added where it is missing.
        http_method: The method, as `http.HTTPMethod` or in letters of any case.
        action: Whether requests are let through or answered with 403.
        description: A note for people.
        input_body_mappings: From the request body to keyword arguments; None passes the body as it is.
        output_body_mappings: From the app's JSON answer to the client's; None passes the answer as it is.
        operation: The operation of the OpenAI API that this is, such as `chat.completions.create`, or None. It brings
            the types of query parameters and all else that the contract knows of the operation.

    Raises:
        ConfigurationError: With every mistake in these values.
    """

    path: _Path
    http_method: _Method
    action: APIHandlerAction
    description: str | None
    input_body_mappings: BodyMappings | None
    output_body_mappings: BodyMappings | None
    operation: str | None

    def __init__(
        self,
        path: str = "",
        http_method: HTTPMethod | str = HTTPMethod.POST,
        action: APIHandlerAction | str = APIHandlerAction.ALLOW,
        description: str | None = None,
        input_body_mappings: BodyMappings | None = None,
        output_body_mappings: BodyMappings | None = None,
        operation: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(
            path=path,
            http_method=http_method,
            action=action,
            description=description,
            input_body_mappings=input_body_mappings,
            output_body_mappings=output_body_mappings,
            operation=operation,
            **unknown,
        )

    def get_endpoint_key(self) -> str:
        """The key under which `APIHandlerConfig.endpoints` holds this endpoint."""
        return endpoint_key(self.http_method, self.path)


class APIHandlerConfig(_Configuration):
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

    @field_validator("endpoints")
    @classmethod
    def _keyed_by_method_and_path(cls, endpoints: dict[str, EndpointConfig]) -> dict[str, EndpointConfig]:
        raise_mistakes(
            ConfigurationMistake(
                "endpoint_key_mismatch",
                f"The endpoint under this key is {endpoint.get_endpoint_key()}.",
                key,
                "The key is 'METHOD:path', with the endpoint's own http_method and path.",
                key,
            )
            for key, endpoint in endpoints.items()
            if _normalised_key(key) != endpoint.get_endpoint_key()
        )
        return {endpoint.get_endpoint_key(): endpoint for endpoint in endpoints.values()}

    def __init__(
        self,
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

    def add_endpoint_handler(
        self,
        path: str,
        http_method: HTTPMethod | str = HTTPMethod.POST,
        action: APIHandlerAction | str = APIHandlerAction.ALLOW,
        description: str | None = None,
        input_body_mappings: BodyMappings | None = None,
        output_body_mappings: BodyMappings | None = None,
    ) -> None:
        """Add an endpoint; the arguments are those of `EndpointConfig`.

        Raises:
            ConfigurationError: With every mistake in these values.
        """
        self.add_endpoint_config(
            EndpointConfig(path, http_method, action, description, input_body_mappings, output_body_mappings)
        )

    def add_endpoint_config(self, endpoint: EndpointConfig) -> None:
        """Add an endpoint. One with the same method and path is replaced in its place, and a warning says so."""
        key = endpoint.get_endpoint_key()
        if key in self.endpoints:
            logger.warning("The endpoint %s is replaced.", key)
        self.endpoints[key] = endpoint

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
        for endpoint in openai_endpoints(endpoints, prefix):
            self.add_endpoint_config(endpoint)


def _normalised_key(key: str) -> str:
    method, _, path = key.partition(":")
    return f"{method.upper()}:{path if path.startswith('/') else f'/{path}'}"


def openai_endpoints(
    groups: Iterable[OpenAIEndpoint | str] | None, prefix: str | Iterable[str] | None
) -> Iterator[EndpointConfig]:
    """The endpoints of the OpenAI API; the arguments are those of `APIHandlerConfig.set_openai_frontend`."""
    prefixes = [""] if prefix is None else [prefix] if isinstance(prefix, str) else list(prefix)
    if prefix is not None:
        raise_mistakes(mistake for item in prefixes for mistake in _prefix_mistakes(item))
    operations = [operation for group in _known_groups(groups) for operation in contract.shipped().operations(group)]
    for item in dict.fromkeys(prefixes):
        for operation in operations:
            yield _openai_endpoint(operation, item)


def _known_groups(groups: Iterable[OpenAIEndpoint | str] | None) -> list[OpenAIEndpoint]:
    if groups is None:
        return list(OpenAIEndpoint)
    choices = f"Choose from {', '.join(OpenAIEndpoint)}."
    if isinstance(groups, str) or not isinstance(groups, Iterable):
        hint = f"Write [OpenAIEndpoint.RESPONSES], or None for all. {choices}"
        mistake = ConfigurationMistake("endpoints_type", "The groups are an iterable.", groups, hint, "endpoints")
        raise ConfigurationError(mistake)
    named = list(groups)
    raise_mistakes(
        ConfigurationMistake("endpoints_unknown", "There is no such group.", group, choices, "endpoints")
        for group in named
        if group not in set(OpenAIEndpoint)
    )
    return list(dict.fromkeys(OpenAIEndpoint(group) for group in named))


def _prefix_mistakes(prefix: object) -> Iterator[ConfigurationMistake]:
    def mistake(code: str, message: str, hint: str) -> ConfigurationMistake:
        return ConfigurationMistake(code, message, prefix, hint, "prefix")

    if not isinstance(prefix, str):
        yield mistake("prefix_type", "A prefix is a str.", "Write prefix='/v1'.")
    elif not prefix.startswith("/"):
        yield mistake("prefix_leading_slash", "A prefix starts with '/'.", "Write '/v1', or None for no prefix.")
    elif prefix.endswith("/"):
        yield mistake("prefix_trailing_slash", "A prefix does not end with '/'.", "Write '/v1', or None for no prefix.")
    elif "*" in prefix:
        yield mistake("prefix_wildcard", "A prefix holds no wildcard.", "Use a placeholder, such as '/{tenant}'.")


def _openai_endpoint(operation: Operation, prefix: str) -> EndpointConfig:
    mandatory = {field: is_mandatory for field, (is_mandatory, _) in operation.fields.items()}
    return EndpointConfig(
        path=prefix + operation.path,
        http_method=operation.method,
        input_body_mappings=_same_names(operation.body) if operation.request == "json" else None,
        output_body_mappings=_same_names(mandatory),
        operation=operation.name,
    )


def _same_names(mandatory: Mapping[str, bool]) -> BodyMappings | None:
    if not mandatory:
        return None
    # Built without validation: a frontend of all groups has thousands of these rules.
    rules = [BodyMapping(f"$.{name}", name, is_mandatory) for name, is_mandatory in mandatory.items()]
    return BodyMappings.model_construct(rules=rules)
