"""Starlette's response objects."""

from starlette.requests import Request
from starlette.responses import Response

from openai_middleware import drivers
from openai_middleware.drivers import OpenAICall, Receive, Scope, Send, as_bytes, send_response
from openai_middleware.errors import OpenAIError

__all__ = ["HandlerResponse", "openai_error_response"]


class HandlerResponse(Response):
    """What a function answered.

    Args:
        response: The answer.
        call: The call that it answers.
    """

    def __init__(self, response: drivers.Response, call: OpenAICall) -> None:
        super().__init__(response.content or b"", response.status_code)
        self.raw_headers = as_bytes(response.headers)
        self._response = response
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, with the headers that were added to it meanwhile."""
        await send_response(self._response, self._call, receive, send, headers=self.raw_headers)
        if self.background is not None:
            await self.background()


async def openai_error_response(request: Request, error: Exception) -> Response:
    """An exception handler: an `OpenAIError` as its envelope. Any other exception is raised again."""
    if not isinstance(error, OpenAIError):
        raise error
    status, headers, body = error.response()
    response = Response(body, status)
    response.raw_headers = headers
    return response
