"""The errors of this package: those a client receives, and those a configuration earns.

Raise one of the first kind in the wrapped app and the client's SDK raises its namesake, with the same message,
`param`, `code` and `type`:

    OpenAIError
    ├── BadRequestError            400
    ├── AuthenticationError        401
    ├── PermissionDeniedError      403
    ├── NotFoundError              404
    ├── MethodNotAllowedError      405
    ├── ConflictError              409
    ├── RequestTooLargeError       413
    ├── UnprocessableEntityError   422
    ├── RateLimitError             429
    └── InternalServerError        500
    ConfigurationError (a ValueError, raised while the middleware is built)
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from openai_middleware.headers import OF_OLD_BYTES, Header, as_bytes, lowered, malformed
from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConfigurationMistake",
    "ConflictError",
    "InternalServerError",
    "MethodNotAllowedError",
    "NotFoundError",
    "OpenAIError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTooLargeError",
    "UnprocessableEntityError",
]

# The OpenAI SDK sends 408, 409, 429 and every 5xx again. Waiting can heal 408, 429 and these, but not the others.
_HEALED_BY_WAITING = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}

_OF_A_BODY = {"content-type", "content-length", "content-encoding"} | {name.decode() for name in OF_OLD_BYTES}

logger = logging.getLogger("openai_middleware")


class OpenAIError(Exception):
    """A failure that reaches the client as OpenAI's error envelope.

    Args:
        message: What went wrong, for the person who reads it. It is sent to the client.
        param: The request field that is to blame, if one is. Like `code`, it is dropped where it is no string.
        code: A short machine-readable word, such as `"model_not_found"`. Anything but a non-empty string is dropped,
            and so is what `str(None)` gives: OpenAI sends neither numbers nor `"None"` here.
        type: The envelope's `type`; without it `invalid_request_error` for 4xx and `server_error` for 5xx.
        status_code: The HTTP status, 400 to 599; without it the class's own.
        headers: More response headers, such as `{"Retry-After": "20"}`. Those that describe a body are left out, so
            that the headers of another server's answer can be handed on.
        should_retry: Whether the SDK should send the request again (its `x-should-retry` header). Without it, statuses
            that the SDK retries although waiting cannot heal them (409, 500) are marked as not to be retried, and the
            others are left to the SDK.

    Raises:
        ValueError: `status_code` is not an error status.
    """

    status_code: int = 500

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str | None = None,  # the envelope's own word
        status_code: int | None = None,
        headers: Mapping[str, str] | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        if status_code is not None:
            self.status_code = int(status_code)
        if not 400 <= self.status_code <= 599:
            raise ValueError(f"An error needs a status from 400 to 599, not {self.status_code}.")
        self.message = str(message)
        self.param = _word(param)
        self.code = None if code == "None" else _word(code)
        self.type = _word(type) or ("server_error" if self.status_code >= 500 else "invalid_request_error")
        self.headers = dict(headers or {})
        if should_retry is None and self._is_retried_in_vain():
            should_retry = False
        self.should_retry = should_retry

    def _is_retried_in_vain(self) -> bool:
        retried = self.status_code >= 500 or self.status_code == HTTPStatus.CONFLICT
        return retried and self.status_code not in _HEALED_BY_WAITING

    @property
    def detail(self) -> dict[str, str | None]:
        """The inner object of the envelope: `message`, `type`, `param` and `code`."""
        detail = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {name: value and _encodable(value) for name, value in detail.items()}

    def body(self) -> bytes:
        """The error envelope as JSON bytes."""
        return msgspec.json.encode({"error": self.detail})

    def response(self) -> tuple[int, list[Header], bytes]:
        """The whole answer: status, headers (lower-case names, Latin-1) and body."""
        body = self.body()
        headers = lowered(self.headers)
        while (name := malformed(headers)) is not None:
            logger.error("The header %r of an error cannot be sent, and was left out.", name)
            del headers[name]
        if self.should_retry is not None:
            headers.setdefault("x-should-retry", "true" if self.should_retry else "false")
        own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        more = as_bytes([(name, value) for name, value in headers.items() if name not in _OF_A_BODY], "replace")
        return self.status_code, own + more, body


def _encodable(text: str) -> str:
    # Lone surrogates, as undecodable file names and json.loads make them, have no UTF-8 form.
    return text.encode("utf-8", "replace").decode()


def _word(value: object) -> str | None:
    # The value of a str enum, where str() would give its name, and a plain str, which is all that msgspec encodes.
    return str.__str__(value) if isinstance(value, str) and value else None


class BadRequestError(OpenAIError):
    """400: the request is malformed or contradicts itself."""

    status_code = 400


class AuthenticationError(OpenAIError):
    """401: nobody, or somebody unknown, asks."""

    status_code = 401


class PermissionDeniedError(OpenAIError):
    """403: this may not be done."""

    status_code = 403


class NotFoundError(OpenAIError):
    """404: there is no such thing."""

    status_code = 404


class MethodNotAllowedError(OpenAIError):
    """405: the path exists, but not for this method. The SDK raises it as a plain `APIStatusError`."""

    status_code = 405


class ConflictError(OpenAIError):
    """409: the request does not fit the state of the resource."""

    status_code = 409


class RequestTooLargeError(OpenAIError):
    """413: the request body is larger than the server takes. The SDK raises it as a plain `APIStatusError`."""

    status_code = 413


class UnprocessableEntityError(OpenAIError):
    """422: a mandatory field is missing."""

    status_code = 422


class RateLimitError(OpenAIError):
    """429: too many requests. The SDK tries again, after `Retry-After` where the headers have it."""

    status_code = 429


class InternalServerError(OpenAIError):
    """500, or the 5xx status given: the server failed."""

    status_code = 500
