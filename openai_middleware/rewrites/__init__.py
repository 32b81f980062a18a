"""The option `rewrites`: operations that other routes of the app serve."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from openai_middleware.config import EndpointConfig
from openai_middleware.config.contract_option import operation_mistakes
from openai_middleware.contract import Contract
from openai_middleware.handlers.bridged import BRIDGED_PATHS
from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake, Mistakes, reported_mistakes
from openai_middleware.replies.chat_call import CHAT
from openai_middleware.replies.forms import RENDERINGS
from openai_middleware.replies.reply_form import REPLY_FORMS
from openai_middleware.request.path_template import placeholder_names
from openai_middleware.rewrites.app_rewrite import RouteRewrite
from openai_middleware.rewrites.bridge import Bridge
from openai_middleware.rewrites.rewrite import Rewrite, target_mistakes
from openai_middleware.route import Feature, Route

__all__ = ["Rewrite", "rewrites_of", "rewritten"]

Given = Mapping[str, Rewrite | str]


def rewrites_of(
    given: Any, handler_path: Any, endpoints: Iterable[EndpointConfig], contract: Contract
) -> dict[str, Rewrite | str]:
    """The rewrites that the options ask for, by the operation, or by the key of an endpoint; and the names of
    operations by way of which others are served.

    Raises:
        ConfigurationError: With every mistake in them.
    """
    mistakes = Mistakes()
    endpoints = list(endpoints)
    found: dict[str, Rewrite | str] = {}
    if given is not None and not isinstance(given, Mapping):
        hint = "Write {'chat.completions.create': Rewrite('/ask', reply='$.answer')}."
        mistakes.add("rewrites_type", "The rewrites are a dictionary.", given, hint, "rewrites")
    elif given is not None:
        for name, value in given.items():
            with mistakes:
                found[str(name)] = _checked(str(name), value, endpoints, contract)
    if handler_path is not None:
        with mistakes:
            rewrite = _handler_rewrite(handler_path, endpoints, contract)
            for endpoint in endpoints:
                if endpoint.operation is not None:
                    found.setdefault(endpoint.operation, rewrite)
    mistakes.report()
    return found


def rewritten(rewrites: Given) -> Feature:
    """The feature that lets other routes of the app serve operations, or endpoints of your own."""

    def feature(route: Route) -> Route:
        value = rewrites.get(route.operation or route.name)
        if isinstance(value, Rewrite):
            return replace(route, rewrite=RouteRewrite(route.operation, route.name, value, route.once))
        if value is None or route.operation is None:
            return route
        target = rewrites.get(value)
        by = RouteRewrite(value, value, target, route.once) if isinstance(target, Rewrite) else None
        return replace(route, rewrite=Bridge(route.operation, by, route.once))

    return feature


def _checked(name: str, value: object, endpoints: list[EndpointConfig], contract: Contract) -> Rewrite | str:
    mistakes = Mistakes()
    where = f"rewrites.{name}"
    served = [endpoint for endpoint in endpoints if name in (endpoint.operation, endpoint.get_endpoint_key())]
    if not served:
        if ":" in name:
            hint = "Write the method and the whole path, prefix included, as in 'POST:/v1/summaries'."
            mistakes.add("rewrite_endpoint", "There is no such endpoint.", name, hint, where)
        else:
            mistakes.extend(operation_mistakes(name, contract, where))
        if not mistakes:
            hint = "Register its group in `endpoints`, or remove the rewrite."
            mistakes.add("rewrite_unreachable", "No endpoint is this operation.", name, hint, where)
    if isinstance(value, str) and not value.startswith("/") and " " not in value:
        if value != CHAT or name not in BRIDGED_PATHS:
            hint = f"There are {' and '.join(f'{one!r}: {CHAT!r}' for one in BRIDGED_PATHS)}."
            mistakes.add("rewrite_operation", "No operation is served by way of this.", value, hint, where)
        mistakes.report()
        return value
    if isinstance(value, str):
        mistakes.extend(one.inside(where) for one in target_mistakes(value))
        mistakes.report()
        value = Rewrite(value)
    if not isinstance(value, Rewrite):
        hint = "Write Rewrite('/ask', reply='$.answer'), or the name of another operation."
        raise ConfigurationError(ConfigurationMistake("rewrite_type", "This is no rewrite.", value, hint, where))
    for endpoint in served:
        mistakes.extend(one.inside(where) for one in _misplaced(value, endpoint, endpoints, contract))
    mistakes.report()
    return value


def _misplaced(
    rewrite: Rewrite, endpoint: EndpointConfig, endpoints: Iterable[EndpointConfig], contract: Contract
) -> Mistakes:
    """What is wrong with a rewrite of an endpoint, though it could be right for another."""
    mistakes = Mistakes()
    operation = None if endpoint.operation is None else contract.operation(endpoint.operation)
    known = set(placeholder_names(endpoint.path))
    if endpoint.input_body_mappings is not None:
        known |= {rule.destination_path for rule in endpoint.input_body_mappings.rules}
    if operation is not None:
        known |= operation.query.keys()
    for name in placeholder_names(rewrite.path):
        if name not in known:
            hint = f"These are there: {', '.join(sorted(known)) or 'none'}."
            mistakes.add("rewrite_placeholder", "The call has no such keyword argument.", name, hint, "target")
    reads = rewrite.reply is not None or rewrite.delta is not None
    if reads and endpoint.operation not in REPLY_FORMS:
        hint = f"These have: {', '.join(REPLY_FORMS)}."
        message = "This operation has no reply form."
        mistakes.add("rewrite_without_reply", message, endpoint.operation or endpoint.path, hint, "reply")
    elif reads and endpoint.operation not in RENDERINGS and isinstance(rewrite.reply, Mapping):
        mistakes.add("rewrite_reading", "A list is read by one path.", rewrite.reply, "Write one JSONPath.", "reply")
    mistakes.extend(_inside_prefix(rewrite.path, endpoints, contract))
    return mistakes


def _inside_prefix(
    path: str, endpoints: Iterable[EndpointConfig], contract: Contract
) -> Iterator[ConfigurationMistake]:
    """Find out whether a path lies where the operations are: those who read it would take it for one of them."""
    for endpoint in endpoints:
        operation = None if endpoint.operation is None else contract.operation(endpoint.operation)
        prefix = None if operation is None else endpoint.path.removesuffix(operation.path)
        if prefix is not None and (path == endpoint.path or (prefix and f"{path}/".startswith(f"{prefix}/"))):
            hint = "Name a route of the app's own, outside of the prefixes."
            yield ConfigurationMistake("rewrite_inside_prefix", "The operations lie there.", path, hint, "target")
            return


def _handler_rewrite(path: Any, endpoints: Iterable[EndpointConfig], contract: Contract) -> Rewrite:
    with reported_mistakes() as mistakes:
        if not isinstance(path, str) or not path.startswith("/") or placeholder_names(path):
            hint = "Write a path alone, such as '/openai'."
            mistakes.add("handler_path", "The handler is one path without placeholders.", path, hint, "handler_path")
        else:
            mistakes.extend(one.inside("handler_path") for one in target_mistakes(path))
            mistakes.extend(_inside_prefix(path, endpoints, contract))
    return Rewrite(path)
