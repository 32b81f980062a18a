"""Replies as chat completions, whole and streamed."""

import re
import time
from typing import Any

import pytest

from openai_middleware import Reply, ToolCall, Usage
from openai_middleware.errors import RateLimitError
from tests.support.replies import CHAT, documents, events_of, saying, send, whole_of

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
SHELL = {"type": "custom", "custom": {"name": "shell"}}
CALL = ToolCall("weather", {"city": "Köln"}, id="call_1")
FUNCTION_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}}
USAGE = Usage(3, 5, cached_tokens=1, cache_write_tokens=4, reasoning_tokens=2)
CHAT_USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 5,
    "total_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def message_of(reply: Any, **fields: Any) -> tuple[Any, str]:
    """The message that a reply is, and the finish reason."""
    [choice] = whole_of(CHAT, reply, **fields)["choices"]
    return choice["message"], choice["finish_reason"]


def deltas(*pieces: Any, **fields: Any) -> list[Any]:
    """What the deltas say between the one with the role and the one with the finish reason."""
    events = events_of(CHAT, *pieces, **fields)
    choices = [choice for event in events for choice in event["choices"]]
    assert choices[0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert choices[-1]["delta"] == {}
    return [choice["delta"] for choice in choices[1:-1]]


# --- whole


def test_text_is_a_whole_chat_completion() -> None:  # R20 R2
    before = int(time.time())
    answer = whole_of(CHAT, "Hello.", service_tier="flex")
    identifier, created = answer.pop("id"), answer.pop("created")
    assert answer == {
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }
    assert re.fullmatch("chatcmpl-[A-Za-z0-9]{16,64}", identifier)
    assert isinstance(created, int)
    assert before <= created <= time.time()


def test_every_answer_has_an_id_of_its_own() -> None:  # R2
    assert whole_of(CHAT, "a")["id"] != whole_of(CHAT, "a")["id"]


def test_content_is_null_beside_calls_and_a_refusal_without_text() -> None:  # R21
    assert message_of(Reply(tool_calls=[CALL]))[0]["content"] is None
    assert message_of(Reply(refusal="No."))[0]["content"] is None
    assert message_of(Reply("Wait.", tool_calls=[CALL]))[0]["content"] == "Wait."
    assert message_of("")[0]["content"] == ""


def test_tool_calls_stand_in_the_message_without_an_index() -> None:  # R22 R8
    message, reason = message_of(Reply(tool_calls=[CALL, ToolCall("time")]), tools=[WEATHER])
    first, second = message["tool_calls"]
    assert first == FUNCTION_CALL
    assert re.fullmatch("call_[A-Za-z0-9]{16,64}", second["id"])
    assert second["function"] == {"name": "time", "arguments": "{}"}
    assert reason == "tool_calls"
    assert "tool_calls" not in message_of("Hello.")[0]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (None, "tool_calls"),
        ("stop", "tool_calls"),
        ("tool_calls", "tool_calls"),
        ("length", "length"),
        ("content_filter", "content_filter"),
    ],
)
def test_calls_decide_the_finish_reason_unless_the_answer_was_cut(given: Any, left: str) -> None:  # R22
    assert message_of(Reply(tool_calls=[CALL], finish_reason=given))[1] == left
    choices = [choice for event in events_of(CHAT, CALL, Reply(finish_reason=given)) for choice in event["choices"]]
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + [left]


@pytest.mark.parametrize(
    ("given", "leaves"),
    [('{"a":  1}', '{"a":  1}'), ("{broken", "{broken"), ("", "{}"), ({}, "{}"), ({"a": [1]}, '{"a":[1]}')],
)
def test_arguments_leave_as_text_as_they_are_and_as_json_otherwise(given: Any, leaves: str) -> None:  # R8
    call = ToolCall("weather", given)
    assert message_of(Reply(tool_calls=[call]))[0]["tool_calls"][0]["function"]["arguments"] == leaves
    fragments = [delta["tool_calls"][0]["function"] for delta in deltas(call)]
    assert "".join(fragment["arguments"] for fragment in fragments) == leaves


def test_call_of_a_custom_tool_is_custom() -> None:  # R23
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "shell", "input": "ls -l"}}
    call = ToolCall("shell", "ls -l", id="call_1")
    assert message_of(Reply(tool_calls=[call]), tools=[SHELL])[0]["tool_calls"] == [custom]
    # The SDK has no type for it in a stream.
    begun, said = deltas(call, tools=[SHELL], is_strict=False)
    assert begun["tool_calls"] == [{"index": 0, **custom, "custom": {"name": "shell", "input": ""}}]
    assert said["tool_calls"] == [{"index": 0, "custom": {"input": "ls -l"}}]


@pytest.mark.parametrize(("given", "leaves"), [("{}", "{}"), ("", ""), ({}, "")])
def test_input_of_a_custom_tool_is_never_made_up(given: Any, leaves: str) -> None:  # R8 R23
    call = ToolCall("shell", given)
    [custom] = message_of(Reply(tool_calls=[call]), tools=[SHELL])[0]["tool_calls"]
    assert custom["custom"]["input"] == leaves
    said = deltas(call, tools=[SHELL], is_strict=False)
    assert "".join(delta["tool_calls"][0]["custom"]["input"] for delta in said) == leaves


def test_call_of_a_tool_that_was_not_declared_custom_is_a_function_call() -> None:  # R23
    call = ToolCall("shell", "ls -l")
    for tools in (None, [], [WEATHER], [{"type": "function", "function": {"name": "shell"}}]):
        assert message_of(Reply(tool_calls=[call]), tools=tools)[0]["tool_calls"][0]["type"] == "function"


def test_refusal_has_a_field_of_its_own() -> None:  # R24
    assert message_of(Reply(refusal="No.")) == ({"role": "assistant", "content": None, "refusal": "No."}, "stop")


def test_reasoning_stands_beside_the_content() -> None:  # R25
    message, _ = message_of(Reply("Yes.", reasoning="Hm."))
    assert message == {"role": "assistant", "content": "Yes.", "refusal": None, "reasoning_content": "Hm."}


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_finish_reason_is_the_function_s(reason: Any) -> None:  # R26
    assert message_of(Reply("Ye", finish_reason=reason))[1] == reason
    assert message_of("Yes.")[1] == "stop"


def test_request_with_functions_gets_a_function_call() -> None:  # R27
    functions = [{"name": "weather"}]
    message, reason = message_of(Reply("Text.", tool_calls=[CALL, ToolCall("time")]), functions=functions)
    assert message["function_call"] == {"name": "weather", "arguments": '{"city":"Köln"}'}
    assert (message["content"], "tool_calls" in message, reason) == (None, False, "function_call")
    assert "tool_calls" in message_of(Reply(tool_calls=[CALL]), functions=functions, tools=[WEATHER])[0]


def test_request_with_functions_gets_the_pieces_of_a_function_call() -> None:  # R27
    said = deltas(CALL, ToolCall("time"), functions=[{"name": "weather"}])
    assert said == [
        {"function_call": {"name": "weather", "arguments": ""}},
        {"function_call": {"arguments": '{"city":"Köln"}'}},
    ]


# --- usage


def test_usage_is_what_was_reported() -> None:  # R4
    assert whole_of(CHAT, Reply("Hello.", usage=USAGE))["usage"] == CHAT_USAGE
    assert whole_of(CHAT, Reply(usage=Usage(1, 2, total_tokens=9)))["usage"]["total_tokens"] == 9
    assert "usage" not in whole_of(CHAT, "Hello.")


def test_usage_that_was_asked_for_is_the_last_chunk() -> None:  # R31 R4
    events = events_of(CHAT, USAGE, "Hello.", Usage(1, 1), USAGE, stream_options={"include_usage": True})
    assert [event["usage"] for event in events] == [None] * 3 + [CHAT_USAGE]
    assert events[-1]["choices"] == []
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


def test_usage_that_nobody_knows_is_no_chunk() -> None:  # R31 R4
    events = events_of(CHAT, "Hello.", stream_options={"include_usage": True})
    assert [event["usage"] for event in events] == [None] * 3
    assert all(event["choices"] for event in events)


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}])
def test_usage_that_was_not_asked_for_is_no_field(options: Any) -> None:  # R31
    events = events_of(CHAT, "Hello.", USAGE, stream_options=options)
    assert all("usage" not in event and event["choices"] for event in events)


# --- streamed


def test_stream_opens_with_the_role_and_ends_with_the_reason() -> None:  # R30 R2
    events = events_of(CHAT, "Hel", "lo.")
    assert {(event["object"], event["model"]) for event in events} == {("chat.completion.chunk", "m")}
    assert len({(event["id"], event["created"]) for event in events}) == 1
    assert re.fullmatch("chatcmpl-[A-Za-z0-9]{16,64}", events[0]["id"])
    choices = [event["choices"] for event in events]
    assert [(choice["index"], choice["delta"], choice["finish_reason"]) for [choice] in choices] == [
        (0, {"role": "assistant", "content": "", "refusal": None}, None),
        (0, {"content": "Hel"}, None),
        (0, {"content": "lo."}, None),
        (0, {}, "stop"),
    ]


def test_deltas_have_one_field_each_in_the_order_they_were_said() -> None:  # R30 R33
    said = deltas(Reply("b", reasoning="a"), Reply(refusal="c"), Reply(reasoning="d"), CALL, "e")
    assert [list(delta) for delta in said] == [
        *[["reasoning_content"], ["content"], ["refusal"], ["reasoning_content"]],
        *[["tool_calls"], ["tool_calls"], ["content"]],
    ]
    assert [said[0], said[1], said[2], said[-1]] == [
        {"reasoning_content": "a"},
        {"content": "b"},
        {"refusal": "c"},
        {"content": "e"},
    ]


def test_calls_leave_one_after_the_other_with_id_and_name_once() -> None:  # R32
    said = [delta["tool_calls"] for delta in deltas(CALL, ToolCall("time", id="call_2"))]
    assert said == [
        [{"index": 0, **FUNCTION_CALL, "function": {"name": "weather", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"city":"Köln"}'}}],
        [{"index": 1, "id": "call_2", "type": "function", "function": {"name": "time", "arguments": ""}}],
        [{"index": 1, "function": {"arguments": "{}"}}],
    ]


def test_text_with_lone_surrogates_is_still_json() -> None:  # R5
    assert len(deltas("\ud800")) == 1
    assert isinstance(message_of("\ud800")[0]["content"], str)


# --- failures


def test_failure_in_mid_stream_is_an_error_frame_and_no_end() -> None:  # R7 S4
    sent = send(CHAT, saying("a", RateLimitError("Slow.", code="slow")), stream=True)
    *chunks, last = documents(sent)
    assert [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]] == ["", "a"]
    assert last == {"error": {"message": "Slow.", "type": "invalid_request_error", "param": None, "code": "slow"}}
    assert b"[DONE]" not in sent.body
    assert b'"finish_reason":"' not in sent.body
