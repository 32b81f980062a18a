"""What nearly every request, answer and event is like goes a shorter way: it leads where the long way leads."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_middleware import OpenAIMiddleware, contract
from openai_middleware.answer.event_mapping import EventMapping
from openai_middleware.answer.event_stream import EventStream
from openai_middleware.answer.response_mapping import MissingFieldError, ResponseMapping
from openai_middleware.contract import Contract
from openai_middleware.errors import OpenAIError, RateLimitError
from openai_middleware.frontend import Frontend
from openai_middleware.mapping.json_codec import UNDECODABLE
from openai_middleware.mapping.rule import BodyMapping
from tests.support.drivers import App, Header, Message, Script, part, request, start

SHIPPED = Path(contract.__file__).with_name("openai.json")
EVENT_STREAM = [(b"content-type", b"text/event-stream")]
QUESTION = b'{"model": "m", "messages": [], "input": "i", "stream": true}'

VALUES = st.sampled_from(
    ["null", "true", "1", "1.0", "-0", '"t"', '"\\u0074"', "[]", '{"a": [1]}', "01", '"\ud800"', "{"]
)
NUMBERS = st.sampled_from(["0", "7", "1.0", "true", "null", '"1"', "-1", "9223372036854775808", "1e2"])
CHAT_FIELDS = st.sampled_from(["id", "object", "choices", "model", "usage", "error", "junk", "choic\\u0065s"])
TYPES = st.sampled_from(
    [
        *('"response.output_text.delta"', '"response.output_text\\u002edelta"', '"response.created"', '"error"'),
        *('"response.completed"', '"response.output_item.added"', '"unknown"', "null", "1"),
    ]
)
RESPONSE_FIELDS = st.sampled_from(["item_id", "output_index", "delta", "logprobs", "response", "junk", "item"])


def members(names: st.SearchStrategy[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Members of an object as JSON text; a name may stand twice."""
    return st.lists(st.builds('"{}": {}'.format, names, values), max_size=5)


CHAT_OBJECTS = members(CHAT_FIELDS, VALUES).map(lambda found: "{" + ", ".join(found) + "}")
RESPONSE_OBJECTS = st.builds(
    lambda *parts: "{" + ", ".join(member for some in parts for member in some) + "}",
    members(RESPONSE_FIELDS, VALUES),
    members(st.just("type"), TYPES).map(lambda found: found[:2]),
    members(st.just("sequence_number"), NUMBERS).map(lambda found: found[:2]),
    members(RESPONSE_FIELDS, VALUES).map(lambda found: found[:1]),
)


def opened(path: str, frontend: Frontend) -> EventStream:
    exchange = frontend.open("POST", path, b"", [])
    assert exchange is not None
    exchange.receive(QUESTION)
    stream = exchange.answer(200, EVENT_STREAM)
    assert isinstance(stream, EventStream)
    return stream


class WithoutTest:
    """A mapping of events that has no test for those which stay as they are."""

    fits: Callable[[bytes], Any] | None = None

    def __init__(self, mapping: EventMapping) -> None:
        self._mapping = mapping

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mapping, name)


FRONTENDS = {extra: Frontend(prefix="/v1", extra_fields=extra) for extra in ("drop", "keep")}


@pytest.mark.parametrize("extra_fields", FRONTENDS)
@pytest.mark.parametrize(
    ("path", "objects"), [("/v1/chat/completions", CHAT_OBJECTS), ("/v1/responses", RESPONSE_OBJECTS)]
)
@given(data=st.data())
@settings(max_examples=150)
def test_events_that_are_tested_first_leave_as_all_others_do(  # S2
    path: str, objects: st.SearchStrategy[str], extra_fields: str, data: st.DataObject
) -> None:
    short = opened(path, FRONTENDS[extra_fields])
    assert short._mapping.fits is not None
    long = EventStream(WithoutTest(short._mapping), EVENT_STREAM)
    sent = data.draw(st.lists(st.tuples(st.sampled_from(["", "event: e\n"]), objects), max_size=6))
    chunks = [f"{name}data: {event}\n\n".encode("utf-8", "surrogatepass") for name, event in sent]

    for chunk in chunks:
        assert short.feed(chunk) == long.feed(chunk)
        assert (short.is_complete, short.has_started) == (long.is_complete, long.has_started)
    error = RateLimitError("Slow down.")  # the events of a failure are numbered, and repeat what was announced
    assert short.fail(error) == long.fail(error)


class Asked:
    """What came of mapping an answer."""

    def __init__(self, mapping: ResponseMapping, body: bytes) -> None:
        try:
            self.mapped: Any = mapping.apply(body)
            self.is_same = self.mapped is body
        except MissingFieldError as error:
            self.mapped, self.is_same = error.field, False
        except UNDECODABLE:
            self.mapped, self.is_same = UNDECODABLE, False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Asked) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


@cache
def response_mapping(method: str, path: str, **options: Any) -> ResponseMapping:
    frontend = Frontend(prefix="/v1", **options)
    match = frontend._table.match(method, path)
    assert match is not None
    mapping = frontend._route(match.targets).response_mapping
    assert mapping is not None
    return mapping


@cache
def the_long_way(method: str, path: str, **options: Any) -> ResponseMapping:
    """The same without its short cuts."""
    mapping = response_mapping.__wrapped__(method, path, **options)
    mapping._test = mapping._names = None
    return mapping


ANSWERS = {
    "chat": ("POST", "/v1/chat/completions"),
    "a list": ("GET", "/v1/files"),
    "a response": ("POST", "/v1/responses"),
}
ANSWER_FIELDS = st.sampled_from(
    ["id", "object", "created", "model", "choices", "data", "has_more", "error", "junk", "ju\\u006ek", 'ju\\"nk']
)
ITEMS = st.sampled_from(['[{"id": "1"}]', '[{"id": "1", "junk": 1}]', "[1]", "[", "null"])


@pytest.mark.parametrize("options", [{}, {"extra_fields": "keep"}, {"absent_optional": "null"}], ids=str)
@pytest.mark.parametrize("kind", ANSWERS)
@given(
    objects=st.lists(members(ANSWER_FIELDS, VALUES | ITEMS), min_size=1, max_size=4), is_full=st.lists(st.booleans())
)
@settings(max_examples=100)
def test_answers_that_are_tested_first_leave_as_all_others_do(  # O1 O2 O4
    kind: str, options: dict[str, Any], objects: list[list[str]], is_full: list[bool]
) -> None:
    short = response_mapping(*ANSWERS[kind], **options)
    long = the_long_way(*ANSWERS[kind], **options)
    full = [f'"{name}": null' for name in sorted(short._required)]
    for found, fill in zip(objects, [*is_full, *[False] * 4], strict=False):
        body = ("{" + ", ".join([*(full if fill else []), *found]) + "}").encode("utf-8", "surrogatepass")
        assert Asked(short, body) == Asked(long, body)


def test_an_answer_with_nothing_but_fields_that_are_left_out_is_an_empty_object() -> None:  # O2
    mapping = ResponseMapping([BodyMapping("a", "a")])
    for _ in range(3):
        assert mapping.apply(b'{"a":1,"junk":2}') == b'{"a":1}'
    assert mapping.apply(b'{"junk":2}') == b"{}"


CHAT_BODIES = members(st.sampled_from(["model", "messages", "stream", "mod\\u0065l", "junk", "\u00e4"]), VALUES)
AT_ONCE = Frontend(["chat_completions"], handlers={"chat.completions.create": print})
IN_TIME = Frontend(["chat_completions"])


def received(frontend: Frontend, body: bytes) -> tuple[Any, ...]:
    """What becomes of a body: the arguments and whether a stream is asked for, or the error."""
    exchange = frontend.open("POST", "/chat/completions", b"", [])
    assert exchange is not None
    try:
        call = exchange.receive(body).call
        return call.body, call.kwargs, call.body_params, exchange.asks_for_stream
    except OpenAIError as error:
        return type(error), str(error), error.param, error.code


@given(CHAT_BODIES, st.binary(max_size=2), st.integers(0, 60))
@settings(max_examples=300)
def test_a_body_that_is_decoded_when_somebody_asks_means_what_one_does_that_is_decoded_at_once(  # B4 B7 B11
    found: list[str], junk: bytes, place: int
) -> None:
    whole = ("{" + ", ".join(found) + "}").encode("utf-8", "surrogatepass")
    body = whole[:place] + junk + whole[place:]

    assert received(IN_TIME, body) == received(AT_ONCE, body)


@given(CHAT_BODIES, st.binary(max_size=2), st.integers(0, 60))
def test_what_a_body_is_refused_for_shows_before_anybody_asks(  # B4 E2
    found: list[str], junk: bytes, place: int
) -> None:
    whole = ("{" + ", ".join(found) + "}").encode("utf-8", "surrogatepass")
    exchange = IN_TIME.open("POST", "/chat/completions", b"", [])
    assert exchange is not None
    with suppress(OpenAIError):
        call = exchange.receive(whole[:place] + junk + whole[place:]).call
        assert isinstance(call.body, dict)
        assert call.kwargs.keys() >= {"model", "messages"}


# What is not 2xx passes, so that it tells whether the app was reached.
REACHED_STATUS = 418
CALLED = App(answer=b"{}", status=REACHED_STATUS)
CHAT = OpenAIMiddleware(CALLED, ["chat_completions"], prefix="/v1", max_body_size=2000)


async def outcome(headers: Sequence[Header], body: Any = QUESTION) -> tuple[Any, ...]:
    """What became of a request: the status, and the error or what the app got."""
    del CALLED.scopes[:], CALLED.bodies[:]
    sent = await request(CHAT, "POST", "/v1/chat/completions", body, headers=headers)
    if not CALLED.is_called:
        return sent.status, sent.body
    seen = [(name.lower(), value) for name, value in CALLED.scopes[0]["headers"]]
    return sent.status, CALLED.kwargs, CALLED.bodies[:], seen


HEADERS = st.lists(
    st.sampled_from(
        [
            *((b"content-length", b"50"), (b"content-length", b"5000"), (b"content-length", b"x")),
            *((b"content-type", b"application/json"), (b"content-type", b"multipart/form-data; boundary=b")),
            *((b"accept-encoding", b"gzip"), (b"range", b"bytes=0-"), (b"x-a", b"1"), (b"x-a", b"2")),
            *((b"x-request-id", b"r-1"), (b"x-request-id", b"\xff")),
        ]
    ),
    max_size=6,
)


@given(HEADERS, st.data())
async def test_headers_in_capitals_are_read_as_those_in_lower_case_are(  # O9
    headers: list[Header], data: st.DataObject
) -> None:
    spelled = [(data.draw(st.sampled_from([name, name.title()])), value) for name, value in headers]

    assert await outcome(spelled) == await outcome(headers)


@pytest.mark.parametrize("name", [b"content-type", b"Content-Type"])
async def test_of_a_content_type_that_came_twice_the_last_counts(name: bytes) -> None:  # B10
    multipart, document = b"multipart/form-data; boundary=b", b"application/json"

    assert (await outcome([(name, multipart), (name, document)]))[0] == REACHED_STATUS
    assert (await outcome([(name, document), (name, multipart)]))[0] == 422


@pytest.mark.parametrize("name", [b"content-length", b"Content-Length"])
async def test_of_a_content_length_that_came_twice_the_last_counts(name: bytes) -> None:  # E2

    assert (await outcome([(name, b"5000"), (name, b"60")]))[0] == REACHED_STATUS
    assert (await outcome([(name, b"60"), (name, b"5000")]))[0] == 413


@cache
def typed_query() -> Contract:
    """A contract in which an operation has mandatory fields and a query parameter that is a number."""
    document = json.loads(SHIPPED.read_bytes())
    document["groups"]["chat_completions"]["chat.completions.create"]["query"] = {"limit": [False, "integer"]}
    return Contract(json.dumps(document).encode(), "a test")


FAULTS = {"too large": 413, "malformed": 400, "type": 400, "missing": 422, "twice": 400}

POWERSET = list(chain.from_iterable(combinations(FAULTS, count) for count in range(len(FAULTS) + 1)))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/ch%61t/completions"], ids=["short", "long"])
@pytest.mark.parametrize("faults", POWERSET, ids=" ".join)
async def test_the_first_fault_in_the_order_of_checks_is_told(faults: Sequence[str], path: str) -> None:  # E2
    wrapped = OpenAIMiddleware(
        App(answer={}, status=REACHED_STATUS),
        ["chat_completions"],
        prefix="/v1",
        max_body_size=2000,
        contract=typed_query(),
    )
    headers = [(b"content-length", b"5000")] if "too large" in faults else []
    body = b'{"model": "m"' + (b"" if "missing" in faults else b', "messages": []')
    query = ["limit=x"] * ("type" in faults) + ["model=m"] * ("twice" in faults)

    sent = await request(
        wrapped, "POST", f"{path}?{'&'.join(query)}", body + (b"" if "malformed" in faults else b"}"), headers=headers
    )

    assert sent.status == (FAULTS[faults[0]] if faults else REACHED_STATUS)
    if faults:
        told = {"malformed": "invalid_json", "type": "invalid_type", "twice": "duplicate_parameter"}
        assert sent.error["code"] == told.get(faults[0], sent.error["code"])


BODIES = st.lists(st.binary(max_size=3) | st.sampled_from([b'data: {"id": 1}\n\n', b'data: {"junk": 1, "id": 1}\n\n']))


@given(BODIES, st.data())
async def test_bodies_leave_alike_whatever_kind_of_bytes_they_are(
    chunks: list[bytes], data: st.DataObject
) -> None:  # O9
    kinds = [data.draw(st.sampled_from([bytes, bytearray, memoryview])) for _ in chunks]
    of_bytes = [part(chunk, more_body=True) for chunk in chunks]
    of_kinds = [part(kind(chunk), more_body=True) for kind, chunk in zip(kinds, chunks, strict=True)]

    async def sent(messages: list[Message]) -> bytes:
        script = Script([start(headers=EVENT_STREAM), *messages, part(b"")])
        wrapped = OpenAIMiddleware(script, ["chat_completions"], prefix="/v1")
        return (await request(wrapped, "POST", "/v1/chat/completions", QUESTION)).body

    assert await sent(of_bytes) == await sent(of_kinds)


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=4))
async def test_a_body_in_one_message_is_one_in_several(chunks: list[bytes]) -> None:  # B11
    whole = await outcome([], [b"".join(chunks)])
    assert whole == await outcome([], chunks)


@given(st.lists(st.sampled_from(["v1", "models", "responses", "chat", "x", "", "a%2Fb"]), max_size=4).map("/".join))
async def test_a_path_that_begins_like_no_endpoint_is_the_app_s_own(path: str) -> None:  # M8
    calls = []
    for wrapped in (OUTSIDE, ANYWHERE):
        del REACHED.scopes[:]
        await request(wrapped, "GET", f"/{path}")
        [scope] = REACHED.scopes
        calls.append(scope.get("openai_middleware.call"))

    assert [call and call.kwargs for call in calls] == [calls[0] and calls[0].kwargs] * 2


REACHED = App()
OUTSIDE = OpenAIMiddleware(REACHED, ["models", "responses"], prefix="/v1")
# The paths of these begin alike with nothing but a slash.
ANYWHERE = OpenAIMiddleware(REACHED, ["models", "responses"], prefix=["/v1", "/w/{x}"])
