"""The store, on every database that it knows."""

from pathlib import Path

import pytest

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
