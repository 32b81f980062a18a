"""What a store can do: the protocol that a database implements, and what goes in and comes out.

All that is kept is JSON, as bytes. Every method takes the owner first, and none of them may show anything of another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

MAX_ID_LENGTH = 255
"""How many characters an id may have that is kept, or asked for."""


class UnavailableError(Exception):
    """The database cannot be reached, or cannot do what it is asked for. Nothing of it has been done."""


class TooLargeError(Exception):
    """Something is larger than all that its owner may have. It was not kept."""


class ConversationChangedError(Exception):
    """Somebody else has written to a conversation, or deleted it, since its history was read."""


class UnknownCursorError(Exception):
    """The `after` of a page is not in the list."""


class TooLongError(Exception):
    """A history has more turns, or more bytes, than were asked for."""


class Item(NamedTuple):
    """An item of a response or of a conversation.

    Attributes:
        id: Its id within the owner's items.
        data: The item, a JSON object. Its own `id` may be another, or none: then an item had the id before.
    """

    id: str
    data: bytes


class Page(NamedTuple):
    """Which part of a list is asked for.

    Attributes:
        limit: How many entries at most.
        order: The oldest first (`"asc"`), or the newest (`"desc"`).
        after: The id of the entry after which it begins; None is the beginning of the list.
    """

    limit: int
    order: Literal["asc", "desc"]
    after: str | None = None


class Listed(NamedTuple):
    """A page: its entries, and whether there are more after it."""

    entries: Sequence[Item]
    has_more: bool


class Head(NamedTuple):
    """A conversation as it was when its history was read.

    Attributes:
        id: Its id.
        version: A number that every change of its items raises.
    """

    id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What is kept of one response, all of it or nothing.

    Attributes:
        input: The response's own input.
        output: Its output.
        response_id: Its id; None where the response is not kept, but belongs to a conversation.
        response: The response, its `output` empty.
        parent: The id of the response that it follows, or None.
        conversation: The conversation to which input and output are appended, or None.
    """

    input: Sequence[Item]
    output: Sequence[Item]
    response_id: str | None = None
    response: bytes = b""
    parent: str | None = None
    conversation: Head | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What is kept of one chat completion.

    Attributes:
        id: Its id.
        data: The completion.
        model: Its model, to be listed by.
        metadata: Its metadata, to be listed by.
        messages: The messages of the request, a JSON array.
    """

    id: str
    data: bytes
    messages: bytes
    model: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


# --8<-- [start:backend]
class Backend(Protocol):
    """A database as the store needs it. Its methods block, and may be called in several threads at once.

    All of them may raise `UnavailableError`, and those that keep something `TooLargeError`. What is older than the
    store's `ttl` is as good as deleted.
    """

    def open(self) -> None:
        """Get ready: create what is missing. Called once, before anything else, and again where it failed.

        Raises:
            ConfigurationError: The database belongs to a newer version of this package.
        """

    def close(self) -> None:
        """Let go of all connections."""

    def keep_turn(self, owner: str, turn: Turn) -> None:
        """Keep a response and its items, in one transaction. One of the same id is replaced.

        An item whose id the owner has already is not kept twice where it says the same, and else gets a new id.

        Raises:
            ConversationChangedError: The conversation has another version by now, or is gone.
        """

    def response(self, owner: str, response_id: str) -> bytes | None:
        """A response with its output, or None."""

    def delete_response(self, owner: str, response_id: str) -> bool:
        """Delete a response, and whether there was one. Its items stay in the history of those that follow it."""

    def input_items(self, owner: str, response_id: str, page: Page) -> Listed | None:
        """The response's own input, or None where there is no such response.

        Raises:
            UnknownCursorError: `after` is none of it.
        """

    def history(self, owner: str, response_id: str, max_turns: int, max_bytes: int) -> Sequence[Item] | None:
        """The input and output of a response and of all that it follows, the oldest first; None where it is unknown.

        Raises:
            TooLongError: There are more turns, or more bytes.
        """

    def items(self, owner: str, item_ids: Sequence[str]) -> Mapping[str, bytes]:
        """Those of the items that there are."""

    def keep_completion(self, owner: str, completion: Completion) -> None:
        """Keep a chat completion. One of the same id is replaced."""

    def completion(self, owner: str, completion_id: str) -> bytes | None:
        """A chat completion, or None."""

    def completion_messages(self, owner: str, completion_id: str) -> bytes | None:
        """The messages of its request, or None."""

    def completions(self, owner: str, page: Page, model: str | None, metadata: Mapping[str, str]) -> Listed:
        """The chat completions of a model, or of all, that have all of this metadata.

        Raises:
            UnknownCursorError: There is no completion with the id `after`, and there was none in the last hour.
        """

    def update_completion(self, owner: str, completion_id: str, metadata: Mapping[str, str]) -> bytes | None:
        """Give a chat completion other metadata, and return it; None where there is none."""

    def delete_completion(self, owner: str, completion_id: str) -> bool:
        """Delete a chat completion, and whether there was one."""

    def create_conversation(self, owner: str, conversation_id: str, data: bytes, items: Sequence[Item]) -> None:
        """Keep a new conversation."""

    def conversation(self, owner: str, conversation_id: str) -> bytes | None:
        """A conversation, or None."""

    def update_conversation(self, owner: str, conversation_id: str, metadata: Mapping[str, str]) -> bytes | None:
        """Give a conversation other metadata, and return it; None where there is none."""

    def delete_conversation(self, owner: str, conversation_id: str) -> bool:
        """Delete a conversation, and whether there was one."""

    def conversation_history(
        self, owner: str, conversation_id: str, max_bytes: int
    ) -> tuple[Head, Sequence[Item]] | None:
        """The items of a conversation, the oldest first, with its version; None where there is none.

        Raises:
            TooLongError: They have more bytes.
        """

    def append_items(self, owner: str, conversation_id: str, items: Sequence[Item]) -> Sequence[Item] | None:
        """Append items to a conversation, and return them as they are kept; None where there is no such conversation.

        See `keep_turn` for their ids.
        """

    def conversation_items(self, owner: str, conversation_id: str, page: Page) -> Listed | None:
        """The items of a conversation, or None where there is none.

        Raises:
            UnknownCursorError: `after` is none of them, and was none in the last hour.
        """

    def conversation_item(self, owner: str, conversation_id: str, item_id: str) -> bytes | None:
        """An item of a conversation, or None where it is not in there."""

    def delete_conversation_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        """Take an item out of a conversation, and whether it was in there."""


# --8<-- [end:backend]
