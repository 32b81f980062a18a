"""Output rules that build an answer: places inside of fields, and values that the app does not send."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from openai_middleware.answer.response_mapping import ResponseMapping
from openai_middleware.mapping.json_codec import encoded, fields_of
from openai_middleware.mapping.json_path import ABSENT, Place
from openai_middleware.mapping.rule import BodyMapping

# From what the rules found, by their destinations, to a part of the answer; ABSENT where there is nothing of it.
Fill = Callable[[Mapping[str, Raw]], Any]


def mapping_class(rules: Sequence[BodyMapping]) -> type[ResponseMapping]:
    """The class of mappings that these rules need."""
    return BuiltMapping if any(rule.is_constant or rule.is_nested for rule in rules) else ResponseMapping


class BuiltMapping(ResponseMapping):
    """A `ResponseMapping` whose rules may have a value instead of a source, and a place as their destination.

    What nothing is found for is left out of objects and lists, and so is an object or list that would be empty.

    Args:
        rules: The output rules.
        options: The other arguments of `ResponseMapping`.
    """

    __slots__ = ("_destinations", "_fill")

    def __init__(self, rules: Sequence[BodyMapping], *options: Any, **named: Any) -> None:
        super().__init__([rule for rule in rules if not rule.is_constant], *options, **named)
        self._destinations = frozenset(rule.destination_path for rule in rules)
        self._fill = _object([(rule.place, _leaf(rule)) for rule in rules])

    def apply(self, body: bytes) -> bytes:
        """See `ResponseMapping.apply`."""
        selected = super().apply(body)
        try:
            found = fields_of(selected)
        except msgspec.ValidationError:  # it is no object, and nothing in it is mandatory
            return body
        built = self._fill(found)
        answer = {} if built is ABSENT else built
        extra = {name: found[name] for name in found if name not in self._destinations and name not in answer}
        return msgspec.json.encode(answer | extra)


def _leaf(rule: BodyMapping) -> Fill:
    if rule.is_constant:
        value = Raw(encoded(rule.value))
        return lambda _: value
    destination = rule.destination_path
    return lambda found: found.get(destination, ABSENT)


def _object(parts: Sequence[tuple[Place, Fill]]) -> Fill:
    fields = [(str(name), fill) for name, fill in _branches(parts).items()]

    def fill(found: Mapping[str, Raw]) -> Any:
        return {name: value for name, fill in fields if (value := fill(found)) is not ABSENT} or ABSENT

    return fill


def _list(parts: Sequence[tuple[Place, Fill]]) -> Fill:
    items = [fill for _, fill in sorted(_branches(parts).items())]

    def fill(found: Mapping[str, Raw]) -> Any:
        return [value for fill in items if (value := fill(found)) is not ABSENT] or ABSENT

    return fill


def _branches(parts: Sequence[tuple[Place, Fill]]) -> dict[Any, Fill]:
    """What fills each field or item, in the order in which the rules name them."""
    below: dict[Any, list[tuple[Place, Fill]]] = {}
    for (step, *rest), fill in parts:
        below.setdefault(step, []).append((tuple(rest), fill))
    return {step: _branch(inner) for step, inner in below.items()}


def _branch(parts: Sequence[tuple[Place, Fill]]) -> Fill:
    place, fill = parts[0]
    if not place:
        return fill
    return _list(parts) if isinstance(place[0], int) else _object(parts)
