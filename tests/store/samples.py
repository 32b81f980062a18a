"""What tests keep in a store, and how they look at it."""

import json
from typing import Any

import sqlalchemy as sa

from openai_middleware.store.sql import SQLBackend, schema
from openai_middleware.store.sql.rows import o
from openai_middleware.store.store import Completion, Head, Item, Page, Turn

ALL = Page(100, "asc")


def item(id: str, text: str = "") -> Item:
    return Item(id, json.dumps({"type": "message", "id": id, "text": text or id}).encode())


def turn(id: str | None, parent: str | None = None, *, conversation: Head | None = None, more: str = "") -> Turn:
    name = id or "unkept"
    return Turn(
        input=[item(f"in_{name}{more}")],
        output=[item(f"out_{name}{more}")],
        response_id=id,
        response=json.dumps({"id": id, "object": "response", "output": []}).encode(),
        parent=parent,
        conversation=conversation,
    )


def completion(id: str, model: str = "m", **metadata: str) -> Completion:
    data = json.dumps({"id": id, "metadata": metadata}).encode()
    return Completion(id=id, data=data, messages=b"[]", model=model, metadata=metadata)


def ids(items: Any) -> list[str]:
    return [one.id for one in items]


def counted(backend: SQLBackend, owner: str) -> tuple[int, int]:
    """How many bytes an owner has by the rows, and by what is counted."""

    def read(connection: sa.Connection) -> tuple[int, int]:
        rows = connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(o.size), 0)).where(o.owner == owner))
        total = sa.select(schema.owners.c.bytes).where(schema.owners.c.owner == owner)
        return int(rows or 0), connection.scalar(total) or 0

    return backend._database.read(read)


def rows_in(backend: SQLBackend, table: sa.Table) -> list[Any]:
    return backend._database.read(lambda connection: list(connection.execute(sa.select(table)).all()))
