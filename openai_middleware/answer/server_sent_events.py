"""Server-Sent Events as bytes: where one ends, and what stands in it (WHATWG HTML, section 9.2)."""

import re
from typing import Final

# The end of an event: the end of a line and an empty line. A carriage return after CR LF is the first half of another
# CR LF until the next byte tells otherwise; one after a lone CR, or a lone LF, is a whole line end, so that the event
# can leave. A line feed that follows after all is an empty line at the start of the next event.
_END_OF_EVENT: Final = re.compile(rb"\r\n\r\n|\r\n\n|\r\n\r(?=[^\n])|\r\r|\n(?<!\r\n)[\r\n]")
_LONGEST_UNFINISHED_END: Final = len(b"\r\n\r")
LINE_END: Final = re.compile(rb"\r\n|\n|\r")
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
DONE: Final = b"[DONE]"
CARRIAGE_RETURN, LINE_FEED = b"\r\n"


class EventSplitter:
    """Finds the events in bytes that arrive in any pieces."""

    __slots__ = ("_buffer", "_searched")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0

    def __len__(self) -> int:
        """How many bytes have come of an event that has not ended."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take some bytes, and return the events that ended in them, each with the empty line that ends it.

        Empty lines before an event stand at its start.
        """
        buffer = self._buffer
        buffer += chunk
        events = []
        start = 0
        while (found := _END_OF_EVENT.search(buffer, self._searched)) is not None:
            end = found.end()
            events.append(bytes(buffer[start:end]))
            start = self._searched = end
        del buffer[:start]
        self._searched = max(0, len(buffer) - _LONGEST_UNFINISHED_END)
        return events

    def let_go(self) -> bytes:
        """What has come of an event that has not ended, but for what may be the first half of its end."""
        size = max(0, len(self._buffer) - _LONGEST_UNFINISHED_END)
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._searched = 0
        return taken

    def finish(self) -> bytes:
        """A last event without its empty line, ended; empty where there is none."""
        rest = bytes(self._buffer)
        self.clear()
        return _ended(rest) if rest else b""

    def clear(self) -> None:
        """Discard what has come of an event."""
        self._buffer.clear()
        self._searched = 0


class EventReader:
    """Reads the data of events that arrive in any pieces; names, ids and comments are left out."""

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._is_between = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take some bytes, and return the data of the events that ended in them, where they have any."""
        # What nearly every event is: one line of data.
        data = chunk[6:-2]
        is_event = self._is_between and data and chunk.startswith(b"data: ") and chunk.endswith(b"\n\n")
        if is_event and LINE_FEED not in data and CARRIAGE_RETURN not in data:
            return [data]
        found = [data for event in self._splitter.feed(chunk) if (data := data_of(event))]
        self._is_between = not self._splitter
        return found

    def finish(self) -> list[bytes]:
        """The data of a last event without its empty line."""
        data = data_of(self._splitter.finish())
        return [data] if data else []


def data_of(event: bytes) -> bytes:
    """The data of an event: its lines, joined."""
    lines = LINE_END.split(event.removeprefix(BYTE_ORDER_MARK))
    return b"\n".join(value for line in lines if (value := field(line, b"data")) is not None)


def field(line: bytes, name: bytes) -> bytes | None:
    """The value of a line, if it is a line of this field."""
    if not line.startswith(name):
        return None
    if len(line) == len(name):
        return b""
    if line[len(name) : len(name) + 1] != b":":
        return None
    return line[len(name) + 1 :].removeprefix(b" ")


def _ended(block: bytes) -> bytes:
    if block.endswith(b"\r\n\r"):
        return block
    if block.endswith(b"\r"):
        return block + b"\r"
    return block + (b"\n" if block.endswith(b"\n") else b"\n\n")
