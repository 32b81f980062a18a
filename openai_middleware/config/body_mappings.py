"""A set of rules, as a configuration has it."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter, field_validator

from openai_middleware.config.configuration import Configuration, configuration, plain
from openai_middleware.mapping.rule import BodyMapping, are_in_conflict, merged
from openai_middleware.mistakes import ConfigurationMistake, report_mistakes, reported_mistakes

logger = logging.getLogger("openai_middleware")


def _with_source(rule: object) -> object:
    """A rule whose value stands in the place of a source."""
    is_constant = isinstance(rule, Mapping) and "value" in rule and "source_path" not in rule
    return {"source_path": "", **rule} if is_constant else rule  # type: ignore[dict-item]


_Rule = Annotated[BodyMapping, BeforeValidator(_with_source), PlainSerializer(BodyMapping.to_dict)]
_rule_of: TypeAdapter[BodyMapping] = TypeAdapter(_Rule)


@configuration
class BodyMappings(Configuration):
    """A set of `source_path -> destination_path` rules for request bodies or for JSON answers.

    A rule replaces the earlier ones that have its source or its destination, and a warning says so.

    Args:
        mappings: The rules, as dictionaries with `source_path` or `value`, `destination_path` and `mandatory`.

    Attributes:
        rules: The rules, in order.

    Raises:
        ConfigurationError: Some rules are malformed, or write into one another.
    """

    rules: list[_Rule] = Field(default=None, alias="mappings", validate_default=True)

    if TYPE_CHECKING:

        def __init__(self, /, mappings: Iterable[BodyMapping | Mapping[str, Any]] | None = None) -> None: ...

    @field_validator("rules", mode="before")
    @classmethod
    def _listed(cls, rules: object) -> object:
        if isinstance(rules, Iterable) and not isinstance(rules, str | bytes | Mapping):
            return list(rules)
        return [] if rules is None else rules

    @field_validator("rules")
    @classmethod
    def _without_duplicates(cls, rules: list[BodyMapping]) -> list[BodyMapping]:
        fields = {rule.place[0] for rule in rules}
        sources = {rule.source_path for rule in rules}
        if len(fields) == len(sources) == len(rules):
            return rules
        joined: list[BodyMapping] = []
        with reported_mistakes() as mistakes:
            for rule in rules:
                with mistakes:
                    joined = _joined(joined, rule)
        return joined

    @classmethod
    def of(cls, rules: list[BodyMapping]) -> Self:
        """The set of rules that are known to be right, and to share no source or destination. Nothing is checked."""
        made = cls.__new__(cls)
        made.rules = rules
        return made

    @property
    def mappings(self) -> list[dict[str, Any]]:
        """The rules as dictionaries with `source_path` or `value`, `destination_path` and `mandatory`."""
        return [rule.to_dict() for rule in self.rules]

    @mappings.setter
    def mappings(self, value: Iterable[Mapping[str, Any]] | None) -> None:
        self.rules = BodyMappings(value).rules

    def add_mapping(self, source_path: str, destination_path: str, mandatory: bool = False) -> None:
        """Add a rule.

        Args:
            source_path: A JSONPath (RFC 9535) into the request body, or into the app's answer; `$.` may be left out.
            destination_path: The keyword argument, or the field of the answer, that gets the value. In an answer a
                JSONPath that begins with `$.` or `$[` is a place inside of fields.
            mandatory: Whether the absence of the field is a 422.

        Raises:
            ConfigurationError: A path is empty, the source is no JSONPath, or the destination is not one place, or lies
                inside of another rule's, or around it.
        """
        self._add({"source_path": source_path, "destination_path": destination_path, "mandatory": mandatory})

    def add_value(self, value: Any, destination_path: str) -> None:
        """Add a rule of an answer that looks nothing up: the value is the same in every answer.

        Args:
            value: Anything that JSON has.
            destination_path: The field of the answer that gets it, or the place, as for `add_mapping`.

        Raises:
            ConfigurationError: The value has no JSON form, or something is wrong with the destination.
        """
        self._add({"value": plain(value), "destination_path": destination_path})

    def _add(self, rule: Mapping[str, Any]) -> None:
        with reported_mistakes():
            self.rules = _joined(self.rules, _rule_of.validate_python(rule))

    def remove_mapping(self, destination_path: str) -> None:
        """Remove the rule with this destination; nothing happens where there is none."""
        self.rules = [rule for rule in self.rules if rule.destination_path != destination_path]


def _joined(rules: list[BodyMapping], rule: BodyMapping) -> list[BodyMapping]:
    report_mistakes(_overlaps(rules, rule))
    result = merged(rules, [rule])
    for replaced in rules:
        if replaced not in result:
            logger.warning("The body mapping %s replaces %s.", _arrow(rule), _arrow(replaced))
    return result


def _overlaps(rules: Iterable[BodyMapping], rule: BodyMapping) -> Iterator[ConfigurationMistake]:
    place = rule.place
    for other in rules:
        is_replaced = other.place == place or (other.source_path == rule.source_path and not rule.is_constant)
        if not is_replaced and are_in_conflict(place, other.place):
            hint = "Let each rule write a place of its own: an object and a field inside of it are not both written."
            message = f"It cannot be written together with {other.destination_path!r}."
            yield ConfigurationMistake("destination_path_overlap", message, rule.destination_path, hint)


def _arrow(rule: BodyMapping) -> str:
    return f"{'a value' if rule.is_constant else repr(rule.source_path)} -> {rule.destination_path!r}"
