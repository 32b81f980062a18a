"""Requests that this package refuses: each has a line in the log, and an id in its answer."""

import logging

from openai_middleware.errors import OpenAIError
from openai_middleware.headers import REQUEST_ID
from openai_middleware.request.path import printable

logger = logging.getLogger("openai_middleware")


def log_refusal(error: OpenAIError, name: str, request_id: str) -> None:
    """Log that a request is refused, and give the error the request's id. Once: what has an id is left alone.

    Args:
        error: The answer to it, made by this package.
        name: The operation, the endpoint's key, or method and path.
        request_id: The id of the request.
    """
    header = REQUEST_ID.decode()
    if header in error.headers:
        return
    error.headers[header] = request_id
    if logger.isEnabledFor(logging.INFO):
        field = f", field {printable(error.param)!r}" if error.param else ""
        refused = "%s: refused with %d %s%s (request %s)."
        logger.info(refused, printable(name), error.status_code, error.code, field, request_id)
