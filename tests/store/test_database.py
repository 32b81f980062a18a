"""The database of a store: its tables, its connections, and what becomes of those that are away."""

import asyncio
import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from openai_middleware.errors import ConfigurationError
from openai_middleware.store import Store
from openai_middleware.store.sql import SQLBackend, schema
from openai_middleware.store.store import Page, UnavailableError
from tests.store.apps import asgi_app
from tests.store.conftest import DATABASES, Opened
from tests.store.samples import ALL, completion, counted, ids, item, rows_in, turn
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
        "ALTER TABLE openai_objects ADD COLUMN turns INTEGER",
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
    columns = backend._database.read(lambda connection: sa.inspect(connection).get_columns("openai_objects"))
    assert [column["name"] for column in columns] == [column.name for column in schema.objects.c]
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
        ("postgresql+psycopg://localhost:port/x", "store_url"),
        ("sqlite+aiosqlite://", "store_url"),
    ],
)
def test_url_that_is_none_of_a_store_is_refused(url: str, code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SQLBackend(url, ttl=None, max_bytes=None)

    assert [mistake.code for mistake in caught.value.mistakes] == [code]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ada:secret@localhost/x",
        "postgresql+psycopg//ada:secret@localhost/x",
        "postgresql+psycopg://ada:sec/ret@localhost:port/x",
        "postgresql://localhost/x?user=ada&password=secret",
        "postgresql+psycopg//localhost/x?user=ada&password=secret",
    ],
)
def test_password_of_a_url_is_in_no_message(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SQLBackend(url, ttl=None, max_bytes=None)

    assert "secret" not in str(caught.value)
    assert "sec/ret" not in str(caught.value)


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


@pytest.mark.skipif("postgresql" not in DATABASES, reason="PostgreSQL is not there, as the summary says")
async def test_postgresql_that_hangs_holds_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:  # P9
    monkeypatch.setattr("openai_middleware.store.sql.database._SECONDS_TO_WAIT", 1)
    server = postgresql.Server()
    try:
        store = Store(server.url(), owner="shared")
        transport = httpx.ASGITransport(asgi_app(store))
        client = httpx.AsyncClient(transport=transport, base_url="http://app/v1")
        async with client, asyncio.timeout(60):

            async def create() -> Any:
                return (await client.post("/responses", json={"model": "m", "input": "Hi"})).json()

            kept = await create()
            assert kept["store"] is True
            server.pause()
            # The first notices it by a connection that it has, and others do not wait any more.
            assert (await create())["store"] is False
            with pytest.raises(UnavailableError, match="silent a moment ago"):
                store.backend.response("shared", kept["id"])
            # A new connection is no better.
            store.backend._database._silent_until = 0  # type: ignore[attr-defined]
            assert (await create())["store"] is False
            refused = await client.get(f"/responses/{kept['id']}")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")
            server.resume()
            store.backend._database._silent_until = 0  # type: ignore[attr-defined]
            assert (await create())["store"] is True
            assert (await client.get(f"/responses/{kept['id']}")).json() == kept
        store.close()
    finally:
        server.resume()
        server.remove()


@pytest.mark.skipif("postgresql" not in DATABASES, reason="PostgreSQL is not there, as the summary says")
def test_postgresql_stops_a_statement_for_which_nobody_waits_any_more(opened: Opened) -> None:  # P9
    def limit(connection: sa.Connection) -> Any:
        return connection.exec_driver_sql("SHOW statement_timeout").scalar()

    url = postgresql.server().url()
    assert opened(url)._database.read(limit) == "10s"
    assert opened(url + "%20-cstatement_timeout%3D3s")._database.read(limit) == "3s"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "sqlite:////no/such/folder/openai.db",
            "SQLITE_CANTOPEN: unable to open database file (sqlite:////no/such/fol",
        ),
        ("postgresql+psycopg://ada:s3cret@127.0.0.1:1/x?application_name=y", "Connection refused"),
        ("postgresql+psycopg://ada:s3cret@no-such-host.invalid/x", "no-such-host.invalid"),
        ("postgresql+psycopg://tests:s3cret@127.0.0.1:{port}/no_such_database", '"no_such_database" does not exist'),
        ("postgresql+psycopg://nobody:s3cret@127.0.0.1:{port}/postgres", 'role "nobody" does not exist'),
    ],
)
def test_log_says_why_the_database_cannot_be_reached(
    url: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:  # P9
    if "{port}" in url:
        if "postgresql" not in DATABASES:
            pytest.skip("PostgreSQL is not there, as the summary says")
        url = url.format(port=postgresql.server().port)
    store = Store(url, owner="shared")

    store.open()

    assert said in caplog.text
    assert "OperationalError" in caplog.text
    assert f"({url.partition('?')[0].replace('s3cret', '***')})" in caplog.text
    assert "s3cret" not in caplog.text
    store.close()


def test_newer_tables_that_are_found_late_keep_no_answer(
    tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:  # P9
    url = f"sqlite:///{tmp_path / 'folder' / 'openai.db'}"
    store = Store(url, owner="shared")
    store.open()  # it is away
    (tmp_path / "folder").mkdir()
    newer = schema.schema_version.update().values(version=schema.VERSION + 1)
    opened(url)._database.write(lambda connection: connection.execute(newer))

    with pytest.raises(UnavailableError, match=f"of version {schema.VERSION + 1}, and this"):
        store.backend.keep_turn("ada", turn("one"))
    with pytest.raises(UnavailableError, match=f"of version {schema.VERSION + 1}, and this"):
        store.backend.response("ada", "one")
    with pytest.raises(ConfigurationError):
        store.open()
    store.close()


def test_database_in_memory_can_be_used_again_after_it_was_closed() -> None:
    backend = SQLBackend("sqlite://", ttl=None, max_bytes=None)
    backend.keep_turn("ada", turn("one"))
    backend.close()
    assert backend.response("ada", "one") is None
    backend.keep_turn("ada", turn("two"))
    assert backend.response("ada", "two")
    backend.close()


def test_file_that_is_deleted_while_it_is_used_is_made_again(tmp_path: Path, opened: Opened) -> None:
    file = tmp_path / "openai.db"
    backend = opened(f"sqlite:///{file}")
    backend.keep_turn("ada", turn("one"))
    for one in tmp_path.iterdir():
        one.unlink()
    # A connection that is new finds an empty file.
    backend._database._engine.dispose()

    backend.keep_turn("ada", turn("two"))

    assert backend.response("ada", "two")
    assert backend.response("ada", "one") is None
    assert file.exists()


def test_sqlite_lets_others_read_while_one_writes(tmp_path: Path, opened: Opened) -> None:  # P9
    backend = opened(f"sqlite:///{tmp_path / 'openai.db'}")
    backend.keep_turn("ada", turn("one"))

    def read_beside(connection: sa.Connection) -> bytes | None:
        connection.execute(schema.owners.update().values(bytes=1))
        return backend.response("ada", "one")

    assert backend._database.write(read_beside)
    other = sqlite3.connect(tmp_path / "openai.db")
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


@pytest.mark.skipif("postgresql" not in DATABASES, reason="PostgreSQL is not there, as the summary says")
def test_of_two_updates_of_a_completion_the_second_waits_for_the_first(opened: Opened) -> None:
    url = postgresql.server().url()
    first, second, looking = opened(url), opened(url), opened(url)
    first.keep_completion("ada", completion("c"))
    has_written, may_commit = threading.Event(), threading.Event()

    @sa.event.listens_for(first._database._engine, "commit")
    def wait(_: sa.Connection) -> None:
        has_written.set()
        may_commit.wait()

    def is_waiting(connection: sa.Connection) -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(connection.exec_driver_sql(query).scalar())

    with ThreadPoolExecutor(2) as pool:
        updating = [pool.submit(first.update_completion, "ada", "c", {"k": "1"})]
        has_written.wait()
        updating.append(pool.submit(second.update_completion, "ada", "c", {"l": "2"}))
        while not looking._database.read(is_waiting):
            pass
        may_commit.set()
        assert all(update.result() for update in updating)

    # It has no label of the first.
    assert first.completions("ada", ALL, None, {"k": "1"}).entries == []
    assert len(first.completions("ada", ALL, None, {"l": "2"}).entries) == 1


def test_nothing_that_clients_said_is_in_the_log_of_sqlalchemy(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    backend = SQLBackend(url, ttl=None, max_bytes=None)
    backend.keep_turn("ada", turn("one", more="a secret"))
    assert "INSERT INTO openai_objects" in caplog.text
    assert "a secret" not in caplog.text
    backend.close()


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
