"""A whole JSON answer, mapped when its last byte has come."""

import logging
from collections.abc import Sequence

import msgspec

from openai_middleware.answer.response_mapping import MissingFieldError, ResponseMapping
from openai_middleware.errors import UnprocessableEntityError
from openai_middleware.headers import Header, describing
from openai_middleware.mapping.json_codec import UNDECODABLE, reason_of

logger = logging.getLogger("openai_middleware")


class JSONAnswer(msgspec.Struct, eq=False):
    """See `Answer`.

    Args:
        name: The operation, or the endpoint's key, for the log.
        mapping: What becomes of the document.
        headers: The app's headers.
        request_id: The id of the request, for the log.
        length: The app's Content-Length when the answer began; None where it gave none, empty where it gave several.
    """

    name: str
    mapping: ResponseMapping
    headers: Sequence[Header]
    request_id: str = ""
    length: bytes | None = None
    is_stream: bool = False
    is_changed: bool = False
    is_complete: bool = False
    chunks: list[bytes] = msgspec.field(default_factory=list)

    def __repr__(self) -> str:
        # Headers and bodies hold secrets often enough.
        return f"{type(self).__name__}({self.name!r}, request_id={self.request_id!r})"

    @property
    def has_started(self) -> bool:
        """See `Answer`."""
        return self.is_complete

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer.feed`."""
        self.chunks.append(chunk)
        return b""

    def finish(self) -> bytes:
        """See `Answer.finish`."""
        chunks = self.chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        try:
            mapped = self.mapping.apply(body)
        except MissingFieldError as error:
            raise self._incomplete(error.field) from error
        except UNDECODABLE as error:
            # It may be a document that was cut short: its length stays, so that the client notices.
            message = "%s: the app's answer is no JSON and leaves as it is: %s (request %s)."
            logger.warning(message, self.name, reason_of(error), self.request_id)
            mapped = body
        else:
            if mapped is not body:
                self.is_changed = True
                self.headers = describing(self.headers, mapped)
            elif self.length is not None and self.length != str(len(mapped)).encode():
                self.headers = describing(self.headers, mapped, ())
        self.is_complete = True
        return mapped

    def fail(self, error: BaseException) -> bytes:
        """See `Answer.fail`."""
        return b""

    def _incomplete(self, field: str | None) -> UnprocessableEntityError:
        lack = "is no JSON object" if field is None else f"lacks the mandatory field '{field}'"
        logger.error("%s: the app's answer %s. The client gets 422 (request %s).", self.name, lack, self.request_id)
        message = f"The server's answer {lack}."
        # The server's fault under MLRun's status: sending the request again would not mend it.
        return UnprocessableEntityError(
            message, param=field, code="invalid_response", type="server_error", should_retry=False
        )
