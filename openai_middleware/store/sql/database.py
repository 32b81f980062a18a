"""The connections of the SQL store, and its transactions."""

import logging
import os
import re
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake
from openai_middleware.store.sql import schema
from openai_middleware.store.store import UnavailableError

Result = TypeVar("Result")

logger = logging.getLogger("openai_middleware")

_SECONDS_TO_WAIT: Final = 10
# Where a server was silent, nobody else waits for it so long: those who would wait hold threads.
_SECONDS_OF_SILENCE: Final = 5
_ATTEMPTS: Final = 5
# What another try can heal: somebody else wrote the same rows at the same time (SQLSTATE classes 40 and 23).
_WORTH_ANOTHER: Final = ("40001", "40P01")
_KNOWN: Final = ("sqlite", "sqlite+pysqlite", "postgresql+psycopg")
_NO_TABLE: Final = re.compile("no such table|UndefinedTable")
# A server that waits for a lock is told when nobody waits for it any more. What the URL says goes first.
_LIMIT_STATEMENTS: Final = (
    f"SELECT set_config('statement_timeout', '{_SECONDS_TO_WAIT}s', false) "
    "WHERE current_setting('statement_timeout') = '0'"
)


class _LostTablesError(UnavailableError):
    """The tables are not there, as behind a file that was deleted while it was in use."""


class Database:
    """A database, opened when it is first needed.

    Args:
        url: `sqlite:///path`, `sqlite://` (in memory) or `postgresql+psycopg://user:password@host/name`.

    Raises:
        ConfigurationError: The URL is none of these, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._writer = self._engine.execution_options(is_writing=True)
        self._is_open = False
        self._silent_until = 0.0
        self._opening = threading.Lock()
        weakref.finalize(self, self._engine.dispose)
        if hasattr(os, "register_at_fork"):
            # Two processes must not talk through one connection. Without a reference, so that it can be collected.
            itself = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _forget(itself()))

    def open(self) -> None:
        """Create the tables where there are none.

        Raises:
            UnavailableError: The database is away.
            ConfigurationError: Its tables are of another version.
        """
        with self._opening:
            if not self._is_open:
                self._run(self._writer, schema.create)
                self._is_open = True
                if not _is_in_memory(self._engine.url):
                    # A server that forks its workers now would have all of them talk through this connection.
                    self._engine.dispose()

    def close(self) -> None:
        """Close all connections that are not in use. A database in memory is gone then, and the next one is empty."""
        self._is_open = False
        self._engine.dispose()

    def leave_connections(self) -> None:
        """Leave all connections to the process that this one was forked from, and a database in memory with them."""
        self._opening = threading.Lock()
        self._is_open = False
        self._engine.dispose(close=False)

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Do something in a transaction that reads.

        Raises:
            UnavailableError: It cannot be done.
        """
        return self._opened(self._engine, work)

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Do something in a transaction that writes. It may be tried several times, until it has worked once.

        Raises:
            UnavailableError: It cannot be done, and nothing of it was.
        """
        return self._opened(self._writer, work)

    def _opened(self, engine: Engine, work: Callable[[Connection], Result]) -> Result:
        try:
            if not self._is_open:
                self.open()
            try:
                return self._run(engine, work)
            except _LostTablesError:
                self.close()
                self.open()
                return self._run(engine, work)
        except ConfigurationError as error:
            # Only who starts can be refused. Whoever comes later has an answer that must leave.
            raise UnavailableError(str(error)) from error

    def _run(self, engine: Engine, work: Callable[[Connection], Result]) -> Result:
        if time.monotonic() < self._silent_until:
            raise UnavailableError("it was silent a moment ago")
        until = time.monotonic() + _SECONDS_TO_WAIT
        for attempt in range(1, _ATTEMPTS + 1):
            is_connected = False
            try:
                with engine.connect() as connection:
                    is_connected = True
                    with connection.begin():
                        return work(connection)
            except (SQLAlchemyError, sqlite3.Error) as error:  # of the listeners below the latter
                if _is_silence(error):
                    self._silent_until = time.monotonic() + _SECONDS_OF_SILENCE
                elif attempt < _ATTEMPTS and time.monotonic() < until and _is_worth_another(error):
                    continue
                reason = _reason(error) if is_connected else self._why_not_connected(error)
                kind = _LostTablesError if _has_no_tables(error) else UnavailableError
                raise kind(reason) from None
        raise AssertionError("unreachable")

    def _why_not_connected(self, error: Exception) -> str:
        """Nothing of a client is in what databases say then: the log may have it."""
        url = self._engine.url
        said = " ".join(str(getattr(error, "orig", None) or error).split())[:500]
        if url.password:
            said = said.replace(str(url.password), "***")
        return f"{_reason(error)}: {said} ({shown(url)})"


def _forget(database: Database | None) -> None:
    if database is not None:
        database.leave_connections()


def _engine(url: str) -> Engine:
    try:
        parsed = sa.make_url(url)
    except (SQLAlchemyError, TypeError, ValueError) as error:
        # What is no URL may hold a password all the same, before an `@` or behind a `?`.
        raise _no_url(re.sub(".*@", "***@", str(url).partition("?")[0], flags=re.DOTALL)) from error
    if parsed.drivername not in _KNOWN:
        raise _no_url(shown(parsed))
    name = parsed.get_backend_name()
    arguments: dict[str, Any]
    if name == "sqlite":
        arguments = {"check_same_thread": False, "timeout": _SECONDS_TO_WAIT}
    else:
        arguments = {"connect_timeout": _SECONDS_TO_WAIT}
    is_alone = _is_in_memory(parsed)
    try:
        engine = sa.create_engine(
            parsed,
            connect_args=arguments,
            hide_parameters=True,  # in what is raised and logged: they are the clients' own words
            poolclass=sa.QueuePool,
            pool_size=1 if is_alone else 8,
            max_overflow=0 if is_alone else 56,
            pool_timeout=_SECONDS_TO_WAIT,
        )
    except ImportError as error:
        hint = "Install it: pip install 'openai-middleware[postgresql]'."
        mistake = ConfigurationMistake("store_driver", "The driver of this database is missing.", name, hint, "url")
        raise ConfigurationError(mistake) from error
    if name == "sqlite":
        _prepare_sqlite(engine)
    else:
        _prepare_postgresql(engine)
    return engine


def _no_url(url: str) -> ConfigurationError:
    hint = "Write 'sqlite:///openai.db', or 'postgresql+psycopg://user:password@host/database'."
    return ConfigurationError(ConfigurationMistake("store_url", "This is no database of a store.", url, hint, "url"))


def shown(url: sa.URL) -> str:
    """A URL as messages may have it: without its password, and without the part that may hold another."""
    return url.set(query={}).render_as_string(hide_password=True)


def _is_in_memory(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def _prepare_postgresql(engine: Engine) -> None:
    from openai_middleware.store.sql.postgresql import TimedConnection  # psycopg is there

    @sa.event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, args: Any, kwargs: Any) -> TimedConnection:
        connection = TimedConnection.connect(*args, **kwargs)
        connection.until = time.monotonic() + _SECONDS_TO_WAIT
        connection.execute(_LIMIT_STATEMENTS)
        connection.commit()
        return connection

    @sa.event.listens_for(engine, "checkout")
    def taken(connection: Any, *_: Any) -> None:
        connection.until = time.monotonic() + _SECONDS_TO_WAIT


def _prepare_sqlite(engine: Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        # The module's own transactions begin too late: what was read before would not belong to them.
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous = NORMAL")
        _write_ahead(connection)

    @sa.event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get("is_writing")
        # One that reads first and writes later would fail where another has written in between.
        connection.connection.cursor().execute("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _write_ahead(connection: Any) -> None:
    """Let readers and a writer work at the same time. SQLite does not wait for its turn here, as it does elsewhere."""
    until = time.monotonic() + _SECONDS_TO_WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _is_worth_another(error: Exception) -> bool:
    if isinstance(error, IntegrityError | sqlite3.Error):
        return True
    if not isinstance(error, DBAPIError):
        return False
    # A connection that was cut while nobody used it: the pool is empty now, and the next one is new.
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _WORTH_ANOTHER


def _is_silence(error: Exception) -> bool:
    return type(getattr(error, "orig", None)).__name__ in ("NoAnswerError", "ConnectionTimeout")


def _has_no_tables(error: Exception) -> bool:
    original = getattr(error, "orig", None)
    return _NO_TABLE.search(f"{type(original).__name__} {original}") is not None


def _reason(error: Exception) -> str:
    """What the log may say: what databases say themselves may quote what was to be kept."""
    original = getattr(error, "orig", None) or error
    state = getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None)
    return " ".join(part for part in (type(original).__name__, state) if part)
