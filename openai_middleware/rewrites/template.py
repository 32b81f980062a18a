"""Bodies and queries of rewritten requests: JSON whose leaves are paths into the call's keyword arguments."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from openai_middleware.config.rewrite import is_path
from openai_middleware.mapping.json_path import ABSENT, compile_source, top_level_field
from openai_middleware.replies.chat_call import CHAT
from openai_middleware.replies.chat_request import ChatRequest
from openai_middleware.replies.forms import RENDERINGS
from openai_middleware.request.call import OpenAICall

# What can be looked up beside the keyword arguments, where the request does not use the names itself.
_CHAT_NAME: Final = re.compile(r"\b(?:messages|prompt)\b")

# Made of the keyword arguments, and of what can be looked up beside them.
Fill = Callable[[dict[str, Any], dict[str, Any]], Any]


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
            return self._fill(kwargs, {})
        is_chat = call.operation == CHAT
        messages = kwargs.get("messages") if is_chat else ChatRequest(call.operation, kwargs, call.history).messages
        return self._fill(kwargs, {"messages": messages, "prompt": last_prompt(messages)})


def last_prompt(messages: Any) -> str:
    """The text of the last user message; empty where there is none."""
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            texts = []
            for part in content if isinstance(content, list) else ():
                if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
                    texts.append(part["text"])
            return "\n".join(texts)
    return ""


def _paths(value: Any) -> list[str]:
    if is_path(value):
        return [value]
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [path for item in items for path in _paths(item)]


def _compiled(value: Any) -> Fill:
    if value == "$":
        return lambda kwargs, _: kwargs
    if is_path(value):
        return _compiled_path(value)
    if isinstance(value, Mapping):
        return _compiled_object([(name, _compiled(item)) for name, item in value.items()])
    if isinstance(value, list | tuple):
        items = [_compiled(item) for item in value]
        return lambda kwargs, beside: [found for fill in items if (found := fill(kwargs, beside)) is not ABSENT]
    return lambda *_: value


def _compiled_path(path: str) -> Fill:
    field = top_level_field(path)
    if field is not None:
        return lambda kwargs, beside: kwargs[field] if field in kwargs else beside.get(field, ABSENT)
    find = compile_source(path)
    if _CHAT_NAME.search(path):
        return lambda kwargs, beside: find({**beside, **kwargs})
    return lambda kwargs, _: find(kwargs)


def _compiled_object(fields: list[tuple[str, Fill]]) -> Fill:
    def fill_object(kwargs: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
        made = {}
        for name, fill in fields:
            found = fill(kwargs, beside)
            if found is not ABSENT:
                made[name] = found
        return made

    return fill_object
