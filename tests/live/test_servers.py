"""The same promises on every server: for the SDK, for clients that leave, and when the server stops."""

import asyncio
import http.client
import json
import socket
from contextlib import ExitStack, suppress
from typing import Any

import httpx2
import openai
import pytest

from tests.live.apps import LIMIT
from tests.live.conftest import Served
from tests.support.connections import connection, read_to_end, read_until, request_bytes

CHAT = {"model": "m", "messages": []}
ENDLESS = {"model": "endless", "stream": True}
STREAMS = {
    "/v1/chat/completions": {**ENDLESS, "messages": []},  # by a function of the package's own
    "/v1/responses": ENDLESS,  # by the framework
    "/v1/completions": {**ENDLESS, "prompt": "p"},  # by a route that knows nothing of OpenAI
}
AT_ONCE = 1000
AGAIN = 4


@pytest.fixture
def sdk(served: Served) -> Any:
    with (
        served.client() as client,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="k", max_retries=0, http_client=client) as made,
    ):
        yield made


# --- the SDK


def test_sdk_gets_an_answer(sdk: openai.OpenAI) -> None:
    completion = sdk.chat.completions.create(model="m", messages=[])
    response = sdk.responses.create(model="m")

    assert (completion.id, response.id) == ("c", "r")
    assert not hasattr(completion, "junk")
    assert not hasattr(response, "junk")


def test_sdk_gets_a_stream(sdk: openai.OpenAI) -> None:
    chunks = list(sdk.chat.completions.create(model="m", messages=[], stream=True))
    events = list(sdk.responses.create(model="m", stream=True))

    assert [chunk.choices[0].delta.content for chunk in chunks] == ["0", "1", "2"]
    assert [event.type for event in events] == [*["response.output_text.delta"] * 3, "response.completed"]
    assert [event.sequence_number for event in events] == [0, 1, 2, 3]


def test_sdk_raises_what_the_middleware_refuses(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        sdk.chat.completions.create(model="m", messages=openai.NOT_GIVEN)  # type: ignore[call-overload]

    assert caught.value.param == "messages"


def test_events_leave_before_the_stream_is_over(served: Served) -> None:
    with (
        served.client() as client,
        client.stream("POST", "/v1/chat/completions", json=STREAMS["/v1/chat/completions"]) as sent,
    ):
        events = (line for line in sent.iter_lines() if line)

        assert [json.loads(next(events)[6:])["choices"][0]["delta"]["content"] for _ in range(3)] == ["0", "1", "2"]


# --- clients that leave


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("stage", ["nothing", "half a line", "half the headers", "half the body"])
def test_client_that_leaves_before_its_request_is_whole_reaches_no_app(
    stage: str, is_reset: bool, served: Served
) -> None:
    before = served.counters
    whole = request_bytes("/v1/responses", ENDLESS)
    sent = {
        "nothing": 0,
        "half a line": 10,
        "half the headers": whole.index(b"Host") + 8,
        "half the body": len(whole) - 9,
    }

    for _ in range(AGAIN):
        with connection(served.port, is_reset=is_reset) as client:
            client.sendall(whole[: sent[stage]])

    after = served.settled
    assert (after["calls"], after["begun"]) == (before["calls"], before["begun"])


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("events", [0, 1, 5])
def test_stream_is_closed_whose_client_leaves(events: int, is_reset: bool, path: str, served: Served) -> None:
    before = served.counters

    for _ in range(AGAIN):
        leave(served, path, events, is_reset=is_reset)

    after = served.settled
    assert after["is_settled"], f"{after['open']} streams go on"
    if events:
        assert after["begun"] == before["begun"] + AGAIN


def leave(served: Served, path: str, events: int, *, is_reset: bool) -> None:
    """Ask for a stream without an end, and go when so many events have come."""
    if served.program.speaks_http2:
        with served.client() as http2, http2.stream("POST", path, json=STREAMS[path]) as answer:
            lines = (line for line in answer.iter_lines() if line.startswith("data"))
            for _ in range(events):
                next(lines)
    else:
        with connection(served.port, is_reset=is_reset) as client:
            client.sendall(request_bytes(path, STREAMS[path]))
            read_until(client, b"data: ", times=events)


# --- half-open uploads


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "chunked"])
def test_upload_that_ends_half_way_reaches_no_app(is_chunked: bool, path: str, served: Served) -> None:
    before = served.counters
    framing = "Transfer-Encoding: chunked" if is_chunked else "Content-Length: 1000"
    piece = b'a\r\n{"model": "\r\n' if is_chunked else b'{"model": "'

    for _ in range(AGAIN):
        with connection(served.port) as client:
            client.sendall(request_bytes(path, headers=f"{framing}\r\n") + piece)
            client.shutdown(socket.SHUT_WR)
            # Some servers say that something is missing, others only close; granian says 500 for an app that sends
            # nothing to a client that has gone.
            answer = read_to_end(client)
            assert answer == b"" or answer.split(b" ", 2)[1] in (b"400", b"500")

    assert served.counters["calls"] == before["calls"]


# --- after a refusal

REFUSALS: dict[str, tuple[str, str, bytes | None, int]] = {
    "forbidden": ("GET", "/secret/x", None, 403),
    "forbidden with a body": ("GET", "/secret/x", b"{}", 403),
    "forbidden HEAD": ("HEAD", "/secret/x", None, 403),
    "malformed": ("POST", "/v1/chat/completions", b"{", 400),
    "missing": ("POST", "/v1/chat/completions", b"{}", 422),
    "conflicting": ("POST", "/v1/chat/completions?model=m", json.dumps(CHAT).encode(), 400),
    "too large": ("POST", "/v1/chat/completions", b" " * (LIMIT + 1), 413),
    "much too large": ("POST", "/v1/chat/completions", b" " * (LIMIT * 30), 413),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_connection_serves_the_next_request_after_a_refusal_or_is_closed(refusal: str, served: Served) -> None:
    method, path, body, status = REFUSALS[refusal]
    if served.program.speaks_http2:
        # Hypercorn closes the connection after any answer that comes before the request's body was read.
        for _ in range(3):
            with served.client() as http2:
                with suppress(httpx2.TransportError):
                    assert http2.request(method, path, content=body).status_code == status
                with suppress(httpx2.TransportError):
                    http2.get("/counters")
                assert http2.post("/v1/chat/completions", json=CHAT).json()["id"] == "c"
        return
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    good = "POST", "/v1/chat/completions", json.dumps(CHAT).encode()
    for _ in range(3):
        answer = answered(client, method, path, body)
        # A server may close a connection whose body it does not read to its end; the client then opens another one.
        assert answer in ((status, {"error"}), (status, None)) or (answer is None and body is not None)
        following = answered(client, *good) or answered(client, *good)
        assert following == (200, {"id", "object", "created", "model", "choices"})
    client.close()


def answered(
    client: http.client.HTTPConnection, method: str, path: str, body: bytes | None
) -> tuple[int, set[str] | None] | None:
    """The status and the fields of the answer; None where the connection broke."""
    try:
        client.request(method, path, body, {"Content-Type": "application/json"})
        answer = client.getresponse()
        content = answer.read()
    except (BrokenPipeError, ConnectionResetError):
        client.close()
        return None
    return answer.status, set(json.loads(content)) if content.startswith(b"{") else None


# --- many at once


def test_a_thousand_streams_at_once_all_come_to_their_end(served: Served) -> None:
    before = served.counters
    # Threads are too few to have them all open at the same moment: there they wait for each other's end.
    is_together = served.program.interface == "asgi"
    begun = str(before["begun"] + AT_ONCE)
    body = {**CHAT, "stream": True, **({"model": "together", "user": begun} if is_together else {})}

    ends = asyncio.run(streams_at_once(served, body))

    assert ends.count(True) == AT_ONCE
    assert served.settled["begun"] == before["begun"] + AT_ONCE


async def streams_at_once(served: Served, body: Any) -> list[bool]:
    """Whether each of the streams came to its end."""
    if served.program.speaks_http2:
        # A server takes about a hundred streams to a connection.
        clients = [httpx2.AsyncClient(base_url=served.url, http1=False, http2=True, timeout=120) for _ in range(20)]
        try:
            posts = [clients[n % 20].post("/v1/chat/completions", json=body) for n in range(AT_ONCE)]
            return ["[DONE]" in answer.text for answer in await asyncio.gather(*posts)]
        finally:
            for client in clients:
                await client.aclose()

    async def stream() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request_bytes("/v1/chat/completions", body, headers="Connection: close\r\n"))
        answer = await asyncio.wait_for(reader.read(), 120)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return answer.startswith(b"HTTP/1.1 200") and answer.count(b'"content"') == 3 and b"[DONE]" in answer

    return await asyncio.gather(*(stream() for _ in range(AT_ONCE)))


# --- servers that stop


def test_server_that_stops_in_the_middle_of_a_stream_does_not_end_it_as_if_it_were_whole(own_server: Served) -> None:
    if own_server.program.speaks_http2:
        pytest.skip("hypercorn stops its streams in the same code, whatever the protocol")
    with ExitStack() as open_connections:
        clients = [open_connections.enter_context(connection(own_server.port)) for _ in STREAMS]
        for client, (path, body) in zip(clients, STREAMS.items(), strict=True):
            client.sendall(request_bytes(path, body))
            read_until(client, b"data: ", times=3)

        own_server.process.stop()

        for client in clients:
            rest = read_to_end(client)
            assert b"[DONE]" not in rest
            assert b"response.completed" not in rest
