"""The store, on every database that it knows."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openai_middleware.store.sql import SQLBackend
from tests.support import postgresql

DATABASES = ["sqlite", "memory", *(["postgresql"] if postgresql.is_there() else [])]


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    return url_of(request.param, tmp_path)


def url_of(database: str, folder: Path) -> str:
    if database == "memory":
        return "sqlite://"
    return postgresql.server().url() if database == "postgresql" else f"sqlite:///{folder / 'openai.db'}"


Opened = Callable[..., SQLBackend]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens stores, which are closed behind the test."""
    made: list[SQLBackend] = []

    def open_one(url: str, *, ttl: float | None = None, max_bytes: int | None = None) -> SQLBackend:
        made.append(SQLBackend(url, ttl=ttl, max_bytes=max_bytes))
        made[-1].open()
        return made[-1]

    yield open_one
    for one in made:
        one._database._engine.dispose()


@pytest.fixture
def backend(url: str, opened: Opened) -> SQLBackend:
    return opened(url)
