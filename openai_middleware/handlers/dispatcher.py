"""One function for each operation."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Self, TypeVar, overload

from openai_middleware.config.contract_option import contract_of, operation_mistakes
from openai_middleware.contract import Contract, OperationName
from openai_middleware.handlers.handler import Handler, HandlerFunction, unsupported
from openai_middleware.handlers.reply_handler import ModelHandler, ModelRetrieveHandler, ReplyHandler
from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake, Mistakes, report_mistakes
from openai_middleware.replies.forms import RENDERINGS
from openai_middleware.request.call import OpenAICall
from openai_middleware.route import CallHandler, HandlerSource

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
        # By operation, and by model; None stands for all that are not named.
        self._replies: dict[str | None, dict[str | None, ReplyHandler]] = {}
        self._sources: dict[str | None, HandlerSource | None] = {}

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
                try:
                    made(str(operation))(function)
                except (TypeError, ValueError) as error:
                    if isinstance(error, ConfigurationError):
                        raise
                    hint = "Let all its parameters but the first be such that a keyword fills them."
                    mistakes.add("handler_signature", f"{error}", function, hint, f"handlers.{operation}")
        mistakes.report()
        return made

    def unreachable(self, served: Collection[str | None]) -> Iterator[str]:
        """The operations that functions were registered for although they are not served.

        Args:
            served: The operations that are.
        """
        yield from (operation for operation in self._handlers if operation not in served)
        yield from (operation for operation in self._replies if operation is not None and operation not in served)
        if None in self._replies and not any(operation in served for operation in RENDERINGS):
            yield from RENDERINGS

    def __call__(self, operation: OperationName | str) -> Callable[[HandlerType], HandlerType]:
        """A decorator that registers a function for an operation; a later registration replaces an earlier one.

        Raises:
            ConfigurationError: There is no such operation.
        """
        report_mistakes(operation_mistakes(operation, self._contract))

        def register(function: HandlerType) -> HandlerType:
            self._handlers[operation] = Handler(function)
            self._sources.clear()
            return function

        return register

    @overload
    def reply(self, function: HandlerType, /) -> HandlerType: ...

    @overload
    def reply(self, *operations: str, model: str | None = None) -> Callable[[HandlerType], HandlerType]: ...

    def reply(self, *operations: Any, model: str | None = None) -> Any:
        """A decorator that registers a function for all operations that take replies, or for those named here.

        The function is called as `function(messages, **kwargs)`, both in the form of chat completions, whichever API
        was used. What it returns or yields is a whole answer of each: a str, a `Reply`, an iterator of them (a
        `ToolCall` or a `Usage` may stand there too), or a chat completion or chunks of another OpenAI client.

        A function that is registered for one operation alone, as `@dispatch("responses.create")`, answers instead.

        Args:
            operations: The operations; or the function itself, where this stands without brackets.
            model: The model that the function is: then others may be registered, each under its own name, and
                `models.list` lists them.

        Raises:
            ConfigurationError: An operation takes no replies, or the model is no name.
        """
        mistakes = Mistakes()
        if model is not None and (type(model) is not str or not model):
            hint = "Write the name that clients ask for, as in model='support-agent'."
            mistakes.add("reply_model", "A model is a str that is not empty.", model, hint, "reply")
        is_bare = len(operations) == 1 and callable(operations[0])
        for operation in () if is_bare else operations:
            if operation not in tuple(RENDERINGS):
                hint = f"These do: {', '.join(RENDERINGS)}."
                if isinstance(operation, str) and self._contract.operation(operation) is None:
                    hint += f" A model is named by model={operation!r}."
                mistakes.add("reply_operation", "This operation takes no replies.", operation, hint, "reply")
        mistakes.report()
        if is_bare:
            return self._register_reply(operations[0], (None,), model)
        return lambda function: self._register_reply(function, operations or (None,), model)

    def _register_reply(
        self, function: HandlerType, operations: Iterable[str | None], model: str | None
    ) -> HandlerType:
        handler = ReplyHandler(function)
        for operation in operations:
            self._replies.setdefault(operation, {})[model] = handler
        self._sources.clear()
        return function

    def handler_of(self, operation: str | None) -> HandlerSource | None:
        """What handles an operation, or None."""
        if operation not in self._sources:
            self._sources[operation] = self._source(operation)
        return self._sources[operation]

    def _source(self, operation: str | None) -> HandlerSource | None:
        if operation in self._handlers:
            return self._handlers[operation]
        if operation in RENDERINGS:
            replies = self._replies.get(None, {}) | self._replies.get(operation, {})
            default = replies.pop(None, None)
            named = {model: reply for model, reply in replies.items() if model is not None}
            return ModelHandler(named, default) if named else default
        models = self._handlers.get("models.list") or (Handler(self._models) if self._models() else None)
        if operation == "models.retrieve" and models is not None:
            return ModelRetrieveHandler(models)
        return models if operation == "models.list" else None

    def _models(self) -> list[str]:
        """The models under whose names functions reply, in the order of their registration."""
        models = (model for replies in self._replies.values() for model in replies)
        return list(dict.fromkeys(model for model in models if model is not None))

    def handler_for(self, call: OpenAICall) -> CallHandler:
        """The function for a call.

        Raises:
            NotFoundError: None was registered for its operation, or none for its model.
        """
        source = self.handler_of(call.operation)
        if source is None:
            raise unsupported(call)
        return source.handler_for(call)


def as_handler(function: HandlerFunction | Dispatcher) -> Handler | Dispatcher:
    """What finds the handler of a call: the dispatcher, or the one function that handles all calls."""
    return function if isinstance(function, Dispatcher) else Handler(function)
