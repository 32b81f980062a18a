"""What all renderings of replies have in common: a reply goes in piece by piece, an operation's own bytes come out."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from openai_middleware.mapping.json_codec import encoded
from openai_middleware.replies.chat_reader import ChatReader, is_chat_object
from openai_middleware.replies.pieces import CallArguments, CallStart
from openai_middleware.replies.reply import FinishReason, Reply, ToolCall, Usage


class NotAReplyError(TypeError):
    """Something stands where a reply was expected."""

    def __init__(self, value: object) -> None:
        super().__init__(
            f"{type(value).__name__} is no reply: that is a str, a Reply, a ToolCall or a Usage, or an iterator of them"
        )


class Rendering(Protocol):
    """One reply on its way to become the answer of one operation; pure, and used once.

    The bytes are those of a stream, and empty where none was asked for. Then `whole()` gives the answer at the end.
    """

    def feed(self, piece: Any) -> bytes:
        """Take a piece, and return the events that it makes; with the first one, those that open the stream.

        Args:
            piece: A `Piece`, or a chat completion or chunk: the SDK's object or a mapping.

        Raises:
            NotAReplyError: It is none.
        """

    def finish(self) -> bytes:
        """The reply is over: return the events that end the stream."""

    def fail(self, error: BaseException) -> bytes:
        """The reply broke off: return the events that end the stream with an error.

        Args:
            error: Where it is an `OpenAIError`, the client learns what it says; of any other, nothing.
        """

    def whole(self) -> dict[str, Any]:
        """The whole answer, once the reply is over."""


class PieceRendering:
    """Takes pieces apart. What remains to an operation is what becomes of one field at a time.

    Attributes:
        finish_reason: The last one that was given.
        usage: The last one that was given.
    """

    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    _is_stream = False
    _reader: ChatReader | None = None

    def feed(self, piece: Any) -> bytes:
        """See `Rendering.feed`."""
        if piece.__class__ is str:
            return self._text(piece) if piece else self._opening()
        return self._opening() + b"".join(self._parts(piece))

    def finish(self) -> bytes:
        """See `Rendering.finish`."""
        if self._reader is None:
            return b""
        return b"".join(ready for piece in self._reader.finish() for ready in self._parts(piece))

    def _parts(self, piece: Any) -> Iterator[bytes]:
        if piece is None:
            return
        if isinstance(piece, str):
            if piece:
                yield self._text(str(piece))
        elif isinstance(piece, Reply):
            yield from self._reply(piece)
        elif isinstance(piece, ToolCall):
            yield self._tool_call(piece.name, piece.id, _arguments_of(piece), is_whole=True)
        elif isinstance(piece, CallStart):
            yield self._tool_call(piece.name, piece.id, "", is_whole=False)
        elif isinstance(piece, CallArguments):
            yield self._arguments(piece.text)
        elif isinstance(piece, Usage):
            self.usage = piece
        elif is_chat_object(piece):
            self._reader = self._reader or ChatReader()
            for part in self._reader.read(piece):
                yield from self._parts(part)
        else:
            raise NotAReplyError(piece)

    def _reply(self, reply: Reply) -> Iterator[bytes]:
        if reply.finish_reason is not None:
            self.finish_reason = reply.finish_reason
        if reply.usage is not None:
            self.usage = reply.usage
        if reply.reasoning:
            yield self._reasoning(reply.reasoning)
        if reply.content:
            yield self._text(reply.content)
        if reply.refusal:
            yield self._refusal(reply.refusal)
        for call in reply.tool_calls:
            yield from self._parts(call)

    def _opening(self) -> bytes:
        """What opens the stream, the first time; later nothing."""
        raise NotImplementedError

    def _text(self, text: str) -> bytes:
        """Some text, which is not empty. It may be the first piece."""
        raise NotImplementedError

    def _reasoning(self, text: str) -> bytes:
        raise NotImplementedError

    def _refusal(self, text: str) -> bytes:
        raise NotImplementedError

    def _tool_call(self, name: str, identifier: str | None, arguments: str, *, is_whole: bool) -> bytes:
        """A tool call begins; where it is whole, it ends with the arguments given here, which may be empty."""
        raise NotImplementedError

    def _arguments(self, text: str) -> bytes:
        raise NotImplementedError


def _arguments_of(call: ToolCall) -> str:
    """The arguments of a call as text. Of none, what the operation makes of that is to stand there."""
    if isinstance(call.arguments, str):
        return call.arguments
    return encoded(call.arguments).decode() if call.arguments else ""


def now() -> int:
    """The time in whole seconds since 1970, as OpenAI gives it."""
    return int(time.time())


def tools_of(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tools of a request, as far as they are objects."""
    tools = request.get("tools")
    return [tool for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list) else []


def asks_for_usage(request: Mapping[str, Any]) -> bool:
    """Whether a request for chunks asks for their usage."""
    options = request.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


CHOICES: Final = ("n", "best_of")
"""The parameters that ask for several choices."""


def choices_asked(request: Mapping[str, Any], names: Iterable[str] = CHOICES) -> str | None:
    """The name of the parameter, one of these, that asks for more than one choice; or None."""
    for name in names:
        number = request.get(name)
        if isinstance(number, int) and not isinstance(number, bool) and number > 1:
            return name
    return None
