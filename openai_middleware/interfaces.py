"""The types of the two server interfaces, ASGI 3.0 and WSGI (PEP 3333), and an error as a whole answer of each."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from types import TracebackType
from typing import Any

from openai_middleware.errors import OpenAIError
from openai_middleware.headers import as_text, identified

# Starlette's spelling of the ASGI types: asgiref's TypedDicts do not type-check against `app.add_middleware`.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
WSGIHeaders = list[tuple[str, str]]
Write = Callable[[bytes], object]
StartResponse = Callable[..., Write]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]


def error_messages(error: OpenAIError, request_id: str | None = None) -> list[Message]:
    """An error as the messages of a whole ASGI answer, with the id of the request where the error has none."""
    status, headers, body = error.response()
    sent = headers if request_id is None else identified(headers, request_id)
    return [
        {"type": "http.response.start", "status": status, "headers": sent},
        {"type": "http.response.body", "body": body},
    ]


async def send_error(error: OpenAIError, send: Send) -> None:
    """Send an error as a whole ASGI answer."""
    for message in error_messages(error):
        await send(message)


def start_error(
    error: OpenAIError, start_response: StartResponse, exc_info: ExcInfo | None = None, *, request_id: str | None = None
) -> list[bytes]:
    """Start an error as a whole WSGI answer, and return its body.

    Args:
        error: The error.
        start_response: The server's.
        exc_info: Given where another answer may have been started (PEP 3333, "Error Handling").
        request_id: The id of the request, for an error that has none.
    """
    status, headers, body = error.response()
    sent = headers if request_id is None else identified(headers, request_id)
    start_response(status_line(status), as_text(sent), *([exc_info] if exc_info else []))
    return [body]


def status_line(status: int) -> str:
    """The status with its phrase, as WSGI wants it."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Error"
