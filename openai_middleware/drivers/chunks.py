"""The driver for frameworks that hand over a response object: its chunks in, the client's chunks out."""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from typing import NamedTuple

from openai_middleware.answer.answer import Answer
from openai_middleware.exchange import Exchange
from openai_middleware.headers import Header
from openai_middleware.iteration import aclose, close

logger = logging.getLogger("openai_middleware")


class MappedAnswer(NamedTuple):
    """What the client gets instead: the headers, or None where those of the app are right, and the body's chunks."""

    headers: Sequence[Header] | None
    chunks: Iterable[bytes]


class AsyncMappedAnswer(NamedTuple):
    """The same as `MappedAnswer`, with an async body."""

    headers: Sequence[Header] | None
    chunks: AsyncIterable[bytes]


def map_answer(
    exchange: Exchange, status: int, headers: Sequence[Header], chunks: Iterable[bytes]
) -> MappedAnswer | None:
    """Map an answer of the app, or return None where it leaves as it is: then nothing was taken from `chunks`.

    The first event of a stream is awaited, since the status may become that of an error until then. Exceptions that
    `chunks` raises are raised until then; later they end the stream, and are logged.

    Raises:
        UnprocessableEntityError: The answer lacks a mandatory field.
    """
    answer = exchange.answer(status, headers)
    if answer is None:
        return None
    mapped = _mapped(answer, chunks, exchange)
    first = next(mapped, b"")
    return MappedAnswer(_changed_headers(answer, headers), _Preceded(first, mapped) if answer.is_stream else [first])


async def amap_answer(
    exchange: Exchange, status: int, headers: Sequence[Header], chunks: AsyncIterable[bytes]
) -> AsyncMappedAnswer | None:
    """The same as `map_answer`, for an async body."""
    answer = exchange.answer(status, headers)
    if answer is None:
        return None
    mapped = _amapped(answer, chunks, exchange)
    first = await anext(mapped, b"")
    return AsyncMappedAnswer(_changed_headers(answer, headers), _AsyncPreceded(first, mapped))


def _changed_headers(answer: Answer, headers: Sequence[Header]) -> Sequence[Header] | None:
    return None if answer.headers is headers else answer.headers


def _mapped(answer: Answer, chunks: Iterable[bytes], exchange: Exchange) -> Iterator[bytes]:
    try:
        for chunk in chunks:
            if ready := answer.feed(chunk):
                yield ready
        if rest := answer.finish():
            yield rest
    except Exception as error:
        yield _failed(answer, error, exchange)
    finally:
        if answer.is_stream:
            close(chunks)


async def _amapped(answer: Answer, chunks: AsyncIterable[bytes], exchange: Exchange) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            if ready := answer.feed(chunk):
                yield ready
        if rest := answer.finish():
            yield rest
    except Exception as error:
        yield _failed(answer, error, exchange)
    finally:
        await aclose(chunks)


def _failed(answer: Answer, error: Exception, exchange: Exchange) -> bytes:
    """The end of what has begun. Servers cut the connection where a body raises, instead of ending the stream."""
    if not answer.has_started:
        raise error
    message = "%s: the app failed after its event stream had begun (request %s)."
    logger.exception(message, exchange.name, exchange.request_id)
    return answer.fail(error)


class _Preceded(Iterator[bytes]):
    """A first chunk and the others. It is no generator: one that never started would not close what it iterates."""

    def __init__(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        return next(self._rest) if first is None else first

    def close(self) -> None:
        """Close the others."""
        self._first = None
        close(self._rest)


class _AsyncPreceded(AsyncIterator[bytes]):
    """The same, async."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        return await anext(self._rest) if first is None else first

    async def aclose(self) -> None:
        """Close the others."""
        self._first = None
        await aclose(self._rest)
