"""What all parts of the SQL store have in common: transactions about the rows of one owner."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy.engine import Connection

from openai_middleware.store.sql.database import Database
from openai_middleware.store.sql.rows import OwnerRows, o
from openai_middleware.store.sql.upkeep import make_room, sweep
from openai_middleware.store.store import TooLargeError, UnavailableError

Result = TypeVar("Result")

logger = logging.getLogger("openai_middleware")

_SECONDS_BETWEEN_SWEEPS: Final = 60


class Transactions:
    """Transactions about the rows of one owner.

    Args:
        url: The URL of the database.
        ttl: After how many seconds what was kept goes; None is never.
        max_bytes: How much of one owner is kept; None is all.

    Raises:
        ConfigurationError: The URL is that of no database which is known here.
    """

    def __init__(self, url: str, *, ttl: float | None, max_bytes: int | None) -> None:
        self._database = Database(url)
        self._ttl = None if ttl is None else int(ttl * 1_000_000)
        self._max_bytes = max_bytes
        self._next_sweep = 0.0

    def open(self) -> None:
        """See `Backend.open`."""
        self._database.open()

    def close(self) -> None:
        """See `Backend.close`."""
        self._database.close()

    def _read(self, owner: str, work: Callable[[OwnerRows], Result]) -> Result:
        return self._database.read(lambda connection: work(self._rows(connection, owner)))

    def _change(self, owner: str, work: Callable[[OwnerRows], Result]) -> Result:
        """Do something that makes nothing larger."""

        def change(connection: Connection) -> Result:
            rows = self._rows(connection, owner)
            result = work(rows)
            rows.settle()
            return result

        return self._database.write(change)

    def _keep(self, owner: str, work: Callable[[OwnerRows], Result], size: int, kept: str | None) -> Result:
        """Do something that makes the store larger.

        Args:
            owner: The owner.
            work: What to do.
            size: How many bytes it adds.
            kept: The id of what is written, which is the last to go.

        Raises:
            TooLargeError: It is more than the owner may have.
        """
        if self._max_bytes is not None and size > self._max_bytes:
            raise TooLargeError

        def keep(connection: Connection) -> tuple[Result, int]:
            rows = self._rows(connection, owner)
            return work(rows), rows.settle()

        result, total = self._database.write(keep)
        try:
            if self._max_bytes is not None and total > self._max_bytes:
                too_much = total - self._max_bytes
                self._change(owner, lambda rows: make_room(rows, too_much, kept))
            self._sweep()
        except UnavailableError as error:
            logger.warning("The store could not remove what is old: %s.", error)
        return result

    def _sweep(self) -> None:
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SECONDS_BETWEEN_SWEEPS
        present = _microseconds()
        if self._database.write(lambda connection: sweep(connection, present, self._horizon(present))):
            self._next_sweep = now

    def _rows(self, connection: Connection, owner: str) -> OwnerRows:
        now = _microseconds()
        return OwnerRows(connection, owner, now, self._horizon(now))

    def _horizon(self, now: int) -> int:
        return -1 if self._ttl is None else now - self._ttl

    def _data(self, owner: str, kind: str, identifier: str, column: Any = o.data) -> bytes | None:
        found = self._read(owner, lambda rows: rows.object(kind, identifier, column))
        return None if found is None else found[0]

    def _delete(self, owner: str, kind: str, identifier: str) -> bool:
        def delete(rows: OwnerRows) -> bool:
            if rows.object(kind, identifier, o.id, is_locked=True) is None:
                return False
            rows.remove(kind, identifier)
            return True

        return self._change(owner, delete)


def _microseconds() -> int:
    return time.time_ns() // 1000
