"""Mistakes that show only when all endpoints of a configuration are seen together."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from openai_middleware import contract
from openai_middleware.config import EndpointConfig
from openai_middleware.errors import ConfigurationMistake
from openai_middleware.path_template import PathTemplate, placeholder_names
from openai_middleware.route_table import wildcard_prefix


def configuration_mistakes(endpoints: Iterable[EndpointConfig]) -> Iterator[ConfigurationMistake]:
    """Find what makes a set of endpoints ambiguous or senseless."""
    endpoints = list(endpoints)
    templates = [endpoint for endpoint in endpoints if placeholder_names(endpoint.path)]
    yield from _overlapping_templates(templates)
    yield from _parameter_conflicts(templates, [e for e in endpoints if e.path.endswith("*")])
    yield from _unknown_operations(endpoints)


def _overlapping_templates(templates: Iterable[EndpointConfig]) -> Iterator[ConfigurationMistake]:
    first: dict[tuple[str, str], str] = {}
    for endpoint in templates:
        other = first.setdefault((endpoint.http_method, PathTemplate(endpoint.path).shape), endpoint.path)
        if other != endpoint.path:
            yield ConfigurationMistake(
                "path_template_overlap",
                f"It matches the same paths as {other}.",
                endpoint.path,
                "Keep one of the two.",
                f"endpoints.{endpoint.get_endpoint_key()}.path",
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
                        f"endpoints.{source.get_endpoint_key()}.input_body_mappings",
                    )


def _unknown_operations(endpoints: Iterable[EndpointConfig]) -> Iterator[ConfigurationMistake]:
    for endpoint in endpoints:
        if endpoint.operation is None or contract.shipped().operation(endpoint.operation) is not None:
            continue
        nearest = get_close_matches(endpoint.operation, contract.shipped().operation_names(), n=1)
        yield ConfigurationMistake(
            "operation_unknown",
            "The OpenAI API has no such operation.",
            endpoint.operation,
            f"Did you mean '{nearest[0]}'?" if nearest else "Use the SDK's name, such as 'chat.completions.create'.",
            f"endpoints.{endpoint.get_endpoint_key()}.operation",
        )
