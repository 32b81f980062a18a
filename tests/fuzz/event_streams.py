"""Any event stream, cut anywhere.

An input is a letter that chooses the mapping, one that says where the stream is cut, and the stream.
"""

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

from openai.types import Completion
from openai.types.chat import ChatCompletionChunk

from openai_middleware import APIHandlerConfig
from openai_middleware.answer.event_stream import EventStream
from openai_middleware.errors import RateLimitError
from openai_middleware.frontend import Frontend
from openai_middleware.mapping.json_codec import UNDECODABLE, value_of
from tests.support.drivers import mappings
from tests.support.server_sent_events import Event, parse

FIELDS = {"chat": frozenset(ChatCompletionChunk.model_fields), "completions": frozenset(Completion.model_fields)}


def _stream_of(frontend: Frontend, path: str) -> Callable[[], EventStream]:
    exchange = frontend.open("POST", path, b"", [])
    assert exchange is not None
    exchange.receive(b'{"model": "m", "messages": [], "prompt": "", "stream": true}')

    def make() -> EventStream:
        stream = exchange.answer(200, [(b"content-type", b"text/event-stream")])
        assert isinstance(stream, EventStream)
        return stream

    return make


def _own(*rules: Any) -> Callable[[], EventStream]:
    config = APIHandlerConfig()
    config.add_endpoint_handler("/own", stream_body_mappings=mappings(*rules) if rules else None)
    return _stream_of(Frontend(config=config), "/own")


_API, _KEEPING = Frontend(prefix="/v1"), Frontend(prefix="/v1", extra_fields="keep", absent_optional="null")
STREAMS = {
    "chat": _stream_of(_API, "/v1/chat/completions"),
    "responses": _stream_of(_API, "/v1/responses"),
    "passing": _own(),
    "own": _own(("$.a.b", "b"), ("$.model", "m"), ("$..id", "ids")),
    "completions": _stream_of(_API, "/v1/completions"),
    "kept": _stream_of(_KEEPING, "/v1/responses"),
}
KINDS = list(STREAMS)


def check(data: bytes) -> None:
    """Send a stream whole, in pieces and byte by byte, and compare what leaves with a browser's reading of it."""
    if len(data) < 2:
        return
    kind, stream = KINDS[data[0] % len(KINDS)], data[2:]
    whole = through(STREAMS[kind](), [stream])
    assert through(STREAMS[kind](), cut(stream, data[1])) == whole
    if len(stream) < 100:
        assert through(STREAMS[kind](), [stream[at : at + 1] for at in range(len(stream))]) == whole
    check_failure(STREAMS[kind](), stream, whole)
    events = read(whole)
    assert all(event.data for event in events), "an event without data"
    if kind in FIELDS:
        check_chat(stream, events, FIELDS[kind])
    elif kind == "passing":
        assert events == [event for event in read(stream + b"\n\n") if event.data]


def through(stream: EventStream, pieces: list[bytes]) -> bytes:
    return b"".join([*(stream.feed(piece) for piece in pieces), stream.finish()])


def cut(stream: bytes, seed: int) -> list[bytes]:
    random = Random(seed)
    ends = sorted({0, len(stream), *(random.randint(0, len(stream)) for _ in range(seed % 7))})
    return [stream[begin:end] for begin, end in pairwise(ends)]


def read(stream: bytes) -> list[Event]:
    return parse(stream.decode(errors="replace").encode())


def check_failure(stream: EventStream, data: bytes, whole: bytes) -> None:
    """A stream that fails has sent what it would have, and ends with whole events."""
    sent = stream.feed(data)
    rest = stream.fail(RateLimitError("Later."))
    assert whole.startswith(sent)
    assert bool(rest) <= bool(sent)
    assert not rest or rest.endswith(b"\n\n")
    assert not rest or b"Later." in rest


def check_chat(stream: bytes, events: list[Event], known: frozenset[str]) -> None:
    """Every event is there, with the fields that a chunk has, and `[DONE]` at the end."""
    came = [event for event in read(stream + b"\n\n") if event.data.strip(" \t\n\r\v\f")]
    has_done = any(event.data.startswith("[DONE]") for event in came)
    assert len(events) == len(came) + (not has_done)
    assert has_done or events[-1].data == "[DONE]"
    for before, after in zip(came, events, strict=False):
        assert before.type == after.type
        if after.data != before.data:
            assert before.type != "error"
            assert value_of(after.data.encode(errors="replace")) == filtered(before.data, known)


def filtered(data: str, known: frozenset[str]) -> Any:
    try:
        fields = value_of(data.encode())
    except UNDECODABLE:  # only a look at every byte tells so, and values that are left out get none
        return None
    return {name: value for name, value in fields.items() if name in known}
