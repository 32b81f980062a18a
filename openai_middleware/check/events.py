"""The oracle `wire`, of event streams: their framing, their order, their numbers and their end."""

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from openai_middleware.answer.server_sent_events import BYTE_ORDER_MARK, DONE, LINE_END, EventSplitter, data_of, field
from openai_middleware.check.exchange import Exchange
from openai_middleware.check.facts import Fact, kind_of
from openai_middleware.check.wire import Json, judge_text, message_of, read_json, unfinished
from openai_middleware.contract import Stream

__all__ = ["judge_events", "read_events", "usage_in"]

_TERMINAL: Final = ("response.completed", "response.incomplete", "response.failed")
_FIRST: Final = ("response.created", "response.queued")
_ITEM: Final = "response.output_item"
# What a part of a message holds, which the SDK's helper looks up in the part.
_IN_A_PART: Final = ("response.output_text", "response.refusal")
_FIELDS: Final = (b"event", b"data", b"id", b"retry", b"")


def usage_in(events: Sequence[Json]) -> Any:
    """The usage that a stream tells; None where it tells none."""
    for event in events:
        response = event.get("response")
        usage = event.get("usage") or (response.get("usage") if isinstance(response, dict) else None)
        if usage:
            return usage
    return None


def read_events(exchange: Exchange, stream: Stream) -> tuple[list[Json], list[Fact]]:
    """The events of a stream, and what is wrong with their framing. `[DONE]` is an event without fields."""
    if facts := unfinished(exchange):
        return [], facts
    if exchange.content_type != "text/event-stream":
        return [], [Fact("Content-Type", f"is {exchange.content_type or 'missing'}, not text/event-stream")]
    splitter = EventSplitter()
    blocks = splitter.feed(bytes(exchange.body).removeprefix(BYTE_ORDER_MARK))
    events: list[Json] = []
    for block in blocks:
        event = _read_event(block)
        if isinstance(event, Fact):
            return events, [event]
        if event is not None:
            events.append(event)
    rest = splitter.finish()
    if strange := _strange_line(rest):
        return events, [strange]
    if data_of(rest):
        return events, [Fact("", "the last event has no empty line after it")]
    if not events:
        return events, [Fact("", "the stream has no events")]
    if stream.is_typed and not any("type" in event for event in events):
        return events, [Fact("", "no event has a type")]
    return events, []


def judge_events(events: Sequence[Json], stream: Stream) -> list[Fact]:
    """What is wrong with the order and the end of events, `[DONE]` included."""
    if stream.name == "ResponseStreamEvent":
        return list(dict.fromkeys(_of_responses([event for event in events if event], stream.events)))
    if not stream.is_typed:
        return [*_of_chunks(events)]
    return []


def _read_event(block: bytes) -> Json | Fact | None:
    """An event: its data; an empty object for `[DONE]`; None for a comment."""
    lines = [line for line in LINE_END.split(block) if line]
    if all(line.startswith(b":") for line in lines):
        return None
    if strange := _strange_line(block):
        return strange
    data = data_of(block)
    if not data:
        return Fact("", f"an event has no data: {_shown(lines[0])}")
    if data.strip() == DONE:
        return {}
    event = read_json(data, "the data of an event")
    if isinstance(event, Fact):
        return Fact("", f"{event.what}: {_shown(data)}")
    if not isinstance(event, dict):
        return Fact("", f"the data of an event is {kind_of(event)}, not an object")
    names = [name.decode(errors="replace") for line in lines if (name := field(line, b"event")) is not None]
    is_error = names[-1:] == ["error"] or event.get("type") == "error"
    if is_error or event.get("error"):
        return Fact("", f"the stream ended with an error: {message_of(event.get('error') or event)}")
    if names and "type" in event and names[-1] != event["type"]:
        return Fact("event", f"is {names[-1]!r} where the type is {event['type']!r}")
    return event


def _strange_line(block: bytes) -> Fact | None:
    """A line that readers pass over, as they do with fields that they do not know: it was meant as something else."""
    for line in LINE_END.split(block):
        if line and line.partition(b":")[0] not in _FIELDS:
            return Fact("", f"a line of the stream is neither data nor a comment: {_shown(line)}")
    return None


def _shown(data: bytes) -> str:
    return repr(data[:40].decode(errors="replace"))


def _of_chunks(events: Sequence[Json]) -> Iterator[Fact]:
    choices = [choice for event in events for choice in _objects(event.get("choices"))]
    if not choices:
        yield Fact("", "no chunk has a choice")
    elif not any(choice.get("finish_reason") for choice in choices):
        yield Fact("choices[0].finish_reason", "never came")
    if {} not in events:
        yield Fact("", "[DONE] never came")
    elif events.index({}) != len(events) - 1:
        yield Fact("", "there are events after [DONE]")


def _of_responses(events: Sequence[Json], known: Collection[str]) -> Iterator[Fact]:
    names = [str(event.get("type")) for event in events]
    if names[0] not in _FIRST:
        yield Fact("", f"response.created {'is not the first event' if 'response.created' in names else 'never came'}")
    if names.count("response.created") > 1:
        yield Fact("", "response.created came twice")
    terminal = next((place for place, name in enumerate(names) if name in _TERMINAL), None)
    if terminal is None:
        yield Fact("", "response.completed never came")
    elif terminal != len(events) - 1:
        yield Fact("", f"{names[terminal + 1]} came after {names[terminal]}")
    else:
        yield from _of_the_end(events[terminal], names[terminal])
    yield from _of_ids(events)
    yield from _of_numbers(events)
    yield from _of_items(events, known, is_whole=terminal is not None and names[terminal] != "response.failed")


def _of_the_end(event: Json, name: str) -> Iterator[Fact]:
    response = event["response"] if isinstance(event.get("response"), dict) else {}
    wanted, status = name.removeprefix("response."), response.get("status")
    if wanted == "failed":
        yield Fact("", f"the response failed: {message_of(response.get('error'))}")
    elif isinstance(status, str) and status != wanted:
        yield Fact(f"{name}.response.status", f"is {status!r}, not {wanted!r}")
    else:
        yield from (Fact(f"{name}.response.{place}", what) for place, what in judge_text(response, "responses.create"))


def _of_ids(events: Sequence[Json]) -> Iterator[Fact]:
    named = [(str(event.get("type")), event["response"]) for event in events if isinstance(event.get("response"), dict)]
    for name, response in named[1:]:
        begun, first = named[0]
        if response.get("id", first.get("id")) != first.get("id", response.get("id")):
            yield Fact(f"{name}.response.id", f"is not that of {begun}")


def _of_numbers(events: Sequence[Json]) -> Iterator[Fact]:
    numbers = [event.get("sequence_number") for event in events]
    for before, number in pairwise(numbers):
        if isinstance(before, int) and isinstance(number, int) and number != before + 1:
            yield Fact("sequence_number", f"is {number} after {before}")
            return


class _Begun(NamedTuple):
    """Something that is sent in pieces: an item, a part of it, or what is in the part."""

    kind: str
    output_index: Any
    content_index: Any
    summary_index: Any


def _of_items(events: Sequence[Json], known: Collection[str], *, is_whole: bool) -> Iterator[Fact]:
    """What is added has to be done, as has that of which there are deltas; and it belongs to an item that is there."""
    added: dict[Any, Any] = {}  # the ids of items
    open_ones: dict[_Begun, None] = {}
    parts: set[_Begun] = set()
    for event in events:
        name, place = str(event.get("type")), event.get("output_index")
        kind, _, what = name.rpartition(".")
        one = _Begun(kind, place, event.get("content_index"), event.get("summary_index"))
        if name == f"{_ITEM}.added":
            item = event.get("item")
            if place in added:
                yield Fact("", f"{name} came twice, for output_index {place}")
            added[place] = item.get("id") if isinstance(item, dict) else None
        elif place is not None and place not in added:
            yield Fact("", f"{name} came before {_ITEM}.added, for output_index {place}")
            return
        item_id, wanted = event.get("item_id"), added.get(place)
        if isinstance(item_id, str) and isinstance(wanted, str) and item_id != wanted:
            yield Fact(f"{name}.item_id", f"is {item_id!r}, not {wanted!r}")
        is_in_a_part = kind in _IN_A_PART and place is not None and isinstance(one.content_index, int)
        if is_in_a_part and one._replace(kind="response.content_part") not in parts:
            yield Fact("", f"response.content_part.added never came, for output_index {place}")
        if what in ("added", "delta") and f"{kind}.done" in known:
            open_ones[one] = None
            parts.add(one)
        elif what == "done":
            open_ones.pop(one, None)
    if is_whole:
        yield from (Fact("", f"{one.kind}.done never came, for output_index {one.output_index}") for one in open_ones)


def _objects(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
