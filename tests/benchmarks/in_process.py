"""What the middleware costs above the bare app, in process. Run it with `python -m tests.benchmarks.in_process`.

A raw ASGI driver and a raw ASGI app, so that nothing but the middleware is measured. All rows are measured in turn in
one process and the least of the rounds is kept: other work on the machine only adds. Units are round trips of JSON
through orjson, measured in the same rounds: J is that of the 1 KB request body, rt that of the answer or event at hand.
Of several processes the median counts: where things come to lie in memory makes a difference of up to a third, for as
long as a process runs.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
import timeit
from typing import Any

import orjson

from openai_middleware import OpenAIMiddleware
from openai_middleware.exchange import Exchange
from tests.benchmarks.workloads import HEADERS, App, Row, rows, send_requests


def cost(app: Any, row: Row, count: int) -> float:
    """Seconds for one request."""
    start = time.perf_counter()
    send_requests(app, row, count)
    return (time.perf_counter() - start) / count


def round_trip(document: bytes, count: int) -> float:
    """Seconds for one decoding and encoding."""
    start = time.perf_counter()
    for _ in range(count):
        orjson.dumps(orjson.loads(document))
    return (time.perf_counter() - start) / count


def measured(processes: int, rounds: int) -> dict[str, float]:
    """Each row's cost above the bare app, in its unit: the median of some processes with so many rounds each."""
    command = [sys.executable, "-m", "tests.benchmarks.in_process", "--rounds", str(rounds), "--json"]
    found = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(processes)]
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def measured_here(rounds: int) -> dict[str, float]:
    """Each row's cost above the bare app, in its unit, in this process."""
    table = rows()
    apps = [(row, App(row), OpenAIMiddleware(App(row), prefix="/v1")) for row in table]
    bare, wrapped, unit = ([float("inf")] * len(table) for _ in range(3))
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for index, (row, app, ours) in enumerate(apps):
            count = max(10, 400 // row.per) if len(row.unit) < 10_000 else max(1, 2_000_000 // len(row.unit))
            bare[index] = min(bare[index], cost(app, row, count))
            wrapped[index] = min(wrapped[index], cost(ours, row, count))
            unit[index] = min(unit[index], round_trip(row.unit, max(1, 400_000 // len(row.unit))))
        gc.collect()
    gc.enable()
    return {row.name: (wrapped[index] - bare[index]) / row.per / unit[index] for index, row in enumerate(table)} | {
        "J in us": unit[0] * 1e6,
        "chat event rt in us": unit[-4] * 1e6,
        "Responses event rt in us": unit[-2] * 1e6,
    }


def parts(rounds: int) -> dict[str, float]:
    """Microseconds of the steps of a request of 1 KB whose answer has a field too many, each by itself."""
    [row] = [row for row in rows() if row.name == "1 KB, field dropped"]
    app, ours = App(row), OpenAIMiddleware(App(row), prefix="/v1")
    headers = [(b"content-length", b"%d" % len(row.parts[0])), (b"content-type", row.kind)]

    def opened() -> Exchange:
        exchange = ours.frontend.open(row.method, row.target, b"", HEADERS)
        assert exchange is not None
        return exchange

    exchange = opened()

    def answered() -> None:
        _, answer = exchange.begin(200, headers)
        assert answer is not None
        answer.feed(row.parts[0])
        answer.finish()

    steps = {
        "the request opened: matched, its headers read": opened,
        "its body checked, the call made": lambda: exchange.receive(row.body),
        "the answer mapped, its headers written": answered,
        "all of it, by the driver": lambda: send_requests(ours, row, 1),
        "the bare app": lambda: send_requests(app, row, 1),
    }
    least = dict.fromkeys(steps, float("inf"))
    for _ in range(rounds):
        for name, step in steps.items():
            least[name] = min(least[name], min(timeit.repeat(step, number=100, repeat=5)) / 100)
    return {name: seconds * 1e6 for name, seconds in least.items()}


def around(framework_app: Any, rounds: int) -> tuple[float, float]:
    """Microseconds of a request of 1 KB above the raw app, and above an app of a framework.

    Args:
        framework_app: The app, which answers chat completions. Its own work takes the caches of the processor in turn.
        rounds: How often it is measured.
    """
    [row] = [row for row in rows() if row.name == "1 KB, clean"]
    pairs = [(app, OpenAIMiddleware(app, prefix="/v1")) for app in (App(row), framework_app)]
    least = [[float("inf")] * 2 for _ in pairs]
    for _ in range(10 * rounds):
        for best, pair in zip(least, pairs, strict=True):
            best[:] = [min(found, cost(app, row, 200)) for found, app in zip(best, pair, strict=True)]
    alone, within = (wrapped - plain for plain, wrapped in least)
    return alone * 1e6, within * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What the middleware costs above the bare app, in process.")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    table = measured_here(arguments.rounds)
    if arguments.json:
        print(json.dumps(table))
        return
    for name, value in table.items():
        print(f"{name:40}{value:8.2f}")


if __name__ == "__main__":
    main()
