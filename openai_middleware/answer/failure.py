"""The events that end a stream of the Responses API whose app failed."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from openai_middleware.answer.answer import told_to_client
from openai_middleware.errors import OpenAIError
from openai_middleware.mapping.json_codec import encoded


def failed_response(error: BaseException, response: Mapping[str, Any] | None, sequence_number: int) -> bytes:
    """The events that tell of a failure.

    Clients that skip `error` wait for an event that ends the response; in this order every SDK raises once.

    Args:
        error: Where it is an `OpenAIError`, the client learns what it says; of any other, nothing.
        response: The response as far as it got; None where none was announced, so that none has to end.
        sequence_number: The number of the first event.
    """
    told = told_to_client(error)
    events = named_event({"type": "error", "sequence_number": sequence_number, "error": told.detail})
    if response is None:
        return events
    failed = {**response, "status": "failed", "error": {"code": _code(told), "message": told.detail["message"]}}
    return events + named_event({"type": "response.failed", "sequence_number": sequence_number + 1, "response": failed})


def named_event(event: Mapping[str, Any]) -> bytes:
    """A typed event, whose name is its type."""
    name: str = event["type"]
    return b"event: " + name.encode() + b"\ndata: " + encoded(event) + b"\n\n"


def _code(error: OpenAIError) -> str:
    # Of the codes that a Response's `error` may have: the first is worth another try to clients, the second is not.
    if error.code is not None:
        return error.code
    if error.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_exceeded"
    return "invalid_prompt" if error.status_code < 500 else "server_error"
