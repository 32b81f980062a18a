"""Servers that run on trio: apps are wrapped there as anywhere, and functions are refused with a reason."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import trio

from openai_middleware import OpenAIMiddleware
from tests.support.drivers import Message, http_scope, part, read_body, request, start
from tests.support.samples import CHAT
from tests.support.server_sent_events import parse
from tests.support.servers import ROOT, TIMEOUT, ServerProcess, server_process
from tests.support.trio_apps import beside, handled, wrapped


def command(name: str) -> list[str]:
    options = ["--worker-class", "trio", "--bind", "127.0.0.1:0"]
    return [sys.executable, "-m", "hypercorn", *options, f"tests.support.trio_apps:{name}"]


@contextmanager
def hypercorn_on_trio(name: str) -> Iterator[tuple[str, ServerProcess]]:
    with server_process(command(name), r"on (http://127\.0\.0\.1:\d+)", cwd=ROOT) as server:
        yield server.ready[1], server


def test_app_is_wrapped_on_trio_as_anywhere() -> None:
    listed = trio.run(request, wrapped, "GET", "/v1/models")
    streamed = trio.run(request, wrapped, "POST", "/v1/chat/completions", {**CHAT, "stream": True})

    assert listed.json == {"object": "list", "data": []}
    assert [json.loads(event.data)["created"] for event in parse(streamed.body)[:-1]] == [0, 1]
    assert parse(streamed.body)[-1].data == "[DONE]"


async def stream_a_chunk(receive: Any, send: Any) -> None:
    await read_body(receive)
    await send(start(200, [(b"content-type", b"text/event-stream")]))
    await send(part(b'data: {"id":"c"}\n\n', more_body=True))
    await send(part(b""))


async def asking_for_a_stream() -> Message:
    return {"type": "http.request", "body": json.dumps({**CHAT, "stream": True}).encode()}


def test_end_of_a_stream_leaves_also_where_the_app_cancels_its_watch_for_the_client_meanwhile() -> None:  # S3 S8
    sent: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await stream_a_chunk(receive, send)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await ends.wait()
            nursery.cancel_scope.cancel()

    async def server_send(message: Message) -> None:
        if message.get("body", b"").endswith(b"[DONE]\n\n"):
            ends.set()
        await trio.lowlevel.checkpoint()
        sent.append(message)

    ends = trio.Event()
    scope = http_scope("POST", "/v1/chat/completions")
    trio.run(OpenAIMiddleware(app, prefix="/v1"), scope, asking_for_a_stream, server_send)

    assert [message["body"] for message in sent[1:]] == [b'data: {"id":"c"}\n\n', b"data: [DONE]\n\n"]
    assert not sent[-1].get("more_body", False)


def test_end_of_a_stream_leaves_where_nothing_runs_the_app_but_who_sends_into_its_coroutine() -> None:  # S3
    sent: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await stream_a_chunk(receive, send)
        await receive()

    async def server_send(message: Message) -> None:
        sent.append(message)

    scope = http_scope("POST", "/v1/chat/completions")
    with pytest.raises(StopIteration):
        OpenAIMiddleware(app, prefix="/v1")(scope, asking_for_a_stream, server_send).send(None)

    assert sent[-1]["body"] == b"data: [DONE]\n\n"


@pytest.mark.parametrize("app", [beside, handled])
def test_function_is_refused_on_trio_with_a_reason(app: object) -> None:
    with pytest.raises(RuntimeError, match="worker classes asyncio and uvloop"):
        trio.run(request, app, "GET", "/v1/models")


@pytest.mark.slow
def test_hypercorn_on_trio_serves_an_app_that_is_only_wrapped() -> None:
    with hypercorn_on_trio("wrapped") as (url, _), httpx.Client(base_url=url) as client:
        assert client.get("/v1/models").json() == {"object": "list", "data": []}
        assert client.post("/v1/chat/completions", json={**CHAT, "stream": True}).text.endswith("data: [DONE]\n\n")


@pytest.mark.slow
def test_hypercorn_on_trio_logs_why_a_function_beside_an_app_is_not_called() -> None:
    with hypercorn_on_trio("beside") as (url, server), httpx.Client(base_url=url) as client:
        assert client.get("/v1/models").status_code == 500
        assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
    assert any("worker classes asyncio and uvloop" in line for line in server.output)


@pytest.mark.slow
def test_hypercorn_on_trio_does_not_start_for_functions_alone() -> None:
    done = subprocess.run(command("handled"), cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False)

    assert "worker classes asyncio and uvloop" in done.stderr
