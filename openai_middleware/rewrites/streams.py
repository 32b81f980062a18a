"""The streams of an app, read as replies."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from openai_middleware.answer.answer import Answer
from openai_middleware.answer.server_sent_events import DONE, EventReader
from openai_middleware.config.rewrite import Rewrite, is_path
from openai_middleware.mapping.json_codec import UNDECODABLE, fields_of, value_of
from openai_middleware.mapping.json_path import ABSENT, compile_lookup
from openai_middleware.replies.answers import invalid_answer
from openai_middleware.replies.chat_reader import is_chat_object
from openai_middleware.replies.collected import failure_in
from openai_middleware.rewrites.reading import Read, UnreadableError, shown

logger = logging.getLogger("openai_middleware")


class LineSplitter:
    """Splits newline-delimited JSON into its documents."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take some bytes, and return the lines that ended in them."""
        first, *others = chunk.split(b"\n")
        if len(others) == 1 and not self._rest and not others[0]:
            # A whole line, as it is nearly always.
            return [first] if first.strip() else []
        self._rest += first
        if not others:
            return []
        lines = [bytes(self._rest), *others[:-1]]
        self._rest = bytearray(others[-1])
        return [line for line in lines if line.strip()]

    def finish(self) -> list[bytes]:
        """A last line without its end."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [rest] if rest.strip() else []


class StreamReading:
    """How the pieces of a stream are read; compiled once.

    Args:
        name: The operation, for the log.
        read: What reads a piece; None where text is the piece itself.
        rewrite: What users wrote; None where nothing but a chat stream is expected.

    Attributes:
        takes_text: Whether what is no object or list, or no JSON at all, is text.
        ends: The data that ends the stream.
        is_done: Finds what ends the stream in a piece, or None.
    """

    def __init__(self, name: str, read: Read | None, rewrite: Rewrite | None) -> None:
        self.name = name
        self.read = read
        self._path = None if rewrite is None else rewrite.reply if rewrite.delta is None else rewrite.delta
        self.takes_text = rewrite is None or rewrite.delta is None
        done = None if rewrite is None else rewrite.done
        self.ends = (DONE,) if done is None or is_path(done) else (DONE, done.encode())
        self.is_done = compile_lookup(done) if done is not None and is_path(done) else None

    def say_that_nothing_was_read(self, request_id: str) -> None:
        """Log that no piece of a stream holds what is looked for: the client gets an empty reply."""
        wanted = "is text" if self._path is None else f"has anything at {shown(self._path)}"
        message = "%s: the app's stream could not be read: no piece of it %s (request %s)."
        logger.warning(message, self.name, wanted, request_id)


class StreamReader:
    """Reads a stream piece by piece: the data of server-sent events, or lines of JSON. See `PieceReader`.

    Args:
        reading: How a piece is read.
        splitter: What finds the pieces in the bytes.
        request_id: The id of the request, for the log.
    """

    def __init__(self, reading: StreamReading, splitter: EventReader | LineSplitter, request_id: str) -> None:
        self._reading = reading
        self._splitter = splitter
        self._request_id = request_id
        self._has_ended = False
        self._has_skipped = False
        self._has_read = False

    def feed(self, chunk: bytes) -> Iterable[Any]:
        """See `PieceReader.feed`."""
        documents = self._splitter.feed(chunk)
        if len(documents) != 1:
            return self._pieces(documents)
        piece = self._piece(documents[0])
        return () if piece is ABSENT else (piece,)

    def finish(self) -> Iterable[Any]:
        """See `PieceReader.finish`."""
        yield from self._pieces(self._splitter.finish())
        if self._has_skipped and not self._has_read:
            self._reading.say_that_nothing_was_read(self._request_id)

    def _pieces(self, documents: Iterable[bytes]) -> Iterator[Any]:
        for data in documents:
            piece = self._piece(data)
            if piece is not ABSENT:
                yield piece

    def _piece(self, data: bytes) -> Any:
        """What a document says; ABSENT where that is nothing.

        Raises:
            InternalServerError: It tells of a failure, or what it says is no piece of a reply.
        """
        reading = self._reading
        if self._has_ended or data.strip() in reading.ends:
            self._has_ended = True
            return ABSENT
        try:
            value = value_of(data)
        except UNDECODABLE:
            value = ABSENT
        # Where text is taken, a number is a piece of it.
        is_read = value is not ABSENT and not reading.takes_text
        if isinstance(value, dict):
            is_read = True
            if ("error" in value or "type" in value) and (failure := failure_in(value)) is not None:
                raise failure
        elif isinstance(value, list):
            is_read = True
        piece: Any = ABSENT
        if is_read:
            if reading.is_done is not None:
                end = reading.is_done(value)
                self._has_ended = end is not ABSENT and bool(end)
            try:
                piece = ABSENT if reading.read is None else reading.read(value)
            except UnreadableError as error:
                raise invalid_answer(reading.name, str(error), self._request_id) from error
        if piece is ABSENT and reading.takes_text:
            piece = _plain(value, data)
        if piece is ABSENT:
            self._has_skipped = True
        else:
            self._has_read = True
        return piece


def _plain(value: Any, data: bytes) -> Any:
    """What a piece of a stream says by itself: OpenAI's own, or text, which may be no JSON, or look like a number."""
    if isinstance(value, dict):
        return value if is_chat_object(value) else ABSENT
    return value if value is None or isinstance(value, str) else data.decode(errors="replace")


_JSON_LINES: Final = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")


def splitter_of(kind: str) -> EventReader | LineSplitter | None:
    """What splits a stream of a media type into its pieces; None where it is no such stream."""
    if kind == "text/event-stream":
        return EventReader()
    return LineSplitter() if kind in _JSON_LINES else None


class FirstEventDecides:
    """Server-sent events of which it is not known whether their data is OpenAI's own, or plain text. See `Answer`.

    Args:
        as_text: What becomes of text.
        native: What becomes of OpenAI's own events.
    """

    is_changed = True

    def __init__(self, as_text: Answer, native: Answer | None) -> None:
        self._as_text = as_text
        self._native = native
        self._answer = as_text
        self._first: EventReader | None = None if native is None else EventReader()
        self._held = bytearray()
        self.is_stream = as_text.is_stream
        self._followed(b"")

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer.feed`."""
        if self._first is None:
            return self._followed(self._answer.feed(chunk))
        self._held += chunk
        return self._followed(self._decided(self._first.feed(chunk)))

    def finish(self) -> bytes:
        """See `Answer.finish`."""
        ready = b"" if self._first is None else self._decided([*self._first.finish(), DONE])
        return self._followed(ready + self._answer.finish())

    def fail(self, error: BaseException) -> bytes:
        """See `Answer.fail`."""
        return self._followed(self._answer.fail(error))

    def _followed(self, ready: bytes) -> bytes:
        answer = self._answer
        self.headers, self.is_complete, self.has_started = answer.headers, answer.is_complete, answer.has_started
        return ready

    def _decided(self, events: Sequence[bytes]) -> bytes:
        if not events:
            return b""
        if self._native is not None and (events[0] is DONE or _is_object(events[0])):
            self._answer = self._native
        self._first = None
        held, self._held = bytes(self._held), bytearray()
        return self._answer.feed(held)


def _is_object(data: bytes) -> bool:
    try:
        fields_of(data)
    except UNDECODABLE:
        return False
    return True
