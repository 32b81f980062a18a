"""Chat completions of an app, or of another OpenAI client, read as the pieces of a reply."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from openai_middleware.mapping.json_codec import UNDECODABLE, encoded, value_of
from openai_middleware.replies.pieces import CallArguments, CallStart, Piece
from openai_middleware.replies.reply import FinishReason, Reply, Usage, fields_of_object

_KINDS: Final = ("chat.completion", "chat.completion.chunk")
_FINISH_REASONS: Final = get_args(FinishReason)


def is_chat_object(value: Any) -> bool:
    """Whether a value is a chat completion or a chunk of one: the SDK's object, or a mapping."""
    if isinstance(value, Mapping):
        # Servers leave out what they think nobody reads.
        return value.get("object") in _KINDS or ("object" not in value and isinstance(value.get("choices"), list))
    return getattr(value, "object", None) in _KINDS


def is_chunk(value: Any) -> bool:
    """Whether a value is a chunk of a chat completion."""
    if not is_chat_object(value):
        return False
    return bool((value.get("object") if isinstance(value, Mapping) else value.object) != "chat.completion")


class ChatReader:
    """Reads chat completions and their chunks: those of one answer, in their order.

    Tool calls leave one after the other, whole: clients join the pieces of calls that are interleaved wrongly. Pieces
    of the call that has begun leave at once; those of others wait until its arguments are complete.

    Args:
        choice: The choice that is read.
    """

    def __init__(self, choice: int = 0) -> None:
        self._choice = choice
        self._calls: dict[int, _Call] = {}
        # The first of them leaves piece by piece, the others wait for its end.
        self._waiting: deque[_Call] = deque()
        # What was said in the middle of a call: it is no reason to cut the call in two.
        self._after_calls: list[Piece] = []

    def read(self, value: Any) -> Iterator[Piece]:
        """The pieces that a completion or a chunk holds."""
        fields = fields_of_object(value)
        if fields is None:
            return
        choices = fields.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping) and (choice.get("index") or 0) == self._choice:
                yield from self._read_choice(choice)
        if fields.get("usage") is not None:
            yield _usage(fields["usage"])

    def let_go(self) -> Iterator[Piece]:
        """The pieces that were kept back, of calls that may go on."""
        for call in self._waiting:
            yield from call.leave()

    def finish(self) -> Iterator[Piece]:
        """The pieces that were kept back."""
        while self._waiting:
            yield from self._waiting.popleft().leave()
        self._calls = {}
        said, self._after_calls = self._after_calls, []
        yield from said

    def _read_choice(self, choice: Mapping[str, Any]) -> Iterator[Piece]:
        message = choice.get("message") if isinstance(choice.get("message"), Mapping) else choice.get("delta")
        reason = choice.get("finish_reason")
        finish_reason = reason if reason in _FINISH_REASONS else None
        if isinstance(message, Mapping):
            yield from self._read_message(message)
        if finish_reason is not None:
            yield Reply(finish_reason=finish_reason)

    def _read_message(self, message: Mapping[str, Any]) -> Iterator[Piece]:
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        text, refusal = _text_of(message.get("content")), message.get("refusal")
        said: list[Piece] = [
            piece
            for piece in (
                Reply(reasoning=reasoning) if isinstance(reasoning, str) and reasoning else None,
                text or None,
                Reply(refusal=refusal) if isinstance(refusal, str) and refusal else None,
            )
            if piece is not None
        ]
        if said and all(call.is_complete() for call in self._waiting):
            yield from self.finish()
            yield from said
        else:
            self._after_calls += said
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            for place, call in enumerate(calls):
                if isinstance(call, Mapping):
                    index = call.get("index")
                    yield from self._read_call(call, index if isinstance(index, int) else place)
        elif isinstance(message.get("function_call"), Mapping):
            yield from self._read_call({"function": message["function_call"]}, 0)

    def _read_call(self, fragment: Mapping[str, Any], index: int) -> Iterator[Piece]:
        call = self._calls.get(index)
        if call is None or is_other_call(call.id, fragment.get("id")):
            if call is not None:
                call.has_ended = True
            call = self._calls[index] = _Call()
            self._waiting.append(call)
        details = fragment.get("function") or fragment.get("custom")
        details = details if isinstance(details, Mapping) else {}
        call.take(fragment.get("id"), details.get("name"), details.get("arguments") or details.get("input"))
        while self._waiting:
            yield from self._waiting[0].leave()
            if len(self._waiting) == 1 or not self._waiting[0].is_complete():
                break
            self._waiting.popleft()


def is_other_call(known: Any, identifier: Any) -> bool:
    """Whether a fragment with this id begins another call than the one that is known at its index.

    Servers that know whole calls alone give all of them the same index, or none.
    """
    return bool(known) and isinstance(identifier, str) and identifier not in ("", known)


class _Call:
    """A tool call whose pieces come in.

    Attributes:
        id: Its id, as soon as it is known.
        has_ended: Whether no more fragments can come.
    """

    def __init__(self) -> None:
        self.id: str | None = None
        self.has_ended = False
        self._name: str | None = None
        self._arguments: list[str] = []
        self._left = 0
        self._has_begun = False

    def take(self, identifier: Any, name: Any, arguments: Any) -> None:
        """Take what a fragment says."""
        if isinstance(identifier, str) and identifier:
            self.id = identifier
        if isinstance(name, str) and name:
            self._name = name
        if isinstance(arguments, str) and arguments:
            self._arguments.append(arguments)
        elif isinstance(arguments, Mapping):
            # Some servers give the arguments of a whole call as the object that they are.
            self._arguments.append(encoded(arguments).decode())

    def is_complete(self) -> bool:
        """Whether the call has ended, as far as its arguments tell: they are an object that has."""
        if self.has_ended:
            return True
        if not self._arguments or not self._arguments[-1].rstrip().endswith("}"):
            return False
        try:
            value_of("".join(self._arguments).encode("utf-8", "replace"))
        except UNDECODABLE:
            return False
        return True

    def leave(self) -> Iterator[Piece]:
        """The pieces that have not left yet. A call without a name waits for it."""
        if self._name is None:
            return
        if not self._has_begun:
            self._has_begun = True
            yield CallStart(self._name, self.id)
        pieces, self._left = self._arguments[self._left :], len(self._arguments)
        if pieces:
            yield CallArguments("".join(pieces))


def _text_of(content: Any) -> str:
    """The text of a content: it, or that of its parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "".join(text for text in texts if isinstance(text, str))


def _usage(value: Any) -> Usage | None:
    """The usage of another server, or None where it is none."""
    try:
        return Usage.of(value)
    except (TypeError, ValueError):
        return None
