"""Responses in the SQL store."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from msgspec import Raw

from openai_middleware.mapping.json_codec import fields_of
from openai_middleware.store.sql.conversations import append
from openai_middleware.store.sql.rows import OwnerRows, k, o, pieces
from openai_middleware.store.sql.schema import ITEM, RESPONSE, objects
from openai_middleware.store.sql.transactions import Transactions
from openai_middleware.store.store import ConversationChangedError, Item, Listed, Page, TooLongError, Turn

logger = logging.getLogger("openai_middleware")

_REUSED: Final = (
    "responses.create: an item of the answer has the id of another that is stored. It is listed under a new one, and "
    "an `item_reference` finds the other: give each item an id of its own. This is said once."
)


class Responses(Transactions):
    """The part of `Backend` that is about responses."""

    _has_told_of_ids = False

    def keep_turn(self, owner: str, turn: Turn) -> None:
        """See `Backend.keep_turn`."""

        def keep(rows: OwnerRows) -> list[Item]:
            given = [*turn.input, *turn.output]
            if turn.response_id is None:
                kept = rows.add_items(given, len(turn.output))
            else:
                weight = _weight(rows, turn.parent) + sum(len(item.data) for item in given)
                own = {"parent": turn.parent, "weight": weight}
                kept = rows.add_object_with_items(
                    RESPONSE, turn.response_id, turn.response, given, len(turn.output), **own
                )
            linked = [(item, index >= len(turn.input)) for index, item in enumerate(kept)]
            if turn.response_id is not None:
                rows.link(RESPONSE, turn.response_id, linked)
            if turn.conversation is not None and not append(rows, turn.conversation.id, linked, turn.conversation):
                raise ConversationChangedError
            return kept

        size = len(turn.response) + sum(len(item.data) for item in (*turn.input, *turn.output))
        spared = turn.response_id if turn.conversation is None else turn.conversation.id
        kept = self._keep(owner, keep, size, spared)
        is_renamed = any(one.id != other.id for one, other in zip(turn.output, kept[len(turn.input) :], strict=True))
        if is_renamed and not self._has_told_of_ids:
            self._has_told_of_ids = True
            logger.warning(_REUSED)

    def response(self, owner: str, response_id: str) -> bytes | None:
        """See `Backend.response`."""

        def read(rows: OwnerRows) -> bytes | None:
            found = rows.object(RESPONSE, response_id, o.data)
            if found is None:
                return None
            query = rows.linked(RESPONSE, response_id, o.data).where(k.is_output == 1).order_by(k.position)
            output = [Raw(data) for data in rows.connection.scalars(query)]
            return msgspec.json.encode({**fields_of(found.data), "output": output})

        return self._read(owner, read)

    def delete_response(self, owner: str, response_id: str) -> bool:
        """See `Backend.delete_response`."""

        def delete(rows: OwnerRows) -> bool:
            found = rows.object(RESPONSE, response_id, o.parent, is_locked=True)
            if found is None:
                return False
            if rows.has_children(response_id):
                own = (o.owner == owner, o.kind == RESPONSE, o.id == response_id)
                rows.connection.execute(objects.update().where(*own).values(is_deleted=1))
                return True
            rows.remove(RESPONSE, response_id)
            _remove_deleted(rows, found.parent)
            return True

        return self._change(owner, delete)

    def input_items(self, owner: str, response_id: str, page: Page) -> Listed | None:
        """See `Backend.input_items`."""

        def read(rows: OwnerRows) -> Listed | None:
            if rows.object(RESPONSE, response_id, o.id) is None:
                return None
            return rows.page(RESPONSE, response_id, page, k.is_output == 0)

        return self._read(owner, read)

    def history(self, owner: str, response_id: str, max_turns: int, max_bytes: int) -> Sequence[Item] | None:
        """See `Backend.history`."""

        def read(rows: OwnerRows) -> Sequence[Item] | None:
            found = rows.object(RESPONSE, response_id, o.weight)
            if found is None:
                return None
            # In two queries: databases guess badly how long a chain is.
            turns = list(dict.fromkeys(rows.connection.scalars(_chain_query(rows, response_id, max_turns + 1))))
            if len(turns) > max_turns:
                raise TooLongError
            # The weight counts what has gone, too.
            if found.weight > max_bytes:
                total = rows.linked_to(RESPONSE, turns, sa.func.coalesce(sa.func.sum(o.size), 0))
                if (rows.connection.scalar(total) or 0) > max_bytes:
                    raise TooLongError
            items: dict[str, list[Item]] = {turn: [] for turn in reversed(turns)}
            query = rows.linked_to(RESPONSE, turns, k.holder, o.id, o.data).order_by(k.holder, k.position)
            for row in rows.connection.execute(query):
                items[row.holder].append(Item(row.id, row.data))
            return [item for turn in items.values() for item in turn]

        return self._read(owner, read)

    def items(self, owner: str, item_ids: Sequence[str]) -> Mapping[str, bytes]:
        """See `Backend.items`."""

        def read(rows: OwnerRows) -> Mapping[str, bytes]:
            found: dict[str, bytes] = {}
            for ids in pieces(item_ids):
                own = (o.owner == owner, o.kind == ITEM, o.id.in_(ids), o.changed > rows.horizon)
                query = sa.select(o.id, o.data).where(*own)
                found |= {row.id: row.data for row in rows.connection.execute(query)}
            return found

        return self._read(owner, read)


def _chain_query(rows: OwnerRows, response_id: str, turns: int) -> Any:
    """A query for the ids of a response and of those that it follows, the newest first.

    Args:
        rows: The owner's rows.
        response_id: The response.
        turns: How many there are at most: where an answer has replaced another, a chain may lead back to itself.
    """
    start = sa.select(o.id, o.parent, sa.literal(1).label("turn")).where(
        o.owner == rows.owner, o.kind == RESPONSE, o.id == response_id
    )
    chain = start.cte("chain", recursive=True)
    earlier = objects.alias()
    is_earlier = (earlier.c.owner == rows.owner, earlier.c.kind == RESPONSE, earlier.c.id == chain.c.parent)
    step = sa.select(earlier.c.id, earlier.c.parent, chain.c.turn + 1).where(
        *is_earlier, earlier.c.changed > rows.horizon, chain.c.turn < turns
    )
    chain = chain.union_all(step)
    return sa.select(chain.c.id).order_by(chain.c.turn)


def _weight(rows: OwnerRows, parent: str | None) -> int:
    """How many bytes of items the chain of a response has at most."""
    if parent is None:
        return 0
    query = sa.select(o.weight).where(o.owner == rows.owner, o.kind == RESPONSE, o.id == parent)
    return rows.connection.scalar(query) or 0


def _remove_deleted(rows: OwnerRows, response_id: str | None) -> None:
    """Remove a response that was deleted before, where no other follows it any more; and so on, up its chain."""
    while response_id is not None:
        own = (o.owner == rows.owner, o.kind == RESPONSE, o.id == response_id, o.is_deleted == 1)
        deleted = rows.connection.execute(sa.select(o.parent).where(*own)).one_or_none()
        if deleted is None or rows.has_children(response_id):
            return
        rows.remove(RESPONSE, response_id)
        response_id = deleted.parent
