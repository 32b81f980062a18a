"""A PostgreSQL server of the tests' own: on a free port, in a temporary folder, gone with the process."""

import atexit
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

# Debian keeps the programs of each version in a folder of its own, which is not in PATH.
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name.split(".")[0]))
NOT_TRIED = (
    "PostgreSQL was NOT tried: there is no initdb on this machine. Install Debian's package `postgresql`, or put its "
    "programs into PATH."
)

_numbers = itertools.count()


def program(name: str) -> str | None:
    """The path of one of PostgreSQL's programs, or None."""
    return shutil.which(name, path=os.pathsep.join([*map(str, reversed(DEBIAN)), os.environ.get("PATH", "")]))


def is_there() -> bool:
    return program("initdb") is not None


class Server:
    """A server that can be stopped and started again. It refuses to run as root, so it runs as somebody else."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="openai-postgresql-"))
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.data = self.folder / "data"
        self._run(
            "initdb", "--username=tests", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-D", self.data
        )
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.start()

    def _run(self, name: str, *arguments: object) -> None:
        path = program(name)
        assert path is not None, NOT_TRIED
        done = subprocess.run(
            [path, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            check=False,
            **self._user,
        )
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def pause(self, number: signal.Signals = signal.SIGSTOP) -> None:
        """Let it hang: its connections stay, and nothing comes through them."""
        process = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        for one in (process, *map(int, children)):
            os.kill(one, number)

    def resume(self) -> None:
        self.pause(signal.SIGCONT)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self) -> str:
        """The URL of a new, empty place for tables."""
        import sqlalchemy as sa  # not for those who only ask whether there is a server

        name = f"test_{next(_numbers)}"
        base = f"postgresql+psycopg://tests@127.0.0.1:{self.port}/postgres"
        engine = sa.create_engine(base)
        with engine.begin() as connection:
            connection.execute(sa.text(f"CREATE SCHEMA {name}"))
        engine.dispose()
        return f"{base}?options={quote(f'-csearch_path={name}')}"


@cache
def server() -> Server:
    """The server of this process, started when it is first needed."""
    started = Server()
    atexit.register(started.remove)
    return started
