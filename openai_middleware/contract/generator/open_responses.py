"""What the Open Responses document, which describes the Responses API as many servers have it, adds to the contract.

Its data file is kept by hand: where it comes from, its date, and what its entries mean stand in it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

from openai_middleware.contract.contract import OPEN_RESPONSES

__all__ = ["Call", "OpenResponses", "unite"]

# Lists the items that a Response was asked with. The document has no such operation, but says what the items are.
_LIST_OF_ITEMS = "responses.input_items.list"


class Call(NamedTuple):
    """One operation: the names of the fields of its body, and of those of its answer whether each is nullable."""

    body: frozenset[str]
    answer: dict[str, bool]


class OpenResponses:
    """The Open Responses document.

    Args:
        content: What the data file holds.

    Attributes:
        date: The date of the document, which is its version.
        calls: Its operations: `POST /responses` -> what is sent and answered.
        events: Its event stream: the type of an event -> its field -> whether that holds the answer of
            `POST /responses`.
        item_fields: The fields of all kinds of items, those of a request and those of an answer.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._schemas: Mapping[str, Any] = content["schemas"]
        paths: Mapping[str, tuple[str, str]] = content["paths"]
        self.date: str = content["date"]
        self.calls = {path: self._call(body, answer) for path, (body, answer) in paths.items()}
        self.events = dict(self._events(answer=paths["POST /responses"][1]))
        self.item_fields = frozenset(self._fields_of("ItemParam")) | frozenset(self._fields_of("ItemField"))

    @classmethod
    def load(cls) -> Self:
        """Read the data file beside the contract.

        Raises:
            OSError: The file cannot be read.
        """
        return cls(json.loads(OPEN_RESPONSES.read_text("utf-8")))

    def _call(self, body: str, answer: str) -> Call:
        nullable = {field: is_nullable for field, (_, is_nullable, _) in self._schemas[answer].items()}
        return Call(frozenset(self._schemas[body]), nullable)

    def _events(self, answer: str) -> Iterator[tuple[str, dict[str, bool]]]:
        for name, fields in self._schemas.items():
            if name.endswith("StreamingEvent"):
                event_type = fields["type"][2].removeprefix("=")
                yield event_type, {field: kind == answer for field, (*_, kind) in fields.items()}

    def _fields_of(self, union: str) -> Iterator[str]:
        for member in self._schemas[union].split(" or "):
            yield from self._schemas[member]


def unite(document: dict[str, Any], open_responses: OpenResponses) -> None:
    """Add to a contract what only Open Responses has.

    What both have stays as the contract has it, and all that is added is optional: a server that knows nothing of Open
    Responses goes on working. Operations that the contract lacks are left out, for it is the SDK that names them.

    Args:
        document: The content of a contract's data file; it is changed.
        open_responses: What is added.
    """
    document["open_responses"] = open_responses.date
    operations = {name: one for group in document["groups"].values() for name, one in group.items()}
    for operation in operations.values():
        if call := open_responses.calls.get(f"{operation['method']} {operation['path']}"):
            operation["body"] = dict.fromkeys(call.body, False) | operation["body"]
            schema = document["schemas"][operation["schema"]]
            schema.update({name: [False, flag] for name, flag in call.answer.items() if name not in schema})
            if operation["stream"]:
                _unite_events(document["streams"][operation["stream"]]["events"], open_responses, operation["schema"])
    if name := operations.get(_LIST_OF_ITEMS, {}).get("items"):
        document["items"][name] = sorted({*document["items"][name], *open_responses.item_fields})


def _unite_events(events: dict[str, Any], open_responses: OpenResponses, answer: str) -> None:
    for event_type, fields in open_responses.events.items():
        event = events.setdefault(event_type, {"fields": []})
        event["fields"] = sorted({*event["fields"], *fields})
        if nested := {name: answer for name, holds_answer in fields.items() if holds_answer}:
            event["nested"] = nested | event.get("nested", {})
