"""Functions beside an app: `handlers=` answers the operations that have one, and the app all others."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from openai_middleware import APIHandlerConfig, Dispatcher, Response
from openai_middleware.errors import ConfigurationError, NotFoundError
from tests.support.behaviours import Backend, documents, dump
from tests.support.samples import CHAT, CHUNK, COMPLETION, NULLABLE_OF_RESPONSE, RESPONSE
from tests.support.server_sent_events import parse
from tests.support.stacks import Reply, Stack, StackedApp

CREATE = "chat.completions.create"
JUNK = {"junk": 1}


def chat(app: StackedApp, **fields: Any) -> Reply:
    return app.send("POST", "/v1/chat/completions", dump({**CHAT, **fields}))


def answering(body: Any, *, model: str, messages: list[Any]) -> Any:
    return {**COMPLETION, **JUNK, "model": f"{model} of {body['model']}, {len(messages)}"}


async def answering_on_a_loop(body: Any, *, model: str, messages: list[Any]) -> Any:
    return answering(body, model=model, messages=messages)


def dispatching(function: Any) -> Dispatcher:
    dispatch = Dispatcher()
    dispatch(CREATE)(function)
    return dispatch


@pytest.mark.parametrize("function", [answering, answering_on_a_loop])
@pytest.mark.parametrize("make", [dispatching, lambda function: {CREATE: function}], ids=["dispatcher", "dict"])
def test_function_answers_its_operation_and_the_app_does_not_see_it(make: Any, function: Any, stack: Stack) -> None:
    backend = Backend()
    reply = chat(stack.app(backend, handlers=make(function)))
    assert (reply.status, reply.json) == (200, {**COMPLETION, "model": "m of m, 0"})
    assert not backend.is_called


def test_operations_without_a_function_go_to_the_app(stack: Stack) -> None:
    backend = Backend({**RESPONSE, **JUNK})
    app = stack.app(backend, handlers={CREATE: answering})
    reply = app.send("POST", "/v1/responses", b'{"model": "m", "input": "i"}')
    assert reply.json == {**RESPONSE, **dict.fromkeys(NULLABLE_OF_RESPONSE)}
    app.send("GET", "/elsewhere")
    operations = [request.call and request.call.operation for request in backend.requests]
    assert operations == ["responses.create", None]


@pytest.mark.parametrize("prefix", ["/v1", "/v2"])
def test_function_answers_under_every_prefix(prefix: str, stack: Stack) -> None:
    app = stack.app(Backend(), prefix=["/v1", "/v2"], handlers={CREATE: answering})
    assert app.send("POST", f"{prefix}/chat/completions", dump(CHAT)).json["id"] == "c"


def test_function_answers_endpoints_that_a_config_gives_its_operation(stack: Stack) -> None:
    config = APIHandlerConfig()
    config.set_openai_frontend(["models"], "/api")
    app = stack.app(Backend(), config=config, handlers={"models.delete": lambda body, *, model: {"id": model}})
    assert app.send("DELETE", "/api/models/org%2Fname").error["param"] in ("object", "deleted")


def test_requests_are_checked_before_the_function_is_called(stack: Stack) -> None:  # B2 B4
    app = stack.app(Backend(), handlers={CREATE: answering})
    assert app.send("POST", "/v1/chat/completions", b"{}").status == 422
    assert app.send("POST", "/v1/chat/completions", b"{").status == 400


def test_answers_of_functions_are_checked_too(stack: Stack) -> None:  # O3 O15
    reply = chat(stack.app(Backend(), handlers={CREATE: lambda body: {"id": "c"}}))
    assert (reply.status, reply.header("x-should-retry")) == (422, "false")


def test_function_has_full_control_by_a_response(stack: Stack) -> None:
    answer = Response(COMPLETION, status_code=201, headers={"X-Own": "1"})
    reply = chat(stack.app(Backend(), handlers={CREATE: lambda body: answer}))
    assert (reply.status, reply.header("x-own"), reply.json) == (201, "1", COMPLETION)


def test_openai_error_of_a_function_is_its_envelope(stack: Stack) -> None:  # E4
    def failing(body: Any) -> None:
        raise NotFoundError("No such model.", param="model")

    reply = chat(stack.app(Backend(), handlers={CREATE: failing}))
    assert (reply.status, reply.error["message"], reply.error["param"]) == (404, "No such model.", "model")


@pytest.mark.parametrize("is_async", [False, True])
def test_bug_of_a_function_is_a_500_that_is_not_retried_and_is_in_the_log(
    is_async: bool, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # E3 E4
    bug = ZeroDivisionError("a secret")

    def failing(body: Any) -> None:
        raise bug

    async def failing_on_a_loop(body: Any) -> None:
        raise bug

    reply = chat(stack.app(Backend(), handlers={CREATE: failing_on_a_loop if is_async else failing}))
    assert (reply.status, reply.error["type"], reply.header("x-should-retry")) == (500, "server_error", "false")
    assert b"secret" not in reply.body
    [record] = [record for record in caplog.records if record.name == "openai_middleware"]
    assert record.getMessage() == f"{CREATE}: the handler failed (request {reply.request_id})."
    assert record.exc_info is not None
    assert record.exc_info[1] is bug


def test_result_that_is_no_answer_is_a_bug_too(stack: Stack) -> None:  # E3
    reply = chat(stack.app(Backend(), handlers={CREATE: lambda body: {"id": object()}}))
    assert (reply.status, reply.error["type"]) == (500, "server_error")


# --- streams


def chunks(body: Any) -> Iterator[Any]:
    yield {**CHUNK, **JUNK}
    yield {**CHUNK, "id": "d"}


async def chunks_on_a_loop(body: Any) -> AsyncIterator[Any]:
    for chunk in chunks(body):
        yield chunk


@pytest.mark.parametrize("function", [chunks, chunks_on_a_loop])
def test_generator_is_a_stream_of_events(function: Any, stack: Stack) -> None:  # S2 S3
    reply = chat(stack.app(Backend(), handlers={CREATE: function}), stream=True)
    assert reply.header("content-type") == "text/event-stream"
    assert documents(reply) == [CHUNK, {**CHUNK, "id": "d"}, "[DONE]"]


def test_event_of_a_function_leaves_before_the_next_is_made(stack: Stack) -> None:  # S1
    log: list[str] = []

    def noting(body: Any) -> Iterator[Any]:
        for number in range(2):
            log.append(f"made {number}")
            yield {**CHUNK, "id": str(number)}
        log.append("made all")

    def note(chunk: bytes) -> None:
        log.extend(f"left {json.loads(found.data)['id']}" for found in parse(chunk) if found.data != "[DONE]")

    app = stack.app(Backend(), handlers={CREATE: noting})
    app.send("POST", "/v1/chat/completions", dump({**CHAT, "stream": True}), on_chunk=note)
    assert log.index("left 0") < log.index("made all")
    assert log[-1] in ("made all", "left 1")


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("error", [NotFoundError("Gone."), ZeroDivisionError("a secret")])
def test_failure_of_a_generator_is_a_status_first_and_a_frame_later(
    error: Exception, count: int, stack: Stack
) -> None:  # S4
    def failing(body: Any) -> Iterator[Any]:
        for _ in range(count):
            yield CHUNK
        raise error

    app = stack.app(Backend(), handlers={CREATE: failing})
    reply = app.send("POST", "/v1/chat/completions", dump({**CHAT, "stream": True}), fails=True)
    assert b"secret" not in reply.body
    if count == 0:
        assert reply.status == (404 if isinstance(error, NotFoundError) else 500)
        assert reply.error["type"]
    else:
        first, last = documents(reply)
        assert (reply.status, first, list(last)) == (200, CHUNK, ["error"])


# --- where a function runs


def test_sync_function_blocks_no_loop(stack: Stack) -> None:
    threads: list[threading.Thread] = []
    app = stack.app(Backend(), handlers={CREATE: lambda body: threads.append(threading.current_thread()) or COMPLETION})
    chat(app)
    is_on_a_loop = stack.name in ("asgi", "fastapi", "django-async")
    assert (threads[0] is not threading.current_thread()) == is_on_a_loop


# --- mistakes


def test_function_for_what_is_not_served_is_a_mistake(stack: Stack) -> None:
    with pytest.raises(ConfigurationError) as caught:
        stack.app(Backend(), prefix="/v1", endpoints=["responses"], handlers={CREATE: answering})
    assert [mistake.code for mistake in caught.value.mistakes] == ["handler_unreachable"]
