"""Bodies and queries of rewritten requests: JSON whose leaves are paths into the call's keyword arguments."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from openai_middleware.mapping.json_path import ABSENT, compile_source
from openai_middleware.replies.chat_request import ChatRequest
from openai_middleware.replies.forms import RENDERINGS
from openai_middleware.request.call import OpenAICall
from openai_middleware.rewrites.rewrite import is_path

# What can be looked up beside the keyword arguments, where the request does not use the names itself.
_MESSAGES: Final = "messages"
_PROMPT: Final = "prompt"

Fill = Callable[[Mapping[str, Any]], Any]


class Template:
    """A value with paths in it, compiled once.

    Args:
        value: See `Rewrite.body`; no function.
    """

    def __init__(self, value: Any) -> None:
        paths = list(_paths(value))
        self._needs_chat = any(name in path for path in paths for name in (_MESSAGES, _PROMPT))
        self._fill = _compiled(value)

    def fill(self, call: OpenAICall) -> Any:
        """The value for a call; ABSENT where it is one path that finds nothing.

        Raises:
            BadRequestError: The request has no chat form, and the value needs it.
        """
        return self._fill(with_chat_names(call) if self._needs_chat else call.kwargs)


def with_chat_names(call: OpenAICall) -> Mapping[str, Any]:
    """The keyword arguments with `messages` and `prompt`, where the operation has a chat form.

    Raises:
        BadRequestError: The request has none.
    """
    if call.operation not in RENDERINGS:
        return call.kwargs
    messages = ChatRequest(call.operation, call.kwargs).messages
    return {_MESSAGES: messages, _PROMPT: last_prompt(messages), **call.kwargs}


def last_prompt(messages: Any) -> str:
    """The text of the last user message; empty where there is none."""
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, Mapping) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = content if isinstance(content, list) else []
            texts = [part.get("text") for part in parts if isinstance(part, Mapping) and part.get("type") == "text"]
            return "\n".join(text for text in texts if isinstance(text, str))
    return ""


def _paths(value: Any) -> list[str]:
    if is_path(value):
        return [value]
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [path for item in items for path in _paths(item)]


def _compiled(value: Any) -> Fill:
    if value == "$":
        return dict
    if is_path(value):
        return compile_source(value)
    if isinstance(value, Mapping):
        fields = [(name, _compiled(item)) for name, item in value.items()]
        return lambda source: {name: found for name, fill in fields if (found := fill(source)) is not ABSENT}
    if isinstance(value, list | tuple):
        items = [_compiled(item) for item in value]
        return lambda source: [found for fill in items if (found := fill(source)) is not ABSENT]
    return lambda _: value
