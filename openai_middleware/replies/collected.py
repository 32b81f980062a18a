"""OpenAI's events for a client that asked for the whole object."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openai_middleware.answer.event_stream import EventStream
from openai_middleware.answer.json_answer import JSONAnswer
from openai_middleware.answer.response_mapping import ResponseMapping
from openai_middleware.answer.server_sent_events import DONE, EventReader
from openai_middleware.errors import InternalServerError, OpenAIError
from openai_middleware.headers import Header, as_json
from openai_middleware.mapping.json_codec import UNDECODABLE, value_of
from openai_middleware.replies.turning import collector_of

logger = logging.getLogger("openai_middleware")


class CollectedEvents:
    """OpenAI's events for a client that asked for the whole object. See `Answer`.

    Args:
        operation: The operation.
        stream: The mapping of the events.
        mapping: The mapping of the whole object.
        headers: The app's headers.
        request_id: The id of the request, for the log.
    """

    is_stream = False
    is_changed = True
    is_complete = False
    has_started = False

    def __init__(
        self,
        operation: str,
        stream: EventStream,
        mapping: ResponseMapping | None,
        headers: Sequence[Header],
        request_id: str,
    ) -> None:
        self._operation = operation
        self._stream = stream
        self._mapping = mapping
        self._request_id = request_id
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
        if self._failure is not None:
            raise self._failure
        whole = self._collector.whole()
        if whole is None:
            reason = "the app's stream ended before its answer did"
            logger.error("%s: %s. The client gets 500 (request %s).", self._operation, reason, self._request_id)
            raise InternalServerError(f"{self._operation}: {reason}.")
        answer = JSONAnswer(
            self._operation, self._mapping or ResponseMapping([]), as_json(self.headers, whole), self._request_id
        )
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
