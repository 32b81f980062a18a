"""What a user says of a store: where things are kept, whose they are, and for how long."""

import inspect
import logging
import os
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake, reported_mistakes
from openai_middleware.store.owner import SHARED, Owner
from openai_middleware.store.store import Backend, UnavailableError

logger = logging.getLogger("openai_middleware")

_THREADS: Final = 16
_DEFAULT_TTL: Final = timedelta(days=30)
_DEFAULT_MAX_BYTES: Final = 1024**3
# Databases count microseconds in 64 bits. Who wants more means None.
_LONGEST_TTL: Final = timedelta(days=365_000).total_seconds()


class Settings:
    """See `openai_middleware.store.Store`, whose arguments these are.

    Args:
        url: `sqlite:///openai.db`, a file; `sqlite://`, the memory of this process; or
            `postgresql+psycopg://user:password@host/database`. Or a `Backend`, which has limits of its own.
        owner: Whose a request is: a function of the ASGI scope, the WSGI environ or Django's request that returns a
            str, such as `by_api_key`; or `"shared"`, where everybody may see everything.
        ttl: How long something is kept, a timedelta or seconds. None: until it is deleted.
        max_bytes: How much is kept of one owner; the oldest goes first. None: no limit.

    Raises:
        ConfigurationError: With every mistake in the arguments.
    """

    def __init__(
        self,
        url: str | Backend = "sqlite:///openai.db",
        *,
        owner: Owner,
        ttl: timedelta | float | None = _DEFAULT_TTL,
        max_bytes: int | None = _DEFAULT_MAX_BYTES,
    ) -> None:
        whose: object = owner
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
        with reported_mistakes() as mistakes:
            if whose != SHARED and not _is_plain_function(whose):
                hint = "Write by_api_key, a function of your own that is not async, or 'shared'."
                mistakes.add("store_owner", "The owner is a function.", whose, hint, "owner")
            if seconds is not None and not (_is_positive(seconds) and seconds <= _LONGEST_TTL):
                hint = "Write timedelta(days=30), a number of seconds above zero and below a thousand years, or None."
                mistakes.add("store_ttl", "This is no time to live.", ttl, hint, "ttl")
            if max_bytes is not None and not (_is_positive(max_bytes) and isinstance(max_bytes, int)):
                hint = "Write a number of bytes above zero, or None."
                mistakes.add("store_max_bytes", "This is no number of bytes.", max_bytes, hint, "max_bytes")
            if isinstance(url, str):
                limits = (None, None) if mistakes else (seconds, max_bytes)
                with mistakes:
                    self.backend = _sql_backend(url, *limits)
            else:
                mistakes.extend(_mistakes_with(url, ttl, max_bytes))
                self.backend = url
        self.owner = owner
        self._threads: ThreadPoolExecutor | None = None
        if hasattr(os, "register_at_fork"):
            # A process that was forked has no threads. Without a reference, so that it can be collected.
            itself = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _forget_threads(itself()))

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Where the store works while an event loop goes on."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "openai-store")
        return self._threads

    def open(self) -> None:
        """Get the database ready. Where it is away, the log says so, and the first request that needs it tries again.

        Raises:
            ConfigurationError: It belongs to a newer version of this package.
        """
        try:
            self.backend.open()
        except UnavailableError as error:
            logger.error("The store is not available, and will be tried again: %s.", error)

    def close(self) -> None:
        """Let go of threads and connections. A database in memory is gone then."""
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None
        self.backend.close()


def _is_plain_function(value: object) -> bool:
    """Whether something can be called, and answers at once: an async function would give a coroutine."""
    is_async = any(map(inspect.iscoroutinefunction, (value, getattr(value, "__call__", None))))  # noqa: B004
    return callable(value) and not is_async


def _mistakes_with(backend: object, ttl: object, max_bytes: object) -> Iterator[ConfigurationMistake]:
    if isinstance(backend, type) or not callable(getattr(backend, "keep_turn", None)):
        hint = "Write a URL such as 'sqlite:///openai.db', as a str, or an object with the methods of a `Backend`."
        yield ConfigurationMistake("store_url", "This is no database of a store.", backend, hint, "url")
        return
    for name, value, default in (("ttl", ttl, _DEFAULT_TTL), ("max_bytes", max_bytes, _DEFAULT_MAX_BYTES)):
        if value != default:
            hint = "Leave it out: a backend has limits of its own."
            yield ConfigurationMistake(f"store_{name}", "Only databases with a URL have this limit.", value, hint, name)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _forget_threads(settings: Settings | None) -> None:
    if settings is not None:
        settings._threads = None


def _sql_backend(url: str, ttl: float | None, max_bytes: int | None) -> Backend:
    try:
        from openai_middleware.store.sql import SQLBackend
    except ImportError as error:
        hint = "Install it: pip install 'openai-middleware[store]'."
        mistake = ConfigurationMistake("store_driver", "SQLAlchemy is missing.", url, hint, "url")
        raise ConfigurationError(mistake) from error
    return SQLBackend(url, ttl=ttl, max_bytes=max_bytes)
