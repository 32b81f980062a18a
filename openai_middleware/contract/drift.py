"""How one contract differs from another, and how to say it: one line for each difference."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from openai_middleware.contract import Contract, Operation, ResponseField, StreamEvent

__all__ = ["Change", "drift", "report"]

Kind = Literal["removed", "changed", "added"]

# All that is said of one operation or event, flat: {"body field model": "mandatory"}. The first names it as a whole.
Facts = Mapping[str, str]

_SIGNS: Final[dict[Kind, str]] = {"removed": "-", "changed": "~", "added": "+"}


class Change(NamedTuple):
    """One difference. `section` is a group of operations or a stream, `place` an operation or a type of event."""

    section: str
    place: str
    kind: Kind
    what: str


def drift(old: Contract, new: Contract) -> list[Change]:
    """What has changed from the old contract to the new one.

    Operations and types of events are compared by name. The names of schemas and streams make no difference.

    Raises:
        ValueError: one of the two turns out not to be a contract.
    """
    changes: list[Change] = []
    for group in sorted({*old.groups, *new.groups}):
        changes += _compare(group, _group_facts(old, group), _group_facts(new, group))
    for old_stream, new_stream in sorted(_shared_streams(old, new)):
        section = f"stream {new_stream}"
        changes += _compare(section, _stream_facts(old, old_stream), _stream_facts(new, new_stream))
    return changes


def report(changes: Iterable[Change]) -> str:
    """The changes, section by section; what is the same in several places of one section takes one line."""
    sections: dict[str, dict[tuple[Kind, str], list[str]]] = {}
    for section, place, kind, what in changes:
        sections.setdefault(section, {}).setdefault((kind, what), []).append(place)
    return "\n\n".join("\n".join([section, *_lines(places)]) for section, places in sections.items())


def _lines(places: Mapping[tuple[Kind, str], list[str]]) -> Iterator[str]:
    kinds = list(_SIGNS)
    for kind, what in sorted(places, key=lambda change: kinds.index(change[0])):
        yield f"  {_SIGNS[kind]} {', '.join(places[kind, what])}: {what}"


def _compare(section: str, old: Mapping[str, Facts], new: Mapping[str, Facts]) -> Iterator[Change]:
    for place in sorted(old.keys() | new.keys()):
        if place not in new:
            yield Change(section, place, "removed", _as_a_whole(old[place]))
        elif place not in old:
            yield Change(section, place, "added", _as_a_whole(new[place]))
        else:
            for kind, what in _compare_facts(old[place], new[place]):
                yield Change(section, place, kind, what)


def _compare_facts(old: Facts, new: Facts) -> Iterator[tuple[Kind, str]]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield "removed", _say(name, old[name])
        elif name not in old:
            yield "added", _say(name, new[name])
        elif old[name] != new[name]:
            yield "changed", f"{name}: {old[name]} -> {new[name]}"


def _as_a_whole(facts: Facts) -> str:
    return _say(*next(iter(facts.items())))


def _say(name: str, value: str) -> str:
    return f"{name} ({value})" if value else name


def _group_facts(contract: Contract, group: str) -> dict[str, Facts]:
    operations = contract.operations(group) if group in contract.groups else ()
    return {operation.name: _operation_facts(operation) for operation in operations}


def _operation_facts(operation: Operation) -> Facts:
    facts = {
        "operation": f"{operation.method} {operation.path}",
        "request": operation.request,
        "answer": operation.response,
    }
    for name, mandatory in operation.body.items():
        facts[f"body field {name}"] = _mandatory(mandatory)
    for name, parameter in operation.query.items():
        facts[f"query parameter {name}"] = f"{_mandatory(parameter.mandatory)} {parameter.type}"
    for name, field in operation.fields.items():
        facts[f"answer field {name}"] = _flags(field)
    for name in sorted(operation.item_fields):
        facts[f"item field {name}"] = ""
    if operation.stream:
        facts["event stream"] = ""
    return facts


def _shared_streams(old: Contract, new: Contract) -> set[tuple[str, str]]:
    """The streams of the operations that both contracts have: what each of the two calls them."""
    before, after = _streams(old), _streams(new)
    return {(before[operation], after[operation]) for operation in before.keys() & after.keys()}


def _streams(contract: Contract) -> dict[str, str]:
    operations = (operation for group in contract.groups for operation in contract.operations(group))
    return {operation.name: operation.stream for operation in operations if operation.stream}


def _stream_facts(contract: Contract, stream: str) -> dict[str, Facts]:
    events = contract.stream(stream).events
    return {event_type or "every event": _event_facts(event) for event_type, event in events.items()}


def _event_facts(event: StreamEvent) -> Facts:
    facts = {"event": ""} | {f"field {name}": "" for name in event.fields}
    for name, answer in event.nested.items():
        facts |= {f"field {name}.{nested}": _flags(field) for nested, field in answer.items()}
    return facts


def _mandatory(mandatory: bool) -> str:
    return "mandatory" if mandatory else "optional"


def _flags(field: ResponseField) -> str:
    return _mandatory(field.mandatory) + (" nullable" if field.nullable else "")
