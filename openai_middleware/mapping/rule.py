"""One rule of a mapping, and sets of them."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from openai_middleware.mapping.json_path import compile_source
from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake, report_mistakes


@dataclass(frozen=True, slots=True)
class BodyMapping:
    """One rule: the value at `source_path` goes to `destination_path`.

    Attributes:
        source_path: A JSONPath (RFC 9535); the leading `$.` may be left out.
        destination_path: A keyword argument's name on the way in, a field of the JSON answer on the way out.
        mandatory: Whether its absence is a 422.
    """

    source_path: str
    destination_path: str
    mandatory: bool = False

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Refuse rules that can never work.

        Raises:
            ConfigurationError: The source or the destination is empty, the source is no JSONPath, or the destination
                has no UTF-8 form.
        """
        report_mistakes(self._mistakes())

    def _mistakes(self) -> Iterator[ConfigurationMistake]:
        if not self.source_path:
            hint = "Write a JSONPath such as '$.model'; '$' is the whole body."
            yield ConfigurationMistake("source_path_empty", "A mapping needs a source.", "", hint)
        else:
            try:
                compile_source(self.source_path)
            except ConfigurationError as error:
                yield from error.mistakes
        if not self.destination_path:
            hint = "Name the keyword argument, or the field of the answer, that gets the value."
            yield ConfigurationMistake("destination_path_empty", "A mapping needs a destination.", "", hint)
        elif any("\ud800" <= character <= "\udfff" for character in self.destination_path):
            hint = "Write it without lone surrogates."
            message = "A destination is text that UTF-8 has a form for."
            yield ConfigurationMistake("destination_path_invalid", message, self.destination_path, hint)


def merged(inherited: Iterable[BodyMapping], specific: Collection[BodyMapping]) -> list[BodyMapping]:
    """The rules of two scopes in one list; a specific rule replaces those that share its source or its destination.

    Sources are compared as they are written.
    """
    sources = {rule.source_path for rule in specific}
    destinations = {rule.destination_path for rule in specific}
    kept = [rule for rule in inherited if rule.source_path not in sources and rule.destination_path not in destinations]
    return [*kept, *specific]
