"""Rows of the SQL store, written and removed inside a transaction that is open."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from openai_middleware.identifiers import new_identifier
from openai_middleware.mapping.json_codec import fields_of
from openai_middleware.store.items import is_same
from openai_middleware.store.sql.schema import COMPLETION, CONVERSATION, ITEM, gone, labels, links, objects, owners
from openai_middleware.store.store import Item, Listed, Page, UnknownCursorError

Value = TypeVar("Value")

o, k = objects.c, links.c
# How many values a statement gets at most: PostgreSQL takes 65,535, and SQLite 32,766 as it comes.
_MOST_VALUES: Final = 5000
_IS_ITEM: Final = sa.and_(o.owner == k.owner, o.kind == ITEM, o.id == k.item)

# What every turn needs, built once: to build a statement costs more than to execute it.
_EMPTY: Final = dict.fromkeys(("messages", "model", "parent", "weight", "version"))
_LINK: Final = links.insert()
_INSERTS: Final[Mapping[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_ADD: Final = {
    name: insert(objects).on_conflict_do_nothing().returning(o.kind, o.id) for name, insert in _INSERTS.items()
}
_COUNT: Final = {
    name: insert(owners)
    .values(owner=sa.bindparam("owner"), bytes=sa.bindparam("bytes"))
    .on_conflict_do_update(
        index_elements=[owners.c.owner],
        set_={"bytes": owners.c.bytes + sa.bindparam("growth", type_=sa.BigInteger)},
    )
    .returning(owners.c.bytes)
    for name, insert in _INSERTS.items()
}
_OWNER: Final = sa.bindparam("owner", type_=o.owner.type)
_KIND: Final = sa.bindparam("kind", type_=o.kind.type)
_ID: Final = sa.bindparam("id", type_=o.id.type)
_DELETE: Final = objects.delete().where(o.owner == _OWNER, o.kind == _KIND, o.id == _ID).returning(o.size, o.created)
_UNLINK: Final = links.delete().where(k.owner == _OWNER, k.kind == _KIND, k.holder == _ID).returning(k.item)
_UNLABEL: Final = labels.delete().where(labels.c.owner == _OWNER, labels.c.completion == _ID)
# With `SELECT *` SQLite would go by the table itself, through all links of the owner.
_IS_LINKED: Final = sa.exists(sa.literal(1)).where(k.owner == o.owner, k.item == o.id)
_DELETE_UNLINKED: Final = (
    objects.delete()
    .where(o.owner == _OWNER, o.kind == ITEM, o.id.in_(sa.bindparam("ids", expanding=True)), ~_IS_LINKED)
    .returning(o.size)
)


def remembering(values: Callable[[Any], Any] = lambda insert: insert) -> Mapping[str, Any]:
    """Statements for each database that keep in mind where entries of lists stood.

    Args:
        values: Gives an insertion its values, where they do not come as parameters.
    """
    place = {name: sa.text(f"excluded.{name}") for name in ("place", "at")}
    return {
        name: values(insert(gone)).on_conflict_do_update(index_elements=list(gone.primary_key), set_=place)
        for name, insert in _INSERTS.items()
    }


_REMEMBER: Final = remembering()


class OwnerRows:
    """The rows of one owner, in one transaction.

    Args:
        connection: The transaction.
        owner: The owner.
        now: The time, in microseconds since 1970.
        horizon: What was changed no later than this is as good as deleted.
    """

    def __init__(self, connection: Connection, owner: str, now: int, horizon: int) -> None:
        self.connection = connection
        self.owner = owner
        self.now = now
        self.horizon = horizon
        self._growth = 0

    def object(self, kind: str, identifier: str, *columns: Any, is_locked: bool = False) -> Any:
        """The columns of a row that is neither deleted nor too old, or None."""
        query = sa.select(*columns).where(
            o.owner == self.owner, o.kind == kind, o.id == identifier, o.changed > self.horizon, o.is_deleted == 0
        )
        return self.connection.execute(query.with_for_update() if is_locked else query).one_or_none()

    def add_object(self, kind: str, identifier: str, data: bytes, **columns: Any) -> int:
        """Add a row. It takes the place of one with the same id, in lists too. Returns when that was created."""
        row = self._row(kind, identifier, data, **columns)
        while not self._inserted([row]):
            removed = self._removed(kind, identifier)
            if removed is not None:
                row["created"] = removed[1]
        return int(row["created"])

    def add_object_with_items(
        self, kind: str, identifier: str, data: bytes, items: Sequence[Item], verbatim: int, **columns: Any
    ) -> list[Item]:
        """The same as `add_object` and then `add_items`, with one statement where all of it is new."""
        added = self._inserted([self._row(kind, identifier, data, **columns), *self._item_rows(items)])
        if (kind, identifier) in added:
            return self._kept(items, added, verbatim)
        # What goes with the one in whose place it comes may be items that are given again.
        self.add_object(kind, identifier, data, **columns)
        return self.add_items(items, verbatim)

    def change_object(self, kind: str, identifier: str, data: bytes, old: bytes, **columns: Any) -> None:
        """Give a row other data."""
        growth = len(data) - len(old)
        self.connection.execute(
            objects.update()
            .where(o.owner == self.owner, o.kind == kind, o.id == identifier)
            .values(data=data, size=o.size + growth, **columns)
        )
        self._growth += growth

    def add_items(self, items: Sequence[Item], verbatim: int = 0) -> list[Item]:
        """Keep items, and return them under the ids that they have now.

        One that the owner has already is not kept twice; where it says something else, it gets another id.

        Args:
            items: The items.
            verbatim: How many of the last are the same only word by word: an answer is shown as it left.
        """
        return self._kept(items, self._inserted(self._item_rows(items)), verbatim)

    def _kept(self, items: Sequence[Item], inserted: Set[tuple[str, str]], verbatim: int) -> list[Item]:
        """The same, once those were inserted whose ids were new."""
        added = {identifier for kind, identifier in inserted if kind == ITEM}
        if len(added) == len(items):
            return list(items)
        known: dict[str, bytes] = {}
        for taken in pieces([item.id for item in items if item.id not in added]):
            query = sa.select(o.id, o.data).where(o.owner == self.owner, o.kind == ITEM, o.id.in_(taken))
            known |= {row.id: row.data for row in self.connection.execute(query.with_for_update())}
        kept, renamed, seen = list[Item](), list[Item](), set[str]()
        for index, item in enumerate(items):
            is_exact = index >= len(items) - verbatim
            if item.id in seen or (item.id not in added and not is_same(known.get(item.id), item.data, is_exact)):
                item = Item(new_identifier("item_"), item.data)
                renamed.append(item)
            seen.add(item.id)
            kept.append(item)
        self._inserted(self._item_rows(renamed))
        for again in pieces([item.id for item in kept if item.id in known]):
            self.connection.execute(
                objects.update()
                .where(o.owner == self.owner, o.kind == ITEM, o.id.in_(again), o.changed < self.now)
                .values(changed=self.now)
            )
        return kept

    def _item_rows(self, items: Sequence[Item]) -> list[dict[str, Any]]:
        """Rows of items; of those with the same id, of the first."""
        return list({item.id: self._row(ITEM, item.id, item.data) for item in reversed(items)}.values())

    def _row(self, kind: str, identifier: str, data: bytes, **columns: Any) -> dict[str, Any]:
        size = len(data) + len(columns.get("messages") or b"")
        own = {"owner": self.owner, "kind": kind, "id": identifier, "created": self.now, "changed": self.now}
        return {**_EMPTY, **own, "size": size, "data": data, **columns}

    def _inserted(self, rows: Sequence[Mapping[str, Any]]) -> Set[tuple[str, str]]:
        """The kinds and ids of those rows that were added: there was none of their id."""
        if not rows:
            return set()
        added = {tuple(row) for row in self.connection.execute(_ADD[self.connection.dialect.name], rows)}
        self._growth += sum(row["size"] for row in rows if (row["kind"], row["id"]) in added)
        return added

    def linked(self, kind: str, holder: str, *columns: Any) -> Any:
        """A query for the items of a response or of a conversation; without those that are too old."""
        return self.linked_to(kind, [holder], *columns)

    def linked_to(self, kind: str, holders: Sequence[str], *columns: Any) -> Any:
        """The same for the items of several."""
        query = sa.select(*columns).join_from(links, objects, _IS_ITEM)
        return query.where(k.owner == self.owner, k.kind == kind, k.holder.in_(holders), o.changed > self.horizon)

    def of(self, kind: str, holder: str) -> tuple[Any, ...]:
        """The condition that a link is one of a response or of a conversation."""
        return k.owner == self.owner, k.kind == kind, k.holder == holder

    def page(self, kind: str, holder: str, page: Page, *conditions: Any) -> Listed:
        """A page of the items of a response or of a conversation.

        Raises:
            UnknownCursorError: `after` is none of them.
        """
        query = self.linked(kind, holder, o.id, o.data).where(*conditions)
        if page.after is not None:
            after = sa.select(k.position).where(*self.of(kind, holder), k.item == page.after, *conditions)
            at = self.connection.scalar(after)
            at = self.place_of_gone(kind, holder, page.after) if at is None else at
            query = query.where(k.position > at if page.order == "asc" else k.position < at)
        query = query.order_by(k.position if page.order == "asc" else k.position.desc())
        return listed(self.connection.execute(query.limit(page.limit + 1)).all(), page)

    def give_metadata(self, kind: str, identifier: str, metadata: Mapping[str, str]) -> bytes | None:
        """Give an object other metadata, and return it; None where there is none."""
        found = self.object(kind, identifier, o.data, is_locked=True)
        if found is None:
            return None
        data = msgspec.json.encode({**fields_of(found.data), "metadata": metadata})
        changed = {"changed": self.now} if kind == CONVERSATION else {}
        self.change_object(kind, identifier, data, found.data, **changed)
        return data

    def link(self, kind: str, holder: str, items: Iterable[tuple[Item, bool]], position: int = 0) -> None:
        """Let a response or a conversation have items, in this order; each with whether it is output."""
        rows = [
            {
                "owner": self.owner,
                "kind": kind,
                "holder": holder,
                "position": position + index,
                "item": item.id,
                "is_output": int(is_output),
            }
            for index, (item, is_output) in enumerate(items)
        ]
        if rows:
            self.connection.execute(_LINK, rows)

    def remove(self, kind: str, identifier: str) -> int:
        """Remove a row, and the items that only it had. How many bytes that were."""
        removed = self._removed(kind, identifier)
        if removed is None:
            return 0
        if kind == COMPLETION:
            self.remember(kind, [("", identifier, removed[1])])
        return removed[0]

    def _removed(self, kind: str, identifier: str) -> tuple[int, int] | None:
        """The same. How many bytes that were and when it was created, or None."""
        own = {"owner": self.owner, "kind": kind, "id": identifier}
        row = self.connection.execute(_DELETE, own).one_or_none()
        if row is None:
            return None
        self._growth -= row.size
        if kind == COMPLETION:
            self.connection.execute(_UNLABEL, own)
            return row.size, row.created
        return row.size + self.remove_unlinked(self.connection.scalars(_UNLINK, own).all()), row.created

    def remove_unlinked(self, items: Sequence[str]) -> int:
        """Remove those items that nothing has any more. How many bytes that were."""
        size = 0
        for ids in pieces(items):
            size += sum(self.connection.scalars(_DELETE_UNLINKED, {"owner": self.owner, "ids": ids}))
        self._growth -= size
        return size

    def remember(self, kind: str, entries: Iterable[tuple[str, str, int]]) -> None:
        """Keep in mind where entries of lists stood: somebody may have read as far as there.

        Args:
            kind: Of completions and of conversations there are lists whose entries go.
            entries: Of each the conversation or `""`, its id, and its position or when it was created.
        """
        remember(self.connection, ((self.owner, kind, *entry) for entry in entries), self.now)

    def place_of_gone(self, kind: str, holder: str, identifier: str) -> int:
        """Where an entry of a list stood that has gone.

        Raises:
            UnknownCursorError: There was none, or a long time ago.
        """
        own = (gone.c.owner == self.owner, gone.c.kind == kind, gone.c.holder == holder, gone.c.id == identifier)
        place: int | None = self.connection.scalar(sa.select(gone.c.place).where(*own))
        if place is None:
            raise UnknownCursorError
        return place

    def has_children(self, response_id: str) -> bool:
        """Whether a response is followed by another."""
        # Only responses have a parent. With their kind in here SQLite would go through all of the owner's.
        is_child = (o.owner == self.owner, o.parent == response_id, o.id != response_id)
        query = sa.select(sa.literal(1)).where(*is_child)
        return self.connection.scalar(query.limit(1)) is not None

    def settle(self) -> int:
        """Count what came and went; last in a transaction, since others wait for it. How many bytes the owner has."""
        growth, self._growth = self._growth, 0
        values = {"owner": self.owner, "bytes": max(0, growth), "growth": growth}
        return int(self.connection.scalar(_COUNT[self.connection.dialect.name], values) or 0)


def remember(connection: Connection, entries: Iterable[tuple[str, str, str, str, int]], now: int) -> None:
    """See `OwnerRows.remember`. Each entry begins with its owner and its kind."""
    rows = [
        {"owner": owner, "kind": kind, "holder": holder, "id": identifier, "place": place, "at": now}
        for owner, kind, holder, identifier, place in entries
    ]
    if rows:
        connection.execute(_REMEMBER[connection.dialect.name], rows)


def pieces(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """Values in pieces that one statement takes."""
    return (values[start : start + _MOST_VALUES] for start in range(0, len(values), _MOST_VALUES))


def listed(rows: Sequence[Any], page: Page) -> Listed:
    """A page of rows that were asked for with one more than its limit."""
    return Listed([Item(row.id, row.data) for row in rows[: page.limit]], len(rows) > page.limit)
