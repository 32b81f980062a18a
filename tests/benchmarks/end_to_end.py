"""What a request costs a server: wrk sends, and the processor time of the server's process is counted.

The variants are measured in turn, many times, and compared with the bare app of the same round: machines drift, ratios
hold. Processor time tells what a server can do more than the requests in a second, which the client limits too.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.workloads import BODY
from tests.support.servers import server_process

SECONDS = 2
CONNECTIONS = 16
ASKS = {"JSON": BODY, "200 events": json.dumps({**json.loads(BODY), "stream": True}).encode()}
COMMANDS = {
    "asgi": ["-m", "uvicorn", "--loop=uvloop", "--http=httptools", "--host=127.0.0.1", "--port=0", "--no-access-log"],
    "wsgi": ["-m", "gunicorn", "--no-control-socket", "--bind=127.0.0.1:0", "--threads=16"],
}
PORT = r"127\.0\.0\.1:(\d+)"
TICKS = os.sysconf("SC_CLK_TCK")

Figures = dict[str, dict[str, float]]


def processor_time(pid: int) -> float:
    """Seconds that a process and its children have run (proc(5))."""
    total = 0.0
    for task in [pid, *_children(pid)]:
        fields = Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Load:
    """Sends one kind of request to servers."""

    def __init__(self, body: bytes, folder: Path) -> None:
        self._script = folder / f"request-{len(body)}.lua"
        self._script.write_text(
            'wrk.method = "POST"\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
            f"wrk.body = [==[{body.decode()}]==]\n"
        )

    def cost(self, server: Any) -> float:
        """Seconds of processor time for a request."""
        url = f"http://127.0.0.1:{server.ready[1]}/v1/chat/completions"
        before = processor_time(server.pid)
        command = ["wrk", "--threads=1", f"--connections={CONNECTIONS}", f"--duration={SECONDS}s"]
        done = subprocess.run([*command, "--script", self._script, url], capture_output=True, text=True, check=True)
        used = processor_time(server.pid) - before
        [requests] = re.findall(r"(\d+) requests in", done.stdout)
        if "Non-2xx" in done.stdout:
            raise RuntimeError(done.stdout)
        return used / int(requests)


@contextmanager
def running(interface: str, variant: str) -> Iterator[Any]:
    """A server of one variant."""
    command = [sys.executable, *COMMANDS[interface], "tests.benchmarks.apps:app"]
    with server_process(command, PORT, env={"VARIANT": variant, "INTERFACE": interface}) as server:
        yield server


def measured(interface: str, variants: Sequence[str], rounds: int, step: Callable[[], None]) -> tuple[Figures, Figures]:
    """Each variant's throughput as a share of the bare app's, and its microseconds for a request, least of all rounds.

    Args:
        interface: `"asgi"` or `"wsgi"`.
        variants: What is compared; the first is the bare app.
        rounds: How often each is measured.
        step: Called after each measurement.
    """
    costs: dict[str, dict[str, list[float]]] = {variant: {ask: [] for ask in ASKS} for variant in variants}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {variant: stack.enter_context(running(interface, variant)) for variant in variants}
        loads = {ask: Load(body, folder) for ask, body in ASKS.items()}
        for number in range(rounds):
            start = number % len(variants)
            turned = [*variants[start:], *variants[:start]]
            for ask, load in loads.items():
                for variant in turned:
                    costs[variant][ask].append(load.cost(servers[variant]))
                    step()
    bare = costs[variants[0]]
    shares = {
        variant: {
            ask: statistics.median(one / other for one, other in zip(bare[ask], found[ask], strict=True))
            for ask in ASKS
        }
        for variant, found in costs.items()
    }
    least = {variant: {ask: min(found[ask]) * 1e6 for ask in ASKS} for variant, found in costs.items()}
    return shares, least
