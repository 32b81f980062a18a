"""The server programs that the live tests and the soak run, each with one process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.servers import ServerProcess, server_process

PORT = r"127\.0\.0\.1:(\d+)"
THREADS = 32


@dataclass(frozen=True)
class Program:
    """A server program: its name, its arguments, the interface, and whether it speaks HTTP/2 without TLS."""

    name: str
    interface: str
    arguments: tuple[str, ...]
    speaks_http2: bool = False

    @contextmanager
    def running(self) -> Iterator[ServerProcess]:
        """Run it on a free port; the port is `ready[1]`."""
        command = [sys.executable, "-m", *self.arguments, f"tests.live.apps:{self.interface}"]
        with server_process(command, ready=PORT) as server:
            yield server

    def __str__(self) -> str:
        return self.name


_GUNICORN = ("gunicorn", "--preload", "--no-control-socket", "--bind=127.0.0.1:0", "--graceful-timeout=2")
_GRANIAN = ("tests.live.granian_server",)
_UVICORN = ("uvicorn", "--host=127.0.0.1", "--port=0", "--timeout-graceful-shutdown=2", "--no-access-log")
_HYPERCORN = ("hypercorn", "--bind=127.0.0.1:0", "--graceful-timeout=2")

PROGRAMS = [
    Program("uvicorn-h11", "asgi", (*_UVICORN, "--http=h11")),
    Program("uvicorn-httptools", "asgi", (*_UVICORN, "--http=httptools")),
    Program("hypercorn", "asgi", _HYPERCORN),
    Program("hypercorn-http2", "asgi", _HYPERCORN, speaks_http2=True),
    Program("granian-asgi", "asgi", (*_GRANIAN, "asgi")),
    Program("daphne", "asgi", ("daphne", "--bind=127.0.0.1", "--port=0")),
    Program("granian-wsgi", "wsgi", (*_GRANIAN, "wsgi")),
    Program("gunicorn-gthread", "wsgi", (*_GUNICORN, "--worker-class=gthread", f"--threads={THREADS}")),
    Program("waitress", "wsgi", ("waitress", "--listen=127.0.0.1:0", f"--threads={THREADS}")),
]
