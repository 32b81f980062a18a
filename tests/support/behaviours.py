"""Behaviours for stacks: apps that record what they see, and answer or fail as they are told."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.server_sent_events import parse
from tests.support.stacks import EVENTS, Answer, Reply, Seen


@dataclass
class Chunks:
    """A body that comes in chunks and then fails, if it is told so; for every request anew."""

    chunks: Sequence[bytes]
    raises: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.raises is not None:
            raise self.raises


class Backend:
    """A behaviour that records what it sees, and answers or raises what it is told."""

    def __init__(self, answer: Answer | Exception | Any = b"{}") -> None:
        is_ready = isinstance(answer, Answer | Exception)
        self.answer = answer if is_ready else Answer(answer if isinstance(answer, bytes) else dump(answer))
        self.requests: list[Seen] = []

    def __call__(self, seen: Seen) -> Answer:
        self.requests.append(seen)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def seen(self) -> Seen:
        [seen] = self.requests
        return seen

    @property
    def call(self) -> Any:
        return self.seen.call

    @property
    def is_called(self) -> bool:
        return bool(self.requests)


def dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def event(data: Any) -> bytes:
    return b"data: " + dump(data) + b"\n\n"


def streaming(*chunks: bytes, raises: Exception | None = None, headers: Any = EVENTS) -> Backend:
    """A backend whose answer comes in these chunks, and then fails if it is told so."""

    return Backend(Answer(Chunks(chunks, raises), headers=headers))


def documents(reply: Reply) -> list[Any]:
    """The data of all events, decoded; `[DONE]` as it is."""
    return [found.data if found.data == "[DONE]" else json.loads(found.data) for found in parse(reply.body)]
