"""Handlers: plain functions that take a call's keyword arguments."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async

from openai_middleware.errors import InternalServerError, NotFoundError, OpenAIError, UnprocessableEntityError
from openai_middleware.iteration import OwnLoop, shared_pool
from openai_middleware.request.call import OpenAICall
from openai_middleware.request.path import printable

logger = logging.getLogger("openai_middleware")

HandlerFunction = Callable[..., Any]


class Handler:
    """A function, and what its signature says; computed once.

    Its first positional parameter gets the request body. Of the call's keyword arguments it gets those that it
    declares, or all where it has `**kwargs`.

    Args:
        function: The function.

    Attributes:
        is_async: Whether calling the function blocks nothing: it is a coroutine or an async generator function.

    Raises:
        TypeError: It requires a positional-only parameter beside the first: kwargs cannot fill that.
    """

    def __init__(self, function: HandlerFunction) -> None:
        parameters = list(inspect.signature(function).parameters.values())
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        unfilled = [p.name for p in positional[1:] if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]
        if unfilled:
            raise TypeError(f"{function!r} requires {unfilled[0]!r} by position, and arguments come by keyword.")
        named = [p for p in parameters[1:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        named += [p for p in parameters[:1] if p.kind is p.KEYWORD_ONLY]
        first = positional[0] if positional else None
        self._function = function
        self._takes_first = first is not None or any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self._first_name = first.name if first and first.kind is first.POSITIONAL_OR_KEYWORD else None
        self._names = {p.name for p in named}
        self._required = [p.name for p in named if p.default is p.empty]
        # A bound method has filled its first parameter already: no keyword argument of that name can reach it.
        bound_to = getattr(function, "__func__", None)
        self._taken = set(list(inspect.signature(bound_to).parameters)[:1]) if bound_to else set()
        if self._first_name is not None:
            self._taken.add(self._first_name)
        self._takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        method = getattr(function, "__call__", function)  # noqa: B004 - an object with an async __call__ is one too
        self.is_async = any(iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in (function, method))

    def __call__(self, call: OpenAICall, *first: Any) -> Any:
        """Call the function, and return what it returns.

        Args:
            call: The call whose keyword arguments it gets.
            first: What its first positional parameter gets instead of the body.

        Raises:
            UnprocessableEntityError: The function requires an argument that the request does not have.
        """
        missing = [name for name in self._required if name not in call.kwargs]
        if missing:
            message = f"Missing required parameter: '{missing[0]}'."
            raise UnprocessableEntityError(message, param=missing[0], code="missing_required_parameter")
        kwargs = {
            name: value
            for name, value in call.kwargs.items()
            if (self._takes_all or name in self._names) and name not in self._taken
        }
        try:
            return self._function(*((first or (call.body,)) if self._takes_first else ()), **kwargs)
        except StopIteration as error:
            # No future can hold it (PEP 479 has the same for generators): whoever awaited it would wait for ever.
            raise RuntimeError("The handler raised StopIteration.") from error

    def run(self, call: OpenAICall, *first: Any, loop: OwnLoop | None = None) -> Any:
        """Call the function from sync code, and return its result.

        Args:
            call: The call whose keyword arguments it gets.
            first: What its first positional parameter gets instead of the body.
            loop: Where a coroutine runs; what it returns may be read there. None is where `async_to_sync` of asgiref
                runs it: on the server's loop where there is one, else on a loop that ends with it.
        """
        result = self(call, *first)
        if not inspect.isawaitable(result):
            return result
        return async_to_sync(_awaited)(result) if loop is None else loop.run(result)

    async def arun(self, call: OpenAICall, *first: Any, pool: ThreadPoolExecutor | None = None) -> Any:
        """Call the function from async code, and return its result.

        Args:
            call: The call whose keyword arguments it gets.
            first: What its first positional parameter gets instead of the body.
            pool: Where a sync function runs; None is the pool that all handlers share.
        """
        if self.is_async:
            result = self(call, *first)
        else:
            in_thread = sync_to_async(self, thread_sensitive=False, executor=pool or shared_pool())
            result = await in_thread(call, *first)
        return await result if inspect.isawaitable(result) else result


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


@contextmanager
def reporting(call: OpenAICall) -> Iterator[None]:
    """A bug in a handler becomes an error that tells the client to stop trying, and the log everything."""
    try:
        yield
    except OpenAIError:
        raise
    except Exception as error:
        name = call.operation or f"{call.method} {printable(call.path)}"
        logger.exception("%s: the handler failed (request %s).", name, call.request_id)
        raise InternalServerError("The server had an error while processing your request.") from error


def unknown_url(method: str, path: str) -> NotFoundError:
    """What a client gets for a request that the middleware in front of handlers did not match."""
    return NotFoundError(f"Unknown request URL: {method} {path}.", code="unknown_url")
