"""One contract for every way to serve: raw ASGI, raw WSGI, FastAPI, Django in both modes, and Flask.

What is proved here holds whatever the framework. What belongs to one of them has its own file.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from openai_middleware import APIHandlerAction, APIHandlerConfig, BodyMappings, OpenAIEndpoint
from openai_middleware.errors import AuthenticationError, NotFoundError, OpenAIError, RateLimitError
from tests.support.behaviours import Backend, documents, dump, event, streaming
from tests.support.drivers import mappings
from tests.support.samples import COMPLETION, NULLABLE_OF_RESPONSE, RESPONSE
from tests.support.server_sent_events import parse
from tests.support.stacks import EVENTS, JSON, Answer, Reply, Stack, StackedApp

TEXT = [("Content-Type", "text/plain")]
CHAT = b'{"model": "m", "messages": []}'
URL_INFO = {"mlrun_request_path": "/run", "mlrun_request_method": "POST"}
PLAIN = Answer(b"text", headers=TEXT)
DONE = b"data: [DONE]\n\n"
BOOM = ZeroDivisionError("a secret of the app")


def endpoint(
    *, takes: Any = (), gives: Any = (), streams: BodyMappings | None = None, path: str = "/run", method: str = "POST"
) -> APIHandlerConfig:
    """A configuration with one endpoint of the user's own."""
    config = APIHandlerConfig(include_url_info=True)
    config.add_endpoint_handler(
        path,
        method,
        input_body_mappings=mappings(*takes) if takes else None,
        output_body_mappings=mappings(*gives) if gives else None,
        stream_body_mappings=streams,
    )
    return config


def forbidding(*paths: str, method: str = "GET") -> APIHandlerConfig:
    """A configuration that forbids these paths."""
    config = APIHandlerConfig()
    for path in paths:
        config.add_endpoint_handler(path, method, APIHandlerAction.FORBID)
    return config


def chat(app: StackedApp, **options: Any) -> Reply:
    return app.send("POST", "/v1/chat/completions", CHAT, **options)


def talk(app: StackedApp, **options: Any) -> Reply:
    """A chat whose answer is to come in events."""
    return app.send("POST", "/v1/chat/completions", b'{"model": "m", "messages": [], "stream": true}', **options)


def assert_error(reply: Reply, status: int, param: str | None = None) -> None:
    assert (reply.status, reply.error["param"]) == (status, param)


# --- matching


@pytest.mark.parametrize(
    ("request_line", "operation", "params"),
    [
        ("POST /v1/chat/completions", "chat.completions.create", {}),
        ("GET /v1/chat/completions/c-1", "chat.completions.retrieve", {"completion_id": "c-1"}),
        ("GET /v1/chat/completions/c-1/messages", "chat.completions.messages.list", {"completion_id": "c-1"}),
        ("POST /v1/responses/compact", "responses.compact", {}),
        ("GET /v1/responses/compact", "responses.retrieve", {"response_id": "compact"}),
        ("DELETE /v1/responses/r-1", "responses.delete", {"response_id": "r-1"}),
    ],
)
def test_request_reaches_the_app_as_a_call(  # M1 M4 M7 C3
    request_line: str, operation: str, params: dict[str, str], stack: Stack
) -> None:
    backend = Backend(PLAIN)
    method, path = request_line.split()
    body = b'{"model": "m", "messages": [], "input": "i"}' if method == "POST" else b""
    stack.app(backend).send(method, path, body)
    call = backend.call
    assert (call.operation, call.path_params, call.method, call.path) == (operation, params, method, path)


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /health",
        "GET /v1",
        "GET /v1/responses/r-1/",
        "GET /V1/responses/r-1",
        "GET /v1x/responses/r-1",
        "GET /v1/v1/responses/r-1",
        "GET /v1/responses/",
        "GET /responses/r-1",
        "PUT /v1/responses/r-1",
        "HEAD /v1/responses/r-1",
        "OPTIONS /v1/responses/r-1",
        "POST /v1/chat/completions/c-1/messages",
    ],
)
def test_what_no_endpoint_matches_is_the_app_s_own(request_line: str, stack: Stack) -> None:  # M4 M10 M11 M12
    junk = b'{"id": 1, "junk": 2}'
    backend = Backend(junk)
    headers = [*JSON, ("Accept-Encoding", "gzip")]
    method, target = request_line.split()
    reply = stack.app(backend).send(method, target, b'{"a": ', headers=headers)
    assert backend.seen.call is None
    assert (backend.seen.body, backend.seen.headers["accept-encoding"]) == (b'{"a": ', "gzip")
    assert (reply.status, reply.header("content-length")) == (200, str(len(junk)))
    # Flask itself leaves out the body of an answer to HEAD.
    assert reply.body == junk or request_line.startswith("HEAD")


@pytest.mark.parametrize(
    ("segment", "value"),
    [
        ("a%2Fb", "a/b"),
        ("a%2fb%2F", "a/b/"),
        ("%61", "a"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("%zz", "%zz"),
        ("%252F", "%2F"),
        ("%C3%A9", "é"),
        ("r%3F1", "r?1"),
    ],
)
def test_path_parameter_is_decoded_once(segment: str, value: str, stack: Stack) -> None:  # M9
    backend = Backend(PLAIN)
    stack.app(backend).send("GET", f"/v1/responses/{segment}?a=1")
    assert backend.call.path_params == {"response_id": value}
    assert backend.call.kwargs["mlrun_request_path"] == f"/v1/responses/{value}"


def test_path_parameter_that_is_not_utf8_is_still_a_string(stack: Stack) -> None:  # M9
    backend = Backend(PLAIN)
    stack.app(backend).send("GET", "/v1/responses/a%FF")
    assert backend.call.path_params == {"response_id": f"a{stack.not_utf8}"}


@pytest.mark.parametrize("path", ["/v1//responses/r-1", "/v1/responses//", "//v1/responses/r-1"])
def test_doubled_slash_is_an_empty_segment(path: str, stack: Stack) -> None:  # M9
    backend = Backend()
    stack.app(backend, unmatched="reject").send("GET", path)
    assert not backend.is_called


@pytest.mark.parametrize("root_path", ["/api", "/a/b"])
def test_prefix_is_relative_to_where_the_app_is_mounted(root_path: str, stack: Stack) -> None:  # M10 B9
    backend = Backend(PLAIN)
    app = stack.app(backend)
    app.send("GET", f"{root_path}/v1/responses/a%2Fb", root_path=root_path)
    assert backend.call.path_params == {"response_id": "a/b"}
    assert backend.call.kwargs["mlrun_request_path"] == "/v1/responses/a/b"


def test_prefix_is_not_looked_for_above_the_mount(stack: Stack) -> None:  # M10
    backend = Backend(PLAIN)
    stack.app(backend).send("GET", "/v1/responses/r-1", root_path="/v1")
    assert backend.seen.call is None


def test_there_may_be_several_prefixes_and_placeholders_in_them(stack: Stack) -> None:  # C2
    backend = Backend(PLAIN)
    app = stack.app(backend, prefix=["/v1", "/openai/deployments/{deployment}"])
    app.send("GET", "/v1/responses/r-1")
    app.send("GET", "/openai/deployments/d-1/responses/r-1")
    assert [request.call and request.call.path_params for request in backend.requests] == [
        {"response_id": "r-1"},
        {"deployment": "d-1", "response_id": "r-1"},
    ]


def test_only_the_chosen_groups_are_served(stack: Stack) -> None:  # C2
    backend = Backend(PLAIN)
    app = stack.app(backend, endpoints=[OpenAIEndpoint.RESPONSES])
    app.send("POST", "/v1/chat/completions", CHAT)
    app.send("GET", "/v1/responses/r-1")
    assert [request.call is not None for request in backend.requests] == [False, True]


def test_wildcard_takes_what_lies_below_it(stack: Stack) -> None:  # M6
    backend = Backend(PLAIN)
    app = stack.app(backend, config=endpoint(path="/api/*", method="get"))
    for path in ("/api/a", "/api/a/b", "/api/", "/api", "/apix"):
        app.send("GET", path)
    assert [request.call is not None for request in backend.requests] == [True, True, False, False, False]


def test_handler_that_is_switched_off_does_nothing(stack: Stack) -> None:  # M14
    config = forbidding("/v1/*")
    config.enabled = False
    backend = Backend(PLAIN)
    assert stack.app(backend, config=config, unmatched="reject").send("GET", "/v1/x").body == b"text"
    assert backend.seen.call is None


FORBIDDEN = [
    "GET /admin",
    "HEAD /admin",
    "GET /%61dmin",
    "GET //admin",
    "GET /x/../admin",
    "GET /./admin",
    "GET /admin/",
    "GET /x%2F..%2Fadmin",
    "GET /secrets/a",
    "GET /secrets//a/",
    "GET /secrets%2Fa",
]


@pytest.mark.parametrize("request_line", FORBIDDEN)
def test_forbidden_path_is_403_in_every_spelling(request_line: str, stack: Stack) -> None:  # M12 M13 E2
    backend = Backend()
    app = stack.app(backend, config=forbidding("/admin", "/secrets/*"))
    method, target = request_line.split()
    reply = app.send(method, target, b'{"a": ')
    assert reply.status == 403
    assert method == "HEAD" or reply.error["code"] == "forbidden"
    assert not backend.is_called


def test_forbidding_goes_by_the_path_below_the_mount(stack: Stack) -> None:  # M10 M13
    backend = Backend(PLAIN)
    app = stack.app(backend, config=forbidding("/admin"))
    assert app.send("GET", "/api/admin", root_path="/api").status == 403
    assert app.send("GET", "/admin/admin2", root_path="/admin").status == 200


def test_exact_path_is_allowed_under_a_forbidden_wildcard(stack: Stack) -> None:  # M13
    config = forbidding("/api/*")
    config.add_endpoint_handler("/api/open", "GET")
    backend = Backend(PLAIN)
    app = stack.app(backend, config=config)
    assert [app.send("GET", path).status for path in ("/api/open", "/api/other")] == [200, 403]


@pytest.mark.parametrize(
    ("request_line", "status", "allow"),
    [
        ("GET /nowhere", 404, None),
        ("PUT /v1/responses/r-1", 405, "DELETE, GET"),
        ("OPTIONS /v1/chat/completions", 405, "GET, POST"),
    ],
)
def test_unmatched_requests_can_be_rejected(  # M11 E1 E2
    request_line: str, status: int, allow: str | None, stack: Stack
) -> None:
    backend = Backend()
    method, target = request_line.split()
    reply = stack.app(backend, unmatched="reject").send(method, target)
    assert_error(reply, status)
    assert reply.header("allow") == allow
    assert not backend.is_called


# --- from the request to keyword arguments


def test_kwargs_are_of_body_query_path_and_url(stack: Stack) -> None:  # B7 B9 C5 Q1
    backend = Backend(PLAIN)
    body = {"metadata": {"a": "b"}, "own": 1, "mlrun_request_path": "/spoofed"}
    stack.app(backend).send("POST", "/v1/chat/completions/c-1?tag=x&mlrun_request_method=PUT", dump(body))
    assert list(backend.call.kwargs.items()) == [
        ("metadata", {"a": "b"}),
        ("tag", "x"),
        ("completion_id", "c-1"),
        ("mlrun_request_path", "/v1/chat/completions/c-1"),
        ("mlrun_request_method", "POST"),
    ]
    assert backend.call.body == body


def test_url_info_can_be_switched_off(stack: Stack) -> None:  # B9
    backend = Backend(PLAIN)
    stack.app(backend, include_url_info=False).send("GET", "/v1/responses/r-1?mlrun_request_path=/spoofed")
    assert backend.call.kwargs == {"response_id": "r-1"}


@pytest.mark.parametrize(
    ("query", "kwargs"),
    [
        ("q=a&q=b", {"q": ["a", "b"]}),
        ("q=&r", {"q": "", "r": ""}),
        ("q=a+b%20c", {"q": "a b c"}),
        ("q=%C3%A9%E2%82%AC", {"q": "é€"}),
        ("q=é€", {"q": "é€"}),
        ("a;b=c", {"a;b": "c"}),
        ("include%5B%5D=a&include[]=b", {"include": ["a", "b"]}),
        ("starting_after=7&stream=true", {"starting_after": 7, "stream": True}),
        ("metadata[k]=v", {"metadata": {"k": "v"}}),
    ],
)
def test_query_becomes_kwargs(query: str, kwargs: dict[str, Any], stack: Stack) -> None:  # Q1 Q2 Q3 Q4
    backend = Backend(PLAIN)
    stack.app(backend, include_url_info=False).send("GET", f"/v1/responses/r-1?{query}")
    assert backend.call.kwargs == {**kwargs, "response_id": "r-1"}


TAKES = [("$.a", "a", True), ("$.b.c", "c"), ("$..id", "ids")]


@pytest.mark.parametrize(
    ("body", "kwargs"),
    [
        (b'{"a": null}', {"a": None}),
        (b'{"a": 0, "b": {"c": []}}', {"a": 0, "c": []}),
        (b'{"a": "\xc3\xa9", "x": [{"id": 1}, {"id": 2}]}', {"a": "é", "ids": [1, 2]}),
        ([b'{"a"', b"", b": 1", b"}"], {"a": 1}),
    ],
)
def test_body_is_mapped_to_kwargs(body: Any, kwargs: dict[str, Any], stack: Stack) -> None:  # B2 B3 B5
    backend = Backend()
    stack.app(backend, config=endpoint(takes=TAKES)).send("POST", "/run", body)
    assert backend.call.kwargs == {**kwargs, **URL_INFO}
    assert backend.seen.body == (body if isinstance(body, bytes) else b"".join(body))


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"{}", 422, "a"),
        (b"", 422, "a"),
        (b"[1]", 422, None),
        (b'"a"', 422, None),
        (b'{"a": ', 400, None),
        (b'{"a": NaN}', 400, None),
        (b'{"a": "\xff"}', 400, None),
        (b'{"a": ' + b"[" * 100_000, 400, None),
    ],
    ids=lambda value: f"{value!r:.20}",
)
def test_body_that_cannot_be_mapped_never_reaches_the_app(  # B1 B2 B4 B11 E1 E2
    body: bytes, status: int, param: str | None, stack: Stack
) -> None:
    backend = Backend()
    assert_error(stack.app(backend, config=endpoint(takes=TAKES)).send("POST", "/run", body), status, param)
    assert not backend.is_called


@pytest.mark.parametrize(
    ("target", "param"),
    [
        ("/v1/responses/r-1?response_id=r-1", "response_id"),
        ("/v1/responses/r-1?starting_after=many", "starting_after"),
        ("/v1/responses/r-1?starting_after=", "starting_after"),
        ("/v1/responses/r-1?stream=true&stream=true", "stream"),
    ],
)
def test_parameter_that_conflicts_is_refused(target: str, param: str, stack: Stack) -> None:  # B8 Q4 E2
    backend = Backend()
    assert_error(stack.app(backend).send("GET", target), 400, param)
    assert not backend.is_called


@pytest.mark.parametrize(
    ("content_type", "body", "call_body"),
    [
        ("application/json", b"", None),
        ("application/json", b"[1]", [1]),
        ("text/plain", "grüß dich".encode(), "grüß dich"),
        ("application/x-www-form-urlencoded", b'{"a": 1}', {"a": 1}),
        ("application/octet-stream", b'{"a": 1}', None),
        ("multipart/form-data; boundary=x", b"--x--", None),
    ],
)
def test_body_is_kept_as_it_came(content_type: str, body: bytes, call_body: Any, stack: Stack) -> None:  # B1 B7 B10
    backend = Backend()
    stack.app(backend, config=endpoint()).send("POST", "/run", body, [("Content-Type", content_type)])
    assert backend.call.body == call_body
    assert backend.seen.body == body


@pytest.mark.parametrize(("size", "status"), [(10, 200), (11, 413)])
def test_body_over_the_limit_is_refused(size: int, status: int, stack: Stack) -> None:  # E2
    backend = Backend()
    reply = stack.app(backend, config=endpoint(), max_body_size=10).send("POST", "/run", b"x" * size)
    assert (reply.status, backend.is_called) == (status, status == 200)
    if status == 413:
        assert reply.error["code"] == "request_too_large"


# --- from the answer to the client


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ({"id": 1, "junk": {"id": 2}}, b'{"id":1}'),
        ({"b": 2, "junk": 1, "id": None}, b'{"id":null,"b":2}'),
        ({"id": 1, "b": "é" * 10_000, "junk": 1}, b'{"id":1,"b":"' + b"\\u00e9" * 10_000 + b'"}'),
    ],
    ids=lambda value: f"{value!r:.20}",
)
def test_only_mapped_fields_leave(answer: Any, left: bytes, stack: Stack) -> None:  # O2 O3
    config = endpoint(gives=[("$.id", "id", True), ("$.b", "b")])
    reply = stack.app(Backend(answer), config=config).send("POST", "/run")
    assert reply.body == left
    assert reply.header("content-length") == str(len(left))


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"])
def test_status_and_headers_of_a_mapped_answer_stay(content_type: str, stack: Stack) -> None:  # O1 O2
    headers = [("Content-Type", content_type), ("X-Own", "ü"), ("ETag", '"1"'), ("Content-MD5", "x")]
    backend = Backend(Answer(b'{"id": 1, "junk": 2}', 201, headers))
    reply = stack.app(backend, config=endpoint(gives=[("$.id", "id")])).send("POST", "/run")
    assert (reply.status, reply.body, reply.header("content-length")) == (201, b'{"id":1}', "8")
    assert (reply.header("content-type"), reply.header("x-own")) == (content_type, "ü")
    assert (reply.header("etag"), reply.header("content-md5")) == (None, None)


def test_answer_that_is_right_leaves_as_it_came(stack: Stack) -> None:  # O2
    body = b'{ "b": 1,\n "id": 2}'
    backend = Backend(Answer(body, headers=[*JSON, ("ETag", '"1"')]))
    reply = stack.app(backend, config=endpoint(gives=[("$.id", "id"), ("$.b", "b")])).send("POST", "/run")
    assert (reply.body, reply.header("etag"), reply.header("content-length")) == (body, '"1"', str(len(body)))


def test_answer_may_come_in_chunks(stack: Stack) -> None:  # O2
    backend = Backend(Answer(iter([b'{"id": ', b"1, ", b'"junk": 2}'])))
    reply = stack.app(backend, config=endpoint(gives=[("$.id", "id")])).send("POST", "/run")
    assert (reply.body, reply.header("content-length")) == (b'{"id":1}', "8")


UNTOUCHED = [
    Answer(b'{"junk": 1}', 301, [*JSON, ("Location", "/x")]),
    Answer(b'{"junk": 1}', 404),
    Answer(b'{"junk": 1}', 422),
    Answer(b'{"junk": 1}', 500),
    Answer(b'{"junk": 1}', 206),
    Answer(b'{"junk": 1}', 200, TEXT),
    Answer(b"\x1f\x8b\x00", 200, [*JSON, ("Content-Encoding", "gzip")]),
    Answer(b'{"junk": ', 200),
    Answer(b"", 200),
    Answer(b"[" * 100_000, 200),
    Answer(b'{"id": "\xff"}', 200),
    Answer(b"[1, 2]", 200),
    Answer(b"null", 200),
]


@pytest.mark.parametrize("answer", UNTOUCHED, ids=lambda answer: f"{answer.status} {answer.body[:11]!r}")
def test_answer_of_another_kind_leaves_as_it_is(answer: Answer, stack: Stack) -> None:  # O1 O6 O8
    assert isinstance(answer.body, bytes)
    reply = stack.app(Backend(answer), config=endpoint(gives=[("$.id", "id")])).send("POST", "/run")
    assert (reply.status, reply.body) == (answer.status, answer.body)
    for name, value in answer.headers:
        assert reply.header(name.lower()) == value
    assert reply.header("content-length") in (None, str(len(answer.body)))


@pytest.mark.parametrize("absent_optional", ["omit", "null"])
def test_absent_fields_are_filled_where_they_can_be_null(absent_optional: str, stack: Stack) -> None:  # O4 O5
    app = stack.app(Backend({**RESPONSE, "junk": 1}), absent_optional=absent_optional)
    answer = app.send("POST", "/v1/responses", b'{"model": "m", "input": "i"}').json
    assert {name: answer.pop(name) for name in NULLABLE_OF_RESPONSE} == dict.fromkeys(NULLABLE_OF_RESPONSE)
    optional = {name: value for name, value in answer.items() if name not in RESPONSE}
    assert bool(optional) == (absent_optional == "null")
    assert set(optional.values()) <= {None}


@pytest.mark.parametrize(
    ("answer", "param"), [({"b": 1}, "id"), ({}, "id"), ([1], None), ("text", None), ([{"id": 1}], None)]
)
def test_answer_without_a_mandatory_field_is_an_error(  # O3 O6 E1
    answer: Any, param: str | None, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    app = stack.app(Backend(answer), config=endpoint(gives=[("$.id", "id", True), ("$.b", "b")]))
    assert_error(app.send("POST", "/run"), 422, param)
    assert any("POST:/run" in record.getMessage() for record in caplog.records)


def test_deletion_passes_as_it_is(stack: Stack) -> None:  # C4
    answer = b'{"id": "r-1", "deleted": true, "junk": 1}'
    assert stack.app(Backend(answer)).send("DELETE", "/v1/responses/r-1").body == answer


def test_app_is_not_asked_to_compress_what_is_to_be_mapped(stack: Stack) -> None:  # O7
    backend = Backend(COMPLETION)
    chat(stack.app(backend), headers=[*JSON, ("Accept-Encoding", "gzip"), ("X-Own", "1")])
    assert "accept-encoding" not in backend.seen.headers
    assert backend.seen.headers["x-own"] == "1"


# --- errors


def test_error_of_the_app_is_its_envelope(stack: Stack) -> None:  # E1 E3 E4
    error = RateLimitError("Slow down.", param="model", code="too_fast", headers={"Retry-After": "20"})
    reply = chat(stack.app(Backend(error)))
    assert (reply.status, reply.header("retry-after")) == (429, "20")
    assert reply.error == {
        "message": "Slow down.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "too_fast",
    }


def test_error_that_no_retry_heals_says_so(stack: Stack) -> None:  # E3
    reply = chat(stack.app(Backend(OpenAIError("Broken."))))
    assert (reply.status, reply.error["type"], reply.header("x-should-retry")) == (500, "server_error", "false")


def test_error_that_comes_with_the_body_is_its_envelope(stack: Stack) -> None:  # E4 O8
    def body() -> Iterator[bytes]:
        yield b'{"id": 1, '
        raise AuthenticationError("Who are you?")

    app = stack.app(Backend(Answer(body())), config=endpoint(gives=[("$.id", "id")]))
    assert_error(app.send("POST", "/run"), 401)


def test_foreign_exception_is_the_app_s_own(stack: Stack) -> None:  # E4
    reply = chat(stack.app(Backend(BOOM)), fails=True)
    assert reply.raised is BOOM or reply.status == 500
    assert b"secret" not in reply.body
    assert b'"error"' not in reply.body


@pytest.mark.parametrize(
    ("target", "body", "options", "status"),
    [
        ("/forbidden", b'{"a": ', {"max_body_size": 1}, 403),
        ("/nowhere", b'{"a": ', {"max_body_size": 1}, 404),
        ("/run?a=1", b'{"a": ', {"max_body_size": 1}, 413),
        ("/run?a=1", b'{"a": ', {}, 400),
        ("/run?b=1", b'{"b": 1}', {}, 422),
        ("/run?a=1", b'{"a": 1}', {}, 400),
    ],
)
def test_errors_have_an_order(  # E2
    target: str, body: bytes, options: dict[str, Any], status: int, stack: Stack
) -> None:
    config = endpoint(takes=[("$.a", "a", True), ("$.b", "b")])
    config.add_endpoint_handler("/forbidden", "POST", APIHandlerAction.FORBID)
    backend = Backend()
    reply = stack.app(backend, config=config, unmatched="reject", **options).send("POST", target, body)
    assert (reply.status, backend.is_called) == (status, False)
    assert reply.error["type"] == "invalid_request_error"


# --- event streams


CHUNK = {"id": "c", "choices": [{"delta": {"content": "\u2028é"}}]}
OPENED = {"type": "response.created", "response": RESPONSE}
DELTA = {"type": "response.output_text.delta", "delta": "a", "item_id": "i", "output_index": 0, "content_index": 0}


def test_events_are_filtered_one_by_one(stack: Stack) -> None:  # S2 S7
    error = {"error": {"message": "Not now."}, "own": 1}
    backend = streaming(event({**CHUNK, "secret": 1}), b": ping\n\n", b"data: {no\n\n", event(error), event(CHUNK))
    reply = talk(stack.app(backend), headers=[*JSON, ("Accept", "application/json")])
    assert (reply.status, reply.header("content-type")) == (200, "text/event-stream")
    assert [found.data for found in parse(reply.body)][1:2] == ["{no"]
    assert b": ping\n\n" in reply.body
    intact = [json.loads(found.data) for found in parse(reply.body) if found.data not in ("{no", "[DONE]")]
    assert intact == [CHUNK, error, CHUNK]


def test_event_that_is_right_leaves_as_it_came(stack: Stack) -> None:  # S2
    whole = b'event: own\r\nid: 7\r\ndata:{"id" : "c"}\r\n\r\n'
    assert talk(stack.app(streaming(whole))).body == whole + DONE


@pytest.mark.parametrize("is_ended_by_the_app", [True, False])
def test_stream_of_chunks_ends_with_done(is_ended_by_the_app: bool, stack: Stack) -> None:  # S3
    backend = streaming(event(CHUNK), *([DONE] if is_ended_by_the_app else []))
    assert talk(stack.app(backend)).body == event(CHUNK) + DONE


def test_last_event_is_ended(stack: Stack) -> None:  # S3
    assert documents(talk(stack.app(streaming(b'data: {"id": "c", "secret": 1}')))) == [{"id": "c"}, "[DONE]"]


def test_typed_events_are_filtered_and_counted(stack: Stack) -> None:  # S2 S3 O4
    backend = streaming(
        event({**OPENED, "response": {**RESPONSE, "secret": 1}, "secret": 1}),
        event({**DELTA, "sequence_number": 7}),
        event(DELTA),
        event({"type": "own.event", "own": 1}),
    )
    reply = stack.app(backend).send("POST", "/v1/responses", b'{"model": "m", "input": "i", "stream": true}')
    assert documents(reply) == [
        {**OPENED, "response": {**RESPONSE, **dict.fromkeys(NULLABLE_OF_RESPONSE)}, "sequence_number": 0},
        {**DELTA, "sequence_number": 7},
        {**DELTA, "sequence_number": 8},
        {"type": "own.event", "own": 1},
    ]


def test_events_of_an_own_endpoint_follow_its_rules(stack: Stack) -> None:  # S2
    config = endpoint(gives=[("$.id", "id", True)], streams=mappings(("$.a.b", "b", True)))
    backend = streaming(event({"a": {"b": 1}, "junk": 1}), event({"junk": 1}))
    assert documents(stack.app(backend, config=config).send("POST", "/run")) == [{"b": 1}, {}]


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_events_may_come_in_any_pieces(size: int, stack: Stack) -> None:  # S1
    whole = b"".join([event({**CHUNK, "secret": 1}), b"data: {\r\ndata: }\r\n\r\n", event({"id": "d"})])
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert documents(talk(stack.app(streaming(*pieces)))) == [CHUNK, {}, {"id": "d"}, "[DONE]"]


def test_stream_may_come_whole(stack: Stack) -> None:  # S6
    reply = talk(stack.app(Backend(Answer(event({**CHUNK, "secret": 1}), headers=EVENTS))))
    assert documents(reply) == [CHUNK, "[DONE]"]
    assert reply.header("content-length") is None


def test_empty_stream_is_a_stream(stack: Stack) -> None:  # S3
    reply = talk(stack.app(streaming()))
    assert (reply.status, reply.header("content-type"), reply.body) == (200, "text/event-stream", DONE)


def test_event_leaves_before_the_next_one_is_produced(stack: Stack) -> None:  # S1 W2
    log: list[str] = []

    def body() -> Iterator[bytes]:
        for number in range(3):
            log.append(f"made {number}")
            yield event({"id": str(number), "secret": 1})
        log.append("made all")

    def note(chunk: bytes) -> None:
        log.extend(f"left {json.loads(found.data)['id']}" for found in parse(chunk) if found.data != "[DONE]")

    talk(stack.app(Backend(Answer(body(), headers=EVENTS))), on_chunk=note)
    assert log == ["made 0", "left 0", "made 1", "left 1", "made 2", "left 2", "made all"]


@pytest.mark.parametrize(
    ("own", "cache_control", "buffering"),
    [([], "no-cache", "no"), ([("cache-control", "no-store"), ("x-accel-buffering", "yes")], "no-store", "yes")],
)
def test_proxies_are_told_not_to_buffer(  # S6
    own: list[tuple[str, str]], cache_control: str, buffering: str, stack: Stack
) -> None:
    reply = talk(stack.app(streaming(event(CHUNK), headers=[*EVENTS, *own])))
    assert (reply.header("cache-control"), reply.header("x-accel-buffering")) == (cache_control, buffering)


@pytest.mark.parametrize(("status", "path"), [(500, "/v1/chat/completions"), (404, "/v1/chat/completions"), (200, "/")])
def test_stream_of_another_kind_leaves_as_it_is(status: int, path: str, stack: Stack) -> None:  # O1 M11
    backend = streaming(event({**CHUNK, "secret": 1}))
    backend.answer.status = status  # type: ignore[union-attr]
    reply = stack.app(backend).send("POST", path, CHAT)
    assert (reply.status, reply.body) == (status, event({**CHUNK, "secret": 1}))


@pytest.mark.parametrize("chunks", [(), (b": ping\n",), (b"data: {",)])
def test_failure_before_the_first_event_is_a_real_status(chunks: tuple[bytes, ...], stack: Stack) -> None:  # S4 E4
    backend = streaming(*chunks, raises=NotFoundError("There is no such model.", param="model"))
    assert_error(talk(stack.app(backend)), 404, "model")


def test_foreign_failure_before_the_first_event_is_the_app_s_own(stack: Stack) -> None:  # S4 E4
    reply = talk(stack.app(streaming(raises=BOOM)), fails=True)
    assert reply.raised is BOOM or reply.status == 500
    assert b"secret" not in reply.body
    assert 200 not in [message["status"] for message in reply.starts]


@pytest.mark.parametrize(
    ("error", "message"),
    [(NotFoundError("It is gone.", param="model"), "It is gone."), (BOOM, "The server failed while")],
)
def test_failure_within_a_stream_is_a_frame_and_reaches_the_log(
    error: Exception, message: str, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # S4
    backend = streaming(event(CHUNK), b"data: {half", raises=error)
    reply = talk(stack.app(backend), fails=True)
    # Raised for the server to log; in Django, which has nobody above to catch it, logged.
    logged = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert error in [reply.raised, *logged]
    assert reply.is_complete
    assert reply.status == 200
    first, last = documents(reply)
    assert first == CHUNK
    assert list(last) == ["error"]
    assert last["error"]["message"].startswith(message)
    assert b"secret" not in reply.body


def test_failure_within_a_typed_stream_is_an_error_event(stack: Stack) -> None:  # S4
    app = stack.app(streaming(event(OPENED), raises=NotFoundError("It is gone.")))
    reply = app.send("POST", "/v1/responses", b'{"model": "m", "input": "i", "stream": true}', fails=True)
    _, (data, kind), (ended, last) = parse(reply.body)
    assert (kind, last) == ("error", "response.failed")
    assert json.loads(ended)["response"]["error"] == {"code": "invalid_prompt", "message": "It is gone."}
    assert json.loads(data) == {
        "type": "error",
        "sequence_number": 1,
        "error": {"message": "It is gone.", "type": "invalid_request_error", "param": None, "code": None},
    }
