"""Handlers: plain functions that take a call's keyword arguments."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async

from openai_middleware.errors import InternalServerError, NotFoundError, OpenAIError, UnprocessableEntityError
from openai_middleware.iteration import OwnLoop, shared_pool
from openai_middleware.replies.forms import RENDERINGS, refuse_choices
from openai_middleware.replies.rendering import CHOICES
from openai_middleware.request.call import REQUEST_METHOD, REQUEST_PATH, OpenAICall
from openai_middleware.request.path import printable

logger = logging.getLogger("openai_middleware")

HandlerFunction = Callable[..., Any]


class Handler:
    """A function, and what its signature says; computed once.

    Its first positional parameter gets the request body. Of the call's keyword arguments it gets those that it
    declares, or all where it has `**kwargs`; of an operation's body also a field that OpenAI does not have, where it
    declares it. A parameter named `call` gets the `OpenAICall`.

    Args:
        function: The function.
        takes_body: Whether a first positional parameter gets the body; otherwise it is filled by its name, as all are.

    Attributes:
        name: What messages call the function.
        takes_choices: Whether requests for several choices are its business.
        only_replies: See `CallHandler`.
        is_async: Whether calling the function blocks nothing: it is a coroutine or an async generator function.

    Raises:
        TypeError: It requires a positional-only parameter beside the first: kwargs cannot fill that.
    """

    only_replies = False

    def __init__(self, function: HandlerFunction, *, takes_body: bool = True) -> None:
        parameters = list(inspect.signature(function).parameters.values())
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        unfilled = [p.name for p in positional[1:] if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]
        if unfilled:
            raise TypeError(f"{function!r} requires {unfilled[0]!r} by position, and arguments come by keyword.")
        first = positional[0] if positional and takes_body else None
        by_keyword = (p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        named = [p for p in by_keyword if p is not first]
        self._function = function
        self.name = getattr(function, "__qualname__", None) or type(function).__qualname__
        self._first_is_call = first is not None and first.name == "call"
        self._takes_first = first is not None or any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self._first_name = first.name if first and first.kind is first.POSITIONAL_OR_KEYWORD else None
        self._names = {p.name for p in named}
        self._fields = self._names - {"call", REQUEST_PATH, REQUEST_METHOD}
        self.takes_choices = "n" in self._names
        self._takes_call = "call" in self._names
        self._required = [p.name for p in named if p.default is p.empty and p.name != "call"]
        # A bound method has filled its first parameter already: no keyword argument of that name can reach it.
        bound_to = getattr(function, "__func__", None)
        self._taken = set(list(inspect.signature(bound_to).parameters)[:1]) if bound_to else set()
        if self._first_name is not None:
            self._taken.add(self._first_name)
        self._takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        # What the function cannot see is refused before it is called, which may have its costs.
        sees_all = self._takes_all or self._takes_first or self._takes_call
        self._choices = [] if sees_all else [name for name in CHOICES if name not in self._names]
        method = getattr(function, "__call__", function)  # noqa: B004 - an object with an async __call__ is one too
        self.is_async = any(iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in (function, method))

    def declares(self, name: str) -> bool:
        """Whether the function has a parameter of this name that a keyword argument reaches."""
        return name in self._names

    def __call__(self, call: OpenAICall, *first: Any, kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call the function, and return what it returns.

        Args:
            call: The call whose keyword arguments it gets.
            first: What its first positional parameter gets instead of the body.
            kwargs: Other keyword arguments to choose from than those of the call.

        Raises:
            UnprocessableEntityError: The function requires an argument that the request does not have.
            BadRequestError: The request asks for several choices of a reply, and the function does not take that.
        """
        given = call.kwargs if kwargs is None else kwargs
        if self._choices and call.operation in RENDERINGS:
            refuse_choices(given, self._choices)
        if call.operation is not None and isinstance(call.body, dict) and not given.keys() >= self._fields:
            # What clients send beside OpenAI's own fields (the SDK's `extra_body`) is for whoever names it.
            own = {name: call.body[name] for name in self._fields & call.body.keys() if name not in call.kwargs}
            given = {**own, **given}
        missing = [name for name in self._required if name not in given]
        if missing:
            raise missing_parameter(missing[0])
        arguments = {
            name: value
            for name, value in given.items()
            if (self._takes_all or name in self._names) and name not in self._taken
        }
        if self._takes_call:
            arguments["call"] = call
        if self._first_is_call:
            first = (call,)
        try:
            return self._function(*((first or (call.body,)) if self._takes_first else ()), **arguments)
        except StopIteration as error:
            # No future can hold it (PEP 479 has the same for generators): whoever awaited it would wait for ever.
            raise RuntimeError("The handler raised StopIteration.") from error

    def run(
        self,
        call: OpenAICall,
        *first: Any,
        kwargs: Mapping[str, Any] | None = None,
        loop: OwnLoop | None = None,
    ) -> Any:
        """Call the function from sync code, and return its result.

        Args:
            call: See `__call__`.
            first: See `__call__`.
            kwargs: See `__call__`.
            loop: Where a coroutine runs; what it returns may be read there. None is where `async_to_sync` of asgiref
                runs it: on the server's loop where there is one, else on a loop that ends with it.
        """
        result = self(call, *first, kwargs=kwargs)
        if not inspect.isawaitable(result):
            return result
        return async_to_sync(_awaited)(result) if loop is None else loop.run(result)

    async def arun(
        self,
        call: OpenAICall,
        *first: Any,
        kwargs: Mapping[str, Any] | None = None,
        pool: ThreadPoolExecutor | None = None,
    ) -> Any:
        """Call the function from async code, and return its result.

        Args:
            call: See `__call__`.
            first: See `__call__`.
            kwargs: See `__call__`.
            pool: Where a sync function runs; None is the pool that all handlers share.
        """
        if self.is_async:
            result = self(call, *first, kwargs=kwargs)
        else:
            in_thread = sync_to_async(self, thread_sensitive=False, executor=pool or shared_pool())
            result = await in_thread(call, *first, kwargs=kwargs)
        return await result if inspect.isawaitable(result) else result

    def handler_for(self, call: OpenAICall) -> Self:
        """See `HandlerSource.handler_for`."""
        return self


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
        raise reported(error, call) from error


def reported(error: Exception, call: OpenAICall) -> InternalServerError:
    """Say in the log that a handler failed, and return what the client learns of it."""
    name = call.operation or f"{call.method} {printable(call.path)}"
    logger.error("%s: the handler failed (request %s).", name, call.request_id, exc_info=error)
    return InternalServerError("The server had an error while processing your request.")


def missing_parameter(name: str) -> UnprocessableEntityError:
    """What a client gets that left out what a function requires."""
    message = f"Missing required parameter: '{name}'."
    return UnprocessableEntityError(message, param=name, code="missing_required_parameter")


def unsupported(call: OpenAICall) -> NotFoundError:
    """What a client gets for an operation that nothing here serves."""
    name = call.operation or f"{call.method} {call.path}"
    return NotFoundError(f"This server does not support {name}.", code="unsupported_operation")


def unknown_url(method: str, path: str) -> NotFoundError:
    """What a client gets for a request that the middleware in front of handlers did not match."""
    return NotFoundError(f"Unknown request URL: {method} {path}.", code="unknown_url")
