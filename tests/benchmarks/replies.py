"""What a reply costs, beside the nearest peer. Run it with `python -m tests.benchmarks.replies`.

One function that yields 200 pieces, and one that returns a sentence, served in process by the raw ASGI driver. All rows
are measured in turn in one process, and the least of the rounds is printed: other work on the machine only adds. The
peer, fastapi-openai-compat, is measured where it is installed: `pip install fastapi-openai-compat`.
"""

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware
from tests.support.drivers import JSON_HEADERS, http_scope

PEER = "fastapi_openai_compat"
ROUNDS = 25
REQUESTS = 30
PIECES = 200
SENTENCE = "Twice half its length, as it has ever been."
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "How long is a piece of string?"}]}
RESPONSES: dict[str, Any] = {"model": "m", "input": "How long is a piece of string?"}
TARGETS = {"chat": ("/v1/chat/completions", CHAT), "responses": ("/v1/responses", RESPONSES)}


async def pieces() -> AsyncIterator[str]:
    for _ in range(PIECES):
        yield "Twice "


def ours(*, is_stream: bool) -> Any:
    dispatch = Dispatcher()

    @dispatch.reply
    async def answer(messages: Any) -> Any:
        return pieces() if is_stream else SENTENCE

    return OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")


def peers(*, is_stream: bool) -> Any:
    from fastapi import FastAPI

    compat = import_module(PEER)

    async def answer(*_: Any, **__: Any) -> Any:
        return pieces() if is_stream else SENTENCE

    async def models() -> list[str]:
        return ["m"]

    app = FastAPI()
    app.include_router(compat.create_openai_router(list_models=models, run_completion=answer))
    app.include_router(compat.create_responses_router(list_models=models, run_response=answer))
    return app


async def ask(app: Any, target: str, body: bytes) -> None:
    """Send one request; the client stays, and looks at nothing but the status."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]
    leaves = asyncio.Event()

    async def receive() -> Any:
        if pending:
            return pending.pop()
        await leaves.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200

    await app(http_scope("POST", target, headers=JSON_HEADERS), receive, send)


async def cost(app: Any, target: str, body: bytes) -> float:
    """Seconds of processor time for one request."""
    await ask(app, target, body)
    start = time.process_time()
    for _ in range(REQUESTS):
        await ask(app, target, body)
    return (time.process_time() - start) / REQUESTS


def measured(rounds: int) -> dict[tuple[str, str, bool], float]:
    """Microseconds of a whole answer, and of an event where the answer is a stream: by server, API and that."""
    return asyncio.run(_measured(rounds))


async def _measured(rounds: int) -> dict[tuple[str, str, bool], float]:
    servers = {"openai-middleware": ours}
    if find_spec(PEER) is not None:
        servers["fastapi-openai-compat"] = peers
    rows = {
        (name, api, is_stream): (
            server(is_stream=is_stream),
            target,
            json.dumps(body | {"stream": is_stream}).encode(),
        )
        for name, server in servers.items()
        for api, (target, body) in TARGETS.items()
        for is_stream in (True, False)
    }
    least = dict.fromkeys(rows, float("inf"))
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for row, (app, target, body) in rows.items():
            least[row] = min(least[row], await cost(app, target, body))
    gc.enable()
    return {row: seconds * 1e6 / (PIECES if row[2] else 1) for row, seconds in least.items()}


def main() -> None:
    """Print the table."""
    for (name, api, is_stream), each in measured(ROUNDS).items():
        print(f"{name:24}{api:12}{each:8.2f} us {'an event' if is_stream else 'an answer'}")


if __name__ == "__main__":
    main()
