"""Sync iterators on an event loop, and async iterators without one."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware.iteration import OwnLoop, aclose, aiterate, close, iterate

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


class Closed(list[str]):
    """What was closed, and how."""

    def sync_items(self, *items: Any) -> Iterator[Any]:
        try:
            for item in items:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.append("closed")

    async def async_items(self, *items: Any) -> AsyncIterator[Any]:
        try:
            for item in items:
                await asyncio.sleep(0)
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            await asyncio.sleep(0)
            self.append("closed")


async def collected(items: AsyncIterator[Any], into: list[Any] | None = None) -> list[Any]:
    into = [] if into is None else into
    async for item in items:
        into.append(item)
    return into


# --- nothing to do


async def test_async_iterator_on_a_loop_is_what_it_is() -> None:
    items = Closed().async_items(1)

    assert aiterate(items) is items
    await items.aclose()  # type: ignore[attr-defined]


def test_sync_iterator_without_a_loop_is_what_it_is() -> None:
    items = iter([1])

    assert iterate(items) is items


class SDKStream(AsyncIterator[int]):
    """An iterator that is iterated by another one, which does not close it."""

    async def __aiter__(self) -> AsyncIterator[int]:
        yield 1

    async def __anext__(self) -> int:
        raise StopAsyncIteration


async def test_async_iterator_that_is_iterated_by_another_one_is_what_it_is_too() -> None:
    items = SDKStream()

    assert aiterate(items) is items


class Numbers:
    """What can be iterated, and is no iterator itself."""

    async def __aiter__(self) -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            yield number


async def test_async_iterable_on_a_loop_is_iterated() -> None:
    assert await collected(aiterate(Numbers())) == [0, 1, 2]


def test_async_iterable_without_a_loop_is_iterated() -> None:
    assert list(iterate(Numbers())) == [0, 1, 2]


# --- sync on a loop


@given(st.lists(st.none() | st.integers() | st.just(StopIteration)))
async def test_sync_items_come_as_they_are(items: list[Any]) -> None:
    assert await collected(aiterate(iter(items))) == items


async def test_every_step_of_a_sync_iterator_runs_in_a_thread() -> None:
    threads = []

    def items() -> Iterator[int]:
        for number in range(3):
            threads.append(threading.current_thread())
            yield number
        threads.append(threading.current_thread())

    await collected(aiterate(items()))

    assert len(threads) == 4
    assert threading.current_thread() not in threads


async def test_steps_of_a_sync_iterator_share_the_context_of_their_beginning() -> None:
    seen = []

    def items() -> Iterator[None]:
        token = VARIABLE.set("by the generator")
        yield None
        seen.append(VARIABLE.get())
        VARIABLE.reset(token)
        seen.append(VARIABLE.get())

    VARIABLE.set("outside")
    await collected(aiterate(items()))

    assert seen == ["by the generator", "outside"]
    assert VARIABLE.get() == "outside"


async def test_loop_is_free_while_a_thread_works() -> None:
    goes_on = threading.Event()

    def items() -> Iterator[int]:
        goes_on.wait()
        yield 1

    waiting = asyncio.ensure_future(collected(aiterate(items())))
    asyncio.get_running_loop().call_soon(goes_on.set)

    assert await waiting == [1]


async def test_exception_of_a_sync_iterator_is_raised_after_its_items() -> None:
    error = ZeroDivisionError()
    closed = Closed()
    seen: list[Any] = []

    with pytest.raises(ZeroDivisionError) as caught:
        await collected(aiterate(closed.sync_items(1, error)), seen)

    assert caught.value is error
    assert (seen, closed) == ([1], ["closed"])


@pytest.mark.parametrize("steps", [1, 2])
async def test_sync_iterator_is_closed_in_a_thread_when_nobody_wants_more(steps: int) -> None:
    threads = []

    def items() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            threads.append(threading.current_thread())

    iterator: Any = aiterate(items())
    for _ in range(steps):
        await anext(iterator)
    await iterator.aclose()

    [thread] = threads
    assert thread is not threading.current_thread()


async def test_iterator_that_is_no_generator_needs_no_close() -> None:
    iterator: Any = aiterate(iter([1, 2]))
    await anext(iterator)

    await iterator.aclose()
    assert await collected(iterator) == []


async def test_cancellation_waits_for_the_step_that_runs_and_then_closes() -> None:
    is_running, goes_on = threading.Event(), threading.Event()
    log: list[str] = []

    def items() -> Iterator[int]:
        try:
            is_running.set()
            goes_on.wait()
            log.append("step done")
            yield 1
        finally:
            log.append("closed")

    seen: list[int] = []
    task = asyncio.ensure_future(collected(aiterate(items()), seen))
    await asyncio.to_thread(is_running.wait)
    task.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert (log, task.done()) == ([], False)
    goes_on.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert (log, seen) == (["step done", "closed"], [])


async def test_exception_of_a_step_that_was_cancelled_is_nobodys() -> None:
    """Neither raised in place of the cancellation, nor reported by the loop as never retrieved."""
    is_running, goes_on = threading.Event(), threading.Event()
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def items() -> Iterator[int]:
        is_running.set()
        goes_on.wait()
        yield 1 // 0

    task = asyncio.ensure_future(collected(aiterate(items())))
    await asyncio.to_thread(is_running.wait)
    task.cancel()
    await asyncio.sleep(0)
    goes_on.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    await asyncio.sleep(0)
    assert reported == []


async def test_second_cancellation_waits_for_no_thread_and_the_iterator_is_closed_all_the_same() -> None:
    is_running, goes_on, is_closed = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        try:
            is_running.set()
            goes_on.wait()
            yield 1
        finally:
            is_closed.set()

    task = asyncio.ensure_future(collected(aiterate(items())))
    await asyncio.to_thread(is_running.wait)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_closed.is_set()
    goes_on.set()
    assert await asyncio.to_thread(is_closed.wait, 60)


async def test_sync_iterator_that_never_started_is_closed_once() -> None:
    items = Endless()
    iterator: Any = aiterate(items)

    await iterator.aclose()
    await iterator.aclose()

    assert items.closes == 1
    assert await collected(iterator) == []


# --- async without a loop


@given(st.lists(st.none() | st.integers()))
def test_async_items_come_as_they_are(items: list[Any]) -> None:
    assert list(iterate(Closed().async_items(*items))) == items


def test_async_iterator_runs_in_the_same_thread_on_one_loop() -> None:
    seen = set()

    async def items() -> AsyncIterator[int]:
        for number in range(3):
            seen.add((threading.current_thread(), asyncio.get_running_loop()))
            yield number

    list(iterate(items()))

    [(thread, loop)] = seen
    assert thread is threading.current_thread()
    assert loop.is_closed()


def test_async_iterator_is_not_ahead_of_its_reader() -> None:
    produced = []

    async def items() -> AsyncIterator[int]:
        for number in range(3):
            produced.append(number)
            yield number

    iterator = iterate(items())
    assert produced == []
    for number in range(3):
        assert next(iterator) == number
        assert produced == list(range(number + 1))
    assert list(iterator) == []


def test_steps_of_an_async_iterator_share_the_context_of_their_beginning() -> None:
    seen = []

    async def items() -> AsyncIterator[None]:
        token = VARIABLE.set("by the generator")
        yield None
        seen.append(VARIABLE.get())
        VARIABLE.reset(token)
        seen.append(VARIABLE.get())

    def run() -> None:
        VARIABLE.set("outside")
        list(iterate(items()))

    contextvars.copy_context().run(run)

    assert seen == ["by the generator", "outside"]


def test_tasks_of_an_async_iterator_live_from_step_to_step() -> None:
    async def items() -> AsyncIterator[int]:
        queue: asyncio.Queue[int] = asyncio.Queue()
        task = asyncio.ensure_future(queue.put(1))
        yield 0
        yield await queue.get()
        await task

    assert list(iterate(items())) == [0, 1]


def test_exception_of_an_async_iterator_is_raised_after_its_items() -> None:
    error = ZeroDivisionError()
    closed = Closed()
    iterator = iterate(closed.async_items(1, error))

    assert next(iterator) == 1
    with pytest.raises(ZeroDivisionError) as caught:
        next(iterator)

    assert caught.value is error
    assert closed == ["closed"]


@pytest.mark.parametrize("steps", [1, 2])
def test_async_iterator_is_closed_when_nobody_wants_more(steps: int) -> None:
    closed = Closed()
    iterator: Any = iterate(closed.async_items(1, 2, 3))
    for _ in range(steps):
        next(iterator)
    iterator.close()

    assert closed == ["closed"]


def test_async_iterator_that_is_no_generator_is_closed_too() -> None:
    class Items(WithAsyncClose):
        def __aiter__(self) -> "Items":
            return self

        async def __anext__(self) -> int:
            return 1

    items = Items()
    iterator: Any = iterate(items)
    next(iterator)
    iterator.close()

    assert items.closes == 1


def test_async_iterator_that_never_started_is_closed_once() -> None:
    items = AsyncEndless()
    iterator: Any = iterate(items)

    iterator.close()
    iterator.close()

    assert items.closes == 1
    assert list(iterator) == []


def test_async_iterator_runs_in_one_task_from_its_first_step_to_its_end() -> None:
    tasks = []

    async def items() -> AsyncIterator[int]:
        try:
            for number in range(3):
                tasks.append(asyncio.current_task())
                yield number
        finally:
            tasks.append(asyncio.current_task())

    iterator: Any = iterate(items())
    next(iterator)
    next(iterator)
    iterator.close()

    assert len(tasks) == 3
    assert len(set(tasks)) == 1


def test_timeout_around_a_yield_fires() -> None:
    async def items() -> AsyncIterator[int]:
        async with asyncio.timeout(0):
            yield 1
            await asyncio.Event().wait()

    iterator = iterate(items())

    assert next(iterator) == 1
    with pytest.raises(TimeoutError):
        next(iterator)


def test_timeout_that_runs_out_between_two_steps_is_raised_in_the_next_one() -> None:
    async def items() -> AsyncIterator[int]:
        task = asyncio.current_task()
        assert task is not None
        async with asyncio.timeout(None) as timeout:
            timeout.reschedule(asyncio.get_running_loop().time())
            # The yield ends the step, but its loop goes round once more, and so comes to the timeout.
            yield 1
            await asyncio.Event().wait()

    iterator = iterate(items())

    assert next(iterator) == 1
    with pytest.raises(TimeoutError):
        next(iterator)


def test_coroutine_and_the_stream_that_it_returns_share_loop_and_task() -> None:
    places = []

    def note() -> None:
        places.append((asyncio.get_running_loop(), asyncio.current_task()))

    async def items() -> AsyncIterator[int]:
        note()
        yield 1
        note()

    async def handler() -> AsyncIterator[int]:
        note()
        return items()

    loop = OwnLoop()
    assert list(iterate(loop.run(handler()), loop)) == [1]

    assert len(places) == 3
    assert len(set(places)) == 1


async def test_async_iterator_is_refused_with_a_reason_where_a_loop_runs_already() -> None:
    """As under gevent, where all requests share a thread."""
    items = AsyncEndless()

    with pytest.raises(RuntimeError, match="gevent"):
        next(iterate(items))
    with pytest.raises(RuntimeError, match="gevent"):
        OwnLoop().run(asyncio.sleep(0))


def test_two_async_iterators_may_be_read_in_turns() -> None:
    first, second = (iterate(Closed().async_items(*items)) for items in ("abc", "xyz"))

    assert [next(first), next(second), *first, *second] == ["a", "x", "b", "c", "y", "z"]


# --- close


class Endless:
    """As the streams of the OpenAI SDK: no generator, but to be closed."""

    def __init__(self) -> None:
        self.closes = 0

    def __iter__(self) -> "Endless":
        return self

    def __next__(self) -> int:
        return 1

    def close(self) -> None:
        self.closes += 1


class AsyncEndless:
    """The same, async."""

    def __init__(self) -> None:
        self.closes = 0

    def __aiter__(self) -> "AsyncEndless":
        return self

    async def __anext__(self) -> int:
        return 1

    async def close(self) -> None:
        self.closes += 1


class WithClose:
    """As the streams of the OpenAI SDK close."""

    def __init__(self) -> None:
        self.closes = 0

    def close(self) -> None:
        self.closes += 1


class WithAsyncClose(WithClose):
    async def close(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.closes += 1


class WithBoth(WithAsyncClose):
    async def aclose(self) -> None:
        await self.close()


@pytest.mark.parametrize("kind", [WithClose, WithAsyncClose, WithBoth])
async def test_whatever_can_be_closed_is_closed_once(kind: Callable[[], WithClose]) -> None:
    items = kind()

    await aclose(items)

    assert items.closes == 1


async def test_whatever_cannot_be_closed_is_left_alone() -> None:
    close(object())
    await aclose(object())
