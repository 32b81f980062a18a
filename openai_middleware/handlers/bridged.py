"""A function for chat completions that serves another operation."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from openai_middleware.iteration import OwnLoop
from openai_middleware.replies.chat_call import chat_call
from openai_middleware.replies.forms import refuse_choices
from openai_middleware.request.call import OpenAICall
from openai_middleware.route import CallHandler, HandlerSource

# The operations that chat completions can serve, and the ends of their paths.
BRIDGED_PATHS: Final[Mapping[str, str]] = {"responses.create": "/responses", "completions.create": "/completions"}


def chat_path(operation: str, path: str) -> str:
    """The path of chat completions under the same prefix.

    Args:
        operation: The operation that is asked for.
        path: Its path.
    """
    return path.rstrip("/").removesuffix(BRIDGED_PATHS[operation]) + "/chat/completions"


class BridgedHandler:
    """Asks a function for chat completions what another operation was asked. Its answer is a reply to that.

    Args:
        chat: What finds the function.
    """

    def __init__(self, chat: HandlerSource) -> None:
        self._chat = chat

    def handler_for(self, call: OpenAICall) -> CallHandler:
        """See `HandlerSource.handler_for`.

        Raises:
            BadRequestError: The request has no form in chat.
        """
        refuse_choices(call.kwargs)
        bridged = chat_call(call, chat_path(call.operation or "", call.path))
        return _Bridged(self._chat.handler_for(bridged), bridged)


class _Bridged:
    """A function with the call that it gets."""

    takes_choices = False
    only_replies = True

    def __init__(self, handler: CallHandler, call: OpenAICall) -> None:
        self._handler = handler
        self._call = call
        self.name = handler.name

    def run(self, call: OpenAICall, *first: Any, loop: OwnLoop | None = None) -> Any:
        """See `CallHandler.run`."""
        return self._handler.run(self._call, *first, loop=loop)

    async def arun(self, call: OpenAICall, *first: Any, pool: ThreadPoolExecutor | None = None) -> Any:
        """See `CallHandler.arun`."""
        return await self._handler.arun(self._call, *first, pool=pool)
