"""The WSGI driver: what it reads, what it passes on, when, and what it closes."""

import contextvars
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import pairwise
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware import APIHandlerAction, APIHandlerConfig, OpenAIWSGIMiddleware
from openai_middleware.errors import NotFoundError, OpenAIError
from openai_middleware.interfaces import status_line
from tests.support.drivers import Sent
from tests.support.samples import CHAT as WHOLE_CHAT
from tests.support.server_sent_events import Event, parse
from tests.support.wsgi_driver import (
    JSON_HEADERS,
    App,
    Body,
    Environ,
    Input,
    Server,
    WSGIHeaders,
    endpoint,
    environ,
    request,
)

GIVES = [("$.id", "id", True)]
WIDE = b'{"id": 1, "junk": 2}'
NARROW = b'{"id":1}'
PLAIN: WSGIHeaders = [("Content-Type", "text/plain")]
EVENTS: WSGIHeaders = [("Content-Type", "text/event-stream")]
JSON_BODY: Any = {"headers": [("Content-Type", "application/json")]}
MULTIPART: Any = {"headers": [("Content-Type", "multipart/form-data; boundary=b")]}
CHUNKED: Any = {"headers": [("Transfer-Encoding", "chunked")], "wsgi.input_terminated": True}


CHAT = {**WHOLE_CHAT, "stream": True}


def chat(app: Any, **options: Any) -> OpenAIWSGIMiddleware:
    return OpenAIWSGIMiddleware(app, prefix="/v1", **options)


def chunk(number: int = 0, **junk: Any) -> bytes:
    """An event of a chat stream."""
    return b"data: " + json.dumps({"id": number, "choices": [], **junk}).encode() + b"\n\n"


# --- reading the body


@pytest.mark.parametrize("at_most", [None, 1, 7])
@pytest.mark.parametrize("body", [b'{"a": "\xc3\xa9"}', b"", b"{" + b" " * 200_000 + b"}", b"no json"])
def test_body_is_replayed_in_full(body: bytes, at_most: int | None) -> None:  # W1 B11
    stream = Input(body, at_most=at_most if len(body) < 100 else None)
    app = App()

    request(endpoint(app), "POST", "/run", stream, CONTENT_LENGTH=str(len(body)))

    assert app.bodies == [body]
    assert app.environs[0]["wsgi.input_terminated"] is True
    assert stream.unread == 0


def test_app_may_read_in_every_way_and_again() -> None:  # W1
    seen: list[object] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        stream = environ["wsgi.input"]
        for read in (stream.read, lambda: stream.read(3), stream.readline, stream.readlines, lambda: list(stream)):
            seen.append(read())
            stream.seek(0)
        start_response("200 OK", list(PLAIN))
        return []

    # Without the validator, whose input cannot be rewound.
    Server().serve(endpoint(app), environ("POST", "/run", b"one\ntwo"))

    assert seen == [b"one\ntwo", b"one", b"one\n", [b"one\n", b"two"], [b"one\n", b"two"]]


def test_app_that_reads_past_the_end_does_not_wait() -> None:  # W1
    seen = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        seen.extend([environ["wsgi.input"].read(100), environ["wsgi.input"].read(100)])
        start_response("200 OK", list(PLAIN))
        return []

    request(endpoint(app), "POST", "/run", b"{}")

    assert seen == [b"{}", b""]


@given(
    st.binary(max_size=50),
    st.binary(max_size=50),
    st.integers(1, 60) | st.none(),
    st.booleans(),
)
def test_nothing_after_the_declared_length_is_read(
    body: bytes, following: bytes, at_most: int | None, is_terminated: bool
) -> None:  # W1
    stream = Input(body + following, at_most=at_most, has_end=is_terminated)
    app = App()
    length: Any = {"CONTENT_LENGTH": str(len(body)), "wsgi.input_terminated": is_terminated}

    request(endpoint(app), "POST", "/run", stream, **length)

    assert app.bodies == [body]
    assert stream.unread == len(following)


@pytest.mark.parametrize("length", [None, "", "x", "-1", "+2", "1e3", "2.0", "0x2", "²"])
def test_without_a_length_there_is_no_body(length: str | None) -> None:  # W1 B1
    stream = Input(b"{}")
    app = App()

    middleware = endpoint(app, takes=[("a", "a")])
    sent = request(middleware, "POST", "/run", stream, CONTENT_LENGTH=length, is_validated=False, **JSON_BODY)

    assert (sent.status, stream.reads, app.call.body) == (200, [], None)
    assert (app.environs[0]["CONTENT_LENGTH"], app.bodies) == ("0", [b""])


@pytest.mark.parametrize("length", [None, "", "x", "-1"])
@pytest.mark.parametrize("body", [b"", b'{"a": 1}', b"x" * 200_000])
def test_body_whose_end_the_server_tells_is_read_to_that_end(body: bytes, length: str | None) -> None:  # W1
    stream = Input(body, has_end=True)
    app = App()

    request(endpoint(app), "POST", "/run", stream, CONTENT_LENGTH=length, is_validated=False, **CHUNKED)

    [seen] = app.environs
    assert app.bodies == [body]
    assert (seen["CONTENT_LENGTH"], seen["wsgi.input_terminated"]) == (str(len(body)), True)


@pytest.mark.parametrize("is_terminated", [True, False])
@pytest.mark.parametrize("came", [b"", b'{"model": "m", "messages": []}'])
def test_body_cut_short_never_reaches_the_app(came: bytes, is_terminated: bool) -> None:  # W1
    app = App()
    more: Any = {"CONTENT_LENGTH": str(len(came) + 1), "wsgi.input_terminated": is_terminated}

    sent = request(chat(app), "POST", "/v1/chat/completions", Input(came, has_end=True), **more)

    assert (sent.status, sent.error["code"]) == (400, "incomplete_body")
    assert not app.is_called


def test_client_that_goes_away_within_its_body_is_the_servers_own_business() -> None:  # W1
    class Broken(Input):
        def read(self, size: int = -1) -> bytes:
            if self.reads:
                raise ConnectionResetError
            return super().read(size)

    app = App()
    server = Server()

    with pytest.raises(ConnectionResetError):
        request(endpoint(app), "POST", "/run", Broken(b"{}", has_end=True), server=server, CONTENT_LENGTH="9")

    assert not app.is_called
    assert server.log == []


@pytest.mark.parametrize("media_type", ["multipart/form-data; boundary=b", "application/octet-stream"])
def test_body_that_the_app_reads_itself_is_left_alone(media_type: str) -> None:  # B10
    stream = Input(b"x" * 100)
    app = App()
    env = environ(
        "POST", "/run", stream, headers=[("Content-Type", media_type)], CONTENT_LENGTH="100", HTTP_TRANSFER_ENCODING="x"
    )
    before = dict(env)

    Server().serve(endpoint(app, max_body_size=10), env)

    assert app.call.body is None
    assert stream.reads == [100], "the app's own"
    assert app.environs[0] == {**before, "openai_middleware.call": app.call}
    assert app.environs[0]["wsgi.input"] is stream


# --- the limit


@pytest.mark.parametrize("length", ["11", "1000000000", "00011", "9" * 5000])
@pytest.mark.parametrize("more", [{}, CHUNKED])
def test_body_that_says_it_is_too_large_is_refused_unread(length: str, more: Any) -> None:  # E2
    stream = Input(b"x" * 11)
    app = App()

    more = {"CONTENT_LENGTH": length, "is_validated": False, **more}
    sent = request(endpoint(app, max_body_size=10), "POST", "/run", stream, **more)

    assert (sent.status, sent.error["code"]) == (413, "request_too_large")
    assert stream.reads == []
    assert not app.is_called


@pytest.mark.parametrize("length", [None, "", "x"])
def test_reading_stops_where_the_limit_is_passed(length: str | None) -> None:  # E2
    stream = Input(b"x" * 100, has_end=True, at_most=5)
    app = App()

    more: Any = {"CONTENT_LENGTH": length, "is_validated": False, **CHUNKED}
    sent = request(endpoint(app, max_body_size=10), "POST", "/run", stream, **more)

    assert sent.status == 413
    assert stream.unread == 100 - 15
    assert not app.is_called


@pytest.mark.parametrize("more", [{"CONTENT_LENGTH": "10"}, CHUNKED])
def test_body_of_just_the_limit_is_taken(more: Any) -> None:  # E2
    app = App()

    request(endpoint(app, max_body_size=10), "POST", "/run", Input(b"x" * 10, has_end=True), **more)

    assert app.bodies == [b"x" * 10]


@pytest.mark.parametrize(("limit", "body", "status"), [(0, b"", 200), (0, b"x", 413), (None, b"x" * 100_000, 200)])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_limit_may_be_zero_or_none(is_chunked: bool, limit: int | None, body: bytes, status: int) -> None:  # E2
    app = App()
    sent_body = Input(body, has_end=True) if is_chunked else body

    sent = request(endpoint(app, max_body_size=limit), "POST", "/run", sent_body, **(CHUNKED if is_chunked else {}))

    assert (sent.status, app.is_called) == (status, status == 200)


# --- bodies become kwargs


def test_call_holds_the_kwargs_of_body_query_path_and_url() -> None:  # B7 B9
    app = App(b"[]")

    request(chat(app), "POST", "/v1/chat/completions/c%201?verbose=1", {"metadata": {"a": "é"}}, **JSON_BODY)

    url_info = {"mlrun_request_path": "/v1/chat/completions/c 1", "mlrun_request_method": "POST"}
    kwargs = {"metadata": {"a": "é"}, "verbose": "1", "completion_id": "c 1", **url_info}
    assert list(app.kwargs.items()) == list(kwargs.items())
    assert app.call.body == {"metadata": {"a": "é"}}
    assert app.call.operation == "chat.completions.update"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "missing_required_parameter"),  # B1
        (b"[]", 422, "invalid_type"),  # B1
        (b'{"model": "m"}', 422, "missing_required_parameter"),  # B2
        (b'{"model": ', 400, "invalid_json"),  # B4
        (b'{"model": "\xff", "messages": []}', 400, "invalid_json"),  # B11
        (b"[" * 100_000, 400, "invalid_json"),  # B4
        (b'{"model": NaN, "messages": []}', 400, "invalid_json"),  # B4
    ],
)
def test_body_that_does_not_fit_never_reaches_the_app(body: bytes, status: int, code: str) -> None:  # E1 E2
    app = App()

    sent = request(chat(app), "POST", "/v1/chat/completions", body)

    assert (sent.status, sent.error["code"]) == (status, code)
    assert not app.is_called


def test_multipart_body_is_none_that_a_json_operation_takes() -> None:  # B10
    stream = Input()
    app = App()

    sent = request(chat(app), "POST", "/v1/chat/completions", stream, CONTENT_LENGTH="99", **MULTIPART)

    assert (sent.status, app.is_called, stream.reads) == (422, False, [])


def test_deep_body_that_no_rule_needs_is_passed_as_text() -> None:  # B7
    app = App()

    request(endpoint(app), "POST", "/run", b"[" * 100_000)

    assert app.call.body == "[" * 100_000


# --- the path


@pytest.mark.parametrize(
    ("sent_id", "seen_id"),
    [("a%20b", "a b"), ("%C3%A9", "é"), ("%ff", "\ufffd"), ("a+b", "a+b"), ("a%2525", "a%25"), ("%zz", "%zz")],
)
@pytest.mark.parametrize("variable", [None, "REQUEST_URI", "RAW_URI"])
def test_path_is_utf8_whatever_wsgi_makes_of_it(variable: str | None, sent_id: str, seen_id: str) -> None:  # M9 W4
    target = f"/v1/responses/{sent_id}?a=%2F"
    app = App(b"[]")
    more: Any = {variable: target} if variable else {}

    request(chat(app), "GET", target, **more)

    assert app.call.path_params == {"response_id": seen_id}
    assert app.kwargs["mlrun_request_path"] == f"/v1/responses/{seen_id}"


@pytest.mark.parametrize(
    "raw",
    [
        {"REQUEST_URI": "/v1/responses/a%2Fb"},
        {"REQUEST_URI": "/v1/responses/a%2fb?x=%2F"},
        {"REQUEST_URI": "http://localhost:80/v1/responses/a%2Fb?x=1"},
        {"REQUEST_URI": "https://user@[::1]/v1/responses/a%2Fb"},
        {"RAW_URI": "/v1/responses/a%2Fb"},
        {"RAW_URI": "http://localhost/v1/responses/a%2Fb"},
        {"RAW_URI": "/v1/responses/a%2Fb", "REQUEST_URI": ""},
    ],
)
def test_encoded_slash_stays_in_its_parameter_where_the_server_has_the_raw_path(raw: Any) -> None:  # M9 W4
    app = App(b"[]")

    request(chat(app, unmatched="reject"), "GET", "/v1/responses/a%2Fb", **raw)

    assert app.call.path_params == {"response_id": "a/b"}
    assert app.call.path == "/v1/responses/a/b"


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"REQUEST_URI": "/v1/responses/a%2Fc"},
        {"REQUEST_URI": "/old/responses/a%2Fb"},
        {"REQUEST_URI": "*"},
        {"REQUEST_URI": "http://localhost"},
        {"REQUEST_URI": "http://localhost?a=%2Fb"},
        {"RAW_URI": b"/v1/responses/a%2Fb", "is_validated": False},
        {"REQUEST_URI": "/stale", "RAW_URI": "/v1/responses/a%2Fb"},
    ],
)
def test_encoded_slash_is_a_slash_where_there_is_no_raw_path_or_a_stale_one(raw: Any) -> None:  # W4
    app = App(b"[]")

    sent = request(chat(app, unmatched="reject"), "GET", "/v1/responses/a%2Fb", **raw)

    assert (sent.status, sent.error["code"]) == (404, "unknown_url")
    assert "/v1/responses/a/b" in sent.error["message"]


def test_path_that_a_middleware_has_rewritten_is_the_one_that_counts() -> None:  # W4
    app = App(b"[]")

    request(chat(app), "GET", "/v1/responses/r", REQUEST_URI="/admin%2Fx/responses/r")

    assert app.call.path_params == {"response_id": "r"}


@pytest.mark.parametrize("script_name", ["/api", "/api/é".encode().decode("latin-1"), "/v1"])
@pytest.mark.parametrize("has_raw_path", [True, False])
def test_prefix_is_relative_to_the_mount(has_raw_path: bool, script_name: str) -> None:  # M10
    quoted = script_name.encode("latin-1").decode().replace("é", "%C3%A9")
    target = f"{quoted}/v1/responses/r%2Fs" if has_raw_path else f"{quoted}/v1/responses/r"
    more: Any = {"REQUEST_URI": target} if has_raw_path else {}
    app = App(b"[]")

    request(chat(app), "GET", target, script_name=script_name, **more)

    response_id = "r/s" if has_raw_path else "r"
    assert app.call.path_params == {"response_id": response_id}
    assert app.call.path == app.kwargs["mlrun_request_path"] == f"/v1/responses/{response_id}"  # B9
    assert (app.environs[0]["SCRIPT_NAME"], app.environs[0]["PATH_INFO"]) == (
        script_name,
        f"/v1/responses/{'r%2Fs' if has_raw_path else 'r'}",
    )


@pytest.mark.parametrize(
    ("script_name", "path_info"),
    [("/v1", "/responses/r"), ("/api", "/v1x/responses/r"), ("/api/v1", "/responses/r"), ("/v1", "/v1x")],
)
def test_mount_is_no_part_of_the_prefix(script_name: str, path_info: str) -> None:  # M10
    app = App(b"[]")

    request(chat(app), "GET", PATH_INFO=path_info, SCRIPT_NAME=script_name)

    assert "openai_middleware.call" not in app.environs[0]


@pytest.mark.parametrize("missing", [{"SCRIPT_NAME": None, "PATH_INFO": "/run"}, {"SCRIPT_NAME": "/run"}])
def test_either_half_of_the_path_may_be_empty(missing: Any) -> None:
    app = App()
    is_root = missing["SCRIPT_NAME"] is not None
    path = "/" if is_root else "/run"

    Server().serve(endpoint(app, path=path), environ("POST", "", **{"PATH_INFO": "", **missing}))

    assert app.call.path == path


@pytest.mark.parametrize(("query", "kwargs"), [("a=1&a=2", {"a": ["1", "2"]}), ("b[]=%C3%A9", {"b": ["é"]}), ("", {})])
def test_query_parameters_are_kwargs(query: str, kwargs: Any) -> None:  # Q1 Q3
    app = App()

    request(endpoint(app, include_url_info=False), "POST", f"/run?{query}")

    assert app.kwargs == kwargs


def test_query_string_may_be_raw_bytes_or_absent() -> None:  # Q1
    app = App()
    middleware = endpoint(app, include_url_info=False)

    request(middleware, "POST", "/run", QUERY_STRING="é=ü".encode().decode("latin-1"))
    request(middleware, "POST", "/run", QUERY_STRING=None, is_validated=False)

    assert [seen["openai_middleware.call"].kwargs for seen in app.environs] == [{"é": "ü"}, {}]


# --- what is not ours


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/"), ("GET", "/run"), ("POST", "/run/"), ("HEAD", "/run"), ("POST", "/RUN")]
)
def test_unmatched_request_reaches_the_app_untouched(method: str, target: str) -> None:  # M11 W2
    stream = Input(b"{}")
    env = environ(method, target, stream, headers=[("Accept-Encoding", "gzip")], CONTENT_LENGTH="2")
    before = dict(env)
    seen: list[Any] = []
    returned = Body(WIDE)
    server = Server()
    start_response = server.start_response

    def app(*arguments: Any) -> Body:
        seen.extend(arguments)
        return returned

    answer = endpoint(app, gives=GIVES)(env, start_response)

    assert answer is returned
    assert seen[0] is env
    assert seen[1] is start_response
    assert env == before
    assert (stream.reads, server.log, returned.produced, returned.closes) == ([], [], 0, 0)


def test_middleware_that_is_switched_off_is_not_there() -> None:  # M14
    config = APIHandlerConfig(enabled=False)
    config.set_openai_frontend(prefix="/v1")
    env = environ("POST", "/v1/responses")
    returned = Body(WIDE)

    assert OpenAIWSGIMiddleware(lambda *_: returned, config=config)(env, Server().start_response) is returned
    assert "openai_middleware.call" not in env


def test_exception_of_an_unmatched_app_is_its_own() -> None:  # M11
    with pytest.raises(NotFoundError):
        request(endpoint(App(raises=NotFoundError("Gone."))), "GET", "/")


@pytest.mark.parametrize(
    ("method", "target", "status", "allow"), [("GET", "/x", 404, None), ("DELETE", "/v1/responses", 405, "POST")]
)
def test_gate_refuses_what_matches_nothing(method: str, target: str, status: int, allow: str | None) -> None:  # M11
    stream = Input()
    app = App()

    sent = request(chat(app, unmatched="reject"), method, target, stream, CONTENT_LENGTH="100")

    assert (sent.status, sent.header("allow"), stream.reads, app.is_called) == (status, allow, [], False)
    assert sent.error["param"] is None


@pytest.mark.parametrize("target", ["/admin/x", "/%61dmin/x", "//admin/x", "/run/../admin/x", "/admin%2Fx"])
@pytest.mark.parametrize("has_raw_path", [True, False])
@pytest.mark.parametrize("unmatched", ["pass", "reject"])
def test_forbidden_request_is_refused_before_its_body_is_read(
    unmatched: Any, has_raw_path: bool, target: str
) -> None:  # M13
    config = APIHandlerConfig()
    config.add_endpoint_handler("/admin/*", "POST", action=APIHandlerAction.FORBID)
    stream = Input()
    app = App()
    more: Any = {"REQUEST_URI": target} if has_raw_path else {}

    middleware = OpenAIWSGIMiddleware(app, config=config, unmatched=unmatched)
    sent = request(middleware, "POST", target, stream, CONTENT_LENGTH="99", **more)

    assert (sent.status, sent.error["code"]) == (403, "forbidden")
    assert stream.reads == []
    assert not app.is_called


# --- the environ, the thread and the context


def test_servers_environ_stays_as_it_was() -> None:  # O9
    def app(environ: Environ, start_response: Any) -> Any:
        environ["PATH_INFO"] = environ["SCRIPT_NAME"] = "/changed"
        environ["own"] = 1
        del environ["QUERY_STRING"]
        return App()(environ, start_response)

    env = environ("POST", "/run?a=1", b"{}", headers=[("Accept-Encoding", "gzip")])
    before = dict(env)

    Server().serve(endpoint(app), env)

    assert env == before


def test_app_finds_all_that_the_server_put_into_the_environ() -> None:  # O7 O9
    app = App()
    own = object()
    env = environ("POST", "/run?a=1", b"{}", headers=[("Accept-Encoding", "gzip"), ("X-A", "1")], own=own)

    Server().serve(endpoint(app), env)

    [seen] = app.environs
    assert type(seen) is dict
    assert seen["own"] is own
    changed = {"wsgi.input", "openai_middleware.call", "wsgi.input_terminated"}
    assert {k: v for k, v in seen.items() if k not in changed} == {
        k: v for k, v in env.items() if k not in {"wsgi.input", "HTTP_ACCEPT_ENCODING"}
    }
    assert seen["openai_middleware.call"].kwargs == {"a": "1"}


def test_app_runs_in_the_same_thread_and_context() -> None:  # O9
    variable = contextvars.ContextVar("variable", default="unset")
    seen: list[object] = []

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        seen.extend([threading.current_thread(), variable.get()])
        variable.set("by the app")
        start_response("200 OK", list(JSON_HEADERS))
        yield WIDE

    variable.set("by the server")
    request(endpoint(app, gives=GIVES), "POST", "/run")

    assert seen == [threading.current_thread(), "by the server"]
    assert variable.get() == "by the app"


def test_eight_threads_and_a_thousand_interleaved_requests_do_not_touch_each_other() -> None:
    all_are_here = threading.Barrier(8)

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        all_are_here.wait(60)
        number = environ["openai_middleware.call"].kwargs["model"]
        is_stream = number % 2 == 0
        start_response("200 OK", list(EVENTS if is_stream else JSON_HEADERS))
        all_are_here.wait(60)
        yield b"data: " * is_stream + b'{"junk": 1, "id": '
        all_are_here.wait(60)
        yield b'%d, "object": "", "created": 1, "model": "", "choices": []}' % number + b"\n\n" * is_stream

    middleware = chat(app)

    def answered(number: int) -> Any:
        sent = request(
            middleware, "POST", "/v1/chat/completions", {"model": number, "messages": [], "stream": number % 2 == 0}
        )
        if number % 2:
            return sent.json["id"]
        event, done = parse(sent.body)
        assert done == Event("[DONE]")
        return json.loads(event.data)["id"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(answered, range(1000))) == list(range(1000))


# --- answers


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", PLAIN),
        ("200 OK", []),
        ("200 OK", [*JSON_HEADERS, ("Content-Encoding", "gzip")]),
        ("206 Partial Content", JSON_HEADERS),
        ("302 Found", JSON_HEADERS),
        ("404 Not Found", JSON_HEADERS),
        ("422 Unprocessable Entity", EVENTS),
        ("500 Oops", JSON_HEADERS),
        ("599 Own", JSON_HEADERS),
    ],
)
def test_other_answers_leave_as_they_come(status: str, headers: WSGIHeaders) -> None:  # O1
    headers = [*headers, ("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("ETag", "e"), ("Content-Length", "22")]
    chunks = [WIDE[:3], WIDE[3:], b"\n\n"]
    server = Server()

    server.serve(endpoint(App(Body(*chunks), status, headers), gives=GIVES), environ("POST", "/run"))

    [start] = server.starts
    assert (start.status, start.headers) == (status, headers)
    assert all(sent is chunk for sent, chunk in zip(server.sent_bytes, chunks, strict=True))


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "404 Not Found", "500 Oops"])
def test_answer_without_a_body_is_one(status: str) -> None:  # O1
    headers = [] if status[:3] in ("204", "304") else JSON_HEADERS

    sent = request(endpoint(App(Body(), status, headers), gives=GIVES), "POST", "/run")

    assert (sent.status, sent.body, sent.is_complete) == (int(status[:3]), b"", True)


def test_answer_to_head_leaves_as_it_comes() -> None:  # O1
    headers = [*JSON_HEADERS, ("Content-Length", "20")]
    server = Server()

    server.serve(endpoint(App(Body(), headers=headers), gives=GIVES, method="HEAD"), environ("HEAD", "/run"))

    assert server.starts[0].headers == headers


def test_answer_that_is_not_mapped_leaves_chunk_by_chunk() -> None:  # O1
    body = Body(b"a", b"b", b"c")
    server = Server()

    server.call(endpoint(App(body, headers=PLAIN), gives=GIVES), environ("POST", "/run"))

    assert (server.log, body.produced) == (["start"], 1)
    for count in (1, 2, 3):
        server.step()
        assert (body.produced, server.log) == (count, ["start", *["chunk"] * count])
    assert server.step() is None


@pytest.mark.parametrize(
    "chunks", [[WIDE], [WIDE[:1], WIDE[1:]], [b"", WIDE, b""], [WIDE[i : i + 1] for i in range(len(WIDE))]]
)
@pytest.mark.parametrize("name", ["Content-Length", "content-length", None])
def test_json_answer_is_mapped_and_described_anew(name: str | None, chunks: list[bytes]) -> None:  # O2
    own = [("Set-Cookie", "a=1"), ("X-Own", "1"), ("Set-Cookie", "b=2")]
    headers = [*own[:1], *JSON_HEADERS, ("ETag", "e"), *([(name, str(len(WIDE)))] if name else []), *own[1:]]
    server = Server()

    sent = request(endpoint(App(Body(*chunks), "201 Made", headers), gives=GIVES), "POST", "/run", server=server)

    assert (sent.body, sent.is_complete) == (NARROW, True)
    assert server.starts[0].status == "201 Made"
    length = [(name or "content-length", str(len(NARROW)))]
    assert sorted(server.starts[0].headers) == sorted([*own, *JSON_HEADERS, *length])


def test_answer_that_is_right_leaves_as_it_came() -> None:  # O2
    headers = [*JSON_HEADERS, ("ETag", "e"), ("Content-Length", "9")]
    server = Server()

    server.serve(endpoint(App(Body(b'{"id": 1}'), headers=headers), gives=GIVES), environ("POST", "/run"))

    assert (server.starts[0].headers, server.sent_bytes) == (headers, [b'{"id": 1}'])


@pytest.mark.parametrize(("body", "param"), [(b'{"other": 1}', "id"), (b"[]", None), (b'"x"', None)])
def test_answer_without_a_mandatory_field_is_an_error(
    body: bytes, param: str | None, caplog: pytest.LogCaptureFixture
) -> None:  # O3 O6
    returned = Body(body)

    sent = request(endpoint(App(returned), gives=GIVES), "POST", "/run")

    assert (sent.status, sent.error["param"], sent.error["code"]) == (422, param, "invalid_response")
    assert (returned.closes, sent.is_complete) == (1, True)
    assert "POST:/run" in caplog.text


def test_answer_that_is_no_json_leaves_as_it_is() -> None:  # O8
    sent = request(endpoint(App(b"{nonsense"), gives=GIVES), "POST", "/run")

    assert (sent.status, sent.body) == (200, b"{nonsense")


def test_required_and_nullable_fields_are_filled() -> None:  # O4
    response = dict.fromkeys(["id", "object", "created_at", "model", "output", "parallel_tool_calls", "tools"], 1)
    sent = request(chat(App({**response, "tool_choice": 1})), "GET", "/v1/responses/r")

    assert sent.json["error"] is None
    assert sent.json["top_p"] is None


@pytest.mark.parametrize(("option", "answer"), [("omit", {"id": 1}), ("null", {"id": 1, "name": None})])
def test_absent_optional_fields_are_left_out_or_filled(option: Any, answer: Any) -> None:  # O5
    middleware = endpoint(App({"id": 1}), gives=[*GIVES, ("name", "name")], absent_optional=option)

    assert request(middleware, "POST", "/run").json == answer


@pytest.mark.parametrize(("status", "line"), [(404, "404 Not Found"), (429, "429 Too Many Requests")])
def test_errors_have_a_status_line(status: int, line: str) -> None:  # E1
    server = Server()

    request(endpoint(App(raises=OpenAIError("No.", status_code=status))), "POST", "/run", server=server)

    assert server.starts[0].status == line


@given(st.integers(100, 599))
def test_status_line_is_one_that_servers_take(status: int) -> None:
    code, space, phrase = status_line(status).partition(" ")

    assert (code, space) == (str(status), " ")
    assert phrase.strip() == phrase != ""


# --- when start_response is called


def test_app_may_start_its_answer_at_the_first_chunk() -> None:  # W2
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", list(JSON_HEADERS))
        yield WIDE

    assert request(endpoint(app, gives=GIVES), "POST", "/run").body == NARROW


@pytest.mark.parametrize("error", [NotFoundError("Gone.", code="gone"), ZeroDivisionError()])
@pytest.mark.parametrize("has_started", [True, False])
def test_app_may_fail_at_the_first_chunk(has_started: bool, error: Exception) -> None:  # E4 O8
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        if has_started:
            start_response("200 OK", list(PLAIN))
        raise error
        yield b""

    assert failed(app) == failure_before_any_byte(error)


@pytest.mark.parametrize("chunks", [[], [b""], [b"x"]])
def test_app_that_never_starts_an_answer_is_told_so(chunks: list[bytes]) -> None:
    returned = Body(*chunks)
    server = Server()

    with pytest.raises(RuntimeError, match="before it called start_response"):
        server.serve(endpoint(lambda *_: returned, gives=GIVES), environ("POST", "/run"))

    assert (server.log, returned.closes) == ([], 1)


# --- apps that fail


def failed(app: Any, middleware: Any = None) -> tuple[Sent, BaseException | None]:
    """What was sent, and what reached the server."""
    server = Server()
    try:
        request(middleware or endpoint(app, gives=GIVES), "POST", "/run", server=server)
    except Exception as error:
        return server.sent, error
    return server.sent, None


class failure_before_any_byte:  # noqa: N801 - reads as a function
    """Equal to what `failed` returns where nothing had left when the app failed: an envelope, or the exception."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __eq__(self, other: Any) -> bool:
        sent, raised = other
        if not isinstance(self._error, OpenAIError):
            return raised is self._error and raised.__context__ is None and sent.messages == []
        return raised is None and sent.status == 404 and sent.error["code"] == "gone"

    __hash__ = None  # type: ignore[assignment]


ERRORS = pytest.mark.parametrize(
    "error", [NotFoundError("Gone.", code="gone"), ZeroDivisionError()], ids=["own", "foreign"]
)


@ERRORS
def test_app_that_fails_when_it_is_called(error: Exception) -> None:  # E4
    assert failed(App(raises=error)) == failure_before_any_byte(error)


@ERRORS
@pytest.mark.parametrize("headers", [PLAIN, JSON_HEADERS, EVENTS])
def test_app_that_fails_between_its_start_and_its_return(headers: WSGIHeaders, error: Exception) -> None:  # O8 E4
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", list(headers))
        raise error

    assert failed(app) == failure_before_any_byte(error)


@ERRORS
@pytest.mark.parametrize(
    ("headers", "chunks"),
    [
        (PLAIN, []),
        (PLAIN, [b"", b""]),
        (JSON_HEADERS, [b'{"id"', b": 1"]),
        (EVENTS, []),
        (EVENTS, [b"data: {", b"}\n"]),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
def test_app_that_fails_before_a_byte_has_left(
    status: str, headers: WSGIHeaders, chunks: list[bytes], error: Exception
) -> None:  # O8 E4
    returned = Body(*(chunks if status == "200 OK" else []), error)

    assert failed(App(returned, status, headers)) == failure_before_any_byte(error)
    assert returned.closes == 1


@ERRORS
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Oops"])
def test_answer_that_the_app_does_not_finish_is_never_completed(status: str, error: Exception) -> None:  # O8
    returned = Body(b"one", b"two", error)

    sent, raised = failed(App(returned, status, PLAIN))

    assert raised is error
    assert (sent.status, sent.body, sent.is_complete) == (int(status[:3]), b"onetwo", False)
    assert returned.closes == 1


# --- event streams


def test_first_event_leaves_before_the_second_is_produced() -> None:  # W2 S1
    body = Body(chunk(1, junk=1), chunk(2), chunk(3))
    server = Server()

    server.call(chat(App(body, headers=EVENTS)), environ("POST", "/v1/chat/completions", json.dumps(CHAT).encode()))

    assert body.produced == 1
    for number in (1, 2, 3):
        sent = server.step()
        assert sent is not None
        assert json.loads(parse(sent)[0].data) == {"id": number, "choices": []}
        assert body.produced == number
    assert server.step() == b"data: [DONE]\n\n"  # S3
    assert server.step() is None


def test_event_leaves_with_its_last_byte_and_the_start_with_the_first_event() -> None:  # S1
    event = chunk()
    body = Body(*(event[i : i + 1] for i in range(len(event))), chunk())
    server = Server()

    server.call(endpoint(App(body, headers=EVENTS)), environ("POST", "/run"))
    assert server.log == ["start"]
    server.step()

    assert (server.log, server.sent_bytes, body.produced) == (["start", "chunk"], [event], len(event))


STREAM = b'id: 1\r\ndata: {"id": 1,\r\ndata: "junk": 2}\r\n\r\n: hi\n\nevent: x\n\ndata: {"id": 2}\r\rdata:{"id":3}'


@given(st.sets(st.integers(1, len(STREAM) - 1)), st.sampled_from(["returned", "written", "both"]))
def test_any_split_of_a_stream_gives_the_same_bytes(cuts: set[int], how: str) -> None:  # S1
    def sent(chunks: list[bytes], how: str) -> bytes:
        def app(environ: Environ, start_response: Any) -> list[bytes]:
            write = start_response("200 OK", list(EVENTS))
            count = {"returned": 0, "written": len(chunks), "both": len(chunks) // 2}[how]
            for data in chunks[:count]:
                write(data)
            return chunks[count:]

        served = chat(app, endpoints=["chat_completions"])
        return request(served, "POST", "/v1/chat/completions", CHAT).body

    edges = [0, *sorted(cuts), len(STREAM)]

    assert sent([STREAM[a:b] for a, b in pairwise(edges)], how) == sent([STREAM], "returned")


def test_last_event_ends_with_an_empty_line() -> None:  # S3
    sent = request(chat(App(Body(b"data: {}"), headers=EVENTS)), "POST", "/v1/chat/completions", CHAT)

    assert sent.body == b"data: {}\n\ndata: [DONE]\n\n"
    assert sent.is_complete


def test_empty_chat_stream_is_a_stream_that_is_done() -> None:  # S3
    sent = request(chat(App(Body(), headers=EVENTS)), "POST", "/v1/chat/completions", CHAT)

    assert (sent.status, sent.body, sent.header("content-type")) == (200, b"data: [DONE]\n\n", "text/event-stream")


def test_empty_stream_of_ones_own_is_an_empty_answer() -> None:  # S3
    sent = request(endpoint(App(Body(), headers=EVENTS)), "POST", "/run")

    assert (sent.status, sent.body, sent.is_complete) == (200, b"", True)


def test_events_of_a_response_are_numbered() -> None:  # S3
    events = [b'data: {"type": "response.output_text.delta", "delta": "x"}\n\n'] * 2

    sent = request(chat(App(Body(*events), headers=EVENTS)), "POST", "/v1/responses", {"input": "x", "stream": True})

    assert [json.loads(event.data)["sequence_number"] for event in parse(sent.body)] == [0, 1]


def test_blocks_without_data_are_dropped() -> None:  # S5
    blocks = [b"event: x\n\n", b"id: 1\n\n", b"retry: 5\n\n", b"data:\n\n", b": a comment\n\n", b"data: x\n\n"]

    sent = request(endpoint(App(Body(*blocks), headers=EVENTS)), "POST", "/run")

    assert sent.body == b": a comment\n\ndata: x\n\n"


@pytest.mark.parametrize("own", [[], [("Cache-Control", "no-store")], [("x-accel-buffering", "yes")]])
def test_streams_are_not_held_back_by_proxies(own: WSGIHeaders) -> None:  # S6
    headers = [*EVENTS, ("Content-Length", "9"), ("X-Own", "1"), *own]

    sent = request(endpoint(App(Body(chunk()), headers=headers)), "POST", "/run")

    wanted = {"cache-control": "no-cache", "x-accel-buffering": "no", **{name.lower(): value for name, value in own}}
    assert {name: sent.header(name) for name in wanted} == wanted
    assert (sent.header("content-length"), sent.header("x-own")) == (None, "1")


@pytest.mark.parametrize(
    ("target", "body", "frame"),
    [
        ("/v1/chat/completions", CHAT, Event('{"error":%s}')),
        (
            "/v1/responses",
            {"input": "x", "stream": True},
            Event('{"type":"error","sequence_number":1,"error":%s}', "error"),
        ),
    ],
)
@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (NotFoundError("Gone.", param="p", code="c"), ["Gone.", "invalid_request_error", "p", "c"]),
        (
            ZeroDivisionError("secret"),
            ["The server failed while it was sending this answer.", "server_error", None, None],
        ),
    ],
)
def test_stream_that_fails_ends_well_with_an_error_frame_and_the_log_has_the_exception(
    error: Exception, detail: list[Any], target: str, body: Any, frame: Event, caplog: pytest.LogCaptureFixture
) -> None:  # S4
    event = b'data: {"type":"response.created","sequence_number":0,"id":1}\n\n'
    returned = Body(event, b'data: {"hal', error)
    server = Server()

    request(chat(App(returned, headers=EVENTS)), "POST", target, body, server=server)

    assert logged(caplog) == [error]
    text = json.dumps(dict(zip(["message", "type", "param", "code"], detail, strict=True)), separators=(",", ":"))
    assert parse(server.sent.body)[1:] == [frame._replace(data=frame.data % text)]
    assert server.sent.is_complete
    assert returned.closes == 1


def logged(caplog: pytest.LogCaptureFixture) -> list[BaseException | None]:
    """The exceptions in the log, each with one line that says where."""
    records = [record for record in caplog.records if record.exc_info]
    assert all(
        ": the app failed after its event stream had begun (request req_" in record.getMessage() for record in records
    )
    return [record.exc_info[1] for record in records if record.exc_info]


def test_stream_that_fails_after_its_end_has_no_error_frame(caplog: pytest.LogCaptureFixture) -> None:  # S4
    error = ZeroDivisionError()
    returned = Body(chunk(), b"data: [DONE]\n\n", error)

    sent, raised = failed(None, validated_chat(returned))

    assert (raised, logged(caplog)) == (None, [error])
    assert (sent.body, sent.is_complete) == (chunk() + b"data: [DONE]\n\n", True)


def validated_chat(returned: Body) -> Any:
    middleware = chat(App(returned, headers=EVENTS))

    def app(env: Environ, start_response: Any) -> Iterable[bytes]:
        body = json.dumps(CHAT).encode()
        return middleware({**env, **environ("POST", "/v1/chat/completions", body)}, start_response)

    return app


# --- close()


def answering(returned: Body, headers: WSGIHeaders) -> OpenAIWSGIMiddleware:
    return endpoint(App(returned, headers=headers), gives=GIVES)


KINDS = pytest.mark.parametrize("headers", [PLAIN, JSON_HEADERS, EVENTS], ids=["pass", "json", "stream"])


@KINDS
@pytest.mark.parametrize("chunks", [[], [NARROW], [b'{"id', b'": 1}', chunk()]])
def test_iterable_is_closed_once_when_all_is_sent(chunks: list[bytes], headers: WSGIHeaders) -> None:  # W2
    returned = Body(*chunks)
    server = Server()

    server.serve(answering(returned, headers), environ("POST", "/run"))
    assert returned.closes == 1
    server.close()

    assert returned.closes == 1


@KINDS
@pytest.mark.parametrize("before", [[], [chunk()]])
@pytest.mark.parametrize("error", [NotFoundError("Gone."), ZeroDivisionError(), KeyboardInterrupt()], ids=repr)
def test_iterable_is_closed_once_when_it_raises(
    error: BaseException, before: list[bytes], headers: WSGIHeaders
) -> None:  # W2
    returned = Body(*before, error)
    server = Server()

    is_answered = isinstance(error, NotFoundError) and not (before and headers is not JSON_HEADERS)
    is_ended = isinstance(error, Exception) and bool(before) and headers is EVENTS
    if is_answered or is_ended:
        server.serve(answering(returned, headers), environ("POST", "/run"))
    else:
        with pytest.raises(type(error)):
            server.serve(answering(returned, headers), environ("POST", "/run"))
    server.close()

    assert returned.closes == 1


@KINDS
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_iterable_is_closed_once_when_the_server_stops_early(steps: int, headers: WSGIHeaders) -> None:  # W2 S8
    returned = Body(*[chunk()] * 5)
    server = Server()

    server.call(answering(returned, headers), environ("POST", "/run"))
    for _ in range(steps):
        server.step()
    assert returned.closes == 0
    server.close()
    server.close()

    assert returned.closes == 1


@KINDS
def test_iterable_is_closed_once_when_sending_fails(headers: WSGIHeaders) -> None:  # W2 S8
    returned = Body(NARROW, chunk(), chunk())
    server = Server(fails=BrokenPipeError())

    with pytest.raises(BrokenPipeError):
        server.serve(answering(returned, headers), environ("POST", "/run"))

    assert returned.closes == 1


@KINDS
def test_iterable_whose_close_fails_is_not_closed_again(headers: WSGIHeaders) -> None:  # W2
    returned = Body(NARROW, b"\n\n", close_raises=ZeroDivisionError())
    server = Server()

    with pytest.raises(ZeroDivisionError):
        server.serve(answering(returned, headers), environ("POST", "/run"))
    server.close()

    assert returned.closes == 1
    assert server.sent.is_complete


def test_failed_stream_whose_close_fails_tells_of_both(caplog: pytest.LogCaptureFixture) -> None:  # W2 S4
    error = ValueError()
    returned = Body(chunk(), error, close_raises=ZeroDivisionError())

    _, raised = failed(App(returned, headers=EVENTS))

    assert isinstance(raised, ZeroDivisionError)
    assert logged(caplog) == [error]
    assert returned.closes == 1


@pytest.mark.parametrize("steps", [1, 2])
def test_generator_that_the_server_stops_runs_its_finally_at_once(steps: int) -> None:  # W2 S8
    seen = []

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", list(EVENTS))
        try:
            while True:
                yield chunk()
        finally:
            seen.append("closed")

    server = Server()
    server.call(endpoint(app), environ("POST", "/run"))
    for _ in range(steps):
        server.step()
    server.close()

    assert seen == ["closed"]


def test_generator_that_is_never_started_is_closed() -> None:  # W2
    generators = []

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", list(JSON_HEADERS))
        generators.append(chunk for chunk in [WIDE])
        return generators[0]

    server = Server()
    server.call(endpoint(app, gives=GIVES), environ("POST", "/run"))
    server.close()

    assert list(generators[0]) == []


@KINDS
def test_iterable_needs_no_close(headers: WSGIHeaders) -> None:  # W2
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", list(headers))
        return (NARROW, b"\n\n")

    server = Server()
    server.serve(endpoint(app, gives=GIVES), environ("POST", "/run"))

    assert server.sent.is_complete


def test_app_that_fails_when_it_is_called_has_nothing_to_close() -> None:  # W2
    sent = request(endpoint(App(raises=NotFoundError("Gone."))), "POST", "/run")

    assert sent.is_complete


# --- wsgi.file_wrapper


def test_file_leaves_by_the_servers_own_wrapper() -> None:  # O1 W2
    wrapped = FileWrapper(BytesIO(b"file"))

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", list(PLAIN))
        return wrapped

    server = Server()
    server.call(endpoint(app, gives=GIVES), environ("POST", "/run"))

    assert server.returned is wrapped
    assert server.log == ["start"]
    assert server.step() == b"file"


@pytest.mark.parametrize(("headers", "sent"), [(JSON_HEADERS, NARROW), (EVENTS, b"data: x\n\n")])
def test_file_that_is_to_be_mapped_is_mapped(headers: WSGIHeaders, sent: bytes) -> None:  # O2
    file = BytesIO(WIDE if headers is JSON_HEADERS else b"data: x")

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", list(headers))
        return environ["wsgi.file_wrapper"](file)

    assert request(endpoint(app, gives=GIVES), "POST", "/run").body == sent
    assert file.closed


@pytest.mark.parametrize("wrapper", [None, lambda file, size=0: FileWrapper(file)])
def test_server_without_a_wrapper_class_gets_the_file_in_chunks(wrapper: Any) -> None:  # O1
    file = BytesIO(b"file")

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", list(PLAIN))
        return FileWrapper(file)

    server = Server()
    server.serve(endpoint(app, gives=GIVES), environ("POST", "/run", **{"wsgi.file_wrapper": wrapper}))

    assert (server.sent.body, file.closed) == (b"file", True)


# --- write()


def writing(headers: WSGIHeaders, *written: bytes, returned: Iterable[bytes] = ()) -> Any:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", list(headers))
        for data in written:
            write(data)
        return returned

    return app


def test_written_bytes_leave_at_once() -> None:  # W3
    server = Server()
    seen = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", list(PLAIN))
        seen.append(list(server.log))
        write(b"")
        for data in (b"a", b"b"):
            write(data)
            seen.append(list(server.log))
        return [b"c"]

    server.serve(endpoint(app, gives=GIVES), environ("POST", "/run"))

    assert seen == [[], ["start", "write"], ["start", "write", "write"]]
    assert (server.sent_bytes, server.sent.is_complete) == ([b"a", b"b", b"c"], True)


@pytest.mark.parametrize("count", range(4))
def test_written_json_is_mapped_with_what_is_returned(count: int) -> None:  # W3 O2
    parts = [WIDE[:5], WIDE[5:9], WIDE[9:]]
    server = Server()

    sent = request(
        endpoint(writing(JSON_HEADERS, *parts[:count], returned=parts[count:]), gives=GIVES),
        "POST",
        "/run",
        server=server,
    )

    assert (sent.body, sent.header("content-length"), server.log) == (NARROW, "8", ["start", "chunk"])


def test_written_events_leave_when_they_are_whole() -> None:  # W3 S1
    server = Server()
    seen = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", list(EVENTS))
        for data in (b"data", b": x\n", b"\n", b"data: y"):
            write(data)
            seen.append(b"".join(server.sent_bytes))
        return [b"z\n"]

    server.serve(endpoint(app), environ("POST", "/run"))

    assert seen == [b"", b"", b"data: x\n\n", b"data: x\n\n"]
    assert server.sent_bytes == [b"data: x\n\n", b"data: yz\n\n"]


def test_app_that_only_writes_needs_to_return_nothing_more() -> None:  # W3
    assert request(endpoint(writing(JSON_HEADERS, WIDE), gives=GIVES), "POST", "/run").body == NARROW
    assert request(endpoint(writing(PLAIN, b"x"), gives=GIVES), "POST", "/run").body == b"x"


@ERRORS
def test_app_that_fails_after_it_has_written_events_ends_its_stream_with_a_frame(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:  # W3 S4
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", list(EVENTS))(chunk() + b"data: hal")
        raise error

    sent, raised = failed(app)

    assert (raised, logged(caplog)) == (None, [error])
    [event, frame] = parse(sent.body)
    assert event.data in chunk().decode()
    assert json.loads(frame.data)["error"]["type"] in ("server_error", "invalid_request_error")
    assert sent.is_complete


@ERRORS
def test_app_that_fails_after_it_has_written_plain_bytes_is_not_answered_for(error: Exception) -> None:  # W3 O8
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", list(PLAIN))(b"x")
        raise error

    sent, raised = failed(app)

    assert raised is error
    assert (sent.body, sent.is_complete) == (b"x", False)


@ERRORS
def test_app_that_fails_after_it_has_written_json_has_sent_nothing(error: Exception) -> None:  # W3 O8
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", list(JSON_HEADERS))(WIDE)
        raise error

    assert failed(app) == failure_before_any_byte(error)


@pytest.mark.parametrize("headers", [PLAIN, EVENTS])
def test_server_that_fails_while_the_app_writes_gets_nothing_more(headers: WSGIHeaders) -> None:  # W3 S4
    class Gone(Server):
        def write(self, data: bytes) -> None:
            raise BrokenPipeError

    server = Gone()

    with pytest.raises(BrokenPipeError):
        server.call(endpoint(writing(headers, chunk())), environ("POST", "/run"))

    assert (server.log, server.returned) == (["start"], None)


# --- a second start_response


def exc_info(error: Exception) -> Any:
    try:
        raise error
    except Exception:
        return sys.exc_info()


@pytest.mark.parametrize("headers", [PLAIN, JSON_HEADERS, EVENTS])
def test_second_start_needs_an_exception(headers: WSGIHeaders) -> None:  # W3
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", list(headers))
        start_response("200 OK", list(headers))

    # Without the validator, whose complaint would come first.
    with pytest.raises(RuntimeError, match="without exc_info"):
        Server().serve(endpoint(app, gives=GIVES), environ("POST", "/run"))


@pytest.mark.parametrize(("first", "written"), [(PLAIN, b""), (JSON_HEADERS, WIDE), (EVENTS, b"data: x")])
@pytest.mark.parametrize(
    ("status", "second", "body", "sent_body"),
    [
        ("500 Oops", PLAIN, b"Sorry.", b"Sorry."),
        ("500 Oops", JSON_HEADERS, WIDE, WIDE),
        ("200 OK", JSON_HEADERS, WIDE, NARROW),
        ("200 OK", EVENTS, b"data: y", b"data: y\n\n"),
    ],
)
def test_second_start_replaces_the_first_while_nothing_has_left(
    status: str, second: WSGIHeaders, body: bytes, sent_body: bytes, first: WSGIHeaders, written: bytes
) -> None:  # W3
    server = Server()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", list(first))
        write(written)
        write = start_response(status, list(second), exc_info(ZeroDivisionError()))
        write(b"")
        return [body]

    sent = request(endpoint(app, gives=GIVES), "POST", "/run", server=server)

    assert [start.status for start in server.starts] == [status]
    assert (sent.header("content-type"), sent.body) == (second[0][1], sent_body)


def test_first_start_may_have_an_exception_already() -> None:  # W3
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("500 Oops", list(PLAIN), exc_info(ZeroDivisionError()))
        return [b"Sorry."]

    assert request(endpoint(app, gives=GIVES), "POST", "/run").body == b"Sorry."


def test_generator_may_start_again_while_nothing_has_left() -> None:  # W3
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", list(JSON_HEADERS))
        yield WIDE
        start_response("500 Oops", list(PLAIN), exc_info(ZeroDivisionError()))
        yield b"Sorry."

    sent = request(endpoint(app, gives=GIVES), "POST", "/run")

    assert (sent.status, sent.body) == (500, b"Sorry.")


@pytest.mark.parametrize("how", ["write", "yield"])
def test_second_start_raises_the_exception_where_bytes_have_left(how: str) -> None:  # W3
    error = ZeroDivisionError()

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", list(PLAIN))
        if how == "write":
            write(b"x")
        else:
            yield b"x"
        start_response("500 Oops", list(PLAIN), exc_info(error))
        yield b"Sorry."

    sent, raised = failed(app)

    assert raised is error
    assert (sent.status, sent.body, sent.is_complete) == (200, b"x", False)


def test_second_start_within_a_stream_ends_it_with_a_frame(caplog: pytest.LogCaptureFixture) -> None:  # W3 S4
    error = ZeroDivisionError()

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", list(EVENTS))
        yield chunk()
        start_response("500 Oops", list(PLAIN), exc_info(error))
        yield b"Sorry."

    sent, raised = failed(app)

    assert (raised, logged(caplog)) == (None, [error])
    assert [*json.loads(parse(sent.body)[1].data)] == ["error"]
    assert (len(parse(sent.body)), sent.is_complete) == (2, True)


# --- any app

PARTS = st.lists(st.sampled_from([b"", b'{"id"', b": 1}", b', "junk": 2}', b"data: x\n\n", b"[]"]), max_size=4)


@given(
    st.sampled_from(["200 OK", "404 Not Found", "500 Oops"]),
    st.sampled_from([PLAIN, JSON_HEADERS, EVENTS]),
    PARTS,
    PARTS,
    st.sampled_from([None, NotFoundError("Gone."), ZeroDivisionError()]),
    st.integers(0, 3),
    st.booleans(),
)
def test_client_gets_the_apps_answer_or_an_envelope_and_never_both(
    status: str,
    headers: WSGIHeaders,
    written: list[bytes],
    yielded: list[bytes],
    error: Exception | None,
    failing_at: int,
    is_lazy: bool,
) -> None:  # O1 O8 E4 W2 W3
    body = Body(*yielded, *([] if error is None else [error]))

    def started(start_response: Any) -> None:
        write = start_response(status, list(headers))
        for data in written:
            write(data)
        if error is not None and failing_at == 0:
            raise error

    def eager(environ: Environ, start_response: Any) -> Iterable[bytes]:
        started(start_response)
        return body

    def lazy(environ: Environ, start_response: Any) -> Iterable[bytes]:
        started(start_response)
        yield from body

    app = lazy if is_lazy else eager
    server = Server()
    raised = None
    try:
        request(endpoint(validator(app), gives=GIVES), "POST", "/run", server=server)
    except (NotFoundError, ZeroDivisionError) as caught:
        raised = caught

    sent = server.sent
    assert len(server.starts) <= 1
    if error is None:
        assert raised is None
        assert sent.is_complete
    elif raised is None and headers is EVENTS and sent.status == int(status[:3]) == 200:
        assert b'"error":' in sent.body
        assert sent.is_complete
    elif isinstance(error, NotFoundError) and raised is None:
        assert (sent.status, sent.error["message"]) == (404, "Gone.")
    else:
        assert raised is error
        if sent.messages:
            assert sent.status == int(status[:3])
            assert not sent.is_complete
    if headers is PLAIN and error is None:
        assert sent.body == b"".join(written + yielded)


APPS: list[Callable[..., Any]] = [
    App(Body(WIDE)),
    App(Body(b"x"), headers=PLAIN),
    App(Body(chunk()), headers=EVENTS),
    App(Body(), "204 No Content", []),
    App(Body(NotFoundError("Gone."))),
    App(raises=NotFoundError("Gone.")),
    writing(PLAIN, b"x", returned=[b"y"]),
    writing(JSON_HEADERS, WIDE),
]


@pytest.mark.parametrize("app", APPS)
def test_middleware_keeps_to_the_protocol_on_both_sides(app: Any) -> None:
    """As the standard library's validator reads it: it raises an AssertionError and warns of what is wrong."""
    sent = request(endpoint(validator(app), gives=GIVES), "POST", "/run", b"{}")

    assert sent.is_complete


@pytest.mark.parametrize("headers", [JSON_HEADERS, EVENTS, PLAIN])
def test_start_response_is_called_before_the_answer_is_returned(headers: Any) -> None:
    """Some servers look at what was started as soon as they have the iterable."""
    server = Server()

    server.call(endpoint(App(Body(NARROW), headers=headers), gives=GIVES), environ("POST", "/run"))

    assert server.log == ["start"]


def test_error_in_answer_to_head_has_no_body() -> None:
    config = APIHandlerConfig()
    config.add_endpoint_handler("/admin", "GET", APIHandlerAction.FORBID)
    server = Server()

    sent = request(OpenAIWSGIMiddleware(App(), config=config), "HEAD", "/admin", server=server)

    assert (sent.status, sent.body) == (403, b"")


def test_answer_that_was_cut_short_keeps_the_length_that_shows_it() -> None:  # O8
    headers = [*JSON_HEADERS, ("Content-Length", "100")]
    server = Server()

    request(endpoint(App(Body(b'{"id": 1'), headers=headers), gives=GIVES), "POST", "/run", server=server)

    assert ("Content-Length", "100") in server.starts[0].headers
