"""Sync iterators consumed on an event loop, and async ones without one."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import Any, Final, TypeVar

from asgiref.sync import sync_to_async

Item = TypeVar("Item")

_END: Final = object()
_THREADS: Final = 64


@cache
def shared_pool() -> ThreadPoolExecutor:
    """The threads of all sync handlers without a pool of their own.

    The loop's default executor has few threads, and serves name look-ups and files as well: some slow handlers would
    stop everything else.
    """
    return ThreadPoolExecutor(_THREADS, "openai-handler")


def aiterate(
    items: Iterator[Item] | AsyncIterator[Item], pool: ThreadPoolExecutor | None = None
) -> AsyncIterator[Item]:
    """Items as an async iterator. Each step of a sync iterator runs in a thread, all of them in one context.

    Args:
        items: The items.
        pool: Where the steps run; None is the pool that all handlers share.
    """
    return items if isinstance(items, AsyncIterator) else _in_threads(items, pool or shared_pool())


def iterate(items: Iterator[Item] | AsyncIterator[Item]) -> Iterator[Item]:
    """Items as a sync iterator. An async iterator runs on an event loop of its own, step by step."""
    return items if isinstance(items, Iterator) else _on_own_loop(items)


def close(items: object) -> None:
    """Close an iterator, if it can be closed."""
    method = getattr(items, "close", None)
    if method is not None:
        method()


async def aclose(items: object) -> None:
    """Close an async iterator, if it can be closed. Streams of SDKs have a `close` where generators have `aclose`."""
    method = getattr(items, "aclose", None) or getattr(items, "close", None)
    if method is not None:
        closing = method()
        if inspect.isawaitable(closing):
            await closing


async def _in_threads(items: Iterator[Item], pool: ThreadPoolExecutor) -> AsyncIterator[Item]:
    in_thread: Any = sync_to_async(copy_context().run, thread_sensitive=False, executor=pool)
    try:
        while True:
            step = asyncio.ensure_future(in_thread(next, items, _END))
            try:
                item = await asyncio.shield(step)
            except asyncio.CancelledError:
                # A thread cannot be cancelled, and a generator cannot be closed while it runs.
                await asyncio.wait({step})
                raise
            if item is _END:
                return
            yield item
    finally:
        await in_thread(close, items)


def _on_own_loop(items: AsyncIterator[Item]) -> Iterator[Item]:
    with asyncio.Runner() as runner:
        try:
            while (item := runner.run(_next(items))) is not _END:
                yield item  # type: ignore[misc]
        finally:
            runner.run(aclose(items))


async def _next(items: AsyncIterator[Item]) -> Item | object:
    return await anext(items, _END)
