"""Chunks of another client that leave as they are on chat completions, and what a function says beside them."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from openai_middleware import Dispatcher, Reply, ToolCall, Usage
from tests.support.drivers import Sent
from tests.support.handlers import by_asgi, by_wsgi
from tests.support.replies import CHAT, QUESTIONS, TARGETS, deltas_of, documents, saying, send, validate_events
from tests.support.samples import FULL_COMPLETION

Serve = Callable[..., Sent]
SHARED = {"id": "own", "object": "chat.completion.chunk", "created": 1, "model": "other"}
WITH_USAGE = {"stream_options": {"include_usage": True}}


def chunk(delta: Any, reason: str | None = None) -> dict[str, Any]:
    return {**SHARED, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    begun = {"id": f"call_{index}", "type": "function"} if "name" in more else {}
    return chunk({"tool_calls": [{"index": index, **begun, "function": {**more, "arguments": arguments}}]})


HELLO = chunk({"role": "assistant", "content": "Hello"})
STOP = chunk({}, "stop")


@pytest.fixture(params=[by_asgi, by_wsgi], ids=["asgi", "wsgi"])
def serve(request: pytest.FixtureRequest) -> Serve:
    return request.param


@pytest.fixture(params=["sync", "async"])
def yielding(request: pytest.FixtureRequest) -> Callable[..., Callable[..., Any]]:
    """Makes a function that yields some items."""

    def on_a_loop(*items: Any) -> Callable[..., Any]:
        async def reply(messages: Any) -> AsyncIterator[Any]:
            for item in saying(*items)(messages):
                yield item

        return reply

    return saying if request.param == "sync" else on_a_loop


def streamed(serve: Serve, function: Callable[..., Any], **fields: Any) -> list[Any]:
    """The chunks of a stream: the SDK knows them, they belong to one answer, and say the role and the reason once."""
    events = documents(send(CHAT, function, serve, stream=True, **fields))
    validate_events(CHAT, events)
    assert {(event["id"], event["created"], event["model"]) for event in events} == {("own", 1, "other")}
    choices = [choice for event in events for choice in event["choices"]]
    assert [choice["delta"].get("role") for choice in choices if "role" in choice["delta"]] == ["assistant"]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == [choices[-1]["finish_reason"]]
    return events


def whole(serve: Serve, function: Callable[..., Any], **fields: Any) -> Any:
    sent = send(CHAT, function, serve, **fields)
    assert (sent.status, sent.header("content-type")) == (200, "application/json")
    ChatCompletion.model_validate(sent.json, strict=True)
    assert (sent.json["id"], sent.json["created"], sent.json["model"]) == ("own", 1, "other")
    return sent.json


@pytest.mark.parametrize("make", [dict, ChatCompletionChunk.model_validate], ids=["dict", "sdk"])
def test_text_and_usage_after_chunks_belong_to_their_answer(  # R34 R4 R31
    make: Any, yielding: Any, serve: Serve
) -> None:
    function = yielding(make(HELLO), None, " more", Reply(".", usage=Usage(1, 2)))

    events = streamed(serve, function, **WITH_USAGE)
    assert deltas_of(CHAT, events) == ["Hello", " more", "."]
    assert [event["usage"]["total_tokens"] for event in events if event.get("usage")] == [3]

    assert all("usage" not in event for event in streamed(serve, function))

    answer = whole(serve, function)
    assert (answer["choices"][0]["message"]["content"], answer["usage"]["total_tokens"]) == ("Hello more.", 3)


def test_chunks_alone_leave_as_they_are(yielding: Any, serve: Serve) -> None:  # R34 S2
    items = [{**HELLO, "own": 1}, None, "", STOP]
    sent = send(CHAT, yielding(*items), serve, stream=True, **WITH_USAGE)
    assert documents(sent) == [HELLO, STOP]


def test_usage_after_the_last_chunk_is_told_and_the_reason_not_again(yielding: Any, serve: Serve) -> None:  # R31
    function = yielding(HELLO, STOP, Usage(1, 2))

    assert streamed(serve, function) == [HELLO, STOP]
    assert streamed(serve, function, **WITH_USAGE)[:2] == [HELLO, STOP]
    assert streamed(serve, function, **WITH_USAGE)[2]["usage"]["total_tokens"] == 3
    assert whole(serve, function)["usage"]["total_tokens"] == 3


def test_text_after_the_last_chunk_has_a_reason_of_its_own(yielding: Any, serve: Serve) -> None:  # R30
    events = documents(send(CHAT, yielding(HELLO, STOP, " more"), serve, stream=True))
    choices = [choice for event in events for choice in event["choices"]]
    assert [(choice["delta"].get("content"), choice["finish_reason"]) for choice in choices] == [
        ("Hello", None),
        (None, "stop"),
        (" more", None),
        (None, "stop"),
    ]


def calls_of(answer: Any) -> list[tuple[str, str]]:
    calls = answer["choices"][0]["message"]["tool_calls"]
    return [(call["function"]["name"], call["function"]["arguments"]) for call in calls]


def test_call_after_chunks_with_calls_is_one_more(yielding: Any, serve: Serve) -> None:  # R32
    function = yielding(call(0, "{}", name="f"), call(1, "", name="g"), HELLO, ToolCall("h", {"a": 1}))

    events = streamed(serve, function)
    indices = [one["index"] for event in events for one in event["choices"][0]["delta"].get("tool_calls", ())]
    assert (indices, events[-1]["choices"][0]["finish_reason"]) == ([0, 1, 1, 2, 2], "tool_calls")
    assert calls_of(whole(serve, function)) == [("f", "{}"), ("g", "{}"), ("h", '{"a":1}')]


def test_call_that_had_begun_goes_on_after_text(yielding: Any, serve: Serve) -> None:  # R32
    function = yielding(HELLO, call(0, '{"a":', name="f"), " more", call(0, "1}"), chunk({}, "tool_calls"))

    events = streamed(serve, function)
    assert deltas_of(CHAT, events) == ["Hello", " more"]
    assert calls_of(whole(serve, function)) == [("f", '{"a":1}')]


def test_role_is_said_where_no_chunk_had_it(yielding: Any, serve: Serve) -> None:  # R30
    assert deltas_of(CHAT, streamed(serve, yielding({**SHARED, "choices": []}, "Hello"))) == ["Hello"]


def test_completion_that_is_yielded_is_its_text(yielding: Any, serve: Serve) -> None:  # R34
    answer = {**FULL_COMPLETION, **SHARED, "object": "chat.completion"}
    function = yielding(answer, " Bye.")

    assert deltas_of(CHAT, streamed(serve, function)) == ["Grüße\u2028!", " Bye."]
    assert whole(serve, function)["choices"][0]["message"]["content"] == "Grüße\u2028! Bye."


@pytest.mark.parametrize("said", [(HELLO, 7), (HELLO, " more", 7)], ids=["after a chunk", "after text"])
def test_log_names_the_function_that_gives_no_reply_after_chunks(
    said: Any, yielding: Any, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:  # R7
    serve = partial(serve, raised=[])
    sent = send(CHAT, yielding(*said, "b"), serve, stream=True)
    assert documents(sent)[-1]["error"]["type"] == "server_error"
    assert "reply gave no reply: int is no reply" in caplog.text
    assert send(CHAT, yielding(*said), serve).status == 500


def test_handler_that_writes_its_own_events_may_still_do_so(serve: Serve) -> None:  # S2
    status = {"status": "done"}

    def handle(body: Any) -> Iterator[Any]:
        yield from (HELLO, status, b": ping\n\n", " more", status, "[DONE]")

    dispatch = Dispatcher()
    dispatch(CHAT)(handle)
    sent = serve(dispatch, "POST", TARGETS[CHAT], {**QUESTIONS[CHAT], "stream": True})
    events = documents(sent)
    assert [events[0], events[1], events[3]] == [HELLO, status, status]
    assert [event["choices"][0]["delta"] for event in (events[2], events[4])] == [{"content": " more"}, {}]
    assert sent.body.count(b"[DONE]") == sent.body.count(b": ping") == 1
