"""The endpoints of the OpenAI API, made from the contract."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from http import HTTPMethod
from itertools import product
from typing import Any, cast

from openai_middleware.config.body_mappings import BodyMappings
from openai_middleware.config.endpoint import EndpointConfig
from openai_middleware.contract import Contract, OpenAIEndpoint, Operation
from openai_middleware.mapping.rule import BodyMapping
from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake, Mistakes, nearest, report_mistakes
from openai_middleware.request.path_template import path_mistakes


def openai_endpoints(
    groups: Iterable[OpenAIEndpoint | str] | None, prefix: str | Iterable[str] | None, contract: Contract
) -> list[EndpointConfig]:
    """The endpoints of the operations in some groups of a contract, under each of the prefixes.

    Raises:
        ConfigurationError: An unknown group, or a prefix that cannot be one.
    """
    mistakes = Mistakes()
    prefixes: list[str] = []
    operations: list[Operation] = []
    endpoints: list[EndpointConfig] = []
    with mistakes:
        prefixes = _known_prefixes(prefix)
    with mistakes:
        operations = [one for group in _known_groups(groups, contract) for one in contract.operations(group)]
    for item, operation in product(prefixes, operations):
        with mistakes:
            endpoints.append(_openai_endpoint(operation, item))
    mistakes.report()
    return endpoints


def _known_groups(groups: Iterable[OpenAIEndpoint | str] | None, contract: Contract) -> list[str]:
    if groups is None:
        return list(contract.groups)
    choices = f"Choose from {', '.join(contract.groups)}."
    if isinstance(groups, str | bytes) or not isinstance(groups, Iterable):
        hint = f"Write [OpenAIEndpoint.RESPONSES], or None for all. {choices}"
        if str(groups).startswith("/"):
            hint = f"Write prefix={groups!r}: the second argument are the groups."
        mistake = ConfigurationMistake("endpoints_type", "The groups are an iterable.", groups, hint, "endpoints")
        raise ConfigurationError(mistake)
    named = list(groups)
    report_mistakes(
        ConfigurationMistake(
            "endpoints_unknown",
            "There is no such group.",
            group,
            nearest(group, contract.groups) + choices,
            "endpoints",
        )
        for group in named
        if group not in contract.groups
    )
    return list(dict.fromkeys(named))


def _known_prefixes(prefix: object) -> list[str]:
    if prefix is None:
        return [""]
    is_one = isinstance(prefix, str | bytes) or not isinstance(prefix, Iterable)
    prefixes: list[Any] = [prefix] if is_one else list(cast(Iterable[Any], prefix))
    report_mistakes(mistake for item in prefixes for mistake in _prefix_mistakes(item))
    return list(dict.fromkeys(prefixes))


def _prefix_mistakes(prefix: object) -> Iterator[ConfigurationMistake]:
    def mistake(code: str, message: str, hint: str) -> ConfigurationMistake:
        return ConfigurationMistake(code, message, prefix, hint, "prefix")

    if not isinstance(prefix, str):
        yield mistake("prefix_type", "A prefix is a str.", "Write prefix='/v1'.")
        return
    if not prefix.startswith("/"):
        yield mistake("prefix_leading_slash", "A prefix starts with '/'.", "Write '/v1', or None for no prefix.")
    if prefix.endswith("/"):
        yield mistake("prefix_trailing_slash", "A prefix does not end with '/'.", "Write '/v1', or None for no prefix.")
    if "*" in prefix:
        yield mistake("prefix_wildcard", "A prefix holds no wildcard.", "Use a placeholder, such as '/{tenant}'.")
    else:
        yield from (one.inside("prefix") for one in path_mistakes(prefix))


def _openai_endpoint(operation: Operation, prefix: str) -> EndpointConfig:
    mandatory = {field: is_mandatory for field, (is_mandatory, _) in operation.fields.items()}
    return EndpointConfig(
        path=prefix + operation.path,
        http_method=HTTPMethod(operation.method),
        input_body_mappings=_same_names(operation.body) if operation.request == "json" else None,
        output_body_mappings=_same_names(mandatory),
        operation=operation.name,
    )


def _same_names(mandatory: Mapping[str, bool]) -> BodyMappings | None:
    if not mandatory:
        return None
    # Built without validation: a frontend of all groups has thousands of these rules.
    return BodyMappings.of([_same_name(name, is_mandatory) for name, is_mandatory in mandatory.items()])


@lru_cache(maxsize=1024)
def _same_name(name: str, is_mandatory: bool) -> BodyMapping:
    return BodyMapping(f"$.{name}", name, is_mandatory)
