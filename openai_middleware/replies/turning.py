"""OpenAI's objects turned over: a whole one as the events of a stream, and the events as a whole one."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from openai_middleware.answer.failure import named_event
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.replies.chat import DONE
from openai_middleware.replies.chat_reader import is_other_call

_ENDS: Final = ("response.completed", "response.incomplete", "response.failed")


class Collector(Protocol):
    """Makes one object of the events of a stream."""

    def feed(self, event: Mapping[str, Any]) -> None:
        """Take an event."""

    def whole(self) -> bytes | None:
        """The object as JSON, once all events have been fed; None where the stream broke off before its end."""


def events_of(operation: str, answer: Any, *, with_usage: bool = False) -> bytes:
    """The events of a stream that gives the same object as this one.

    Args:
        operation: One of those whose answer is a chat completion, a text completion or a Response.
        answer: The object.
        with_usage: Whether chunks tell the usage: where the client asked for that. A Response always does.
    """
    if operation == "responses.create":
        return _response_events(answer)
    return _chunks(answer, is_chat=operation == "chat.completions.create", with_usage=with_usage)


def collector_of(operation: str) -> Collector:
    """What collects the events of an operation."""
    if operation == "responses.create":
        return _ResponseCollector()
    return _ChunkCollector(is_chat=operation == "chat.completions.create")


def _chunks(answer: Mapping[str, Any], *, is_chat: bool, with_usage: bool) -> bytes:
    shared = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
    if is_chat:
        shared["object"] = "chat.completion.chunk"
    choices = answer.get("choices")
    begun, ended = [], []
    for index, choice in enumerate(choices if isinstance(choices, list) else ()):
        if isinstance(choice, Mapping):
            place = {"index": choice.get("index", index)}
            said = {name: value for name, value in choice.items() if name not in ("message", "finish_reason")}
            delta: dict[str, Any] = {"delta": _delta(choice.get("message"))} if is_chat else {}
            begun.append({**said, **place, **delta, "finish_reason": None})
            rest: dict[str, Any] = {"delta": {}} if is_chat else {"text": ""}
            ended.append({**place, **rest, "logprobs": None, "finish_reason": choice.get("finish_reason") or "stop"})
    untold = {"usage": None} if with_usage else {}
    chunks = [{**shared, "choices": begun, **untold}, {**shared, "choices": ended, **untold}]
    if with_usage and answer.get("usage") is not None:
        chunks.append({**shared, "choices": [], "usage": answer["usage"]})
    return b"".join(b"data: " + encoded(chunk) + b"\n\n" for chunk in chunks) + DONE


def _delta(message: Any) -> dict[str, Any]:
    delta = dict(message) if isinstance(message, Mapping) else {}
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        delta["tool_calls"] = [
            {"index": index, **call} for index, call in enumerate(calls) if isinstance(call, Mapping)
        ]
    return delta


class _ChunkCollector:
    """Joins the chunks of a completion, choice by choice."""

    def __init__(self, *, is_chat: bool) -> None:
        self._is_chat = is_chat
        self._shared: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def feed(self, event: Mapping[str, Any]) -> None:
        """See `Collector.feed`."""
        for name, value in event.items():
            if name != "choices" and value is not None:
                self._shared[name] = value
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping):
                index = choice.get("index")
                place = index if isinstance(index, int) else 0
                _join(self._choices.setdefault(place, {}), choice)

    def whole(self) -> bytes | None:
        """See `Collector.whole`."""
        if not self._shared:
            return None
        choices = [self._choice(index, self._choices[index]) for index in sorted(self._choices)]
        kind = {"object": "chat.completion"} if self._is_chat else {}
        return encoded({**self._shared, **kind, "choices": choices})

    def _choice(self, index: int, joined: dict[str, Any]) -> dict[str, Any]:
        choice = {"index": index, "logprobs": None, **joined}
        choice["finish_reason"] = joined.get("finish_reason") or "stop"
        if not self._is_chat:
            return {"text": "", **choice}
        message = {"role": "assistant", "content": None, "refusal": None, **choice.pop("delta", {})}
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            message["tool_calls"] = [{name: call[name] for name in call if name != "index"} for call in calls]
        # Streams open with an empty text, also where none follows.
        is_silent = bool(calls or message["refusal"] or message.get("function_call"))
        message["content"] = message["content"] or (None if is_silent else "")
        return {**choice, "message": message}


def _join(joined: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Join a piece of an object to what came before: texts are joined, lists merged by `index`, all else replaced."""
    for name, value in piece.items():
        before = joined.get(name)
        if value is None or name == "index":
            joined.setdefault(name, value)
        elif isinstance(before, str) and isinstance(value, str) and name in _JOINED:
            joined[name] = before + value
        elif isinstance(before, dict) and isinstance(value, Mapping):
            _join(before, value)
        elif isinstance(value, Mapping):
            joined[name] = {}
            _join(joined[name], value)
        elif isinstance(value, list):
            _join_list(joined, name, value)
        else:
            joined[name] = value


_JOINED: Final = frozenset(("content", "refusal", "reasoning_content", "reasoning", "text", "arguments", "input"))


def _join_list(joined: dict[str, Any], name: str, pieces: list[Any]) -> None:
    items = joined[name] if isinstance(joined.get(name), list) else joined.setdefault(name, [])
    if items is None:
        items = joined[name] = []
    for place, piece in enumerate(pieces):
        if name != "tool_calls" or not isinstance(piece, Mapping):
            items.append(piece)
            continue
        index = piece.get("index", place)
        known = next((item for item in reversed(items) if item.get("index") == index), None)
        if known is None or is_other_call(known.get("id"), piece.get("id")):
            known = {"index": index}
            items.append(known)
        _join(known, piece)


class _ResponseCollector:
    """Takes the Response of the event that ends the stream."""

    def __init__(self) -> None:
        self._response: Any = None

    def feed(self, event: Mapping[str, Any]) -> None:
        """See `Collector.feed`."""
        if event.get("type") in _ENDS:
            self._response = event.get("response")

    def whole(self) -> bytes | None:
        """See `Collector.whole`."""
        return None if self._response is None else encoded(self._response)


def _response_events(response: Mapping[str, Any]) -> bytes:
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "completed_at": None}
    output = response.get("output")
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
    ]
    for index, item in enumerate(output if isinstance(output, list) else ()):
        if isinstance(item, Mapping):
            events += [(kind, {"output_index": index, **fields}) for kind, fields in _item_events(item)]
    status = response.get("status")
    end = f"response.{status}" if status in ("incomplete", "failed") else "response.completed"
    events.append((end, {"response": response}))
    return b"".join(
        named_event({"type": kind, "sequence_number": number, **fields}) for number, (kind, fields) in enumerate(events)
    )


_Events = Iterator[tuple[str, dict[str, Any]]]

# Of an item, the field that arrives piece by piece, and the events that it arrives in.
_ARGUMENTS: Final = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
    "mcp_call": ("arguments", "response.mcp_call_arguments"),
}
# The same of a part of an item.
_TEXTS: Final = {
    "output_text": ("text", "response.output_text"),
    "refusal": ("refusal", "response.refusal"),
    "reasoning_text": ("text", "response.reasoning_text"),
    "summary_text": ("text", "response.reasoning_summary_text"),
}


def _item_events(item: Mapping[str, Any]) -> _Events:
    kind = item.get("type")
    begun: dict[str, Any] = {**item, **({"status": "in_progress"} if "status" in item else {})}
    place = {"item_id": item.get("id")}
    inner: list[tuple[str, dict[str, Any]]] = []
    for field, index_name, part_events in (
        ("summary", "summary_index", "response.reasoning_summary_part"),
        ("content", "content_index", "response.content_part"),
    ):
        parts = item.get(field)
        if isinstance(parts, list) and kind in ("message", "reasoning"):
            begun[field] = []
            for index, part in enumerate(parts):
                inner += _part_events(part, {**place, index_name: index}, part_events)
    if kind in _ARGUMENTS:
        name, events = _ARGUMENTS[kind]
        begun[name] = ""
        text = item.get(name)
        if text:
            inner.append((f"{events}.delta", {**place, "delta": text}))
        more = {"name": item.get("name")} if kind == "function_call" else {}
        inner.append((f"{events}.done", {**place, name: text, **more}))
    yield "response.output_item.added", {"item": begun}
    yield from inner
    yield "response.output_item.done", {"item": item}


def _part_events(part: Any, place: Mapping[str, Any], part_events: str) -> _Events:
    if not isinstance(part, Mapping) or part.get("type") not in _TEXTS:
        yield f"{part_events}.added", {**place, "part": part}
        yield f"{part_events}.done", {**place, "part": part}
        return
    name, events = _TEXTS[part["type"]]
    text = part.get(name)
    lists: dict[str, Any] = {field: [] for field in ("annotations", "logprobs") if field in part}
    more = {"logprobs": part.get("logprobs") or []} if part["type"] == "output_text" else {}
    yield f"{part_events}.added", {**place, "part": {**part, **lists, name: ""}}
    if text:
        yield f"{events}.delta", {**place, "delta": text, **more}
    yield f"{events}.done", {**place, name: text, **more}
    yield f"{part_events}.done", {**place, "part": part}
