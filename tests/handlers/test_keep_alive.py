"""Comments in a stream whose function has nothing to say for a while."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from openai_middleware import HandlerApp, OpenAIMiddleware
from tests.support.handlers import Client
from tests.support.samples import CHAT
from tests.support.server_sent_events import parse

COMMENT = b": keep-alive\n\n"


def asking(app: Any) -> tuple[Client, asyncio.Task[Any]]:
    client = Client("POST", "/v1/chat/completions", {**CHAT, "stream": True})
    return client, asyncio.ensure_future(client.asks(OpenAIMiddleware(app, prefix="/v1")))


async def test_silence_in_a_running_stream_is_filled_with_comments_that_clients_skip() -> None:
    goes_on = asyncio.Event()

    async def answer(body: Any) -> AsyncIterator[str]:
        yield "Hello"
        await goes_on.wait()
        yield " again"

    client, asked = asking(HandlerApp(answer, keep_alive=0.01))
    first = await client.bodies.get()
    comments = [await client.bodies.get() for _ in range(3)]
    goes_on.set()
    await asked

    assert b"Hello" in first
    assert comments == [COMMENT] * 3
    assert [event.data for event in parse(client.sent.body)][-1] == "[DONE]"
    assert client.sent.body.replace(COMMENT, b"").count(b"data: ") == 5
    assert client.sent.is_complete


async def test_nothing_is_sent_before_the_first_piece_so_that_a_failure_is_still_a_status() -> None:
    goes_on = asyncio.Event()

    async def answer(body: Any) -> AsyncIterator[str]:
        await goes_on.wait()
        raise ZeroDivisionError
        yield ""

    client, asked = asking(HandlerApp(answer, keep_alive=0.001))
    await asyncio.wait({asked}, timeout=0.05)
    assert client.sent.messages == []
    goes_on.set()
    await asked

    assert client.sent.status == 500


async def test_iterator_is_closed_when_the_client_goes_in_the_silence() -> None:
    closed = asyncio.Event()

    async def answer(body: Any) -> AsyncIterator[str]:
        try:
            yield "Hello"
            await asyncio.Event().wait()
        finally:
            closed.set()

    client, asked = asking(HandlerApp(answer, keep_alive=0.01))
    while await client.bodies.get() != COMMENT:
        pass
    client.goes.set()
    await asyncio.wait({asked})

    assert closed.is_set()


async def test_failure_after_a_silence_ends_the_stream_as_without_one() -> None:
    goes_on = asyncio.Event()

    async def answer(body: Any) -> AsyncIterator[dict[str, Any]]:
        yield {"id": "c", "choices": []}
        await goes_on.wait()
        raise ZeroDivisionError("secret")

    client, asked = asking(HandlerApp(answer, keep_alive=0.01))
    while await client.bodies.get() != COMMENT:
        pass
    goes_on.set()
    await asyncio.wait({asked})

    assert parse(client.sent.body)[-1].data.startswith('{"error":')
    assert b"secret" not in client.sent.body


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "15", True])
def test_silence_has_a_length(seconds: Any) -> None:
    with pytest.raises(ValueError, match="keep_alive is a number of seconds above zero"):
        HandlerApp(lambda: "", keep_alive=seconds)
