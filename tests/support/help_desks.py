"""The help desks of the documentation, which know nothing of OpenAI, on live servers."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from tests.support.servers import ROOT, gunicorn_server, server_process

EXAMPLES: Final = ROOT / "docs" / "examples"
TOKEN: Final = "token-of-ada"
"""What they take for an API key."""


@contextmanager
def uvicorn_process(app: str) -> Iterator[str]:
    command = [sys.executable, "-m", "uvicorn", "--port=0", f"--app-dir={EXAMPLES}", app]
    with server_process(command, r"running on (http://127\.0\.0\.1:\d+)") as server:
        yield server.ready[1]


SERVERS: Final[Mapping[str, Callable[[], AbstractContextManager[str]]]] = {
    "fastapi-uvicorn": lambda: uvicorn_process("legacy_fastapi:app"),
    "django-uvicorn": lambda: uvicorn_process("legacy_django:asgi_application"),
    "django-gunicorn": lambda: gunicorn_server("legacy_django:application", cwd=EXAMPLES),
    "flask-gunicorn": lambda: gunicorn_server("legacy_flask:app", cwd=EXAMPLES),
}
