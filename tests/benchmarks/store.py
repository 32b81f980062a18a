"""What the store costs. Run it with `python -m tests.benchmarks.store`, and `--postgresql` for a server of its own.

With 100,000 stored responses each operation is compared with the same at 1,000, and what a request costs with the store
on is compared with the same request without it. What is compared is measured in turn, many times, and of each the least
counts: machines drift, ratios hold. Beside it, how long the event loop was busy at one stretch.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware
from openai_middleware.store import Backend, Completion, Item, Page, Store, Turn
from tests.support import postgresql
from tests.support.drivers import http_scope, request_messages

FEW, MANY = 1_000, 100_000
CHAIN = 50
ROUNDS = 15
OWNER = "owner"

TEXT = "How long is a piece of string? " * 10
RESPONSE = json.dumps(
    {"object": "response", "model": "m", "metadata": {}, "output": [], "status": "completed"}
).encode()


def item(id: str) -> Item:
    part = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}
    message = {"id": id, "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    return Item(id, json.dumps(message).encode())


def fill(backend: Backend, count: int) -> None:
    """Responses in chains of fifty, and a tenth as many chat completions; some of other owners."""
    for number in range(count):
        owner = OWNER if number % 10 else f"other{number % 1000}"
        parent = f"r{number - 1}" if number % CHAIN and owner == OWNER else None
        turn = Turn(
            input=[item(f"i{number}")],
            output=[item(f"o{number}")],
            response_id=f"r{number}",
            response=RESPONSE,
            parent=parent,
        )
        backend.keep_turn(owner, turn)
        if number % 10 == 1:
            metadata = {"tenth": str(number % 100)} | ({"one": "1"} if number == 101 else {})
            completion = Completion(id=f"c{number}", data=RESPONSE, messages=b"[]", model="m", metadata=metadata)
            backend.keep_completion(OWNER, completion)


def chain(backend: Backend, count: int) -> str:
    """A chain of fifty turns at the end of all others."""
    for turn in range(CHAIN):
        number = f"{count}-{turn}"
        backend.keep_turn(
            OWNER,
            Turn(
                input=[item(f"i{number}")],
                output=[item(f"o{number}")],
                response_id=f"r{number}",
                response=RESPONSE,
                parent=f"r{count}-{turn - 1}" if turn else None,
            ),
        )
    return f"r{count}-{CHAIN - 1}"


def operations(backend: Backend, count: int, last: str) -> dict[str, Callable[[], Any]]:
    middle = f"r{count // 2 + 1}"
    numbers: Iterator[int] = iter(range(10**9))

    def keep() -> None:
        number = f"new{time.time_ns()}{next(numbers)}"
        turn = Turn(input=[item(f"i{number}")], output=[item(f"o{number}")], response_id=number, response=RESPONSE)
        backend.keep_turn(OWNER, turn)

    after = f"c{count // 2 + 1}"
    return {
        "retrieve": lambda: backend.response(OWNER, middle),
        "input_items": lambda: backend.input_items(OWNER, middle, Page(20, "desc")),
        f"chain of {CHAIN}": lambda: backend.history(OWNER, last, 1000, 1 << 24),
        "list, 20": lambda: backend.completions(OWNER, Page(20, "desc", after), None, {}),
        "list by model": lambda: backend.completions(OWNER, Page(20, "asc"), "m", {}),
        "list by metadata": lambda: backend.completions(OWNER, Page(20, "asc"), None, {"tenth": "1"}),
        "list of one": lambda: backend.completions(OWNER, Page(20, "asc"), None, {"one": "1"}),
        "keep": keep,
    }


def least(calls: dict[str, Callable[[], Any]], repeat: int) -> dict[str, float]:
    """The least time of each in milliseconds, measured in turn."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeat):
                call()
            best[name] = min(best[name], (time.perf_counter() - start) / repeat * 1000)
    return best


def compare_sizes(urls: list[str], few: int, many: int) -> None:
    stores = [Store(url, owner="shared", max_bytes=None) for url in urls]
    calls: dict[str, Callable[[], Any]] = {}
    for store, count in zip(stores, (few, many), strict=True):
        store.open()
        start = time.perf_counter()
        fill(store.backend, count)
        print(f"  {count:>7,} responses kept in {time.perf_counter() - start:.0f} s", flush=True)
        last = chain(store.backend, count)
        for name, call in operations(store.backend, count, last).items():
            calls[f"{name}|{count}"] = call
    if urls[0].startswith("postgresql"):
        analyze(urls)
    times = least(calls, 5)
    for name in operations(stores[0].backend, few, ""):
        one, other = times[f"{name}|{few}"], times[f"{name}|{many}"]
        print(f"  {name:18} {one:6.2f} ms at {few:,}  {other:6.2f} ms at {many:,}  {other / one:5.2f} times")
    for store in stores:
        store.close()


def analyze(urls: list[str]) -> None:
    import sqlalchemy

    for url in urls:
        engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
        engine.dispose()


def app_of(**options: Any) -> OpenAIMiddleware:
    dispatch = Dispatcher()

    @dispatch.reply
    async def answer(messages: Any) -> str:
        return TEXT

    return OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1", **options)


async def send(app: Any, body: bytes) -> None:
    pending = request_messages(body)

    async def receive() -> Any:
        return pending.pop(0) if pending else await asyncio.Event().wait()

    async def sent(message: Any) -> None:
        pass

    await app(http_scope("POST", "/v1/responses"), receive, sent)


class Busy:
    """How long the event loop was busy with one callback at most: what it computed, and as the clock has it.

    The clock counts what other processes and threads do meanwhile, too.
    """

    def __enter__(self) -> "Busy":
        self.computed = self.passed = 0.0
        self._run = run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            computed, passed = time.thread_time(), time.perf_counter()
            run(handle)
            self.computed = max(self.computed, time.thread_time() - computed)
            self.passed = max(self.passed, time.perf_counter() - passed)

        asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.Handle._run = self._run  # type: ignore[method-assign]

    def __str__(self) -> str:
        return f"{self.computed * 1000:.1f} ms (by the clock {self.passed * 1000:.1f} ms)"


async def compare_requests(url: str) -> None:
    store = Store(url, owner="shared", max_bytes=None)
    apps = {"without a store": app_of(), "with the store": app_of(store=store)}
    body = json.dumps({"model": "m", "input": TEXT}).encode()
    best = dict.fromkeys(apps, float("inf"))
    for _ in range(ROUNDS * 10):
        for name, app in apps.items():
            start = time.perf_counter()
            for _ in range(5):
                await send(app, body)
            best[name] = min(best[name], (time.perf_counter() - start) / 5 * 1000)
    bare, stored = best.values()
    print(f"  responses.create: {bare:.2f} ms without a store, {stored:.2f} ms with it: {stored - bare:.2f} ms more")
    large = json.dumps({"model": "m", "input": "x" * 1_000_000}).encode()
    print("  the event loop was busy at one stretch for at most")
    for name, app in apps.items():
        # What began before is no part of it.
        with Busy() as small:
            await asyncio.sleep(0)
            for _ in range(300):
                await asyncio.gather(*(send(app, body) for _ in range(4)))
        with Busy() as big:
            for _ in range(20):
                await asyncio.sleep(0)  # each begins a stretch of its own
                await send(app, large)
        print(f"    {name:16} {small}, with an input of 1 MB {big}")
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="What the store costs.")
    parser.add_argument("--postgresql", action="store_true", help="compare on PostgreSQL, too")
    parser.add_argument("--many", type=int, default=MANY, help=f"how many responses are many, {MANY:,} without it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:

        def sqlite(name: str) -> str:
            return f"sqlite:///{Path(folder) / name}.db"

        print("SQLite")
        asyncio.run(compare_requests(sqlite("requests")))
        compare_sizes([sqlite("few"), sqlite("many")], FEW, arguments.many)
        if arguments.postgresql:
            print("PostgreSQL")
            server = postgresql.server()
            asyncio.run(compare_requests(server.url()))
            compare_sizes([server.url(), server.url()], FEW, arguments.many)


if __name__ == "__main__":
    main()
