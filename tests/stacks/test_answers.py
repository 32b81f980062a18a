"""What becomes of answers and events, whatever serves them: which fields are kept, and what is said of the others."""

import json
import logging
from typing import Any
from urllib.parse import urlencode

import pytest

from openai_middleware import APIHandlerConfig
from openai_middleware.errors import NotFoundError
from tests.support.behaviours import Backend, documents, dump, event, streaming
from tests.support.drivers import mappings
from tests.support.samples import CHAT, CHUNK, COMPLETION, NULLABLE_OF_RESPONSE, RESPONSE
from tests.support.stacks import EVENTS, JSON, Answer, Reply, Stack, StackedApp

FILE = {"id": "f-1", "object": "file", "bytes": 1, "created_at": 1, "filename": "a.txt", "purpose": "user_data"}
OWN = {"path": "/srv/data/a.txt", "owner": {"secret": 1}}
FILES = {"object": "list", "has_more": False}
QUESTION = {"model": "m", "input": "i"}
NULL = dict.fromkeys(NULLABLE_OF_RESPONSE)
PICTURES = {"created": 1, "data": []}
DONE = {"type": "response.completed", "response": RESPONSE, "sequence_number": 1}
OPENED = {"type": "response.created", "response": RESPONSE, "sequence_number": 0}
DELTA = {
    "type": "response.output_text.delta",
    "delta": "a",
    "item_id": "i",
    "output_index": 0,
    "content_index": 0,
    "logprobs": [],
    "sequence_number": 1,
}
# An event as Open WebUI knows it; no API of OpenAI has any of its fields.
STATUS = b'data: {"event":  {"type": "status", "data": {"done": false}}}\n\n'


def chat(app: StackedApp, **fields: Any) -> Reply:
    return app.send("POST", "/v1/chat/completions", dump({**CHAT, **fields}))


def ask(app: StackedApp, **fields: Any) -> Reply:
    return app.send("POST", "/v1/responses", dump({**QUESTION, **fields}))


# --- the items of lists


def listed(stack: Stack, items: list[Any], **options: Any) -> Any:
    """The items that leave where the app's list of files has these."""
    return stack.app(Backend({**FILES, "data": items}), **options).send("GET", "/v1/files").json["data"]


def test_items_of_a_list_have_the_fields_of_their_own_schema(stack: Stack) -> None:  # O11
    assert listed(stack, [{**FILE, **OWN}, FILE, {**OWN, "id": "f-2"}]) == [FILE, FILE, {"id": "f-2"}]


def test_what_the_creation_of_a_file_drops_does_not_leak_through_the_list(stack: Stack) -> None:  # O11
    file = {**FILE, "status": "processed", **OWN}
    form = [("Content-Type", "multipart/form-data; boundary=x")]
    created = stack.app(Backend(file)).send("POST", "/v1/files", b"--x--\r\n", form).json
    assert listed(stack, [file]) == [created]
    assert created.keys().isdisjoint(OWN)


@pytest.mark.parametrize("item", [{}, {"id": None}, {"filename": "a.txt"}])
def test_nothing_is_mandatory_in_an_item(item: Any, stack: Stack) -> None:  # O11
    assert listed(stack, [item]) == [item]


@pytest.mark.parametrize("item", ["f-1", 7, None, [{**FILE, **OWN}]])
def test_items_that_are_no_objects_stay_beside_those_that_are(item: Any, stack: Stack) -> None:  # O11
    assert listed(stack, [item, {**FILE, **OWN}, item]) == [item, FILE, item]


@pytest.mark.parametrize("data", ["f-1", {"f-1": {**FILE, **OWN}}, None])
def test_data_that_is_no_list_stays(data: Any, stack: Stack) -> None:  # O11
    assert stack.app(Backend({**FILES, "data": data})).send("GET", "/v1/files").json["data"] == data


def test_list_whose_items_are_right_leaves_as_it_came(stack: Stack) -> None:  # O11 O2
    body = b'{"data" : [ {"filename": "\\u00e4", "id": "f-1"}, {} ],\n"object": "list", "has_more": false}'
    backend = Backend(Answer(body, headers=[*JSON, ("ETag", '"1"')]))
    reply = stack.app(backend).send("GET", "/v1/files")
    assert (reply.body, reply.header("etag")) == (body, '"1"')


# --- the two descriptions of the API


def test_response_keeps_what_open_responses_has(stack: Stack) -> None:  # O12
    more = {"store": True, "presence_penalty": 0.5, "frequency_penalty": 0, "output_text": "Hello."}
    assert ask(stack.app(Backend({**RESPONSE, **more, "own": 1}))).json == {**RESPONSE, **NULL, **more}


def test_delta_event_keeps_its_obfuscation(stack: Stack) -> None:  # O12
    delta = {**DELTA, "obfuscation": "x9"}
    app = stack.app(streaming(event({**delta, "own": 1})))
    assert documents(ask(app, stream=True)) == [delta]


def test_penalties_are_arguments_of_a_response(stack: Stack) -> None:  # O12
    backend = Backend(RESPONSE)
    ask(stack.app(backend), presence_penalty=0.5, frequency_penalty=None)
    assert backend.call.kwargs["presence_penalty"] == 0.5
    assert backend.call.kwargs["frequency_penalty"] is None


# --- fields of one's own


@pytest.mark.parametrize(
    ("options", "own"), [({}, {}), ({"extra_fields": "drop"}, {}), ({"extra_fields": "keep"}, OWN)]
)
def test_own_fields_of_an_answer_are_kept_where_that_is_wished(  # O13
    options: Any, own: Any, stack: Stack
) -> None:
    assert chat(stack.app(Backend({**COMPLETION, **OWN}), **options)).json == {**COMPLETION, **own}
    assert ask(stack.app(Backend({**RESPONSE, **OWN}), **options)).json == {**RESPONSE, **NULL, **own}


@pytest.mark.parametrize(("extra_fields", "own"), [("drop", {}), ("keep", OWN)])
def test_own_fields_of_items_are_kept_where_that_is_wished(
    extra_fields: str, own: Any, stack: Stack
) -> None:  # O13 O11
    assert listed(stack, [{**FILE, **OWN}], extra_fields=extra_fields) == [{**FILE, **own}]


@pytest.mark.parametrize(("extra_fields", "own"), [("drop", {}), ("keep", OWN)])
def test_own_fields_of_events_are_kept_where_that_is_wished(extra_fields: str, own: Any, stack: Stack) -> None:  # O13
    app = stack.app(streaming(event({**CHUNK, **OWN})), extra_fields=extra_fields)
    assert documents(chat(app, stream=True)) == [{**CHUNK, **own}, "[DONE]"]


@pytest.mark.parametrize(("extra_fields", "own"), [("drop", {}), ("keep", OWN)])
def test_own_fields_of_a_response_in_an_event_are_kept_where_that_is_wished(  # O13
    extra_fields: str, own: Any, stack: Stack
) -> None:
    opened = {**OPENED, "response": {**RESPONSE, **OWN}, **OWN}
    app = stack.app(streaming(event(opened), event({**DELTA, **OWN})), extra_fields=extra_fields)
    assert documents(ask(app, stream=True)) == [
        {**OPENED, "response": {**RESPONSE, **NULL, **own}, **own},
        {**DELTA, **own},
    ]


@pytest.mark.parametrize("extra_fields", ["drop", "keep"])
def test_mandatory_fields_stay_mandatory_where_own_ones_are_kept(extra_fields: str, stack: Stack) -> None:  # O13 O3
    reply = chat(stack.app(Backend({**OWN}), extra_fields=extra_fields))
    assert (reply.status, reply.error["param"]) == (422, "choices")


def test_own_endpoints_have_no_contract_and_keep_what_their_rules_name(stack: Stack) -> None:  # O13 O2
    config = APIHandlerConfig()
    config.add_endpoint_handler("/run", "POST", output_body_mappings=mappings(("$.a", "b")))
    app = stack.app(Backend({"a": 1, "own": 2}), config=config, extra_fields="keep")
    assert app.send("POST", "/run").json == {"b": 1}


@pytest.mark.parametrize("extra_fields", ["drop", "keep"])
def test_extension_event_passes_untouched(extra_fields: str, stack: Stack) -> None:  # O13
    for send, last in ((chat, [b"data: [DONE]\n\n"]), (ask, [])):
        app = stack.app(streaming(STATUS), extra_fields=extra_fields)
        assert send(app, stream=True).body == STATUS + b"".join(last)


# --- answers in the other form


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = [record for record in caplog.records if record.name == "openai_middleware"]
    return [record.getMessage() for record in ours if record.levelno == logging.WARNING]


def again(backend: Backend, answer: Answer, app: StackedApp, send: Any, times: int = 3, **fields: Any) -> None:
    for _ in range(times):
        backend.answer = answer
        send(app, **fields)


def retrieve(app: StackedApp, **query: Any) -> Reply:
    return app.send("GET", "/v1/responses/r-1?" + urlencode(query))


def draw(app: StackedApp, **fields: Any) -> Reply:
    return app.send("POST", "/v1/images/generations", dump({"model": "m", "prompt": "p", **fields}))


def test_json_where_a_stream_was_asked_for_is_said_once(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:  # O14
    backend = Backend()
    app = stack.app(backend)
    again(backend, Answer(dump(RESPONSE)), app, retrieve, stream="true")
    [line] = warnings(caplog)
    assert line.startswith("responses.retrieve: the client asked for an event stream")
    assert "text/event-stream" in line
    again(backend, Answer(dump(PICTURES)), app, draw, stream=True)
    assert [one.partition(":")[0] for one in warnings(caplog)] == ["responses.retrieve", "images.generate"]


def test_stream_where_json_was_asked_for_is_said_once(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:  # O14
    backend = Backend()
    app = stack.app(backend)
    for fields in ({}, {"stream": False}, {"stream": None}):
        again(backend, Answer(event({"type": "own"}), headers=EVENTS), app, draw, times=1, **fields)
    [line] = warnings(caplog)
    assert line.startswith("images.generate: the client asked for JSON, and the app answered with an event")


def test_it_is_said_once_for_all_prefixes(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:  # O14
    app = stack.app(Backend(RESPONSE), prefix=["/v1", "/v2"])
    for prefix in ("/v1", "/v2", "/v1"):
        app.send("GET", f"{prefix}/responses/r-1?stream=true")
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("is_stream", [False, True])
def test_other_form_of_an_operation_that_takes_replies_is_turned_over_and_not_spoken_of(  # R1 R34 O14
    is_stream: bool, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    for send, answer, chunk in ((chat, COMPLETION, CHUNK), (ask, RESPONSE, DONE)):
        backend = Backend(answer) if is_stream else streaming(event(chunk))
        content_type = send(stack.app(backend), stream=is_stream).header("content-type")
        assert content_type == ("text/event-stream" if is_stream else "application/json")
    assert warnings(caplog) == []


def test_answer_in_the_form_that_was_asked_for_is_not_spoken_of(  # O14
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    chat(stack.app(Backend(COMPLETION)))
    chat(stack.app(streaming(event(CHUNK))), stream=True)
    target = "/v1/responses/r-1"
    stack.app(Backend(RESPONSE)).send("GET", target)
    stack.app(streaming(event(OPENED))).send("GET", f"{target}?stream=true")
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    "answer",
    [
        NotFoundError("No."),
        Answer(b'{"error": {}}', 500),
        Answer(b"text", 200, [("Content-Type", "text/plain")]),
    ],
    ids=["error", "500", "text"],
)
def test_errors_and_other_answers_are_of_no_form(  # O14
    answer: Any, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    chat(stack.app(Backend(answer)), stream=True)
    assert warnings(caplog) == []


def test_operations_without_a_stream_are_not_spoken_of(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:  # O14
    app = stack.app(Backend({**FILES, "data": []}))
    app.send("GET", "/v1/files?stream=true")
    stack.app(streaming(event({}))).send("GET", "/v1/files")
    assert warnings(caplog) == []


# --- whose fault it is


@pytest.mark.parametrize("answer", [{}, {"id": "c"}, [], 7])
def test_field_that_the_app_left_out_is_an_error_of_the_server_that_no_retry_heals(  # O15 O3 E3
    answer: Any, stack: Stack
) -> None:
    reply = chat(stack.app(Backend(answer)))
    assert (reply.status, reply.header("x-should-retry")) == (422, "false")
    assert (reply.error["type"], reply.error["code"]) == ("server_error", "invalid_response")


def test_field_that_the_client_left_out_is_the_client_s(stack: Stack) -> None:  # O15 B2
    reply = stack.app(Backend()).send("POST", "/v1/chat/completions", b"{}")
    assert (reply.status, reply.error["type"], reply.header("x-should-retry")) == (422, "invalid_request_error", None)


# --- headers of the request


def test_ranges_are_not_asked_for_where_answers_are_mapped(stack: Stack) -> None:  # O7
    ranges = [("Range", "bytes=0-3"), ("If-Range", '"1"'), ("X-Own", "1")]
    backend = Backend(COMPLETION)
    app = stack.app(backend)
    app.send("POST", "/v1/chat/completions", dump(CHAT), [*JSON, *ranges])
    assert backend.seen.headers.keys() & {"range", "if-range", "x-own"} == {"x-own"}
    assert "range" not in backend.call.headers


@pytest.mark.parametrize("target", ["/v1/files/f-1/content", "/elsewhere"])
def test_ranges_of_other_answers_are_the_app_s_business(target: str, stack: Stack) -> None:  # O7 M11
    backend = Backend(Answer(b"text", headers=[("Content-Type", "text/plain")]))
    stack.app(backend).send("GET", target, headers=[("Range", "bytes=0-3"), ("If-Range", '"1"')])
    assert (backend.seen.headers["range"], backend.seen.headers["if-range"]) == ("bytes=0-3", '"1"')


def test_call_has_the_headers_by_names_in_any_case(stack: Stack) -> None:  # B7
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    backend = Backend(COMPLETION)
    sent = [
        *JSON,
        ("Authorization", "Bearer key"),
        ("traceparent", parent),
        ("X-Own", "ü"),
        ("Accept-Encoding", "gzip"),
    ]
    stack.app(backend).send("POST", "/v1/chat/completions", dump(CHAT), sent)
    headers = backend.call.headers
    for name in ("authorization", "Authorization", "AUTHORIZATION"):
        assert (headers[name], headers.get(name), name in headers) == ("Bearer key", "Bearer key", True)
    assert (headers["Traceparent"], headers["x-own"]) == (parent, "ü")
    assert headers["content-type"] == "application/json"
    assert headers["Content-Length"] == str(len(json.dumps(CHAT)))
    assert headers.get("accept-encoding") is None
    assert headers.get("absent", "default") == "default"
