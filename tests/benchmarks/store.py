"""What the store costs. `make bench` runs it. `python -m tests.benchmarks.store --postgresql` asks a server, too.

With 100,000 stored responses each operation is compared with the same at 1,000, and what a request costs with the store
on is compared with the same request without it. What is compared is measured in turn, many times, and of each the least
counts: machines drift, ratios hold. Beside it, how long the event loop was busy at one stretch.
"""

import argparse
import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware
from openai_middleware.store import Backend, Completion, Item, Page, Store, Turn
from tests.support import postgresql
from tests.support.drivers import http_scope, request_messages

FEW, MANY = 1_000, 100_000
LONG = 2_000
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


def full(url: str) -> Backend:
    """The same store at its limit: what is kept removes something."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        query = sqlalchemy.text("SELECT bytes FROM openai_owners WHERE owner = :owner")
        found = connection.scalar(query, {"owner": OWNER})
    engine.dispose()
    return Store(url, owner="shared", max_bytes=found).backend


def operations(backend: Backend, at_limit: Backend, count: int, last: str) -> dict[str, Callable[[], Any]]:
    middle = f"r{count // 2 + 1}"
    numbers: Iterator[int] = iter(range(10**9))

    def keep(backend: Backend) -> str:
        number = f"new{time.time_ns()}{next(numbers)}"
        turn = Turn(input=[item(f"i{number}")], output=[item(f"o{number}")], response_id=number, response=RESPONSE)
        backend.keep_turn(OWNER, turn)
        return number

    def talk() -> None:
        number = f"new{time.time_ns()}{next(numbers)}"
        backend.create_conversation(OWNER, number, b"{}", [item(f"{number}-{place}") for place in range(20)])
        backend.delete_conversation(OWNER, number)

    after = f"c{count // 2 + 1}"
    return {
        "retrieve": lambda: backend.response(OWNER, middle),
        "input_items": lambda: backend.input_items(OWNER, middle, Page(20, "desc")),
        f"chain of {CHAIN}": lambda: backend.history(OWNER, last, 1000, 1 << 24),
        "list, 20": lambda: backend.completions(OWNER, Page(20, "desc", after), None, {}),
        "list by model": lambda: backend.completions(OWNER, Page(20, "asc"), "m", {}),
        "list by metadata": lambda: backend.completions(OWNER, Page(20, "asc"), None, {"tenth": "1"}),
        "list of one": lambda: backend.completions(OWNER, Page(20, "asc"), None, {"one": "1"}),
        "keep": lambda: keep(backend),
        "keep and delete": lambda: backend.delete_response(OWNER, keep(backend)),
        "a conversation of 20 items, kept and deleted": talk,
        "keep at `max_bytes`": lambda: keep(at_limit),
    }


def least(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The least time of each in milliseconds, measured in turn."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(5):
                call()
            best[name] = min(best[name], (time.perf_counter() - start) / 5 * 1000)
    return best


def by_size(urls: Sequence[str], few: int, many: int, rounds: int = ROUNDS) -> dict[str, tuple[float, float]]:
    """What each operation takes with few responses, and with many, in milliseconds."""
    stores = [Store(url, owner="shared", max_bytes=None) for url in urls]
    calls: list[dict[str, Callable[[], Any]]] = []
    limited = []
    for url, store, count in zip(urls, stores, (few, many), strict=True):
        store.open()
        fill(store.backend, count)
        last = chain(store.backend, count)
        limited.append(full(url))
        calls.append(operations(store.backend, limited[-1], count, last))
    if urls[0].startswith("postgresql"):
        analyze(urls)
    names = list(calls[0])
    times = least({f"{name}|{size}": calls[size][name] for name in names for size in (0, 1)}, rounds)
    for store in stores:
        store.close()
    for backend in limited:
        backend.close()
    return {name: (times[f"{name}|0"], times[f"{name}|1"]) for name in names}


def analyze(urls: Sequence[str]) -> None:
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
    """How long the event loop was busy with one callback at most.

    Attributes:
        computed: The seconds that its thread computed; what other processes and threads do meanwhile is not counted.
    """

    def __enter__(self) -> "Busy":
        self.computed = 0.0
        self._run = run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            computed = time.thread_time()
            run(handle)
            self.computed = max(self.computed, time.thread_time() - computed)

        asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.Handle._run = self._run  # type: ignore[method-assign]


class Requests(NamedTuple):
    """What a request costs without a store and with it.

    Attributes:
        bare: Milliseconds of `responses.create` without a store.
        stored: The same with it.
        busy: How long the event loop was busy at one stretch for at most, without the store and with it: what was
            computed, in milliseconds, by what was sent.
    """

    bare: float
    stored: float
    busy: dict[str, tuple[float, float]]


async def of_requests(url: str, rounds: int = ROUNDS) -> Requests:
    """What requests cost."""
    # A full collection goes through all that was imported, whoever was the one too many.
    gc.collect()
    gc.freeze()
    store = Store(url, owner="shared", max_bytes=None)
    apps = {"without": app_of(), "with": app_of(store=store)}
    body = json.dumps({"model": "m", "input": TEXT}).encode()
    best = dict.fromkeys(apps, float("inf"))
    for _ in range(rounds * 10):
        for name, app in apps.items():
            start = time.perf_counter()
            for _ in range(5):
                await send(app, body)
            best[name] = min(best[name], (time.perf_counter() - start) / 5 * 1000)
    large = json.dumps({"model": "m", "input": "x" * 1_000_000}).encode()
    store.backend.create_conversation("shared", "long", b"{}", [item(f"long{number}") for number in range(LONG)])
    long = json.dumps({"model": "m", "input": "x", "conversation": "long"}).encode()
    messages = [{"role": "user", "content": TEXT}] * LONG
    same = json.dumps({"model": "m", "input": messages}).encode()
    busy = {}
    for name, bodies, times in (
        ("small, four at a time", (body, body), 20 * rounds),
        ("an input of 1 MB", (large, large), rounds),
        (f"{LONG:,} earlier items, which the store has or the request", (same, long), rounds),
    ):
        found = []
        for app, sent in zip(apps.values(), bodies, strict=True):
            with Busy() as stretch:
                for _ in range(times):
                    await asyncio.sleep(0)  # what began before is no part of it
                    await asyncio.gather(*(send(app, sent) for _ in range(4 if sent is body else 1)))
            found.append(stretch.computed * 1000)
        busy[name] = (found[0], found[1])
    store.close()
    gc.unfreeze()
    return Requests(best["without"], best["with"], busy)


def measured(rounds: int, few: int, many: int) -> tuple[Requests, dict[str, tuple[float, float]]]:
    """What requests cost on SQLite, and what operations cost by how much there is."""
    with tempfile.TemporaryDirectory() as folder:
        urls = [f"sqlite:///{folder}/{name}.db" for name in ("requests", "few", "many")]
        return asyncio.run(of_requests(urls[0], rounds)), by_size(urls[1:], few, many, rounds)


def show(requests: Requests, sizes: dict[str, tuple[float, float]], many: int) -> None:
    """Print what was measured."""
    more = requests.stored - requests.bare
    print(f"  responses.create: {requests.bare:.2f} ms, with the store {requests.stored:.2f} ms: {more:.2f} ms more")
    print("  the event loop was busy at one stretch for at most")
    for name, (bare, stored) in requests.busy.items():
        print(f"    {name}: {bare:.1f} ms, with the store {stored:.1f} ms")
    for name, (one, other) in sizes.items():
        print(f"  {name:44} {one:6.2f} ms at {FEW:,}  {other:6.2f} ms at {many:,}  {other / one:5.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description="What the store costs.")
    parser.add_argument("--postgresql", action="store_true", help="compare on PostgreSQL, too")
    parser.add_argument("--many", type=int, default=MANY, help=f"how many responses are many, {MANY:,} without it")
    arguments = parser.parse_args()
    print("SQLite")
    show(*measured(ROUNDS, FEW, arguments.many), arguments.many)
    if arguments.postgresql:
        print("PostgreSQL")
        server = postgresql.server()
        requests = asyncio.run(of_requests(server.url()))
        show(requests, by_size([server.url(), server.url()], FEW, arguments.many), arguments.many)


if __name__ == "__main__":
    main()
