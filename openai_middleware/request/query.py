"""The query string as keyword arguments."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from openai_middleware.errors import BadRequestError

# Deeper nesting than five levels is taken for a plain name.
_BRACKETED = re.compile(r"([^\[\]]+)((?:\[[^\[\]]+\]){0,5})(\[\])?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")

MAX_QUERY_PARAMETERS: Final = 1000

_Path = tuple[str, ...]


def parse_query(query: bytes, types: Mapping[str, str], ignored: Collection[str] = ()) -> dict[str, Any]:
    """Parse a query string.

    One value is a str, a repeated key a list. `a[]=1` is always a list and `a[k]=1` a dict: so the OpenAI SDK sends
    arrays and objects. `+` is a space, UTF-8 is decoded, `;` separates nothing.

    Args:
        query: The query string as it was sent, without the question mark.
        types: Parameters to convert: name to `integer`, `number` or `boolean`; other types leave a value as it is.
        ignored: Names that are left out, brackets or not.

    Raises:
        BadRequestError: There are more than `MAX_QUERY_PARAMETERS`, a parameter to convert is malformed, empty or
            repeated, or a name holds a value in one place and an object in another.
    """
    params: dict[str, Any] = {}
    for path, value in _values_by_path(query).items():
        if path[0] not in ignored:
            _insert(params, path, value)
    for name, value in params.items():
        kind = types.get(name)
        if kind in _CONVERTERS:
            params[name] = _converted(name, value, kind)
    return params


def _values_by_path(query: bytes) -> dict[_Path, str | list[str]]:
    if query.count(b"&") >= MAX_QUERY_PARAMETERS:
        message = f"The query string has more than {MAX_QUERY_PARAMETERS} parameters."
        raise BadRequestError(message, code="too_many_parameters")
    values: dict[_Path, list[str]] = {}
    lists: set[_Path] = set()
    for key, value in parse_qsl(query.decode(errors="replace"), keep_blank_values=True, errors="replace"):
        path: _Path = (key,)
        bracketed = _BRACKETED.fullmatch(key) if key.endswith("]") else None
        if bracketed is not None:
            name, keys, is_list = bracketed.groups()
            path = (name, *keys[1:-1].split("][")) if keys else (name,)
            if is_list:
                lists.add(path)
        values.setdefault(path, []).append(value)
    return {path: found if len(found) > 1 or path in lists else found[0] for path, found in values.items()}


def _insert(params: dict[str, Any], path: _Path, value: str | list[str]) -> None:
    node = params
    for key in path[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise _mixed(path[0])
    if path[-1] in node:
        raise _mixed(path[0])
    node[path[-1]] = value


def _mixed(name: str) -> BadRequestError:
    message = f"The query parameter '{name}' was sent as a value and as an object."
    return BadRequestError(message, param=name, code="invalid_type")


def _integer(text: str) -> int | None:
    return int(text) if _INTEGER.fullmatch(text) else None


def _number(text: str) -> float | None:
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


_CONVERTERS: dict[str, Callable[[str], Any]] = {"integer": _integer, "number": _number, "boolean": _boolean}


def _converted(name: str, value: Any, kind: str) -> Any:
    converted = _CONVERTERS[kind](value) if isinstance(value, str) else None
    if converted is None:
        message = f"The query parameter '{name}' must be a single {kind}."
        raise BadRequestError(message, param=name, code="invalid_type")
    return converted
