"""How the cost grows: with the size of an answer, the number of endpoints, and the number of streams at once."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

from openai_middleware import APIHandlerConfig, OpenAIMiddleware
from tests.benchmarks.in_process import cost
from tests.benchmarks.workloads import BODY, CHAT, CHUNK, COMPLETION, HEADERS, JSON, App, Row, encoded, padded
from tests.support.drivers import http_scope, request_messages

SIZES = (1, 16, 256, 4096, 16384)  # KB
ENDPOINTS = (13, 50, 150, 300, 600)
STREAMS = (1, 10, 100, 1000)
ASKED = encoded({"model": "m", "messages": [], "stream": True})
ASKED_AT_LENGTH = encoded({**json.loads(BODY), "stream": True})
EVENT = b"data: " + encoded(CHUNK) + b"\n\n"

Curve = list[tuple[float, float]]


def by_size(rounds: int) -> Curve:
    """Microseconds above the bare app for an answer of so many KB of which a field is dropped."""
    points = []
    for size in SIZES:
        answer = encoded({**padded(COMPLETION, size * 1024), "junk": 1})
        row = Row("", b"", "POST", CHAT, BODY, JSON, [answer])
        points.append((float(size), _above(row, OpenAIMiddleware(App(row), prefix="/v1"), rounds, 200 // size)))
    return points


def by_endpoints(rounds: int) -> Curve:
    """Microseconds above the bare app for a request with a path parameter, among so many endpoints."""
    points = []
    for count in ENDPOINTS:
        config = APIHandlerConfig()
        for number in range(count):
            config.add_endpoint_handler(f"/v1/things{number}/{{thing_id}}/parts/{{part_id}}", "GET")
        target = f"/v1/things{count - 1}/a/parts/b"
        row = Row("", b"", "GET", target, b"", JSON, [encoded(COMPLETION)])
        points.append((float(count), _above(row, OpenAIMiddleware(App(row), config=config), rounds, 200)))
    return points


def _above(row: Row, wrapped: Any, rounds: int, requests: int) -> float:
    bare, ours = App(row), wrapped
    count = max(1, requests)
    pairs = [(cost(bare, row, count), cost(ours, row, count)) for _ in range(rounds)]
    return (min(one for _, one in pairs) - min(one for one, _ in pairs)) * 1e6


class Ticking:
    """An ASGI app that sends an event, and waits for the next turn of the loop, again and again."""

    def __init__(self, events: int) -> None:
        self._events = events

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        await receive()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(self._events):
            await send({"type": "http.response.body", "body": EVENT, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


class Waiting:
    """An ASGI app that sends an event, and waits for something before it goes on."""

    def __init__(self, goes_on: asyncio.Event) -> None:
        self._goes_on = goes_on

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        await receive()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": EVENT, "more_body": True})
        await self._goes_on.wait()
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def by_streams(rounds: int) -> Curve:
    """Microseconds above the bare app for an event, of so many streams at once."""
    return [(float(count), asyncio.run(_of_streams(count, rounds))) for count in STREAMS]


async def _of_streams(count: int, rounds: int) -> float:
    events = max(20, 2000 // count)
    bare, ours = Ticking(events), OpenAIMiddleware(Ticking(events), prefix="/v1")

    async def seconds(app: Any) -> float:
        start = time.perf_counter()
        await asyncio.gather(*(_stream(app) for _ in range(count)))
        return (time.perf_counter() - start) / count / events

    pairs = [(await seconds(bare), await seconds(ours)) for _ in range(rounds)]
    return (min(one for _, one in pairs) - min(one for one, _ in pairs)) * 1e6


async def _stream(app: Any, body: bytes = ASKED) -> None:
    pending = request_messages(body)
    del body  # a server keeps it no longer than until it is received

    async def receive() -> Any:
        return pending.pop()

    async def send(message: Any) -> None:
        pass

    await app(http_scope("POST", CHAT, headers=HEADERS[:-1]), receive, send)


def kilobytes_of_an_idle_stream(body: bytes) -> float:
    """KB that an open stream takes above one of the bare app, of a thousand that wait for their next event."""

    async def measured(wrap: Callable[[Any], Any]) -> float:
        app = wrap(Waiting(goes_on := asyncio.Event()))
        gc.collect()
        tracemalloc.start()
        tasks = [asyncio.create_task(_stream(app, bytes(bytearray(body)))) for _ in range(1000)]
        await asyncio.sleep(0)
        gc.collect()
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        goes_on.set()
        await asyncio.gather(*tasks)
        return used / 1000 / 1024

    async def both() -> float:
        # What the first request leaves behind is no part of a stream.
        for _ in range(2):
            above = await measured(lambda app: OpenAIMiddleware(app, prefix="/v1")) - await measured(lambda app: app)
        return above

    return asyncio.run(both())


def import_ratio(rounds: int) -> float:
    """How much longer importing the package takes than importing what it needs."""
    needed = "import msgspec, pydantic, parse, asgiref.sync"
    pairs = [(_seconds(needed), _seconds(f"{needed}, openai_middleware")) for _ in range(rounds)]
    return min(ours for _, ours in pairs) / min(needs for needs, _ in pairs)


def _seconds(statement: str) -> float:
    code = f"import time; start = time.process_time(); {statement}; print(time.process_time() - start)"
    # What is installed has its bytecode; in a checkout the first round writes it.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env).stdout)


CURVES: Sequence[tuple[str, str, Callable[[int], Curve]]] = (
    ("by-size", "KB of an answer of which a field is dropped", by_size),
    ("by-endpoints", "endpoints, a request with two path parameters", by_endpoints),
    ("by-streams", "streams at once, one event", by_streams),
)
