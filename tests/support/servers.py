"""Live servers on free ports: an ASGI app under uvicorn in a thread, a WSGI app under gunicorn, or any server program.

The last two run in processes of their own.

Nothing waits by sleeping: a server in a thread reports its own startup, and one in a process is ready when it has
printed that it is.
"""

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn

ROOT = Path(__file__).resolve().parents[2]

TIMEOUT = 60
"""Seconds after which a server that neither starts nor stops fails the test."""


class _Server(uvicorn.Server):
    """A server that tells when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.startup_report: Future[None] = Future()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.startup_report.set_result(None)

    def run_and_report(self, sockets: list[socket.socket]) -> None:
        try:
            self.run(sockets)
        except BaseException as error:  # uvicorn ends with SystemExit where the app's lifespan fails
            if self.startup_report.done():
                raise
            self.startup_report.set_exception(RuntimeError(f"The server did not start: {error!r}"))


@contextmanager
def uvicorn_server(app: Any, **options: Any) -> Iterator[str]:
    """Serve an ASGI app from a thread; yields its base URL, without a slash at the end.

    Closing the listening socket and the connections is part of leaving the block. `options` are those of
    `uvicorn.Config`. What the app raises goes to the logger `uvicorn.error`.
    """
    options = {"log_config": None, "access_log": False, "timeout_graceful_shutdown": 5, **options}
    server = _Server(uvicorn.Config(app, **options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # asyncio does so for sockets of its own; without it an answer that leaves in two parts takes 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=server.run_and_report, args=([listener],), name="uvicorn")
        thread.start()
        try:
            server.startup_report.result(TIMEOUT)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(TIMEOUT)
            assert not thread.is_alive(), "the server did not stop"


class ServerProcess:
    """A server program that runs.

    Attributes:
        pid: The id of its process.
        ready: The match in the line that said that the server is ready.
        output: The lines printed so far, standard error included.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self.output: list[str] = []
        self._process = process
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="server output")
        self._reader.start()

    def _read(self) -> None:
        # Reading goes on to the end: a server whose output nobody takes would stop when the pipe is full.
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line.rstrip("\n"))
            self._lines.put(line)
        self._lines.put(None)

    def wait_until_ready(self, pattern: str) -> re.Match[str]:
        while (line := self._lines.get(timeout=TIMEOUT)) is not None:
            if found := re.search(pattern, line):
                self.ready = found
                return found
        raise RuntimeError("\n".join(["The server did not start:", *self.output]))

    def stop(self) -> int:
        """Ask the server to stop and return its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(TIMEOUT)
        finally:
            # With its workers: one that outlives the server would keep the pipe open.
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._reader.join(TIMEOUT)


@contextmanager
def server_process(
    command: Iterable[str | Path], ready: str, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """Run a server program until the end of the block.

    Args:
        command: The program and its arguments; let it choose a free port.
        ready: A regular expression for the line that it prints when it is ready; its groups are in `ready`.
        cwd: Its working directory.
        env: More environment variables for it.
    """
    with subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        start_new_session=True,
    ) as process:
        server = ServerProcess(process)
        try:
            server.wait_until_ready(ready)
            yield server
        finally:
            server.stop()


@contextmanager
def gunicorn_server(
    app: str, *options: str, threads: int = 8, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Serve a WSGI app from a gunicorn process with threads; yields its base URL, without a slash at the end.

    Args:
        app: Where the app is, as `"package.module:name"`, or `"package.module:factory()"`.
        options: More options of gunicorn's command line.
        threads: How many requests it serves at the same time.
        cwd: Where the module is imported from; it is the root of the project, so that those of `tests` can be named.
        env: More environment variables.
    """
    # Preloaded, so that an app that cannot be imported is a server that did not start.
    command = [sys.executable, "-m", "gunicorn", "--preload", "--no-control-socket", "--bind=127.0.0.1:0"]
    command += [f"--threads={threads}", "--graceful-timeout=5", *options, app]
    with server_process(command, r"Listening at: (http://127\.0\.0\.1:\d+)", cwd=cwd, env=env) as server:
        yield server.ready[1]
