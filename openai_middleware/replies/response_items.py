"""The items of a Response while they are open: a message, reasoning, a tool call."""

from collections.abc import Iterator
from typing import Any

from openai_middleware.identifiers import new_identifier

Events = Iterator[tuple[str, dict[str, Any]]]


class Part:
    """A part of a message: text, or a refusal."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.texts: list[str] = []

    def as_object(self, text: str) -> dict[str, Any]:
        """The part with this text."""
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def text(self) -> str:
        """The text so far."""
        return "".join(self.texts)


class MessageItem:
    """A message that is open."""

    def __init__(self) -> None:
        self.id = new_identifier("msg_")
        self.parts: list[Part] = []

    def as_object(self, status: str) -> dict[str, Any]:
        """The item as it is now. An item that has no status leaves it out."""
        content = [part.as_object(part.text()) for part in self.parts]
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}

    def ending(self) -> Events:
        """The events that end the part that is open, each with its fields."""
        part = self.parts[-1]
        index = len(self.parts) - 1
        if part.kind == "refusal":
            yield "refusal.done", {"content_index": index, "refusal": part.text()}
        else:
            yield "output_text.done", {"content_index": index, "text": part.text(), "logprobs": []}
        yield "content_part.done", {"content_index": index, "part": part.as_object(part.text())}


class ReasoningItem:
    """A reasoning item that is open."""

    def __init__(self) -> None:
        self.id = new_identifier("rs_")
        self.texts: list[str] = []

    def as_object(self, status: str) -> dict[str, Any]:
        """The item as it is now. An item that has no status leaves it out."""
        summary = [summary_part("".join(self.texts))] if self.texts else []
        return {"id": self.id, "type": "reasoning", "summary": summary}

    def ending(self) -> Events:
        """The events that end what is open within the item, each with its fields."""
        text = "".join(self.texts)
        yield "reasoning_summary_text.done", {"summary_index": 0, "text": text}
        yield "reasoning_summary_part.done", {"summary_index": 0, "part": summary_part(text)}


class CallItem:
    """A tool call that is open."""

    def __init__(self, name: str, call_id: str, *, is_custom: bool, namespace: str | None) -> None:
        self.id = new_identifier("ctc_" if is_custom else "fc_")
        self.name = name
        self.is_custom = is_custom
        self.argument_events = "custom_tool_call_input" if is_custom else "function_call_arguments"
        self.texts: list[str] = []
        self._call_id = call_id
        self._namespace = {} if namespace is None else {"namespace": namespace}

    def as_object(self, status: str) -> dict[str, Any]:
        """The item as it is now. An item that has no status leaves it out."""
        call = {"id": self.id, "type": "custom_tool_call" if self.is_custom else "function_call", "status": status}
        call |= {"call_id": self._call_id, "name": self.name, **self._namespace}
        return call | {"input" if self.is_custom else "arguments": "".join(self.texts)}

    def ending(self) -> Events:
        """The events that end what is open within the item, each with its fields."""
        text = "".join(self.texts)
        if self.is_custom:
            yield "custom_tool_call_input.done", {"input": text}
        else:
            yield "function_call_arguments.done", {"arguments": text, "name": self.name}


def summary_part(text: str) -> dict[str, Any]:
    """A part of a summary."""
    return {"type": "summary_text", "text": text}
