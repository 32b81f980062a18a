"""The frontend: options and configuration compiled once into an immutable table, which opens exchanges."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypedDict, Unpack, get_type_hints

from pydantic import ConfigDict, Field, create_model

from openai_middleware.answer.event_mapping import ContractEvents, EventMapping, PassingEvents, RuleEvents
from openai_middleware.body_mapping import AbsentOptional, BodyMapping, RequestMapping, ResponseMapping, merged
from openai_middleware.config import APIHandlerAction, APIHandlerConfig, BodyMappings, EndpointConfig
from openai_middleware.config.checks import configuration_mistakes
from openai_middleware.config.openai_endpoints import openai_endpoints
from openai_middleware.contract import Contract, OpenAIEndpoint, shipped
from openai_middleware.errors import (
    ConfigurationError,
    ConfigurationMistake,
    MethodNotAllowedError,
    NotFoundError,
    OpenAIError,
    PermissionDeniedError,
    raise_mistakes,
)
from openai_middleware.exchange import Exchange, Header, Route
from openai_middleware.request.path import RequestPath, normalised
from openai_middleware.request.path_template import PathTemplate
from openai_middleware.request.route_table import RouteTable, wildcard_prefix
from openai_middleware.validation import collected, configuration_errors

logger = logging.getLogger("openai_middleware")

_AT_THE_ROOT: Final = (
    "The whole OpenAI API is served without a prefix, so that paths such as /files and /models are taken from the app. "
    "Give a prefix, such as '/v1', or name the groups that you serve: endpoints=[OpenAIEndpoint.RESPONSES]."
)
# The SDK asks for page after page until it reads `has_more: false`: with null it would not stop.
_BOOLEANS: Final = frozenset(("has_more",))
DEFAULT_MAX_BODY_SIZE: Final = 64 * 1024 * 1024

Unmatched = Literal["pass", "reject"]


class Options(TypedDict, total=False):
    """The options of every driver and adapter, beside `endpoints` and `prefix`.

    Attributes:
        config: A whole `APIHandlerConfig`, or its dictionary; not together with `endpoints` or `prefix`.
        include_url_info: Whether the kwargs hold `mlrun_request_path` and `mlrun_request_method`. True, or what a
            `config` says.
        unmatched: `"pass"` hands requests that no endpoint matches to the app untouched; `"reject"` answers them with
            404, or with 405 where another method matches.
        absent_optional: `"omit"` leaves optional fields out of an answer that the app left out; `"null"` fills them.
        contract: A contract file to use instead of the shipped one; see docs/contract.md.
        max_body_size: Larger request bodies get 413. Bytes; 64 MiB without it; None is no limit. Multipart and
            octet-stream bodies are not read here and have no limit here.
    """

    config: APIHandlerConfig | Mapping[str, Any] | None
    include_url_info: bool | None
    unmatched: Unmatched
    absent_optional: AbsentOptional
    contract: str | os.PathLike[str] | None
    max_body_size: Annotated[int, Field(ge=0)] | None


_option_hints = get_type_hints(Options, include_extras=True)
_option_fields: dict[str, Any] = {name: (hint, None) for name, hint in _option_hints.items()}
# Checked by themselves, where their own mistakes are told.
_option_fields["config"] = _option_fields["contract"] = (Any, None)
_check_options = create_model("Options", __config__=ConfigDict(extra="forbid", strict=True), **_option_fields)


class _Endpoint:
    """A configured endpoint, with what the contract knows of it. Compared by identity."""

    __slots__ = ("config", "is_forbidden", "operation")

    def __init__(self, config: EndpointConfig, contract: Contract) -> None:
        self.config = config
        self.is_forbidden = config.action is APIHandlerAction.FORBID
        self.operation = contract.operation(config.operation) if config.operation else None


class Frontend:
    """All that can be computed before the first request. Immutable, and safe under threads.

    Args:
        endpoints: The groups of operations to register; None is every supported group, an empty list none.
        prefix: What the paths of the operations start with, or several of them; placeholders are allowed.
        options: See `Options`.

    Raises:
        ConfigurationError: With every mistake in the arguments and in the configuration.
    """

    def __init__(
        self,
        endpoints: Iterable[OpenAIEndpoint | str] | None = None,
        prefix: str | Iterable[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        config, self._contract = _checked_config(endpoints, prefix, options)
        if endpoints is None and prefix is None and options.get("config") is None:
            logger.warning(_AT_THE_ROOT)
        self._is_enabled = config.enabled
        include_url_info = options.get("include_url_info")
        self._include_url_info = config.include_url_info if include_url_info is None else include_url_info
        self._unmatched = options.get("unmatched", "pass")
        self._absent_optional: AbsentOptional = options.get("absent_optional", "omit")
        self._max_body_size = options.get("max_body_size", DEFAULT_MAX_BODY_SIZE)
        compiled = [_Endpoint(endpoint, self._contract) for endpoint in config.endpoints.values()]
        self._table = RouteTable((e.config.http_method.value, e.config.path, e) for e in compiled)
        self._guard = RouteTable(_normalised_endpoints(compiled)) if any(e.is_forbidden for e in compiled) else None
        # Which endpoints match together shows only in requests; there are as many sets as there are kinds of paths.
        self._route = lru_cache(maxsize=4096)(self._compile_route)

    def open(
        self,
        method: str,
        path: str,
        query: bytes,
        headers: Iterable[Header],
        *,
        raw_path: bytes | None = None,
        root_path: str = "",
    ) -> Exchange | None:
        """Open an exchange for a request, or return None where the request is the app's own.

        Args:
            method: The HTTP method, in letters of any case.
            path: The whole path, percent-decoded.
            query: The query string as it was sent.
            headers: The request headers.
            raw_path: The path as it was sent, where the server gives it.
            root_path: Where the app is mounted.

        Raises:
            PermissionDeniedError: The request is forbidden.
            NotFoundError, MethodNotAllowedError: Nothing matches, and unmatched requests are rejected.
            RequestTooLargeError: The declared length of the body is over the limit.
        """
        if not self._is_enabled:
            return None
        method = method.upper()
        request_path = RequestPath.of(path, raw_path, root_path)
        match = self._table.match(method, request_path.segmented)
        if self._guard is not None and self._is_forbidden(method, request_path, self._guard):
            raise PermissionDeniedError(f"Access forbidden: {method} {request_path.decoded}.", code="forbidden")
        if match is None:
            if self._unmatched == "pass":
                return None
            raise self._unmatched_error(method, request_path)
        exchange = Exchange(
            self._route(match.targets),
            method,
            request_path.decoded,
            match.path_params,
            query,
            headers,
            include_url_info=self._include_url_info,
            max_body_size=self._max_body_size,
        )
        if exchange.reads_body:
            exchange.check_size()
        return exchange

    def _is_forbidden(self, method: str, path: RequestPath, guard: RouteTable[_Endpoint]) -> bool:
        # Frameworks answer HEAD from the route of GET, so what forbids the one forbids the other.
        methods = ("HEAD", "GET") if method == "HEAD" else (method,)
        readings = ((self._table, path.segmented), (guard, normalised(path.decoded)))
        matches = [table.match(name, reading) for name in methods for table, reading in readings]
        return any(match.targets[0].is_forbidden for match in matches if match is not None)

    def _unmatched_error(self, method: str, path: RequestPath) -> OpenAIError:
        allowed = self._table.allowed_methods(path.segmented)
        if not allowed:
            return NotFoundError(f"Unknown request URL: {method} {path.decoded}.", code="unknown_url")
        message = f"Method not allowed: {method} {path.decoded}."
        return MethodNotAllowedError(message, code="method_not_allowed", headers={"Allow": ", ".join(allowed)})

    def _compile_route(self, endpoints: tuple[_Endpoint, ...]) -> Route:
        """Merge the endpoints that match a request, the most specific first."""
        top = endpoints[0]
        operation = top.operation
        request_rules = _merged_rules(endpoint.config.input_body_mappings for endpoint in endpoints)
        response_rules = _merged_rules(endpoint.config.output_body_mappings for endpoint in endpoints)
        stream_rules = _merged_rules(endpoint.config.stream_body_mappings for endpoint in endpoints)
        request_mapping = RequestMapping(request_rules) if request_rules else None
        nullable = [
            name
            for endpoint in endpoints
            if endpoint.operation is not None
            for name, (is_mandatory, is_nullable) in endpoint.operation.fields.items()
            if is_mandatory and is_nullable
        ]
        response_mapping = None
        if response_rules:
            booleans = _BOOLEANS if operation else ()
            response_mapping = ResponseMapping(response_rules, nullable, self._absent_optional, booleans)
        stream = self._contract.stream(operation.stream) if operation and operation.stream else None
        event_mapping: EventMapping = PassingEvents()
        if stream is not None and top.config.stream_body_mappings is None:
            event_mapping = ContractEvents(stream, response_rules, nullable)
        elif stream_rules:
            event_mapping = RuleEvents(stream_rules, stream)
        return Route(
            name=top.config.operation or top.config.get_endpoint_key(),
            operation=top.config.operation,
            request_mapping=request_mapping,
            response_mapping=response_mapping,
            event_mapping=event_mapping,
            query_types={name: query.type for name, query in operation.query.items()} if operation else {},
            takes_multipart=operation is not None and operation.request == "multipart",
        )


def check_options(
    endpoints: Iterable[OpenAIEndpoint | str] | None = None,
    prefix: str | Iterable[str] | None = None,
    **options: Unpack[Options],
) -> None:
    """Check the arguments of a frontend that is built later.

    Raises:
        ConfigurationError: With every mistake in the arguments and in the configuration.
    """
    _checked_config(endpoints, prefix, options)


def _merged_rules(mappings: Iterable[BodyMappings | None]) -> list[BodyMapping]:
    """The rules of several scopes, given the most specific first."""
    rules: list[BodyMapping] = []
    for scope in reversed(list(mappings)):
        if scope is not None:
            rules = merged(rules, scope.rules)
    return rules


def _normalised_endpoints(endpoints: Iterable[_Endpoint]) -> Iterator[tuple[str, str, _Endpoint]]:
    """The endpoints under their normalised paths; where two of them become one, forbidding wins."""
    found: dict[tuple[str, str], tuple[str, str, _Endpoint]] = {}
    for endpoint in endpoints:
        method, path = endpoint.config.http_method.value, endpoint.config.path
        path = normalised(path) if not path.endswith("*") else normalised(wildcard_prefix(path)).rstrip("/") + "/*"
        key = (method, PathTemplate(path).shape)
        if key not in found or endpoint.is_forbidden:
            found[key] = (method, path, endpoint)
    yield from found.values()


def _checked_config(
    endpoints: Iterable[OpenAIEndpoint | str] | None,
    prefix: str | Iterable[str] | None,
    options: Options,
) -> tuple[APIHandlerConfig, Contract]:
    """What the arguments amount to: a configuration of its own, which later changes by the caller do not reach."""
    mistakes: list[ConfigurationMistake] = []
    with collected(mistakes), configuration_errors():
        _check_options(**options)
    contract = shipped()
    with collected(mistakes):
        contract = contract_of(options.get("contract"))
    config = APIHandlerConfig(include_url_info=True)
    with collected(mistakes):
        given = options.get("config")
        if given is None:
            for endpoint in openai_endpoints(endpoints, prefix, contract):
                config.add_endpoint_config(endpoint)
        else:
            if endpoints is not None or prefix is not None:
                hint = "Call config.set_openai_frontend(endpoints, prefix) instead."
                message = "A config stands for all endpoints: it does not go together with endpoints or prefix."
                value = {"endpoints": endpoints, "prefix": prefix}
                mistakes.append(ConfigurationMistake("config_and_endpoints", message, value, hint))
            config = APIHandlerConfig.from_dict(given.to_dict() if isinstance(given, APIHandlerConfig) else given)
    mistakes.extend(configuration_mistakes(config.endpoints.values(), contract))
    raise_mistakes(mistakes)
    return config, contract


def contract_of(path: object) -> Contract:
    """The contract that the option `contract` stands for: that of the file, or the shipped one.

    Raises:
        ConfigurationError: It is no path, or what stands there is no contract.
    """
    if path is None:
        return shipped()
    if not isinstance(path, str | os.PathLike):
        mistake = ConfigurationMistake("string_type", "A contract is a file.", path, "Write its path.", "contract")
        raise ConfigurationError(mistake)
    try:
        contract = Contract.load(path)
        contract.check()
    except (OSError, ValueError) as error:
        hint = "Write one with: python -m openai_middleware.contract --write FILE"
        mistake = ConfigurationMistake("contract_unreadable", f"{error}.", str(path), hint, "contract")
        raise ConfigurationError(mistake) from error
    return contract
