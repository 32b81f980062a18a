"""A whole answer mapped at once, for adapters whose frameworks hand over response objects instead of bytes."""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from typing import NamedTuple

from openai_middleware.exchange import Exchange, Handling, Header
from openai_middleware.iteration import aclose, close

logger = logging.getLogger("openai_middleware")

# The client has been told by then. Where a body raises, servers cut the connection instead of ending the stream.
_FAILED = "The app failed after its event stream had begun."


class Answer(NamedTuple):
    """What the client gets instead: the headers, or None where those of the app are right, and the body's chunks."""

    headers: Sequence[Header] | None
    chunks: Iterable[bytes]


class AsyncAnswer(NamedTuple):
    """The same as `Answer`, with an async body."""

    headers: Sequence[Header] | None
    chunks: AsyncIterable[bytes]


def map_answer(exchange: Exchange, status: int, headers: Iterable[Header], chunks: Iterable[bytes]) -> Answer | None:
    """Map an answer of the app, or return None where it leaves as it is: then nothing was taken from `chunks`.

    The first event of a stream is awaited, since the status may become that of an error until then. Exceptions that
    `chunks` raises are raised until then; later they end the stream, and are logged.

    Raises:
        UnprocessableEntityError: The answer lacks a mandatory field.
    """
    handling = exchange.start_response(status, headers)
    if handling is Handling.MAP:
        new_headers, body = exchange.finish(b"".join(chunks))
        return Answer(new_headers, [body])
    if handling is Handling.STREAM:
        stream_headers, events = exchange.event_stream()
        mapped = events.mapped(chunks)
        return Answer(stream_headers, _preceded(next(mapped, b""), mapped, chunks))
    return None


async def amap_answer(
    exchange: Exchange, status: int, headers: Iterable[Header], chunks: AsyncIterable[bytes]
) -> AsyncAnswer | None:
    """The same as `map_answer`, for an async body."""
    handling = exchange.start_response(status, headers)
    if handling is Handling.MAP:
        new_headers, body = exchange.finish(b"".join([chunk async for chunk in chunks]))
        return AsyncAnswer(new_headers, _whole(body))
    if handling is Handling.STREAM:
        stream_headers, events = exchange.event_stream()
        mapped = events.amapped(chunks)
        return AsyncAnswer(stream_headers, _apreceded(await anext(mapped, b""), mapped, chunks))
    return None


def _preceded(first: bytes, rest: Iterator[bytes], chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield first
        yield from rest
    except Exception:
        logger.exception(_FAILED)
    finally:
        close(chunks)


async def _apreceded(first: bytes, rest: AsyncIterator[bytes], chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for chunk in rest:
            yield chunk
    except Exception:
        logger.exception(_FAILED)
    finally:
        await aclose(rest)
        await aclose(chunks)


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body
