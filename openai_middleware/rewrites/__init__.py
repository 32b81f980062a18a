"""The option `rewrites`: operations that other routes of the app serve."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec.structs import replace

from openai_middleware.config.contract_option import operation_mistakes
from openai_middleware.config.rewrite import Rewrite, target_mistakes
from openai_middleware.contract import Contract
from openai_middleware.handlers.bridged import BRIDGED_PATHS, chat_path
from openai_middleware.mistakes import (
    ConfigurationError,
    ConfigurationMistake,
    Mistakes,
    report_mistakes,
    reported_mistakes,
)
from openai_middleware.replies.chat_call import CHAT
from openai_middleware.replies.forms import RENDERINGS
from openai_middleware.replies.reply_form import REPLY_FORMS
from openai_middleware.request.path_template import PLACEHOLDER, placeholder_names
from openai_middleware.rewrites.app_rewrite import RouteRewrite
from openai_middleware.rewrites.bridge import Bridge
from openai_middleware.route import Feature, Route

if TYPE_CHECKING:
    from openai_middleware.config import EndpointConfig

__all__ = ["Rewrite", "rewrites_of", "rewritten", "warn_of_absent_routes"]

logger = logging.getLogger("openai_middleware")


def rewrites_of(
    given: Any, handler_path: Any, endpoints: Iterable["EndpointConfig"], contract: Contract
) -> dict[str, Rewrite | str]:
    """The rewrites that the options and the configuration ask for, by the key of an endpoint; and the names of
    operations by way of which others are served.

    An option counts more than the configuration, an endpoint's key more than its operation, `handler_path` least.

    Raises:
        ConfigurationError: With every mistake in them.
    """
    mistakes = Mistakes()
    endpoints = list(endpoints)
    found: dict[str, Rewrite | str] = {}
    wanted: list[tuple[str, object, list[EndpointConfig]]] = [
        (f"endpoints.{endpoint.get_endpoint_key()}.rewrite", endpoint.rewrite, [endpoint])
        for endpoint in endpoints
        if endpoint.rewrite is not None
    ]
    if isinstance(given, Mapping):
        names = {str(name): value for name, value in given.items()}
        for name in sorted(names, key=lambda name: ":" in name):
            served = [one for one in endpoints if name in (one.operation, one.get_endpoint_key())]
            where = f"rewrites.{name}"
            wanted.append((where, names[name], served))
            if not served:
                mistakes.extend(_unserved(name, contract, where))
    elif given is not None:
        hint = "Write {'chat.completions.create': Rewrite('/ask', reply='$.answer')}."
        mistakes.add("rewrites_type", "The rewrites are a dictionary.", given, hint, "rewrites")
    for where, value, served in wanted:
        inside = Mistakes()
        with inside:
            rewrite = _checked(value, served, endpoints, contract)
            found |= {endpoint.get_endpoint_key(): rewrite for endpoint in served}
        mistakes.extend(mistake.inside(where) for mistake in inside)
    if handler_path is not None:
        with mistakes:
            rewrite = _handler_rewrite(handler_path, endpoints, contract)
            for endpoint in endpoints:
                if endpoint.operation is not None:
                    found.setdefault(endpoint.get_endpoint_key(), rewrite)
    mistakes.report()
    return found


def warn_of_absent_routes(rewrites: Mapping[str, Rewrite | str], has_route: Callable[[str, str], bool]) -> None:
    """Say in the log which targets are no routes of the app.

    Args:
        rewrites: What `rewrites_of` found.
        has_route: Whether the app has a route for a method and a path.
    """
    targets = {value.target: value for value in rewrites.values() if isinstance(value, Rewrite)}
    for target, rewrite in targets.items():
        # Routes may take numbers or UUIDs alone.
        samples = [PLACEHOLDER.sub(sample, rewrite.path) for sample in ("x", "1", str(UUID(int=0)))]
        if not any(has_route(rewrite.method, path) for path in samples):
            logger.warning("A rewrite sends requests to %s, and the app has no such route.", target)


def rewritten(rewrites: Mapping[str, Rewrite | str]) -> Feature:
    """The feature that lets other routes of the app serve operations, or endpoints of your own."""

    def feature(route: Route) -> Route:
        value = rewrites.get(route.key)
        if value is None:
            return route
        expects_json = route.response_mapping is not None
        if isinstance(value, Rewrite):
            at_work = RouteRewrite(route.operation, route.name, value, route.once, expects_json=expects_json)
            return replace(route, rewrite=at_work)
        operation = route.operation or ""
        target = rewrites.get(chat_path(operation, route.key))
        by = RouteRewrite(value, value, target, route.once) if isinstance(target, Rewrite) else None
        return replace(route, rewrite=Bridge(operation, by, route.once))

    return feature


def _unserved(name: str, contract: Contract, where: str) -> Iterator[ConfigurationMistake]:
    if ":" in name:
        hint = "Write the method and the whole path, prefix included, as in 'POST:/v1/summaries'."
        yield ConfigurationMistake("rewrite_endpoint", "There is no such endpoint.", name, hint, where)
        return
    unknown = list(operation_mistakes(name, contract, where))
    hint = "Register its group in `endpoints`, or remove the rewrite."
    unreachable = ConfigurationMistake("rewrite_unreachable", "No endpoint is this operation.", name, hint, where)
    yield from unknown or [unreachable]


def _checked(
    value: object, served: Iterable["EndpointConfig"], endpoints: Iterable["EndpointConfig"], contract: Contract
) -> Rewrite | str:
    """A rewrite that is right for all the endpoints that it serves.

    Raises:
        ConfigurationError: With every mistake in it.
    """
    if isinstance(value, str) and not value.startswith("/") and " " not in value:
        if value != CHAT or any(endpoint.operation not in BRIDGED_PATHS for endpoint in served):
            hint = f"There are {' and '.join(f'{one!r}: {CHAT!r}' for one in BRIDGED_PATHS)}."
            message = "No operation is served by way of this."
            raise ConfigurationError(ConfigurationMistake("rewrite_operation", message, value, hint))
        return value
    rewrite = Rewrite(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        rewrite = Rewrite.from_dict(value)
    if not isinstance(rewrite, Rewrite):
        hint = "Write Rewrite('/ask', reply='$.answer'), or the name of another operation."
        raise ConfigurationError(ConfigurationMistake("rewrite_type", "This is no rewrite.", value, hint))
    found: list[ConfigurationMistake] = []
    for endpoint in served:
        # Under several prefixes it is the same mistake.
        found += [one for one in _misplaced(rewrite, endpoint, endpoints, contract) if one not in found]
    report_mistakes(found)
    return rewrite


def _misplaced(
    rewrite: Rewrite, endpoint: "EndpointConfig", endpoints: Iterable["EndpointConfig"], contract: Contract
) -> Mistakes:
    """What is wrong with a rewrite of an endpoint, though it could be right for another."""
    mistakes = Mistakes()
    operation = None if endpoint.operation is None else contract.operation(endpoint.operation)
    known = set(placeholder_names(endpoint.path))
    if endpoint.input_body_mappings is not None and (operation is None or operation.request != "multipart"):
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
    elif endpoint.operation not in RENDERINGS:
        for name in ("reply", "delta"):
            reading = getattr(rewrite, name)
            if isinstance(reading, Mapping):
                mistakes.add("rewrite_reading", "A list is read by one path.", reading, "Write one JSONPath.", name)
    mistakes.extend(_inside_prefix(rewrite.path, endpoints, contract))
    return mistakes


def _inside_prefix(
    path: str, endpoints: Iterable["EndpointConfig"], contract: Contract
) -> Iterator[ConfigurationMistake]:
    """Find out whether a path lies where the operations are: those who read it would take it for one of them."""
    for endpoint in endpoints:
        operation = None if endpoint.operation is None else contract.operation(endpoint.operation)
        prefix = None if operation is None else endpoint.path.removesuffix(operation.path)
        if prefix is not None and (path == endpoint.path or (prefix and _is_below(prefix, path))):
            hint = "Name a route of the app's own, outside of the prefixes."
            yield ConfigurationMistake("rewrite_inside_prefix", "The operations lie there.", path, hint, "target")
            return


def _is_below(prefix: str, path: str) -> bool:
    segments = prefix.split("/")
    own = path.split("/")
    return len(own) >= len(segments) and all(
        one == other if "{" not in one else other != "" for one, other in zip(segments, own, strict=False)
    )


def _handler_rewrite(path: Any, endpoints: Iterable["EndpointConfig"], contract: Contract) -> Rewrite:
    with reported_mistakes() as mistakes:
        if not isinstance(path, str) or not path.startswith("/") or placeholder_names(path):
            hint = "Write a path alone, such as '/openai'."
            mistakes.add("handler_path", "The handler is one path without placeholders.", path, hint, "handler_path")
        else:
            mistakes.extend(one.inside("handler_path") for one in target_mistakes(path))
            mistakes.extend(_inside_prefix(path, endpoints, contract))
    return Rewrite(path)
