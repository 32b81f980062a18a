"""A set of rules, as a configuration has it."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, TypeAdapter, field_validator

from openai_middleware.config.configuration import Configuration, configuration
from openai_middleware.mapping.rule import BodyMapping, merged
from openai_middleware.mistakes import reported_mistakes

logger = logging.getLogger("openai_middleware")

_rule_of = TypeAdapter(BodyMapping).validate_python


@configuration
class BodyMappings(Configuration):
    """A set of `source_path -> destination_path` rules for request bodies or for JSON answers.

    A rule replaces the earlier ones that have its source or its destination, and a warning says so.

    Args:
        mappings: The rules, as dictionaries with `source_path`, `destination_path` and `mandatory`.

    Attributes:
        rules: The rules, in order.

    Raises:
        ConfigurationError: Some rules are malformed.
    """

    rules: list[BodyMapping] = Field(default=None, alias="mappings", validate_default=True)

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
        joined: list[BodyMapping] = []
        for rule in rules:
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
        """The rules as dictionaries with `source_path`, `destination_path` and `mandatory`."""
        return [asdict(rule) for rule in self.rules]

    @mappings.setter
    def mappings(self, value: Iterable[Mapping[str, Any]] | None) -> None:
        self.rules = BodyMappings(value).rules

    def add_mapping(self, source_path: str, destination_path: str, mandatory: bool = False) -> None:
        """Add a rule.

        Args:
            source_path: A JSONPath (RFC 9535) into the request body, or into the app's answer; `$.` may be left out.
            destination_path: The keyword argument, or the field of the answer, that gets the value.
            mandatory: Whether the absence of the field is a 422.

        Raises:
            ConfigurationError: A path is empty, or the source is no JSONPath.
        """
        rule = {"source_path": source_path, "destination_path": destination_path, "mandatory": mandatory}
        with reported_mistakes():
            self.rules = _joined(self.rules, _rule_of(rule))

    def remove_mapping(self, destination_path: str) -> None:
        """Remove the rule with this destination; nothing happens where there is none."""
        self.rules = [rule for rule in self.rules if rule.destination_path != destination_path]


def _joined(rules: list[BodyMapping], rule: BodyMapping) -> list[BodyMapping]:
    result = merged(rules, [rule])
    for replaced in rules:
        if replaced not in result:
            logger.warning("The body mapping %s replaces %s.", _arrow(rule), _arrow(replaced))
    return result


def _arrow(rule: BodyMapping) -> str:
    return f"{rule.source_path!r} -> {rule.destination_path!r}"
