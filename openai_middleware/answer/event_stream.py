"""Server-Sent Events, mapped one by one as their bytes arrive; no I/O.

The parsing follows the WHATWG HTML standard, section 9.2 (Server-sent events). The repairs are for the OpenAI SDKs,
which drop a last event that has no blank line after it, and fail on an event whose data is empty.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any, Final

from openai_middleware.answer.answer import told_to_client
from openai_middleware.answer.event_mapping import EventMapping
from openai_middleware.answer.failure import failed_response
from openai_middleware.answer.server_sent_events import (
    BYTE_ORDER_MARK,
    CARRIAGE_RETURN,
    DONE,
    LINE_END,
    LINE_FEED,
    EventSplitter,
    field,
)
from openai_middleware.headers import AGAINST_BUFFERING, OF_WHOLE_BODY, Header
from openai_middleware.mapping.json_codec import UNDECODABLE, fields_of, value_of, without_extra

MAX_EVENT_SIZE: Final = 16 * 1024 * 1024
"""How many bytes an event may have that is mapped. A larger one leaves as its bytes come."""

# A name, or none, and one line of JSON. That a dot takes carriage returns, too, is tested apart.
_PLAIN_EVENT: Final = re.compile(rb"(?:event: (?!error\n).+\n)?data: (\{.*)\n\n")

logger = logging.getLogger("openai_middleware")


class EventStream:
    """One stream of Server-Sent Events on its way to the client. See `Answer`.

    Every split of the input gives the same output. An event leaves when its last byte has come, as its original bytes
    where nothing has to change.

    Args:
        mapping: What becomes of the events' data.
        headers: The app's headers.
        name: The operation, or the endpoint's key, for the log.
        request_id: The id of the request, for the log.
    """

    __slots__ = (
        "_announced",
        "_beginning",
        "_fits",
        "_has_extra",
        "_has_id",
        "_is_between",
        "_is_first",
        "_is_numbered",
        "_is_oversized",
        "_mapping",
        "_name",
        "_request_id",
        "_sequence_number",
        "_splitter",
        "_start",
        "has_started",
        "headers",
        "is_complete",
    )

    is_stream = True
    is_changed = True

    def __init__(
        self, mapping: EventMapping, headers: Sequence[Header] = (), name: str = "", request_id: str = ""
    ) -> None:
        present = {name.lower() for name, _ in headers}
        own = [header for header in headers if header[0].lower() not in OF_WHOLE_BODY]
        self.headers: Sequence[Header] = own + [header for header in AGAINST_BUFFERING if header[0] not in present]
        self.has_started = False
        self.is_complete = False
        self._mapping = mapping
        self._fits = mapping.fits
        self._has_extra = mapping.has_extra
        self._is_numbered = mapping.is_numbered
        # What stood before the data of the last event, the brace included, and where its data began.
        self._beginning, self._start = b"data: {", 6
        self._splitter = EventSplitter()
        self._is_between = True
        self._name = name
        self._request_id = request_id
        self._is_oversized = False
        self._sequence_number = 0
        self._is_first = True
        self._has_id = False
        # The event that announced the answer: a stream that fails has to end it.
        self._announced = b""

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer.feed`: every event that ended here leaves."""
        if self._is_between and CARRIAGE_RETURN not in chunk:
            # What nearly every chunk is: one event with one line of JSON, named after its type if at all. Found so, it
            # takes a third of what a regular expression takes, which looks at each byte.
            start = self._start if chunk.startswith(self._beginning) else self._new_start(chunk)
            data = chunk[start:-2]
            if start and chunk[-2:] == b"\n\n" and LINE_FEED not in data and len(data) <= MAX_EVENT_SIZE:
                self.has_started = True
                fits = self._fits
                if fits is None:
                    return self._mapped_event(chunk, data, start)
                try:
                    event = fits(data)
                except UNDECODABLE:
                    return self._mapped_event(chunk, data, start)
                if self._is_numbered:
                    self._sequence_number = event.sequence_number + 1
                if not self._has_extra:
                    return chunk
                rest = without_extra(event)
                return chunk if rest is None else b"%b%b\n\n" % (chunk[:start], rest)
        events = [self._event(event) for event in self._splitter.feed(chunk)]
        if self._is_oversized or len(self._splitter) > MAX_EVENT_SIZE:
            events.append(self._unmapped(self._splitter.let_go()))
            self._is_oversized = True
        self._is_between = not self._splitter
        return self._leaving(b"".join(events))

    def _new_start(self, chunk: bytes) -> int:
        """Where the data of an event begins that does not begin as the last one did; 0 where that is not to be told."""
        start = chunk.find(b"data: {") + 6
        beginning = chunk[: start + 1]
        if beginning not in self._mapping.beginnings:
            return 0
        self._beginning, self._start = beginning, start
        return start

    def finish(self) -> bytes:
        """See `Answer.finish`: a last event without its blank line, and the end marker that the app left out."""
        rest = self._splitter.finish()
        self._is_between = True
        event = self._event(rest) if rest else b""
        if self._mapping.ends_with_done and not self.is_complete:
            event += b"data: [DONE]\n\n"
        self.is_complete = True
        return self._leaving(event)

    def fail(self, error: BaseException) -> bytes:
        """See `Answer.fail`: the frames on which the SDKs raise. Half an event that has come is discarded."""
        self._splitter.clear()
        self._is_between = True
        if self._is_oversized:
            # What has left of it cannot be taken back: it ends here, so that what follows is an event of its own.
            self._is_oversized = False
            return b"\n\n" + self.fail(error)
        if self.is_complete or not self.has_started:
            return b""
        self.is_complete = True
        if not self._is_numbered:
            return b"data: " + told_to_client(error).body() + b"\n\n"
        answer = self._announced_answer()
        return failed_response(error, answer if isinstance(answer, dict) else None, self._sequence_number)

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
        if self._is_oversized:
            self._is_oversized = False
            return block
        if len(block) > MAX_EVENT_SIZE:
            return self._unmapped(block)
        block = self._without_mark(block)
        if block[:1] in b"\r\n":
            block = block.lstrip(b"\r\n")
            if not block:
                return b""
        plain = None if CARRIAGE_RETURN in block else _PLAIN_EVENT.fullmatch(block)
        if plain is not None:
            return self._mapped_event(block, plain[1], plain.start(1))
        lines = LINE_END.split(block)
        data = [value for line in lines if (value := field(line, b"data")) is not None]
        payload = data[0] if len(data) == 1 else b"\n".join(data)
        if not payload or (self._mapping.is_json and payload.isspace()):
            is_comment = all(not line or line.startswith(b":") for line in lines)
            return block if is_comment and not self._has_id else b""
        for line in lines:
            identifier = field(line, b"id")
            if identifier is not None:
                self._has_id = bool(identifier)
        if payload.startswith(DONE):
            self.is_complete = True
            return block
        if not self._mapping.maps_errors and any(field(line, b"event") == b"error" for line in lines):
            return block
        mapped = self._mapped(payload)
        return block if mapped is payload else _rebuilt(lines, mapped)

    def _unmapped(self, beginning: bytes) -> bytes:
        """The beginning of an event that is too large to be mapped, or more of it."""
        if self._is_oversized:
            return beginning
        message = "%s: an event has more than %d bytes and leaves as it is (request %s)."
        logger.warning(message, self._name, MAX_EVENT_SIZE, self._request_id)
        return self._without_mark(beginning).lstrip(b"\r\n")

    def _without_mark(self, block: bytes) -> bytes:
        """What came, without the byte order mark at the beginning of a stream."""
        is_first, self._is_first = self._is_first and not self.has_started, False
        return block.removeprefix(BYTE_ORDER_MARK) if is_first else block

    def _mapped_event(self, block: bytes, data: bytes, start: int) -> bytes:
        """Map an event with one line of data, which begins at `start`."""
        mapped = self._mapped(data)
        self._fits = self._mapping.fits if self._mapping.is_fitting_likely else None
        self._has_extra = self._mapping.has_extra
        return block if mapped is data else b"%b%b\n\n" % (block[:start], mapped)

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


def _rebuilt(lines: Sequence[bytes], data: bytes) -> bytes:
    kept = [line for line in lines if line and field(line, b"data") is None]
    # A value that stood in several lines still does.
    return b"".join(line + b"\n" for line in kept) + b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"
