"""Server-Sent Events: bytes in, mapped bytes out, event by event."""

import json
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import accumulate, pairwise
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openai._streaming import SSEDecoder
from openai.types import Completion, ImageEditStreamEvent, ImageGenStreamEvent
from openai.types.audio import TranscriptionStreamEvent
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from openai_middleware import APIHandlerConfig, EndpointConfig
from openai_middleware.answer import event_stream
from openai_middleware.answer.event_stream import EventStream
from openai_middleware.errors import BadRequestError, NotFoundError, OpenAIError, RateLimitError
from openai_middleware.frontend import Frontend
from tests.support.drivers import mappings
from tests.support.samples import NULLABLE_OF_RESPONSE
from tests.support.server_sent_events import Event, parse

CHAT = ("POST", "/v1/chat/completions")
RESPONSES = ("POST", "/v1/responses")
DONE = b"data: [DONE]\n\n"
# Whatever the operation, what it requires and the wish for a stream.
QUESTION = b'{"model": "m", "messages": [], "input": "i", "prompt": "p", "stream": true}'


def event_models(union: Any) -> dict[str, Any]:
    """The SDK's models of the events of a stream, by the type of event."""
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(union)[0])}


EVENT_MODELS = event_models(ResponseStreamEvent)
OTHER_EVENTS = {
    "/v1/images/generations": ImageGenStreamEvent,
    "/v1/images/edits": ImageEditStreamEvent,
    "/v1/audio/transcriptions": TranscriptionStreamEvent,
}
WITH_ANSWER = [f"response.{name}" for name in ("created", "in_progress", "completed", "failed", "incomplete", "queued")]


@cache
def frontend(absent_optional: Any = "omit") -> Frontend:
    return Frontend(prefix="/v1", absent_optional=absent_optional)


def opened(frontend: Frontend, method: str, path: str) -> EventStream:
    """The event stream of an answer to a request, as a driver gets it."""
    exchange = frontend.open(method, path, b"", [])
    assert exchange is not None
    exchange.receive(QUESTION)
    stream = exchange.answer(200, [(b"content-type", b"text/event-stream")])
    assert isinstance(stream, EventStream)
    return stream


def chat() -> EventStream:
    return opened(frontend(), *CHAT)


def responses() -> EventStream:
    return opened(frontend(), *RESPONSES)


def custom(*rules: Any) -> EventStream:
    """The stream of a user's own endpoint."""
    config = APIHandlerConfig()
    config.add_endpoint_handler("/run", stream_body_mappings=mappings(*rules) if rules else None)
    return opened(Frontend(config=config), "POST", "/run")


def completions() -> EventStream:
    return opened(frontend(), "POST", "/v1/completions")


def through(stream: EventStream, chunks: bytes | Iterable[bytes]) -> bytes:
    """All that a stream makes of these bytes."""
    chunks = [chunks] if isinstance(chunks, bytes) else chunks
    return b"".join([*(stream.feed(chunk) for chunk in chunks), stream.finish()])


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def documents(stream: bytes) -> list[Any]:
    """The data of all events but `[DONE]`, decoded."""
    return [json.loads(found.data) for found in parse(stream) if found.data != "[DONE]"]


def sdk_events(stream: bytes) -> list[Event]:
    """What the SDK's own decoder makes of a stream."""
    return [Event(found.data, found.event or "") for found in SSEDecoder().iter_bytes(iter([stream]))]


def cut(stream: bytes, positions: Iterable[int]) -> list[bytes]:
    ends = sorted({0, len(stream), *(position % (len(stream) + 1) for position in positions)})
    return [stream[start:end] for start, end in pairwise(ends)]


# --- any stream, any split

CHUNK_FIELDS = frozenset(ChatCompletionChunk.model_fields)
TEXT = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\u2028\u2029\u0085\ufeff\r\n: {}é😀"), max_size=5
)
VALUES = st.none() | st.integers(0, 9) | TEXT | st.lists(TEXT, max_size=2)
NAMES = st.sampled_from(["id", "choices", "model", "error", "secret", "debug"])
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)
JSON = st.builds(json.dumps, OBJECTS, ensure_ascii=st.booleans(), indent=st.sampled_from([None, 1]))
DATA = JSON | st.sampled_from(
    ["[DONE]", "[DONE] and more", "no JSON", "[1, 2]", '"text"', "7", '{"id": ', "", " ", "  x"]
)
OTHER_LINES = st.sampled_from(
    [
        *[
            "event: x",
            "event:",
            "event",
            "id: 7",
            "id:",
            "id",
            "retry: 9",
            "retry: x",
            "data",
            "data:",
            "dat",
            "Data: x",
        ],
        *[":", ": a comment", ":\u0085data: x", "\u2028data: x", " data: x", "data : x", "datax: y"],
        *["junk: x", "junk"],
    ]
)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def blocks(draw: st.DrawFn) -> str:
    """One event with its empty line, or what looks a bit like one. Neighbouring line ends may become one."""
    lines = draw(st.lists(OTHER_LINES, max_size=3))
    if draw(st.booleans()):
        space = draw(st.sampled_from([" ", ""]))
        lines[draw(st.integers(0, len(lines))) :] = [f"data:{space}{line}" for line in draw(DATA).split("\n")]
    end = draw(LINE_ENDS)
    ends = [draw(LINE_ENDS) if draw(st.integers(0, 4)) == 0 else end for _ in range(len(lines) + 1)]
    return "".join(map("".join, zip([*lines, ""], ends, strict=True)))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    stream = "".join(draw(st.lists(blocks(), max_size=4)))
    if draw(st.booleans()):
        stream = stream[: draw(st.integers(0, len(stream)))]
    return (draw(st.sampled_from(["", "", "\ufeff"])) + stream).encode()


STREAMS = streams() | st.lists(
    st.sampled_from(["data", "data: ", ":", "id: 1", "{", '{"id":1}', "\n", "\r", "\r\n", "x"]), max_size=12
).map(lambda tokens: "".join(tokens).encode())
KINDS: list[Callable[[], EventStream]] = [chat, responses, custom, lambda: custom(("id", "id"), ("$.model", "model"))]
ALL_KINDS = pytest.mark.parametrize("kind", KINDS, ids=["chat", "responses", "custom", "mapped custom"])


@ALL_KINDS
@given(stream=STREAMS, positions=st.lists(st.integers(0), max_size=5))
@example(stream=b"data: 1\r\r\n\ndata: 2\r\n\rdata: 3\n\r\ndata: 4\r\n\r\n\rdata: 5\r\n\n\r\r", positions=[9])
@settings(max_examples=60)
def test_every_split_gives_the_same_bytes(
    kind: Callable[[], EventStream], stream: bytes, positions: list[int]
) -> None:  # S1
    whole = through(kind(), stream)

    assert through(kind(), [bytes([byte]) for byte in stream]) == whole
    assert through(kind(), cut(stream, positions)) == whole
    for position in range(1, len(stream)):
        assert through(kind(), [stream[:position], stream[position:]]) == whole


def expected_of_chat(events: list[Event]) -> list[Event]:
    """What a chat stream keeps of events, by another way than the code's."""
    kept = []
    for found in events:
        try:
            fields = json.loads(found.data)
        except ValueError:
            fields = None
        if (
            isinstance(fields, dict)
            and fields.get("error") is None
            and not fields.keys() <= CHUNK_FIELDS
            and fields.keys() & CHUNK_FIELDS
        ):
            data = json.dumps({name: value for name, value in fields.items() if name in CHUNK_FIELDS})
            kept.append(Event(data, found.type))
        elif found.data.strip():
            kept.append(found)
    if not any(found.data.startswith("[DONE]") for found in kept):
        kept.append(Event("[DONE]"))
    return kept


def decoded(events: list[Event]) -> list[tuple[str, Any]]:
    """Events in a form that does not depend on how JSON is written."""
    result = []
    for found in events:
        try:
            result.append((found.type, json.loads(found.data)))
        except ValueError:
            result.append((found.type, found.data))
    return result


@given(STREAMS)
@settings(max_examples=300)
def test_a_chat_stream_keeps_every_event_and_of_each_what_a_chunk_has(stream: bytes) -> None:  # S1 S2 S3 S5
    sent = through(chat(), stream)

    assert decoded(parse(sent)) == decoded(expected_of_chat(parse(stream + b"\n\n")))


@given(STREAMS)
@settings(max_examples=300)
def test_without_mappings_every_event_that_has_data_arrives_as_it_was(stream: bytes) -> None:  # S1 S5
    assert parse(through(custom(), stream)) == [found for found in parse(stream + b"\n\n") if found.data]


@ALL_KINDS
@given(stream=STREAMS)
@settings(max_examples=100)
def test_the_sdk_reads_what_a_browser_reads_and_never_an_event_without_data(
    kind: Callable[[], EventStream], stream: bytes
) -> None:  # S3 S5
    sent = through(kind(), stream)

    assert sdk_events(sent) == parse(sent)
    assert all(found.data for found in sdk_events(sent))


@ALL_KINDS
@given(stream=STREAMS)
@settings(max_examples=100)
def test_an_event_leaves_when_its_last_byte_has_come(kind: Callable[[], EventStream], stream: bytes) -> None:  # S1
    through_whole_prefix = kind()
    sent = b""
    for position in range(1, len(stream) + 1):
        prefix = stream[:position]
        sent += through_whole_prefix.feed(prefix[-1:])
        # A CR after CR LF: half of a line end or a whole one, as the next byte will tell.
        if not prefix.endswith(b"\r\n\r"):
            assert len(parse(sent)) == len([found for found in parse_utf8(prefix) if is_kept(kind, found)])


def parse_utf8(prefix: bytes) -> list[Event]:
    return parse(prefix.decode(errors="ignore").encode())


def is_kept(kind: Callable[[], EventStream], found: Event) -> bool:
    return bool(found.data.strip() if kind in (chat, responses) else found.data)


@pytest.mark.parametrize(
    ("pieces", "sent"),
    [
        ([b"data: 1\n", b"\n", b"data: 2\n\n"], [b"", b"data: 1\n\n", b"data: 2\n\n"]),
        ([b"data: 1\r\n\r", b"\n", b"data: 2\r\n\r\n"], [b"", b"data: 1\r\n\r\n", b"data: 2\r\n\r\n"]),
        ([b"data: 1\r", b"\r", b"\n", b"data: 2\r\r"], [b"", b"data: 1\r\r", b"", b"data: 2\r\r"]),
        ([b"data: 1\r", b"\r", b"data: 2\r\r"], [b"", b"data: 1\r\r", b"data: 2\r\r"]),
        ([b"data: 1\n", b"\r", b"\n", b"data: 2\n\n"], [b"", b"data: 1\n\r", b"", b"data: 2\n\n"]),
        ([b"data: 1\r\n\r", b"data: 2\n\n"], [b"", b"data: 1\r\n\rdata: 2\n\n"]),
        ([b"data: 1\r\n", b"\n"], [b"", b"data: 1\r\n\n"]),
        ([b"d", b"ata: 1\n\nd", b"", b"ata: 2\n\n"], [b"", b"data: 1\n\n", b"", b"data: 2\n\n"]),
        ([b"data: 1\n\ndata: 2\n\nda", b"ta: 3\n\n"], [b"data: 1\n\ndata: 2\n\n", b"data: 3\n\n"]),
    ],
)
def test_an_event_leaves_with_its_empty_line_whatever_that_is_made_of(
    pieces: list[bytes], sent: list[bytes]
) -> None:  # S1
    stream = custom()

    assert [stream.feed(piece) for piece in pieces] == sent
    assert stream.finish() == b""


# --- what leaves as it came

RIGHT_CHUNKS = [
    b'data: {"id":"c","choices":[]}',
    b'data:{"id":"c"}',
    b'id: 1\ndata: {"id" : "c",\ndata: "choices": []}\nevent: chunk\nretry: 5',
    b': a comment\ndata: {"id":"c"}\njunk: x\njunk',
    'data: {"id":"\u2028 \u0085 \u2029 😀"}'.encode(),
    b"data: [DONE]",
    b'data: {"error": {"message": "m"}, "trace": 1}',
    b"data: no JSON",
    b'data: {"id":"\xff","secret":1',
]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_events_that_need_no_change_leave_as_their_original_bytes(line_end: bytes) -> None:  # S1 S2
    stream = b"".join(chunk.replace(b"\n", line_end) + line_end * 2 for chunk in RIGHT_CHUNKS)

    assert through(chat(), stream) == stream


def test_a_right_event_beside_a_wrong_one_leaves_as_its_original_bytes() -> None:  # S1 S2
    right = b'event: x\r\ndata: {"id":  "c"}\r\n\r\n'

    assert through(chat(), right + event({"id": "d", "secret": 1}) + right + DONE) == (
        right + b'data: {"id":"d"}\n\n' + right + DONE
    )


def test_a_changed_event_keeps_its_other_lines_and_the_bytes_of_its_values() -> None:  # S2
    block = (
        b': note\nid: 1\nevent: chunk\ndata: {"id": "\\u00e9\xc3\xa9",\ndata: "x": 1, "created": 1.50}\nretry: 3\n\n'
    )

    assert through(chat(), block + DONE) == (
        b': note\nid: 1\nevent: chunk\nretry: 3\ndata: {"created":1.50,"id":"\\u00e9\xc3\xa9"}\n\n' + DONE
    )


def test_a_changed_event_may_have_values_of_several_lines() -> None:  # S1 S2
    block = b'data: {"choices": [\ndata:   1,\r\ndata:\rdata:   2\ndata: ], "secret": 1}\n\n'

    sent = through(chat(), block)

    assert documents(sent) == [{"choices": [1, 2]}]
    assert sdk_events(sent) == parse(sent)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1e"])
@pytest.mark.parametrize("extra", [{}, {"secret": 1}], ids=["right", "changed"])
def test_only_cr_and_lf_end_lines(separator: str, extra: dict[str, Any]) -> None:  # S1
    value = f"one{separator}two"
    data = json.dumps({"id": value, **extra}, ensure_ascii=separator < " ").encode()

    assert documents(through(chat(), b"data: " + data + b"\n\n")) == [{"id": value}]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_the_kind_of_line_end_does_not_matter(line_end: str) -> None:  # S1
    lines = ["id: 1", 'data: {"id": "c",', 'data: "secret": 1}', "", "event: x", 'data: {"id": "d"}', "", ": end", ""]
    stream = "".join(line + line_end for line in lines).encode()

    assert decoded(parse(through(chat(), stream))) == [("", {"id": "c"}), ("x", {"id": "d"}), ("", "[DONE]")]


def test_a_byte_order_mark_is_taken_off_where_a_stream_begins() -> None:  # S1
    stream = b"\xef\xbb\xbfdata: 1\n\n"

    assert through(custom(), stream) == b"data: 1\n\n"
    assert through(custom(), b"data: 0\n\n" + stream) == b"data: 0\n\n"  # no such field


# --- repairs


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r", "\r\n\r", "\n\n", "\r\n\r\n", "\r\r"])
def test_the_last_event_ends_with_an_empty_line(end: str) -> None:  # S3
    sent = through(responses(), f'data: {{"type":"x"}}{end}'.encode())

    assert parse(sent) == sdk_events(sent) == [Event('{"type":"x"}')]


@pytest.mark.parametrize("make", [chat, completions])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"\r\n", b"\r\n\r", b"\r\r"])
def test_a_chat_or_completions_stream_that_ends_without_done_gets_one(
    make: Callable[[], EventStream], end: bytes
) -> None:  # S3
    sent = through(make(), b'data: {"id":"c"}' + end)

    assert parse(sent) == sdk_events(sent) == [Event('{"id":"c"}'), Event("[DONE]")]


@pytest.mark.parametrize(
    "done", [b"data: [DONE]\n\n", b"data:[DONE]\r\n\r\n", b"data: [DONE]", b"event: end\ndata: [DONE]\n\n"]
)
def test_done_is_not_sent_twice(done: bytes) -> None:  # S3
    sent = through(chat(), event({"id": "c"}) + done)

    assert [found.data for found in parse(sent)] == ['{"id": "c"}', "[DONE]"]


def test_an_empty_chat_stream_is_one_that_is_done() -> None:  # S3
    assert through(chat(), b"") == DONE


@pytest.mark.parametrize("make", [responses, custom], ids=["responses", "custom"])
def test_other_streams_get_no_done_but_keep_their_own(make: Callable[[], EventStream]) -> None:  # S2 S3
    assert through(make(), b"data: 1\n\n") == b"data: 1\n\n"
    assert through(make(), b"data: 1\n\n" + DONE) == b"data: 1\n\n" + DONE


def test_events_after_done_are_still_mapped() -> None:  # S2
    assert through(chat(), DONE + event({"id": "c", "secret": 1})) == DONE + b'data: {"id":"c"}\n\n'


@pytest.mark.parametrize(
    "block",
    [
        *[b"data:\n\n", b"data: \n\n", b"data\n\n", b"event: ping\ndata:\n\n", b"id: 7\ndata:\n\n"],
        *[b"id: 7\n\n", b"retry: 5\n\n", b"event: ping\n\n", b"id: 7\nretry: 5\n\n", b"id: 7\n: comment\n\n"],
        *[b"junk: x\n\n", b"junk\n\n", b" data: x\n\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r\n\r\r"],
    ],
)
@ALL_KINDS
def test_blocks_without_data_are_dropped(kind: Callable[[], EventStream], block: bytes) -> None:  # S5
    right = b'id: 1\ndata: {"id":"c"}\n\n'

    assert through(kind(), block + right + block + DONE + block) == right + DONE


@pytest.mark.parametrize("blank", [b"data:  \n\n", b"data:\ndata:\n\n", b"data: \t\n\n"])
def test_data_of_white_space_alone_is_dropped_where_it_must_be_json_and_only_there(blank: bytes) -> None:  # S2 S5
    assert through(chat(), blank + DONE) == DONE
    assert through(responses(), blank) == b""
    assert through(custom(), blank) == blank


@pytest.mark.parametrize("comment", [b": ping\n\n", b":\n\n", b": ping\r\n\r\n", b": one\n: two\n\n", b": ping\r\r"])
@ALL_KINDS
def test_comments_pass(kind: Callable[[], EventStream], comment: bytes) -> None:  # S2
    stream = comment + b'data: {"id":"c"}\n\n' + comment + DONE

    assert through(kind(), stream) == stream
    assert sdk_events(stream) == [Event('{"id":"c"}'), Event("[DONE]")]


@ALL_KINDS
def test_a_comment_after_an_id_is_dropped_until_the_id_is_taken_back(kind: Callable[[], EventStream]) -> None:  # S5
    with_id, without = b'id: 1\ndata: {"id":"c"}\n\n', b'id:\ndata: {"id":"c"}\n\n'
    plain = b'data: {"id":"c"}\n\n'
    comment = b": ping\n\n"

    sent = through(kind(), comment + with_id + comment + plain + comment + without + comment + DONE)

    assert sent == comment + with_id + plain + without + comment + DONE
    assert sdk_events(sent) == parse(sent)


def test_a_comment_inside_an_event_that_has_an_id_stays() -> None:  # S2
    stream = b'id: 1\n: why\ndata: {"id":"c"}\n\n: why\ndata: {"id":"d"}\n\n' + DONE

    assert through(chat(), stream) == stream


# --- chat chunks and text completion chunks


@pytest.mark.parametrize(
    ("make", "model"), [(chat, ChatCompletionChunk), (completions, Completion)], ids=["chat", "completions"]
)
def test_a_chunk_keeps_all_its_fields_and_loses_the_others(
    make: Callable[[], EventStream], model: type[ChatCompletionChunk | Completion]
) -> None:  # S2
    right = {name: f"{name}'s value" for name in model.model_fields}

    [document] = documents(through(make(), event({"secret": 1, **right, "timings": {"id": 1}})))

    assert document == right


@pytest.mark.parametrize("absent_optional", ["omit", "null"])
def test_fields_that_an_event_lacks_are_never_filled_in(absent_optional: str) -> None:  # S2
    answers = frontend(absent_optional)
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {}}], "secret": 1}
    delta = {"type": "response.output_text.delta", "delta": "d", "sequence_number": 0, "secret": 1}
    created = {"type": "response.created", "response": {"id": "r", "secret": 1}, "sequence_number": 1}

    assert documents(through(opened(answers, *CHAT), event(chunk))) == [
        {"id": "c", "choices": [{"index": 0, "delta": {}}]}
    ]
    assert documents(through(opened(answers, *RESPONSES), event(delta) + event(created))) == [
        {"type": "response.output_text.delta", "delta": "d", "sequence_number": 0},
        {
            "type": "response.created",
            "response": {"id": "r", **dict.fromkeys(NULLABLE_OF_RESPONSE)},
            "sequence_number": 1,
        },
    ]


def test_what_lies_deeper_in_a_chunk_is_left_as_it_is() -> None:  # S2 O11
    chunk = {"id": "c", "choices": [{"delta": {"content": "x", "reasoning": "y"}, "secret": 1}]}

    assert documents(through(chat(), event({**chunk, "secret": 1}))) == [chunk]


ERROR_FRAMES = [
    b'data: {"error": {"message": "m", "type": "t", "param": null, "code": null}, "trace": 1}\n\n',
    b'event: error\ndata: {"type": "error", "sequence_number": 3, "error": {"message": "m"}, "trace": 1}\n\n',
    b'data: {"id": "c", "error": "text"}\n\n',
    b'event: error\ndata: {"message": "m", "trace": 1}\n\n',
    b'data: {"message": "m", "trace": 1}\r\nevent:error\r\n\r\n',
]


@pytest.mark.parametrize("frame", ERROR_FRAMES)
@ALL_KINDS
def test_error_frames_of_the_app_pass_and_later_events_are_still_mapped(
    kind: Callable[[], EventStream], frame: bytes
) -> None:  # S2
    wrong = event({"type": "response.queued", "id": "c", "sequence_number": 9, "secret": 1})

    sent = through(kind(), frame + wrong + DONE)

    assert sent.startswith(frame)
    assert (b"secret" in sent) is (kind is custom)


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "error", "code": "c", "message": "m", "param": None, "sequence_number": 1, "trace": 1},
        {"type": "error", "message": "m"},
    ],
)
def test_flat_error_events_of_a_responses_stream_pass(frame: dict[str, Any]) -> None:  # S2
    assert through(responses(), event(frame)) == event(frame)


def test_an_error_that_is_null_is_no_error_frame() -> None:  # S2
    assert documents(through(chat(), event({"id": "c", "error": None}))) == [{"id": "c"}]
    assert documents(through(custom(("id", "id")), event({"id": "c", "error": None}))) == [{"id": "c"}]


@pytest.mark.parametrize(
    "data",
    [
        *[b"no JSON", b'{"id": ', b'{"id": NaN, "secret": 1}', b"[1]", b'"text"', b"null", b"7", b'{"id":1} {"id":2}'],
        *[b"[" * 100_000, b'{"secret":' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
    ],
    ids=lambda data: data[:20].decode(),
)
@ALL_KINDS
def test_data_that_the_decoder_refuses_passes_and_later_events_are_still_mapped(
    kind: Callable[[], EventStream], data: bytes
) -> None:  # S2
    refused = b"data: " + data + b"\n\n"

    sent = through(
        kind(), refused + event({"type": "response.queued", "id": 1, "secret": 1, "sequence_number": 0}) + DONE
    )

    assert sent.startswith(refused)
    assert (b"secret" in sent.removeprefix(refused)) is (kind is custom)


# --- Responses events


def test_the_sdk_has_the_event_types_that_are_tested_here() -> None:
    assert len(EVENT_MODELS) > 50
    assert EVENT_MODELS.keys() > {*WITH_ANSWER, "error", "response.function_call_arguments.delta"}


@pytest.mark.parametrize("kind", [kind for kind in EVENT_MODELS if kind not in ("error", *WITH_ANSWER)])
def test_every_type_of_responses_event_is_filtered_to_its_own_fields(kind: str) -> None:  # S2
    right = {**dict.fromkeys(EVENT_MODELS[kind].model_fields, "value"), "type": kind, "sequence_number": 0}

    assert through(responses(), event(right)) == event(right)
    assert documents(through(responses(), event({"secret": 1, **right, "choices": []}))) == [right]


@pytest.mark.parametrize(
    ("path", "kind", "model"),
    [(path, kind, model) for path, union in OTHER_EVENTS.items() for kind, model in event_models(union).items()],
)
def test_the_events_of_images_and_transcriptions_are_filtered_by_their_types_too(
    path: str, kind: str, model: Any
) -> None:  # S2 S3
    right = {**dict.fromkeys(model.model_fields, "value"), "type": kind}

    sent = through(opened(frontend(), "POST", path), event({"secret": 1, **right, "sequence_number": 7}))

    assert documents(sent) == [right]
    assert [found.data for found in parse(sent)].count("[DONE]") == 0


@pytest.mark.parametrize("kind", WITH_ANSWER)
def test_the_answer_inside_an_event_is_filtered_as_the_json_answer_is(kind: str) -> None:  # S2 O2 O4
    right = dict.fromkeys(Response.model_fields, "value")
    wrong = {
        "secret": 1,
        **{name: value for name, value in right.items() if name not in NULLABLE_OF_RESPONSE},
        "timings": {},
    }
    exchange = frontend().open(*RESPONSES, b"", [])
    assert exchange is not None
    json_answer = exchange.answer(200, [(b"content-type", b"application/json")])
    assert json_answer is not None
    json_answer.feed(json.dumps(wrong).encode())
    answer = json_answer.finish()

    [document] = documents(through(responses(), event({"type": kind, "response": wrong, "sequence_number": 0})))

    assert document == {"type": kind, "response": json.loads(answer), "sequence_number": 0}
    assert document["response"] == {**right, **dict.fromkeys(NULLABLE_OF_RESPONSE)}


@pytest.mark.parametrize("kind", WITH_ANSWER)
def test_a_right_answer_inside_an_event_leaves_as_its_original_bytes(kind: str) -> None:  # S2
    right = dict.fromkeys(Response.model_fields, "value")
    stream = event({"type": kind, "response": right, "sequence_number": 0})

    assert through(responses(), stream) == stream


def test_an_answer_that_is_not_complete_yet_gets_nothing_but_its_nullable_fields() -> None:  # S2
    stream = event({"type": "response.created", "response": {"id": "r", "error": {"code": "c"}}, "sequence_number": 0})

    [document] = documents(through(responses(), stream))

    assert document["response"] == {"id": "r", **dict.fromkeys(NULLABLE_OF_RESPONSE), "error": {"code": "c"}}


@pytest.mark.parametrize("answer", [None, "text", [1]])
def test_an_answer_inside_an_event_that_is_no_object_stays_while_the_event_is_filtered(answer: Any) -> None:  # S2 S3
    [document] = documents(through(responses(), event({"type": "response.created", "response": answer, "secret": 1})))

    assert document == {"type": "response.created", "response": answer, "sequence_number": 0}


def test_the_answer_inside_an_event_passes_where_the_json_answer_does() -> None:  # S2
    config = APIHandlerConfig()
    config.add_endpoint_config(EndpointConfig("/ask", operation="responses.create"))
    created = {"type": "response.created", "response": {"id": "r", "own": 1}, "sequence_number": 0}

    sent = through(opened(Frontend(config=config), "POST", "/ask"), event({**created, "secret": 1}))

    assert documents(sent) == [created]


def test_the_answer_inside_an_event_is_mapped_by_the_rules_of_the_json_answer() -> None:  # S2
    config = APIHandlerConfig()
    rules = mappings(("$.key", "id", True), ("$.output[*].text", "texts"))
    config.add_endpoint_config(EndpointConfig("/ask", operation="responses.create", output_body_mappings=rules))
    answer = {"key": "r", "output": [{"text": "a"}, {"text": "b"}], "secret": 1}
    completed = {"type": "response.completed", "response": answer, "sequence_number": 0}

    [document] = documents(through(opened(Frontend(config=config), "POST", "/ask"), event(completed)))

    assert document == {**completed, "response": {"id": "r", "texts": ["a", "b"]}}


@pytest.mark.parametrize("kind", ["response.of_the_future", "keepalive", "", 7, None])
def test_events_of_unknown_type_pass_and_later_ones_are_mapped(kind: Any) -> None:  # S2
    unknown = event({"type": kind, "secret": 1})
    known = {"type": "response.output_text.delta", "delta": "d", "sequence_number": 0}

    sent = through(responses(), unknown + event({**known, "secret": 1}))

    assert sent.startswith(unknown)
    assert documents(sent)[1:] == [known]


def test_the_type_in_the_data_decides_and_not_the_name_of_the_event() -> None:  # S2
    block = b'event: response.completed\ndata: {"type":"response.queued","x":1,"sequence_number":0}\n\n'

    assert through(responses(), block) == block.replace(b'"x":1,', b"")


def test_a_retrieved_response_streams_the_same_events() -> None:  # S2
    stream = event({"type": "response.queued", "response": {"id": "r", "secret": 1}, "secret": 1})

    retrieved = through(opened(frontend(), "GET", "/v1/responses/resp_1"), stream)

    assert retrieved == through(responses(), stream)


# --- sequence numbers


def numbers(*given: Any) -> list[Any]:
    """The sequence numbers that arrive where the app sent these; `...` stands for none."""
    types = [f"response.{'output_text.delta' if index % 2 else 'queued'}" for index in range(len(given))]
    sent = [
        {"type": kind, **({} if number is ... else {"sequence_number": number})}
        for kind, number in zip(types, given, strict=True)
    ]
    return [document["sequence_number"] for document in documents(through(responses(), b"".join(map(event, sent))))]


@pytest.mark.parametrize(
    ("given", "arriving"),
    [
        ((..., ..., ...), [0, 1, 2]),
        ((5, ..., ...), [5, 6, 7]),
        ((0, 1, 2), [0, 1, 2]),
        ((..., 7, ..., 3, ...), [0, 7, 8, 3, 4]),
        ((None, "4", True, 1.5), [0, 1, 2, 3]),
    ],
)
def test_events_without_a_sequence_number_get_the_next_one(given: tuple[Any, ...], arriving: list[int]) -> None:  # S3
    assert numbers(*given) == arriving


def test_counting_goes_on_from_the_numbers_of_unknown_events() -> None:  # S3
    stream = event({"type": "response.of_the_future", "sequence_number": 6}) + event({"type": "response.queued"})

    assert [document["sequence_number"] for document in documents(through(responses(), stream))] == [6, 7]


def test_other_streams_are_not_numbered() -> None:  # S3
    stream = event({"id": "c"})

    assert through(chat(), stream + DONE) == stream + DONE
    assert through(custom(("id", "id")), stream) == stream


def test_two_streams_of_one_endpoint_count_apart() -> None:  # S3
    first, second = responses(), responses()
    queued = event({"type": "response.queued"})

    assert first.feed(queued) == second.feed(queued)
    assert first.feed(queued) != queued


# --- streams of one's own endpoints


@pytest.mark.parametrize(
    ("rules", "given", "arriving"),
    [
        ([("$.a", "a")], {"a": 1, "b": 2}, {"a": 1}),
        ([("a", "b"), ("b", "a")], {"a": 1, "b": 2}, {"b": 1, "a": 2}),
        ([("$.message.text", "text")], {"message": {"text": "t"}, "b": 2}, {"text": "t"}),
        ([("$.items[*].id", "ids")], {"items": [{"id": 1}, {"id": 2}]}, {"ids": [1, 2]}),
        ([("$.a", "a"), ("$.b", "b")], {"a": None}, {"a": None}),
        ([("$.a", "a", True)], {"b": 2}, {}),
        ([("$", "all")], {"b": 2}, {"all": {"b": 2}}),
        ([("$.error", "error")], {"error": {"message": "m"}, "trace": 1}, {"error": {"message": "m"}}),
        (
            [("$.error.message", "text")],
            {"error": {"message": "m"}, "trace": 1},
            {"error": {"message": "m"}, "trace": 1},
        ),
    ],
)
def test_stream_body_mappings_map_the_data_of_each_event(rules: Any, given: Any, arriving: Any) -> None:  # S2 B5
    sent = through(custom(*rules), event(given) + b": ping\n\n" + event(given))

    assert documents(sent) == [arriving, arriving]
    assert b": ping\n\n" in sent


def test_error_frames_are_mapped_where_a_rule_is_about_them() -> None:  # S2
    frame = b'event: error\ndata: {"error":{"message":"m"},"trace":1}\n\n'

    sent = through(custom(("$.error", "error")), frame)

    assert decoded(parse(sent)) == [("error", {"error": {"message": "m"}})]


def test_stream_body_mappings_merge_along_wildcards() -> None:  # H1
    config = APIHandlerConfig()
    config.add_endpoint_handler("/*", stream_body_mappings=mappings(("$.a", "a"), ("$.b", "x"), ("$.c", "c")))
    config.add_endpoint_handler("/run/*", stream_body_mappings=mappings(("$.c", "z")))
    config.add_endpoint_handler("/run/it", stream_body_mappings=mappings(("$.d", "x")))
    config.add_endpoint_handler("/run/that")
    table = Frontend(config=config)
    data = event({"a": 1, "b": 2, "c": 3, "d": 4})

    assert documents(through(opened(table, "POST", "/run/it"), data)) == [{"a": 1, "z": 3, "x": 4}]
    assert documents(through(opened(table, "POST", "/run/that"), data)) == [{"a": 1, "x": 2, "z": 3}]
    assert documents(through(opened(table, "POST", "/else"), data)) == [{"a": 1, "x": 2, "c": 3}]


def test_stream_body_mappings_and_output_body_mappings_stay_apart() -> None:  # S2
    config = APIHandlerConfig()
    config.add_endpoint_handler("/run", output_body_mappings=mappings(("$.a", "a", True)))
    config.add_endpoint_handler("/walk", stream_body_mappings=mappings(("$.a", "a")))
    table = Frontend(config=config)
    walk = table.open("POST", "/walk", b"", [])
    assert walk is not None

    assert documents(through(opened(table, "POST", "/run"), event({"b": 2}))) == [{"b": 2}]
    assert walk.answer(200, [(b"content-type", b"application/json")]) is None


def test_stream_body_mappings_survive_the_way_through_json() -> None:
    config = APIHandlerConfig()
    config.add_endpoint_handler("/run", stream_body_mappings=mappings(("$.a", "b"), ("c", "d", True)))

    written = json.loads(json.dumps(config.to_dict()))
    again = APIHandlerConfig.from_dict(written)

    assert again == config
    assert written["endpoints"]["POST:/run"]["stream_body_mappings"]["mappings"] == [
        {"source_path": "$.a", "destination_path": "b", "mandatory": False},
        {"source_path": "c", "destination_path": "d", "mandatory": True},
    ]
    assert documents(through(opened(Frontend(config=written), "POST", "/run"), event({"a": 1, "x": 2}))) == [{"b": 1}]


def test_a_dictionary_without_stream_body_mappings_is_taken() -> None:
    written = APIHandlerConfig().to_dict()
    written["endpoints"] = {"POST:/run": {"path": "/run", "http_method": "POST"}}

    config = APIHandlerConfig.from_dict(written)

    assert config.endpoints["POST:/run"].stream_body_mappings is None


# --- failures

SECRET = RuntimeError("the password is hunter2")
TOLD = NotFoundError("No such thing: \u2028é", param="id", code="missing")
TOLD_DETAIL = {"message": "No such thing: \u2028é", "type": "invalid_request_error", "param": "id", "code": "missing"}


@pytest.mark.parametrize("make", [chat, completions, custom], ids=["chat", "completions", "custom"])
def test_a_failure_ends_a_stream_with_an_error_frame(make: Callable[[], EventStream]) -> None:  # S4
    stream = make()
    stream.feed(event({"id": "c"}))

    frame = stream.fail(TOLD)

    assert frame.endswith(b"\n\n")
    assert decoded(parse(frame)) == decoded(sdk_events(frame)) == [("", {"error": TOLD_DETAIL})]


def test_a_failure_ends_a_responses_stream_with_an_error_event() -> None:  # S4
    stream = responses()
    stream.feed(event({"type": "response.created", "sequence_number": 4}))

    frame = stream.fail(TOLD)

    assert frame.endswith(b"\n\n")
    assert decoded(parse(frame)) == [("error", {"type": "error", "sequence_number": 5, "error": TOLD_DETAIL})]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TOLD, "missing"),
        (RateLimitError("Slow down."), "rate_limit_exceeded"),
        (BadRequestError("No."), "invalid_prompt"),
        (OpenAIError("Broken."), "server_error"),
        (SECRET, "server_error"),
    ],
)
def test_a_failure_ends_the_response_that_was_announced(error: Exception, code: str) -> None:  # S4
    stream = responses()
    announced = {"id": "resp_1", "status": "in_progress", "output": []}
    stream.feed(event({"type": "response.created", "sequence_number": 4, "response": announced}))
    stream.feed(event({"type": "response.output_text.delta", "delta": "Hel", "sequence_number": 5}))

    (first, told), (last, failed) = decoded(parse(stream.fail(error)))

    assert (first, last) == ("error", "response.failed")
    assert (told["sequence_number"], failed["sequence_number"]) == (6, 7)
    assert failed["type"] == "response.failed"
    assert failed["response"].items() >= {"id": "resp_1", "status": "failed", "output": []}.items()
    assert failed["response"]["error"] == {"code": code, "message": told["error"]["message"]}
    assert stream.finish() == b""


def test_a_failure_is_told_also_where_the_response_that_was_announced_is_no_text() -> None:  # S2 S4
    stream = responses()
    stream.feed(b'data: {"type": "response.created", "sequence_number": 0, "response": {"id": "\xf7"}}\n\n')

    [(kind, told)] = decoded(parse(stream.fail(TOLD)))

    assert (kind, told["sequence_number"]) == ("error", 1)


@pytest.mark.parametrize("end", ["response.completed", "response.incomplete", "response.failed"])
def test_nothing_follows_the_event_that_ends_a_response(end: str) -> None:  # S4
    stream = responses()
    stream.feed(event({"type": "response.created", "sequence_number": 0, "response": {"id": "r"}}))
    stream.feed(event({"type": end, "sequence_number": 1, "response": {"id": "r"}}))

    assert stream.is_complete
    assert stream.fail(TOLD) == b""


def test_an_event_with_none_of_its_fields_is_an_extension() -> None:  # O13
    status = event({"event": {"type": "status", "data": {"description": "Searching"}}})

    assert through(chat(), status + event({"id": "c", "junk": 1})).startswith(status)
    assert through(responses(), status) == status


def test_fields_are_left_out_of_every_event_however_many_names_they_have() -> None:  # O2 S2
    stream = opened(Frontend(prefix="/v1"), *CHAT)

    for number in range(40):
        extra = {f"junk {number}": 1, f"more {number}": {"a": [1]}, 'with "quotes"': None, "with a tab\t": 2}
        for _ in range(2):
            assert stream.feed(event({"id": "c", **extra, "usage": None})) == b'data: {"id":"c","usage":null}\n\n'


def test_fields_that_were_left_out_before_are_nothing_to_an_event_that_has_no_others() -> None:  # O13
    stream = opened(Frontend(prefix="/v1"), *CHAT)
    for _ in range(2):
        stream.feed(event({"id": "c", "junk": 1, "event": 2, "error": None}))

    for data in ({"junk": 1}, {"junk": 1, "event": 2}, {"id": "c", "junk": 1, "error": {"message": "No."}}, {}):
        assert stream.feed(event(data)) == event(data)
    assert stream.feed(event({"junk": 1, "id": "c"})) == b'data: {"id":"c"}\n\n'


def test_a_field_that_is_left_out_of_one_kind_stays_in_another_that_has_it() -> None:  # S2
    stream = opened(Frontend(prefix="/v1"), *RESPONSES)
    delta = {"type": "response.output_text.delta", "sequence_number": 0, "delta": "a", "text": "junk"}
    done = {"type": "response.output_text.done", "sequence_number": 1, "text": "a", "delta": "junk"}

    for _ in range(3):
        assert json.loads(stream.feed(event(delta))[6:]) == {name: delta[name] for name in delta if name != "text"}
        assert json.loads(stream.feed(event(done))[6:]) == {name: done[name] for name in done if name != "delta"}


def test_threads_that_leave_out_fields_at_once_leave_out_all_of_them() -> None:  # O2 S2
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            table = Frontend(["chat_completions"], prefix="/v1")
            wait = threading.Barrier(4)

            def left(number: int, table: Frontend = table, wait: threading.Barrier = wait) -> set[bytes]:
                stream = opened(table, *CHAT)
                wait.wait()
                sent = [event({"id": "c", f"junk {number} {count % 3}": 1, "junk": 2}) for count in range(30)]
                return {stream.feed(chunk) for chunk in sent}

            with ThreadPoolExecutor(4) as pool:
                assert set().union(*pool.map(left, range(4))) == {b'data: {"id":"c"}\n\n'}
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("make", [chat, responses], ids=["chat", "responses"])
def test_a_failure_before_the_first_event_leaves_nothing(make: Callable[[], EventStream]) -> None:  # S4
    stream = make()
    stream.feed(b"data: half")

    assert stream.fail(TOLD) == b""


@pytest.mark.parametrize("error", [SECRET, ValueError(), KeyboardInterrupt("hunter2"), OSError(5, "hunter2")])
@ALL_KINDS
def test_the_frame_holds_no_text_of_a_foreign_exception(
    kind: Callable[[], EventStream], error: BaseException
) -> None:  # S4
    stream = kind()
    stream.feed(b"data: 1\n\n")

    frame = stream.fail(error)

    [document] = documents(frame)
    detail = document["error"]
    assert b"hunter2" not in frame
    assert detail["message"]
    assert (detail["type"], detail["param"], detail["code"]) == ("server_error", None, None)


@pytest.mark.parametrize("half", [b"data: {", b"data: 1", b"data: 1\n", b"data: 1\r\n", b"id: 7", b": x", b"\n", b"d"])
@ALL_KINDS
def test_half_an_event_is_discarded_when_the_app_fails(kind: Callable[[], EventStream], half: bytes) -> None:  # S4
    stream = kind()
    whole = stream.feed(b"data: whole\n\n" + half)

    frame = stream.fail(TOLD)

    assert whole == b"data: whole\n\n"
    untouched = kind()
    untouched.feed(b"data: whole\n\n")
    assert frame == untouched.fail(TOLD) != b""
    assert sdk_events(whole + frame) == parse(whole + frame)


def test_no_frame_follows_done() -> None:  # S4
    stream = chat()
    stream.feed(DONE)

    assert stream.fail(TOLD) == b""


def test_an_error_without_words_is_a_frame_too() -> None:  # S4
    stream = chat()
    stream.feed(b"data: 1\n\n")

    [document] = documents(stream.fail(OpenAIError("")))

    assert document == {"error": {"message": "", "type": "server_error", "param": None, "code": None}}


# --- large events


@pytest.mark.parametrize("size", [50, 1000, 100_000])
@pytest.mark.parametrize("is_right", [True, False], ids=["right", "changed"])
def test_an_event_of_a_megabyte_passes_in_pieces_of_any_size(size: int, is_right: bool) -> None:  # S1
    chunk = {"id": "\u2028" * 350_000, **({} if is_right else {"secret": 1})}
    data = b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
    ends = accumulate([size] * (len(data) // size + 1))

    sent = through(chat(), (data[end - size : end] for end in ends))

    assert len(data) > 1_000_000
    assert documents(sent) == [{"id": chunk["id"]}]


@pytest.mark.parametrize(
    ("path", "operation", "arriving"),
    [
        ("/run", "chat.completions.create", [{"text": "a"}, {"text": "b"}, "[DONE]"]),
        ("/run", "responses.create", [{"text": "a", "sequence_number": 0}, {"text": "b", "sequence_number": 1}]),
    ],
)
def test_own_rules_for_an_operation_keep_its_repairs(path: str, operation: str, arriving: list[Any]) -> None:  # S2 S3
    config = APIHandlerConfig()
    rules = mappings(("$.token", "text"))
    config.add_endpoint_config(EndpointConfig(path, stream_body_mappings=rules, operation=operation))
    stream = opened(Frontend(config=config), "POST", path)

    sent = through(stream, event({"token": "a", "junk": 1}) + event({"token": "b"}))

    assert [one.data if one.data == "[DONE]" else json.loads(one.data) for one in parse(sent)] == arriving


def test_own_rules_for_a_numbered_operation_go_on_from_the_numbers_of_the_app() -> None:  # S3
    config = APIHandlerConfig()
    rules = mappings(("$.token", "text"), ("$.sequence_number", "sequence_number"))
    config.add_endpoint_config(EndpointConfig("/run", stream_body_mappings=rules, operation="responses.create"))
    stream = opened(Frontend(config=config), "POST", "/run")

    sent = through(stream, event({"token": "a", "sequence_number": 7}) + event({"token": "b"}))

    assert [one["sequence_number"] for one in documents(sent)] == [7, 8]


# --- events that are too large


LARGE_PARTS = st.lists(
    st.sampled_from([b"data: ", b'{"a":1}', b"x" * 30, b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf"]), max_size=12
)


@given(LARGE_PARTS, st.lists(st.integers(0, 60), max_size=4))
def test_events_that_are_too_large_leave_the_same_however_they_are_split(
    parts: list[bytes], cuts: list[int]
) -> None:  # S9
    text = b"".join(parts)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_stream, "MAX_EVENT_SIZE", 40)
        whole = through(custom(("$.a", "a")), text)
        in_parts = through(custom(("$.a", "a")), [text[start:end] for start, end in pairwise(places)])

    assert in_parts == whole


def test_event_that_is_too_large_leaves_unmapped_and_later_ones_are_mapped(
    caplog: pytest.LogCaptureFixture,
) -> None:  # S9
    large = b'data: {"junk":"' + b"x" * event_stream.MAX_EVENT_SIZE + b'"}\n\n'
    chunk = b'data: {"id":"c","junk":1}\n\n'

    assert through(chat(), [large, chunk]) == large + b'data: {"id":"c"}\n\n' + DONE

    # The frontend is shared: its first word may be about something else.
    start = "chat.completions.create: an event has more than 16777216 bytes and leaves as it is (request req_"
    assert caplog.messages[-1].startswith(start)


def test_event_without_an_end_takes_no_more_memory_than_the_largest_that_is_mapped() -> None:  # S9
    stream = custom()
    piece = b"x" * 2**20

    left = sum(len(stream.feed(piece)) for _ in range(40))

    assert 40 * len(piece) - left < 10
    assert stream.finish().endswith(b"x\n\n")


def test_failure_within_an_event_that_is_too_large_is_an_event_of_its_own() -> None:  # S4 S9
    stream = chat()
    stream.feed(b'data: {"junk":"' + b"x" * event_stream.MAX_EVENT_SIZE)

    ended = stream.fail(NotFoundError("Gone."))

    assert ended.startswith(b"\n\ndata: ")
    assert json.loads(parse(ended)[0].data)["error"]["message"] == "Gone."
