"""JSONPath (RFC 9535), compiled to functions."""

import re
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake

if TYPE_CHECKING:
    from jsonpath import CompoundJSONPath, JSONPath


class Absent(Enum):
    """Of one member, so that copies are the same object."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""What a compiled path returns where it finds nothing: null is a value."""

Place = tuple[str | int, ...]
"""The way to one place in a document: names of fields, and numbers of items, which may count from the end."""

_TOP_LEVEL_FIELD = re.compile(r"(?:\$\.)?([A-Za-z_][A-Za-z0-9_]*)|\$?\['([^'\\]*)'\]|\$?\[\"([^\"\\]*)\"\]")


def top_level_field(source_path: str) -> str | None:
    """The field that a path names where it names just one field of the body itself, else None."""
    found = _TOP_LEVEL_FIELD.fullmatch(source_path)
    return next(group for group in found.groups() if group is not None) if found else None


def compile_source(source_path: str) -> Callable[[Any], Any]:
    """Compile a JSONPath to a function from a body, which is an object, to the value found.

    No match is ABSENT, one match is its value, several are a list. The function raises RecursionError on a body that
    is nested more deeply than the path can follow.

    Raises:
        ConfigurationError: The path is no JSONPath.
    """
    field = top_level_field(source_path)
    if field is not None:
        return lambda body: body.get(field, ABSENT)
    place = place_at(source_path)
    if place is not None:
        return lambda body: value_at(place, body)
    find_all = _compiled(source_path)

    def find(body: Any) -> Any:
        values = find_all(body)
        return values if len(values) > 1 else values[0] if values else ABSENT

    return find


def compile_lookup(source_path: str) -> Callable[[Any], Any]:
    """The same for any decoded document. In one that is nested too deeply there is nothing to find.

    Raises:
        ConfigurationError: The path is no JSONPath.
    """
    field = top_level_field(source_path)
    if field is not None:
        return lambda document: document.get(field, ABSENT) if isinstance(document, dict) else ABSENT
    return _without_recursion_error(compile_source(source_path))


def compile_list(source_path: str) -> Callable[[Any], Any]:
    """The same as `compile_lookup`, but a path that may find several values gives a list however many it finds.

    Raises:
        ConfigurationError: The path is no JSONPath.
    """
    place = place_at(source_path)
    return _without_recursion_error(_compiled(source_path)) if place is None else lambda body: value_at(place, body)


def _without_recursion_error(find: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def find_if_possible(document: Any) -> Any:
        try:
            return find(document)
        except RecursionError:
            return ABSENT

    return find_if_possible


def place_at(path: str) -> Place | None:
    """The one place that a JSONPath names, whatever the document; None where it may find several.

    Raises:
        ConfigurationError: It is no JSONPath.
    """
    from jsonpath.selectors import IndexSelector, NameSelector

    parsed = _parsed(path)
    if not _is_singular(parsed):
        return None
    place: list[str | int] = []
    for segment in parsed.segments:
        for selector in segment.selectors:
            if isinstance(selector, NameSelector):
                place.append(selector.name)
            elif isinstance(selector, IndexSelector):
                place.append(selector.index)
            else:
                return None
    return tuple(place)


def value_at(place: Place, document: Any) -> Any:
    """The value at a place in a decoded document, or ABSENT."""
    for step in place:
        if isinstance(step, str):
            if not isinstance(document, dict) or step not in document:
                return ABSENT
        elif not isinstance(document, list) or not -len(document) <= step < len(document):
            return ABSENT
        document = document[step]
    return document


def _compiled(source_path: str) -> Callable[[Any], list[Any]]:
    """A function from a document to all values that a path finds."""
    from jsonpath.exceptions import JSONPathRecursionError

    path = _parsed(source_path)

    def find_all(document: Any) -> list[Any]:
        if not isinstance(document, dict | list):
            return []  # the library would decode a str
        try:
            return path.findall(document)
        except JSONPathRecursionError as error:
            raise RecursionError(source_path) from error

    return find_all


def _parsed(source_path: str) -> "JSONPath | CompoundJSONPath":
    import jsonpath  # half of the package's import time, and most applications name top-level fields only

    try:
        path = jsonpath.compile(source_path)
    except (jsonpath.JSONPathError, ValueError, OverflowError, re.error) as error:
        # The last three the library lets through, for an index `1e5`, for a number such as 1e501, and for a bad regular
        # expression; and its own rendering of an error at the end of a path raises in its turn.
        raise _invalid_source(source_path, error.args[0] if error.args else "") from error
    if str(path) == "$" and source_path.strip() != "$":
        raise _invalid_source(source_path, "it names nothing")
    return path


def _is_singular(path: "JSONPath | CompoundJSONPath") -> TypeGuard["JSONPath"]:
    import jsonpath

    return isinstance(path, jsonpath.JSONPath) and path.singular_query()


def _invalid_source(source_path: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        ConfigurationMistake(
            "source_path_invalid",
            f"This is no JSONPath: {reason}.",
            source_path,
            "Write a path of RFC 9535, such as '$.model' or \"$['a name']\"; '$' is the whole body.",
        )
    )
