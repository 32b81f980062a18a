"""Answers of an app that are replies, or OpenAI's objects in the form that was not asked for."""

import codecs
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from openai_middleware.errors import InternalServerError, OpenAIError
from openai_middleware.headers import Header, as_json, streaming
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.replies.forms import plain_answer
from openai_middleware.replies.rendering import Rendering

logger = logging.getLogger("openai_middleware")


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
        self.headers = streaming(headers) if is_stream else headers

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer.feed`."""
        if self._failure is not None or not chunk:
            return b""
        ready = self._rendered(self._reader.feed, chunk)
        if not self.is_stream:
            return b""
        if ready:
            self.has_started = True
        return ready

    def finish(self) -> bytes:
        """See `Answer.finish`.

        Raises:
            OpenAIError: The app told of a failure before anything left.
        """
        ready = b"" if self._failure is not None else self._rendered(self._reader.finish)
        if self._failure is not None:
            if not self.has_started:
                raise self._failure
            ready = b"" if self.is_complete else self._rendering.fail(self._failure)
        else:
            ready += self._rendering.finish()
        self.is_complete = True
        if self.is_stream:
            self.has_started = self.has_started or bool(ready)
            return ready
        body = encoded(self._rendering.whole())
        self.headers = as_json(self.headers, body)
        return body

    def fail(self, error: BaseException) -> bytes:
        """See `Answer.fail`."""
        if self.is_complete or not self.has_started:
            return b""
        self.is_complete = True
        return self._rendering.fail(error)

    def _rendered(self, read: Callable[..., Iterable[Any]], *chunk: bytes) -> bytes:
        ready = b""
        try:
            for piece in read(*chunk):
                ready += self._rendering.feed(piece)
        except OpenAIError as error:
            self._failure = error
        return ready


class PlainAnswer:
    """An answer that is read as plain values: vectors, or names. See `Answer`.

    Args:
        name: The operation, for the log.
        request_id: The id of the request, for the log.
        operation: The operation.
        request: The fields of the request.
        reader: What reads the body.
        headers: The app's headers.
    """

    is_stream = False
    is_changed = True
    is_complete = False
    has_started = False

    def __init__(
        self,
        name: str,
        request_id: str,
        operation: str | None,
        request: Mapping[str, Any],
        reader: PieceReader,
        headers: Sequence[Header],
    ) -> None:
        self._name = name
        self._request_id = request_id
        self._operation = operation
        self._request = request
        self._reader = reader
        self.headers = headers

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer.feed`."""
        for _ in self._reader.feed(chunk):
            pass
        return b""

    def finish(self) -> bytes:
        """See `Answer.finish`.

        Raises:
            OpenAIError: The app's answer holds no such values.
        """
        [value] = self._reader.finish()
        try:
            answer = plain_answer(self._operation, self._request, value)
        except ValueError as error:
            raise invalid_answer(self._name, str(error), self._request_id) from error
        if answer is None:
            reason = f"a {type(value).__name__} holds no names or vectors"
            raise invalid_answer(self._name, reason, self._request_id)
        body = encoded(answer)
        self.headers = as_json(self.headers, body)
        self.is_complete = self.has_started = True
        return body

    def fail(self, error: BaseException) -> bytes:
        """See `Answer.fail`."""
        return b""


def invalid_answer(name: str, reason: str, request_id: str) -> InternalServerError:
    """What a client gets where an app's answer cannot be read. The log has the reason, without any values."""
    unread = "%s: the app's answer could not be read: %s. The client gets 502 (request %s)."
    logger.error(unread, name, reason, request_id)
    message = "The server's answer could not be read."
    return InternalServerError(message, status_code=502, code="invalid_response", should_retry=False)
