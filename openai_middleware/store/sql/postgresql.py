"""Connections to PostgreSQL that do not wait for ever."""

import math
import time
from collections.abc import Generator
from typing import Any

import psycopg


class NoAnswerError(psycopg.OperationalError):
    """The server has not answered in time. The connection is closed."""


class TimedConnection(psycopg.Connection[Any]):
    """A connection that is given up where the server is silent: one that hangs keeps neither answers nor threads.

    Attributes:
        until: When it is given up, by `time.monotonic`.
    """

    until = math.inf

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """See `psycopg.Connection.wait`.

        Raises:
            NoAnswerError: There was no answer in time.
        """
        return super().wait(self._timed(gen), *args, **kwargs)

    def _timed(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        # psycopg resumes it whenever something has come, and many times a second where nothing has.
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > self.until:
                    self.pgconn.finish()
                    raise NoAnswerError("the server has not answered in time")
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value
