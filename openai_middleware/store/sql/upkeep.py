"""What goes by itself: what has become too old, and what is too much."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openai_middleware.store.sql.rows import OwnerRows
from openai_middleware.store.sql.schema import COMPLETION, CONVERSATION, ITEM, RESPONSE, labels, links, objects, owners

# How many rows one write removes at most: the next one goes on.
PIECE = 200

o, k = objects.c, links.c


def sweep(connection: Connection, horizon: int) -> bool:
    """Remove rows that are too old, a piece of them. Whether there may be more.

    Args:
        connection: A transaction that writes.
        horizon: What was changed no later than this is too old, in microseconds since 1970.
    """
    old = sa.select(o.owner, o.kind, o.id, o.size).where(o.changed <= horizon).order_by(o.changed).limit(PIECE)
    # Another process that sweeps at the same time takes other rows.
    rows = connection.execute(old.with_for_update(skip_locked=True)).all()
    by_owner: dict[str, int] = {}
    for row in rows:
        by_owner[row.owner] = by_owner.get(row.owner, 0) + row.size
    if not rows:
        return False
    keys = [(row.owner, row.kind, row.id) for row in rows]
    connection.execute(objects.delete().where(sa.tuple_(o.owner, o.kind, o.id).in_(keys)))
    connection.execute(links.delete().where(sa.tuple_(k.owner, k.kind, k.holder).in_(keys)))
    items = [(row.owner, row.id) for row in rows if row.kind == ITEM]
    if items:
        connection.execute(links.delete().where(sa.tuple_(k.owner, k.item).in_(items)))
    completions = [(row.owner, row.id) for row in rows if row.kind == COMPLETION]
    if completions:
        connection.execute(labels.delete().where(sa.tuple_(labels.c.owner, labels.c.completion).in_(completions)))
    for owner in sorted(by_owner):
        connection.execute(
            owners.update().where(owners.c.owner == owner).values(bytes=owners.c.bytes - by_owner[owner])
        )
    return len(rows) == PIECE


def make_room(rows: OwnerRows, too_much: int, spared: str | None) -> None:
    """Remove what is oldest of an owner, a piece of it at most.

    Args:
        rows: The owner's rows, in a transaction that writes.
        too_much: How many bytes have to go.
        spared: The id of what was just written. Of a conversation the oldest items go, where nothing else is left.
    """
    oldest = (
        sa.select(o.kind, o.id)
        .where(o.owner == rows.owner, o.kind.in_((RESPONSE, COMPLETION, CONVERSATION)), o.id != (spared or ""))
        .order_by(o.changed, o.id)
        .limit(PIECE)
    )
    for row in rows.connection.execute(oldest).all():
        if too_much <= 0:
            return
        too_much -= rows.remove(row.kind, [row.id])
    if spared is None:
        return
    of_conversation = (k.owner == rows.owner, k.kind == CONVERSATION, k.holder == spared)
    first = sa.select(k.item, k.position).where(*of_conversation).order_by(k.position).limit(PIECE)
    for link in rows.connection.execute(first).all():
        if too_much <= 0:
            return
        rows.connection.execute(links.delete().where(*of_conversation, k.position == link.position))
        too_much -= rows.remove_unlinked([link.item])
