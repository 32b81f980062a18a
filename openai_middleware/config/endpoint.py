"""One endpoint: its method and path, what is allowed, and how bodies are mapped."""

from collections.abc import Mapping
from http import HTTPMethod
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, TypeAdapter

from openai_middleware.config.action import APIHandlerAction
from openai_middleware.config.body_mappings import BodyMappings
from openai_middleware.config.configuration import Configuration, configuration
from openai_middleware.config.rewrite import Rewrite
from openai_middleware.mistakes import ConfigurationMistake, report_mistakes, reported_mistakes
from openai_middleware.request.path_template import path_mistakes


def _upper_case(method: object) -> object:
    return method.upper() if isinstance(method, str) else method


def with_leading_slash(path: str) -> str:
    """A configured path, which may be written without its first slash."""
    return path if path.startswith("/") else f"/{path}"


def _checked_path(path: str) -> str:
    path = with_leading_slash(path)
    report_mistakes(path_mistakes(path))
    return path


def _of_request(mappings: BodyMappings) -> BodyMappings:
    report_mistakes(
        ConfigurationMistake(
            "mapping_of_answer",
            "Only an answer is built of values and of places inside of fields.",
            rule.destination_path,
            "Name a keyword argument, and the source of its value.",
        )
        for rule in mappings.rules
        if rule.is_constant or rule.is_nested
    )
    return mappings


def _rewrite_of(value: object) -> object:
    return Rewrite.from_dict(value) if isinstance(value, Mapping) else value


def _dictionary_of(rewrite: Rewrite | str) -> dict[str, Any] | str:
    return rewrite if isinstance(rewrite, str) else rewrite.to_dict()


_Method = Annotated[HTTPMethod, BeforeValidator(_upper_case)]
_Path = Annotated[str, AfterValidator(_checked_path)]
_Rewrite = Annotated[
    Rewrite | str | None,
    PlainValidator(_rewrite_of),
    PlainSerializer(_dictionary_of, when_used="json-unless-none"),
]
_method_of = TypeAdapter[HTTPMethod](_Method).validate_python


def endpoint_key(http_method: HTTPMethod | str, path: str) -> str:
    """The key of an endpoint in `APIHandlerConfig.endpoints`, such as `POST:/v1/responses`.

    Raises:
        ConfigurationError: There is no such HTTP method.
    """
    if not isinstance(http_method, HTTPMethod):
        with reported_mistakes():
            http_method = _method_of(http_method)
    return f"{http_method.value}:{with_leading_slash(path)}"


@configuration
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
        rewrite: The route of the app that serves the endpoint instead: a `Rewrite`, or its dictionary; its target
            alone, where the app takes the keyword arguments; or the operation by way of which this one is served.

    Raises:
        ConfigurationError: With every mistake in these values.
    """

    path: _Path = Field(default="", validate_default=True)
    http_method: _Method = HTTPMethod.POST
    action: APIHandlerAction = APIHandlerAction.ALLOW
    description: str | None = None
    input_body_mappings: Annotated[BodyMappings, AfterValidator(_of_request)] | None = None
    output_body_mappings: BodyMappings | None = None
    stream_body_mappings: BodyMappings | None = None
    operation: str | None = None
    rewrite: _Rewrite = None

    def get_endpoint_key(self) -> str:
        """The key under which `APIHandlerConfig.endpoints` holds this endpoint."""
        return endpoint_key(self.http_method, self.path)
