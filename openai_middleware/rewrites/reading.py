"""The app's answers to rewritten requests, read as replies."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from openai_middleware.answer.answer import Answer
from openai_middleware.answer.server_sent_events import DONE, EventReader
from openai_middleware.config.rewrite import Reading, is_path
from openai_middleware.mapping.json_codec import UNDECODABLE, encoded, fields_of, json_kind, value_of
from openai_middleware.mapping.json_path import ABSENT, compile_list, compile_lookup
from openai_middleware.replies.answers import invalid_answer
from openai_middleware.replies.chat_reader import is_chat_object
from openai_middleware.replies.collected import failure_in
from openai_middleware.replies.reply import Reply, ToolCall, Usage

Read = Callable[[Any], Any]


class UnreadableError(ValueError):
    """What stands at a path is no part of a reply. The message names the paths, and has no values."""


def compiled_reading(reading: Reading) -> Read:
    """A function from an app's JSON to a piece of a reply; ABSENT where there is none. It raises UnreadableError.

    Args:
        reading: What users wrote.
    """
    if callable(reading):
        return reading
    if isinstance(reading, str):
        find = compile_lookup(reading)

        def read_text(value: Any) -> Any:
            found = find(value)
            return found if type(found) is str else _text(found)

        return read_text
    fields = [(name, compile_lookup(path)) for name, path in reading.items()]

    def read_fields(value: Any) -> Any:
        present = {}
        is_there = False
        for name, find in fields:
            found = find(value)
            if found is not ABSENT:
                is_there = True
                if found is not None:
                    present[name] = found
        if len(present) == 1 and "content" in present:
            # All that most pieces of a stream hold.
            return _text(present["content"])
        if not is_there:
            return ABSENT
        try:
            return _reply(present)
        except (TypeError, ValueError) as error:
            # What it says may hold values.
            raise UnreadableError(f"{_arrows(reading)} is no tool call or usage") from error

    return read_fields


def compiled_values(reading: Reading) -> Read:
    """A function from an app's JSON to a list: of names, or of vectors. The argument is that of above."""
    if callable(reading):
        return reading
    if not isinstance(reading, str):
        raise TypeError(f"A list is read by a path or by a function, not by a {type(reading).__name__}.")
    return compile_list(reading)


def _text(value: Any) -> Any:
    if value is ABSENT or value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(item if isinstance(item, str) else encoded(item).decode() for item in value)
    return encoded(value).decode()


def _reply(fields: Mapping[str, Any]) -> Reply:
    texts = {name: _text(fields[name]) for name in ("content", "refusal", "reasoning") if name in fields}
    calls = fields.get("tool_calls", ())
    reason = fields.get("finish_reason")
    return Reply(
        **texts,
        tool_calls=[_tool_call(call) for call in (calls if isinstance(calls, list) else [calls])] if calls else (),
        finish_reason=reason if reason in ("stop", "length", "tool_calls", "content_filter") else None,
        usage=Usage.of(fields["usage"]) if "usage" in fields else None,
    )


def _tool_call(call: Any) -> ToolCall:
    """A tool call in the words of `ToolCall`, or in those of chat completions."""
    fields = call if isinstance(call, Mapping) else {}
    details = fields.get("function") or fields.get("custom") or fields
    arguments = details.get("arguments", details.get("input", {}))
    return ToolCall(details.get("name", ""), {} if arguments is None else arguments, id=fields.get("id"))


class WholeReader:
    """Reads a whole JSON answer. See `PieceReader`.

    Args:
        name: The operation, for the log.
        request_id: The id of the request, for the log.
        read: What reads it.
        path: What `read` looks for, for the log.
    """

    def __init__(self, name: str, request_id: str, read: Read, path: object) -> None:
        self._name = name
        self._request_id = request_id
        self._read = read
        self._path = path
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterable[Any]:
        """See `PieceReader.feed`."""
        self._chunks.append(chunk)
        return ()

    def finish(self) -> Iterable[Any]:
        """See `PieceReader.finish`.

        Raises:
            InternalServerError: The answer holds nothing there, or no reply, or is an error.
        """
        try:
            value = value_of(b"".join(self._chunks))
        except UNDECODABLE:
            value = ABSENT
        failure = failure_in(value)
        if failure is not None:
            raise failure
        try:
            piece = ABSENT if value is ABSENT else self._read(value)
        except UnreadableError as error:
            raise invalid_answer(self._name, str(error), self._request_id) from error
        if piece is ABSENT:
            raise invalid_answer(self._name, _nothing_found(self._path, value), self._request_id)
        return (piece,)


def _nothing_found(reading: object, value: Any) -> str:
    """Why an app's answer cannot be read that has nothing at a path, without any values."""
    if value is ABSENT:
        return "it is no JSON"
    where = _arrows(reading) if isinstance(reading, Mapping) else reading
    held = f"the fields {', '.join(map(repr, value))}" if isinstance(value, Mapping) else json_kind(value)
    return f"there is nothing at {where}, but {held}"


def _arrows(reading: Mapping[str, str]) -> str:
    return " or ".join(f"{path} ({name})" for name, path in reading.items())


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


class StreamReader:
    """Reads a stream piece by piece: the data of server-sent events, or lines of JSON. See `PieceReader`.

    Args:
        name: The operation, for the log.
        request_id: The id of the request, for the log.
        splitter: What finds the pieces in the bytes.
        read: What reads a piece; None where each piece of text is the text itself.
        done: What ends the stream: the data itself, or a JSONPath.
    """

    def __init__(
        self, name: str, request_id: str, splitter: EventReader | LineSplitter, read: Read | None, done: str | None
    ) -> None:
        self._name = name
        self._request_id = request_id
        self._splitter = splitter
        self._read = read
        self._ends = (DONE,) if done is None or is_path(done) else (DONE, done.encode())
        self._is_done = compile_lookup(done) if done is not None and is_path(done) else None
        self._has_ended = False

    def feed(self, chunk: bytes) -> Iterable[Any]:
        """See `PieceReader.feed`."""
        documents = self._splitter.feed(chunk)
        if len(documents) != 1:
            return self._pieces(documents)
        piece = self._piece(documents[0])
        return () if piece is ABSENT else (piece,)

    def finish(self) -> Iterable[Any]:
        """See `PieceReader.finish`."""
        return self._pieces(self._splitter.finish())

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
        if self._has_ended or data.strip() in self._ends:
            self._has_ended = True
            return ABSENT
        read = self._read
        try:
            value = value_of(data)
        except UNDECODABLE:
            return data.decode(errors="replace") if read is None else ABSENT
        if isinstance(value, dict) and ("error" in value or "type" in value):
            failure = failure_in(value)
            if failure is not None:
                raise failure
        try:
            piece = _plain(value, data) if read is None else read(value)
        except UnreadableError as error:
            raise invalid_answer(self._name, str(error), self._request_id) from error
        if self._is_done is not None:
            found = self._is_done(value)
            self._has_ended = found is not ABSENT and bool(found)
        return piece


def _plain(value: Any, data: bytes) -> Any:
    """What a piece of a stream says by itself: OpenAI's own, or text, which may look like a number."""
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
        self._held = b""
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
        held, self._held = self._held, b""
        return self._answer.feed(held)


def _is_object(data: bytes) -> bool:
    try:
        fields_of(data)
    except UNDECODABLE:
        return False
    return True
