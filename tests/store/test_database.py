"""The database of a store: its tables, its connections, and what becomes of those that are away."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from openai_middleware.errors import ConfigurationError
from openai_middleware.store.sql import SQLBackend, schema
from openai_middleware.store.store import Page, UnavailableError
from tests.store.conftest import DATABASES, Opened
from tests.store.samples import completion, counted, ids, item, rows_in, turn
from tests.support import postgresql


def test_tables_of_a_newer_version_are_refused(url: str, opened: Opened) -> None:  # P9
    backend = opened(url)
    newer = schema.schema_version.update().values(version=schema.VERSION + 1)
    backend._database.write(lambda connection: connection.execute(newer))
    backend._database._is_open = False

    with pytest.raises(ConfigurationError, match=f"version {schema.VERSION + 1}, and .* knows {schema.VERSION}"):
        backend.open()


def test_tables_of_the_first_version_get_what_they_lack(url: str, opened: Opened) -> None:  # P9
    backend = opened(url)
    for name in "abc":
        backend.keep_completion("ada", completion(name))
    first = (
        "DROP TABLE openai_gone",
        "DROP INDEX openai_objects_by_age_without_items",
        "CREATE INDEX openai_objects_by_age_of_owner ON openai_objects (owner, changed)",
        "UPDATE openai_schema SET version = 1",
    )
    backend._database.write(lambda connection: [connection.exec_driver_sql(statement) for statement in first])
    backend._database._is_open = False

    backend.open()

    assert [row.version for row in rows_in(backend, schema.schema_version)] == [schema.VERSION]
    indexes = backend._database.read(lambda connection: sa.inspect(connection).get_indexes("openai_objects"))
    assert {str(index["name"]) for index in indexes} >= {index.name for index in schema.objects.indexes}
    assert "openai_objects_by_age_of_owner" not in {index["name"] for index in indexes}
    backend.delete_completion("ada", "a")
    assert ids(backend.completions("ada", Page(2, "asc", "a"), None, {}).entries) == ["b", "c"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("openai.db", "store_url"),
        ("", "store_url"),
        ("mysql://localhost/x", "store_url"),
        ("postgresql://localhost/x", "store_url"),
        ("postgresql+asyncpg://localhost/x", "store_url"),
    ],
)
def test_url_that_is_none_of_a_store_is_refused(url: str, code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SQLBackend(url, ttl=None, max_bytes=None)

    assert [mistake.code for mistake in caught.value.mistakes] == [code]


def test_password_of_a_url_is_in_no_message() -> None:
    with pytest.raises(ConfigurationError) as caught:
        SQLBackend("mysql://ada:secret@localhost/x", ttl=None, max_bytes=None)

    assert "secret" not in str(caught.value)


def test_full_disk_keeps_nothing_by_halves(tmp_path: Path, opened: Opened) -> None:  # P9
    backend = opened(f"sqlite:///{tmp_path / 'openai.db'}")
    backend.keep_turn("ada", turn("one"))
    # As a full disk does, it lets the database grow no further.
    pages = backend._database.read(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar())
    listen = sa.event.listens_for(backend._database._engine, "checkout")
    limit = [(pages or 0) + 2]

    @listen
    def limited(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit[0]}")

    with pytest.raises(UnavailableError, match="OperationalError SQLITE_FULL"):
        backend.keep_turn("ada", turn("two", more="x" * 100_000))
    assert backend.response("ada", "one")
    assert backend.items("ada", ["in_two" + "x" * 100_000]) == {}
    limit[0] = 1_000_000
    backend.keep_turn("ada", turn("three"))
    rows, total = counted(backend, "ada")
    assert rows == total


@pytest.mark.skipif("postgresql" not in DATABASES, reason="PostgreSQL is not there, as the summary says")
def test_postgresql_may_be_away_at_start_and_in_the_middle() -> None:  # P9
    server = postgresql.Server()
    try:
        url = server.url()
        server.stop()
        backend = SQLBackend(url, ttl=None, max_bytes=None)
        with pytest.raises(UnavailableError, match="OperationalError"):
            backend.open()
        with pytest.raises(UnavailableError):
            backend.keep_turn("ada", turn("one"))
        server.start()
        backend.keep_turn("ada", turn("one"))
        server.stop()
        with pytest.raises(UnavailableError):
            backend.response("ada", "one")
        server.start()
        assert backend.response("ada", "one")
        # Nobody has noticed that the connections were cut: the first who needs one gets another.
        server.stop()
        server.start()
        assert backend.response("ada", "one")
        backend.close()
    finally:
        server.remove()


def test_every_query_goes_by_an_index(url: str, opened: Opened) -> None:
    backend = opened(url, ttl=3600)
    for number in range(3):
        backend.keep_turn("ada", turn(str(number), str(number - 1)))
        backend.keep_completion("ada", completion(str(number), k="v"))
    backend.create_conversation("ada", "c", b"{}", [item("x"), item("y")])
    backend.keep_turn("ada", turn("old"))
    backend.keep_completion("ada", completion("old", k="v"))
    made_old = schema.objects.update().where(schema.objects.c.id.in_(["old", "in_old", "y"])).values(changed=0)
    backend._database.write(lambda connection: connection.execute(made_old))
    queries: list[Any] = []
    engine = backend._database._engine
    sa.event.listen(engine, "before_cursor_execute", lambda *event: queries.append((event[2], event[3])))
    backend.response("ada", "2")
    backend.input_items("ada", "2", Page(2, "desc", "in_2"))
    backend.history("ada", "2", 9, 9999)
    backend.items("ada", ["in_1"])
    for order in ("asc", "desc"):
        backend.completions("ada", Page(2, order, "1"), "m", {"k": "v", "l": "w"})
        backend.completions("ada", Page(2, order), "m", {})
        backend.completions("ada", Page(2, order), None, {"k": "v"})
    backend.conversation_history("ada", "c", 0x7FFFFFFF)
    backend.conversation_items("ada", "c", Page(2, "desc", "x"))
    backend.conversation_item("ada", "c", "x")
    backend.append_items("ada", "c", [item("x"), item("z")])
    backend._next_sweep = 0
    backend.keep_turn("ada", turn("2", "1"))
    backend.delete_response("ada", "2")
    backend.delete_response("ada", "0")
    backend.keep_completion("ada", completion("2", k="w"))
    backend.update_completion("ada", "2", {"k": "x"})
    backend.delete_completion("ada", "2")
    backend.completions("ada", Page(2, "asc", "2"), None, {})
    backend.delete_conversation_item("ada", "c", "x")
    backend.conversation_items("ada", "c", Page(2, "desc", "x"))
    backend._max_bytes = 600
    backend.append_items("ada", "c", [item("long", "x" * 500)])
    backend.append_items("ada", "c", [item("longer", "x" * 500)])
    backend.delete_conversation("ada", "c")

    plans = {}
    is_postgresql = engine.dialect.name == "postgresql"
    with engine.connect() as connection:
        if is_postgresql:
            # Of tables that are small it would read all. Where there is no index, this does not keep it from doing so.
            connection.exec_driver_sql("SET enable_seqscan = off")
        for query, parameters in dict(queries).items():
            if query.split()[0] in ("SELECT", "WITH", "DELETE", "UPDATE"):
                explain = "EXPLAIN " if is_postgresql else "EXPLAIN QUERY PLAN "
                parameters = parameters[0] if isinstance(parameters, list) else parameters
                plans[query] = [row[-1] for row in connection.exec_driver_sql(explain + query, parameters)]
    removing = ("openai_objects", "openai_links", "openai_labels")
    assert all(any(query.startswith(f"DELETE FROM {table}") for query in plans) for table in removing)
    assert len(plans) > 30
    for query, plan in plans.items():
        scans = [step for step in plan if "Seq Scan on openai" in step or step.startswith("SCAN openai")]
        assert not scans, (query, plan)
        if not is_postgresql:
            is_list = "LIMIT" in query and "ORDER BY" in query
            # Lists come in their order, whatever they are narrowed to. All else finds what it wants, and does not go
            # through everything that the owner has.
            unwanted = ("TEMP B-TREE",) if is_list else ("(owner=?)", "(owner=? AND kind=?)")
            steps = [step for step in plan if "openai_owners" not in step]  # of these an owner has one
            assert not [step for step in steps if any(text in step for text in unwanted)], (query, plan)
