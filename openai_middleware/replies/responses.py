"""A reply as a Response, whole or as its events."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from openai_middleware.answer.failure import failed_response, named_event
from openai_middleware.identifiers import new_identifier
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.replies.rendering import PieceRendering, now, tools_of
from openai_middleware.replies.reply import Usage
from openai_middleware.replies.response_items import CallItem, MessageItem, Part, ReasoningItem, summary_part

# What leaves where the request said nothing: OpenAI's defaults. Fields that may be null are null.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "instructions": None,
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "temperature": 1,
    "top_p": 1,
    "truncation": "disabled",
    "metadata": {},
    "max_output_tokens": None,
    "max_tool_calls": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "top_logprobs": 0,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "previous_response_id": None,
}
_TEXT: Final = {"format": {"type": "text"}}
_REASONING: Final = {"effort": None, "summary": None}

Item = MessageItem | ReasoningItem | CallItem

_CUT: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseRendering(PieceRendering):
    """See `Rendering`. The whole answer is the response of the last event.

    Args:
        request: The fields of the request, which the response says again.
        is_stored: Whether the response can be read again later.
    """

    def __init__(self, request: Mapping[str, Any], *, is_stored: bool = False) -> None:
        self._response: dict[str, Any] = {
            "id": new_identifier("resp_"),
            "object": "response",
            "created_at": now(),
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": request.get("model"),
            **_echo(request),
            "service_tier": "default",
            "store": is_stored,
            "output": [],
            "usage": None,
            "completed_at": None,
        }
        self._is_stream = request.get("stream") is True
        self._request = request
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._item: Item | None = None
        self._is_open = False
        # Set while a text part is open: text is what nearly all pieces are.
        self._append: Callable[[str], None] | None = None
        self._place = b""

    def feed(self, piece: Any) -> bytes:
        """See `Rendering.feed`."""
        append = self._append
        if append is None or piece.__class__ is not str or not piece:
            return super().feed(piece)
        append(piece)
        if not self._is_stream:
            return b""
        number = self._number
        self._number = number + 1
        try:
            return _TEXT_DELTA % (number, self._place, _encode(piece))
        except UnicodeEncodeError:
            return _TEXT_DELTA % (number, self._place, encoded(piece))

    def finish(self) -> bytes:
        """See `Rendering.finish`."""
        ready = self._opening() + super().finish()
        if not self._output and self._item is None:
            # Readers take the first part of the first item for the answer.
            ready += self._part("output_text")[1]
        reason = _CUT.get(self.finish_reason or "")
        is_cut = reason is not None
        ready += self._closed("incomplete" if is_cut and isinstance(self._item, MessageItem) else "completed")
        self._response |= {
            "status": "incomplete" if is_cut else "completed",
            "incomplete_details": {"reason": reason} if is_cut else None,
            "output": self._output,
            "usage": None if self.usage is None else response_usage(self.usage),
            "completed_at": None if is_cut else now(),
        }
        kind = "response.incomplete" if is_cut else "response.completed"
        return ready + self._event(kind, response=self._response)

    def fail(self, error: BaseException) -> bytes:
        """See `Rendering.fail`."""
        ready = self._opening()
        if self._item is not None:
            self._output.append(self._item.as_object("incomplete"))
            self._item = self._append = None
        self._response |= {
            "output": self._output,
            "usage": None if self.usage is None else response_usage(self.usage),
        }
        return ready + failed_response(error, self._response, self._number)

    def whole(self) -> dict[str, Any]:
        """See `Rendering.whole`."""
        return self._response

    def _opening(self) -> bytes:
        if self._is_open or not self._is_stream:
            return b""
        self._is_open = True
        self._number = 2
        response = encoded(self._response)
        return b"".join(
            b'event: %b\ndata: {"type":"%b","sequence_number":%d,"response":%b}\n\n' % (kind, kind, number, response)
            for number, kind in enumerate((b"response.created", b"response.in_progress"))
        )

    def _event(self, kind: str, **fields: Any) -> bytes:
        if not self._is_stream:
            return b""
        number = self._number
        self._number = number + 1
        return named_event({"type": kind, "sequence_number": number, **fields})

    def _inner(self, item: Item, kind: str, **fields: Any) -> bytes:
        """An event within the item that is open."""
        return self._event(f"response.{kind}", item_id=item.id, output_index=len(self._output), **fields)

    def _opened(self, item: Item) -> bytes:
        ready = self._opening() + self._closed()
        self._item = item
        if not self._is_stream:
            return b""
        return ready + self._event(
            "response.output_item.added", output_index=len(self._output), item=item.as_object("in_progress")
        )

    def _closed(self, status: str = "completed") -> bytes:
        """End the item that is open, if one is."""
        item = self._item
        if item is None:
            return b""
        ready = b""
        if isinstance(item, CallItem) and not item.texts and not item.is_custom:
            ready = self._argued(item, "{}")
        if self._is_stream:
            ready += b"".join(self._inner(item, kind, **fields) for kind, fields in item.ending())
        self._append = None
        done = item.as_object(status)
        ready += self._event("response.output_item.done", output_index=len(self._output), item=done)
        self._output.append(done)
        self._item = None
        return ready

    def _part(self, kind: str) -> tuple[Part, bytes]:
        """The part of a message that is open, and what opened it: a message has one part after the other."""
        message, ready = self._item, b""
        if not isinstance(message, MessageItem):
            message = MessageItem()
            ready = self._opened(message)
        if message.parts and message.parts[-1].kind == kind:
            return message.parts[-1], ready
        if message.parts and self._is_stream:
            ready += b"".join(self._inner(message, name, **fields) for name, fields in message.ending())
        part = Part(kind)
        message.parts.append(part)
        self._append = part.texts.append if kind == "output_text" else None
        if not self._is_stream:
            return part, b""
        index = len(message.parts) - 1
        ready += self._inner(message, "content_part.added", content_index=index, part=part.as_object(""))
        if kind == "output_text":
            place = {"item_id": message.id, "output_index": len(self._output), "content_index": index}
            self._place = encoded(place)[1:-1]
        return part, ready

    def _text(self, text: str) -> bytes:
        _, ready = self._part("output_text")
        return ready + self.feed(text)

    def _refusal(self, text: str) -> bytes:
        part, ready = self._part("refusal")
        part.texts.append(text)
        message = self._item
        if not isinstance(message, MessageItem):
            return ready
        return ready + self._inner(message, "refusal.delta", content_index=len(message.parts) - 1, delta=text)

    def _reasoning(self, text: str) -> bytes:
        item, ready = self._item, b""
        if not isinstance(item, ReasoningItem):
            item = ReasoningItem()
            ready = self._opened(item)
            ready += self._inner(item, "reasoning_summary_part.added", summary_index=0, part=summary_part(""))
        item.texts.append(text)
        return ready + self._inner(item, "reasoning_summary_text.delta", summary_index=0, delta=text)

    def _tool_call(self, name: str, identifier: str | None, arguments: str, *, is_whole: bool) -> bytes:
        kind, namespace = dict(_kinds_of_tools(self._request)).get(name, ("function", None))
        call = CallItem(name, identifier or new_identifier("call_"), is_custom=kind == "custom", namespace=namespace)
        ready = self._opened(call)
        if arguments:
            ready += self._argued(call, arguments)
        return ready + self._closed() if is_whole else ready

    def _arguments(self, text: str) -> bytes:
        return self._argued(self._item, text) if isinstance(self._item, CallItem) else b""

    def _argued(self, call: CallItem, text: str) -> bytes:
        call.texts.append(text)
        return self._inner(call, f"{call.argument_events}.delta", delta=text)


_TEXT_DELTA: Final = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%d,%b,"delta":%b,'
    b'"logprobs":[]}\n\n'
)
_encode = msgspec.json.encode


def _echo(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a response says again of its request."""
    echo = {**_DEFAULTS, "text": _TEXT, "reasoning": _REASONING}
    for name, value in request.items():
        if value is None:
            continue
        if name in _DEFAULTS or name == "user":
            echo[name] = value
        elif name in ("text", "reasoning") and isinstance(value, Mapping):
            echo[name] = echo[name] | {key: given for key, given in value.items() if given is not None}
    if isinstance(echo["tools"], list):
        echo["tools"] = [_echoed_tool(tool) for tool in echo["tools"]]
    return echo


def _echoed_tool(tool: Any) -> Any:
    """A tool as it came. Of a function, Open Responses wants these fields even where they were left out."""
    is_function = isinstance(tool, Mapping) and tool.get("type") == "function"
    return {"description": None, "parameters": None, "strict": None, **tool} if is_function else tool


def _kinds_of_tools(request: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """The request's tools by name, each with its kind and the namespace in which it was declared."""
    # The first of a name counts, so it comes last into the dict.
    for tool in reversed(tools_of(request)):
        name = tool.get("name")
        if tool.get("type") == "namespace" and isinstance(tool.get("tools"), list):
            for inner in reversed(tool["tools"]):
                if isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
                    yield inner["name"], (str(inner.get("type")), name)
        elif isinstance(name, str):
            yield name, (str(tool.get("type")), None)


def response_usage(usage: Usage) -> dict[str, Any]:
    """A usage in the words of Responses; what was not reported of the details is 0."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total,
    }
