"""What becomes of the app's answers on their way to the client."""

import gzip
import json
import logging
from collections.abc import Iterable
from typing import Any

import pytest

from openai_middleware import APIHandlerConfig, OpenAIEndpoint, OpenAIMiddleware
from tests.support.drivers import JSON_HEADERS, App, Header, Message, Script, endpoint, mappings, part, request, start
from tests.support.samples import NULLABLE_OF_RESPONSE, RESPONSE

GIVES = [("$.id", "id", True), ("$.name", "name")]
NARROW = b'{"id":1}'
WIDE = b'{"id": 1, "junk": 2}'


def headers(*pairs: tuple[str, str]) -> list[Header]:
    return [(name.encode(), value.encode()) for name, value in pairs]


def answering(*messages: Message, **options: Any) -> OpenAIMiddleware:
    return endpoint(Script(list(messages)), gives=GIVES, **options)


def response(**fields: Any) -> dict[str, Any]:
    """A Response with all that OpenAI's description requires, but for what may be null."""
    return {**RESPONSE, **fields}


def responses(app: Any, **options: Any) -> OpenAIMiddleware:
    return OpenAIMiddleware(app, [OpenAIEndpoint.RESPONSES], **options)


# --- which answers are mapped


@pytest.mark.parametrize(
    "content_type",
    [
        ("content-type", "application/json"),
        ("Content-Type", "application/json"),
        ("CONTENT-TYPE", "Application/JSON"),
        ("content-type", "application/json; charset=utf-8"),
        ("content-type", "application/json;charset=UTF-8;x=y"),
        ("content-type", " application/json "),
        ("content-type", "application/vnd.api+json"),
        ("content-type", "application/hal+json; charset=utf-8"),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 203, 299])
async def test_successful_json_is_mapped_and_keeps_status_and_headers(
    content_type: tuple[str, str], status: int
) -> None:  # O1 O2
    before, after = ("x-before", "1"), ("Set-Cookie", "a=b")

    sent = await request(answering(start(status, headers(before, content_type, after)), part(WIDE)), "POST", "/run")

    assert (sent.status, sent.body) == (status, NARROW)
    assert sent.headers == headers(before, content_type, after, ("content-length", "8"))


UNTOUCHED = [
    *(
        pytest.param(status, JSON_HEADERS, WIDE, id=str(status))
        for status in (206, 300, 302, 400, 404, 422, 429, 500, 503)
    ),
    pytest.param(204, [], b"", id="204"),
    pytest.param(205, headers(("content-length", "0")), b"", id="205"),
    pytest.param(304, headers(("etag", '"1"')), b"", id="304"),
    pytest.param(204, JSON_HEADERS, b"", id="204 that claims to be JSON"),
    pytest.param(200, [], WIDE, id="no content type"),
    *(
        pytest.param(200, headers(("content-type", media_type)), WIDE, id=f"content type {media_type!r}")
        for media_type in [
            *("text/plain", "text/html; charset=utf-8", "application/octet-stream", "application/jsonl", ""),
            *("application/x-ndjson", "application/json-seq", "text/plain; application/json", "image/svg+xml", "json"),
        ]
    ),
    *(
        pytest.param(200, [*JSON_HEADERS, *headers((name, encoding))], WIDE, id=f"{name} {encoding}")
        for name, encoding in [
            ("content-encoding", "gzip"),
            ("Content-Encoding", "GZIP"),
            ("content-encoding", "br"),
            ("content-encoding", "identity, gzip"),
        ]
    ),
    pytest.param(200, [*JSON_HEADERS, *headers(("content-encoding", "gzip"))], gzip.compress(WIDE), id="compressed"),
    pytest.param(404, headers(("content-type", "application/problem+json")), b'{"title": "x"}', id="a problem"),
    pytest.param(
        404,
        headers(
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("ETag", '"1"'),
            ("content-length", "20"),
            ("x-y", "1"),
            ("X-Y", "2"),
        ),
        WIDE,
        id="headers twice",
    ),
]


@pytest.mark.parametrize(("status", "fields", "body"), UNTOUCHED)
async def test_other_answers_leave_as_the_very_same_messages(
    status: int, fields: list[Header], body: bytes
) -> None:  # O1
    for chunks in ([part(body)], [part(body[:5], more_body=True), part(body[5:], more_body=True), part(b"")]):
        messages = [start(status, fields), *chunks]

        sent = await request(answering(*messages), "POST", "/run")

        assert sent.is_very_same(messages)
        assert messages == [start(status, fields), *chunks]


@pytest.mark.parametrize("method", ["HEAD", "head"])
async def test_answer_to_head_leaves_as_it_is(method: str) -> None:  # O1
    messages = [start(200, [*JSON_HEADERS, *headers(("content-length", "20"), ("etag", '"1"'))]), part(b"")]

    sent = await request(answering(*messages, method="HEAD"), method, "/run")

    assert sent.is_very_same(messages)


async def test_answer_without_output_mappings_leaves_as_it_is() -> None:  # O1
    messages = [start(200), part(WIDE)]

    sent = await request(endpoint(Script(messages)), "POST", "/run")

    assert sent.is_very_same(messages)


async def test_answer_to_an_unmatched_request_leaves_as_it_is() -> None:  # O1
    messages = [start(200), part(WIDE)]

    sent = await request(answering(*messages), "POST", "/elsewhere")

    assert sent.is_very_same(messages)


@pytest.mark.parametrize("fields", [{}, {"headers": []}])
async def test_start_of_an_answer_may_have_no_headers(fields: dict[str, Any]) -> None:  # O1
    messages = [{"type": "http.response.start", "status": 200, **fields}, {"type": "http.response.body"}]

    sent = await request(answering(*messages), "POST", "/run")

    assert sent.is_very_same(messages)


@pytest.mark.parametrize("kind", [list, tuple, iter])
@pytest.mark.parametrize("pair", [list, tuple])
@pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
async def test_headers_may_be_any_iterable_of_pairs(kind: Any, pair: Any, media_type: str) -> None:  # O1 O2
    fields = headers(("content-type", media_type), ("content-length", "8"), ("x-request-id", "1"))
    begin = {"type": "http.response.start", "status": 200, "headers": kind(pair(field) for field in fields)}

    sent = await request(answering(begin, part(NARROW)), "POST", "/run")

    assert [tuple(field) for field in sent.headers] == fields
    if kind is not iter:
        assert sent.messages[0] is begin


async def test_identity_is_no_encoding() -> None:  # O1
    fields = [*JSON_HEADERS, *headers(("content-encoding", "identity"))]

    assert (await request(answering(start(200, fields), part(WIDE)), "POST", "/run")).body == NARROW


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
async def test_answer_in_several_parts_is_mapped_as_a_whole(chunk: int) -> None:  # O1 O2
    parts = [part(WIDE[at : at + chunk], more_body=True) for at in range(0, len(WIDE), chunk)]

    sent = await request(answering(start(), *parts, part(b"")), "POST", "/run")

    assert (sent.body, sent.is_complete, len(sent.messages)) == (NARROW, True, 2)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
async def test_answer_may_come_in_any_kind_of_bytes(kind: Any) -> None:  # O2
    messages = [start(), part(kind(WIDE[:5]), more_body=True), part(kind(WIDE[5:]))]

    assert (await request(answering(*messages), "POST", "/run")).body == NARROW


# --- bytes and headers


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":1}',
        b'{"id": 1, "name": "n"}',
        b'{ "name" : "n",\n "id": {"deep": [1.50, 1e3]} } ',
        b'{"id": null}',
        rb'{"\u0069d": "\u00e9"}',
    ],
)
@pytest.mark.parametrize("chunk", [4, 1000])
async def test_answer_that_is_right_leaves_as_the_very_same_messages(body: bytes, chunk: int) -> None:  # O2
    fields = [
        *JSON_HEADERS,
        *headers(
            ("ETag", '"1"'), ("content-length", str(len(body))), ("digest", "d"), ("transfer-encoding", "chunked")
        ),
    ]
    parts = [part(body[at : at + chunk], more_body=True) for at in range(0, len(body), chunk)]
    messages = [start(200, fields), *parts, part(b"")]

    sent = await request(answering(*messages), "POST", "/run")

    assert sent.is_very_same(messages)
    assert messages[0] == start(200, fields)


async def test_mapped_fields_come_in_the_order_of_the_rules() -> None:  # O2
    middleware = endpoint(App({"c": 1, "junk": 2, "a": 3, "b": 4}), gives=[("$.b", "b"), ("$.a", "x"), ("$.c", "c")])

    assert (await request(middleware, "POST", "/run")).body == b'{"b":4,"x":3,"c":1}'


async def test_headers_of_the_old_bytes_are_dropped_when_the_bytes_changed() -> None:  # O2
    old = [
        *(("ETag", 'W/"1"'), ("Content-MD5", "m"), ("digest", "d"), ("Repr-Digest", "r"), ("Content-Digest", "c")),
        *(("Transfer-Encoding", "chunked"), ("Content-Length", "20")),
    ]
    fields = [*headers(*old), *JSON_HEADERS, *headers(("last-modified", "l"), ("vary", "v"))]

    sent = await request(answering(start(200, fields), part(WIDE)), "POST", "/run")

    assert sent.headers == [
        *headers(("Content-Length", "8")),
        *JSON_HEADERS,
        *headers(("last-modified", "l"), ("vary", "v")),
    ]


@pytest.mark.parametrize("body", [NARROW, WIDE])
@pytest.mark.parametrize("lengths", [["7"], ["999"], [""], ["x"], ["8", "8"], ["20", "8"]])
async def test_content_length_is_right_whatever_the_app_says(body: bytes, lengths: list[str]) -> None:  # O2
    fields = [*JSON_HEADERS, *headers(*(("Content-Length", length) for length in lengths)), *headers(("etag", "e"))]

    sent = await request(answering(start(200, fields), part(body)), "POST", "/run")

    assert (sent.body, sent.header("content-length")) == (NARROW, "8")
    assert sent.header("etag") == ("e" if body == NARROW else None)


async def test_repeated_headers_survive_in_their_order() -> None:  # O2
    fields = [
        *headers(("Set-Cookie", "a=1"), ("x-y", "1")),
        *JSON_HEADERS,
        *headers(("Set-Cookie", "b=2"), ("X-Y", "2")),
    ]

    sent = await request(answering(start(200, fields), part(WIDE)), "POST", "/run")

    assert sent.headers == [*fields, *headers(("content-length", "8"))]


# --- mandatory, nullable and optional fields


@pytest.mark.parametrize("body", [b"{}", b'{"name": "n"}', b'{"junk": 1}', b'{"ID": 1}'])
async def test_answer_without_a_mandatory_field_is_an_error_of_the_server(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:  # O3
    fields = [*JSON_HEADERS, *headers(("Set-Cookie", "session=1"), ("content-length", "99"))]

    sent = await request(answering(start(200, fields), part(body)), "POST", "/run")

    assert (sent.status, sent.is_complete) == (422, True)
    assert sent.error["param"] == "id"
    assert sent.header("set-cookie") is None
    [record] = caplog.records
    assert (record.name, record.levelno) == ("openai_middleware", logging.ERROR)
    assert "POST:/run" in record.getMessage()
    assert "'id'" in record.getMessage()


async def test_log_names_the_operation_as_the_sdk_does(caplog: pytest.LogCaptureFixture) -> None:  # O3
    sent = await request(responses(App({"id": "resp_1"})), "GET", "/responses/resp_1")

    assert sent.status == 422
    [record] = caplog.records
    assert "responses.retrieve" in record.getMessage()
    assert repr(sent.error["param"]) in record.getMessage()


async def test_what_the_app_sends_after_a_refused_answer_goes_nowhere() -> None:  # O3
    sent = await request(
        answering(start(), part(b"{}"), part(b"more"), {"type": "http.response.trailers"}), "POST", "/run"
    )

    assert len(sent.messages) == 2
    assert sent.error["param"] == "id"


async def test_null_satisfies_mandatory() -> None:  # O3
    sent = await request(answering(start(), part(b'{"id": null, "junk": 1}')), "POST", "/run")

    assert (sent.status, sent.body) == (200, b'{"id":null}')


async def test_missing_source_is_reported_under_the_name_that_the_client_knows() -> None:  # O3
    middleware = endpoint(App({"a": {}}), gives=[("$.a.b", "title", True)])

    assert (await request(middleware, "POST", "/run")).error["param"] == "title"


async def test_fields_that_openai_requires_but_may_be_null_are_filled() -> None:  # O4
    sent = await request(responses(App(response(junk=1))), "GET", "/responses/resp_1")

    assert sent.status == 200
    assert sent.json == response(**dict.fromkeys(NULLABLE_OF_RESPONSE))


@pytest.mark.parametrize("output", [[{"junk": [{"deep": None}]}], [None, 1], "no list", {}])
async def test_what_lies_below_the_top_level_is_neither_checked_nor_changed(output: Any) -> None:  # O11
    answer = response(output=output, **{name: {"junk": 1} for name in NULLABLE_OF_RESPONSE})

    sent = await request(responses(App({**answer, "junk": 1})), "GET", "/responses/resp_1")

    assert (sent.status, sent.json) == (200, answer)


async def test_filling_changes_no_field_that_is_there() -> None:  # O4
    full = response(**dict.fromkeys(NULLABLE_OF_RESPONSE, "set"))

    sent = await request(responses(App(full)), "GET", "/responses/resp_1")

    assert sent.json == full


@pytest.mark.parametrize("field", ["id", "object", "created_at", "model", "output", "tools"])
async def test_fields_that_openai_requires_and_may_not_be_null_are_not_filled(field: str) -> None:  # O3 O4
    answer = response()
    del answer[field]

    sent = await request(responses(App(answer)), "GET", "/responses/resp_1")

    assert (sent.status, sent.error["param"]) == (422, field)


@pytest.mark.parametrize("field", NULLABLE_OF_RESPONSE)
async def test_mandatory_fields_of_your_own_are_not_filled(field: str) -> None:  # O4
    middleware = endpoint(App({}), gives=[(f"$.{field}", field, True)])

    assert (await request(middleware, "POST", "/run")).error["param"] == field


async def test_built_in_fields_are_filled_also_below_an_endpoint_of_your_own() -> None:  # O4
    """A template of the user's own comes first; the built-in one adds its rules."""
    config = APIHandlerConfig()
    config.add_endpoint_handler("/{collection}/{item}", "GET", output_body_mappings=mappings(("$.mine", "mine")))
    config.set_openai_frontend([OpenAIEndpoint.RESPONSES])

    sent = await request(OpenAIMiddleware(App(response(mine=1, junk=2)), config=config), "GET", "/responses/resp_1")

    assert sent.status == 200
    assert sent.json == response(mine=1, **dict.fromkeys(NULLABLE_OF_RESPONSE))


async def test_absent_optional_fields_are_left_out() -> None:  # O5
    middleware = endpoint(App({"a": 1, "junk": 2}), gives=[("$.a", "a"), ("$.b", "b"), ("$.c.d", "c")])

    assert (await request(middleware, "POST", "/run")).json == {"a": 1}


@pytest.mark.parametrize("answer", [{"a": 1, "junk": 2}, {"a": 1}])
async def test_absent_optional_fields_are_null_where_that_is_wished(answer: Any) -> None:  # O5
    middleware = endpoint(App(answer), gives=[("$.a", "a"), ("$.b", "b"), ("$.c.d", "c")], absent_optional="null")

    assert (await request(middleware, "POST", "/run")).json == {"a": 1, "b": None, "c": None}


async def test_null_where_it_is_wished_makes_an_answer_without_other_fields_incomplete() -> None:  # O2 O5
    middleware = endpoint(App({"a": 1}), gives=[("$.a", "a"), ("$.b", "b")], absent_optional="null")

    assert (await request(middleware, "POST", "/run")).json == {"a": 1, "b": None}


async def test_absent_mandatory_fields_are_missing_even_where_optional_ones_are_filled() -> None:  # O3 O5
    middleware = endpoint(App({}), gives=[("$.a", "a"), ("$.b", "b", True)], absent_optional="null")

    assert (await request(middleware, "POST", "/run")).error["param"] == "b"


# --- answers that are no object

NO_OBJECTS = [
    b"[]",
    b'[{"id": 1}]',
    b'"text"',
    rb'"{\"id\": 1, \"junk\": 2}"',
    b"5",
    b"1.5",
    b"true",
    b"null",
    b" [1] ",
]


@pytest.mark.parametrize("body", NO_OBJECTS)
async def test_answer_that_is_no_object_is_refused_where_a_field_is_mandatory(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:  # O6
    sent = await request(answering(start(), part(body)), "POST", "/run")

    assert (sent.status, sent.error["param"]) == (422, None)
    [record] = caplog.records
    assert "POST:/run: the app's answer is no JSON object" in record.getMessage()


@pytest.mark.parametrize("gives", [[("$.id", "id")], [("$.id", "x")], [("$[0].id", "id")]])
@pytest.mark.parametrize("body", NO_OBJECTS)
async def test_answer_that_is_no_object_passes_where_no_field_is_mandatory(
    body: bytes, gives: Iterable[Any], caplog: pytest.LogCaptureFixture
) -> None:  # O6
    messages = [start(), part(body)]

    sent = await request(endpoint(Script(messages), gives=gives), "POST", "/run")

    assert sent.is_very_same(messages)
    assert caplog.records == []


# --- answers that are no JSON

DEEP = b"[" * 100_000 + b"]" * 100_000
UNDECODABLE = [
    pytest.param(b"", id="no body"),
    pytest.param(b" ", id="blank"),
    pytest.param(b"<html>", id="HTML"),
    pytest.param(b'{"id": 1', id="cut off"),
    pytest.param(b'{"junk": 1, "id": ', id="cut off after another field"),
    pytest.param(b'{"id": 1} {"id": 2}', id="two documents"),
    pytest.param(b'{"id": NaN, "junk": 1}', id="NaN"),
    pytest.param(b'{"id": 1, "junk": Infinity}', id="Infinity where nothing is mapped"),
    pytest.param(b'{"id": ' + DEEP + b"}", id="100,000 deep"),
    pytest.param(b'{"junk": ' + DEEP + b', "id": 1}', id="100,000 deep where nothing is mapped"),
    pytest.param(DEEP, id="nothing but depth"),
    pytest.param(json.dumps({"id": "\ud800", "junk": "x" * 20}).encode(), id="a lone surrogate"),
    pytest.param(json.dumps({"id": 1, "junk": "\udcff and more"}).encode(), id="a lone low surrogate"),
    pytest.param(json.dumps({"\ud800": 1, "id": 1}).encode(), id="a lone surrogate in a name"),
    pytest.param(b"\xef\xbb\xbf" + WIDE, id="a byte order mark"),
    pytest.param(WIDE.decode().encode("utf-16"), id="UTF-16"),
    pytest.param(b'{"\xff": 1, "id": 1}', id="invalid UTF-8 in a name"),
]


@pytest.mark.parametrize("gives", [GIVES, [("$.id", "x", True)], [("$.id", "id"), ("$.a.b", "b")]])
@pytest.mark.parametrize("body", UNDECODABLE)
async def test_answer_that_the_decoder_refuses_passes_with_a_log_line(
    body: bytes, gives: Iterable[Any], caplog: pytest.LogCaptureFixture
) -> None:  # O8
    messages = [start(200, [*JSON_HEADERS, *headers(("etag", "e"))]), part(body[:7], more_body=True), part(body[7:])]

    sent = await request(endpoint(Script(messages), gives=gives), "POST", "/run")

    assert sent.is_very_same(messages)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("openai_middleware", logging.WARNING)
    assert record.getMessage().startswith("POST:/run: the app's answer is no JSON and leaves as it is: ")


@pytest.mark.parametrize("depth", [300, 900])
async def test_answer_too_deep_for_a_path_passes_with_a_log_line(
    depth: int, caplog: pytest.LogCaptureFixture
) -> None:  # O8 B5
    messages = [start(), part(b'{"a":' * depth + b'{"id": 1}' + b"}" * depth)]

    sent = await request(endpoint(Script(messages), gives=[("$..id", "id", True)]), "POST", "/run")

    assert sent.is_very_same(messages)
    [record] = caplog.records
    assert record.getMessage().startswith("POST:/run: the app's answer is no JSON and leaves as it is: ")
    assert "\n" not in record.getMessage()


async def test_log_line_of_an_undecodable_answer_does_not_quote_it(
    caplog: pytest.LogCaptureFixture,
) -> None:  # O8
    await request(answering(start(), part(b'{"QXZqxz": "QXZqxz\xff", "\xffQXZqxz": QXZqxz')), "POST", "/run")

    assert "QXZqxz" not in caplog.text


# --- compression


ACCEPTS = headers(("accept", "a"), ("Accept-Encoding", "gzip, br"), ("x", "1"), ("accept-encoding", "zstd"), ("X", "2"))


async def test_matched_request_reaches_the_app_without_accept_encoding() -> None:  # O7
    app = App()

    await request(endpoint(app), "POST", "/run", headers=ACCEPTS)

    assert app.scopes[0]["headers"] == headers(("accept", "a"), ("x", "1"), ("X", "2"))


async def test_unmatched_request_keeps_its_accept_encoding() -> None:  # O7
    app = App()

    await request(endpoint(app), "POST", "/elsewhere", headers=ACCEPTS)

    assert app.scopes[0]["headers"] == ACCEPTS
