"""The operations of the OpenAI API and their fields, read from a data file that the generator writes."""

import functools
import os
from pathlib import Path
from typing import Final, Literal, NamedTuple, Self, TypeVar

import msgspec

__all__ = ["Contract", "Operation", "QueryParameter", "ResponseField", "Stream", "StreamEvent", "shipped"]

FORMAT: Final = 1
"""The number of the form that contract files have; a file with another one is refused."""

SHIPPED: Final = Path(__file__).with_name("openai.json")
"""Where the contract lies that is used unless another is given."""

OPEN_RESPONSES: Final = Path(__file__).with_name("open-responses.json")
"""Where the facts of the Open Responses document lie."""

T = TypeVar("T")


class QueryParameter(NamedTuple):
    """What is known of one query parameter. `string` also stands for values that may have several types."""

    mandatory: bool
    type: Literal["string", "integer", "number", "boolean", "array", "object"]


class ResponseField(NamedTuple):
    """What is known of one top-level field of an answer. One that is mandatory and nullable is null when unset."""

    mandatory: bool
    nullable: bool


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the OpenAI API, named as the SDK names it: `responses.input_items.list`.

    Attributes:
        path: Has placeholders: `/responses/{response_id}`.
        body: Says of each field whether it is mandatory.
        fields: Those of a JSON answer, otherwise empty; of an answer that has several forms, the fields of all forms.
        item_fields: Where such an answer lists objects in `data`, the fields that those objects have, of whatever kind
            they are. Empty where it lists none, or where the SDK does not tell what they are.
        stream: The name for `Contract.stream`, where the answer may be an event stream instead.
    """

    name: str
    group: str
    method: str
    path: str
    request: Literal["json", "multipart", "none"]
    body: dict[str, bool]
    query: dict[str, QueryParameter]
    response: Literal["json", "binary", "none"]
    fields: dict[str, ResponseField]
    item_fields: frozenset[str] = frozenset()
    stream: str | None

    @property
    def nullable(self) -> frozenset[str]:
        """The fields of an answer that are mandatory and nullable: they are null where the app left them out."""
        return frozenset(name for name, field in self.fields.items() if field.mandatory and field.nullable)


class StreamEvent(msgspec.Struct, frozen=True):
    """The fields of one type of event. `nested` are those among them that hold an answer: its fields, by field name."""

    fields: tuple[str, ...]
    nested: dict[str, dict[str, ResponseField]]


class Stream(msgspec.Struct, frozen=True):
    """An event stream: its events by their `type`; the type is an empty string where all events are of one kind."""

    name: str
    events: dict[str, StreamEvent]

    @property
    def is_typed(self) -> bool:
        """Whether events are told apart by their `type`."""
        return "" not in self.events

    @property
    def is_numbered(self) -> bool:
        """Whether every event carries a `sequence_number`."""
        return all("sequence_number" in event.fields for event in self.events.values())


class _OperationEntry(msgspec.Struct):
    method: str
    path: str
    request: Literal["json", "multipart", "none"]
    body: dict[str, bool]
    query: dict[str, QueryParameter]
    response: Literal["json", "binary", "none"]
    schema: str | None
    stream: str | None
    items: str | None = None


class _EventEntry(msgspec.Struct):
    fields: tuple[str, ...]
    nested: dict[str, str] = {}


class _StreamEntry(msgspec.Struct):
    events: dict[str, _EventEntry]


class _File(msgspec.Struct):
    format: Literal[1]
    openai: str
    groups: dict[str, msgspec.Raw]
    schemas: dict[str, msgspec.Raw]
    streams: dict[str, msgspec.Raw]
    # What follows is not in files that were written before there was any of it.
    items: dict[str, msgspec.Raw] = {}
    open_responses: str | None = None


# Made here rather than for the first contract: two threads that let msgspec look into a class for the first time crash.
_file = msgspec.json.Decoder(_File)
_operations = msgspec.json.Decoder(dict[str, _OperationEntry])
_fields = msgspec.json.Decoder(dict[str, ResponseField])
_names = msgspec.json.Decoder(frozenset[str])
_stream = msgspec.json.Decoder(_StreamEntry)


class Contract:
    """The operations of the OpenAI API: what one version of its SDK and one of the Open Responses document have.

    Only what is asked for is decoded. A file that turns out not to be a contract raises `ValueError`, be it at once or
    when the part that is wrong is asked for.
    """

    def __init__(self, data: bytes, source: str) -> None:
        """Take the content of a data file; `source` names it in errors."""
        self._source = source
        self._file = self._decode(data, _file, "the file")
        self._operations: dict[str, dict[str, Operation]] = {}
        self._schemas: dict[str, dict[str, ResponseField]] = {}
        self._items: dict[str, frozenset[str]] = {}
        self._streams: dict[str, Stream] = {}

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """Read a data file; without a path, the one that this package ships.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not a contract.
        """
        path = SHIPPED if path is None else Path(path)
        return cls(path.read_bytes(), str(path))

    @property
    def version(self) -> str:
        """The version of the OpenAI SDK that this contract was generated from."""
        return self._file.openai

    @property
    def open_responses(self) -> str | None:
        """The date of the Open Responses document that this contract was generated from; None where there was none."""
        return self._file.open_responses

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of all groups of operations, sorted."""
        return tuple(sorted(self._file.groups))

    def operations(self, group: str) -> tuple[Operation, ...]:
        """The operations of one group, sorted by name.

        Raises:
            ValueError: there is no such group.
        """
        return tuple(self._operations_by_name(group).values())

    def operation(self, name: str) -> Operation | None:
        """The operation that the SDK calls by this name, or None."""
        resource, _, rest = name.partition(".")
        # So that one operation costs no more than its group, the group is read off the name.
        for group in (resource, f"{resource}_{rest.partition('.')[0]}"):
            if group in self._file.groups:
                return self._operations_by_name(group).get(name)
        return None

    def operation_names(self) -> tuple[str, ...]:
        """The names of all operations, sorted."""
        return tuple(sorted(operation.name for group in self.groups for operation in self.operations(group)))

    def check(self) -> None:
        """Decode all that there is.

        Raises:
            ValueError: some part of the file is wrong.
        """
        for group in self.groups:
            for operation in self.operations(group):
                if operation.stream is not None:
                    self.stream(operation.stream)

    def stream(self, name: str) -> Stream:
        """The events of a stream that an operation names.

        Raises:
            ValueError: there is no such stream.
        """
        if name not in self._streams:
            raw = self._entry(self._file.streams, name, "stream")
            entry = self._decode(raw, _stream, f"stream {name}")
            self._streams[name] = Stream(name, {key: self._event(event) for key, event in entry.events.items()})
        return self._streams[name]

    def _operations_by_name(self, group: str) -> dict[str, Operation]:
        if group not in self._operations:
            raw = self._entry(self._file.groups, group, "group")
            entries = self._decode(raw, _operations, f"group {group}")
            self._operations[group] = {name: self._operation(group, name, entries[name]) for name in sorted(entries)}
        return self._operations[group]

    def _operation(self, group: str, name: str, entry: _OperationEntry) -> Operation:
        return Operation(
            name=name,
            group=group,
            method=entry.method,
            path=entry.path,
            request=entry.request,
            body=entry.body,
            query=entry.query,
            response=entry.response,
            fields={} if entry.schema is None else self._schema(entry.schema),
            item_fields=frozenset() if entry.items is None else self._item_fields(entry.items),
            stream=entry.stream,
        )

    def _event(self, entry: _EventEntry) -> StreamEvent:
        return StreamEvent(entry.fields, {field: self._schema(schema) for field, schema in entry.nested.items()})

    def _schema(self, name: str) -> dict[str, ResponseField]:
        if name not in self._schemas:
            raw = self._entry(self._file.schemas, name, "schema")
            self._schemas[name] = self._decode(raw, _fields, f"schema {name}")
        return self._schemas[name]

    def _item_fields(self, name: str) -> frozenset[str]:
        if name not in self._items:
            raw = self._entry(self._file.items, name, "item")
            self._items[name] = self._decode(raw, _names, f"item {name}")
        return self._items[name]

    def _entry(self, entries: dict[str, msgspec.Raw], name: str, kind: str) -> msgspec.Raw:
        if name not in entries:
            choices = ", ".join(sorted(entries))
            raise ValueError(f"{self._source} has no {kind} {name!r}. It has: {choices}")
        return entries[name]

    def _decode(self, data: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T], part: str) -> T:
        try:
            return decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"{self._source} is not a contract of format {FORMAT}: {part}: {error}") from error


@functools.cache
def shipped() -> Contract:
    """The contract that this package ships, read once.

    Raises:
        OSError: the installation is incomplete.
    """
    return Contract.load()
