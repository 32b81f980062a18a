"""One rule of a mapping, and sets of them."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from openai_middleware.mapping.json_path import ABSENT, Place, compile_source, place_at
from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake, report_mistakes


@dataclass(frozen=True, slots=True)
class BodyMapping:
    """One rule: the value at `source_path`, or `value` itself, goes to `destination_path`.

    Attributes:
        source_path: A JSONPath (RFC 9535); the leading `$.` may be left out. Empty where there is a `value`.
        destination_path: A keyword argument's name on the way in, a field of the JSON answer on the way out; there it
            is a place inside of fields where it begins with `$.` or `$[`.
        mandatory: Whether its absence is a 422.
        value: What every answer has there. ABSENT where a source is looked up.
    """

    source_path: str
    destination_path: str
    mandatory: bool = False
    value: Any = field(default=ABSENT, kw_only=True)

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Refuse rules that can never work.

        Raises:
            ConfigurationError: The source or the destination is empty, the source is no JSONPath, the destination has
                no UTF-8 form or is not one place, or the value is no JSON, or stands beside a source.
        """
        report_mistakes(self._mistakes())

    @property
    def is_constant(self) -> bool:
        """Whether it has a value instead of a source."""
        return self.value is not ABSENT

    @property
    def is_nested(self) -> bool:
        """Whether the destination is a place inside of fields. Otherwise it is the name of a field, whatever it is."""
        return self.destination_path.startswith(("$.", "$["))

    @property
    def place(self) -> Place:
        """The way to the destination."""
        if self.is_nested and (place := place_at(self.destination_path)) is not None:
            return place
        return (self.destination_path,)

    def to_dict(self) -> dict[str, Any]:
        """The rule as a configuration has it."""
        source = {"value": self.value} if self.is_constant else {"source_path": self.source_path}
        return source | {"destination_path": self.destination_path, "mandatory": self.mandatory}

    def _mistakes(self) -> Iterator[ConfigurationMistake]:
        yield from self._value_mistakes() if self.is_constant else self._source_mistakes()
        yield from self._destination_mistakes()

    def _value_mistakes(self) -> Iterator[ConfigurationMistake]:
        if self.source_path:
            hint = "Leave one of the two out."
            message = "A mapping has a source or a value, not both."
            yield ConfigurationMistake("value_and_source", message, self.source_path, hint)
        import json  # few rules have values

        try:
            json.dumps(self.value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            hint = "Write what JSON has: text, numbers, true, false, null, lists and objects of them."
            yield ConfigurationMistake("value_invalid", "This has no JSON form.", self.value, hint)

    def _source_mistakes(self) -> Iterator[ConfigurationMistake]:
        if not self.source_path:
            hint = "Write a JSONPath such as '$.model'; '$' is the whole body."
            yield ConfigurationMistake("source_path_empty", "A mapping needs a source.", "", hint)
        else:
            try:
                compile_source(self.source_path)
            except ConfigurationError as error:
                yield from error.mistakes

    def _destination_mistakes(self) -> Iterator[ConfigurationMistake]:
        if not self.destination_path:
            hint = "Name the keyword argument, or the field of the answer, that gets the value."
            yield ConfigurationMistake("destination_path_empty", "A mapping needs a destination.", "", hint)
        elif any("\ud800" <= character <= "\udfff" for character in self.destination_path):
            hint = "Write it without lone surrogates."
            message = "A destination is text that UTF-8 has a form for."
            yield ConfigurationMistake("destination_path_invalid", message, self.destination_path, hint)
        elif self.is_nested:
            try:
                place = place_at(self.destination_path)
            except ConfigurationError:
                place = None
            if not place or isinstance(place[0], int) or any(isinstance(step, int) and step < 0 for step in place):
                hint = "Name fields, and items of lists by their numbers, as in '$.choices[0].message.content'."
                message = "A destination that begins like a JSONPath is one place in an object."
                yield ConfigurationMistake("destination_path_ambiguous", message, self.destination_path, hint)


def merged(inherited: Iterable[BodyMapping], specific: Collection[BodyMapping]) -> list[BodyMapping]:
    """The rules of two scopes in one list; a specific rule replaces those that share its source, and those whose
    destination is its own, or lies inside of it or around it.

    Sources are compared as they are written.
    """
    sources = {rule.source_path for rule in specific if not rule.is_constant}
    taken: dict[str | int, list[Place]] = {}
    for rule in specific:
        place = rule.place
        taken.setdefault(place[0], []).append(place)
    kept = [
        rule
        for rule in inherited
        if rule.source_path not in sources
        and not any(are_in_conflict(place, rule.place) for place in taken.get(rule.place[0], ()))
    ]
    return [*kept, *specific]


def are_in_conflict(one: Place, other: Place) -> bool:
    """Whether no document has a value at both places: they are the same, or one lies inside of the other, or what is
    around them would have to be an object and a list.
    """
    for step, another in zip(one, other, strict=False):
        if step != another:
            return isinstance(step, str) is not isinstance(another, str)
    return True
