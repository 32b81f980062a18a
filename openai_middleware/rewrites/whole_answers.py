"""Whole JSON answers of an app, read as replies, or as lists of names or vectors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openai_middleware.errors import OpenAIError
from openai_middleware.headers import Header, as_json, streaming
from openai_middleware.mapping.json_codec import UNDECODABLE, encoded, json_kind, value_of
from openai_middleware.mapping.json_path import ABSENT
from openai_middleware.replies.answers import invalid_answer
from openai_middleware.replies.collected import failure_in
from openai_middleware.replies.forms import plain_answer
from openai_middleware.replies.rendering import Rendering
from openai_middleware.request.call import OpenAICall
from openai_middleware.rewrites.reading import Read, UnreadableError, shown


class WholeReading:
    """How a whole answer is read; compiled once.

    Args:
        name: The operation, for the log.
        read: What reads it.
        path: What `read` looks for, for the log.
    """

    def __init__(self, name: str, read: Read, path: object) -> None:
        self._name = name
        self._read = read
        self._path = path

    def value(self, body: bytes, request_id: str) -> Any:
        """What is found in an answer.

        Raises:
            InternalServerError: The answer holds nothing there, or no reply, or is an error.
        """
        try:
            document = value_of(body)
        except UNDECODABLE:
            raise self.unreadable("it is no JSON", request_id) from None
        if isinstance(document, dict) and ("error" in document or "type" in document):
            failure = failure_in(document)
            if failure is not None:
                raise failure
        try:
            found = self._read(document)
        except UnreadableError as error:
            raise self.unreadable(str(error), request_id) from error
        if found is ABSENT:
            held = f"the fields {', '.join(map(repr, document))}" if isinstance(document, dict) else json_kind(document)
            raise self.unreadable(f"there is nothing at {shown(self._path)}, but {held}", request_id)
        return found

    def unreadable(self, reason: str, request_id: str) -> OpenAIError:
        """What a client gets where an answer cannot be read. The log has the reason."""
        return invalid_answer(self._name, reason, request_id)


class ReadAnswer:
    """A whole JSON answer that is read when its last byte has come. See `Answer`.

    Args:
        reading: How it is read.
        call: The client's call.
        headers: The app's headers.
        render: What renders a reply in the form that the client asked for; None where a list is read.
        is_stream: Whether the client asked for events.
    """

    is_stream = False
    is_changed = True
    is_complete = False
    has_started = False

    def __init__(
        self,
        reading: WholeReading,
        call: OpenAICall,
        headers: Sequence[Header],
        render: Callable[[Mapping[str, Any]], Rendering] | None = None,
        *,
        is_stream: bool = False,
    ) -> None:
        self._reading = reading
        self._call = call
        self._render = render
        self._asks_for_stream = is_stream
        self._chunks: list[bytes] = []
        self.headers = headers

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer.feed`."""
        self._chunks.append(chunk)
        return b""

    def finish(self) -> bytes:
        """See `Answer.finish`.

        Raises:
            OpenAIError: The answer cannot be read, or is an error.
        """
        chunks = self._chunks
        value = self._reading.value(chunks[0] if len(chunks) == 1 else b"".join(chunks), self._call.request_id)
        if self._render is None:
            body = encoded(self._listed(value))
        else:
            rendering = self._render(self._call.kwargs)
            body = rendering.feed(value) + rendering.finish()
            if not self._asks_for_stream:
                body = encoded(rendering.whole())
        self.headers = streaming(self.headers) if self._asks_for_stream else as_json(self.headers, body)
        self.is_complete = self.has_started = True
        return body

    def fail(self, error: BaseException) -> bytes:
        """See `Answer.fail`."""
        return b""

    def _listed(self, value: Any) -> dict[str, Any]:
        call = self._call
        try:
            answer = plain_answer(call.operation, call.kwargs, value)
        except ValueError as error:
            raise self._reading.unreadable(str(error), call.request_id) from error
        if answer is None:
            reason = f"a {type(value).__name__} holds no names or vectors"
            raise self._reading.unreadable(reason, call.request_id)
        return answer
