"""Functions that reply: called with messages, whichever API asks."""

from collections.abc import AsyncIterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import sync_to_async

from openai_middleware.handlers.handler import Handler, HandlerFunction, missing_parameter
from openai_middleware.handlers.response import Response
from openai_middleware.iteration import OwnLoop, shared_pool
from openai_middleware.replies.chat_call import CHAT
from openai_middleware.replies.chat_reader import is_chat_object
from openai_middleware.replies.chat_request import ChatRequest, takes_long
from openai_middleware.replies.forms import is_reply, refuse_choices
from openai_middleware.replies.models import model_of, unknown_model
from openai_middleware.request.call import REQUEST_METHOD, REQUEST_PATH, OpenAICall
from openai_middleware.route import CallHandler


class Choices(list[Any]):
    """Several replies to one request: its choices."""


class ReplyHandler:
    """A function that replies. It is called as `function(messages, **kwargs)`, both in the form of chat completions.

    Args:
        function: The function. Where it declares `n`, it may return a list of replies: the choices of a chat
            completion. On the other operations it is a list of one.

    Attributes:
        name: What messages call the function.
        takes_choices: Whether requests for several choices reach it.
        only_replies: See `CallHandler`.

    Raises:
        TypeError: See `Handler`.
    """

    only_replies = True

    def __init__(self, function: HandlerFunction) -> None:
        self._handler = Handler(function)
        self.name = self._handler.name
        self.takes_choices = self._handler.declares("n")
        self._takes_messages = self._handler.declares("messages")
        # What chat completions do not know is there for functions that name it: with `**kwargs` a function hands all
        # that it gets to another client, which would refuse it.
        self._left_out = [name for name in (REQUEST_PATH, REQUEST_METHOD) if not self._handler.declares(name)]

    def run(self, call: OpenAICall, *first: Any, loop: OwnLoop | None = None) -> Any:
        """Call the function in sync code. What else might come first gives way to the messages.

        Raises:
            BadRequestError: The request has no form in chat, or asks for several choices.
            TypeError: The function returned no reply.
        """
        request = self._request(call)
        return self._checked(call, self._handler.run(call, request.messages, kwargs=self._kwargs(request), loop=loop))

    async def arun(self, call: OpenAICall, *first: Any, pool: ThreadPoolExecutor | None = None) -> Any:
        """The same as `run`, on an event loop."""
        if takes_long(call.history):
            in_thread = sync_to_async(self._request, thread_sensitive=False, executor=pool or shared_pool())
            request = await in_thread(call)
        else:
            request = self._request(call)
        result = await self._handler.arun(call, request.messages, kwargs=self._kwargs(request), pool=pool)
        return self._checked(call, result)

    def handler_for(self, call: OpenAICall) -> CallHandler:
        """See `HandlerSource.handler_for`."""
        return self

    def _request(self, call: OpenAICall) -> ChatRequest:
        if not self.takes_choices:
            refuse_choices(call.kwargs)
        elif call.operation != CHAT:
            # A function that names a field gets it from the body too, where OpenAI has none of that name.
            refuse_choices({**call.body, **call.kwargs} if isinstance(call.body, dict) else call.kwargs)
        return ChatRequest(call.operation, call.kwargs, call.history)

    def _kwargs(self, request: ChatRequest) -> Mapping[str, Any]:
        kwargs = request.kwargs
        for name in self._left_out:
            kwargs.pop(name, None)
        if self._takes_messages:
            kwargs["messages"] = request.messages
        return kwargs

    def _checked(self, call: OpenAICall, result: Any) -> Any:
        if is_reply(result) or is_chat_object(result) or isinstance(result, Iterator | AsyncIterable | Response):
            return result
        if self.takes_choices and isinstance(result, list) and all(is_reply(reply) for reply in result):
            if call.operation == CHAT:
                return Choices(result)
            if len(result) == 1:
                return result[0]
        what = "a reply is a str, a Reply, an iterator of them, or a chat completion"
        raise TypeError(f"{self._handler.name} returned no reply but a {type(result).__name__}: {what}.")


class ModelHandler:
    """Several functions that reply, each under the name of a model.

    Args:
        handlers: The functions by their models.
        default: What answers under any other name, or None.
    """

    def __init__(self, handlers: Mapping[str, ReplyHandler], default: ReplyHandler | None) -> None:
        self._handlers = handlers
        self._default = default

    def handler_for(self, call: OpenAICall) -> CallHandler:
        """The function of the request's model.

        Raises:
            NotFoundError: No function has this name.
            UnprocessableEntityError: No function takes all models, and the request has none.
        """
        model = call.kwargs.get("model")
        handler = self._handlers.get(model) if isinstance(model, str) else None
        handler = handler or self._default
        if handler is None:
            raise missing_parameter("model") if model is None else unknown_model(model)
        return handler


class ModelRetrieveHandler:
    """Answers `models.retrieve` with what `models.list` says.

    Args:
        models: What answers `models.list`.
    """

    takes_choices = only_replies = False

    def __init__(self, models: Handler) -> None:
        self._models = models
        self.name = models.name

    def run(self, call: OpenAICall, *first: Any, loop: OwnLoop | None = None) -> Any:
        """The one model that was asked for.

        Raises:
            NotFoundError: There is none of this name.
        """
        return model_of(call.kwargs.get("model"), self._models.run(call, *first, loop=loop))

    async def arun(self, call: OpenAICall, *first: Any, pool: ThreadPoolExecutor | None = None) -> Any:
        """The same as `run`, on an event loop."""
        return model_of(call.kwargs.get("model"), await self._models.arun(call, *first, pool=pool))

    def handler_for(self, call: OpenAICall) -> CallHandler:
        """See `HandlerSource.handler_for`."""
        return self
