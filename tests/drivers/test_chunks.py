"""Whole answers, mapped for frameworks that hand over response objects: sync and async alike."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from openai_middleware import APIHandlerConfig
from openai_middleware.drivers.chunks import amap_answer, map_answer
from openai_middleware.errors import NotFoundError, UnprocessableEntityError
from openai_middleware.exchange import Exchange
from openai_middleware.frontend import Frontend
from tests.support.drivers import JSON_HEADERS, Header, mappings

WIDE = b'{"id": 1, "junk": 2}'
NARROW = b'{"id":1}'
EVENTS: list[Header] = [(b"Content-Type", b"text/event-stream")]
PLAIN: list[Header] = [(b"content-type", b"text/plain")]
EVENT = b"data: 1\n\n"

Mapped = tuple[Sequence[Header] | None, Iterator[bytes]] | None


class Chunks:
    """The body of an app's answer: chunks, and exceptions to raise between them."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.produced = 0
        self.closes = 0
        self._chunks = iter(chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self.produced += 1
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def close(self) -> None:
        self.closes += 1


class AsyncChunks:
    """The same, for an event loop."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._chunks.close()


def sync_map(exchange: Exchange, status: int, headers: list[Header], chunks: Chunks) -> Mapped:
    answer = map_answer(exchange, status, headers, chunks)
    return answer and (answer.headers, iter(answer.chunks))


def async_map(exchange: Exchange, status: int, headers: list[Header], chunks: Chunks) -> Mapped:
    """The async one, moved on step by step from sync code."""
    runner = asyncio.Runner()

    async def step(items: Any) -> Any:
        return await anext(items)

    async def mapped() -> Any:
        return await amap_answer(exchange, status, headers, AsyncChunks(chunks))

    def steps(items: Any) -> Iterator[bytes]:
        try:
            while True:
                yield runner.run(step(items))
        except StopAsyncIteration:
            return
        finally:
            runner.run(items.aclose())
            runner.close()

    try:
        answer = runner.run(mapped())
    except BaseException:
        runner.close()
        raise
    if answer is None:
        runner.close()
        return None
    return answer.headers, steps(aiter(answer.chunks))


MapAnswer = Callable[..., Any]
both = pytest.mark.parametrize("map_it", [sync_map, async_map], ids=["sync", "async"])


def exchange() -> Exchange:
    config = APIHandlerConfig()
    config.add_endpoint_handler("/run", output_body_mappings=mappings(("id", "id", True)))
    opened = Frontend(config=config).open("POST", "/run", b"", [])
    assert opened is not None
    return opened


@both
@pytest.mark.parametrize(
    ("status", "headers"), [(200, PLAIN), (404, JSON_HEADERS), (500, JSON_HEADERS), (500, EVENTS), (204, [])]
)
def test_other_answer_is_not_touched(status: int, headers: list[Header], map_it: MapAnswer) -> None:  # O1
    chunks = Chunks(WIDE)

    assert map_it(exchange(), status, headers, chunks) is None
    assert (chunks.produced, chunks.closes) == (0, 0)


@both
@pytest.mark.parametrize("chunks", [[WIDE], [b"", WIDE[:4], WIDE[4:]]])
def test_json_answer_is_mapped(chunks: list[bytes], map_it: MapAnswer) -> None:  # O2
    fields = [*JSON_HEADERS, (b"Content-Length", b"20"), (b"ETag", b"e")]

    headers, mapped = map_it(exchange(), 200, fields, Chunks(*chunks))

    assert list(mapped) == [NARROW]
    assert headers == [*JSON_HEADERS, (b"Content-Length", b"8")]


@both
def test_json_answer_that_is_right_keeps_its_headers(map_it: MapAnswer) -> None:  # O2
    headers, mapped = map_it(exchange(), 200, [*JSON_HEADERS, (b"etag", b"e")], Chunks(b'{"id": 1}'))

    assert (headers, list(mapped)) == (None, [b'{"id": 1}'])


@both
def test_answer_without_a_mandatory_field_is_an_error(map_it: MapAnswer) -> None:  # O3
    with pytest.raises(UnprocessableEntityError) as caught:
        map_it(exchange(), 200, JSON_HEADERS, Chunks(b"{}"))

    assert caught.value.param == "id"


@both
@pytest.mark.parametrize("headers", [JSON_HEADERS, EVENTS])
@pytest.mark.parametrize("error", [NotFoundError("Gone."), ZeroDivisionError()])
def test_failure_before_anything_is_sent_is_raised(
    error: Exception, headers: list[Header], map_it: MapAnswer
) -> None:  # E4
    with pytest.raises(type(error)) as caught:
        map_it(exchange(), 200, headers, Chunks(b"data: hal", error))

    assert caught.value is error


@both
def test_stream_is_ahead_of_its_reader_by_one_event(map_it: MapAnswer) -> None:  # S1
    chunks = Chunks(b"data: 1", b"\n\n", EVENT, EVENT)

    headers, mapped = map_it(exchange(), 200, [*EVENTS, (b"Content-Length", b"27")], chunks)

    assert dict(headers) == {**dict(EVENTS), b"x-accel-buffering": b"no", b"cache-control": b"no-cache"}  # S6
    assert chunks.produced == 2
    for produced in (2, 3, 4):
        assert next(mapped) == EVENT
        assert chunks.produced == produced
    assert list(mapped) == []


@both
def test_empty_stream_is_an_empty_answer(map_it: MapAnswer) -> None:  # S3
    _, mapped = map_it(exchange(), 200, EVENTS, Chunks())

    assert b"".join(mapped) == b""


@both
def test_stream_that_fails_tells_so_and_ends(map_it: MapAnswer, caplog: pytest.LogCaptureFixture) -> None:  # S4
    """Where a body raises, servers cut the connection; so the exception goes to the log."""
    error = ZeroDivisionError("secret")

    _, mapped = map_it(exchange(), 200, EVENTS, Chunks(EVENT, b"data: hal", error))

    assert next(mapped) == EVENT
    frame = next(mapped)
    assert frame.startswith(b'data: {"error":')
    assert b"secret" not in frame
    assert next(mapped, None) is None
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@both
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_stream_is_closed_with_its_answer(steps: int, map_it: MapAnswer) -> None:  # S8
    chunks = Chunks(EVENT, EVENT)

    _, mapped = map_it(exchange(), 200, EVENTS, chunks)
    for _ in range(steps):
        next(mapped, None)
    mapped.close()

    assert chunks.closes == 1


def test_body_needs_no_close() -> None:
    chunks: Iterable[bytes] = [EVENT]

    answer = map_answer(exchange(), 200, EVENTS, chunks)

    assert answer is not None
    assert list(answer.chunks) == [EVENT]
