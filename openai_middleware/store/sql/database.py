"""The connections of the SQL store, and its transactions."""

import logging
import os
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
_ATTEMPTS: Final = 5
# What another try can heal: somebody else wrote the same rows at the same time (SQLSTATE classes 40 and 23).
_WORTH_ANOTHER: Final = ("40001", "40P01")
_KNOWN: Final = {"sqlite": "sqlite", "postgresql": "psycopg"}


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
        """Close all connections that are not in use. A database in memory is gone then."""
        self._engine.dispose()

    def leave_connections(self) -> None:
        """Leave all connections to the process that this one was forked from."""
        self._opening = threading.Lock()
        self._engine.dispose(close=False)

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Do something in a transaction that reads.

        Raises:
            UnavailableError: It cannot be done.
        """
        if not self._is_open:
            self.open()
        return self._run(self._engine, work)

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Do something in a transaction that writes. It may be tried several times, until it has worked once.

        Raises:
            UnavailableError: It cannot be done, and nothing of it was.
        """
        if not self._is_open:
            self.open()
        return self._run(self._writer, work)

    def _run(self, engine: Engine, work: Callable[[Connection], Result]) -> Result:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with engine.begin() as connection:
                    return work(connection)
            except SQLAlchemyError as error:
                if attempt == _ATTEMPTS or not _is_worth_another(error):
                    raise UnavailableError(_reason(error)) from None
            except sqlite3.Error as error:  # of the listener that begins a transaction
                if attempt == _ATTEMPTS:
                    raise UnavailableError(type(error).__name__) from None
        raise AssertionError("unreachable")


def _forget(database: Database | None) -> None:
    if database is not None:
        database.leave_connections()


def _engine(url: str) -> Engine:
    try:
        parsed = sa.make_url(url)
        name = parsed.get_backend_name()
    except (SQLAlchemyError, TypeError) as error:
        raise _no_url(url) from error
    if _KNOWN.get(name) is None or (name == "postgresql" and parsed.drivername != "postgresql+psycopg"):
        raise _no_url(parsed.render_as_string(hide_password=True))
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
    return engine


def _no_url(url: object) -> ConfigurationError:
    hint = "Write 'sqlite:///openai.db', or 'postgresql+psycopg://user:password@host/database'."
    return ConfigurationError(ConfigurationMistake("store_url", "This is no database of a store.", url, hint, "url"))


def _is_in_memory(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


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
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


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


def _is_worth_another(error: SQLAlchemyError) -> bool:
    if isinstance(error, IntegrityError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    # A connection that was cut while nobody used it: the pool is empty now, and the next one is new.
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _WORTH_ANOTHER


def _reason(error: SQLAlchemyError) -> str:
    """What the log may say: what databases say themselves may quote what was to be kept."""
    original = getattr(error, "orig", None)
    state = getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None)
    return " ".join(part for part in (type(original or error).__name__, state) if part)
