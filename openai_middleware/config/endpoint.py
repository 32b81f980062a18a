"""One endpoint: its method and path, what is allowed, and how bodies are mapped."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from enum import StrEnum
from http import HTTPMethod
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator

from openai_middleware.body_mapping import BodyMapping, merged
from openai_middleware.errors import raise_mistakes
from openai_middleware.request.path_template import path_mistakes
from openai_middleware.validation import configuration_errors

logger = logging.getLogger("openai_middleware")


class APIHandlerAction(StrEnum):
    """What happens to the requests of an endpoint."""

    ALLOW = "allow"
    FORBID = "forbid"


def _upper_case(method: object) -> object:
    return method.upper() if isinstance(method, str) else method


def with_leading_slash(path: str) -> str:
    """A configured path, which may be written without its first slash."""
    return path if path.startswith("/") else f"/{path}"


def _checked_path(path: str) -> str:
    path = with_leading_slash(path)
    raise_mistakes(path_mistakes(path))
    return path


def _plain(struct: Any) -> Any:
    # Keys that are no words, as YAML has them, are unknown fields like any other.
    if isinstance(struct, Mapping):
        return {str(key): _plain(value) for key, value in struct.items()}
    return [_plain(value) for value in struct] if isinstance(struct, list | tuple) else struct


_Method = Annotated[HTTPMethod, BeforeValidator(_upper_case)]
_Path = Annotated[str, AfterValidator(_checked_path)]
_method_of = TypeAdapter[HTTPMethod](_Method).validate_python
_rule_of = TypeAdapter(BodyMapping).validate_python


def endpoint_key(http_method: HTTPMethod | str, path: str) -> str:
    """The key of an endpoint in `APIHandlerConfig.endpoints`, such as `POST:/v1/responses`.

    Raises:
        ConfigurationError: There is no such HTTP method.
    """
    with configuration_errors():
        method = _method_of(http_method)
    return f"{method.value}:{with_leading_slash(path)}"


class Configuration(BaseModel):
    """What all parts of a configuration have in common: strict fields, and a dictionary form."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    def __init__(self, /, **fields: Any) -> None:
        with configuration_errors():
            super().__init__(**_plain(fields))

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain JSON values; what is None is left out."""
        return self.model_dump(mode="json", exclude_none=True, warnings=False)

    @classmethod
    def from_dict(cls, struct: Mapping[str, Any] | None = None) -> Self:
        """The configuration that `to_dict` wrote; None is an empty dictionary.

        Raises:
            ConfigurationError: With every mistake in the dictionary.
        """
        with configuration_errors():
            return cls.model_validate({} if struct is None else _plain(struct))


class BodyMappings(Configuration):
    """A set of `source_path -> destination_path` rules for request bodies or for JSON answers.

    A rule replaces the earlier ones that have its source or its destination, and a warning says so.

    Attributes:
        rules: The rules, in order.

    Raises:
        ConfigurationError: Some rules are malformed.
    """

    rules: list[BodyMapping] = Field(default=[], alias="mappings")

    def __init__(self, /, mappings: Iterable[BodyMapping | Mapping[str, Any]] | None = None, **unknown: Any) -> None:
        super().__init__(mappings=[] if mappings is None else mappings, **unknown)

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
        self.rules = BodyMappings(value).rules

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


class EndpointConfig(Configuration):
    """One endpoint.

    Args:
        path: Written decoded: an exact path, a template such as `/items/{item_id}`, or a wildcard such as `/items/*`.
            A leading slash is added where it is missing.
        http_method: The method, as `http.HTTPMethod` or in letters of any case.
        action: Whether requests are let through or answered with 403.
        description: A note for people.
        input_body_mappings: From the request body to keyword arguments; None passes the body as it is.
        output_body_mappings: From the app's JSON answer to the client's; None passes the answer as it is.
        stream_body_mappings: From the data of each of the app's server-sent events to the client's; None passes it
            as it is, or filters it as the operation has it. Nothing is mandatory in an event.
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
    stream_body_mappings: BodyMappings | None
    operation: str | None

    def __init__(
        self,
        /,
        path: str = "",
        http_method: HTTPMethod | str = HTTPMethod.POST,
        action: APIHandlerAction | str = APIHandlerAction.ALLOW,
        description: str | None = None,
        input_body_mappings: BodyMappings | None = None,
        output_body_mappings: BodyMappings | None = None,
        stream_body_mappings: BodyMappings | None = None,
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
            stream_body_mappings=stream_body_mappings,
            operation=operation,
            **unknown,
        )

    def get_endpoint_key(self) -> str:
        """The key under which `APIHandlerConfig.endpoints` holds this endpoint."""
        return endpoint_key(self.http_method, self.path)
