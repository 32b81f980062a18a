"""The SQL store: what its methods promise, on every database."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_middleware.store.sql import SQLBackend, schema
from openai_middleware.store.store import (
    ConversationChangedError,
    Head,
    Item,
    Page,
    TooLargeError,
    TooLongError,
    Turn,
)
from tests.store.conftest import DATABASES, Opened, url_of
from tests.store.model import Model, Talk, essence, page_of
from tests.store.samples import ALL, completion, counted, ids, item, rows_in, turn

# --- all of it, against the model

OWNERS = st.sampled_from(["ada", "bob"])
IDS = st.sampled_from(["a", "b", "c"])
MAYBE_IDS = st.none() | IDS
ITEMS = st.lists(st.tuples(st.sampled_from(["i1", "i2", "i3"]), st.sampled_from("xy")), max_size=3)
METADATA = st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", "2"]), max_size=2)
PAGES = st.tuples(st.integers(1, 3), st.sampled_from(["asc", "desc"]))
KEEP_TURN = st.tuples(st.just("keep_turn"), OWNERS, IDS, MAYBE_IDS, ITEMS, ITEMS, st.none(), st.just(False))
TALK = st.tuples(st.just("keep_turn"), OWNERS, MAYBE_IDS, MAYBE_IDS, ITEMS, ITEMS, IDS, st.booleans())
STEPS = st.lists(
    st.one_of(
        KEEP_TURN,
        KEEP_TURN,
        TALK,
        st.tuples(st.just("delete_response"), OWNERS, IDS),
        st.tuples(st.just("keep_completion"), OWNERS, IDS, st.sampled_from("mn"), METADATA),
        st.tuples(st.just("update_completion"), OWNERS, IDS, METADATA),
        st.tuples(st.just("delete_completion"), OWNERS, IDS),
        st.tuples(st.just("create_conversation"), OWNERS, IDS, ITEMS),
        st.tuples(st.just("append_items"), OWNERS, IDS, ITEMS),
        st.tuples(st.just("delete_conversation_item"), OWNERS, IDS, st.integers(0, 5)),
        st.tuples(st.just("update_conversation"), OWNERS, IDS, METADATA),
        st.tuples(st.just("delete_conversation"), OWNERS, IDS),
        st.tuples(st.just("read"), OWNERS, IDS, PAGES, st.none() | st.sampled_from("mn"), METADATA),
    ),
    min_size=20,  # short ones have nothing yet that they could meet
    max_size=40,
)


class Both:
    """A store and its model, with which everything is done twice."""

    def __init__(self, backend: SQLBackend, example: str) -> None:
        self.backend = backend
        self.example = example
        self.models: dict[str, Model] = {}

    def owner(self, name: str) -> str:
        # Of every example its own, so that none needs an empty database.
        return f"{name}{self.example}"

    def given(self, prefix: str, items: Any) -> list[Item]:
        return [item(id, text) for id, text in items]

    def kept(self, model: Model, given: list[Item], kept: list[Item]) -> None:
        """The ids that items have got are right."""
        known, seen = model.all_items(), set[str]()
        for before, after in zip(given, kept, strict=True):
            may_stay = before.id not in known or essence(known[before.id]) == essence(before.data)
            if may_stay and before.id not in seen:
                assert after.id == before.id
            else:
                assert after.id not in known
            seen.add(after.id)
            assert essence(after.data) == essence(before.data)
        assert len(seen) == len(kept)

    def do(self, step: tuple[Any, ...]) -> None:
        name, who, *arguments = step
        model = self.models.setdefault(who, Model())
        getattr(self, name)(model, self.owner(who), *arguments)

    def keep_turn(self, model, owner, id, parent, inputs, outputs, talk_id, is_stale) -> None:
        given = self.given("in", inputs)
        answered = self.given("out", outputs)
        head = None
        if talk_id is not None:
            found = self.backend.conversation_history(owner, talk_id, 1 << 30)
            head = Head(talk_id, -1 if is_stale or found is None else found[0].version)
        data = json.dumps({"id": id, "output": []}).encode()
        made = Turn(input=given, output=answered, response_id=id, response=data, parent=parent, conversation=head)
        try:
            self.backend.keep_turn(owner, made)
        except ConversationChangedError:
            assert not model.keep_turn(made, [], head_is_right=not is_stale)
            return
        if id is not None:
            model.responses.pop(id, None)
        # Which ids the items have got shows in the response, or else in the conversation.
        if id is not None:
            found_in = self.backend.input_items(owner, id, ALL)
            assert found_in is not None
            items = [*found_in.entries, *self.outputs(owner, id)]
            self.kept(model, [*given, *answered], items)
        elif talk_id is not None:
            items = self.appended(model, owner, talk_id, [*given, *answered])
        else:
            items = []
        assert model.keep_turn(made, items, head_is_right=not is_stale)

    def outputs(self, owner: str, id: str) -> list[Item]:
        history = self.backend.history(owner, id, 1000, 1 << 30)
        response = self.backend.response(owner, id)
        assert history is not None
        assert response is not None
        return list(history[len(history) - len(json.loads(response)["output"]) :])

    def appended(self, model: Model, owner: str, talk_id: str, given: list[Item]) -> list[Item]:
        """The items of a conversation after more were appended: those that are new, as they are kept."""
        found = self.backend.conversation_history(owner, talk_id, 1 << 30)
        assert found is not None
        before = {one.id for one in model.talks[talk_id].items}
        new = [one for one in found[1] if one.id not in before]
        known, seen, expected = model.all_items(), set[str](), list[Item]()
        for one in given:
            is_same = one.id not in known or essence(known[one.id]) == essence(one.data)
            if is_same and one.id not in seen:
                seen.add(one.id)
                if one.id in before:
                    continue
            expected.append(one)
        assert [essence(one.data) for one in new] == [essence(one.data) for one in expected]
        return new

    def delete_response(self, model, owner, id) -> None:
        assert self.backend.delete_response(owner, id) == model.delete_response(id)

    def keep_completion(self, model, owner, id, name, metadata) -> None:
        made = completion(id, name, **metadata)
        self.backend.keep_completion(owner, made)
        model.completions[id] = (made, made.data)  # one that is replaced keeps its place

    def update_completion(self, model, owner, id, metadata) -> None:
        updated = self.backend.update_completion(owner, id, metadata)
        if id not in model.completions:
            assert updated is None
            return
        assert updated is not None
        assert json.loads(updated)["metadata"] == metadata
        made = model.completions[id][0]
        model.completions[id] = (completion(id, made.model, **metadata), updated)

    def delete_completion(self, model, owner, id) -> None:
        assert self.backend.delete_completion(owner, id) == (model.completions.pop(id, None) is not None)

    def create_conversation(self, model, owner, id, items) -> None:
        if id in model.talks:
            return
        given = self.given("", items)
        self.backend.create_conversation(owner, id, json.dumps({"id": id}).encode(), given)
        model.talks[id] = Talk(json.dumps({"id": id}).encode())
        model.append(id, self.appended(model, owner, id, given))

    def append_items(self, model, owner, id, items) -> None:
        given = self.given("", items)
        kept = self.backend.append_items(owner, id, given)
        if id not in model.talks:
            assert kept is None
            return
        assert kept is not None
        self.kept(model, given, list(kept))
        model.append(id, kept)

    def delete_conversation_item(self, model, owner, id, index) -> None:
        talk = model.talks.get(id)
        items = [] if talk is None else talk.items
        wanted = items[index].id if index < len(items) else "nobody"
        assert self.backend.delete_conversation_item(owner, id, wanted) == (index < len(items))
        del items[index : index + 1]

    def update_conversation(self, model, owner, id, metadata) -> None:
        updated = self.backend.update_conversation(owner, id, metadata)
        assert (updated is not None) == (id in model.talks)
        if updated is not None:
            model.talks[id].data = updated

    def delete_conversation(self, model, owner, id) -> None:
        assert self.backend.delete_conversation(owner, id) == (model.talks.pop(id, None) is not None)

    def read(self, model, owner, id, page, name, metadata) -> None:
        backend = self.backend
        found = backend.response(owner, id)
        assert (None if found is None else json.loads(found)) == model.response(id)
        assert backend.history(owner, id, 1000, 1 << 30) == model.history(id)
        known = model.all_items()
        assert backend.items(owner, [*known, "nobody"]) == known
        has_input = model.response(id) is not None
        walked = self.walked(page, lambda one: backend.input_items(owner, id, one)) if has_input else None
        if not has_input:
            assert backend.input_items(owner, id, ALL) is None
        else:
            assert walked == ordered(model.responses[id].input, page[1])
        kept = model.completions.get(id)
        assert backend.completion(owner, id) == (None if kept is None else kept[1])
        every = self.walked(page, lambda one: backend.completions(owner, one, name, metadata))
        assert every == self.walked(page, lambda one: model.completion_page(one, name, metadata))
        talk = model.talks.get(id)
        assert backend.conversation(owner, id) == (None if talk is None else talk.data)
        if talk is None:
            assert backend.conversation_items(owner, id, ALL) is None
            assert backend.conversation_history(owner, id, 1) is None
        else:
            assert self.walked(page, lambda one: backend.conversation_items(owner, id, one)) == self.walked(
                page, lambda one: page_of(talk.items, one)
            )
            for one in talk.items:
                assert backend.conversation_item(owner, id, one.id) == one.data
        rows, total = counted(backend, owner)
        assert rows == total

    def walked(self, page: tuple[int, Any], listed: Callable[[Page], Any]) -> list[Item]:
        """A whole list, page by page."""
        entries: list[Item] = []
        after = None
        while True:
            part = listed(Page(*page, after))
            entries += part.entries
            assert len(part.entries) <= page[0]
            if not part.has_more:
                return entries
            assert len(part.entries) == page[0]
            after = entries[-1].id


def ordered(items: list[Item], order: str) -> list[Item]:
    return items if order == "asc" else items[::-1]


@pytest.mark.parametrize("database", DATABASES)
def test_random_sequences_of_several_owners_agree_with_a_naive_model(
    database: str, tmp_path: Path, opened: Opened
) -> None:  # P1 P5 P6
    backend = opened(url_of(database, tmp_path), ttl=3600)
    examples = iter(range(10**9))

    @settings(max_examples=25 if database == "memory" else 8)
    @given(steps=STEPS)
    def agrees(steps: list[Any]) -> None:
        both = Both(backend, str(next(examples)))
        for step in steps:
            both.do(step)
        for who in ("ada", "bob"):
            for id in "abc":
                both.do(("read", who, id, (2, "desc"), None, {}))

    agrees()


# --- responses


def test_response_that_is_deleted_stays_in_the_history_of_those_that_follow_it(backend: SQLBackend) -> None:  # P5
    for id, parent in [("one", None), ("two", "one"), ("three", "two"), ("fork", "two")]:
        backend.keep_turn("ada", turn(id, parent))

    assert backend.delete_response("ada", "two")

    assert backend.response("ada", "two") is None
    assert backend.history("ada", "two", 9, 9999) is None
    history = backend.history("ada", "fork", 9, 9999)
    assert ids(history) == ["in_one", "out_one", "in_two", "out_two", "in_fork", "out_fork"]
    assert not backend.delete_response("ada", "two")
    # Nobody follows it any more: it goes, and so does what it had.
    assert backend.delete_response("ada", "three")
    assert "in_two" in backend.items("ada", ["in_two"])
    assert backend.delete_response("ada", "fork")
    assert list(backend.items("ada", ["in_two", "out_two", "in_fork", "in_one"])) == ["in_one"]


def test_history_is_bounded(backend: SQLBackend) -> None:  # P5
    for number in range(5):
        backend.keep_turn("ada", turn(str(number), str(number - 1) if number else None))
    size = sum(len(one.data) for one in backend.history("ada", "4", 5, 9999) or ())

    assert len(backend.history("ada", "4", 5, size) or ()) == 10
    with pytest.raises(TooLongError):
        backend.history("ada", "4", 4, size)
    with pytest.raises(TooLongError):
        backend.history("ada", "4", 5, size - 1)


def test_answer_that_follows_itself_has_an_end(backend: SQLBackend) -> None:
    backend.keep_turn("ada", turn("one"))
    backend.keep_turn("ada", turn("two", "one"))
    backend.keep_turn("ada", turn("one", "two", more="again"))

    assert ids(backend.history("ada", "one", 9, 9999))[-2:] == ["in_oneagain", "out_oneagain"]


def test_item_is_kept_once_and_under_another_id_where_it_says_something_else(backend: SQLBackend) -> None:  # P5
    backend.keep_turn("ada", turn("one"))
    again = Item("out_one", b'{"status": "completed", "type": "message", "text": "out_one", "annotations": []}')
    other = item("out_one", "Something else")

    # Whatever comes first in a request, what is known keeps its id.
    backend.keep_turn("ada", Turn(input=[other, again], output=[], response_id="two", response=b"{}"))

    listed = backend.input_items("ada", "two", ALL)
    assert listed is not None
    renamed, same = listed.entries
    assert same == item("out_one")
    assert renamed.data == other.data
    assert renamed.id not in ("out_one", "")
    assert backend.items("ada", ["out_one"]) == {"out_one": item("out_one").data}


def test_more_items_than_a_statement_takes_are_kept_found_and_deleted(
    backend: SQLBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai_middleware.store.sql.rows._MOST_VALUES", 3)
    names = [f"i{number}" for number in range(10)]
    backend.create_conversation("ada", "c", b"{}", [item(name) for name in names])
    # Most of them are there already, in the owner's items and in the conversation.
    kept = backend.append_items("ada", "c", [item(name) for name in (*names, "new")])

    assert ids(kept) == [*names, "new"]
    listed = backend.conversation_items("ada", "c", ALL)
    assert listed is not None
    assert ids(listed.entries) == [*names, "new"]
    assert list(backend.items("ada", names)) == names
    assert backend.delete_conversation("ada", "c")
    assert backend.items("ada", names) == {}
    assert counted(backend, "ada") == (0, 0)


def test_answer_is_read_as_it_left_though_its_item_was_there_in_other_words(backend: SQLBackend) -> None:  # P3
    filled = Item("x", b'{"type": "message", "id": "x", "text": "x", "logprobs": []}')
    plain = Item("x", b'{"type":"message","id":"x","text":"x"}')
    backend.keep_turn("ada", Turn(input=[filled], output=[], response_id="one", response=b"{}"))
    backend.keep_turn("ada", Turn(input=[], output=[plain], response_id="two", response=b"{}"))

    response = backend.response("ada", "two")
    assert response is not None
    assert json.loads(response)["output"] == [json.loads(plain.data)]


def test_answers_that_use_the_ids_of_their_items_again_are_told_of_once(
    backend: SQLBackend, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        output = [item("msg_1", f"answer {number}"), item(f"own{number}")]
        backend.keep_turn("ada", Turn(input=[item("in")], output=output, response_id=str(number), response=b"{}"))
        assert len(caplog.records) == min(number, 1)
    assert "the id of another that is stored" in caplog.text


# --- what goes by itself


def test_what_is_too_old_is_gone_at_once_and_swept_with_later_writes(
    url: str, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:  # P8
    clock = [1_000_000_000]
    monkeypatch.setattr("openai_middleware.store.sql.transactions._microseconds", lambda: clock[0])
    backend = opened(url, ttl=10)
    backend.keep_turn("ada", turn("old"))
    backend.keep_completion("ada", completion("old", k="v"))
    backend.create_conversation("ada", "old", b"{}", [item("said")])
    backend.create_conversation("ada", "used", b"{}", [item("first")])
    clock[0] += 6_000_000
    backend.keep_turn("bob", turn("young"))
    backend.append_items("ada", "used", [item("second")])
    # What is needed again is as young as what needs it.
    backend.keep_turn("ada", Turn(input=[item("in_old")], output=[], response_id="new", parent="old", response=b"{}"))

    clock[0] += 4_000_000
    assert backend.response("ada", "old") is None
    assert backend.completion("ada", "old") is None
    assert backend.completions("ada", ALL, None, {}).entries == []
    assert backend.conversation("ada", "old") is None
    assert backend.append_items("ada", "old", [item("late")]) is None
    assert not backend.delete_response("ada", "old")
    assert ids(backend.history("ada", "new", 9, 9999)) == ["in_old"]
    assert ids(backend.conversation_items("ada", "used", ALL).entries) == ["second"]  # type: ignore[union-attr]
    assert backend.conversation_item("ada", "used", "first") is None

    backend._next_sweep = 0
    backend.keep_turn("bob", turn("younger"))
    left = {table.name: rows_in(backend, table) for table in schema.metadata.sorted_tables}
    assert {row.id for row in left["openai_objects"]} == {
        *("used", "second", "new", "in_old", "young", "in_young", "out_young", "younger", "in_younger", "out_younger")
    }
    assert {(row.holder, row.item) for row in left["openai_links"] if row.owner == "ada"} == {
        ("used", "second"),
        ("new", "in_old"),
    }
    assert left["openai_labels"] == []
    for owner in ("ada", "bob"):
        rows, total = counted(backend, owner)
        assert rows == total


def test_next_piece_of_what_is_too_old_goes_with_the_next_write(
    url: str, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:  # P8
    clock = [1_000_000_000]
    monkeypatch.setattr("openai_middleware.store.sql.transactions._microseconds", lambda: clock[0])
    monkeypatch.setattr("openai_middleware.store.sql.upkeep.PIECE", 2)
    backend = opened(url, ttl=10)
    for number in range(5):
        backend.keep_completion("ada", completion(f"old{number}"))
    clock[0] += 10_000_000
    backend._next_sweep = 0

    left = []
    for number in range(4):
        backend.keep_completion("ada", completion(str(number)))
        left.append(sum(row.id.startswith("old") for row in rows_in(backend, schema.objects)))

    assert left == [3, 1, 0, 0]


def test_chain_is_measured_by_what_is_left_of_it(
    url: str, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:  # P5 P8
    clock = [1_000_000_000]
    monkeypatch.setattr("openai_middleware.store.sql.transactions._microseconds", lambda: clock[0])
    backend = opened(url, ttl=10)
    for number in range(4):
        backend.keep_turn("ada", turn(str(number), str(number - 1) if number else None))
        clock[0] += 4_000_000
    size = len(item("in_3").data) + len(item("out_3").data)

    for is_swept in (False, True):
        if is_swept:
            backend._next_sweep = 0
            backend.keep_completion("bob", completion("x"))
        assert ids(backend.history("ada", "3", 2, 2 * size)) == ["in_2", "out_2", "in_3", "out_3"]
        with pytest.raises(TooLongError):
            backend.history("ada", "3", 1, 2 * size)
        with pytest.raises(TooLongError):
            backend.history("ada", "3", 2, 2 * size - 1)


def test_what_is_oldest_goes_first_where_it_is_too_much(url: str, opened: Opened) -> None:  # P8
    size = len(turn("0").response) + 2 * len(item("in_0").data) + 2
    backend = opened(url, max_bytes=4 * size)
    for number in range(9):
        backend.keep_turn("ada", turn(str(number), str(number - 1)))
        backend.keep_turn("bob", turn(str(number)) if number == 0 else turn("0", more=str(number)))

    left = [number for number in range(9) if backend.response("ada", str(number))]
    assert left == [5, 6, 7, 8]
    # What has gone is missing in the history, too: it begins later.
    assert ids(backend.history("ada", "8", 99, 9999))[0] == "in_5"
    assert backend.response("bob", "0")
    with pytest.raises(TooLargeError):
        backend.keep_turn("ada", turn("large", more="x" * 9 * size))
    assert [number for number in range(9) if backend.response("ada", str(number))] == left
    assert backend.response("ada", "large") is None


def test_conversation_that_is_too_much_loses_its_oldest_items(url: str, opened: Opened) -> None:  # P8
    size = len(item("00").data)
    backend = opened(url, max_bytes=5 * size)
    backend.create_conversation("ada", "c", b"{}", [])
    for number in range(9):
        backend.append_items("ada", "c", [item(f"{number:02}")])

    found = backend.conversation_history("ada", "c", 9999)
    assert found is not None
    assert ids(found[1]) == ["05", "06", "07", "08"]
    rows, total = counted(backend, "ada")
    assert rows == total <= 5 * size


def test_history_of_a_conversation_is_bounded_by_what_is_left_of_it(url: str, opened: Opened) -> None:  # P5
    backend = opened(url)
    backend.create_conversation("ada", "c", b"{}", [item("0"), item("1")])
    size = len(item("0").data)

    assert backend.conversation_history("ada", "c", 2 * size) is not None
    with pytest.raises(TooLongError):
        backend.conversation_history("ada", "c", 2 * size - 1)
    backend.delete_conversation_item("ada", "c", "0")
    assert backend.conversation_history("ada", "c", size) is not None


# --- at the same time


def test_of_two_writers_of_one_conversation_one_is_refused(backend: SQLBackend) -> None:  # P7
    backend.create_conversation("ada", "c", b"{}", [])
    seen = backend.conversation_history("ada", "c", 99)
    assert seen is not None
    barrier = threading.Barrier(4)

    def write(number: int) -> bool:
        barrier.wait()
        try:
            backend.keep_turn("ada", turn(f"r{number}", conversation=seen[0]))
        except ConversationChangedError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(write, range(4)))

    assert sorted(written) == [False, False, False, True]
    winner = written.index(True)
    # Of those that were refused nothing was kept.
    assert [bool(backend.response("ada", f"r{number}")) for number in range(4)] == written
    found = backend.conversation_history("ada", "c", 9999)
    assert found is not None
    assert ids(found[1]) == [f"in_r{winner}", f"out_r{winner}"]


def test_many_writers_at_once_lose_nothing(backend: SQLBackend) -> None:
    backend.create_conversation("ada", "c", b"{}", [])

    def write(number: int) -> None:
        # All of them have one item in common, which is kept once.
        shared, own = item("shared"), item(f"out{number}")
        backend.keep_turn("ada", Turn(input=[shared], output=[own], response_id=f"r{number}", response=b"{}"))
        backend.append_items("ada", "c", [item(f"c{number}")])
        if number % 2:
            backend.delete_response("ada", f"r{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))

    assert [number for number in range(24) if backend.response("ada", f"r{number}")] == list(range(0, 24, 2))
    listed = backend.conversation_items("ada", "c", ALL)
    assert listed is not None
    assert sorted(ids(listed.entries)) == sorted(f"c{number}" for number in range(24))
    rows, total = counted(backend, "ada")
    assert rows == total


STARTING = """
import sys
from openai_middleware.store.sql import SQLBackend
backend = SQLBackend(sys.argv[1], ttl=None, max_bytes=None)
print("ready", flush=True)
sys.stdin.readline()
backend.open()
backend.create_conversation("ada", sys.argv[2], b"{}", [])
"""


@pytest.mark.parametrize("database", [name for name in DATABASES if name != "memory"])
def test_several_processes_may_start_at_once(database: str, tmp_path: Path, opened: Opened) -> None:  # P9
    url = url_of(database, tmp_path)
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", STARTING, url, f"c{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in starting:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in starting:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in starting:
        _, errors = process.communicate()
        assert errors == ""
    backend = opened(url)
    assert all(backend.conversation("ada", f"c{number}") for number in range(3))
    assert len(rows_in(backend, schema.schema_version)) == 1
