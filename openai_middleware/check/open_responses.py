"""The oracle `open-responses`: answers and events held against the schemas of the Open Responses document."""

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator

from openai_middleware.check.facts import Fact, facts_of_schema
from openai_middleware.contract import shipped
from openai_middleware.contract.contract import OPEN_RESPONSES

__all__ = ["SCHEMAS", "judge_events", "judge_whole"]

# Of the operations that the document has, those whose answers it describes.
SCHEMAS: Final = {"responses.create": "ResponseResource", "responses.compact": "CompactResource"}
_ANYTHING: Final[dict[str, Any]] = {}
_TYPES: Final = ("string", "integer", "number", "boolean", "object")


def judge_whole(operation: str, answer: Any) -> list[Fact]:
    """What is wrong with a whole answer."""
    return facts_of_schema(_document().validator(SCHEMAS[operation]).iter_errors(answer))


def judge_events(events: Iterable[Mapping[str, Any]]) -> list[Fact]:
    """What is wrong with the events of a stream of `responses.create`.

    An event that the document does not have, and that OpenAI's API has, is no business of this oracle.
    """
    document = _document()
    known = shipped().stream("ResponseStreamEvent").events
    facts: list[Fact] = []
    for event in events:
        name = event.get("type")
        if name in document.events:
            facts += facts_of_schema(document.validator(document.events[name]).iter_errors(event), str(name))
        elif "type" not in event:
            facts.append(Fact("type", "missing"))
        elif name not in known:
            facts.append(Fact("", f"{name!r} is no type of event"))
    return list(dict.fromkeys(facts))


class _Document:
    """The Open Responses document as JSON Schema.

    A value that may be of several kinds is held against the one kind that it says it is, by its JSON type or by its
    `type`. So an error names a field, and not all the kinds that the value is not.
    """

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self.events = {
            fields["type"][2].removeprefix("="): name
            for name, fields in schemas.items()
            if name.endswith("StreamingEvent")
        }
        self._definitions = {name: self._object(one) for name, one in schemas.items() if isinstance(one, dict)}
        self.validator = functools.cache(self._validator)

    def _validator(self, name: str) -> Draft202012Validator:
        return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": self._definitions})

    def _object(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": [name for name, (is_required, _, _) in fields.items() if is_required],
            "properties": {
                name: self._nullable(self._kind(kind)) if is_nullable else self._kind(kind)
                for name, (_, is_nullable, kind) in fields.items()
            },
        }

    def _kind(self, kind: str) -> dict[str, Any]:
        if kind.startswith("="):
            return {"enum": kind.removeprefix("=").split("|")}
        if kind == "any":
            return _ANYTHING
        if kind in _TYPES:
            return {"type": kind}
        before, is_list, items = kind.partition("array of ")
        if is_list:
            listed = {"type": "array", "items": self._kind(items)}
            others = before.removesuffix(" or ")
            return self._any_of([self._kind(others), listed]) if others else listed
        members = kind.split(" or ")
        if len(members) > 1:
            return self._any_of([self._kind(member) for member in members])
        schema = self._schemas[kind]
        return {"$ref": f"#/$defs/{kind}"} if isinstance(schema, dict) else self._kind(schema)

    def _nullable(self, schema: dict[str, Any]) -> dict[str, Any]:
        if isinstance(schema.get("type"), str):
            return {**schema, "type": [schema["type"], "null"]}
        return {"if": {"not": {"type": "null"}}, "then": schema} if schema else schema

    def _any_of(self, schemas: list[dict[str, Any]]) -> dict[str, Any]:
        """One of several kinds: each is tried where the value is of its JSON type, objects by their `type`."""
        objects = {self._constant(schema): schema for schema in schemas if "$ref" in schema}
        others = {
            "string" if "enum" in schema else schema["type"]: schema for schema in schemas if "$ref" not in schema
        }
        if objects:
            chosen = [{"if": _has_type(name), "then": schema} for name, schema in objects.items()]
            others["object"] = {
                "required": ["type"],
                "properties": {"type": {"enum": list(objects)}},
                "allOf": chosen,
            }
        conditions = [{"if": {"type": name}, "then": schema} for name, schema in others.items()]
        return {"type": list(others), "allOf": conditions}

    def _constant(self, schema: Mapping[str, Any]) -> str:
        fields = self._schemas[schema["$ref"].rpartition("/")[2]]
        return str(fields["type"][2].removeprefix("="))


def _has_type(name: str) -> dict[str, Any]:
    return {"required": ["type"], "properties": {"type": {"const": name}}}


@functools.cache
def _document() -> _Document:
    return _Document(json.loads(OPEN_RESPONSES.read_text("utf-8"))["schemas"])
