"""Lists of what is stored, page by page, whatever is written meanwhile."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest

from openai_middleware.store.sql import SQLBackend, schema
from openai_middleware.store.store import Item, Listed, Page, UnknownCursorError
from tests.store.conftest import Opened
from tests.store.samples import ALL, completion, ids, item, rows_in

Clock = list[int]
Order = Literal["asc", "desc"]
ORDERS: tuple[Order, ...] = ("asc", "desc")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of the store, in microseconds, which stands still."""
    now = [1_000_000_000]
    monkeypatch.setattr("openai_middleware.store.sql.transactions._microseconds", lambda: now[0])
    return now


def walked(listed: Callable[[Page], Any], order: Order, between: Callable[[Item], object]) -> list[str]:
    """The ids in a list that is read two at a time; with each of them something is done before the next page."""
    found: list[str] = []
    after = None
    while True:
        page = listed(Page(2, order, after))
        for entry in page.entries:
            between(entry)
        found += ids(page.entries)
        if not page.has_more:
            return found
        after = found[-1]


def of_model(backend: SQLBackend, **metadata: str) -> Callable[[Page], Listed]:
    return lambda page: backend.completions("ada", page, None, metadata)


def items_of(backend: SQLBackend) -> Callable[[Page], Listed | None]:
    return lambda page: backend.conversation_items("ada", "c", page)


def in_order(names: Sequence[str], order: str) -> list[str]:
    return sorted(names, reverse=order == "desc")


@pytest.mark.parametrize("order", ORDERS)
def test_completions_of_one_moment_are_each_listed_once(order: Order, backend: SQLBackend, clock: Clock) -> None:  # P6
    for name in "cadbe":
        backend.keep_completion("ada", completion(name, k="v"))

    for listed in (of_model(backend), of_model(backend, k="v")):
        assert walked(listed, order, lambda _: None) == in_order("abcde", order)


@pytest.mark.parametrize("order", ORDERS)
def test_completions_may_be_deleted_while_they_are_listed(order: Order, backend: SQLBackend) -> None:  # P6
    for name in "abcde":
        backend.keep_completion("ada", completion(name, k="v"))
        backend.keep_completion("bob", completion(name))

    found = walked(of_model(backend, k="v"), order, lambda entry: backend.delete_completion("ada", entry.id))

    assert found == in_order("abcde", order)
    assert backend.completions("ada", ALL, None, {}).entries == []
    assert len(backend.completions("bob", ALL, None, {}).entries) == 5


@pytest.mark.parametrize("order", ORDERS)
def test_items_of_a_conversation_may_be_deleted_while_they_are_listed(order: Order, backend: SQLBackend) -> None:  # P6
    backend.create_conversation("ada", "c", b"{}", [item(name) for name in "abcde"])

    found = walked(items_of(backend), order, lambda entry: backend.delete_conversation_item("ada", "c", entry.id))

    assert found == in_order("abcde", order)
    assert backend.conversation_items("ada", "c", ALL) == Listed([], has_more=False)


def test_completion_that_is_replaced_stays_where_it_is_listed(backend: SQLBackend) -> None:  # P6
    for name in "abcde":
        backend.keep_completion("ada", completion(name, k="v"))

    def replace(entry: Item) -> None:
        backend.keep_completion("ada", completion("a", model="other", k="v"))

    for listed in (of_model(backend), of_model(backend, k="v")):
        assert walked(listed, "asc", replace) == list("abcde")
        assert walked(listed, "desc", replace) == list("edcba")


def test_list_goes_on_behind_what_has_become_too_old(url: str, opened: Opened, clock: Clock) -> None:  # P6 P8
    backend = opened(url, ttl=10)
    for name in "abcd":
        backend.keep_completion("ada", completion(name))
        if name == "a":
            backend.create_conversation("ada", "c", b"{}", [item("i1")])
        else:
            backend.append_items("ada", "c", [item(f"i{name}")])
        clock[0] += 3_000_000
    for is_swept in (False, True):
        if is_swept:
            backend._next_sweep = 0
            backend.keep_completion("bob", completion("x"))
            assert {row.id for row in rows_in(backend, schema.gone)} == {"a", "i1"}
        assert ids(backend.completions("ada", Page(2, "asc", "a"), None, {}).entries) == ["b", "c"]
        assert ids(backend.conversation_items("ada", "c", Page(2, "asc", "i1")).entries) == ["ib", "ic"]  # type: ignore[union-attr]


def test_list_goes_on_behind_what_was_too_much(url: str, opened: Opened) -> None:  # P6 P8
    size = len(completion("0").data) + len(completion("0").messages)
    backend = opened(url, max_bytes=4 * size)
    for number in range(4):
        backend.keep_completion("ada", completion(str(number)))
    assert ids(backend.completions("ada", Page(2, "asc"), None, {}).entries) == ["0", "1"]
    for number in range(4, 6):
        backend.keep_completion("ada", completion(str(number)))
    assert ids(backend.completions("ada", Page(2, "asc", "1"), None, {}).entries) == ["2", "3"]

    backend = opened(url, max_bytes=5 * len(item("00").data))
    backend.create_conversation("ben", "c", b"{}", [])
    for number in range(9):
        backend.append_items("ben", "c", [item(f"{number:02}")])
    listed = backend.conversation_items("ben", "c", Page(2, "asc", "03"))
    assert listed is not None
    assert ids(listed.entries) == ["05", "06"]


def test_what_has_gone_is_forgotten_after_an_hour(backend: SQLBackend, clock: Clock) -> None:  # P6
    for name in "ab":
        backend.keep_completion("ada", completion(name))
    backend.delete_completion("ada", "a")
    clock[0] += 3_599_000_000
    backend._next_sweep = 0
    backend.keep_completion("ada", completion("c"))
    assert ids(backend.completions("ada", Page(2, "asc", "a"), None, {}).entries) == ["b", "c"]

    clock[0] += 1_000_000
    backend._next_sweep = 0
    backend.keep_completion("ada", completion("d"))

    with pytest.raises(UnknownCursorError):
        backend.completions("ada", Page(2, "asc", "a"), None, {})
    assert rows_in(backend, schema.gone) == []


def test_nobody_goes_on_behind_an_entry_of_somebody_else_or_of_another_list(backend: SQLBackend) -> None:  # P1 P6
    backend.keep_completion("ada", completion("a"))
    backend.create_conversation("ada", "c", b"{}", [item("i")])
    backend.create_conversation("ada", "d", b"{}", [item("j")])
    backend.create_conversation("bob", "c", b"{}", [item("j")])
    backend.delete_completion("ada", "a")
    backend.delete_conversation_item("ada", "c", "i")

    with pytest.raises(UnknownCursorError):
        backend.completions("bob", Page(2, "asc", "a"), None, {})
    for owner, talk, after in (("bob", "c", "i"), ("ada", "d", "i"), ("ada", "c", "a"), ("ada", "c", "j")):
        with pytest.raises(UnknownCursorError):
            backend.conversation_items(owner, talk, Page(2, "asc", after))
