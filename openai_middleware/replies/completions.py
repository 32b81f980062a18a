"""A reply as a text completion, whole or in chunks."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from openai_middleware.answer.answer import told_to_client
from openai_middleware.errors import BadRequestError
from openai_middleware.identifiers import new_identifier
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.replies.chat import DONE, chat_usage
from openai_middleware.replies.rendering import PieceRendering, asks_for_usage, now

_FINISH_REASONS: Final = ("stop", "length", "content_filter")


class CompletionRendering(PieceRendering):
    """See `Rendering`. Text completions know text alone: a refusal is text, reasoning is left out.

    Args:
        request: The fields of the request.
        source: See `ChatRendering`.
    """

    def __init__(self, request: Mapping[str, Any], source: Mapping[str, Any] | None = None) -> None:
        source = source or {}
        self._identity = {
            "id": source.get("id") or new_identifier("cmpl-"),
            "object": "text_completion",
            "created": source.get("created") or now(),
            "model": source.get("model") or request.get("model"),
        }
        self._is_stream = request.get("stream") is True
        self._includes_usage = asks_for_usage(request)
        self._head = b"data: " + encoded(self._identity)[:-1] + b',"choices":'
        self._tail = b',"usage":null}\n\n' if self._includes_usage else b"}\n\n"
        self._text_head = self._head + b'[{"text":'
        self._text_tail = b',"index":0,"logprobs":null,"finish_reason":null}]' + self._tail
        self._echo = "" if source or request.get("echo") is not True else prompt_of(request)
        self._texts: list[str] = []

    def finish(self) -> bytes:
        """See `Rendering.finish`."""
        ready = self._opening() + super().finish()
        if not self._is_stream:
            return b""
        ready += self._head + encoded([self._choice("")]) + self._tail
        if self._includes_usage and self.usage is not None:
            ready += self._head + b'[],"usage":' + encoded(chat_usage(self.usage)) + b"}\n\n"
        return ready + DONE

    def fail(self, error: BaseException) -> bytes:
        """See `Rendering.fail`."""
        return b"data: " + told_to_client(error).body() + b"\n\n"

    def whole(self) -> dict[str, Any]:
        """See `Rendering.whole`."""
        answer = {**self._identity, "choices": [self._choice("".join(self._texts))]}
        return answer if self.usage is None else {**answer, "usage": chat_usage(self.usage)}

    def _choice(self, text: str) -> dict[str, Any]:
        reason = self.finish_reason if self.finish_reason in _FINISH_REASONS else "stop"
        return {"text": text, "index": 0, "logprobs": None, "finish_reason": reason}

    def _opening(self) -> bytes:
        echo, self._echo = self._echo, ""
        return self._text(echo) if echo else b""

    def _text(self, text: str) -> bytes:
        opening = self._opening() if self._echo else b""
        self._texts.append(text)
        if not self._is_stream:
            return b""
        try:
            return opening + self._text_head + msgspec.json.encode(text) + self._text_tail
        except UnicodeEncodeError:
            return opening + self._text_head + encoded(text) + self._text_tail

    def _reasoning(self, text: str) -> bytes:
        return b""

    def _refusal(self, text: str) -> bytes:
        return self._text(text)

    def _tool_call(self, name: str, identifier: str | None, arguments: str, *, is_whole: bool) -> bytes:
        raise TypeError("A text completion has no place for a tool call.")

    def _arguments(self, text: str) -> bytes:
        raise TypeError("A text completion has no place for a tool call.")


def prompt_of(request: Mapping[str, Any]) -> str:
    """The prompt of a request for a text completion: a string, or a list of one.

    Raises:
        BadRequestError: There are several prompts, or they are token ids.
    """
    prompt = request.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    message = "This server takes one prompt in a request, as a string: not several, and no token ids."
    raise BadRequestError(message, param="prompt", code="unsupported_value")
