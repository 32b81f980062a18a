"""Copies what is stored from one database to another, such as from SQLite to PostgreSQL.

python docs/examples/store_move.py sqlite:///openai.db postgresql+psycopg://user:password@host/database
"""

import sys
import tempfile

# --8<-- [start:move]
import sqlalchemy

from openai_middleware.store import Item, Page, Store


def move(source: str, target: str) -> None:
    tables = sqlalchemy.MetaData()
    old, new = sqlalchemy.create_engine(source), sqlalchemy.create_engine(target)
    tables.reflect(old, only=lambda name, _: name.startswith("openai_") and name != "openai_schema")
    with old.connect() as reading, new.begin() as writing:
        for table in tables.sorted_tables:
            for rows in reading.execution_options(yield_per=500).execute(table.select()).mappings().partitions():
                writing.execute(table.insert(), [dict(row) for row in rows])
    old.dispose()
    new.dispose()


# --8<-- [end:move]


def main() -> None:
    """Tries it, between two files."""
    folder = tempfile.mkdtemp()
    urls = [f"sqlite:///{folder}/{name}.db" for name in ("old", "new")]
    stores = [Store(url, owner="shared") for url in urls]
    for store in stores:
        store.open()
    item = Item("msg_1", b'{"type": "message", "role": "user", "content": []}')
    stores[0].backend.create_conversation("shared", "conv_1", b'{"id": "conv_1"}', [item])
    move(*urls)
    found = stores[1].backend.conversation_items("shared", "conv_1", Page(20, "asc"))
    assert found is not None
    assert list(found.entries) == [item]
    print("conv_1 is in the new database.")
    for store in stores:
        store.close()


if __name__ == "__main__":
    if len(sys.argv) == 3:
        move(*sys.argv[1:])
    else:
        main()
