"""Server-Sent Events, mapped one by one as their bytes arrive; no I/O.

The parsing follows the WHATWG HTML standard, section 9.2 (Server-sent events). The repairs are for the OpenAI SDKs,
which drop a last event that has no blank line after it, and fail on an event whose data is empty.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from openai_middleware.answer.answer import told_to_client
from openai_middleware.answer.event_mapping import EventMapping
from openai_middleware.errors import OpenAIError
from openai_middleware.headers import AGAINST_BUFFERING, OF_WHOLE_BODY, Header
from openai_middleware.mapping.json_codec import UNDECODABLE, fields_of, value_of

# The end of an event: the end of a line and an empty line. A carriage return after CR LF is the first half of another
# CR LF until the next byte tells otherwise; one after a lone CR, or a lone LF, is a whole line end, so that the event
# can leave. A line feed that follows after all is an empty line at the start of the next event.
_END_OF_EVENT: Final = re.compile(rb"\r\n\r\n|\r\n\n|\r\n\r(?=[^\n])|\r\r|\n(?<!\r\n)[\r\n]")
_LONGEST_UNFINISHED_END: Final = len(b"\r\n\r")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_DONE: Final = b"[DONE]"
# What nearly every event of nearly every app looks like: a name, or none, and one line of JSON.
# A dot is a third of the price of a set; that it takes carriage returns, too, is tested apart.
_PLAIN_EVENT: Final = re.compile(rb"(?:event: (?!error\n).+\n)?data: (\{.*)\n\n")


class EventStream:
    """One stream of Server-Sent Events on its way to the client. See `Answer`.

    Every split of the input gives the same output. An event leaves when its last byte has come, as its original bytes
    where nothing has to change.

    Args:
        mapping: What becomes of the events' data.
        headers: The app's headers.
    """

    __slots__ = (
        "_announced",
        "_buffer",
        "_has_id",
        "_is_first",
        "_mapping",
        "_searched",
        "_sequence_number",
        "has_started",
        "headers",
        "is_complete",
    )

    is_stream = True
    is_changed = True

    def __init__(self, mapping: EventMapping, headers: Sequence[Header] = ()) -> None:
        present = {name.lower() for name, _ in headers}
        own = [header for header in headers if header[0].lower() not in OF_WHOLE_BODY]
        self.headers: Sequence[Header] = own + [header for header in AGAINST_BUFFERING if header[0] not in present]
        self.has_started = False
        self.is_complete = False
        self._mapping = mapping
        self._buffer = bytearray()
        self._searched = 0
        self._sequence_number = 0
        self._is_first = True
        self._has_id = False
        # The event that announced the answer: a stream that fails has to end it.
        self._announced = b""

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer.feed`: every event that ended here leaves."""
        buffer = self._buffer
        if not buffer and (plain := _plain(chunk)) is not None:
            self.has_started = True
            return self._plain_event(chunk, plain)
        buffer += chunk
        events = []
        start = 0
        while (found := _END_OF_EVENT.search(buffer, self._searched)) is not None:
            end = found.end()
            events.append(self._event(bytes(buffer[start:end])))
            start = self._searched = end
        del buffer[:start]
        self._searched = max(0, len(buffer) - _LONGEST_UNFINISHED_END)
        return self._leaving(b"".join(events))

    def finish(self) -> bytes:
        """See `Answer.finish`: a last event without its blank line, and the end marker that the app left out."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        event = self._event(_ended(rest)) if rest else b""
        if self._mapping.ends_with_done and not self.is_complete:
            event += b"data: [DONE]\n\n"
        self.is_complete = True
        return self._leaving(event)

    def fail(self, error: BaseException) -> bytes:
        """See `Answer.fail`: the frames on which the SDKs raise. Half an event that has come is discarded."""
        self._buffer.clear()
        if self.is_complete or not self.has_started:
            return b""
        self.is_complete = True
        told = told_to_client(error)
        if not self._mapping.is_numbered:
            return b"data: " + told.body() + b"\n\n"
        number = self._sequence_number
        frames = _named_event({"type": "error", "sequence_number": number, "error": told.detail})
        answer = self._announced_answer()
        if isinstance(answer, dict):
            # Clients that skip `error` wait for an event that ends the answer; in this order every SDK raises once.
            failure = {"code": _failure_code(told), "message": told.message}
            answer |= {"status": "failed", "error": failure}
            frames += _named_event({"type": "response.failed", "sequence_number": number + 1, "response": answer})
        return frames

    def _announced_answer(self) -> Any:
        announced = fields_of(self._announced).get("response") if self._announced else None
        try:
            return value_of(announced) if announced is not None else None
        except UNDECODABLE:  # only a look into its texts tells so, and on the way out they got none
            return None

    def _leaving(self, ready: bytes) -> bytes:
        if ready:
            self.has_started = True
        return ready

    def _event(self, block: bytes) -> bytes:
        """Map one event, given with the empty line that ends it. Empty lines before it are dropped."""
        if self._is_first:
            self._is_first = False
            block = block.removeprefix(_BYTE_ORDER_MARK)
        if block[:1] in b"\r\n":
            block = block.lstrip(b"\r\n")
            if not block:
                return b""
        plain = _plain(block)
        if plain is not None:
            return self._plain_event(block, plain)
        lines = _LINE_END.split(block)
        data = [value for line in lines if (value := _field(line, b"data")) is not None]
        payload = data[0] if len(data) == 1 else b"\n".join(data)
        if not payload or (self._mapping.is_json and payload.isspace()):
            is_comment = all(not line or line.startswith(b":") for line in lines)
            return block if is_comment and not self._has_id else b""
        for line in lines:
            identifier = _field(line, b"id")
            if identifier is not None:
                self._has_id = bool(identifier)
        if payload.startswith(_DONE):
            self.is_complete = True
            return block
        if not self._mapping.maps_errors and any(_field(line, b"event") == b"error" for line in lines):
            return block
        mapped = self._mapped(payload)
        return block if mapped is payload else _rebuilt(lines, mapped)

    def _plain_event(self, block: bytes, found: re.Match[bytes]) -> bytes:
        self._is_first = False
        payload = found[1]
        mapped = self._mapped(payload)
        return block if mapped is payload else block[: found.start(1)] + mapped + b"\n\n"

    def _mapped(self, payload: bytes) -> bytes:
        mapping = self._mapping
        try:
            mapped, self._sequence_number, kind = mapping.apply(payload, self._sequence_number)
        except UNDECODABLE:
            return payload
        if kind in mapping.ends:
            self.is_complete, self._announced = True, b""
        elif kind is not None and kind == mapping.begins:
            self._announced = mapped
        return mapped


def _failure_code(error: OpenAIError) -> str:
    # Of the codes that a Response's `error` may have: the first is worth another try to clients, the second is not.
    if error.code is not None:
        return error.code
    if error.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_exceeded"
    return "invalid_prompt" if error.status_code < 500 else "server_error"


def _named_event(event: dict[str, Any]) -> bytes:
    name: str = event["type"]
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"


def _plain(block: bytes) -> re.Match[bytes] | None:
    return None if b"\r" in block else _PLAIN_EVENT.fullmatch(block)


def _field(line: bytes, name: bytes) -> bytes | None:
    """The value of a line, if it is a line of this field."""
    if not line.startswith(name):
        return None
    if len(line) == len(name):
        return b""
    if line[len(name) : len(name) + 1] != b":":
        return None
    return line[len(name) + 1 :].removeprefix(b" ")


def _rebuilt(lines: Sequence[bytes], data: bytes) -> bytes:
    kept = [line for line in lines if line and _field(line, b"data") is None]
    # A value that stood in several lines still does.
    return b"".join(line + b"\n" for line in kept) + b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def _ended(block: bytes) -> bytes:
    """A last event with the empty line that ends it."""
    if block.endswith(b"\r\n\r"):
        return block
    if block.endswith(b"\r"):
        return block + b"\r"
    return block + (b"\n" if block.endswith(b"\n") else b"\n\n")
