"""Answers of an app that are replies, or OpenAI's objects in the form that was not asked for."""

import codecs
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from openai_middleware.errors import InternalServerError, OpenAIError
from openai_middleware.headers import Header, as_json, streaming
from openai_middleware.mapping.json_codec import encoded
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
        ready = b""
        try:
            for piece in self._reader.feed(chunk):
                ready += self._rendering.feed(piece)
        except OpenAIError as error:
            self._failure = error
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
        ready = b""
        if self._failure is None:
            try:
                for piece in self._reader.finish():
                    ready += self._rendering.feed(piece)
            except OpenAIError as error:
                self._failure = error
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


def invalid_answer(name: str, reason: str, request_id: str) -> InternalServerError:
    """What a client gets where an app's answer cannot be read. The log has the reason, without any values."""
    unread = "%s: the app's answer could not be read: %s. The client gets 502 (request %s)."
    logger.error(unread, name, reason, request_id)
    message = "The server's answer could not be read."
    return InternalServerError(message, status_code=502, code="invalid_response", should_retry=False)
