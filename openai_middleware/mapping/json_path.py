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
"""The way to one place in a document: names of fields, and indexes of lists."""

_TOP_LEVEL_FIELD = re.compile(r"(?:\$\.)?([A-Za-z_][A-Za-z0-9_]*)|\$?\['([^'\\]*)'\]|\$?\[\"([^\"\\]*)\"\]")


def top_level_field(source_path: str) -> str | None:
    """The field that a path names where it names just one field of the body itself, else None."""
    found = _TOP_LEVEL_FIELD.fullmatch(source_path)
    return next(group for group in found.groups() if group is not None) if found else None


def compile_source(source_path: str) -> Callable[[Any], Any]:
    """Compile a JSONPath to a function from a body to the value found.

    No match is ABSENT, one match is its value, several are a list. The function raises RecursionError on a body that
    is nested more deeply than the path can follow.

    Raises:
        ConfigurationError: The path is no JSONPath.
    """
    field = top_level_field(source_path)
    if field is not None:
        return lambda body: body.get(field, ABSENT)
    find_all, _ = _compiled(source_path)

    def find(body: Any) -> Any:
        values = find_all(body)
        return values if len(values) > 1 else values[0] if values else ABSENT

    return find


def compile_list(source_path: str) -> Callable[[Any], Any]:
    """The same, but a path that may find several values gives a list however many it finds.

    Raises:
        ConfigurationError: The path is no JSONPath.
    """
    find_all, is_singular = _compiled(source_path)
    return (lambda body: next(iter(find_all(body)), ABSENT)) if is_singular else find_all


def place_at(path: str) -> Place | None:
    """The one place that a JSONPath names, whatever the document; None where it may find several, or counts from the
    end of a list.

    Raises:
        ConfigurationError: It is no JSONPath.
    """
    from jsonpath.selectors import IndexSelector, NameSelector

    parsed = _parsed(path)
    place: list[str | int] = []
    for segment in parsed.segments if _is_singular(parsed) else ():
        for selector in segment.selectors:
            if isinstance(selector, NameSelector):
                place.append(selector.name)
            elif isinstance(selector, IndexSelector) and selector.index >= 0:
                place.append(selector.index)
            else:
                return None
    return tuple(place) or None


def _compiled(source_path: str) -> tuple[Callable[[Any], list[Any]], bool]:
    """A function from a body to all values that a path finds, and whether there is one at most."""
    import jsonpath

    path = _parsed(source_path)

    def find_all(body: Any) -> list[Any]:
        try:
            return path.findall(body)
        except jsonpath.exceptions.JSONPathRecursionError as error:
            raise RecursionError(source_path) from error

    return find_all, _is_singular(path)


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
