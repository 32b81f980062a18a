"""The oracle `wire`: status, headers, envelopes and the framing of event streams, read off the bytes."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from openai_middleware.answer.server_sent_events import BYTE_ORDER_MARK, DONE, LINE_END, EventSplitter, data_of, field
from openai_middleware.check.exchange import Exchange
from openai_middleware.check.facts import Fact, kind_of
from openai_middleware.contract import Operation, Stream

__all__ = [
    "error_in",
    "json_in",
    "judge_events",
    "judge_pages",
    "judge_refusal",
    "judge_whole",
    "read_events",
    "usage_in",
]

Json = dict[str, Any]

TERMINAL: Final = ("response.completed", "response.incomplete", "response.failed")
_FIRST: Final = ("response.created", "response.queued")
_REFUSALS: Final = range(400, 500)


def judge_whole(exchange: Exchange, operation: Operation) -> list[Fact]:
    """What is wrong with a successful answer that is no stream."""
    facts = _unfinished(exchange)
    if facts or operation.response == "none":
        return facts
    if operation.response == "binary":
        return [] if exchange.body else [Fact("", "the answer is empty")]
    answer = _json_in(exchange)
    if isinstance(answer, Fact):
        return [answer]
    if isinstance(error := answer.get("error"), dict | str) and error and "id" not in answer:
        return [Fact("", f"the status is {exchange.status}, and the body is an error: {_message(error)}")]
    return list(_of_a_list(answer, operation)) if operation.item_fields else []


def judge_refusal(exchange: Exchange, asked: str, statuses: Sequence[int] = _REFUSALS) -> list[Fact]:
    """What is wrong with the answer to a request that is to be refused.

    Args:
        exchange: The answer.
        asked: What was asked for, in words.
        statuses: Those that are right.
    """
    if facts := _unfinished(exchange):
        return facts
    if exchange.status not in statuses:
        wanted = "4xx" if statuses == _REFUSALS else " or ".join(map(str, statuses))
        return [Fact("", f"the status is {exchange.status} for {asked}, not {wanted}")]
    answer = _json_in(exchange)
    return [answer] if isinstance(answer, Fact) else list(_of_an_envelope(answer))


def error_in(exchange: Exchange) -> Json:
    """The error that an envelope holds; an empty object where it is none."""
    error = json_in(exchange).get("error")
    return error if isinstance(error, dict) else {}


def json_in(exchange: Exchange) -> Json:
    """The object that a body holds; an empty one where it holds none."""
    answer = _json_in(exchange)
    return {} if isinstance(answer, Fact) else answer


def judge_pages(exchanges: Sequence[Exchange]) -> list[Fact]:
    """What is wrong with the pages of a list, one after the other."""
    pages = [json_in(exchange).get("data") for exchange in exchanges]
    for before, page in pairwise(pages):
        if page and page == before:
            return [Fact("data", "is the same on the next page: the list has no end")]
    return []


def usage_in(events: Sequence[Json]) -> Any:
    """The usage that a stream tells; None where it tells none."""
    for event in events:
        response = event.get("response")
        usage = event.get("usage") or (response.get("usage") if isinstance(response, dict) else None)
        if usage:
            return usage
    return None


def read_events(exchange: Exchange) -> tuple[list[Json], list[Fact]]:
    """The events of a stream, and what is wrong with their framing. `[DONE]` is an event without fields."""
    if facts := _unfinished(exchange):
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
        if event and (event.get("type") == "error" or event.get("error")):
            return events, [Fact("", f"the stream ended with an error: {_message(event.get('error') or event)}")]
    rest = data_of(splitter.finish())
    return events, [Fact("", "the last event has no empty line after it")] if rest else []


def judge_events(events: Sequence[Json], stream: Stream) -> list[Fact]:
    """What is wrong with the order and the end of events, `[DONE]` included."""
    if stream.name == "ResponseStreamEvent":
        return [*_of_responses([event for event in events if event])]
    if not stream.is_typed:
        return [*_of_chunks(events)]
    return []


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


def _of_responses(events: Sequence[Json]) -> Iterator[Fact]:
    names = [str(event.get("type")) for event in events]
    if not names or names[0] not in _FIRST:
        wanted = "response.created"
        yield Fact("", f"{wanted} {'is not the first event' if wanted in names else 'never came'}")
    terminal = next((place for place, name in enumerate(names) if name in TERMINAL), None)
    if terminal is None:
        yield Fact("", "response.completed never came")
    elif terminal != len(events) - 1:
        yield Fact("", f"{names[terminal + 1]} came after {names[terminal]}")
    elif names[terminal] == "response.failed":
        response = events[terminal].get("response")
        yield Fact(
            "", f"the response failed: {_message(response.get('error') if isinstance(response, dict) else None)}"
        )
    yield from _of_numbers(events)
    yield from _of_items(events)


def _of_numbers(events: Sequence[Json]) -> Iterator[Fact]:
    numbers = [event.get("sequence_number") for event in events]
    for before, number in pairwise(numbers):
        if isinstance(before, int) and isinstance(number, int) and number != before + 1:
            yield Fact("sequence_number", f"is {number} after {before}")
            return


def _of_items(events: Sequence[Json]) -> Iterator[Fact]:
    opened: dict[Any, str] = {}
    for event in events:
        name, place = str(event.get("type")), event.get("output_index")
        if name in ("response.output_item.added", "response.output_item.done"):
            opened[place] = name
        elif place is not None and place not in opened:
            yield Fact("", f"{name} came before response.output_item.added, for output_index {place}")
            return
    for place, name in opened.items():
        if name == "response.output_item.added" and "response.failed" not in {event.get("type") for event in events}:
            yield Fact("", f"response.output_item.done never came, for output_index {place}")


def _unfinished(exchange: Exchange) -> list[Fact]:
    return [Fact("", exchange.problem)] if exchange.problem else []


def _json_in(exchange: Exchange) -> Json | Fact:
    if exchange.content_type != "application/json":
        return Fact("Content-Type", f"is {exchange.content_type or 'missing'}, not application/json")
    try:
        answer = json.loads(exchange.body)
    except (ValueError, RecursionError):
        return Fact("", "the body is no JSON")
    return answer if isinstance(answer, dict) else Fact("", f"the body is {kind_of(answer)}, not an object")


def _of_an_envelope(answer: Json) -> Iterator[Fact]:
    error = answer.get("error")
    if "error" not in answer:
        yield Fact("error", "missing")
    elif not isinstance(error, dict):
        yield Fact("error", f"is {kind_of(error)}, not an object")
    else:
        for name, is_nullable in (("message", False), ("type", False), ("param", True), ("code", True)):
            if name not in error:
                yield Fact(f"error.{name}", "missing")
            elif not isinstance(error[name], str) and not (is_nullable and error[name] is None):
                yield Fact(f"error.{name}", f"is {kind_of(error[name])}, not a string{' or null' * is_nullable}")


def _of_a_list(answer: Json, operation: Operation) -> Iterator[Fact]:
    if "data" in operation.fields and not isinstance(answer.get("data"), list):
        yield Fact("data", f"is {kind_of(answer['data'])}, not a list" if "data" in answer else "missing")
    has_more = operation.fields.get("has_more")
    if has_more is not None and has_more.mandatory and not isinstance(answer.get("has_more"), bool):
        missing = "missing: the SDK would ask for page after page"
        wrong = f"is {kind_of(answer.get('has_more'))}, not a boolean"
        yield Fact("has_more", wrong if "has_more" in answer else missing)


def _read_event(block: bytes) -> Json | Fact | None:
    """An event: its data; an empty object for `[DONE]`; None for a comment."""
    lines = [line for line in LINE_END.split(block) if line]
    names = [name.decode(errors="replace") for line in lines if (name := field(line, b"event")) is not None]
    if all(line.startswith(b":") for line in lines):
        return None
    data = data_of(block)
    if not data:
        return Fact("", f"an event has no data: {lines[0].decode(errors='replace')[:40]!r}")
    if data.strip() == DONE:
        return {}
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return Fact("", f"the data of an event is no JSON: {data[:40].decode(errors='replace')!r}")
    if not isinstance(event, dict):
        return Fact("", f"the data of an event is {kind_of(event)}, not an object")
    if names and "type" in event and names[-1] != event["type"]:
        return Fact("event", f"is {names[-1]!r} where the type is {event['type']!r}")
    return event


def _objects(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _message(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:200] if message else "without a message"
