"""What a handler may return, and what becomes of it: without the middleware's own mapping."""

import datetime
import decimal
import enum
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice
from openai.types.responses import Response as SDKResponse
from openai.types.responses import ResponseTextDeltaEvent

from openai_middleware import Response, WSGIHandlerApp
from tests.support.drivers import Sent
from tests.support.server_sent_events import Event, parse
from tests.support.wsgi_driver import Server, endpoint, request

JSON = "application/json"


class Role(enum.StrEnum):
    USER = "user"


class Inner(pydantic.BaseModel):
    number: int | None = None
    own_name: str = pydantic.Field(default="x", serialization_alias="ownName")


class Outer(pydantic.BaseModel):
    inner: Inner = Inner()
    when: datetime.date = datetime.date(2026, 1, 2)

    def to_dict(self, secret: str) -> dict[str, str]:
        """Somebody's own, and of no interest here."""
        return {"secret": secret}


class Wrapped(pydantic.RootModel[list[Inner]]):
    pass


@dataclass
class Point:
    x: int
    model: Inner | None = None


class Struct(msgspec.Struct, rename="camel"):
    first_name: str
    model: Inner | None = None


class Tagged(msgspec.Struct, tag_field="type", tag="tagged"):
    x: int = 1


INNER = {"number": None, "ownName": "x"}
MESSAGE = ChatCompletionMessage(role="assistant", content="Hi")
COMPLETION = ChatCompletion(
    id="c",
    object="chat.completion",
    created=1,
    model="m",
    choices=[Choice(index=0, finish_reason="stop", message=MESSAGE)],
)
COMPLETION_JSON: Any = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
}
SDK_RESPONSE = SDKResponse.construct(id="r", output=[], error=None)


class OwnCompletion(ChatCompletion):
    pass


def name_of(value: object) -> str:
    """A test's id, which is the same in every process."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))[:40]


def answer(result: Any) -> Sent:
    """What a client gets for this result of a handler."""
    return request(endpoint(WSGIHandlerApp(lambda: result)), "POST", "/run")


@pytest.mark.parametrize(
    ("result", "wanted"),
    [
        ({"a": [1, None, True, "é\u2028"]}, {"a": [1, None, True, "é\u2028"]}),
        ([], []),
        ((1, 2), [1, 2]),
        (None, None),
        (0, 0),
        (False, False),
        (1.5, 1.5),
        ({1: 2}, {"1": 2}),
        ({Role.USER: Role.USER}, {"user": "user"}),
        (datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), "2026-01-02T03:00:00Z"),
        (datetime.timedelta(seconds=1.5), "PT1.5S"),
        (decimal.Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": b"bytes"}, {"a": "Ynl0ZXM="}),
        (float("nan"), None),
        (Point(1), {"x": 1, "model": None}),
        (Struct("x"), {"firstName": "x", "model": None}),
        (Inner(), INNER),
        (Outer(), {"inner": INNER, "when": "2026-01-02"}),
        (Wrapped([Inner()]), [INNER]),
        (COMPLETION, COMPLETION_JSON),
        (OwnCompletion(**COMPLETION_JSON), COMPLETION_JSON),
        (SDK_RESPONSE, {"id": "r", "output": [], "error": None}),
        ({"a": [Inner(), {"b": COMPLETION}]}, {"a": [INNER, {"b": COMPLETION_JSON}]}),
        (Point(1, Inner()), {"x": 1, "model": INNER}),
        (Struct("x", Inner()), {"firstName": "x", "model": INNER}),
        ([COMPLETION, Point(1), Inner()], [COMPLETION_JSON, {"x": 1, "model": None}, INNER]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_result_becomes_json(result: Any, wanted: Any) -> None:
    sent = answer(result)

    assert (sent.status, sent.json) == (200, wanted)
    assert (sent.header("content-type"), sent.header("content-length")) == (JSON, str(len(sent.body)))


@pytest.mark.parametrize(
    "result",
    [object(), {"a": object()}, [1j], {"a": Inner.model_construct(number=object())}, range(3), MappingProxyType({})],
    ids=name_of,
)
def test_what_has_no_json_form_is_the_handlers_bug(result: Any) -> None:  # E3
    with pytest.raises((TypeError, pydantic.ValidationError, pydantic.errors.PydanticUserError, ValueError)):
        Response(result)

    sent = answer(result)

    assert (sent.status, sent.header("x-should-retry")) == (500, "false")
    assert sent.error["message"] == "The server had an error while processing your request."


@pytest.mark.parametrize(
    ("result", "body", "content_type"),
    [
        ("Grüße", "Grüße".encode(), "text/plain; charset=utf-8"),
        ("", b"", "text/plain; charset=utf-8"),
        ('{"a": 1}', b'{"a": 1}', "text/plain; charset=utf-8"),
        (Role.USER, b"user", "text/plain; charset=utf-8"),
        (b"\xff", b"\xff", "application/octet-stream"),
        (bytearray(b"x"), b"x", "application/octet-stream"),
        (memoryview(b"x"), b"x", "application/octet-stream"),
    ],
)
def test_text_and_bytes_leave_as_they_are(result: Any, body: bytes, content_type: str) -> None:
    sent = answer(result)

    assert (sent.status, sent.body, sent.header("content-type")) == (200, body, content_type)


# --- Response


def test_response_gives_full_control() -> None:
    response = Response(b"{}", 418, "application/x-own", {"X-One": "1", "X-Two": "2"})

    sent = answer(response)

    assert (sent.status, sent.body, sent.header("content-type")) == (418, b"{}", "application/x-own")
    assert (sent.header("x-one"), sent.header("x-two"), sent.header("content-length")) == ("1", "2", "2")


def test_response_is_200_json_by_default() -> None:
    sent = answer(Response({"a": COMPLETION}))

    assert (sent.status, sent.json, sent.header("content-type")) == (200, {"a": COMPLETION_JSON}, JSON)


@pytest.mark.parametrize(
    ("content_type", "headers", "wanted"),
    [
        (None, {}, JSON),
        (None, {"Content-Type": "application/x-own"}, "application/x-own"),
        ("application/x-own", {}, "application/x-own"),
        ("application/x-own", {"content-type": "text/plain"}, "application/x-own"),
    ],
)
def test_response_has_one_content_type(content_type: str | None, headers: Mapping[str, str], wanted: str) -> None:
    assert answer(Response({}, 200, content_type, headers)).header("content-type") == wanted


@pytest.mark.parametrize(
    ("body", "status", "length"), [("four", 200, "4"), (iter([b"four"]), 200, None), ("", 204, None)]
)
def test_length_of_a_response_is_always_right(body: Any, status: int, length: str | None) -> None:
    response = Response(body, status, "text/plain", {"Content-Length": "3"})

    assert answer(response).header("content-length") == length


def test_header_values_may_be_numbers() -> None:
    headers: Any = {"Retry-After": 20}

    assert answer(Response({}, 503, headers=headers)).header("retry-after") == "20"


def test_header_that_http_cannot_carry_is_the_handlers_bug() -> None:
    sent = answer(Response({}, headers={"X-Own": "\u2028"}))

    assert (sent.status, sent.error["type"]) == (500, "server_error")


FORBIDDEN = [
    ("X-Own", "a\r\nSet-Cookie: b=1"),
    ("X-Own", "a\nb"),
    ("X-Own", "a\x00"),
    ("X-\r\nOwn", "a"),
    ("X Own", "a"),
    ("", "a"),
]


@pytest.mark.parametrize(("name", "value"), FORBIDDEN)
def test_header_that_would_split_an_answer_is_the_handlers_bug(name: str, value: str) -> None:
    sent = answer(lambda body: Response({}, headers={name: value}))

    assert (sent.status, sent.header("set-cookie")) == (500, None)


@pytest.mark.parametrize("status", ["200", None, 99, 100, 600, 1000, 200.0, True])
def test_status_that_is_none_of_an_answer_is_the_handlers_bug(status: Any) -> None:
    assert answer(lambda body: Response({}, status)).status == 500


def test_hop_by_hop_headers_of_a_response_are_left_out() -> None:
    headers = {"Transfer-Encoding": "chunked", "Connection": "close", "Keep-Alive": "timeout=5", "X-Own": "1"}

    sent = answer(Response({}, headers=headers))

    assert [name for name, _ in sent.headers] == [b"content-type", b"x-own", b"content-length"]


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("body", [None, {"a": 1}, "text"])
def test_response_of_a_status_without_a_body_has_none(body: Any, status: int) -> None:
    sent = answer(Response(body, status, headers={"X-Own": "1", "Content-Length": "3"}))

    assert (sent.status, sent.body, sent.headers) == (status, b"", [(b"x-own", b"1")])


def test_response_may_be_returned_again_and_again() -> None:
    class Adding(Server):
        def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            headers.append(("Server", "own"))  # PEP 3333 allows servers to
            return super().start_response(status, headers, exc_info)

    response = Response({"a": 1}, headers={"X-Own": "1"})
    app = endpoint(WSGIHandlerApp(lambda: response))
    first, second = (request(app, "POST", "/run", server=Adding()) for _ in range(2))

    assert (first.headers, first.body) == (second.headers, second.body)
    assert second.header("server") == "own"


def test_response_may_be_a_stream_of_another_type() -> None:
    sent = answer(Response(iter([b"a", b"b"]), 202, "application/octet-stream", {"X-Own": "1"}))

    assert (sent.status, sent.body, sent.header("x-own")) == (202, b"ab", "1")
    assert (sent.header("content-type"), sent.header("content-length")) == ("application/octet-stream", None)


# --- streams


def sync_stream(*items: Any) -> Iterator[Any]:
    yield from items


async def async_stream(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


def listed(*items: Any) -> Iterator[Any]:
    return iter(items)


def mapped(*items: Any) -> Iterator[Any]:
    return map(dict, items)


@pytest.mark.parametrize("stream", [sync_stream, async_stream, listed, mapped])
def test_generators_and_iterators_become_event_streams(stream: Callable[..., Any]) -> None:
    sent = answer(stream({"a": 1}, {"type": "x"}))

    assert sent.header("content-type") == "text/event-stream"
    assert parse(sent.body) == [Event('{"a":1}'), Event('{"type":"x"}', "x")]


CHUNK = ChatCompletionChunk(id="c", object="chat.completion.chunk", created=1, model="m", choices=[])
DELTA = ResponseTextDeltaEvent(
    type="response.output_text.delta",
    delta="x",
    content_index=0,
    item_id="i",
    logprobs=[],
    output_index=0,
    sequence_number=0,
)


class TypedModel(pydantic.BaseModel):
    type: str = "typed"


@dataclass
class TypedPoint:
    type: Role = Role.USER


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        ({"a": "é\u2028\n"}, Event('{"a":"é\u2028\\n"}')),
        (
            CHUNK,
            Event('{"id":"c","choices":[],"created":1,"model":"m","object":"chat.completion.chunk"}'),
        ),
        (DELTA, Event(json.dumps(DELTA.to_dict(), separators=(",", ":")), "response.output_text.delta")),
        (TypedModel(), Event('{"type":"typed"}', "typed")),
        (TypedPoint(), Event('{"type":"user"}', "user")),
        (Tagged(), Event('{"type":"tagged","x":1}', "tagged")),
        ({"type": Role.USER, "x": Inner()}, Event('{"type":"user","x":{"number":null,"ownName":"x"}}', "user")),
        ({"type": None}, Event('{"type":null}')),
        ({"type": 5}, Event('{"type":5}')),
        ({"type": ""}, Event('{"type":""}')),
        ({"type": "a\nb"}, Event('{"type":"a\\nb"}')),
        ({"type": "a\u2028b"}, Event('{"type":"a\u2028b"}')),
        (["type"], Event('["type"]')),
        (1, Event("1")),
        (None, Event("null")),
        ("text", Event("text")),
        (" text", Event(" text")),
        ("two\nlines", Event("two\nlines")),
        ("two\r\nlines\n", Event("two\nlines\n")),
        ("two\rlines", Event("two\nlines")),
        ("a\u2028b", Event("a\u2028b")),
        ("[DONE]", Event("[DONE]")),
        (b"event: own\ndata: x\n\n", Event("x", "own")),
        (bytearray(b"data: x\n\n"), Event("x")),
        (memoryview(b"data: x\n\n"), Event("x")),
    ],
    ids=name_of,
)
def test_item_of_a_stream_becomes_an_event(item: Any, wanted: Event) -> None:
    assert parse(answer(iter([item])).body) == [wanted]


@given(st.lists(st.text(min_size=1), min_size=1))
def test_text_is_one_event_whatever_is_in_it(texts: list[str]) -> None:
    events = parse(b"".join(Response(iter(texts)).events or []))  # type: ignore[arg-type]

    assert [event.data for event in events] == [t.replace("\r\n", "\n").replace("\r", "\n") for t in texts]


@given(st.dictionaries(st.text() | st.just("type"), st.text() | st.integers() | st.none()))
def test_dict_is_one_event_of_json(item: dict[str, Any]) -> None:
    [event] = parse(b"".join(Response(iter([item])).events or []))  # type: ignore[arg-type]

    assert json.loads(event.data) == item
    assert event.type in ("", item.get("type"))


def test_item_without_a_json_form_ends_the_stream_with_an_error_frame(caplog: pytest.LogCaptureFixture) -> None:  # S4
    server = Server()
    app = endpoint(WSGIHandlerApp(lambda: iter([{"a": 1}, object(), {"a": 2}])))

    request(app, "POST", "/run", server=server)

    first, second = parse(server.sent.body)
    assert first.data == '{"a":1}'
    assert list(json.loads(second.data)) == ["error"]
    assert "object has no JSON form" in caplog.text
