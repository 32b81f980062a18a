"""Server-Sent Events, mapped one by one as their bytes arrive; no I/O.

The parsing follows the WHATWG HTML standard, section 9.2 (Server-sent events). The repairs are for the OpenAI SDKs,
which drop a last event that has no blank line after it, and fail on an event whose data is empty.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from openai_middleware.answer.event_mapping import EventMapping
from openai_middleware.body_mapping import UNDECODABLE
from openai_middleware.errors import InternalServerError, OpenAIError

# The end of an event: the end of a line and an empty line. A carriage return after CR LF is the first half of another
# CR LF until the next byte tells otherwise; one after a lone CR, or a lone LF, is a whole line end, so that the event
# can leave. A line feed that follows after all is an empty line at the start of the next event.
_END_OF_EVENT: Final = re.compile(rb"\r\n\r\n|\r\n\n|\r\n\r(?=[^\n])|\r\r|\n(?<!\r\n)[\r\n]")
_LONGEST_UNFINISHED_END: Final = len(b"\r\n\r")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_DONE: Final = b"[DONE]"
# What nearly every event of nearly every app looks like: a name, or none, and one line of JSON.
_PLAIN_EVENT: Final = re.compile(rb"(?:event: (?!error\n)[^\r\n]+\n)?data: (\{[^\r\n]*)\n\n")


class EventStream:
    """One stream of Server-Sent Events on its way to the client.

    Every split of the input gives the same output. An event leaves when its last byte has come, as its original bytes
    where nothing has to change.
    """

    __slots__ = ("_buffer", "_has_id", "_is_done", "_is_first", "_mapping", "_searched", "_sequence_number")

    def __init__(self, mapping: EventMapping) -> None:
        self._mapping = mapping
        self._buffer = bytearray()
        self._searched = 0
        self._sequence_number = 0
        self._is_first = True
        self._is_done = False
        self._has_id = False

    def feed(self, chunk: bytes) -> bytes:
        """Take some bytes of the app and return those to send: of every event that ended here."""
        buffer = self._buffer
        if not buffer and (plain := _PLAIN_EVENT.fullmatch(chunk)) is not None:
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
        return b"".join(events)

    def finish(self) -> bytes:
        """The app's answer ended well: return what is still to be sent."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        event = self._event(_ended(rest)) if rest else b""
        if self._mapping.ends_with_done and not self._is_done:
            self._is_done = True
            event += b"data: [DONE]\n\n"
        return event

    def fail(self, error: BaseException) -> bytes:
        """The app failed: return the frame on which the SDKs raise. Half an event that has come is discarded.

        Args:
            error: Where it is an `OpenAIError`, the client learns what it says; of any other, nothing.
        """
        self._buffer.clear()
        if self._is_done:
            return b""
        if not isinstance(error, OpenAIError):
            error = InternalServerError("The server failed while it was sending this answer.")
        if self._mapping.is_numbered:
            frame = {"type": "error", "sequence_number": self._sequence_number, "error": error.detail}
            return b"event: error\ndata: " + msgspec.json.encode(frame) + b"\n\n"
        return b"data: " + error.body() + b"\n\n"

    def mapped(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """A whole stream, for a driver that iterates: what is to be sent of it, piece by piece.

        An exception of the app is raised again; where something was sent already, after the frame that tells of it.
        """
        has_started = False
        try:
            for chunk in chunks:
                if ready := self.feed(chunk):
                    has_started = True
                    yield ready
            if rest := self.finish():
                yield rest
        except Exception as error:
            if has_started:
                yield self.fail(error)
            raise

    async def amapped(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The same as `mapped`, for an async stream."""
        has_started = False
        try:
            async for chunk in chunks:
                if ready := self.feed(chunk):
                    has_started = True
                    yield ready
            if rest := self.finish():
                yield rest
        except Exception as error:
            if has_started:
                yield self.fail(error)
            raise

    def _event(self, block: bytes) -> bytes:
        """Map one event, given with the empty line that ends it. Empty lines before it are dropped."""
        if self._is_first:
            self._is_first = False
            block = block.removeprefix(_BYTE_ORDER_MARK)
        if block[:1] in b"\r\n":
            block = block.lstrip(b"\r\n")
            if not block:
                return b""
        plain = _PLAIN_EVENT.fullmatch(block)
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
            self._is_done = True
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
        try:
            mapped, self._sequence_number = self._mapping.apply(payload, self._sequence_number)
        except UNDECODABLE:
            return payload
        return mapped


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
