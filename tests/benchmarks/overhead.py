"""What the middleware costs, as a ratio to the bare app. Run it with `python -m tests.benchmarks.overhead`.

Each pair is measured in turn, many times, and the median of the ratios is printed: machines drift, ratios hold. The
requests are made in-process, so that no network hides the cost.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from openai_middleware import OpenAIMiddleware
from tests.support.drivers import http_scope

ROUNDS = 15
REQUESTS = 300
MESSAGES = [{"role": "user", "content": "How long is a piece of string? " * 20}]
BODY = json.dumps({"model": "m", "messages": MESSAGES, "temperature": 0.5}).encode()
STREAM_BODY = json.dumps({"model": "m", "messages": MESSAGES, "stream": True}).encode()
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Twice half its length."}}],
}
CHUNK = {**COMPLETION, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Twice "}}]}
EVENT = b"data: " + json.dumps(CHUNK).encode() + b"\n\n"
JUNK_EVENT = b"data: " + json.dumps({**CHUNK, "junk": 1}).encode() + b"\n\n"


def bare_app() -> FastAPI:
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/v1/chat/completions")
    async def create(request: Request) -> Any:
        await request.json()
        match request.headers.get("x-answer"):
            case "stream":
                return StreamingResponse(_events(EVENT), media_type="text/event-stream")
            case "junk-stream":
                return StreamingResponse(_events(JUNK_EVENT), media_type="text/event-stream")
            case "junk":
                return JSONResponse({**COMPLETION, "junk": 1})
        return JSONResponse(COMPLETION)

    return app


async def _events(event: bytes) -> Any:
    for _ in range(100):
        yield event
    yield b"data: [DONE]\n\n"


async def _request(app: Any, method: str, target: str, body: bytes, answer: bytes) -> None:
    is_sent = False
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal is_sent
        if is_sent:
            await gone.wait()
            return {"type": "http.disconnect"}
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        pass

    length = str(len(body)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length), (b"x-answer", answer)]
    await app(http_scope(method, target, headers=headers), receive, send)


async def _seconds(request: Callable[[Any], Awaitable[None]], app: Any, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        await request(app)
    return (time.perf_counter() - started) / count


async def main() -> None:
    bare = bare_app()
    wrapped = OpenAIMiddleware(bare, prefix="/v1")
    cases = {
        "a request of the app's own": ("GET", "/health", b"", b""),
        "chat completion, clean answer": ("POST", "/v1/chat/completions", BODY, b"clean"),
        "chat completion, junk in the answer": ("POST", "/v1/chat/completions", BODY, b"junk"),
        "chat stream, 100 clean events": ("POST", "/v1/chat/completions", STREAM_BODY, b"stream"),
        "chat stream, junk in 100 events": ("POST", "/v1/chat/completions", STREAM_BODY, b"junk-stream"),
    }
    print(f"{'':38}{'bare':>10}{'wrapped':>10}{'throughput of the bare app':>28}")
    for name, arguments in cases.items():

        async def request(app: Any, arguments: Any = arguments) -> None:
            await _request(app, *arguments)

        count = REQUESTS // 10 if "stream" in name else REQUESTS
        pairs = [(await _seconds(request, bare, count), await _seconds(request, wrapped, count)) for _ in range(ROUNDS)]
        bare_us = statistics.median(b for b, _ in pairs) * 1e6
        wrapped_us = statistics.median(w for _, w in pairs) * 1e6
        ratio = statistics.median(b / w for b, w in pairs)
        print(f"{name:38}{bare_us:8.0f}us{wrapped_us:8.0f}us{ratio:28.2f}")


if __name__ == "__main__":
    asyncio.run(main())
