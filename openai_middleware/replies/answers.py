"""Answers of an app that are replies, or OpenAI's objects in the form that was not asked for."""

import codecs
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from openai_middleware.answer.answer import Answer
from openai_middleware.answer.event_stream import EventStream
from openai_middleware.answer.json_answer import JSONAnswer
from openai_middleware.answer.response_mapping import ResponseMapping
from openai_middleware.answer.server_sent_events import DONE, EventReader
from openai_middleware.errors import InternalServerError, OpenAIError
from openai_middleware.headers import AGAINST_BUFFERING, OF_WHOLE_BODY, Header, charset, describing
from openai_middleware.mapping.json_codec import UNDECODABLE, encoded, value_of
from openai_middleware.replies.forms import RENDERINGS, plain_answer, refuse_choices
from openai_middleware.replies.rendering import Rendering, choices_asked
from openai_middleware.replies.turning import collector_of, events_of

# What a JSON document begins with, after the white space that may stand there.
_FIRST: Final = re.compile(rb"[ \t\r\n]*([^ \t\r\n])")
_OF_BODY: Final = OF_WHOLE_BODY | {b"content-type", b"transfer-encoding"}


class PieceReader(Protocol):
    """Reads the body of an app's answer as pieces of a reply."""

    def feed(self, chunk: bytes) -> Iterable[Any]:
        """Take some bytes, and return the pieces that ended in them.

        Raises:
            OpenAIError: The app tells of a failure.
        """

    def finish(self) -> Iterable[Any]:
        """The pieces that are left when the body has ended."""


class TextReader:
    """Text, chunk by chunk; a character may be split.

    Args:
        encoding: The charset of the text. One that is not known is taken for UTF-8.
    """

    def __init__(self, encoding: str) -> None:
        try:
            codec = codecs.lookup(encoding)
        except LookupError:
            codec = codecs.lookup("utf-8")
        # `charset=base64` names a codec, and none of text.
        is_text = getattr(codec, "_is_text_encoding", True)
        self._decoder = (codec if is_text else codecs.lookup("utf-8")).incrementaldecoder("replace")

    def feed(self, chunk: bytes) -> Iterable[str]:
        """See `PieceReader.feed`."""
        return (self._decoder.decode(chunk),)

    def finish(self) -> Iterable[str]:
        """See `PieceReader.finish`."""
        return (self._decoder.decode(b"", final=True),)


class ReplyAnswer:
    """An answer whose body is read as a reply, and rendered in the form that the client asked for. See `Answer`.

    Args:
        reader: What reads the body.
        rendering: What renders the reply.
        headers: The app's headers.
        is_stream: Whether the client asked for events.
    """

    is_changed = True
    is_complete = False
    has_started = False

    def __init__(
        self, reader: PieceReader, rendering: Rendering, headers: Sequence[Header], *, is_stream: bool
    ) -> None:
        self._reader = reader
        self._rendering = rendering
        self._failure: OpenAIError | None = None
        self.is_stream = is_stream
        self.headers = stream_headers(headers) if is_stream else headers

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer.feed`."""
        if self._failure is not None or not chunk:
            return b""
        return self._leaving(self._rendered(self._reader.feed(chunk)))

    def finish(self) -> bytes:
        """See `Answer.finish`.

        Raises:
            OpenAIError: The app told of a failure before anything left.
        """
        ready = b"" if self._failure is not None else self._rendered(self._reader.finish())
        if self._failure is not None:
            if not self.has_started:
                raise self._failure
            ready = b"" if self.is_complete else self._rendering.fail(self._failure)
        else:
            ready += self._rendering.finish()
        self.is_complete = True
        if self.is_stream:
            return self._leaving(ready)
        body = encoded(self._rendering.whole())
        self.headers = whole_headers(self.headers, body)
        return body

    def fail(self, error: BaseException) -> bytes:
        """See `Answer.fail`."""
        if self.is_complete or not self.has_started:
            return b""
        self.is_complete = True
        return self._rendering.fail(error)

    def _rendered(self, pieces: Iterable[Any]) -> bytes:
        ready = b""
        try:
            for piece in pieces:
                ready += self._rendering.feed(piece)
        except OpenAIError as error:
            self._failure = error
        return ready

    def _leaving(self, ready: bytes) -> bytes:
        if not self.is_stream:
            return b""
        if ready:
            self.has_started = True
        return ready


class JSONReply(JSONAnswer):
    """A whole JSON answer: a text or plain values that are a reply, or OpenAI's object, turned over where events were
    asked for. See `Answer`.

    Args:
        form: What replies become on the operation.
        request: The fields of the request.
        mapping: What becomes of OpenAI's object.
        headers: The app's headers.
        is_stream: Whether the client asked for events.
    """

    def __init__(
        self,
        form: "ReplyForm",
        request: Mapping[str, Any],
        mapping: ResponseMapping,
        headers: Sequence[Header],
        *,
        is_stream: bool,
    ) -> None:
        super().__init__(form.operation, mapping, headers)
        self._form = form
        self._request = request
        self._asks_for_stream = is_stream

    def finish(self) -> bytes:
        """See `Answer.finish`."""
        form = self._form
        plain = self._plain_value()
        if isinstance(plain, str) and form.render is not None:
            refuse_choices(self._request)
            return self._rendered(form.render(self._request), plain)
        answer = None if plain is None else plain_answer(form.operation, self._request, plain)
        if answer is not None:
            return self._changed(encoded(answer), is_stream=False)
        mapped = super().finish()
        if not self._asks_for_stream or form.render is None:
            return mapped
        try:
            answer = value_of(mapped)
        except UNDECODABLE:
            return mapped
        return self._changed(events_of(form.operation, answer), is_stream=True)

    def _plain_value(self) -> Any:
        """The value of a body that is no object, or None."""
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = [body]
        found = _FIRST.match(body)
        if found is None or found[1] == b"{":
            return None
        try:
            return value_of(body)
        except UNDECODABLE:
            return None

    def _rendered(self, rendering: Rendering, text: str) -> bytes:
        events = rendering.feed(text) + rendering.finish()
        if self._asks_for_stream:
            return self._changed(events, is_stream=True)
        return self._changed(encoded(rendering.whole()), is_stream=False)

    def _changed(self, body: bytes, *, is_stream: bool) -> bytes:
        self.is_changed = self.is_complete = self.has_started = True
        self.headers = stream_headers(self.headers) if is_stream else whole_headers(self.headers, body)
        return body


class CollectedEvents:
    """OpenAI's events for a client that asked for the whole object. See `Answer`.

    Args:
        operation: The operation.
        stream: The mapping of the events.
        mapping: The mapping of the whole object.
        headers: The app's headers.
    """

    is_stream = False
    is_changed = True
    is_complete = False
    has_started = False

    def __init__(
        self, operation: str, stream: EventStream, mapping: ResponseMapping | None, headers: Sequence[Header]
    ) -> None:
        self._operation = operation
        self._stream = stream
        self._mapping = mapping
        self._reader = EventReader()
        self._collector = collector_of(operation)
        self._failure: OpenAIError | None = None
        self.headers = headers

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer.feed`."""
        self._take(self._reader.feed(self._stream.feed(chunk)))
        return b""

    def finish(self) -> bytes:
        """See `Answer.finish`.

        Raises:
            OpenAIError: The app told of a failure, or its stream broke off.
        """
        self._take(self._reader.feed(self._stream.finish()))
        self._take(self._reader.finish())
        whole = self._collector.whole() if self._failure is None else None
        if whole is None:
            raise self._failure or InternalServerError(
                f"{self._operation}: the app's stream ended before its answer did."
            )
        answer = JSONAnswer(self._operation, self._mapping or ResponseMapping([]), whole_headers(self.headers, whole))
        answer.feed(whole)
        mapped = answer.finish()
        self.headers = answer.headers
        self.is_complete = self.has_started = True
        return mapped

    def fail(self, error: BaseException) -> bytes:
        """See `Answer.fail`."""
        return b""

    def _take(self, payloads: Iterable[bytes]) -> None:
        for payload in payloads:
            if self._failure is not None or payload.startswith(DONE):
                continue
            try:
                event = value_of(payload)
            except UNDECODABLE:
                continue
            self._failure = failure_in(event)
            if self._failure is None and isinstance(event, Mapping):
                self._collector.feed(event)


class RefusedChoices:
    """A reply for a request that asks for several choices: the client gets an error. See `Answer`."""

    is_stream = False
    is_changed = True
    is_complete = False
    has_started = False

    def __init__(self, request: Mapping[str, Any], headers: Sequence[Header]) -> None:
        self._request = request
        self.headers = headers

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer.feed`."""
        return b""

    def finish(self) -> bytes:
        """See `Answer.finish`."""
        refuse_choices(self._request)
        return b""

    def fail(self, error: BaseException) -> bytes:
        """See `Answer.fail`."""
        return b""


def failure_in(event: Any) -> OpenAIError | None:
    """The failure that an event of an app tells of, with its message and code; None where it is no error."""
    if not isinstance(event, Mapping):
        return None
    error = event.get("error")
    if error is None and event.get("type") == "error":
        error = {name: event[name] for name in event if name != "type"}
    if not error:
        return None
    fields = error if isinstance(error, Mapping) else {"message": error}
    message = fields.get("message")
    code, param, kind = (fields.get(name) for name in ("code", "param", "type"))
    return InternalServerError(
        message if isinstance(message, str) and message else "The server failed.",
        code=code if isinstance(code, str) else None,
        param=param if isinstance(param, str) else None,
        type=kind if isinstance(kind, str) else None,
    )


def stream_headers(headers: Sequence[Header]) -> list[Header]:
    """The headers of an answer that becomes an event stream."""
    own = [header for header in headers if header[0].lower() not in _OF_BODY]
    present = {name.lower() for name, _ in own}
    against = [header for header in AGAINST_BUFFERING if header[0] not in present]
    return [(b"content-type", b"text/event-stream"), *own, *against]


def whole_headers(headers: Sequence[Header], body: bytes) -> list[Header]:
    """The headers of an answer that becomes a JSON document."""
    own = [header for header in headers if header[0].lower() != b"content-type"]
    return [(b"content-type", b"application/json"), *describing(own, body)]


class ReplyForm:
    """What replies become on an operation: how an app's answers are read there.

    Args:
        operation: The operation.
        render: What renders a reply to a request; None where the operation takes other plain values.
    """

    def __init__(self, operation: str, render: Callable[[Mapping[str, Any]], Rendering] | None) -> None:
        self.operation = operation
        self.render = render

    def text(self, request: Mapping[str, Any], headers: Sequence[Header], *, is_stream: bool) -> Answer | None:
        """An answer of plain text; None where the operation has no place for it."""
        if self.render is None:
            return None
        if choices_asked(request) is not None:
            return RefusedChoices(request, headers)
        content_types = [value for name, value in headers if name.lower() == b"content-type"]
        reader = TextReader(charset(content_types[-1]))
        return ReplyAnswer(reader, self.render(request), headers, is_stream=is_stream)

    def json(
        self, request: Mapping[str, Any], mapping: ResponseMapping, headers: Sequence[Header], *, is_stream: bool
    ) -> Answer:
        """An answer of JSON."""
        return JSONReply(self, request, mapping, headers, is_stream=is_stream)

    def collected(self, stream: EventStream, mapping: ResponseMapping | None, headers: Sequence[Header]) -> Answer:
        """An answer of events to a request that asked for none."""
        return stream if self.render is None else CollectedEvents(self.operation, stream, mapping, headers)


REPLY_FORMS: Final[Mapping[str, ReplyForm]] = {
    operation: ReplyForm(operation, RENDERINGS.get(operation))
    for operation in (*RENDERINGS, "embeddings.create", "models.list")
}
