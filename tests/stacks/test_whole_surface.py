"""Every operation of the contract behind the middleware: what reaches the app, and what its answer becomes."""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI, Request

from openai_middleware import (
    APIHandlerAction,
    APIHandlerConfig,
    OpenAIEndpoint,
    OpenAIMiddleware,
    OpenAIWSGIMiddleware,
)
from openai_middleware.adapters.fastapi import set_openai_frontend
from openai_middleware.contract import Operation, shipped
from openai_middleware.request.call import CALL_KEY
from openai_middleware.request.path_template import placeholder_names
from tests.support import wsgi_driver
from tests.support.drivers import (
    JSON_HEADERS,
    App,
    Header,
    Message,
    Script,
    Sent,
    http_scope,
    part,
    request,
    request_messages,
    start,
)

Json = dict[str, Any]

OPERATIONS = [operation for group in shipped().groups for operation in shipped().operations(group)]
JUNK: Json = {"junk": {"deep": [1]}, "_internal": "secret", "Id": "i", "error": {"of": "another form"}}
FORM_HEADERS: list[Header] = [(b"content-type", b"multipart/form-data; boundary=b")]
# Characters that mean something in a path, and some that are no ASCII.
PLACE = "ü/{x} +%41?"


def each(operations: Iterable[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", list(operations), ids=lambda operation: operation.name)


each_operation = each(OPERATIONS)
each_with_a_json_body = each(one for one in OPERATIONS if one.request == "json")
each_with_a_json_answer = each(one for one in OPERATIONS if one.fields)
each_with_a_form = each(one for one in OPERATIONS if one.request == "multipart")
each_without_an_answer_in_the_contract = each(one for one in OPERATIONS if not one.fields)


class Surface:
    """The whole API behind one middleware. Each request is answered by an app of its own."""

    def __init__(self) -> None:
        self._middleware = OpenAIMiddleware(self._forward, prefix="/v1")
        self._app: Any = None

    async def _forward(self, *connection: Any) -> None:
        await self._app(*connection)

    async def ask(self, operation: Operation, app: Any, body: Any = None, **more: Any) -> Sent:
        self._app = app
        return await request(self._middleware, operation.method, target_of(operation), body or b"", **more)


SURFACE = Surface()


def operation_named(name: str) -> Operation:
    return next(operation for operation in OPERATIONS if operation.name == name)


def target_of(operation: Operation) -> str:
    return "/v1" + re.sub(r"\{.+?\}", quote(PLACE, safe=""), operation.path)


def wsgi_target(operation: Operation) -> str:
    # Without a raw path, WSGI cannot tell an encoded slash from a slash.
    return target_of(operation).replace("%2F", "-")


def url_kwargs(operation: Operation) -> Json:
    """What the kwargs hold that is not from the body."""
    path = "/v1" + re.sub(r"\{.+?\}", lambda _: PLACE, operation.path)
    params = dict.fromkeys(placeholder_names(operation.path), PLACE)
    return {**params, "mlrun_request_path": path, "mlrun_request_method": operation.method}


def body_of(operation: Operation, *, mandatory_only: bool = False) -> Json:
    """The fields of a JSON body; of any other body, none."""
    fields = operation.body.items() if operation.request == "json" else ()
    return {name: f"{name} of the body" for name, mandatory in fields if mandatory or not mandatory_only}


def value_of(field: str) -> Any:
    return False if field == "has_more" else f"{field} of the answer"


def answer_to(operation: Operation, *, mandatory_only: bool = False) -> Json:
    fields = operation.fields.items()
    return {name: value_of(name) for name, (mandatory, _) in fields if mandatory or not mandatory_only}


# --- the groups


def test_each_group_of_the_contract_is_a_member_named_in_capitals() -> None:  # C1 C2
    assert {member.name: member.value for member in OpenAIEndpoint} == {name.upper(): name for name in shipped().groups}


async def test_the_whole_surface_is_served_at_once(capsys: pytest.CaptureFixture[str]) -> None:  # C1 C2
    served = []
    for operation in OPERATIONS:
        app = App(answer_to(operation) | JUNK)
        headers = FORM_HEADERS if operation.request == "multipart" else JSON_HEADERS
        sent = await SURFACE.ask(operation, app, body_of(operation), headers=headers)
        if sent.status == 200 and app.call.operation == operation.name:
            served.append(operation)

    mapped = [operation for operation in served if operation.fields]
    with capsys.disabled():
        print(f"\nwhole surface: {len(served)} of {len(OPERATIONS)} operations served, {len(mapped)} with JSON answers")
    assert served == OPERATIONS
    assert len(served) == 150


def test_the_whole_surface_is_served_by_wsgi_too() -> None:  # C1 C2
    app = wsgi_driver.App()
    middleware = OpenAIWSGIMiddleware(app, prefix="/v1")
    for operation in OPERATIONS:
        app.answer = JUNK | answer_to(operation)
        sent = wsgi_driver.request(middleware, operation.method, wsgi_target(operation), body_of(operation) or b"")

        assert app.environs[-1][CALL_KEY].operation == operation.name
        assert sent.json == (answer_to(operation) if operation.fields else JUNK)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    def logged() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]

    return logged


each_driver = pytest.mark.parametrize(
    ("driver", "app"), [(OpenAIMiddleware, App()), (OpenAIWSGIMiddleware, wsgi_driver.App())], ids=["asgi", "wsgi"]
)


@each_driver
def test_the_whole_api_at_the_root_of_an_app_is_warned_about_once(driver: Any, app: Any, warnings: Any) -> None:  # C2
    driver(app)

    [warning] = warnings()
    assert "paths such as /files and /models are taken from the app" in warning
    assert "prefix, such as '/v1'" in warning
    assert "endpoints=[" in warning


async def test_the_fastapi_adapter_warns_once_too(warnings: Any) -> None:  # C2
    app = FastAPI()
    set_openai_frontend(app)
    await request(app, "GET", "/models")

    assert len(warnings()) == 1


def at_the_root() -> APIHandlerConfig:
    config = APIHandlerConfig()
    config.set_openai_frontend()
    return config


@pytest.mark.parametrize(
    "arguments",
    [
        {"prefix": "/v1"},
        {"prefix": ["/v1", "/openai/v1"]},
        {"endpoints": ["responses"]},
        {"endpoints": list(OpenAIEndpoint)},
        {"endpoints": []},
        {"config": at_the_root()},
        {"config": at_the_root().to_dict()},
    ],
)
@each_driver
def test_who_names_a_prefix_or_groups_or_endpoints_is_not_warned(  # C2
    driver: Any, app: Any, arguments: Any, warnings: Any
) -> None:
    driver(app, **arguments)

    assert warnings() == []


# --- requests


@each_operation
async def test_body_fields_and_path_parameters_are_the_kwargs_of_the_operation(operation: Operation) -> None:  # B7 C1
    app = App(answer_to(operation))

    await SURFACE.ask(operation, app, body_of(operation))

    assert app.call.operation == operation.name
    assert app.kwargs == {**body_of(operation), **url_kwargs(operation)}


@each_with_a_json_body
async def test_a_body_needs_its_mandatory_fields_alone_and_keeps_what_the_contract_has_not(  # B2 B3 C5
    operation: Operation,
) -> None:
    body = body_of(operation, mandatory_only=True)
    app = App(answer_to(operation))

    sent = await SURFACE.ask(operation, app, {**body, **JUNK})

    assert sent.status == 200
    assert app.call.body == {**body, **JUNK}
    assert app.call.body_params == body


@each_with_a_json_body
async def test_a_body_without_one_of_its_mandatory_fields_is_refused_by_its_name(operation: Operation) -> None:  # B2 E1
    for field, is_mandatory in operation.body.items():
        body = {name: value for name, value in body_of(operation).items() if name != field}
        app = App(answer_to(operation))

        sent = await SURFACE.ask(operation, app, body)

        assert (sent.status, app.is_called) == ((422, False) if is_mandatory else (200, True))
        if is_mandatory:
            assert (sent.error["param"], sent.error["code"]) == (field, "missing_required_parameter")


# --- JSON answers


@each_with_a_json_answer
async def test_an_answer_keeps_every_field_of_the_operation_and_loses_all_others(operation: Operation) -> None:  # O2
    answer = answer_to(operation)
    junk = {name: value for name, value in JUNK.items() if name not in answer}

    sent = await SURFACE.ask(operation, App({**junk, **answer}), body_of(operation))

    assert sent.json == answer
    assert sent.header("content-length") == str(len(sent.body))


@each_with_a_json_answer
async def test_an_answer_that_is_right_leaves_as_the_very_messages_of_the_app(operation: Operation) -> None:  # O2
    messages = [start(), part(json.dumps(answer_to(operation)).encode())]

    sent = await SURFACE.ask(operation, Script(messages), body_of(operation))

    assert sent.is_very_same(messages)


@each_with_a_json_answer
async def test_an_answer_without_a_mandatory_field_is_an_error_or_has_it_as_null(operation: Operation) -> None:  # O3 O4
    answer = answer_to(operation, mandatory_only=True)
    for field in answer:
        rest = {name: value for name, value in answer.items() if name != field}

        sent = await SURFACE.ask(operation, App(rest), body_of(operation))

        if operation.fields[field].nullable:
            assert (sent.status, sent.json) == (200, {**answer, field: None})
        else:
            assert (sent.status, sent.error["param"]) == (422, field)
            assert sent.error["code"] == "invalid_response"


@each_without_an_answer_in_the_contract
async def test_an_answer_that_the_contract_does_not_describe_passes(operation: Operation) -> None:  # C4 O1
    messages = [start(), part(b'{"deleted":', more_body=True), part(b' true, "junk": 1}')]

    sent = await SURFACE.ask(operation, Script(messages), body_of(operation))

    assert sent.is_very_same(messages)


# --- multipart requests


@each_with_a_form
async def test_a_form_reaches_the_app_unread_chunk_by_chunk_and_without_a_limit(operation: Operation) -> None:  # B10
    incoming = request_messages([b"one", b"two", b"three"])
    pending = list(incoming)
    read: list[Message] = []
    app = App()

    async def reading_app(scope: Any, receive: Any, send: Any) -> None:
        app.scopes.append(scope)
        while pending:
            read.append(await receive())
            assert len(read) + len(pending) == len(incoming), "something was read ahead"

    async def receive() -> Message:
        return pending.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError("nothing was answered")

    middleware = OpenAIMiddleware(reading_app, [operation.group], prefix="/v1", max_body_size=1)
    scope = http_scope("POST", f"{target_of(operation)}?page=2&tag[]=a", headers=FORM_HEADERS)
    await middleware(scope, receive, send)

    assert [id(message) for message in read] == [id(message) for message in incoming]
    assert (app.call.operation, app.call.body) == (operation.name, None)
    assert app.kwargs == {"page": "2", "tag": ["a"], **url_kwargs(operation)}


@each_with_a_form
def test_a_form_reaches_a_wsgi_app_unread(operation: Operation) -> None:  # B10 W1
    stream = wsgi_driver.Input(b"x" * 100)
    app = wsgi_driver.App(answer_to(operation))
    middleware = OpenAIWSGIMiddleware(app, [operation.group], prefix="/v1", max_body_size=1)
    environ = wsgi_driver.environ(
        "POST", wsgi_target(operation) + "?page=2", stream, CONTENT_LENGTH="100", CONTENT_TYPE="multipart/form-data"
    )

    wsgi_driver.Server().serve(middleware, environ)

    assert app.environs[0]["wsgi.input"] is stream
    assert stream.reads == [100], "the app's own"
    assert (app.call.operation, app.call.body, app.kwargs["page"]) == (operation.name, None, "2")


@pytest.mark.parametrize(("body", "seen"), [(b'{"file": "f", "model": 1}', {"file": "f", "model": 1}), (b"{", "{")])
@each_with_a_form
async def test_another_body_of_an_operation_that_takes_forms_is_the_body_of_the_call(  # B7 B10
    operation: Operation, body: bytes, seen: Any
) -> None:
    app = App(answer_to(operation))

    sent = await SURFACE.ask(operation, app, body, headers=JSON_HEADERS)

    assert sent.status == 200
    assert app.call.body == seen
    assert app.kwargs == url_kwargs(operation)
    assert app.bodies == [body]


# --- binary answers

BINARY = [operation for operation in OPERATIONS if operation.response == "binary"]
CONTENTS = [
    ("application/octet-stream", b"\x00\xff\r\n\r\ndata: {}"),
    ("audio/mpeg", b"ID3\x04\x00"),
    ("video/mp4", b""),
    ("application/zip", b"PK\x05\x06"),
    ("text/plain; charset=utf-8", "Grüße".encode()),
    ("application/json", b'{"junk": 1, "id": "mine"}'),
    ("application/json", b'{"a": 1}\n{"a": 2}\n'),
    ("application/json", b"[1"),
    ("application/jsonl", b'{"a": 1}\n'),
]


@pytest.mark.parametrize(("content_type", "content"), CONTENTS)
@each(BINARY)
async def test_a_binary_answer_passes_byte_for_byte_also_where_it_is_json(  # O1
    operation: Operation, content_type: str, content: bytes
) -> None:
    headers = [(b"Content-Type", content_type.encode()), (b"etag", b'"e"'), (b"content-length", b"%d" % len(content))]
    messages = [start(headers=headers), part(content[:3], more_body=True), part(content[3:])]

    sent = await SURFACE.ask(operation, Script(messages), body_of(operation))

    assert sent.is_very_same(messages)


@pytest.mark.parametrize(("content_type", "content"), CONTENTS)
@each(BINARY)
def test_a_binary_answer_of_a_wsgi_app_passes_byte_for_byte(  # O1
    operation: Operation, content_type: str, content: bytes
) -> None:
    headers = [("Content-Type", content_type), ("ETag", '"e"'), ("Content-Length", str(len(content)))]
    app = wsgi_driver.App(content, headers=headers)
    middleware = OpenAIWSGIMiddleware(app, [operation.group], prefix="/v1")
    server = wsgi_driver.Server()

    wsgi_driver.request(middleware, operation.method, wsgi_target(operation), body_of(operation) or b"", server=server)

    assert b"".join(server.sent_bytes) == content
    assert server.starts[0].headers == headers


async def test_a_binary_answer_leaves_before_the_app_has_made_the_rest() -> None:  # O1
    sent = Sent()
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(headers=[(b"content-type", b"application/json")]))
        await send(part(b"{", more_body=True))
        seen.append(sent.body)
        await send(part(b"}"))

    await SURFACE.ask(operation_named("files.content"), app, sent=sent)

    assert seen == [b"{"]


# --- names that hold slashes

MODELS = [
    ("/v1/models/gpt-4o", "gpt-4o"),
    ("/v1/models/org%2Fname", "org/name"),
    ("/v1/models/org/name", "org/name"),
    ("/v1/models/org/team/name", "org/team/name"),
    ("/v1/models/org%2Fteam/na%20me", "org/team/na me"),
    ("/v1/models/ft:gpt-4o:org::id", "ft:gpt-4o:org::id"),
    ("/v1/models/responses/r1", "responses/r1"),
]
NO_MODELS = ["/v1/models/", "/v1/models//name", "/v1/models/org//name", "/v1/models/org/", "/v1//models/name"]
MODEL_METHODS = {"GET": "models.retrieve", "DELETE": "models.delete"}


def by_asgi(method: str, target: str, **more: Any) -> Any:
    """The call that the request becomes, or None."""
    app = App(answer_to(operation_named(MODEL_METHODS[method])))
    asyncio.run(request(OpenAIMiddleware(app, ["models"], prefix="/v1"), method, target, **more))
    return app.scopes[0].get(CALL_KEY)


def by_asgi_without_a_raw_path(method: str, target: str) -> Any:
    return by_asgi(method, target, raw_path=None)


def by_wsgi(method: str, target: str, **more: Any) -> Any:
    app = wsgi_driver.App(answer_to(operation_named(MODEL_METHODS[method])))
    wsgi_driver.request(OpenAIWSGIMiddleware(app, ["models"], prefix="/v1"), method, target, **more)
    return app.environs[0].get(CALL_KEY)


def by_wsgi_with_a_raw_path(method: str, target: str) -> Any:
    return by_wsgi(method, target, RAW_URI=target)


each_way = pytest.mark.parametrize(
    "asks", [by_asgi, by_asgi_without_a_raw_path, by_wsgi, by_wsgi_with_a_raw_path], ids=lambda asks: asks.__name__
)


@pytest.mark.parametrize(("target", "model"), MODELS)
@pytest.mark.parametrize("method", MODEL_METHODS)
@each_way
def test_the_name_of_a_model_may_hold_slashes_encoded_and_plain(  # M9 W4
    asks: Callable[[str, str], Any], method: str, target: str, model: str
) -> None:
    call = asks(method, target)

    assert call.operation == MODEL_METHODS[method]
    assert call.path_params == {"model": model}


@pytest.mark.parametrize("target", NO_MODELS)
@pytest.mark.parametrize("method", MODEL_METHODS)
@each_way
def test_an_empty_segment_is_no_part_of_the_name_of_a_model(  # M4 M9
    asks: Callable[[str, str], Any], method: str, target: str
) -> None:
    assert asks(method, target) is None


@pytest.mark.parametrize(("target", "model"), MODELS)
async def test_a_fastapi_route_takes_the_same_names(target: str, model: str) -> None:  # M9
    app = FastAPI()

    @app.get("/v1/models/{model:path}")
    async def retrieve(model: str, request: Request) -> Json:
        return {"id": model, "object": "model", "created": 1, "owned_by": request.scope[CALL_KEY].kwargs["model"]}

    sent = await request(OpenAIMiddleware(app, prefix="/v1"), "GET", target)

    assert sent.json == {"id": model, "object": "model", "created": 1, "owned_by": model}


@pytest.mark.parametrize(
    ("line", "status"),
    [
        *((f"{method} {target}", 403) for target, _ in MODELS for method in ("GET", "HEAD")),
        ("GET /v1/models/org//name", 403),
        ("GET /v1//models/./org%2F..%2Fname/", 403),
        ("GET /v1/models", 200),
        ("GET /v1/models/", 200),
        ("DELETE /v1/models/org/name", 200),
    ],
)
async def test_what_may_hold_slashes_is_forbidden_with_all_of_them(line: str, status: int) -> None:  # M13
    config = APIHandlerConfig()
    config.set_openai_frontend(prefix="/v1")
    config.add_endpoint_handler("/v1/models/{model:path}", "GET", APIHandlerAction.FORBID)
    app = App({"object": "list", "data": [], "id": "m", "deleted": True})

    sent = await request(OpenAIMiddleware(app, config=config), *line.split(" "))

    assert (sent.status, app.is_called) == (status, status == 200)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/models/org/secret", 403),
        ("/v1/models/org%2Fsecret", 403),
        ("/v1/models/org//secret", 403),
        ("/v1/models/org/secret/more", 200),
        ("/v1/models/org/public", 200),
    ],
)
async def test_one_name_that_holds_a_slash_is_forbidden_however_it_is_sent(target: str, status: int) -> None:  # M13
    config = APIHandlerConfig()
    config.set_openai_frontend(prefix="/v1")
    config.add_endpoint_handler("/v1/models/org/secret", "GET", APIHandlerAction.FORBID)
    app = App(answer_to(operation_named("models.retrieve")))

    sent = await request(OpenAIMiddleware(app, config=config), "GET", target)

    assert (sent.status, app.is_called) == (status, status == 200)
