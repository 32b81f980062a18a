"""The id of a request: on every answer to the API, in the call, and in the log. Whatever the framework."""

import logging
import re
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from openai_middleware import HandlerApp, OpenAIMiddleware
from openai_middleware.errors import ConflictError, RateLimitError
from openai_middleware.request.call import CALL_KEY
from openai_middleware.request.query import MAX_QUERY_PARAMETERS
from tests.support import drivers
from tests.support.behaviours import Backend, streaming
from tests.support.samples import CHAT, COMPLETION
from tests.support.stacks import JSON, Answer, Headers, Stack

BODY = b'{"model": "m", "messages": []}'
URL = "/v1/chat/completions"
MADE = re.compile("req_[0-9a-f]{32}")
SENT: Headers = [*JSON, ("X-Request-Id", "trace-1")]

BEHAVIOURS: dict[str, Callable[..., Backend]] = {
    "json": lambda *more: Backend(Answer(b'{"id":"c"}', headers=[*JSON, *more])),
    "mapped": lambda *more: Backend(
        Answer(
            b'{"junk":1,"id":"c","object":"chat.completion","created":1,"model":"m","choices":[]}',
            headers=[*JSON, *more],
        )
    ),
    "stream": lambda *more: streaming(b"data: {}\n\n", headers=[("Content-Type", "text/event-stream"), *more]),
    "error": lambda *more: Backend(Answer(b"Sorry.", 503, [("Content-Type", "text/plain"), *more])),
    "picture": lambda *more: Backend(Answer(b"\x89PNG", 200, [("Content-Type", "image/png"), *more])),
}


@pytest.mark.parametrize("kind", BEHAVIOURS)
def test_every_answer_has_the_id_of_its_request(kind: str, stack: Stack) -> None:  # I1
    assert stack.app(BEHAVIOURS[kind]()).send("POST", URL, BODY, SENT).request_id == "trace-1"


@pytest.mark.parametrize("kind", BEHAVIOURS)
def test_answer_to_a_request_without_an_id_has_one_that_is_new(kind: str, stack: Stack) -> None:  # I1
    made = [stack.app(BEHAVIOURS[kind]()).send("POST", URL, BODY).request_id for _ in range(2)]

    assert all(MADE.fullmatch(found) for found in made)
    assert made[0] != made[1]


@pytest.mark.parametrize("kind", [kind for kind in BEHAVIOURS if kind != "json"])
def test_id_that_the_app_gives_its_answer_stays(kind: str, stack: Stack) -> None:  # I1
    backend = BEHAVIOURS[kind](("X-Request-ID", "own"))

    assert stack.app(backend).send("POST", URL, BODY, SENT).request_id == "own"


def test_error_that_the_app_raises_has_the_id(stack: Stack) -> None:  # I1
    assert stack.app(Backend(ConflictError("Busy."))).send("POST", URL, BODY, SENT).request_id == "trace-1"


def test_answer_of_a_function_has_the_id_that_its_call_has(stack: Stack) -> None:  # I1
    def handler(body: Any) -> Any:
        return COMPLETION

    app = stack.app(Backend(), handlers={"chat.completions.create": handler})

    assert app.send("POST", URL, BODY, SENT).request_id == "trace-1"
    assert MADE.fullmatch(app.send("POST", URL, BODY).request_id)


def test_call_has_the_id_that_its_answer_has(stack: Stack) -> None:  # I1
    backend = Backend(b"{}")

    reply = stack.app(backend).send("POST", "/v1/responses/r/cancel", b"")

    assert MADE.fullmatch(backend.call.request_id)
    assert reply.request_id == backend.call.request_id


def test_answer_to_a_request_that_no_endpoint_matches_has_none(stack: Stack) -> None:  # I1 M11
    reply = stack.app(Backend(b"{}")).send("GET", "/other", b"", SENT)

    assert reply.header("x-request-id") is None


@pytest.mark.parametrize("value", ["two words", "x" * 129, "\xe9", ""])
def test_id_that_could_forge_a_line_or_is_too_long_is_not_echoed(value: str, stack: Stack) -> None:  # I1
    reply = stack.app(Backend(b"{}")).send("POST", URL, BODY, [*JSON, ("X-Request-Id", value)])

    assert MADE.fullmatch(reply.request_id)


# --- the log

CREATE = "chat.completions.create"
REFUSALS: list[tuple[str, str, bytes, str]] = [
    ("GET", "/v1/nothing%0Aforged", b"", r"GET /v1/nothing\nforged: refused with 404 unknown_url"),
    ("PUT", URL, b"", f"PUT {URL}: refused with 405 method_not_allowed"),
    ("POST", URL, b"[secret", f"{CREATE}: refused with 400 invalid_json"),
    ("POST", URL, b'{"messages": ["secret"]}', f"{CREATE}: refused with 422 missing_required_parameter, field 'model'"),
    ("POST", f"{URL}?model=secret", BODY, f"{CREATE}: refused with 400 duplicate_parameter, field 'model'"),
    ("POST", f"{URL}?a=1&a[%0A]=secret", BODY, f"{CREATE}: refused with 400 invalid_type, field 'a'"),
    ("POST", URL, b"x" * 200, f"{CREATE}: refused with 413 request_too_large"),
    ("POST", f"{URL}?{'&' * MAX_QUERY_PARAMETERS}", BODY, f"{CREATE}: refused with 400 too_many_parameters"),
]


@pytest.mark.parametrize(("method", "target", "body", "line"), REFUSALS)
def test_every_refusal_has_its_id_and_one_line_in_the_log(
    method: str, target: str, body: bytes, line: str, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # I1 I2
    backend = Backend()
    app = stack.app(backend, prefix="/v1", unmatched="reject", max_body_size=100)
    caplog.set_level(logging.INFO, "openai_middleware")

    reply = app.send(method, target, body)

    assert not backend.is_called
    assert MADE.fullmatch(reply.request_id)
    lines = [record.getMessage() for record in caplog.records if record.name == "openai_middleware"]
    assert lines == [f"{line} (request {reply.request_id})."]


def test_answer_that_breaks_the_contract_has_a_line_with_operation_field_and_id(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # O3 I2
    reply = stack.app(Backend(b'{"id": "secret"}')).send("POST", URL, BODY)

    [line] = [record.getMessage() for record in caplog.records if record.name == "openai_middleware"]
    assert reply.status == 422
    assert line.startswith(f"{CREATE}: the app's answer lacks the mandatory field '")
    assert line.endswith(f"The client gets 422 (request {reply.request_id}).")
    assert "secret" not in line


# --- the SDK


def sdk(app: Any) -> openai.AsyncOpenAI:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    return openai.AsyncOpenAI(api_key="k", base_url="http://server/v1", http_client=http_client)


async def test_the_sdk_has_the_id_of_answers_and_of_errors() -> None:  # I1
    def handler(body: Any, *, model: str) -> Any:
        if model == "busy":
            raise ConflictError("Busy.")
        return COMPLETION

    async with sdk(OpenAIMiddleware(HandlerApp(handler), prefix="/v1")) as client:
        answer = await client.chat.completions.create(model=CHAT["model"], messages=[])
        with pytest.raises(openai.ConflictError) as caught:
            await client.chat.completions.create(model="busy", messages=[])

    assert MADE.fullmatch(answer._request_id or "")
    assert MADE.fullmatch(caught.value.request_id or "")


async def test_a_call_that_is_sent_again_has_the_same_idempotency_key() -> None:  # E3
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        call = scope[CALL_KEY]
        seen.append((call.headers.get("Idempotency-Key"), call.headers.get("x-stainless-retry-count")))
        if len(seen) == 1:
            raise RateLimitError("Later.", headers={"Retry-After-Ms": "1"})
        await drivers.App(COMPLETION)(scope, receive, send)

    async with sdk(OpenAIMiddleware(app, prefix="/v1")) as client:
        await client.chat.completions.create(model="m", messages=[], extra_headers={"Idempotency-Key": "k1"})

    assert seen == [("k1", "0"), ("k1", "1")]
