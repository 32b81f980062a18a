"""The pieces that a reply is rendered of."""

from typing import NamedTuple

from openai_middleware.replies.reply import Reply, ToolCall, Usage


class CallStart(NamedTuple):
    """A tool call begins, whose arguments arrive piece by piece: `CallArguments` until a piece of another kind."""

    name: str
    id: str | None


class CallArguments(NamedTuple):
    """Some of the arguments of the tool call that has begun, as JSON text."""

    text: str


Piece = str | Reply | ToolCall | Usage | CallStart | CallArguments | None
