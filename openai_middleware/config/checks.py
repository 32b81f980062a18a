"""Mistakes that show only when all endpoints of a configuration are seen together."""

from collections.abc import Iterable, Iterator

from openai_middleware.config.body_mappings import BodyMappings
from openai_middleware.config.contract_option import operation_mistakes
from openai_middleware.config.endpoint import EndpointConfig
from openai_middleware.contract import Contract
from openai_middleware.mistakes import ConfigurationMistake
from openai_middleware.request.path_template import placeholder_names, shape_of
from openai_middleware.request.route_table import wildcard_prefix


def configuration_mistakes(endpoints: Iterable[EndpointConfig], contract: Contract) -> Iterator[ConfigurationMistake]:
    """Find what makes the endpoints of a configuration ambiguous or senseless."""
    for mistake in endpoint_mistakes(endpoints, contract):
        yield mistake.inside("endpoints")


def endpoint_mistakes(endpoints: Iterable[EndpointConfig], contract: Contract | None) -> Iterator[ConfigurationMistake]:
    """The same mistakes, each placed by the key of its endpoint. Without a contract, operations are left unchecked."""
    endpoints = list(endpoints)
    templates = [endpoint for endpoint in endpoints if placeholder_names(endpoint.path)]
    yield from _overlapping_templates(templates)
    yield from _parameter_conflicts(templates, [e for e in endpoints if e.path.endswith("*")])
    yield from _gaps_in_lists(endpoints)
    if contract is not None:
        yield from _unknown_operations(endpoints, contract)


def _overlapping_templates(templates: Iterable[EndpointConfig]) -> Iterator[ConfigurationMistake]:
    first: dict[tuple[str, str], str] = {}
    for endpoint in templates:
        other = first.setdefault((endpoint.http_method, shape_of(endpoint.path)), endpoint.path)
        if other != endpoint.path:
            yield ConfigurationMistake(
                "path_template_overlap",
                f"It matches the same paths as {other}.",
                endpoint.path,
                "Keep one of the two.",
                f"{endpoint.get_endpoint_key()}.path",
            )


def _parameter_conflicts(
    templates: Iterable[EndpointConfig], wildcards: list[EndpointConfig]
) -> Iterator[ConfigurationMistake]:
    for endpoint in templates:
        covering = [
            wildcard
            for wildcard in wildcards
            if wildcard.http_method == endpoint.http_method and endpoint.path.startswith(wildcard_prefix(wildcard.path))
        ]
        for source in (endpoint, *covering):
            rules = source.input_body_mappings.rules if source.input_body_mappings else []
            for name in placeholder_names(endpoint.path):
                if any(rule.destination_path == name for rule in rules):
                    yield ConfigurationMistake(
                        "parameter_conflict",
                        f"A body mapping and a placeholder of {endpoint.path} fill the same keyword argument.",
                        name,
                        "Rename the destination of the mapping, or the placeholder.",
                        f"{source.get_endpoint_key()}.input_body_mappings",
                    )


def _gaps_in_lists(endpoints: Iterable[EndpointConfig]) -> Iterator[ConfigurationMistake]:
    for endpoint in endpoints:
        for name in ("output_body_mappings", "stream_body_mappings"):
            mappings: BodyMappings | None = getattr(endpoint, name)
            rules = [rule for rule in mappings.rules if rule.is_nested] if mappings else []
            items = {rule.place[: index + 1] for rule in rules for index in range(len(rule.place))}
            for rule in rules:
                for index, step in enumerate(rule.place):
                    if isinstance(step, int) and step and (*rule.place[:index], step - 1) not in items:
                        yield ConfigurationMistake(
                            "destination_path_gap",
                            f"The list has no item {step - 1}.",
                            rule.destination_path,
                            "Number the items of a list from 0, without gaps.",
                            f"{endpoint.get_endpoint_key()}.{name}",
                        )


def _unknown_operations(endpoints: Iterable[EndpointConfig], contract: Contract) -> Iterator[ConfigurationMistake]:
    for endpoint in endpoints:
        if endpoint.operation is not None:
            yield from operation_mistakes(endpoint.operation, contract, f"{endpoint.get_endpoint_key()}.operation")
