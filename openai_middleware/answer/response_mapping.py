"""Output rules compiled: from the bytes of a JSON answer to the bytes that the client gets."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw

from openai_middleware.mapping.fitting import FittingTest
from openai_middleware.mapping.json_codec import (
    UNDECODABLE,
    decoder_of,
    fields_of,
    fitting,
    items_of,
    value_of,
    without_extra,
)
from openai_middleware.mapping.json_path import ABSENT, compile_source, top_level_field
from openai_middleware.mapping.rule import BodyMapping

AbsentOptional = Literal["omit", "null"]
ExtraFields = Literal["drop", "keep"]

_NULL: Final = Raw(b"null")
_BOOLEANS: Final = (Raw(b"true"), Raw(b"false"))
_ITEMS: Final = "data"


class MissingFieldError(Exception):
    """An answer of the app lacks a mandatory field; `field` is None where the answer is no JSON object at all."""

    def __init__(self, field: str | None) -> None:
        super().__init__(field)
        self.field = field


class ResponseMapping:
    """From the bytes of a JSON answer to the bytes that the client gets.

    Args:
        rules: The output rules.
        nullable: Mandatory destinations that are filled with null where they are absent.
        absent_optional: Whether an absent optional field is left out (`"omit"`) or filled with null (`"null"`).
        booleans: Destinations where anything but true and false counts as absent.
        extra_fields: Whether top-level fields that no rule names are left out (`"drop"`) or stay, after the
            others (`"keep"`).
        item_fields: The fields of the objects in a list's `data`; what else they hold is left out. Empty: they are left
            as they are.
    """

    __slots__ = (
        "_booleans",
        "_decode",
        "_filled",
        "_is_fitting_likely",
        "_item_fields",
        "_keeps_extra",
        "_names",
        "_required",
        "_rules",
        "_sources",
        "_test",
    )

    def __init__(
        self,
        rules: Sequence[BodyMapping],
        nullable: Collection[str] = (),
        absent_optional: AbsentOptional = "omit",
        booleans: Collection[str] = (),
        extra_fields: ExtraFields = "drop",
        item_fields: Collection[str] = (),
    ) -> None:
        self._booleans = frozenset(booleans) & {rule.destination_path for rule in rules}
        self._keeps_extra = extra_fields == "keep"
        self._item_fields = frozenset() if self._keeps_extra else frozenset(item_fields)
        self._rules = [(rule.destination_path, compile_source(rule.source_path), rule.mandatory) for rule in rules]
        self._filled = {
            rule.destination_path
            for rule in rules
            if (rule.destination_path in nullable if rule.mandatory else absent_optional == "null")
        }
        fields = [top_level_field(rule.source_path) for rule in rules]
        self._sources = frozenset(fields)
        # A top-level field is moved as the bytes it stands in; only what lies deeper has to be decoded.
        self._decode: Callable[[bytes], Any] = value_of if None in fields else fields_of
        renames = any(rule.destination_path != field for rule, field in zip(rules, fields, strict=True))
        # Where nothing but the names of the fields decides, these are all that is looked at.
        is_plain = not (renames or self._booleans or self._item_fields or self._keeps_extra)
        self._names = tuple(rule.destination_path for rule in rules) if is_plain else None
        self._required = frozenset(rule.destination_path for rule in rules if rule.mandatory) | self._filled
        self._test = None if renames else FittingTest(partial(_decoder, self._tested(), not self._keeps_extra))
        # Whether the last answer was one that stays as it is: an app's answers are alike. The test is for these; it
        # costs more than it saves where it refuses. A race of two threads costs time, and changes nothing.
        self._is_fitting_likely = True

    def _tested(self) -> dict[str, tuple[Any, ...]]:
        """The fields that the client is to get, each with what it has to be."""
        types: dict[str, Any] = dict.fromkeys(self._booleans, bool)
        if self._item_fields:
            item = fitting(dict.fromkeys(self._item_fields, (Raw, _NULL)))
            types[_ITEMS] = list[item]  # type: ignore[valid-type]
        return {
            destination: (types.get(destination, Raw),)
            if mandatory or destination in self._filled
            else (types.get(destination, Raw), _NULL)
            for destination, _, mandatory in self._rules
        }

    def apply(self, body: bytes) -> bytes:
        """Map an answer; the very same object comes back where nothing has to change.

        Raises:
            MissingFieldError: A mandatory field is absent, or the answer is no object and some field is mandatory.
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: The bytes are not taken as JSON (`UNDECODABLE`).
        """
        test = self._test
        if test is not None and self._is_fitting_likely and (fits := test.decode) is not None:
            try:
                answer = fits(body)
            except msgspec.ValidationError:
                pass
            else:
                rest = without_extra(answer) if test.has_extra else None
                return body if rest is None else rest
        try:
            fields = self._decode(body)
        except msgspec.ValidationError:
            fields = value_of(body)
        if not isinstance(fields, dict):
            if any(mandatory for _, _, mandatory in self._rules):
                raise MissingFieldError(None)
            return body
        # Fields that only stand in another order are no reason to change the bytes.
        if self._names is not None and fields.keys() >= self._required:
            selected = {name: fields[name] for name in self._names if name in fields}
            is_changed = len(selected) != len(fields)
            self._is_fitting_likely = not is_changed or self._learn(fields.keys() - selected.keys())
        else:
            selected = self._select(fields)
            is_changed = self._decode is not fields_of or selected != fields
            self._is_fitting_likely = not is_changed
        return msgspec.json.encode(selected) if is_changed else body

    def _learn(self, names: Collection[str]) -> bool:
        # Where nothing is required, an answer may have none but these: then an empty object is left.
        return self._test is not None and bool(self._required) and self._test.learn(names)

    def _select(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        selected = {}
        for destination, find, mandatory in self._rules:
            value = find(fields)
            if destination in self._booleans and not (isinstance(value, bool) or value in _BOOLEANS):
                value = ABSENT
            if value is not ABSENT:
                selected[destination] = value
            elif destination in self._filled:
                selected[destination] = None
            elif mandatory:
                raise MissingFieldError(destination)
        if self._item_fields and isinstance(selected.get(_ITEMS), Raw):
            selected[_ITEMS] = self._filtered(selected[_ITEMS])
        if self._keeps_extra:
            extra = {name: value for name, value in fields.items() if name not in self._sources}
            selected = selected | {name: value for name, value in extra.items() if name not in selected}
        return selected

    def _filtered(self, items: Raw) -> Raw:
        """The items of a list with the fields of their own schema."""
        try:
            split = items_of(items)
        except UNDECODABLE:  # it is no list
            return items
        filtered = [self._filtered_item(item) for item in split]
        is_changed = any(after is not before for before, after in zip(split, filtered, strict=True))
        return Raw(msgspec.json.encode(filtered)) if is_changed else items

    def _filtered_item(self, item: Raw) -> Raw:
        try:
            fields = fields_of(item)
        except UNDECODABLE:  # it is no object
            return item
        if fields.keys() <= self._item_fields:
            return item
        return Raw(msgspec.json.encode({name: fields[name] for name in fields if name in self._item_fields}))


def _decoder(
    fields: Mapping[str, tuple[Any, ...]], forbids_unknown: bool, extra: Collection[str]
) -> Callable[[bytes], Any]:
    """A decoder that refuses every object with other fields than these."""
    return decoder_of(fitting(fields, forbids_unknown=forbids_unknown, extra=extra))
