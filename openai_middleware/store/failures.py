"""What a client gets where the store cannot do what it is asked for."""

import logging

from openai_middleware.errors import InternalServerError, OpenAIError, RequestTooLargeError
from openai_middleware.store.store import TooLargeError, UnavailableError

logger = logging.getLogger("openai_middleware")


def not_available(error: UnavailableError | TooLargeError) -> OpenAIError:
    """The error that tells of a failure of the store. The log has why."""
    if isinstance(error, TooLargeError):
        message = "This is larger than all that may be stored."
        return RequestTooLargeError(message, code="store_limit_exceeded")
    logger.error("The store is not available: %s.", error)
    message = "What is stored cannot be reached at the moment. Try again later."
    return InternalServerError(message, status_code=503, code="store_unavailable")


def reason_of(error: UnavailableError | TooLargeError) -> str:
    """Why something could not be kept, for the log."""
    return "it is larger than all that its owner may have" if isinstance(error, TooLargeError) else str(error)
