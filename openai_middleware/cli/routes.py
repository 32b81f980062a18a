"""What the middlewares in an app serve."""

import inspect
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, Final

from rich.markup import escape

from openai_middleware.cli.report import console, table_of
from openai_middleware.config import EndpointConfig
from openai_middleware.config.rewrite import Rewrite
from openai_middleware.contract import shipped
from openai_middleware.frontend import Frontend

__all__ = ["ServedRoute", "print_json", "print_table", "served_by"]

_MOST_OBJECTS: Final = 200_000


@dataclass(frozen=True)
class ServedRoute:
    """One endpoint.

    Attributes:
        method: The HTTP method.
        path: The path, relative to where the middleware stands.
        operation: The operation of OpenAI's API; empty for an endpoint of one's own.
        mandatory: The keyword arguments without which a request is refused.
        action: `allow` or `forbid`.
        served_by: The route of the app or the operation that it is sent to, or what answers by its name: a function, or
            the store; empty where the app has it at this path.
    """

    method: str
    path: str
    operation: str
    mandatory: list[str]
    action: str
    served_by: str


def served_by(app: Any) -> Iterator[ServedRoute]:
    """The endpoints of all middlewares that are found in an app."""
    for frontend in _frontends(app):
        for config, route in frontend.endpoints():
            rewrite = frontend.rewrites.get(route.key)
            # What chooses among functions has no name.
            function = None if route.handler is None else str(getattr(route.handler, "name", "functions"))
            yield ServedRoute(
                config.http_method.value,
                config.path,
                config.operation or "",
                list(_mandatory(config)),
                config.action.value,
                function or (rewrite.target if isinstance(rewrite, Rewrite) else rewrite) or "",
            )


def _mandatory(config: EndpointConfig) -> Iterator[str]:
    mappings, operation = config.input_body_mappings, shipped().operation(config.operation or "")
    yield from (rule.destination_path for rule in (mappings.rules if mappings else ()) if rule.mandatory)
    yield from (name for name, one in (operation.query if operation else {}).items() if one.mandatory)


def print_table(found: Iterable[ServedRoute]) -> None:
    """Print them for people."""
    table = table_of("method", "path", "operation", "mandatory", "action", "served by")
    for one in found:
        cells = (one.method, one.path, one.operation, ", ".join(one.mandatory), one.action, one.served_by)
        table.add_row(*map(escape, cells))
    console().print(table)


def print_json(found: Iterable[ServedRoute]) -> None:
    """Print them for programs."""
    print(json.dumps([asdict(one) for one in found], indent=1))


def _frontends(app: Any) -> Iterator[Frontend]:
    """The frontends that an app holds, by whatever framework: in attributes, collections and closures."""
    seen: set[int] = set()
    waiting = [app]
    while waiting and len(seen) < _MOST_OBJECTS:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Frontend):
            yield value
        else:
            waiting.extend(_held_by(value))


def _held_by(value: Any) -> Iterator[Any]:
    if isinstance(value, ModuleType | type | str | bytes):
        return
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, MethodType):
        yield value.__self__
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    else:
        if isinstance(value, FunctionType):
            yield from inspect.getclosurevars(value).nonlocals.values()
        if hasattr(value, "build_middleware_stack") and value.middleware_stack is None:
            yield value.build_middleware_stack()  # Starlette builds it at the first request
        yield from getattr(value, "__dict__", {}).values()
        yield from _in_slots(value)


def _in_slots(value: Any) -> Iterator[Any]:
    for kind in type(value).__mro__:
        if "__slots__" in vars(kind):
            for slot in vars(kind).values():
                if isinstance(slot, MemberDescriptorType):
                    with suppress(AttributeError):  # it holds nothing yet
                        yield slot.__get__(value)
