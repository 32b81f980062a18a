"""The store, whatever serves it: what is kept, what it is asked with, and what becomes of an answer that cannot be."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from openai_middleware import Dispatcher, Rewrite
from openai_middleware.store import Backend, Item, Page, Store, UnavailableError, by_api_key
from tests.support.server_sent_events import parse
from tests.support.stacks import EVENTS, JSON, Answer, Headers, Reply, Seen, Stack, StackedApp

KEY: Headers = [*JSON, ("Authorization", "Bearer ada's")]
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "model": "m",
    "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": []}],
    "parallel_tool_calls": True,
    "temperature": 1,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1,
}


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store("sqlite://", owner=by_api_key)
    yield made
    made.close()


def dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + dump({"type": kind, **fields}) + b"\n\n"


def events_in(stream: bytes) -> list[Any]:
    return [json.loads(one.data) for one in parse(stream)]


def streamed(response: Mapping[str, Any], *, last: str | None = "response.completed") -> Iterator[bytes]:
    yield event("response.created", sequence_number=0, response={**response, "status": "in_progress", "output": []})
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    # Words of the protocol in a text are no part of it.
    text = '"response": "response.completed"'
    yield event("response.output_text.delta", sequence_number=1, **place, delta=text, logprobs=[])
    if last is not None:
        yield event(last, sequence_number=2, response=response)


class Own:
    """An app that knows OpenAI's objects, and gives each response the next id. Keeps what it saw."""

    def __init__(self, change: Callable[[dict[str, Any]], Any] = lambda response: response) -> None:
        self.seen: list[Seen] = []
        self.change = change

    def __call__(self, seen: Seen) -> Answer:
        self.seen.append(seen)
        assert seen.call is not None
        number = len(self.seen)
        output = [{**RESPONSE["output"][0], "id": f"msg_{number}"}]
        response = self.change({**RESPONSE, "id": f"resp_{number}", "output": output, "store": "as if"})
        if isinstance(response, Answer):
            return response
        if seen.call.kwargs.get("stream") is True:
            return Answer(streamed(response), headers=list(EVENTS))
        return Answer(dump(response))


def served(stack: Stack, behave: Any, **options: Any) -> StackedApp:
    return stack.app(behave, endpoints=["responses", "chat_completions", "conversations"], **options)


def create(app: StackedApp, headers: Headers = KEY, fails: bool = False, **fields: Any) -> Reply:
    return app.send("POST", "/v1/responses", dump({"model": "m", "input": "Hi", **fields}), headers, fails=fails)


def get(app: StackedApp, path: str, headers: Headers = KEY) -> Reply:
    return app.send("GET", f"/v1{path}", headers=headers)


def test_apps_own_object_says_whether_it_was_kept_and_is_read_as_it_left(stack: Stack, store: Store) -> None:  # P2 P3
    app = served(stack, Own(), store=store)
    kept, unkept = create(app), create(app, store=False)

    assert kept.json == {**RESPONSE, "store": True}
    assert kept.header("content-length") == str(len(kept.body))
    assert unkept.json["store"] is False
    assert get(app, "/responses/resp_1").json == kept.json
    assert get(app, "/responses/resp_2").error["code"] == "not_found"


def test_apps_own_stream_is_kept_before_its_last_event_leaves(stack: Stack, store: Store) -> None:  # P2 P3
    own = Own()
    app = served(stack, own, store=store)
    found: list[bool] = []
    sent = app.send(
        "POST",
        "/v1/responses",
        dump({"model": "m", "input": "Hi", "stream": True}),
        KEY,
        on_chunk=lambda chunk: found.append(bool(store.backend.response(owner_of(store), "resp_1"))),
    )

    events = events_in(sent.body)
    assert [one["type"] for one in events] == ["response.created", "response.output_text.delta", "response.completed"]
    assert [one["response"]["store"] for one in events if "response" in one] == [True, True]
    assert events[-1]["response"] == {**RESPONSE, "store": True}
    assert get(app, "/responses/resp_1").json == events[-1]["response"]
    # Where each event left by itself, the store had the response only with the last one.
    assert found[-1]
    assert not found[0] or len(found) == 1


def owner_of(store: Store) -> str:
    return by_api_key({"HTTP_AUTHORIZATION": "Bearer ada's"}) or ""


@pytest.mark.parametrize("status", ["failed", "in_progress", "queued", "cancelled"])
def test_response_that_is_not_complete_is_not_kept(status: str, stack: Stack, store: Store) -> None:  # P2
    app = served(stack, Own(lambda response: {**response, "status": status}), store=store)

    assert create(app).json["store"] is False
    assert get(app, "/responses/resp_1").status == 404


def test_stream_without_its_end_and_answers_that_are_none_are_not_kept(stack: Stack, store: Store) -> None:  # P2
    def broken(_: Any) -> Answer:
        return Answer(streamed({**RESPONSE, "id": "resp_1"}, last=None), headers=list(EVENTS))

    app = served(stack, Own(broken), store=store)
    assert [one["type"] for one in events_in(create(app, stream=True).body)][-1] == "response.output_text.delta"
    ended = Own(lambda response: Answer(streamed(response, last="response.failed"), headers=list(EVENTS)))
    last = events_in(create(served(stack, ended, store=store), stream=True).body)[-1]
    assert (last["type"], last["response"]["store"]) == ("response.failed", False)
    failed = served(stack, Own(lambda _: Answer(b'{"error": {"message": "no"}}', 500)), store=store)
    assert create(failed).status == 500
    nameless = served(stack, Own(lambda response: {**response, "id": ""}), store=store)
    assert create(nameless).json["store"] is False
    assert get(app, "/responses/resp_1").status == 404


def chunk(index: int, finish_reason: str | None, **delta: str) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    fields = {"id": "chat_1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + dump(fields) + b"\n\n"


@pytest.mark.parametrize(
    ("chunks", "is_kept"),
    [
        ([chunk(0, None, content="a"), chunk(0, "stop")], True),
        ([chunk(0, None, content="a"), chunk(1, "stop", content="b"), chunk(0, "length")], True),
        ([chunk(0, None, content="a")], False),
        ([chunk(0, None, content="a"), chunk(1, "stop", content="b")], False),
        ([], False),
    ],
)
@pytest.mark.parametrize("has_end", [True, False])
def test_chat_stream_is_kept_where_all_its_choices_have_ended(
    chunks: list[bytes], is_kept: bool, has_end: bool, stack: Stack, store: Store
) -> None:  # P2
    end = [b"data: [DONE]\n\n"] if has_end else []
    app = served(stack, lambda _: Answer(iter([*chunks, *end]), headers=list(EVENTS)), store=store)
    body = {"model": "m", "messages": [], "store": True, "stream": True}

    assert app.send("POST", "/v1/chat/completions", dump(body), KEY).status == 200

    assert get(app, "/chat/completions/chat_1").status == (200 if is_kept else 404)


@pytest.mark.parametrize("output", [None, "text", ["text"], [{"type": "message", "id": "m", "content": []}, 5]])
def test_response_whose_output_is_no_list_of_items_is_not_kept(
    output: Any, stack: Stack, store: Store, caplog: pytest.LogCaptureFixture
) -> None:  # P2
    app = served(stack, Own(lambda response: {**response, "output": output}), store=store)

    assert create(app).json.get("store") in (False, None)

    assert get(app, "/responses/resp_1").status == 404


def test_id_that_is_too_long_is_named_in_the_log(
    stack: Stack, store: Store, caplog: pytest.LogCaptureFixture
) -> None:  # P2
    app = served(stack, Own(lambda response: {**response, "id": "x" * 256}), store=store)

    assert create(app).json["store"] is False

    assert "no id, or one that is no str of 1 to 255 characters" in caplog.text


def test_second_answer_of_the_same_id_replaces_the_first(stack: Stack, store: Store) -> None:  # P2
    app = served(stack, Own(lambda response: {**response, "id": "same"}), store=store)
    create(app)
    create(app)

    assert get(app, "/responses/same").json["output"][0]["id"] == "msg_2"


def test_app_that_knows_openais_objects_gets_the_history_with_its_call(stack: Stack, store: Store) -> None:  # P4
    own = Own()
    app = served(stack, own, store=store)
    create(app)
    create(app, previous_response_id="resp_1", input=[{"type": "item_reference", "id": "msg_1"}])

    first, second = (seen.call for seen in own.seen)
    assert first is not None
    assert second is not None
    assert first.history == []
    assert second.history is not None
    assert [(item["role"], item["status"]) for item in second.history] == [
        ("user", "completed"),
        ("assistant", "completed"),
    ]
    assert second.kwargs["input"] == [RESPONSE["output"][0]]
    assert second.owner == first.owner == owner_of(store)
    # The body is the client's own.
    assert json.loads(own.seen[1].body)["input"] == [{"type": "item_reference", "id": "msg_1"}]


def test_rewrites_get_the_history_as_messages(stack: Stack, store: Store) -> None:  # P4
    asked: list[Any] = []

    def ask(seen: Seen) -> Answer:
        asked.append(json.loads(seen.body))
        return Answer(dump({"answer": f"Answer {len(asked)}"}))

    rewrite = Rewrite("/ask", body={"messages": "$.messages"}, reply="$.answer")
    app = served(stack, ask, rewrites={"responses.create": rewrite}, store=store)
    first = create(app, input="One").json
    create(app, input="Two", previous_response_id=first["id"])

    assert [message["content"] for message in asked[1]["messages"]] == ["One", "Answer 1", "Two"]
    assert asked[0]["messages"] == [{"role": "user", "content": "One"}]


def test_bridge_gets_the_history_as_messages(stack: Stack, store: Store) -> None:  # P4
    asked: list[Any] = []

    def chat(seen: Seen) -> Answer:
        asked.append(json.loads(seen.body))
        message = {"role": "assistant", "content": f"Answer {len(asked)}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return Answer(dump(completion))

    app = served(stack, chat, rewrites={"responses.create": "chat.completions.create"}, store=store)
    talk = app.send("POST", "/v1/conversations", b"{}", KEY).json
    for text in ("One", "Two"):
        create(app, input=text, conversation=talk["id"])

    assert [message["content"] for message in asked[1]["messages"]] == ["One", "Answer 1", "Two"]
    items = get(app, f"/conversations/{talk['id']}/items?order=asc").json["data"]
    assert [item["content"][0]["text"] for item in items] == ["One", "Answer 1", "Two", "Answer 2"]


def test_functions_of_the_app_answer_their_operations_before_the_store(stack: Stack, store: Store) -> None:  # P3
    handlers = Dispatcher()

    @handlers("responses.retrieve")
    def retrieve(response_id: str) -> Any:
        return {**RESPONSE, "id": response_id, "metadata": {"from": "the app"}}

    app = served(stack, Own(), handlers=handlers, store=store)
    assert get(app, "/responses/x").json["metadata"] == {"from": "the app"}
    assert get(app, "/responses/x/input_items").status == 404


# --- conversations with two writers


def test_of_two_answers_to_one_conversation_the_second_is_a_conflict(stack: Stack, store: Store) -> None:  # P7
    meanwhile: list[Any] = []

    def write_first(response: dict[str, Any]) -> dict[str, Any]:
        store.backend.append_items(owner_of(store), meanwhile[0], [Item("x", b'{"type": "message"}')])
        return response

    app = served(stack, Own(write_first), store=store)
    meanwhile.append(app.send("POST", "/v1/conversations", b"{}", KEY).json["id"])

    whole = create(app, conversation=meanwhile[0])
    assert (whole.status, whole.error["code"]) == (409, "conversation_conflict")
    assert whole.header("x-should-retry") == "true"
    events = events_in(create(app, conversation=meanwhile[0], stream=True).body)
    assert [one["type"] for one in events][-2:] == ["error", "response.failed"]
    assert [one["sequence_number"] for one in events] == [0, 1, 2, 3]
    assert events[-2]["error"]["code"] == events[-1]["response"]["error"]["code"] == "conversation_conflict"
    assert events[-1]["response"]["store"] is False
    assert get(app, "/responses/resp_1").status == get(app, "/responses/resp_2").status == 404
    listed = get(app, f"/conversations/{meanwhile[0]}/items").json["data"]
    assert [item["id"] for item in listed] == ["x"]


# --- whose it is


def test_owner_that_is_not_known_is_refused_before_the_app_is_called(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # P1
    def owner(carrier: Any) -> Any:
        who = by_api_key(carrier)
        if who == by_api_key({"HTTP_AUTHORIZATION": "fail"}):
            raise KeyError("who")
        return {"none": None, "nobody": "", "number": 3, "nul": "a\0b", "long": "x" * 256}[names[who or ""]]

    given = ("none", "nobody", "number", "nul", "long")
    names = {by_api_key({"HTTP_AUTHORIZATION": name}) or "": name for name in given}
    store = Store("sqlite://", owner=owner)
    own = Own()
    app = served(stack, own, store=store)
    for name in (*names.values(), "fail"):
        headers = [*JSON, ("Authorization", name)]
        caplog.clear()
        for sent in (create(app, headers), get(app, "/responses/x", headers), get(app, "/chat/completions", headers)):
            assert (sent.status, sent.error["code"]) == (401, "unknown_owner")
        assert ("owner function" in caplog.text) == (name not in ("none", "nobody"))
        assert create(app, headers, store=False).json["store"] is False
        assert app.send("POST", "/v1/chat/completions", b'{"model": "m", "messages": []}', headers).status != 401
    assert len(own.seen) == 12
    store.close()


def test_no_key_is_in_the_database_or_in_the_log(
    stack: Stack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:  # P1
    caplog.set_level(logging.DEBUG)
    store = Store(f"sqlite:///{tmp_path / 'openai.db'}", owner=by_api_key)
    app = served(stack, Own(), store=store)
    for headers in (KEY, [*JSON, ("api-key", "azure's")]):
        assert create(app, headers).json["store"] is True
        assert get(app, "/responses/unknown", headers).status == 404
    store.close()

    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"ada's" not in files
    assert b"azure's" not in files
    assert b"resp_1" in files
    assert "ada's" not in caplog.text


def test_shared_store_is_everybodys(stack: Stack) -> None:  # P1
    store = Store("sqlite://", owner="shared")
    app = served(stack, Own(), store=store)
    create(app)
    assert get(app, "/responses/resp_1", JSON).json["id"] == "resp_1"
    store.close()


# --- a database that is away


class Away:
    """A real database that can be taken away: everything else is its own."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            if self.is_away:
                raise UnavailableError("OperationalError")
            return getattr(self.backend, name)(*args)

        return call


def test_answer_that_needs_nothing_stored_leaves_while_the_database_is_away(
    stack: Stack, store: Store, caplog: pytest.LogCaptureFixture
) -> None:  # P9
    away = Away(store.backend)
    around = Store(away, owner=by_api_key)
    away.is_away = True
    own = Own()
    app = served(stack, own, store=around)  # it starts without its database
    assert "not available" in caplog.text

    whole = create(app)
    assert (whole.status, whole.json["store"]) == (200, False)
    events = events_in(create(app, stream=True).body)
    assert (events[-1]["type"], events[-1]["response"]["store"]) == ("response.completed", False)
    chat = app.send("POST", "/v1/chat/completions", b'{"model": "m", "messages": [], "store": true}', KEY)
    assert chat.status < 500
    assert "could not be stored: OperationalError" in caplog.text
    calls = len(own.seen)
    referring: list[dict[str, Any]] = [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"input": [{"type": "item_reference", "id": "x"}]},
    ]
    for fields in referring:
        refused = create(app, **fields)
        assert (refused.status, refused.error["code"]) == (503, "store_unavailable")
        assert refused.header("x-should-retry") is None
    for path in ("/responses/resp_1", "/responses/resp_1/input_items", "/chat/completions", "/conversations/c"):
        assert get(app, path).status == 503
    assert len(own.seen) == calls

    away.is_away = False
    assert create(app).json["store"] is True
    assert get(app, f"/responses/resp_{len(own.seen)}").status == 200
    around.close()


def test_answer_to_a_conversation_fails_where_it_cannot_be_appended(stack: Stack, store: Store) -> None:  # P9
    away = Away(store.backend)
    around = Store(away, owner=by_api_key)

    def leave(response: dict[str, Any]) -> dict[str, Any]:
        away.is_away = True
        return response

    app = served(stack, Own(leave), store=around)
    talk = app.send("POST", "/v1/conversations", b"{}", KEY).json["id"]
    assert create(app, conversation=talk).error["code"] == "store_unavailable"
    away.is_away = False
    events = events_in(create(app, conversation=talk, stream=True).body)
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["code"] == "store_unavailable"
    away.is_away = False
    assert get(app, f"/conversations/{talk}/items").json["data"] == []
    around.close()


def test_answer_of_five_megabytes_is_kept(stack: Stack, store: Store) -> None:
    text = "x" * 5_000_000
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def large(response: dict[str, Any]) -> dict[str, Any]:
        return {**response, "output": [{**response["output"][0], "content": [part]}]}

    app = served(stack, Own(large), store=store)
    assert create(app).json["store"] is True
    assert events_in(create(app, stream=True).body)[-1]["response"]["store"] is True
    for number in (1, 2):
        assert len(get(app, f"/responses/resp_{number}").body) > 5_000_000
    listed = store.backend.input_items(owner_of(store), "resp_2", Page(9, "asc"))
    assert listed is not None
    assert len(listed.entries) == 1


def test_what_is_more_than_its_owner_may_have_is_not_kept(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:  # P8
    store = Store("sqlite://", owner="shared", max_bytes=1000)
    app = served(stack, Own(lambda response: {**response, "metadata": {"large": "x" * 1000}}), store=store)
    assert create(app).json["store"] is False
    assert "larger than all that its owner may have" in caplog.text
    large = {"items": [{"role": "user", "content": "x" * 1000}]}
    refused = app.send("POST", "/v1/conversations", dump(large))
    assert (refused.status, refused.error["code"]) == (413, "store_limit_exceeded")
    store.close()
