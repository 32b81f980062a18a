"""What is wrong with a JSON document, said as facts: a place in it, and what is there."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, cast

from jsonschema import ValidationError as SchemaError
from pydantic_core import ErrorDetails

__all__ = ["Fact", "facts_of_pydantic", "facts_of_schema", "place_of", "printable"]

# By these an object says what it is: one with another value is of another kind.
_KINDS: Final = ("type", "role", "object")
_LONGEST_VALUE: Final = 40

# What pydantic calls it when a value has another type; the start of these names is the type.
_TYPES: Final = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "a boolean",
    "bool_parsing": "a boolean",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
}
_SCHEMA_TYPES: Final = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


class Fact(NamedTuple):
    """One thing that is wrong.

    Attributes:
        place: Where: `choices[0].message`, or empty where it is about the whole.
        what: What is there, or is not: `missing`.
    """

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" if self.place else self.what


def printable(text: str) -> str:
    """A text of someone else, safe in a terminal and in XML: what controls either is written as Python writes it."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def place_of(path: Iterable[str | int], start: str = "") -> str:
    """A path into a document as people write it: `choices[0].message`."""
    place = start
    for part in path:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    return place


def facts_of_pydantic(errors: Iterable[ErrorDetails], document: Any) -> list[Fact]:
    """The errors of a validation by pydantic.

    Where a value may be of several kinds, pydantic tells what each of them misses. Only what the kind misses that the
    value says it is, is a fact.
    """
    return _without_what_follows(dict.fromkeys(_walk([(error["loc"], error) for error in errors], document, "")))


_Located = tuple[tuple[int | str, ...], ErrorDetails]


def _walk(errors: Sequence[_Located], value: Any, place: str) -> Iterator[Fact]:
    kinds: dict[str, list[_Located]] = {}
    members: dict[int | str, list[_Located]] = {}
    for path, error in errors:
        if not path:
            yield Fact(place, _what_pydantic_says(error))
        elif _is_member(path, error, value):
            members.setdefault(path[0], []).append((path[1:], error))
        else:
            kinds.setdefault(str(path[0]), []).append((path[1:], error))
    for name, found in members.items():
        yield from _walk(found, _member(value, name), place_of([name], place))
    if kinds:
        yield from _of_its_kind(list(kinds.values()), value, place)


def _of_its_kind(kinds: list[list[_Located]], value: Any, place: str) -> Iterator[Fact]:
    """What the kind misses that the value says it is; where it says none, that."""
    own = [found for found in kinds if all(path for path, _ in found)]
    if not own:
        yield Fact(place, f"is {kind_of(value)}, and none of what may stand here")
        return
    for name in _KINDS:
        left = [found for found in own if not any(_is_of_another_kind(name, *one) for one in found)]
        if not left and len(own) > 1:
            is_there = isinstance(value, dict) and name in value
            what = f"is {_shown(value[name])}, which is none of what may stand here" if is_there else "missing"
            yield Fact(place_of([name], place), what)
            return
        own = left or own
    yield from _walk(min(own, key=len), value, place)


def _is_member(path: tuple[int | str, ...], error: ErrorDetails, value: Any) -> bool:
    if isinstance(path[0], int):
        return True
    is_there = isinstance(value, dict) and path[0] in value
    return is_there or (len(path) == 1 and error["type"] == "missing")


def _member(value: Any, name: int | str) -> Any:
    try:
        return value[name]
    except (KeyError, IndexError, TypeError):
        return None


def _is_of_another_kind(name: str, path: tuple[int | str, ...], error: ErrorDetails) -> bool:
    return path == (name,) and error["type"] in ("literal_error", "missing")


def _what_pydantic_says(error: ErrorDetails) -> str:
    value = error["input"]
    if error["type"] == "missing":
        return "missing"
    if error["type"] == "literal_error":
        return f"is {_shown(value)}, not {error['ctx']['expected']}"
    wanted = _TYPES.get(error["type"])
    return f"is {kind_of(value)}, not {wanted}" if wanted else error["msg"]


def facts_of_schema(errors: Iterable[SchemaError], start: str = "") -> list[Fact]:
    """The errors of a validation by JSON Schema.

    Args:
        errors: What was found.
        start: Where the document stands that was validated.
    """
    return _without_what_follows(dict.fromkeys(fact for error in errors for fact in _facts_of_one(error, start)))


def _without_what_follows(facts: Iterable[Fact]) -> list[Fact]:
    """The facts about a document; where it says that it is another object, that alone."""
    found = list(facts)
    return [fact for fact in found if fact.place == "object" and fact.what != "missing"] or found


def _facts_of_one(error: SchemaError, start: str) -> Iterator[Fact]:
    path, wanted_value = list(error.absolute_path), cast(Any, error.validator_value)
    if error.validator == "required":
        for name in wanted_value:
            if name not in cast(Any, error.instance):
                yield Fact(place_of([*path, name], start), "missing")
    elif error.validator == "type":
        names = wanted_value if isinstance(wanted_value, list) else [wanted_value]
        wanted = " or ".join(_SCHEMA_TYPES[name] for name in names)
        yield Fact(place_of(path, start), f"is {kind_of(error.instance)}, not {wanted}")
    elif error.validator == "enum":
        wanted = " or ".join(map(repr, wanted_value))
        yield Fact(place_of(path, start), f"is {_shown(error.instance)}, not {wanted}")
    else:
        yield Fact(place_of(path, start), error.message)


def kind_of(value: Any) -> str:
    """What kind of JSON value this is, in words."""
    if value is None:
        return "null"
    for kind, name in ((bool, "a boolean"), (int, "an integer"), (float, "a number"), (str, "a string")):
        if isinstance(value, kind):
            return name
    return "a list" if isinstance(value, list) else "an object"


def _shown(value: Any) -> str:
    if not isinstance(value, str):
        return kind_of(value)
    return repr(value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…")
