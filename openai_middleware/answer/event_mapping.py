"""What becomes of the data of server-sent events; compiled once, used by many streams."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import or_
from typing import Any, Final, Protocol

import msgspec
from msgspec import Raw

from openai_middleware.answer.built_mapping import mapping_class
from openai_middleware.answer.response_mapping import ExtraFields, MissingFieldError
from openai_middleware.contract import Stream
from openai_middleware.mapping.fitting import FittingTest
from openai_middleware.mapping.json_codec import decoder_of, encoded, fields_of, fitting, value_of
from openai_middleware.mapping.rule import BodyMapping

Mapped = tuple[bytes, int, str | None]

# The events after which a Response is final, and the one that announces it.
_FINAL: Final = frozenset(("response.completed", "response.incomplete", "response.failed"))
_ANNOUNCING: Final = "response.created"
_NULL: Final = Raw(b"null")


class EventMapping(Protocol):
    """How the data of one kind of stream is mapped. Compiled once, used by many streams.

    Attributes:
        is_json: Whether all data is JSON, so that white space alone is as good as none.
        ends_with_done: Whether the stream ends with `data: [DONE]`.
        is_numbered: Whether events carry a `sequence_number`.
        maps_errors: Whether error frames are mapped too. Otherwise they pass.
        begins: The type of the event whose `response` is the answer so far, or None.
        ends: The types of events after which the client waits for nothing.
        beginnings: What events that are named after their types, or not at all, begin with, up to the data's brace.
        fits: A decoder that takes only data which `apply` would give back as it is, or without the fields that
            `without_extra` leaves out, of an event that neither begins nor ends the answer; of numbered events it
            returns the number. It refuses, and decides nothing: what it does not take is `apply`'s. None where there is
            none.
        has_extra: Whether there are such fields; to be read after `fits`.
        is_fitting_likely: Whether `fits` would take an event like the last one that `apply` got. A race of two threads
            costs time, and changes nothing.
    """

    is_json: bool
    ends_with_done: bool
    is_numbered: bool
    maps_errors: bool
    begins: str | None
    ends: frozenset[str | None]
    beginnings: frozenset[bytes]
    fits: Callable[[bytes], Any] | None
    has_extra: bool
    is_fitting_likely: bool

    def apply(self, data: bytes, sequence_number: int) -> Mapped:
        """Map the data of one event.

        Args:
            data: The data, without `[DONE]`.
            sequence_number: The number that this event gets if it has none.

        Returns:
            The data to send, the very same object where nothing has to change; the number of the next event; and the
            type of this one, where the contract has it.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: The data is not taken as JSON (`UNDECODABLE`).
        """


class _Plain:
    """What most streams have in common."""

    is_json = False
    ends_with_done = False
    is_numbered = False
    maps_errors = False
    begins: str | None = None
    ends: frozenset[str | None] = frozenset()
    beginnings = frozenset((b"data: {",))
    fits: Callable[[bytes], Any] | None = None
    has_extra = False
    is_fitting_likely = False


class PassingEvents(_Plain):
    """Leaves the data of events as it is."""

    def apply(self, data: bytes, sequence_number: int) -> Mapped:
        """See `EventMapping.apply`."""
        return data, sequence_number, None


class RuleEvents(_Plain):
    """Maps the data of every event by rules. Error frames pass; a mandatory field has no meaning in events.

    Args:
        rules: The rules.
        stream: The stream of the OpenAI API whose repairs it needs all the same, or None.
    """

    def __init__(self, rules: Sequence[BodyMapping], stream: Stream | None = None) -> None:
        self._mapping = mapping_class(rules)([replace(rule, mandatory=False) for rule in rules])
        self.maps_errors = any(rule.source_path in ("error", "$.error") for rule in rules)
        self.is_json = stream is not None
        self.ends_with_done = stream is not None and not stream.is_typed
        self.is_numbered = stream is not None and stream.is_numbered

    def apply(self, data: bytes, sequence_number: int) -> Mapped:
        """See `EventMapping.apply`."""
        if not self.maps_errors and _is_error_frame(fields_of(data)):
            return data, sequence_number, None
        mapped = self._mapping.apply(data)
        if not self.is_numbered:
            return mapped, sequence_number, None
        fields = fields_of(mapped)
        own_number = _number(fields.get("sequence_number"))
        if own_number is not None:
            return mapped, own_number + 1, None
        fields["sequence_number"] = Raw(b"%d" % sequence_number)
        return msgspec.json.encode(fields), sequence_number + 1, None


class ContractEvents(_Plain):
    """Filters the data of every event to the fields that the contract has for its type.

    Unknown types pass, and so does data with none of the fields: it is an extension of the app's own.

    Args:
        stream: The stream's events.
        answer_rules: The output rules of the JSON answer, for events that hold a whole answer.
        nullable: Mandatory fields of that answer that are filled with null where they are absent.
        extra_fields: Whether other top-level fields are left out (`"drop"`) or stay (`"keep"`).
    """

    is_json = True

    def __init__(
        self,
        stream: Stream,
        answer_rules: Sequence[BodyMapping],
        nullable: Sequence[str],
        extra_fields: ExtraFields = "drop",
    ) -> None:
        # An event may hold an answer that is not complete yet: only what can be null is filled in.
        rules = [replace(rule, mandatory=rule.destination_path in nullable) for rule in answer_rules]
        self._answer = mapping_class(rules)(rules, nullable, extra_fields=extra_fields)
        self._drops = extra_fields == "drop"
        # Errors have several forms, and some clients need just the fields that the contract does not have.
        events = {kind: event for kind, event in stream.events.items() if kind != "error"}
        self._fields = {kind: frozenset(event.fields) for kind, event in events.items()}
        self._order = {kind: sorted(event.fields, key="type".__ne__) for kind, event in events.items()}
        # As they are nearly always written, so that they need not be decoded.
        self._kinds = {encoded(kind): kind for kind in events}
        self._nested = {kind: event.nested.keys() if rules else () for kind, event in events.items()}
        # Streams of typed events end with an event that says so.
        self.ends_with_done = not stream.is_typed
        self.is_numbered = stream.is_numbered
        self.beginnings |= {b"event: %b\ndata: {" % kind.encode() for kind in events}
        if _ANNOUNCING in events:
            self.begins = _ANNOUNCING
            self.ends = _FINAL & events.keys()
        tested = {
            kind: fields
            for kind, fields in self._order.items()
            if self.ends_with_done
            or ("type" in fields and not (self._nested[kind] or kind == self.begins or kind in self.ends))
        }
        decoder = partial(_decoder, tested, forbids_unknown=self._drops, is_numbered=self.is_numbered)
        # Of an event with an error, all is left.
        self._test = FittingTest(decoder, never=("error",))
        self.fits = self._test.decode

    def _learn(self, names: Collection[str]) -> bool:
        takes_all = self._test.learn(names)
        self.has_extra, self.fits = self._test.has_extra, self._test.decode
        return takes_all

    def apply(self, data: bytes, sequence_number: int) -> Mapped:
        """See `EventMapping.apply`."""
        fields = fields_of(data)
        own_number, following, kind = None, sequence_number, ""
        if self.is_numbered and (own_number := _number(fields.get("sequence_number"))) is not None:
            following = own_number + 1
        if not self.ends_with_done:
            written = fields.get("type", _NULL)
            kind = self._kinds.get(bytes(written)) or _text(written)
        known = self._fields.get(kind)
        if known is None or (self.ends_with_done and _is_error_frame(fields)):
            return data, following, None
        unknown = fields.keys() - known
        if unknown and len(unknown) == len(fields):
            return data, following, None
        is_changed = self._drops and bool(unknown)
        self.is_fitting_likely = not is_changed or self._learn(unknown)
        if is_changed:
            fields = {name: fields[name] for name in self._order[kind] if name in fields}
            if kind:
                fields["type"] = Raw(encoded(kind))
        for field in self._nested[kind]:
            if field not in fields:
                continue
            before = bytes(fields[field])
            after = self._mapped_answer(before)
            if after is not before:
                fields[field] = Raw(after)
                is_changed = True
        if self.is_numbered and own_number is None:
            fields["sequence_number"] = Raw(b"%d" % sequence_number)
            following += 1
            is_changed, self.is_fitting_likely = True, False
        return msgspec.json.encode(fields) if is_changed else data, following, kind

    def _mapped_answer(self, answer: bytes) -> bytes:
        try:
            return self._answer.apply(answer)
        except MissingFieldError:  # it is no object
            return answer


def _decoder(
    orders: Mapping[str, Iterable[str]], extra: Iterable[str], *, forbids_unknown: bool, is_numbered: bool
) -> Callable[[bytes], Any] | None:
    """A decoder of events of these kinds that have no field but those of their kind, and such as are left out."""
    tests = [
        _test_of(fields, kind or None, extra=extra, forbids_unknown=forbids_unknown, is_numbered=is_numbered)
        for kind, fields in orders.items()
    ]
    return decoder_of(reduce(or_, tests)) if tests else None


def _test_of(
    fields: Iterable[str], kind: str | None, *, extra: Iterable[str], forbids_unknown: bool, is_numbered: bool
) -> type[msgspec.Struct]:
    types: dict[str, tuple[Any, ...]] = {name: (Raw, _NULL) for name in fields if kind is None or name != "type"}
    if is_numbered:
        types["sequence_number"] = (int,)
    return fitting(types, extra=extra, forbids_unknown=forbids_unknown, tag=kind, attribute="sequence_number")


def _is_error_frame(fields: Mapping[str, Raw]) -> bool:
    return "error" in fields and bytes(fields["error"]) != b"null"


def _text(value: Raw) -> str:
    text = value_of(value)
    return text if isinstance(text, str) else ""


def _number(value: Raw | None) -> int | None:
    try:
        return None if value is None else int(bytes(value))
    except ValueError:  # it is another kind of value, or a number that is written with a fraction
        return None
