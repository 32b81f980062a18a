"""One server program for all tests that need nothing else; run by `make test-servers`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import httpx2
import pytest

from tests.support.server_programs import PROGRAMS, Program
from tests.support.servers import ServerProcess


class Served:
    """A program that runs."""

    def __init__(self, program: Program, server: ServerProcess) -> None:
        self.program = program
        self.process = server
        self.port = int(server.ready[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx2.Client:
        """A client that speaks what the program is to be spoken to."""
        if self.program.speaks_http2:
            options |= {"http1": False, "http2": True}
        return httpx2.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def told(self, path: str) -> dict[str, Any]:
        with self.client() as client:
            found: dict[str, Any] = client.get(path).raise_for_status().json()
            return found

    @property
    def counters(self) -> dict[str, Any]:
        return self.told("/counters")

    @property
    def settled(self) -> dict[str, Any]:
        """The counters, as soon as no stream is open."""
        return self.told("/settled")


def params() -> list[Any]:
    return [pytest.param(program, id=program.name, marks=pytest.mark.xdist_group(program.name)) for program in PROGRAMS]


@pytest.fixture(scope="session")
def all_served() -> Iterator[Callable[[Program], Served]]:
    """Starts each program once, when the first test needs it: the tests of several take turns."""
    with ExitStack() as stack:
        yield cache(lambda program: Served(program, stack.enter_context(program.running())))


@pytest.fixture(params=params())
def served(request: pytest.FixtureRequest, all_served: Callable[[Program], Served]) -> Served:
    return all_served(request.param)


@pytest.fixture(params=params())
def own_server(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server for one test alone, which may stop it."""
    program: Program = request.param
    with program.running() as server:
        yield Served(program, server)
