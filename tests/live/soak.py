"""Send a server very many requests, of every kind, and tell how its memory grew and which streams went on alone.

    python -m tests.live.soak --requests 200000 uvicorn-httptools gunicorn-gthread

Of a hundred requests, five are refused, five pass to the app unmatched, ten are streams, and of these two are left
after their first event. The first tenth of the requests warms the server up; memory is compared from there on.
"""

import argparse
import asyncio
import json
import sys
import time
import urllib.request
from collections import Counter
from typing import Any

from tests.support.connections import request_bytes
from tests.support.server_programs import PROGRAMS, Program

CONNECTIONS = 64
MEGABYTE = 2**20
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello " * 20}]}

WHOLE = request_bytes("/v1/chat/completions", CHAT)
OWN = request_bytes("/v1/responses", {"model": "m", "input": "Hello"})
STREAM = request_bytes("/v1/chat/completions", {**CHAT, "stream": True}, headers="Connection: close\r\n")
ENDLESS = request_bytes("/v1/chat/completions", {**CHAT, "model": "endless", "stream": True})
REFUSED = [
    (request_bytes("/secret/x", method="GET"), 403),
    (request_bytes("/v1/chat/completions", {}), 422),
    (request_bytes("/v1/chat/completions?model=m", CHAT), 400),
]
PASSING = request_bytes("/counters", method="GET")


class Tally:
    """What was sent, and what came back otherwise than it should."""

    def __init__(self, requests: int) -> None:
        self.left_to_send = requests
        self.kinds: Counter[str] = Counter()
        self.failures: list[str] = []

    def take(self) -> int | None:
        self.left_to_send -= 1
        return self.left_to_send if self.left_to_send >= 0 else None


async def client(port: int, tally: Tally) -> None:
    """Send requests one after the other, over as few connections as the server allows."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (number := tally.take()) is not None:
        kind = number % 100
        if kind < 10:
            await (leave(port) if kind < 2 else stream(port, tally))
            tally.kinds["streams left" if kind < 2 else "streams"] += 1
            continue
        if kind < 15:
            request, expected = REFUSED[kind % 3]
        elif kind < 20:
            request, expected = PASSING, 200
        else:
            request, expected = (WHOLE if kind % 2 else OWN), 200
        if reader.at_eof() or writer.is_closing():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            status, is_kept = await exchange(reader, writer, request)
        except (ConnectionError, asyncio.IncompleteReadError):
            # The server has closed the connection at its own limit of requests or time.
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            status, is_kept = await exchange(reader, writer, request)
        tally.kinds["refused" if expected >= 400 else "whole"] += 1
        if status != expected:
            tally.failures.append(f"{status} instead of {expected}")
        if not is_kept:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bool]:
    """The status of the answer, and whether the connection stays."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        await reader.readuntil(b"0\r\n\r\n")
    else:
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    return int(head.split(b" ")[1]), b"connection: close" not in head


async def stream(port: int, tally: Tally) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(STREAM)
    answer = await reader.read(-1)
    writer.close()
    if answer.count(b'"content"') != 3 or b"[DONE]" not in answer:
        tally.failures.append("a stream that is not whole")


async def leave(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ENDLESS)
    await reader.readuntil(b"data: ")
    writer.transport.abort()


async def send(port: int, requests: int) -> Tally:
    tally = Tally(requests)
    await asyncio.gather(*(client(port, tally) for _ in range(CONNECTIONS)))
    return tally


def told(port: int, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def soak(program: Program, requests: int) -> bool:
    """Whether the server answered everything as it should, and closed what was left."""
    with program.running() as server:
        port = int(server.ready[1])
        warm = asyncio.run(send(port, requests // 10))
        before = told(port, "/settled")
        began = time.perf_counter()
        tally = asyncio.run(send(port, requests - requests // 10))
        seconds = time.perf_counter() - began
        after = told(port, "/settled")
    kinds = warm.kinds + tally.kinds
    failures = warm.failures + tally.failures
    growth = (after["memory"] - before["memory"]) / MEGABYTE
    left, open_still = kinds["streams left"], after["open"]
    print(f"{program.name}: {kinds.total():,} requests, {kinds.total() * 0.9 / seconds:,.0f} in a second")
    print(f"  {', '.join(f'{count:,} {kind}' for kind, count in sorted(kinds.items()))}")
    print(f"  answered otherwise than they should be: {len(failures)} {sorted(set(failures))[:3] or ''}")
    print(f"  memory: {before['memory'] / MEGABYTE:.1f} MiB warm, {growth:+.1f} MiB after that")
    print(f"  disconnects honoured: {left - open_still:,} of {left:,}", flush=True)
    return not failures and not open_still


def main() -> int:
    names = [program.name for program in PROGRAMS if not program.speaks_http2]
    parser = argparse.ArgumentParser(prog="python -m tests.live.soak")
    parser.add_argument("--requests", type=int, default=200_000, help="for each server")
    parser.add_argument(
        "servers", nargs="*", metavar="SERVER", help=f"default: uvicorn-httptools; of {', '.join(names)}"
    )
    arguments = parser.parse_args()
    chosen = arguments.servers or ["uvicorn-httptools"]
    if unknown := set(chosen) - set(names):
        parser.error(f"unknown servers: {', '.join(unknown)}")
    programs = [program for program in PROGRAMS if program.name in chosen]
    outcomes = [soak(program, arguments.requests) for program in programs]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
