"""Conversations in the SQL store."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from openai_middleware.store.sql.rows import OwnerRows, k, o, pieces
from openai_middleware.store.sql.schema import CONVERSATION, links, objects
from openai_middleware.store.sql.transactions import Transactions
from openai_middleware.store.store import Head, Item, Listed, Page, TooLongError


class Conversations(Transactions):
    """The part of `Backend` that is about conversations."""

    def create_conversation(self, owner: str, conversation_id: str, data: bytes, items: Sequence[Item]) -> None:
        """See `Backend.create_conversation`."""

        def keep(rows: OwnerRows) -> None:
            rows.add_object(CONVERSATION, conversation_id, data, version=0, weight=0)
            append(rows, conversation_id, [(item, False) for item in rows.add_items(items)])

        self._keep(owner, keep, len(data) + sum(len(item.data) for item in items), conversation_id)

    def conversation(self, owner: str, conversation_id: str) -> bytes | None:
        """See `Backend.conversation`."""
        return self._data(owner, CONVERSATION, conversation_id)

    def update_conversation(self, owner: str, conversation_id: str, metadata: Mapping[str, str]) -> bytes | None:
        """See `Backend.update_conversation`."""
        return self._change(owner, lambda rows: rows.give_metadata(CONVERSATION, conversation_id, metadata))

    def delete_conversation(self, owner: str, conversation_id: str) -> bool:
        """See `Backend.delete_conversation`."""
        return self._delete(owner, CONVERSATION, conversation_id)

    def conversation_history(
        self, owner: str, conversation_id: str, max_bytes: int
    ) -> tuple[Head, Sequence[Item]] | None:
        """See `Backend.conversation_history`."""

        def read(rows: OwnerRows) -> tuple[Head, Sequence[Item]] | None:
            found = rows.object(CONVERSATION, conversation_id, o.version, o.weight)
            if found is None:
                return None
            # The weight counts what has become too old, too.
            if found.weight > max_bytes:
                total = rows.linked(CONVERSATION, conversation_id, sa.func.coalesce(sa.func.sum(o.size), 0))
                if (rows.connection.scalar(total) or 0) > max_bytes:
                    raise TooLongError
            query = rows.linked(CONVERSATION, conversation_id, o.id, o.data).order_by(k.position)
            items = [Item(row.id, row.data) for row in rows.connection.execute(query)]
            return Head(conversation_id, found.version), items

        return self._read(owner, read)

    def append_items(self, owner: str, conversation_id: str, items: Sequence[Item]) -> Sequence[Item] | None:
        """See `Backend.append_items`."""

        def keep(rows: OwnerRows) -> Sequence[Item] | None:
            if rows.object(CONVERSATION, conversation_id, o.id, is_locked=True) is None:
                return None
            kept = rows.add_items(items)
            append(rows, conversation_id, [(item, False) for item in kept])
            return kept

        return self._keep(owner, keep, sum(len(item.data) for item in items), conversation_id)

    def conversation_items(self, owner: str, conversation_id: str, page: Page) -> Listed | None:
        """See `Backend.conversation_items`."""

        def read(rows: OwnerRows) -> Listed | None:
            if rows.object(CONVERSATION, conversation_id, o.id) is None:
                return None
            return rows.page(CONVERSATION, conversation_id, page)

        return self._read(owner, read)

    def conversation_item(self, owner: str, conversation_id: str, item_id: str) -> bytes | None:
        """See `Backend.conversation_item`."""

        def read(rows: OwnerRows) -> bytes | None:
            if rows.object(CONVERSATION, conversation_id, o.id) is None:
                return None
            query = rows.linked(CONVERSATION, conversation_id, o.data).where(k.item == item_id)
            data: bytes | None = rows.connection.scalar(query)
            return data

        return self._read(owner, read)

    def delete_conversation_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        """See `Backend.delete_conversation_item`."""

        def delete(rows: OwnerRows) -> bool:
            if rows.object(CONVERSATION, conversation_id, o.id, is_locked=True) is None:
                return False
            query = rows.linked(CONVERSATION, conversation_id, o.size, k.position).where(k.item == item_id)
            found = rows.connection.execute(query).one_or_none()
            if found is None:
                return False
            rows.connection.execute(links.delete().where(*rows.of(CONVERSATION, conversation_id), k.item == item_id))
            own = (o.owner == owner, o.kind == CONVERSATION, o.id == conversation_id)
            new = {"version": o.version + 1, "weight": o.weight - found.size, "changed": rows.now}
            rows.connection.execute(objects.update().where(*own).values(new))
            rows.remember(CONVERSATION, [(conversation_id, item_id, found.position)])
            rows.remove_unlinked([item_id])
            return True

        return self._change(owner, delete)


def append(rows: OwnerRows, conversation_id: str, items: Sequence[tuple[Item, bool]], head: Head | None = None) -> bool:
    """Append items to a conversation, each with whether it is output. One that is in there already stays where it is.

    Args:
        rows: The owner's rows.
        conversation_id: The conversation.
        items: The items, which are kept already.
        head: The conversation as it has to be still; None is as it may be.

    Returns:
        Whether the conversation was there, and as it had to be.
    """
    there = set[str]()
    for ids in pieces([item.id for item, _ in items]):
        query = sa.select(k.item).where(*rows.of(CONVERSATION, conversation_id), k.item.in_(ids))
        there.update(rows.connection.scalars(query))
    new = [(item, is_output) for item, is_output in items if item.id not in there]
    weight = sum(len(item.data) for item, _ in new)
    # Several at once take turns at this row. It changes even where nothing is new: a turn was taken.
    own = [o.owner == rows.owner, o.kind == CONVERSATION, o.id == conversation_id, o.changed > rows.horizon]
    if head is not None:
        own.append(o.version == head.version)
    values = {"version": o.version + len(new) + 1, "weight": o.weight + weight, "changed": rows.now}
    update = objects.update().where(*own).values(values).returning(o.version)
    version = rows.connection.scalar(update)
    if version is None:
        return False
    rows.link(CONVERSATION, conversation_id, new, version - len(new))
    return True
