"""Sync iterators consumed on an event loop, and async ones without one."""

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import Any, Final, Generic, TypeVar

from asgiref.sync import sync_to_async

Item = TypeVar("Item")

_END: Final = object()
_THREADS: Final = 64
_LOOP_IN_LOOP: Final = (
    "An async function cannot run here, since an event loop runs in this thread already. Under gevent all requests "
    "share one thread: use sync functions and generators there."
)

# The event loop alone would not keep them.
_closings: set[asyncio.Task[None]] = set()


@cache
def shared_pool() -> ThreadPoolExecutor:
    """The threads of all sync handlers without a pool of their own.

    The loop's default executor has few threads, and serves name look-ups and files as well: some slow handlers would
    stop everything else.
    """
    return ThreadPoolExecutor(_THREADS, "openai-handler")


def is_on_asyncio() -> bool:
    """Whether an event loop of asyncio runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class OwnLoop:
    """An event loop for sync code. All that runs on it runs in one task: so timeouts and cancel scopes want it.

    Nothing is made before something runs, and `close` undoes it.
    """

    def __init__(self) -> None:
        # With a factory, the runner leaves the thread's own current loop alone.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._task: asyncio.Task[None] | None = None
        self._is_open = True

    def run(self, awaitable: Awaitable[Item]) -> Item:
        """Run something to its end, and return its result.

        Raises:
            RuntimeError: An event loop runs in this thread already.
        """
        if is_on_asyncio():
            if inspect.iscoroutine(awaitable):
                awaitable.close()
            raise RuntimeError(_LOOP_IN_LOOP)
        loop = self._runner.get_loop()
        if self._task is None or self._task.done():
            self._has_job = asyncio.Event()
            self._task = loop.create_task(self._work())
            self._task.add_done_callback(_seen)
        outcome: asyncio.Future[Item] = loop.create_future()
        self._job: tuple[Awaitable[Any], asyncio.Future[Any]] = awaitable, outcome
        self._has_job.set()
        return loop.run_until_complete(outcome)

    def close(self) -> None:
        """Cancel what still runs, and close the loop."""
        self._is_open = False
        self._runner.close()

    async def _work(self) -> None:
        while True:
            await self._wait_for_job()
            awaitable, outcome = self._job
            try:
                result = await awaitable
            except (Exception, asyncio.CancelledError) as error:
                outcome.set_exception(error)
            else:  # what ends the program, ends this task and leaves through the loop
                outcome.set_result(result)

    async def _wait_for_job(self) -> None:
        task: Any = asyncio.current_task()
        missed = 0
        while not self._has_job.is_set():
            try:
                await self._has_job.wait()
            except asyncio.CancelledError:
                if not self._is_open:
                    raise
                # The timeout of a job has run out between two jobs: it is for the next one to hear of it.
                task.uncancel()
                missed += 1
        self._has_job.clear()
        for _ in range(missed):
            task.cancel()


def aiterate(
    items: Iterator[Item] | AsyncIterable[Item], pool: ThreadPoolExecutor | None = None
) -> AsyncIterator[Item]:
    """Items as an async iterator. Each step of a sync iterator runs in a thread, all of them in one context.

    Args:
        items: The items.
        pool: Where the steps run; None is the pool that all handlers share.
    """
    if isinstance(items, AsyncIterable):
        return _async_iterator(items)
    return _InThreads(items, pool or shared_pool())


def iterate(items: Iterator[Item] | AsyncIterable[Item], loop: OwnLoop | None = None) -> Iterator[Item]:
    """Items as a sync iterator. An async iterator runs on an event loop, from its first step to its end in one task.

    Args:
        items: The items.
        loop: Where an async iterator runs, such as the loop of the coroutine that returned it; it is closed with the
            items. None is one of its own.
    """
    if not isinstance(items, Iterator):
        return _OnLoop(_async_iterator(items), loop or OwnLoop())
    if loop is not None:
        loop.close()
    return items


def _async_iterator(items: AsyncIterable[Item]) -> AsyncIterator[Item]:
    # Of an iterator, `aiter` may give another one that does not close it, as of the streams of SDKs.
    return items if isinstance(items, AsyncIterator) else aiter(items)


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


class _InThreads(AsyncIterator[Item], Generic[Item]):
    """A sync iterator on an event loop. It is no generator: one that never started would not close what it iterates."""

    def __init__(self, items: Iterator[Item], pool: ThreadPoolExecutor) -> None:
        self._items = items
        self._in_thread: Any = sync_to_async(copy_context().run, thread_sensitive=False, executor=pool)
        self._step: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def __anext__(self) -> Item:
        if self._closing is not None:
            raise StopAsyncIteration
        self._step = step = asyncio.ensure_future(self._in_thread(next, self._items, _END))
        step.add_done_callback(_seen)
        try:
            await asyncio.wait({step})  # which, unlike `await step`, does not cancel it: a thread cannot be cancelled
            item = step.result()
        except BaseException:
            await self.aclose()
            raise
        if item is _END:
            await self.aclose()
            raise StopAsyncIteration
        return item  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Close the iterator, after the step that still runs. A cancellation ends the waiting, not the closing."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
            _closings.add(self._closing)
            self._closing.add_done_callback(_closings.discard)
        await asyncio.wait({self._closing})
        self._closing.result()

    async def _close(self) -> None:
        if self._step is not None:
            await asyncio.wait({self._step})
        await self._in_thread(close, self._items)


class _OnLoop(Iterator[Item], Generic[Item]):
    """An async iterator without an event loop. Like `_InThreads`, it is no generator."""

    def __init__(self, items: AsyncIterator[Item], loop: OwnLoop) -> None:
        self._items = items
        self._loop = loop
        self._is_closed = False

    def __next__(self) -> Item:
        if self._is_closed:
            raise StopIteration
        try:
            item = self._loop.run(_next(self._items))
        except BaseException:
            self.close()
            raise
        if item is _END:
            self.close()
            raise StopIteration
        return item  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the iterator and its loop."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._loop.run(aclose(self._items))
        finally:
            self._loop.close()


class Rest(Iterator[Item], Generic[Item]):
    """What is left of items whose first one was taken. A generator that never started would not close them."""

    def __init__(self, rest: Iterator[Item], items: Iterator[Any]) -> None:
        self._rest = rest
        self._items = items

    def __next__(self) -> Item:
        return next(self._rest)

    def close(self) -> None:
        """Close all of it, once."""
        items, self._items = self._items, iter(())
        close(self._rest)
        close(items)


class AsyncRest(AsyncIterator[Item], Generic[Item]):
    """The same, async."""

    def __init__(self, rest: AsyncIterator[Item], items: AsyncIterator[Any]) -> None:
        self._rest = rest
        self._items: AsyncIterator[Any] | None = items

    def __aiter__(self) -> AsyncIterator[Item]:
        # What is iterated is the generator itself: a step through here would cost as much as a piece of text.
        return self._rest

    def __anext__(self) -> Awaitable[Item]:
        return anext(self._rest)

    async def aclose(self) -> None:
        """Close all of it, once."""
        items, self._items = self._items, None
        await aclose(self._rest)
        await aclose(items)


async def _next(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _END)


def _seen(task: asyncio.Task[Any]) -> None:
    """Take note of how a task ended, so that the loop does not report what nobody waits for any more."""
    if not task.cancelled():
        task.exception()
