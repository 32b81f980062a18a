"""A reply as a chat completion, whole or in chunks."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from openai_middleware.answer.answer import told_to_client
from openai_middleware.identifiers import new_identifier
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.replies.rendering import PieceRendering, asks_for_usage, now, tools_of
from openai_middleware.replies.reply import FinishReason, Usage

DONE: Final = b"data: [DONE]\n\n"
# What a reply's calls do not overrule: it was cut, or kept back.
_CUT: Final = ("length", "content_filter")


class ChatRendering(PieceRendering):
    """See `Rendering`.

    Args:
        request: The fields of the request.
        source: An object of the app that the reply is made of: its id, time and model are kept. Otherwise they are new,
            and the model is the request's.

    Attributes:
        has_ended: Whether the finish reason has left in a chunk of the app, and nothing was said since.
    """

    has_ended = False

    def __init__(self, request: Mapping[str, Any], source: Mapping[str, Any] | None = None) -> None:
        source = source or {}
        identity = {
            "id": source.get("id") or new_identifier("chatcmpl-"),
            "object": "chat.completion",
            "created": source.get("created") or now(),
            "model": source.get("model") or request.get("model"),
        }
        self._is_stream = request.get("stream") is True
        self._request = request
        self._identity = identity
        self._choice = _Choice(0)
        self._choices = [self._choice]
        if self._is_stream:
            self._includes_usage = asks_for_usage(request)
            self._head = b"data: " + encoded(identity | {"object": "chat.completion.chunk"})[:-1] + b',"choices":'
            self._tail = b',"usage":null}\n\n' if self._includes_usage else b"}\n\n"
            self.choose(0)

    def choose(self, index: int) -> None:
        """Let the pieces that follow belong to a choice. Without it there is one, the first."""
        while len(self._choices) <= index:
            self._choices.append(_Choice(len(self._choices)))
        self._choice.finish_reason = self.finish_reason
        self._choice = self._choices[index]
        self.finish_reason = self._choice.finish_reason
        if not self._is_stream:
            return
        self._text_head = self._head + b'[{"index":%d,"delta":{"content":' % index
        self._text_tail = b'},"logprobs":null,"finish_reason":null}]' + self._tail

    def follow(self, chunks: Iterable[Any], *, is_open: bool) -> None:
        """Go on after chunks of the app that have left as they are.

        Args:
            chunks: Those that hold calls.
            is_open: Whether the role has left in any.
        """
        for chunk in chunks:
            self.feed(chunk)
        if self._reader is not None:
            for piece in self._reader.let_go():
                self.feed(piece)
        self._choice.is_open = is_open

    def finish(self) -> bytes:
        """See `Rendering.finish`."""
        if not self._is_stream:
            return super().finish()
        ready = self._opening() + super().finish()
        for choice in () if self.has_ended else self._choices:
            self.choose(choice.index)
            ready += self._ended() + self._chunk({}, self._reason())
        if self._includes_usage and self.usage is not None:
            ready += self._head + b'[],"usage":' + encoded(chat_usage(self.usage)) + b"}\n\n"
        return ready + DONE

    def fail(self, error: BaseException) -> bytes:
        """See `Rendering.fail`."""
        return b"data: " + told_to_client(error).body() + b"\n\n"

    def whole(self) -> dict[str, Any]:
        """See `Rendering.whole`."""
        choices = []
        for choice in self._choices:
            if choice is not self._choice:
                self.choose(choice.index)
            message = choice.message(is_legacy=bool(choice.calls) and self._is_legacy)
            choices.append(
                {"index": choice.index, "message": message, "logprobs": None, "finish_reason": self._reason()}
            )
        answer = {**self._identity, "choices": choices}
        return answer if self.usage is None else {**answer, "usage": chat_usage(self.usage)}

    @property
    def _is_legacy(self) -> bool:
        """Whether the request names functions, as it was done before there were tools."""
        functions = self._request.get("functions")
        return isinstance(functions, list) and bool(functions) and not self._request.get("tools")

    def _reason(self) -> str:
        if self._choice.calls and self.finish_reason not in _CUT:
            return "function_call" if self._is_legacy else "tool_calls"
        return self.finish_reason or "stop"

    def _opening(self) -> bytes:
        if self._choice.is_open:
            return b""
        self._choice.is_open = True
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        if not self._is_stream:
            return b""
        choice = {"index": self._choice.index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._head + encoded([choice]) + self._tail

    def _text(self, text: str) -> bytes:
        choice = self._choice
        choice.texts.append(text)
        if not self._is_stream:
            return b""
        try:
            piece = self._text_head + msgspec.json.encode(text) + self._text_tail
        except UnicodeEncodeError:
            piece = self._text_head + encoded(text) + self._text_tail
        return piece if choice.is_open else self._opening() + piece

    def _reasoning(self, text: str) -> bytes:
        self._choice.reasoning.append(text)
        return self._chunk({"reasoning_content": text})

    def _refusal(self, text: str) -> bytes:
        self._choice.refusals.append(text)
        return self._chunk({"refusal": text})

    def _tool_call(self, name: str, identifier: str | None, arguments: str, *, is_whole: bool) -> bytes:
        ready = self._ended()
        calls = self._choice.calls
        call = _Call(identifier or new_identifier("call_"), name, is_custom=self._is_custom(name))
        calls.append(call)
        if not self._is_legacy:
            ready += self._chunk({"tool_calls": [{"index": len(calls) - 1, **call.as_object("")}]})
        elif len(calls) == 1:
            ready += self._chunk({"function_call": {"name": name, "arguments": ""}})
        if arguments:
            return ready + self._arguments(arguments)
        return ready + self._ended() if is_whole else ready

    def _ended(self) -> bytes:
        """End the last call: readers take an empty text for broken arguments, where a function needs none."""
        calls = self._choice.calls
        return self._arguments("{}") if calls and not (calls[-1].arguments or calls[-1].is_custom) else b""

    def _is_custom(self, name: str) -> bool:
        tools = (tool.get("custom") for tool in tools_of(self._request) if tool.get("type") == "custom")
        return any(isinstance(tool, Mapping) and tool.get("name") == name for tool in tools)

    def _arguments(self, text: str) -> bytes:
        calls = self._choice.calls
        call = calls[-1]
        call.arguments.append(text)
        if self._is_legacy:
            return self._chunk({"function_call": {"arguments": text}}) if len(calls) == 1 else b""
        details = {"custom": {"input": text}} if call.is_custom else {"function": {"arguments": text}}
        return self._chunk({"tool_calls": [{"index": len(calls) - 1, **details}]})


class _Choice(msgspec.Struct, eq=False):
    """What has been said of one choice."""

    index: int
    is_open: bool = False
    texts: list[str] = []  # each choice gets a list of its own
    reasoning: list[str] = []
    refusals: list[str] = []
    calls: list["_Call"] = []
    finish_reason: FinishReason | None = None

    def message(self, *, is_legacy: bool) -> dict[str, Any]:
        """The choice as a message of a whole completion."""
        content = "".join(self.texts)
        if content and not (self.refusals or self.reasoning or self.calls):
            return {"role": "assistant", "content": content, "refusal": None}
        refusal = "".join(self.refusals) or None
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content or (None if self.calls or refusal else ""),
            "refusal": refusal,
        }
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.calls and is_legacy:
            call = self.calls[0]
            message |= {"content": None, "function_call": {"name": call.name, "arguments": call.text() or "{}"}}
        elif self.calls:
            message["tool_calls"] = [
                call.as_object(call.text() or ("" if call.is_custom else "{}")) for call in self.calls
            ]
        return message


class _Call:
    """One tool call of a choice."""

    def __init__(self, identifier: str, name: str, *, is_custom: bool) -> None:
        self.id = identifier
        self.name = name
        self.is_custom = is_custom
        self.arguments: list[str] = []

    def text(self) -> str:
        """The arguments so far."""
        return "".join(self.arguments)

    def as_object(self, arguments: str) -> dict[str, Any]:
        """The call as OpenAI has it."""
        if self.is_custom:
            return {"id": self.id, "type": "custom", "custom": {"name": self.name, "input": arguments}}
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": arguments}}


def chat_usage(usage: Usage) -> dict[str, Any]:
    """A usage in the words of chat completions; what was not reported of the details is 0."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
