"""An answer of the app on its way to the client: fed piece by piece, free of I/O.

A whole answer is a `JSONAnswer`, a streamed one an `EventStream`. Both go through these states, and who fails how is
decided by the state alone:

    state     entered by                      feed(chunk)          finish()             fail(error)
    --------  ------------------------------  -------------------  -------------------  ------------------------------
    waiting   the app's status and headers    what is ready: of a  what is left, now    nothing: the status may still
                                              stream its events,   complete; a whole    become that of the error
                                              of a whole answer    answer is mapped
                                              nothing              here, or refused
    started   the first bytes that left       as above             as above             a stream's error frames
    complete  finish(), or the event that     what the app sends   nothing more than    nothing: the client has
              says that a stream is over      on all the same      the app sent         everything
"""

from collections.abc import Sequence
from typing import Protocol

from openai_middleware.errors import InternalServerError, OpenAIError
from openai_middleware.headers import Header


class Answer(Protocol):
    """What a driver feeds with the body of the app's answer.

    Attributes:
        headers: The headers for the client, right as soon as bytes have come out of `feed` or `finish`. The very object
            that the app's headers came in, where they need no change.
        is_stream: Whether bytes leave while the app still sends.
        is_changed: Whether something else leaves than what the app sent. Of a whole answer known after `finish`.
        is_complete: Whether the client has all that it waits for, though the app may still send.
        has_started: Whether bytes have come out.
    """

    headers: Sequence[Header]
    is_stream: bool
    is_changed: bool
    is_complete: bool

    @property
    def has_started(self) -> bool:
        """See above."""

    def feed(self, chunk: bytes) -> bytes:
        """Take some bytes of the app, and return those that leave now."""

    def finish(self) -> bytes:
        """The app's answer ended well: return what is still to leave.

        Raises:
            UnprocessableEntityError: The answer lacks a mandatory field. Nothing has left then.
        """

    def fail(self, error: BaseException) -> bytes:
        """The app failed: return what ends what has begun, or nothing.

        Args:
            error: Where it is an `OpenAIError`, the client learns what it says; of any other, nothing.
        """


def told_to_client(error: BaseException) -> OpenAIError:
    """What a client learns of a failure in the middle of its answer: nothing of a foreign exception."""
    if isinstance(error, OpenAIError):
        return error
    return InternalServerError("The server failed while it was sending this answer.")
