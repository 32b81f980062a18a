"""A plain function as a WSGI app."""

from collections.abc import Iterable, Iterator

from openai_middleware.handlers.dispatcher import Dispatcher, as_handler
from openai_middleware.handlers.handler import HandlerFunction, reporting, unknown_url
from openai_middleware.handlers.replying import respond
from openai_middleware.interfaces import Environ, StartResponse, start_error, status_line
from openai_middleware.iteration import close, iterate
from openai_middleware.request.call import CALL_KEY, OpenAICall
from openai_middleware.route import HandlerSource


class WSGIHandlerApp:
    """A WSGI app made of a plain function; wrap it with `OpenAIWSGIMiddleware`. See `HandlerApp`.

    Coroutine functions and async generators run on an event loop of their own.

    Args:
        handler: The function, or a `Dispatcher` with one for each operation.
    """

    def __init__(self, handler: HandlerFunction | Dispatcher) -> None:
        self._handler = as_handler(handler)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as PEP 3333 says."""
        call = environ.get(CALL_KEY)
        if not isinstance(call, OpenAICall):
            error = unknown_url(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
            return start_error(error, start_response)
        return answer_call(self._handler, call, start_response)


def answer_call(source: HandlerSource, call: OpenAICall, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a call with what a handler returns.

    Raises:
        OpenAIError: The handler raised it, or failed: then it is a 500 that says so, and the log has the rest.
    """
    with reporting(call):
        response = respond(source, call)
        try:
            start_response(status_line(response.status_code), list(response.headers))
        except BaseException:
            close(response.events)
            raise
    if response.events is None:
        return [response.content or b""]
    return _Reported(iterate(response.events), call)


class _Reported(Iterator[bytes]):
    """Events, whose failure is reported."""

    def __init__(self, events: Iterator[bytes], call: OpenAICall) -> None:
        self._events = events
        self._call = call

    def __next__(self) -> bytes:
        with reporting(self._call):
            event = next(self._events, None)
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """Close the events."""
        close(self._events)
