"""What a client receives when something fails, and what its SDK makes of it."""

import copy
import enum
import json
import pickle
from collections.abc import Iterator
from typing import Any

import httpx2  # the HTTP library of the pinned SDK
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware import APIHandlerConfig, OpenAIMiddleware, errors
from openai_middleware.errors import (
    ConfigurationError,
    ConfigurationMistake,
    ConflictError,
    InternalServerError,
    NotFoundError,
    OpenAIError,
    RateLimitError,
    UnprocessableEntityError,
)
from openai_middleware.mistakes import report_mistakes
from tests.support.drivers import App, Script, Sent, endpoint, mappings, part, request, start

STATUSES = {
    "BadRequestError": 400,
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "MethodNotAllowedError": 405,
    "ConflictError": 409,
    "RequestTooLargeError": 413,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
    "InternalServerError": 500,
}
# The SDK has no class of its own for these.
PLAIN = {"MethodNotAllowedError", "RequestTooLargeError"}


def failing(error: Exception) -> OpenAIMiddleware:
    return OpenAIMiddleware(App(raises=error), ["chat_completions", "responses"], prefix="/v1")


async def answer_to(error: Exception) -> Sent:
    return await request(failing(error), "GET", "/v1/responses/r")


# --- the envelope


def test_each_public_error_has_its_status() -> None:
    public = {name: getattr(errors, name) for name in errors.__all__}

    assert {name: one.status_code for name, one in public.items() if OpenAIError in one.__bases__} == STATUSES


@pytest.mark.parametrize("name", STATUSES)
async def test_error_raised_in_the_app_is_an_envelope(name: str) -> None:  # E1 E4
    error = getattr(errors, name)("No such thing: é", param="response_id", code="not_here")

    sent = await answer_to(error)

    assert sent.status == STATUSES[name]
    assert sent.error == {
        "message": "No such thing: é",
        "type": "server_error" if STATUSES[name] >= 500 else "invalid_request_error",
        "param": "response_id",
        "code": "not_here",
    }


async def test_error_needs_no_more_than_a_message() -> None:  # E1
    sent = await answer_to(OpenAIError("Broken."))

    assert sent.status == 500
    assert sent.error == {"message": "Broken.", "type": "server_error", "param": None, "code": None}


async def test_type_and_status_of_an_error_may_be_set() -> None:  # E1
    sent = await answer_to(OpenAIError("Slow down.", status_code=429, type="rate_limit_exceeded"))

    assert (sent.status, sent.json["error"]["type"]) == (429, "rate_limit_exceeded")


async def test_application_may_derive_errors_of_its_own() -> None:  # E4
    class TeapotError(UnprocessableEntityError):
        status_code = 418

    assert (await answer_to(TeapotError("I'm a teapot."))).status == 418


class Code(enum.StrEnum):
    WORD = "word"


class OldCode(str, enum.Enum):  # noqa: UP042  # as it was written before StrEnum
    WORD = "word"


class Word(str):
    __slots__ = ()


@pytest.mark.parametrize("word", [Code.WORD, OldCode.WORD, Word("word")])
@pytest.mark.parametrize("name", ["param", "code", "type"])
async def test_words_of_an_error_may_be_enums(name: str, word: str) -> None:  # E1
    words: Any = {name: word}
    sent = await answer_to(NotFoundError("Gone.", **words))

    assert sent.json["error"][name] == "word"


@pytest.mark.parametrize("value", [404, 0, "", None, 4.5, b"bytes", ["a"], object()])
async def test_words_of_an_error_that_are_no_words_are_dropped(value: Any) -> None:  # E1
    sent = await answer_to(NotFoundError("Gone.", param=value, code=value, type=value))

    assert sent.error == {"message": "Gone.", "type": "invalid_request_error", "param": None, "code": None}


async def test_code_is_never_the_word_none() -> None:  # E1
    assert (await answer_to(NotFoundError("Gone.", code=str(None)))).error["code"] is None


async def test_message_of_an_error_may_be_another_exception() -> None:  # E1
    sent = await answer_to(NotFoundError(KeyError("a")))  # type: ignore[arg-type]

    assert sent.error["message"] == "'a'"


@given(st.text(st.characters(), min_size=1), st.text(st.characters(), min_size=1).filter(lambda word: word != "None"))
async def test_any_text_makes_a_well_formed_envelope(message: str, word: str) -> None:  # E1
    """Lone surrogates are among them: undecodable file names have them."""
    sent = await answer_to(NotFoundError(message, param=word, code=word))

    assert sent.error["message"] == message.encode("utf-8", "replace").decode()
    assert sent.error["param"] == word.encode("utf-8", "replace").decode()


def test_detail_is_the_inner_object_of_the_envelope() -> None:  # E1
    error = NotFoundError("file \udcff", param="p", code="c")

    assert error.detail == {"message": "file ?", "type": "invalid_request_error", "param": "p", "code": "c"}
    assert json.loads(error.body()) == {"error": error.detail}


@pytest.mark.parametrize("status", [0, 200, 302, 399, 600, True])
def test_error_needs_the_status_of_an_error(status: int) -> None:
    with pytest.raises(ValueError, match=f"from 400 to 599, not {int(status)}"):
        OpenAIError("What?", status_code=status)


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_can_be_copied_and_sent_between_processes(copied: Any) -> None:
    error = RateLimitError("Wait.", param="p", code="c", headers={"Retry-After": "1"}, should_retry=True)

    assert type(copied(error)) is RateLimitError
    assert copied(error).response() == error.response()
    assert str(copied(error)) == "Wait."


# --- headers


async def test_error_may_carry_headers() -> None:  # E4
    sent = await answer_to(RateLimitError("Wait.", headers={"Retry-After": "20", "X-Text": "☃ é"}))

    assert sent.header("retry-after") == "20"
    assert sent.headers[-1] == (b"x-text", "? é".encode("latin-1"))
    assert all(name == name.lower() for name, _ in sent.headers)


async def test_numbers_are_header_values_too() -> None:  # E4
    sent = await answer_to(RateLimitError("Wait.", headers={"Retry-After": 20}))  # type: ignore[dict-item]

    assert sent.header("retry-after") == "20"


@pytest.mark.parametrize(
    "header",
    [("X-Own", "a\r\nSet-Cookie: b=1"), ("X-Own", "a\nb"), ("X-Own", "\x00"), ("X-\r\nOwn", "a"), ("X Own", "a")],
)
async def test_header_that_would_split_an_answer_is_left_out_and_logged(
    header: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    sent = await answer_to(NotFoundError("Gone.", headers=dict([header, ("Retry-After", "20")])))

    assert [name for name, _ in sent.headers] == [b"content-type", b"content-length", b"retry-after"]
    [record] = caplog.records
    assert (record.levelname, "\n" in record.getMessage()) == ("ERROR", False)


async def test_headers_that_describe_a_body_are_those_of_the_envelope() -> None:  # E1
    """Whoever asks another server hands the headers of its answer on."""
    headers = {
        "ETag": '"1"',
        "Connection": "close",
        "Content-Type": "text/plain",
        "Content-Length": "3",
        "content-encoding": "gzip",
        "Transfer-Encoding": "chunked",
        "X-Request-Id": "1",
    }
    sent = await answer_to(NotFoundError("Gone.", headers=headers))

    assert sent.error["message"] == "Gone."
    assert [name for name, _ in sent.headers] == [b"content-type", b"content-length", b"x-request-id"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InternalServerError("no"), "false"),
        (OpenAIError("no", status_code=501), "false"),
        (OpenAIError("no", status_code=507), "false"),
        (ConflictError("no"), "false"),
        (RateLimitError("no"), None),
        (OpenAIError("no", status_code=408), None),
        (OpenAIError("no", status_code=502), None),
        (OpenAIError("no", status_code=503), None),
        (OpenAIError("no", status_code=504), None),
        (NotFoundError("no"), None),
        (UnprocessableEntityError("no"), None),
        (InternalServerError("no", should_retry=True), "true"),
        (RateLimitError("no", should_retry=False), "false"),
        (NotFoundError("no", should_retry=False), "false"),
        (InternalServerError("no", headers={"X-Should-Retry": "true"}), "true"),
    ],
)
async def test_errors_say_whether_to_try_again_where_the_sdk_would_and_should_not(
    error: OpenAIError, expected: str | None
) -> None:  # E3
    assert (await answer_to(error)).header("x-should-retry") == expected


# --- what the SDK makes of it


class Client:
    """The official SDK in front of an error that the app raises, every time it is called."""

    def __init__(self, answer: Sent, max_retries: int = 0) -> None:
        self.calls = 0
        self._answer = answer
        transport = httpx2.MockTransport(self._respond)
        self._sdk = openai.OpenAI(
            api_key="not used",
            base_url="http://test/v1",
            max_retries=max_retries,
            http_client=httpx2.Client(transport=transport),
        )

    def _respond(self, _: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        return httpx2.Response(self._answer.status, headers=self._answer.headers, content=self._answer.body)

    def caught(self) -> openai.APIStatusError:
        with self._sdk, pytest.raises(openai.APIStatusError) as caught:
            self._sdk.responses.retrieve("r")
        return caught.value


@pytest.mark.parametrize("name", STATUSES)
async def test_sdk_raises_the_namesake_of_the_error(name: str) -> None:  # E1 E4
    error = getattr(errors, name)("Not now.", param="response_id", code="some_code")

    raised = Client(await answer_to(error)).caught()

    assert type(raised) is (openai.APIStatusError if name in PLAIN else getattr(openai, name))
    assert raised.status_code == error.status_code
    assert (raised.param, raised.code, raised.type) == ("response_id", "some_code", error.type)
    assert "Not now." in raised.message


def test_every_status_error_of_the_sdk_has_a_namesake_here() -> None:  # E1
    of_sdk = {one.__name__ for one in openai.APIStatusError.__subclasses__()}

    assert of_sdk == set(STATUSES) - PLAIN
    assert all(getattr(openai, name).status_code == STATUSES[name] for name in of_sdk - {"InternalServerError"})


async def test_code_that_is_absent_is_none_to_the_sdk() -> None:  # E1
    assert Client(await answer_to(NotFoundError("Gone."))).caught().code is None


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (InternalServerError("no"), 1),
        (ConflictError("no"), 1),
        (NotFoundError("no"), 1),
        (RateLimitError("no", headers={"retry-after-ms": "1"}), 3),
        (InternalServerError("no", should_retry=True, headers={"retry-after-ms": "1"}), 3),
    ],
)
async def test_sdk_sends_a_request_again_only_where_that_can_help(error: OpenAIError, calls: int) -> None:  # E3
    client = Client(await answer_to(error), max_retries=2)

    client.caught()

    assert client.calls == calls


# --- the errors of the middleware itself


def every_kind_of_refusal(marker: str) -> list[tuple[str, str, Any, dict[str, Any]]]:
    """Requests that are refused: what they are to give, the target, the body, more; the marker stands in each value."""
    quoted = json.dumps(marker)
    chat = {"messages": marker, "unmapped": {"deep": [marker]}}
    multipart = [(b"content-type", b"multipart/form-data; boundary=" + marker.encode("ascii", "replace"))]
    query = f"a={marker}&b[]={marker}&c[d]={marker}"
    return [
        ("no JSON", f"/v1/chat/completions?{query}", f'{{"model": {quoted}, "messages": {quoted}'.encode(), {}),
        ("no JSON", "/v1/chat/completions", f'{{"model": {quoted}, "x": NaN}}'.encode(), {}),
        ("no JSON", "/v1/chat/completions", marker.encode(), {}),
        ("no JSON", "/v1/chat/completions", quoted[:-1].encode() + b'\xff"', {}),
        ("no object", f"/v1/chat/completions?{query}", marker, {}),
        ("no object", "/v1/chat/completions", [marker], {}),
        ("no object", "/v1/chat/completions", marker.encode(), {"headers": multipart}),
        ("missing", f"/v1/chat/completions?{query}", chat, {}),
        ("conflict", f"/v1/chat/completions?model={marker}", {**chat, "model": marker}, {}),
        ("bad query", f"/v1/chat/completions?limit={marker}&{query}", b"", {"method": "GET"}),
        ("bad query", f"/v1/chat/completions?limit={marker}&limit={marker}", b"", {"method": "GET"}),
        ("bad query", f"/v1/chat/completions?limit={marker}&limit[x]={marker}", b"", {"method": "GET"}),
        ("too large", f"/v1/chat/completions?{query}", marker.encode() * 1000, {}),
        ("unknown", f"/v2/chat/completions?{query}", chat, {}),
        ("wrong method", f"/v1/chat/completions?{query}", chat, {"method": "PUT"}),
        ("forbidden", f"/v1/secret?{query}", chat, {}),
    ]


@pytest.fixture(scope="module")
def refusing() -> Iterator[OpenAIMiddleware]:
    app = App()
    config = APIHandlerConfig()
    config.set_openai_frontend(prefix="/v1")
    config.add_endpoint_handler("/v1/secret", action="forbid")
    yield OpenAIMiddleware(app, config=config, unmatched="reject", max_body_size=4000)
    assert not app.is_called


async def refusals(middleware: OpenAIMiddleware, marker: str) -> list[tuple[str, Sent]]:
    return [
        (kind, await request(middleware, more.pop("method", "POST"), target, body, **more))
        for kind, target, body, more in every_kind_of_refusal(marker)
    ]


# Letters that no message of this package has together, and that need no escaping in a query.
MARKERS = st.text("QXZqxzéß0789", min_size=5, max_size=40).map(lambda text: f"Q{text}")


@given(marker=MARKERS)
async def test_messages_never_echo_what_stands_in_a_body_or_a_query(
    refusing: OpenAIMiddleware, marker: str
) -> None:  # E1
    for kind, sent in await refusals(refusing, marker):
        assert marker not in json.dumps(sent.error, ensure_ascii=False), kind


async def test_each_refusal_has_a_status_a_code_and_an_envelope(refusing: OpenAIMiddleware) -> None:  # E1 E2
    found = {(kind, sent.status, sent.error["code"]) for kind, sent in await refusals(refusing, "QXZqxz")}

    assert found == {
        ("no JSON", 400, "invalid_json"),
        ("no object", 422, "invalid_type"),
        ("missing", 422, "missing_required_parameter"),
        ("conflict", 400, "duplicate_parameter"),
        ("bad query", 400, "invalid_type"),
        ("too large", 413, "request_too_large"),
        ("unknown", 404, "unknown_url"),
        ("wrong method", 405, "method_not_allowed"),
        ("forbidden", 403, "forbidden"),
    }


async def test_media_type_of_a_request_is_not_echoed() -> None:  # E1
    headers = [(b"content-type", b"multipart/qxz-\xe9")]

    sent = await request(failing(NotFoundError("Gone.")), "POST", "/v1/chat/completions", headers=headers)

    assert sent.status == 422
    assert "qxz" not in sent.error["message"]


async def test_answers_that_lack_a_field_are_reported_without_what_they_hold() -> None:  # E1 O3
    middleware = endpoint(App({"other": "QXZqxz"}), gives=[("$.id", "id", True)])

    sent = await request(middleware, "POST", "/run")

    assert (sent.status, sent.error["param"], sent.error["code"]) == (422, "id", "invalid_response")
    assert "QXZqxz" not in sent.error["message"]


# --- the order of the checks

OVERSIZE = b'{"padding": "' + b"x" * 2000 + b'"}'
LONG = {"headers": [(b"content-length", b"2000")]}


@pytest.mark.parametrize(
    ("status", "method", "target", "body", "more"),
    [
        pytest.param(403, "POST", "/secret", OVERSIZE, LONG, id="forbidden before too large"),
        pytest.param(403, "POST", "/secret", b"{", {}, id="forbidden before malformed"),
        pytest.param(403, "POST", "/secret", {}, {}, id="forbidden before missing"),
        pytest.param(403, "HEAD", "/hidden", b"", {}, id="forbidden before wrong method"),
        pytest.param(403, "POST", "//secret/", b"", {}, id="forbidden before unknown"),
        pytest.param(404, "POST", "/unknown", OVERSIZE, LONG, id="unknown before too large"),
        pytest.param(405, "PUT", "/run", OVERSIZE, LONG, id="wrong method before too large"),
        pytest.param(413, "POST", "/run", OVERSIZE[:-1], LONG, id="too large before malformed, by its header"),
        pytest.param(413, "POST", "/run", OVERSIZE[:-1], {}, id="too large before malformed"),
        pytest.param(413, "POST", "/run", OVERSIZE, {}, id="too large before missing"),
        pytest.param(413, "POST", "/run?o=1", {"m": 1, "o": "x" * 2000}, {}, id="too large before conflict"),
        pytest.param(400, "POST", "/run", b'{"o": 1', {}, id="malformed before missing"),
        pytest.param(400, "POST", "/run?q=1&q[k]=2", {"o": 1}, {}, id="malformed query before missing"),
        pytest.param(422, "POST", "/run?o=1", {"o": 1}, {}, id="missing before conflict"),
        pytest.param(422, "POST", "/run?o=1", [], {}, id="no object before conflict"),
        pytest.param(400, "POST", "/run?o=1", {"m": 1, "o": 1}, {}, id="conflict last"),
        pytest.param(200, "POST", "/run?p=1", {"m": 1, "o": 1}, {}, id="nothing wrong"),
    ],
)
async def test_first_of_two_violations_decides(
    status: int, method: str, target: str, body: Any, more: dict[str, Any]
) -> None:  # E2
    app = App()
    rules = mappings(("$.m", "m", True), ("$.o", "o"))
    config = APIHandlerConfig()
    config.add_endpoint_handler("/run", input_body_mappings=rules)
    config.add_endpoint_handler("/secret", action="forbid", input_body_mappings=rules)
    config.add_endpoint_handler("/hidden", "GET", action="forbid")
    middleware = OpenAIMiddleware(app, config=config, unmatched="reject", max_body_size=1000)

    sent = await request(middleware, method, target, body, **more)

    assert (sent.status, app.is_called) == (status, status == 200)


# --- errors of the app


async def test_foreign_exception_is_the_apps_own_and_propagates() -> None:  # E4
    error = ValueError("QXZqxz")
    sent = Sent()

    with pytest.raises(ValueError, match="QXZqxz") as caught:
        await request(failing(error), "GET", "/v1/responses/r", sent=sent)

    assert caught.value is error
    assert sent.messages == []


async def test_openai_error_in_an_unmatched_request_is_the_apps_own() -> None:  # M11
    sent = Sent()

    with pytest.raises(NotFoundError):
        await request(failing(NotFoundError("Gone.")), "GET", "/elsewhere", sent=sent)

    assert sent.messages == []


async def test_openai_error_after_the_answer_has_left_propagates() -> None:  # E4
    messages = [start(headers=[(b"content-type", b"text/plain")]), part(b"half", more_body=True)]
    sent = Sent()

    with pytest.raises(NotFoundError):
        await request(endpoint(Script(messages, NotFoundError("Gone."))), "POST", "/run", sent=sent)

    assert sent.is_very_same(messages)


# --- configuration mistakes


def test_configuration_error_lists_all_its_mistakes() -> None:
    mistakes = [
        ConfigurationMistake("code_a", "This is wrong.", "x" * 1000, "Do that.", "endpoints.0"),
        ConfigurationMistake("code_b", "So is this.", None, "Do this."),
    ]
    with pytest.raises(ConfigurationError) as caught:
        report_mistakes(mistakes)

    assert caught.value.mistakes == tuple(mistakes)
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 configuration mistakes:"
    assert lines[1].startswith("  - endpoints.0: This is wrong. Got 'xxx")
    assert len(lines[1]) < 300
    assert lines[2] == "  - So is this. Got None. Do this. [code_b]"
    assert isinstance(caught.value, ValueError)


def test_one_mistake_is_told_in_one_line() -> None:
    mistake = ConfigurationMistake("code", "This is wrong.", 5, "Do that.")

    assert str(ConfigurationError(mistake)) == "This is wrong. Got 5. Do that. [code]"
    assert str(ConfigurationError(mistake.inside("path").inside("endpoints"))) == (
        "endpoints.path: This is wrong. Got 5. Do that. [code]"
    )


def test_no_mistakes_are_no_error() -> None:
    report_mistakes([])
