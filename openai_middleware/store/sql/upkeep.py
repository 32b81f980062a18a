"""What goes by itself: what has become too old, and what is too much."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openai_middleware.store.sql.rows import OwnerRows, k, o, remember, remembering
from openai_middleware.store.sql.schema import (
    COMPLETION,
    CONVERSATION,
    IS_NO_ITEM,
    ITEM,
    RESPONSE,
    gone,
    labels,
    links,
    objects,
    owners,
)

# How many rows one write removes at most: the next one goes on.
PIECE: Final = 200
# How many rows are looked at before any of them is removed: of an owner who is at the limit, one or two have to go.
_LOOK: Final = 5
# Nobody rests longer between two pages of a list, in microseconds.
_REST: Final = 3600 * 1_000_000
# Of a row: whose it is, its kind and its id.
_OWN: Final = sa.bindparam("own", type_=o.owner.type)
_OF: Final = sa.bindparam("of", type_=o.kind.type)
_THIS: Final = sa.bindparam("this", type_=o.id.type)
_DELETE: Final = objects.delete().where(o.owner == _OWN, o.kind == _OF, o.id == _THIS)
_UNLINK: Final = links.delete().where(k.owner == _OWN, k.kind == _OF, k.holder == _THIS)
_UNLINK_ITEM: Final = links.delete().where(k.owner == _OWN, k.item == _THIS)
_UNLABEL: Final = labels.delete().where(labels.c.owner == _OWN, labels.c.completion == _THIS)
_COUNT: Final = (
    owners.update()
    .where(owners.c.owner == _OWN)
    .values(bytes=owners.c.bytes - sa.bindparam("less", type_=sa.BigInteger))
)
_IN_CONVERSATIONS: Final = sa.select(
    k.owner, k.kind, k.holder, k.item, k.position, sa.bindparam("now", type_=sa.BigInteger)
).where(k.owner == _OWN, k.item == _THIS, k.kind == CONVERSATION)
_REMEMBER: Final = remembering(lambda insert: insert.from_select([column.name for column in gone.c], _IN_CONVERSATIONS))
_OLDEST: Final = (
    sa.select(o.kind, o.id)
    .where(o.owner == sa.bindparam("owner"), IS_NO_ITEM, o.id != sa.bindparam("spared"))
    .order_by(o.changed, o.id)
    .limit(_LOOK)
)


def sweep(connection: Connection, now: int, horizon: int) -> bool:
    """Remove rows that are too old, a piece of them. Whether there may be more.

    Args:
        connection: A transaction that writes.
        now: The time, in microseconds since 1970.
        horizon: What was changed no later than this is too old.
    """
    # Another process that sweeps at the same time takes other rows.
    old = sa.select(*gone.primary_key).where(gone.c.at <= now - _REST).order_by(gone.c.at).limit(PIECE)
    forgotten = connection.execute(old.with_for_update(skip_locked=True)).all()
    if forgotten:
        connection.execute(gone.delete().where(sa.tuple_(*gone.primary_key).in_(list(map(tuple, forgotten)))))
    old = sa.select(o.owner, o.kind, o.id, o.size, o.created).where(o.changed <= horizon)
    rows = connection.execute(old.order_by(o.changed).limit(PIECE).with_for_update(skip_locked=True)).all()
    if rows:
        _remove(connection, rows, now)
    return PIECE in (len(rows), len(forgotten))


def _remove(connection: Connection, rows: Sequence[Any], now: int) -> None:
    def each(statement: Any, *kinds: str) -> None:
        """Execute a statement for each of the rows. SQLite looks for several rows at once by reading all of them."""
        keys = [
            {"own": row.owner, "of": row.kind, "this": row.id, "now": now, "less": row.size}
            for row in rows
            if row.kind in kinds
        ]
        if keys:
            connection.execute(statement, keys)

    each(_DELETE, RESPONSE, COMPLETION, CONVERSATION, ITEM)
    each(_UNLINK, RESPONSE, CONVERSATION)
    each(_REMEMBER[connection.dialect.name], ITEM)
    each(_UNLINK_ITEM, ITEM)
    each(_UNLABEL, COMPLETION)
    completions = (row for row in rows if row.kind == COMPLETION)
    remember(connection, ((row.owner, COMPLETION, "", row.id, row.created) for row in completions), now)
    # All processes count in the same order, so that none waits for another in a circle.
    rows = sorted(rows, key=lambda row: row.owner)
    each(_COUNT, RESPONSE, COMPLETION, CONVERSATION, ITEM)


def make_room(rows: OwnerRows, too_much: int, spared: str | None) -> None:
    """Remove what is oldest of an owner, a piece of it at most.

    Args:
        rows: The owner's rows, in a transaction that writes.
        too_much: How many bytes have to go.
        spared: The id of what was just written. Of a conversation the oldest items go, where nothing else is left.
    """
    for _ in range(0, PIECE, _LOOK):
        found = rows.connection.execute(_OLDEST, {"owner": rows.owner, "spared": spared or ""}).all()
        for row in found:
            if too_much <= 0:
                return
            too_much -= rows.remove(row.kind, row.id)
        if len(found) < _LOOK:
            break
    if spared is None:
        return
    of_conversation = rows.of(CONVERSATION, spared)
    first = sa.select(k.item, k.position).where(*of_conversation).order_by(k.position).limit(PIECE)
    for link in rows.connection.execute(first).all():
        if too_much <= 0:
            return
        rows.connection.execute(links.delete().where(*of_conversation, k.position == link.position))
        rows.remember(CONVERSATION, [(spared, link.item, link.position)])
        too_much -= rows.remove_unlinked([link.item])
