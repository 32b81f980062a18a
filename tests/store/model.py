"""What a store has to do, in the plainest words: lists, and no thought of speed or size."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openai_middleware.store.store import Completion, Head, Item, Listed, Page, Turn, UnknownCursorError


def essence(data: bytes) -> Any:
    value = json.loads(data)
    return {name: value[name] for name in value if name not in ("id", "status")}


@dataclass
class Held:
    """A response: its parent, and the items that it has under the ids that it has them."""

    data: bytes
    parent: str | None
    input: list[Item]
    output: list[Item]
    is_deleted: bool = False


@dataclass
class Talk:
    data: bytes
    items: list[Item] = field(default_factory=list)
    changes: int = 0


@dataclass
class Model:
    """One owner's things, each kind in the order of its creation."""

    responses: dict[str, Held] = field(default_factory=dict)
    completions: dict[str, tuple[Completion, bytes]] = field(default_factory=dict)
    talks: dict[str, Talk] = field(default_factory=dict)

    def all_items(self) -> dict[str, bytes]:
        held = [item for one in self.responses.values() for item in (*one.input, *one.output)]
        return dict([*held, *(item for talk in self.talks.values() for item in talk.items)])

    def keep_turn(self, turn: Turn, items: Sequence[Item], head_is_right: bool) -> bool:
        """Keep a turn whose items have got these ids. Whether it was kept."""
        if turn.conversation is not None and (turn.conversation.id not in self.talks or not head_is_right):
            return False
        inputs, outputs = list(items[: len(turn.input)]), list(items[len(turn.input) :])
        if turn.response_id is not None:
            self.responses.pop(turn.response_id, None)
            self.responses[turn.response_id] = Held(turn.response, turn.parent, inputs, outputs)
        if turn.conversation is not None:
            self.append(turn.conversation.id, items)
        return True

    def append(self, talk_id: str, items: Sequence[Item]) -> None:
        talk = self.talks[talk_id]
        there = {item.id for item in talk.items}
        talk.items += [item for item in items if item.id not in there]
        talk.changes += 1

    def response(self, id: str) -> Any:
        held = self.responses.get(id)
        if held is None or held.is_deleted:
            return None
        return {**json.loads(held.data), "output": [json.loads(item.data) for item in held.output]}

    def delete_response(self, id: str) -> bool:
        held = self.responses.get(id)
        if held is None or held.is_deleted:
            return False
        held.is_deleted = True
        parent: str | None = id
        while parent in self.responses and self.responses[parent].is_deleted:
            if any(one.parent == parent for id, one in self.responses.items() if id != parent):
                break
            parent = self.responses.pop(parent).parent
        return True

    def history(self, id: str) -> list[Item] | None:
        if self.response(id) is None:
            return None
        found: list[Item] = []
        at: str | None = id
        seen = set[str]()
        # A response that replaced another may follow itself.
        while at in self.responses and at not in seen:
            seen.add(at)
            found = [*self.responses[at].input, *self.responses[at].output, *found]
            at = self.responses[at].parent
        return found

    def completion_page(self, page: Page, model: str | None, metadata: Mapping[str, str]) -> Listed:
        if page.after is not None and page.after not in self.completions:
            raise UnknownCursorError
        entries = list(self.completions)
        fitting = [
            id
            for id, (completion, _) in self.completions.items()
            if (model is None or completion.model == model) and metadata.items() <= completion.metadata.items()
        ]
        part = cut(entries, page)
        wanted = [id for id in part if id in fitting]
        return Listed([Item(id, self.completions[id][1]) for id in wanted[: page.limit]], len(wanted) > page.limit)


def cut(ids: Sequence[str], page: Page) -> list[str]:
    """What comes after the cursor, in the order that was asked for."""
    ordered = list(ids) if page.order == "asc" else list(reversed(ids))
    return ordered if page.after is None else ordered[ordered.index(page.after) + 1 :]


def page_of(items: Sequence[Item], page: Page) -> Listed:
    by_id = dict(items)
    if page.after is not None and page.after not in by_id:
        raise UnknownCursorError
    rest = cut([item.id for item in items], page)
    return Listed([Item(id, by_id[id]) for id in rest[: page.limit]], len(rest) > page.limit)


__all__ = ["Head", "Held", "Model", "Talk", "essence", "page_of"]
