"""Answers that a store keeps as they leave, with what servers and apps do beside the usual."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import trio

from openai_middleware import OpenAIMiddleware, OpenAIWSGIMiddleware
from openai_middleware.store import Store
from tests.support.drivers import Script, part, request, start
from tests.support.stacks import drive_asgi, wsgi_environ

RESPONSE: dict[str, Any] = {
    **dict.fromkeys(("error", "incomplete_details", "instructions", "metadata", "temperature", "top_p")),
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "m",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
BODY = json.dumps(RESPONSE).encode()
ASKED = b'{"model": "m", "input": "Hi"}'
JSON = [("Content-Type", "application/json")]


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store("sqlite://", owner="shared")
    yield made
    made.close()


def is_kept(store: Store) -> bool:
    return store.backend.response("shared", "resp_1") is not None


def served(store: Store, *messages: Any) -> Any:
    app = OpenAIMiddleware(Script(list(messages)), prefix="/v1", store=store)
    return drive_asgi(app, "POST", "/v1/responses", ASKED, JSON)


def test_answer_in_parts_is_kept_as_one(store: Store) -> None:  # P2
    sent = served(store, start(), part(BODY[:9], more_body=True), part(BODY[9:], more_body=True), part(b""))

    assert json.loads(sent.body)["store"] is True
    assert is_kept(store)


def test_trailers_leave_behind_an_answer_that_was_kept(store: Store) -> None:
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False}
    sent = served(store, start(trailers=True), part(BODY), trailers)

    assert [message["type"] for message in sent.messages][-1] == "http.response.trailers"
    assert json.loads(sent.body)["store"] is True


def test_file_that_the_server_sends_itself_is_not_looked_into(store: Store) -> None:
    sent = served(store, start(), {"type": "http.response.pathsend", "path": "/etc/hostname"})

    assert [message["type"] for message in sent.messages] == ["http.response.start", "http.response.pathsend"]
    assert not is_kept(store)


def test_answer_that_is_compressed_or_no_json_is_not_looked_into(store: Store) -> None:  # P2
    for headers in (
        [(b"content-type", b"application/json"), (b"content-encoding", b"br")],
        [(b"content-type", b"x/y")],
    ):
        assert served(store, start(headers=headers), part(b"what it is")).body == b"what it is"
    assert served(store, start(204, []), part(b"")).status == 204
    assert served(store, start(), part(b"no json")).body == b"no json"
    assert not is_kept(store)


def test_streamed_chat_that_fails_is_not_kept(store: Store) -> None:  # P2
    choice = b'{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}'
    chunk = (
        b'data: {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [%b]}\n\n'
        % choice
    )
    events = start(headers=[(b"content-type", b"text/event-stream")])
    failure = b'data: {"error": {"message": "no"}}\n\n'
    asked = b'{"model": "m", "messages": "none", "stream": true, "store": true}'
    for parts in ([chunk, failure, b"data: [DONE]\n\n"], [chunk, b"data: nonsense\n\n", b"data: [DONE]\n\n"]):
        bodies = [part(one, more_body=True) for one in parts]
        app = OpenAIMiddleware(Script([events, *bodies, part(b"")]), prefix="/v1", store=store)
        assert drive_asgi(app, "POST", "/v1/chat/completions", asked, JSON).body == b"".join(parts)
        assert (store.backend.completion("shared", "c1") is None) == (failure in parts)
    # Its messages were none.
    assert store.backend.completion_messages("shared", "c1") == b"[]"


class Server:
    """A WSGI server that shows what it was told."""

    def __init__(self, app: Any, store: Store, asked: bytes = ASKED) -> None:
        self.starts: list[tuple[Any, ...]] = []
        self.written: list[bytes] = []
        headers = [*JSON, ("Content-Length", str(len(asked)))]
        served = OpenAIWSGIMiddleware(app, prefix="/v1", store=store)
        self.chunks = served(wsgi_environ("POST", "/v1/responses", asked, headers), self)

    def __call__(self, status: str, headers: Any, *more: Any) -> Any:
        self.starts.append((status, headers, *more))
        return self.written.append


def test_wsgi_app_may_write(store: Store) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", list(JSON))
        write(BODY[:9])
        write(BODY[9:])
        return []

    assert json.loads(b"".join(Server(app, store).chunks))["store"] is True
    assert is_kept(store)


def test_wsgi_app_may_write_events(store: Store) -> None:
    event = b'data: {"type":"response.completed","sequence_number":0,"response":' + BODY + b"}\n\n"

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])(event)
        return []

    server = Server(app, store, ASKED[:-1] + b', "stream": true}')
    rest = b"".join(server.chunks)
    assert b'"store":true' in b"".join(server.written) + rest
    assert is_kept(store)


def test_wsgi_app_may_begin_another_answer(store: Store) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", list(JSON))
        start_response("500 Sorry", [("Content-Type", "text/plain")], (ValueError, ValueError(), None))
        return [b"sorry"]

    server = Server(app, store)
    assert b"".join(server.chunks) == b"sorry"
    assert [one[0] for one in server.starts] == ["500 Sorry"]
    assert not is_kept(store)


def test_trio_has_no_store_and_says_so(store: Store) -> None:
    app = OpenAIMiddleware(Script([start(), part(BODY)]), prefix="/v1", store=store)
    for method, target, body in [("POST", "/v1/responses", {"model": "m"}), ("GET", "/v1/responses/x", b"")]:
        with pytest.raises(RuntimeError, match="asyncio"):
            trio.run(request, app, method, target, body)
