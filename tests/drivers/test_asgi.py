"""The ASGI driver: what it asks the server for, what it passes on, and when."""

import asyncio
import contextvars
import copy
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from openai_middleware import OpenAIMiddleware
from openai_middleware.errors import BadRequestError, NotFoundError
from tests.support.drivers import (
    JSON_HEADERS,
    App,
    Header,
    Message,
    Script,
    Sent,
    endpoint,
    http_scope,
    part,
    read_body,
    request,
    request_messages,
    start,
)

GIVES = [("$.id", "id", True)]
WIDE = b'{"id": 1, "junk": 2}'
DISCONNECT = {"type": "http.disconnect"}
PLAIN = [(b"content-type", b"text/plain")]


@dataclass
class Wire:
    """A server's side of a connection, which notes in order what it is asked for and what it is sent."""

    incoming: list[Message]
    log: list[str] = field(default_factory=list)
    sent: Sent = field(default_factory=Sent)

    async def receive(self) -> Message:
        self.log.append("receive")
        return self.incoming.pop(0) if self.incoming else DISCONNECT

    async def send(self, message: Message) -> None:
        self.log.append(message["type"].removeprefix("http.response."))
        self.sent.messages.append(message)

    async def run(self, app: Any, **scope: Any) -> None:
        await app(http_scope("POST", "/run", **scope), self.receive, self.send)


# --- reading the request


@pytest.mark.parametrize("body", [b"", [b""], [b"", b"", b""], b"{}", [b"{", b"}"], [b"{", b"", b"}", b""]])
async def test_body_in_any_number_of_messages_reaches_the_app_as_one(body: Any) -> None:  # B11
    wire = Wire(request_messages(body))
    whole = body if isinstance(body, bytes) else b"".join(body)
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await receive())

    await wire.run(endpoint(app))

    assert seen == [{"type": "http.request", "body": whole, "more_body": False}]


async def test_request_message_may_lack_its_optional_fields() -> None:  # B1
    wire = Wire([{"type": "http.request"}])
    app = App()

    await wire.run(endpoint(app))

    assert (app.bodies, wire.log.count("receive")) == ([b""], 1)


@pytest.mark.parametrize("read", [0, 1, 2])
async def test_client_that_goes_away_within_its_body_is_never_answered(read: int) -> None:
    wire = Wire([*request_messages([b"{", b'"a"', b": 1}"])[:read], DISCONNECT])
    app = App()

    await wire.run(endpoint(app))

    assert not app.is_called
    assert wire.log == ["receive"] * (read + 1)


@pytest.mark.parametrize("takes", [[], [("$.a", "a", True)]])
async def test_receive_after_the_body_is_that_of_the_server(takes: list[Any]) -> None:
    last = {"type": "http.disconnect", "own": object()}
    wire = Wire([*request_messages(b'{"a": 1}'), last])
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        wire.log.append("app has its body")
        seen.append(await receive())

    await wire.run(endpoint(app, takes=takes))

    assert seen[0] is last
    assert wire.log == ["receive", "app has its body", "receive"]


async def test_app_that_waits_for_a_disconnect_while_it_works_is_woken_by_it() -> None:
    """As frameworks do it, whose handlers ask whether the client is still there."""
    client_goes = asyncio.Event()
    pending = request_messages(b"{}")
    was_woken = False

    async def receive() -> Message:
        if pending:
            return pending.pop()
        await client_goes.wait()
        return DISCONNECT

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal was_woken
        await read_body(receive)
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        assert not waiting.done()
        client_goes.set()
        was_woken = await waiting == DISCONNECT

    await endpoint(app)(http_scope("POST", "/run"), receive, Wire([]).send)

    assert was_woken


# --- the limit


def length(size: object) -> dict[str, Any]:
    return {"headers": [(b"Content-Length", str(size).encode())]}


@pytest.mark.parametrize("size", [11, 10**9, "9" * 5000, "00011"])
async def test_body_that_says_it_is_too_large_is_refused_unread(size: object) -> None:  # E2
    wire = Wire(request_messages(b"x" * 11))
    app = App()

    await wire.run(endpoint(app, max_body_size=10), **length(size))

    assert wire.log == ["start", "body"]
    assert (wire.sent.status, wire.sent.error["code"]) == (413, "request_too_large")
    assert not app.is_called


@pytest.mark.parametrize("scope", [{}, length(5), length("x")])
async def test_body_of_one_message_may_not_be_larger_either(scope: dict[str, Any]) -> None:  # E2
    wire = Wire(request_messages(b"x" * 11))
    app = App()

    await wire.run(endpoint(app, max_body_size=10), **scope)

    assert (wire.sent.status, wire.sent.error["code"], app.is_called) == (413, "request_too_large", False)


@pytest.mark.parametrize("scope", [{}, length(5), length(""), length("-1"), length("x"), length("²")])
async def test_reading_stops_where_the_limit_is_passed(scope: dict[str, Any]) -> None:  # E2
    wire = Wire(request_messages([b"x" * 5, b"x" * 5, b"x", b"x" * 5, b"x" * 5]))
    app = App()

    await wire.run(endpoint(app, max_body_size=10), **scope)

    assert wire.log == ["receive"] * 3 + ["start", "body"]
    assert wire.sent.status == 413
    assert not app.is_called


@pytest.mark.parametrize("scope", [{}, length(10), length(3), length("")])
async def test_body_of_just_the_limit_is_taken(scope: dict[str, Any]) -> None:  # E2
    wire = Wire(request_messages([b"x" * 5, b"x" * 5, b""]))
    app = App()

    await wire.run(endpoint(app, max_body_size=10), **scope)

    assert app.bodies == [b"x" * 10]


@pytest.mark.parametrize("size", [0, 3, 11, 1000])
async def test_body_that_ends_elsewhere_than_it_says_is_taken_as_it_comes(size: int) -> None:
    """Whether that can happen is the server's business: it has seen the end."""
    wire = Wire(request_messages([b"x" * 5, b"x" * 5]))
    app = App()

    await wire.run(endpoint(app, max_body_size=1000), **length(size))

    assert (app.bodies, wire.log.count("receive")) == ([b"x" * 10], 2)


@pytest.mark.parametrize(("limit", "body", "status"), [(0, b"", 200), (0, b"x", 413), (None, b"x" * 100_000, 200)])
async def test_limit_may_be_zero_or_none(limit: int | None, body: bytes, status: int) -> None:  # E2
    app = App()

    sent = await request(endpoint(app, max_body_size=limit), "POST", "/run", body, **length(len(body)))

    assert (sent.status, app.is_called) == (status, status == 200)


async def test_body_is_64_mebibytes_at_most_by_default() -> None:  # E2
    limit = 64 * 1024 * 1024

    assert (await request(endpoint(App()), "POST", "/run", **length(limit))).status == 200
    assert (await request(endpoint(App()), "POST", "/run", **length(limit + 1))).status == 413


async def test_limit_does_not_hold_for_bodies_that_the_app_reads() -> None:  # B10
    app = App()
    headers = [(b"content-type", b"multipart/form-data"), (b"content-length", b"100")]

    sent = await request(endpoint(app, max_body_size=10), "POST", "/run", b"x" * 100, headers=headers)

    assert (sent.status, app.bodies) == (200, [b"x" * 100])


# --- the scope, the task and the context


async def test_servers_scope_stays_as_it_was() -> None:  # O9
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["path"] = scope["root_path"] = "/changed"
        scope["headers"].append((b"x", b"changed"))
        scope["own"] = 1
        del scope["query_string"]
        await App()(scope, receive, send)

    scope = http_scope("POST", "/run?a=1", headers=[(b"accept-encoding", b"gzip")], state={})
    before = copy.deepcopy(scope)

    await endpoint(app)(scope, Wire([]).receive, Wire([]).send)
    assert scope == before
    await endpoint(app)(scope, Wire(request_messages(b"")).receive, Wire([]).send)
    assert scope == before


async def test_app_finds_all_that_the_server_put_into_the_scope() -> None:  # O9
    app = App()
    more: Any = {"state": {"a": 1}, "extensions": {"http.response.pathsend": {}}, "own": object()}
    scope = http_scope("POST", "/run?a=1", headers=[(b"x", b"1")], **more)

    await endpoint(app)(scope, Wire(request_messages(b"")).receive, Wire([]).send)

    [seen] = app.scopes
    assert {**seen, "openai_middleware.call": None} == {**scope, "openai_middleware.call": None}
    assert all(seen[name] is value for name, value in more.items())
    assert seen["openai_middleware.call"].kwargs == {"a": "1"}


async def test_headers_may_be_lists_of_two_as_some_servers_send_them() -> None:  # O9
    app = App({"id": 1, "junk": 2})
    sent: list[Any] = [[b"accept-encoding", b"gzip"], [b"content-type", b"application/json"], [b"range", b"bytes=0-"]]

    wire = Wire(request_messages(b'{"a": 1}'))
    await wire.run(endpoint(app, gives=GIVES), headers=sent)

    assert [tuple(header) for header in app.scopes[0]["headers"]] == [(b"content-type", b"application/json")]
    assert wire.sent.json == {"id": 1}


async def test_app_runs_in_the_same_task_and_context() -> None:  # O9
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([asyncio.current_task(), variable.get()])
        variable.set("by the app")
        await App({"id": 1, "junk": 2})(scope, receive, send)

    variable.set("by the server")
    await request(endpoint(app, takes=[("$.a", "a")], gives=GIVES), "POST", "/run", {})

    assert seen == [asyncio.current_task(), "by the server"]
    assert variable.get() == "by the app"


async def test_requests_at_the_same_time_do_not_touch_each_other() -> None:
    all_are_here = asyncio.Barrier(20)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await all_are_here.wait()
        number = scope["openai_middleware.call"].kwargs["number"]
        await send(part(b'{"junk": 1, "id": ', more_body=True))
        await all_are_here.wait()
        await send(part(b"%d}" % number))

    middleware = endpoint(app, takes=[("$.number", "number", True)], gives=GIVES)
    answers = await asyncio.gather(*(request(middleware, "POST", "/run", {"number": n}) for n in range(20)))

    assert [sent.json for sent in answers] == [{"id": n} for n in range(20)]


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "unknown"])
async def test_other_scopes_pass_untouched(kind: str) -> None:  # M12
    app = App()
    wire = Wire([])
    scope = {"type": kind, "path": "/run", "method": "POST"}

    await endpoint(app)(scope, wire.receive, wire.send)

    assert app.scopes[0] is scope
    assert (app.receives, app.sends) == ([wire.receive], [wire.send])


# --- extensions


@pytest.mark.parametrize("kind", ["pathsend", "zerocopysend"])
@pytest.mark.parametrize("before", [[], [part(b'{"id": 1, ', more_body=True)]])
async def test_files_leave_unmapped_after_their_start(kind: str, before: list[Message]) -> None:  # O10
    fields = [(b"content-type", b"application/json"), (b"content-length", b"99"), (b"etag", b"e")]
    messages = [start(200, fields), *before, {"type": f"http.response.{kind}", "path": "/tmp/x.json", "file": 3}]

    sent = await request(endpoint(Script(messages), gives=GIVES), "POST", "/run")

    assert sent.is_very_same(messages)


async def test_file_may_be_sent_piece_by_piece() -> None:  # O10
    piece = {"type": "http.response.zerocopysend", "file": 3, "count": 10}
    messages = [start(), {**piece, "more_body": True}, {**piece, "more_body": True}, part(b"")]

    sent = await request(endpoint(Script(messages), gives=GIVES), "POST", "/run")

    assert sent.is_very_same(messages)


@pytest.mark.parametrize(
    "extra",
    [
        {"type": "http.response.early_hint", "links": [b"</style.css>"]},
        {"type": "http.response.push", "path": "/style.css", "headers": []},
        {"type": "http.response.debug", "info": {"template": "x"}},
    ],
    ids=lambda extra: extra["type"],
)
@pytest.mark.parametrize("status", [200, 404, 500])
async def test_hints_and_pushes_are_not_held_back(extra: Message, status: int) -> None:  # O10
    wire = Wire(request_messages(b""))
    kind = extra["type"].removeprefix("http.response.")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(extra)
        assert wire.sent.messages == [extra]
        await send(start(status))
        await send(extra)
        assert wire.log.count(kind) == 2
        await send(part(WIDE))

    await wire.run(endpoint(app, gives=GIVES))

    assert wire.sent.messages[0] is extra
    assert (wire.sent.status, wire.sent.is_complete) == (status, True)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [(200, start()["headers"], WIDE), (200, PLAIN, WIDE), (404, PLAIN, WIDE), (500, PLAIN, b"Internal Server Error")],
)
async def test_trailers_follow_the_body(status: int, headers: Any, body: bytes) -> None:  # O10
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False}
    wire = Wire(request_messages(b""))

    await wire.run(endpoint(Script([start(status, headers, trailers=True), part(body), trailers]), gives=GIVES))

    assert wire.log == ["receive", "start", "body", "trailers"]
    assert wire.sent.starts[0]["trailers"] is True
    assert wire.sent.messages[-1] is trailers


@pytest.mark.parametrize("body", [WIDE, b'{"id":1}', b"{"])
async def test_unknown_keys_of_messages_stay(body: bytes) -> None:  # O10
    begin, end = start(200, reason="Fine", trailers=False, own=1), {**part(body), "own": 2}

    sent = await request(endpoint(Script([begin, end]), gives=GIVES), "POST", "/run")

    assert {**sent.messages[0], "headers": None} == {**begin, "headers": None}
    assert {**sent.messages[1], "body": None} == {**end, "body": None}


# --- when an answer leaves


@pytest.mark.parametrize("status", [200, 404])
async def test_answer_that_is_not_mapped_leaves_part_by_part(status: int) -> None:  # O1
    wire = Wire(request_messages(b""))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for number, message in enumerate(
            [start(status, [*PLAIN, (b"x-request-id", b"1")]), *(part(b"x", more_body=n < 3) for n in range(4))], 1
        ):
            await send(message)
            assert len(wire.sent.messages) == number
            assert wire.sent.messages[-1] is message

    await wire.run(endpoint(app, gives=GIVES))


async def test_mapped_answer_leaves_with_its_last_byte_and_before_the_app_has_ended() -> None:  # O2
    wire = Wire(request_messages(b""))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(part(WIDE, more_body=True))
        assert wire.sent.messages == []
        await send(part(b""))
        assert (wire.sent.body, wire.sent.is_complete) == (b'{"id":1}', True)

    await wire.run(endpoint(app, gives=GIVES))


# --- apps that fail


def at_each_point(*messages: Message) -> list[Any]:
    """All beginnings of an answer."""
    return [pytest.param(list(messages[:count]), id=f"after {count}") for count in range(len(messages) + 1)]


UNFINISHED = at_each_point(start(), part(b'{"id"', more_body=True), part(b": 1}", more_body=True))


@pytest.mark.parametrize("messages", UNFINISHED)
async def test_mapped_answer_that_the_app_does_not_finish_is_never_completed(messages: list[Message]) -> None:  # O8
    sent = await request(endpoint(Script(messages), gives=GIVES), "POST", "/run")

    assert sent.messages == []


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("messages", at_each_point(part(b"a", more_body=True), part(b"b", more_body=True)))
async def test_other_answer_that_the_app_does_not_finish_is_never_completed(
    status: int, messages: list[Message]
) -> None:  # O8
    unfinished = [start(status, PLAIN), *messages]

    sent = await request(endpoint(Script(unfinished), gives=GIVES), "POST", "/run")

    assert sent.is_very_same(unfinished)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
async def test_cancellation_passes_through_and_sends_nothing(error: BaseException) -> None:
    sent = Sent()

    with pytest.raises(type(error)):
        await request(endpoint(Script([start()], error), gives=GIVES), "POST", "/run", sent=sent)

    assert sent.messages == []


@pytest.mark.parametrize("error", [KeyError("late"), NotFoundError("late")])
async def test_nothing_follows_an_answer_that_was_refused_when_the_app_fails_then(error: Exception) -> None:  # O3 O8
    sent = Sent()

    with pytest.raises(type(error), match="late"):
        await request(endpoint(Script([start(), part(b"{}")], error), gives=GIVES), "POST", "/run", sent=sent)

    assert sent.status == 422
    assert [message["type"] for message in sent.messages] == ["http.response.start", "http.response.body"]


async def test_app_that_sends_nothing_at_all_is_not_answered_for() -> None:  # O8
    assert (await request(endpoint(Script([]), gives=GIVES), "POST", "/run")).messages == []


async def test_failing_server_is_the_servers_own_business() -> None:
    class GoneError(OSError):
        pass

    async def send(message: Message) -> None:
        raise GoneError

    with pytest.raises(GoneError):
        await endpoint(App({"id": 1}), gives=GIVES)(
            http_scope("POST", "/run"), Wire(request_messages(b"")).receive, send
        )


# --- the page that a framework sends before it raises an exception again

PAGE = [start(500, PLAIN), part(b"Internal Server Error")]


@pytest.mark.parametrize("headers", [PLAIN, start()["headers"]])
async def test_page_for_an_openai_error_is_replaced_by_the_envelope(headers: Any) -> None:  # E4
    app = Script([start(500, headers), part(b"Internal Server Error")], NotFoundError("Gone.", code="gone"))

    sent = await request(endpoint(app, gives=GIVES), "POST", "/run")

    assert (sent.status, sent.error["code"]) == (404, "gone")


async def test_page_for_a_foreign_exception_leaves_and_the_exception_propagates() -> None:  # E4
    sent = Sent()

    with pytest.raises(ZeroDivisionError):
        await request(endpoint(Script(PAGE, ZeroDivisionError()), gives=GIVES), "POST", "/run", sent=sent)

    assert sent.is_very_same(PAGE)


async def test_page_without_an_exception_leaves_when_the_app_has_ended() -> None:  # O1
    assert (await request(endpoint(Script(PAGE), gives=GIVES), "POST", "/run")).is_very_same(PAGE)


async def test_500_in_several_parts_leaves_at_once() -> None:  # O1
    wire = Wire(request_messages(b""))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(500, PLAIN))
        await send(part(b"one", more_body=True))
        assert wire.log[1:] == ["start", "body"]
        await send(part(b"two", more_body=True))
        assert wire.log[1:] == ["start", "body", "body"]
        await send(part(b"three"))
        assert wire.log[1:] == ["start", "body", "body", "body"]

    await wire.run(endpoint(app, gives=GIVES))

    assert wire.sent.body == b"onetwothree"


@pytest.mark.parametrize("media_type", [b"application/json", b"multipart/form-data"])
async def test_500_leaves_before_the_app_waits_for_the_client_to_go(media_type: bytes) -> None:  # O1
    wire = Wire(request_messages(b""))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        for message in PAGE:
            await send(message)
        await receive()

    await wire.run(endpoint(app, gives=GIVES), headers=[(b"content-type", media_type)])

    assert wire.log == ["receive", "start", "body", "receive"]
    assert wire.sent.is_very_same(PAGE)


async def test_error_after_a_page_has_left_propagates() -> None:  # E4
    wire = Wire(request_messages(b""))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        for message in PAGE:
            await send(message)
        await receive()
        raise NotFoundError("Gone.")

    with pytest.raises(NotFoundError):
        await wire.run(endpoint(app, gives=GIVES))

    assert wire.sent.is_very_same(PAGE)


async def test_nothing_of_an_app_leaves_after_its_answer_was_replaced_by_an_error() -> None:  # E1 O8
    wire = Wire(request_messages(b""))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(part(b"{}"))
        for message in PAGE:
            await send(message)

    await wire.run(endpoint(app, gives=GIVES))

    assert wire.log == ["receive", "start", "body"]
    assert wire.sent.status == 422


async def test_a_second_start_after_the_end_of_a_stream_is_the_server_s_to_refuse() -> None:  # O9
    wire = Wire(request_messages(b""))
    stream = [
        start(headers=[(b"content-type", b"text/event-stream")]),
        part(b"data: {}\n\n", more_body=True),
        part(b""),
    ]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in [*stream, *PAGE]:
            await send(message)

    await wire.run(endpoint(app))

    assert wire.log == ["receive", "start", "body", "body", "start", "body"]


# --- Starlette, which does all of this


def starlette(handler: Callable[[Request], Awaitable[Response]], *, debug: bool = False, inside: bool) -> Any:
    """A Starlette app with one route, the middleware around the whole app or inside of its error page."""
    app = Starlette(debug=debug, routes=[Route("/v1/responses/{response_id}", handler)])
    if not inside:
        return OpenAIMiddleware(app, prefix="/v1")
    app.add_middleware(OpenAIMiddleware, prefix="/v1")
    return app


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("inside", [True, False])
async def test_openai_error_in_a_starlette_route_is_its_envelope(inside: bool, debug: bool) -> None:  # E4
    async def handler(_: Request) -> Response:
        raise NotFoundError("No response found", param="response_id")

    sent = await request(starlette(handler, debug=debug, inside=inside), "GET", "/v1/responses/r")

    assert (sent.status, sent.error["param"]) == (404, "response_id")


@pytest.mark.parametrize("inside", [True, False])
async def test_other_exception_in_a_starlette_route_is_starlettes_page(inside: bool) -> None:  # E4
    sent = Sent()

    async def handler(_: Request) -> Response:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await request(starlette(handler, inside=inside), "GET", "/v1/responses/r", sent=sent)

    assert (sent.status, sent.body) == (500, b"Internal Server Error")


async def test_starlette_answer_is_mapped() -> None:  # O2
    async def handler(_: Request) -> Response:
        return JSONResponse({"id": 1, "error": "x", "junk": 2}, status_code=500)

    sent = await request(starlette(handler, inside=False), "GET", "/v1/responses/r")

    assert (sent.status, sent.json) == (500, {"id": 1, "error": "x", "junk": 2})


# --- any answer

CHUNKS = st.lists(st.sampled_from([b"", b'{"id"', b": 1}", b', "junk": 2}', b"[]"]), max_size=4)


@given(
    st.sampled_from([200, 204, 404, 500]),
    st.sampled_from([PLAIN, start()["headers"]]),
    CHUNKS,
    st.booleans(),
    st.sampled_from([None, NotFoundError("Gone."), ZeroDivisionError()]),
)
async def test_client_gets_the_apps_answer_or_an_envelope_and_never_both(
    status: int, headers: Any, chunks: list[bytes], is_finished: bool, error: Exception | None
) -> None:  # O1 O8 E4
    parts = [part(chunk, more_body=True) for chunk in chunks] + [part(b"")] * is_finished
    messages = [start(status, headers), *parts]
    sent = Sent()
    raised = None
    try:
        await request(endpoint(Script(messages, error), gives=GIVES), "POST", "/run", sent=sent)
    except (NotFoundError, ZeroDivisionError) as caught:
        raised = caught

    is_json = (status, headers) == (200, start()["headers"])
    is_page = status == 500 and len(parts) <= 1 and not chunks
    has_left = is_finished if is_json else not is_page
    if isinstance(error, NotFoundError) and not has_left:
        assert (sent.status, sent.error["message"], raised) == (404, "Gone.", None)
        return
    assert raised is error
    if not is_json:
        assert sent.is_very_same(messages)
    elif is_finished:
        assert sent.status in (200, 422)
        assert sent.is_complete
    else:
        assert sent.messages == []


@given(
    st.lists(
        st.sampled_from(
            [
                *(start(), start(500), start(200, PLAIN), part(WIDE), part(WIDE, more_body=True), part(b"{}")),
                *({"type": f"http.response.{kind}"} for kind in ("trailers", "pathsend", "push", "unknown")),
            ]
        ),
        max_size=6,
    )
)
async def test_app_that_breaks_the_protocol_does_not_break_the_middleware(messages: list[Message]) -> None:
    """What the server makes of it is between the two of them, but for a start that overtakes another."""
    sent = Sent()
    with suppress(RuntimeError):
        await request(endpoint(Script(messages), gives=GIVES), "POST", "/run", sent=sent)

    assert len(sent.messages) <= len(messages)


@pytest.mark.parametrize("headers", [JSON_HEADERS, [(b"content-type", b"text/event-stream")]])
async def test_second_start_is_refused_while_the_first_is_kept_back(headers: list[Header]) -> None:  # O8
    sent = Sent()
    app = Script([start(200, headers), part(b'{"id"', more_body=True), start(500, PLAIN), part(b"page")])

    with pytest.raises(RuntimeError, match=r"a second http\.response\.start"):
        await request(endpoint(app, gives=GIVES), "POST", "/run", sent=sent)

    assert sent.messages == []


@pytest.mark.parametrize(
    "following",
    [
        [start(500, [(b"content-type", b"text/html"), (b"x-own", b"1")]), part(b"page")],
        [{"type": "http.response.pathsend", "path": "/file"}],
    ],
)
async def test_start_of_an_answer_that_has_no_form_is_as_if_it_had_not_been_sent(
    following: list[Message],
) -> None:  # O8
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        with pytest.raises(BadRequestError, match="out of range"):
            await send(start(200, PLAIN))
        for message in following:
            await send(message)

    body, headers = b'{"model": "m", "messages": [], "temperature": 1e999}', [(b"x-request-id", b"mine")]
    sent = Sent()
    await request(OpenAIMiddleware(app, prefix="/v1"), "POST", "/v1/chat/completions", body, headers=headers, sent=sent)

    kinds = [message["type"] for message in following]
    assert [message["type"] for message in sent.messages] == kinds
    assert [message["headers"] for message in sent.starts] == [
        [*message["headers"], *headers] for message in following if "headers" in message
    ]
