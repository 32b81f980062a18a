"""The errors of frameworks, in OpenAI's words: for the adapters, which know which requests are ones of the API."""

from collections.abc import Mapping
from http import HTTPStatus

from openai_middleware.errors import OpenAIError


def error_of_status(status: int, message: str = "", headers: Mapping[str, str] | None = None) -> OpenAIError:
    """What a framework's own error is for a client.

    Args:
        status: Its status, 400 to 599.
        message: What it says; empty for the phrase of the status.
        headers: Its headers, such as `Allow` or `WWW-Authenticate`.
    """
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    return OpenAIError(message or f"{phrase}.", status_code=status, headers=headers)
