"""The methods of an SDK client, and arguments for them made up from their signatures."""

import inspect
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from openai._resource import SyncAPIResource
from openai._types import NotGiven, Omit

FILE = ("file.txt", b"content")

# Every method takes these, and none of them is of its operation.
OF_ALL_METHODS = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}

# Body fields of the contract that the SDK has no arguments for.
ONLY_OPEN_RESPONSES = {"responses.create": {"frequency_penalty", "presence_penalty"}}


def public_methods(resource: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Callable[..., object]]]:
    """The methods of a client, or of a resource, as `("chat.completions.create", method)`."""
    for name in dir(resource):
        if name.startswith(("_", "with_")) or name in ("admin", "beta"):
            continue
        attribute = getattr(resource, name)
        if isinstance(attribute, SyncAPIResource):
            yield from public_methods(attribute, (*path, name))
        elif path and inspect.ismethod(attribute):
            yield ".".join((*path, name)), attribute


def arguments(method: Callable[..., object], only: Collection[str] | None) -> dict[str, Any]:
    """All arguments of a method, or these only and those that it cannot do without."""
    function = inspect.unwrap(method)
    hints = get_type_hints(function)
    return {
        name: value_of(hints[name], name)
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in OF_ALL_METHODS and (only is None or name in only or parameter.default is inspect.Parameter.empty)
    }


def value_of(hint: Any, name: str) -> Any:
    """Something that the type allows. A string is the name of its parameter, so that paths show which went where."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return value_of(inner[0], name)
    if origin in (Union, types.UnionType):
        inner = tuple(member for member in inner if member not in (Omit, NotGiven))
        return FILE if bytes in inner else value_of(inner[0], name)
    if origin is Literal:
        return inner[0]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"key": "value"}
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return [value_of(inner[0], name)]
    if hasattr(hint, "__total__"):  # a TypedDict: one key will do
        return {key: value_of(inner, key) for key, inner in list(get_type_hints(hint).items())[:1]}
    return {bool: True, int: 1, float: 1.5}.get(hint, name)
