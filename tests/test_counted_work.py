"""What one request, answer or event may take of work, counted: calls of Python functions, decodings, encodings.

A budget is what there is now and a little more. Whoever needs more of it raises it here, and says what for.
"""

import gc
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import openai_middleware
from openai_middleware import OpenAIMiddleware
from openai_middleware.request.call import CALL_KEY, UnreadArguments
from tests.benchmarks.workloads import EVENTS, App, Row, rows, send_requests
from tests.support.handlers import by_asgi, by_wsgi
from tests.support.replies import OPERATIONS, saying, send

PACKAGE = str(Path(openai_middleware.__file__).parent)
ROWS = {row.name: row for row in rows()}

# Calls of the package's own functions: for a request, and for each of a stream's events.
CALLS = {
    "matches nothing": 2,
    "nothing below the prefix": 5,
    "1 KB, field dropped": 24,
    "1 KB, clean": 22,
    "template GET of 150, answer mapped": 27,
    "100 KB, field dropped": 24,
    "4 MB, field dropped": 24,
}
CALLS_OF_EVENTS = {
    "chat event, clean": 3,
    "chat event, field dropped": 4,
    "Responses event, clean": 3,
    "Responses event, field dropped": 4,
}


class Work:
    """Counts what happens while a request is served.

    Attributes:
        calls: The package's functions that were called.
        others: The functions of C that were called by them.
    """

    def __init__(self, row: Row) -> None:
        self.calls: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        wrapped = OpenAIMiddleware(App(row), prefix="/v1")
        send_requests(wrapped, row, 3)  # routes are compiled, and answers known to be alike
        before = sys.getprofile()
        sys.setprofile(self._count)
        try:
            send_requests(wrapped, row, 1)
        finally:
            sys.setprofile(before)

    def _count(self, frame: FrameType, event: str, argument: Any) -> None:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return
        if event == "call":
            self.calls[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            self.others[argument.__qualname__] += 1


@pytest.mark.parametrize("name", CALLS)
def test_a_request_takes_no_more_calls_than_its_budget(name: str) -> None:
    work = Work(ROWS[name])
    assert work.calls.total() <= CALLS[name], work.calls


@pytest.mark.parametrize("name", CALLS_OF_EVENTS)
def test_an_event_takes_no_more_calls_than_its_budget(name: str) -> None:
    work = Work(ROWS[name])
    assert work.calls.total() <= CALLS_OF_EVENTS[name] * EVENTS + 60, work.calls


@pytest.mark.parametrize("name", ["matches nothing", "nothing below the prefix"])
def test_nothing_is_decoded_of_a_request_that_matches_nothing(name: str) -> None:
    work = Work(ROWS[name])
    assert not {"Decoder.decode", "json_encode", "Pattern.match", "Pattern.fullmatch"} & work.others.keys()


def test_a_body_and_its_answer_are_decoded_once_each() -> None:
    for name in ("1 KB, clean", "1 KB, field dropped", "4 MB, field dropped"):
        assert Work(ROWS[name]).others["Decoder.decode"] == 2, name


def test_no_body_is_taken_apart_for_an_app_that_does_not_ask() -> None:
    for name in ("1 KB, clean", "1 KB, field dropped", "chat event, clean"):
        assert not {"UnreadArguments.get", "decode_body"} & Work(ROWS[name]).calls.keys(), name


def test_nothing_that_needs_no_change_is_encoded() -> None:
    for name in ("1 KB, clean", "chat event, clean", "Responses event, clean"):
        assert Work(ROWS[name]).others["json_encode"] == 0, name


@pytest.mark.parametrize("name", CALLS_OF_EVENTS)
def test_an_event_that_fits_is_tested_and_taken_apart_no_further(name: str) -> None:
    work = Work(ROWS[name])
    assert work.others["Decoder.decode"] <= EVENTS + 2  # the request's body, and what opens and ends a stream
    assert not [call for call in work.calls if call.startswith("ContractEvents")]


@pytest.mark.parametrize("name", [name for name in ROWS if "MB" not in name])
def test_nothing_is_compiled_for_a_request(name: str) -> None:
    work = Work(ROWS[name])
    assert not {"RouteCompiler.compile", "compile_source", "fitting"} & work.calls.keys()
    assert "compile" not in work.others


@pytest.fixture
def without_collector() -> Iterator[None]:
    """The garbage collector sleeps, and keeps what it finds."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def left_over() -> list[object]:
    """What refers to itself, so that only the garbage collector could find that nobody else does."""
    gc.collect()
    return [kept for kept in gc.garbage if type(kept).__module__.startswith("openai_middleware")]


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("name", ROWS)
def test_nothing_of_a_request_waits_for_the_garbage_collector(name: str) -> None:
    wrapped = OpenAIMiddleware(App(ROWS[name]), prefix="/v1")
    send_requests(wrapped, ROWS[name], 3)
    assert not left_over()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("serve", [by_asgi, by_wsgi])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("is_stream", [False, True])
def test_nothing_of_a_reply_waits_for_the_garbage_collector(
    operation: str, serve: Callable[..., Any], is_stream: bool
) -> None:
    send(operation, saying("Because", " so."), serve, stream=is_stream)
    assert not left_over()


def test_a_body_is_let_go_of_when_it_was_taken_apart() -> None:
    row = ROWS["1 KB, clean"]
    inner = App(row)
    held: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope[CALL_KEY].kwargs["model"] == "m"
        held.append(any(isinstance(owner, UnreadArguments) for owner in gc.get_referrers(row.body)))
        await inner(scope, receive, send)

    send_requests(OpenAIMiddleware(app, prefix="/v1"), row, 1)
    assert held == [False]


def test_headers_that_are_left_out_are_looked_for_once() -> None:
    frontend = OpenAIMiddleware(App(ROWS["1 KB, clean"]), prefix="/v1").frontend
    headers = [(b"accept-encoding", b"gzip"), (b"x-own", b"1")] * 1000
    looks: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            looks[argument.__qualname__] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        exchange = frontend.open("POST", "/v1/chat/completions", b"", headers)
    finally:
        sys.setprofile(before)
    assert exchange is not None
    assert set(exchange.headers) == {(b"x-own", b"1")}
    assert looks["list.remove"] <= 1
    assert looks.total() <= 6 * len(headers)


class Tied:
    """Something that a weak reference can tell to be gone."""


@pytest.mark.parametrize("name", ["1 KB, clean", "chat event, clean"])
def test_the_garbage_collector_finds_what_an_app_ties_to_its_call(name: str) -> None:
    ties: list[weakref.ref[Tied]] = []
    inner = App(ROWS[name])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tied = Tied()
        ties.append(weakref.ref(tied))
        scope[CALL_KEY].kwargs.update(tied=tied, send=send, receive=receive)
        await inner(scope, receive, send)

    send_requests(OpenAIMiddleware(app, prefix="/v1"), ROWS[name], 3)
    gc.collect()
    assert [tie() for tie in ties] == [None] * 3
