"""Bodies and queries of rewritten requests: JSON whose leaves are paths into the call's keyword arguments."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from openai_middleware.config.rewrite import is_path
from openai_middleware.mapping.json_path import ABSENT, compile_source
from openai_middleware.replies.chat_request import ChatRequest
from openai_middleware.replies.forms import RENDERINGS
from openai_middleware.request.call import OpenAICall

# What can be looked up beside the keyword arguments, where the request does not use the names itself.
_CHAT_NAME: Final = re.compile(r"\b(?:messages|prompt)\b")

# Made of what can be looked up.
Fill = Callable[[dict[str, Any]], Any]


class Template:
    """A value with paths in it, compiled once.

    Args:
        value: See `Rewrite.body`; no function.
    """

    def __init__(self, value: Any) -> None:
        self._names = {name for path in _paths(value) for name in _CHAT_NAME.findall(path)}
        self._fill = _compiled(value)

    def fill(self, call: OpenAICall) -> Any:
        """The value for a call; ABSENT where it is one path that finds nothing.

        Raises:
            BadRequestError: The request has no chat form, and the value needs it.
        """
        kwargs = call.kwargs
        if self._names <= kwargs.keys() or call.operation not in RENDERINGS:
            return self._fill(kwargs)
        messages = ChatRequest(call.operation, kwargs).messages
        return self._fill(_WithChatNames({"messages": messages, "prompt": last_prompt(messages), **kwargs}, kwargs))


class _WithChatNames(dict[str, Any]):
    """Keyword arguments, and the names that can be looked up beside them."""

    def __init__(self, named: Mapping[str, Any], kwargs: Mapping[str, Any]) -> None:
        super().__init__(named)
        self.kwargs = kwargs


def last_prompt(messages: Any) -> str:
    """The text of the last user message; empty where there is none."""
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = content if isinstance(content, list) else []
            texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
            return "\n".join([text for text in texts if isinstance(text, str)])
    return ""


def _paths(value: Any) -> list[str]:
    if is_path(value):
        return [value]
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [path for item in items for path in _paths(item)]


def _compiled(value: Any) -> Fill:
    if value == "$":
        return lambda named: getattr(named, "kwargs", named)
    if is_path(value):
        return compile_source(value)
    if isinstance(value, Mapping):
        fields = [(name, _compiled(item)) for name, item in value.items()]
        return lambda named: {name: found for name, fill in fields if (found := fill(named)) is not ABSENT}
    if isinstance(value, list | tuple):
        items = [_compiled(item) for item in value]
        return lambda named: [found for fill in items if (found := fill(named)) is not ABSENT]
    return lambda _: value
