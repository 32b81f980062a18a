"""One function for each operation."""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from openai_middleware.config.contract_option import contract_of, operation_mistakes
from openai_middleware.contract import Contract
from openai_middleware.errors import NotFoundError
from openai_middleware.handlers.handler import Handler, HandlerFunction
from openai_middleware.iteration import OwnLoop
from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake, Mistakes, report_mistakes
from openai_middleware.request.call import OpenAICall

HandlerType = TypeVar("HandlerType", bound=HandlerFunction)


class Dispatcher:
    """One function for each operation:

    dispatch = Dispatcher()

    @dispatch("chat.completions.create")
    async def create(body, *, model, messages): ...

    Args:
        contract: The contract that the middleware uses too, or its file, where it is not the shipped one.

    Raises:
        ConfigurationError: The file is no contract.
    """

    def __init__(self, contract: str | os.PathLike[str] | Contract | None = None) -> None:
        self._contract = contract_of(contract)
        self._handlers: dict[str, Handler] = {}

    @classmethod
    def of(cls, functions: object, contract: Contract) -> Self:
        """The dispatcher itself, or one made of a dictionary from operations to functions; None has none.

        Raises:
            ConfigurationError: It is something else, a value is no function, or the contract has no such operation.
        """
        if isinstance(functions, cls):
            return functions
        made = cls(contract)
        if functions is None:
            return made
        if not isinstance(functions, Mapping):
            hint = "Pass a Dispatcher, or a dictionary such as {'models.list': function}."
            raise ConfigurationError(
                ConfigurationMistake("handlers_type", "These are no handlers.", functions, hint, "handlers")
            )
        mistakes = Mistakes()
        for operation, function in functions.items():
            if not callable(function):
                hint = "Pass the function itself."
                mistakes.add(
                    "handler_not_callable", "A handler is a function.", function, hint, f"handlers.{operation}"
                )
                continue
            with mistakes:
                made(str(operation))(function)
        mistakes.report()
        return made

    @property
    def operations(self) -> Iterable[str]:
        """The operations that have a function."""
        return self._handlers.keys()

    def __call__(self, operation: str) -> Callable[[HandlerType], HandlerType]:
        """A decorator that registers a function for an operation; a later registration replaces an earlier one.

        Raises:
            ConfigurationError: There is no such operation.
        """
        report_mistakes(operation_mistakes(operation, self._contract))

        def register(function: HandlerType) -> HandlerType:
            self._handlers[operation] = Handler(function)
            return function

        return register

    def handler_of(self, operation: str | None) -> Handler | None:
        """The handler of an operation, or None."""
        return self._handlers.get(operation or "")

    def run(self, call: OpenAICall, *, loop: OwnLoop | None = None) -> Any:
        """Call the function of the call's operation from sync code, and return its result.

        Args:
            call: The call.
            loop: Where a coroutine runs; see `Handler.run`.

        Raises:
            NotFoundError: None was registered.
        """
        return self._handler_for(call).run(call, loop=loop)

    async def arun(self, call: OpenAICall, *, pool: ThreadPoolExecutor | None = None) -> Any:
        """Call the function of the call's operation from async code, and return its result.

        Args:
            call: The call.
            pool: Where a sync function runs; None is the pool that all handlers share.

        Raises:
            NotFoundError: None was registered.
        """
        return await self._handler_for(call).arun(call, pool=pool)

    def _handler_for(self, call: OpenAICall) -> Handler:
        handler = self.handler_of(call.operation)
        if handler is None:
            message = f"This server does not support {call.operation or f'{call.method} {call.path}'}."
            raise NotFoundError(message, code="unsupported_operation")
        return handler


def as_handler(function: HandlerFunction | Dispatcher) -> Handler | Dispatcher:
    """What finds the handler of a call: the dispatcher, or the one function that handles all calls."""
    return function if isinstance(function, Dispatcher) else Handler(function)
