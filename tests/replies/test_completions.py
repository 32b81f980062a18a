"""Replies as text completions, whole and streamed."""

import re
from typing import Any

import pytest

from openai_middleware import Reply, ToolCall, Usage
from openai_middleware.errors import RateLimitError
from tests.support.replies import COMPLETIONS, deltas_of, documents, events_of, saying, send, whole_of

USAGE = Usage(3, 5)
COMPLETION_USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 5,
    "total_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


def choice_of(reply: Any, **fields: Any) -> Any:
    [choice] = whole_of(COMPLETIONS, reply, **fields)["choices"]
    return choice


# --- whole


def test_text_is_a_whole_completion() -> None:  # R60 R2 R4
    answer = whole_of(COMPLETIONS, "Hello.")
    identifier, created = answer.pop("id"), answer.pop("created")
    assert answer == {
        "object": "text_completion",
        "model": "m",
        "choices": [{"text": "Hello.", "index": 0, "logprobs": None, "finish_reason": "stop"}],
    }
    assert re.fullmatch("cmpl-[A-Za-z0-9]{16,64}", identifier)
    assert isinstance(created, int)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (None, "stop"),
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "stop"),
    ],
)
def test_finish_reason_is_one_that_the_api_knows(given: Any, left: str) -> None:  # R60
    assert choice_of(Reply("Yes.", finish_reason=given))["finish_reason"] == left


def test_refusal_is_text_and_reasoning_is_left_out() -> None:  # R60
    reply = Reply("Well, ", refusal="no.", reasoning="Hm.")
    assert choice_of(reply)["text"] == "Well, no."
    assert deltas_of(COMPLETIONS, events_of(COMPLETIONS, reply)) == ["Well, ", "no."]


def test_tool_call_is_an_error_of_the_function(caplog: pytest.LogCaptureFixture) -> None:  # R60
    sent = send(COMPLETIONS, lambda messages: Reply(tool_calls=[ToolCall("weather")]))
    assert (sent.status, sent.error["type"]) == (500, "server_error")
    assert "has no place for a tool call" in caplog.text


def test_usage_is_what_was_reported() -> None:  # R4 R60
    assert whole_of(COMPLETIONS, Reply("Yes.", usage=USAGE))["usage"] == COMPLETION_USAGE
    assert "usage" not in whole_of(COMPLETIONS, "Yes.")


def test_nothing_is_an_empty_text() -> None:  # R6
    assert choice_of("")["text"] == ""
    assert choice_of(None)["text"] == ""


def test_prompt_stands_before_the_text_that_echoes_it() -> None:  # R61
    assert choice_of("Hello.", echo=True)["text"] == "Why?Hello."
    assert choice_of("Hello.", echo=True, prompt=["Who?"])["text"] == "Who?Hello."
    assert choice_of("", echo=True)["text"] == "Why?"
    assert choice_of("Hello.", echo=False)["text"] == "Hello."


# --- streamed


def test_stream_has_an_object_for_every_piece_and_one_for_the_reason() -> None:  # R62
    events = events_of(COMPLETIONS, "Hel", Reply("lo.", finish_reason="length"))
    assert len({(event["id"], event["created"]) for event in events}) == 1
    assert {(event["object"], event["model"]) for event in events} == {("text_completion", "m")}
    assert [event["choices"] for event in events] == [
        [{"text": text, "index": 0, "logprobs": None, "finish_reason": reason}]
        for text, reason in (("Hel", None), ("lo.", None), ("", "length"))
    ]
    assert all("usage" not in event for event in events)


def test_usage_that_was_asked_for_is_the_last_chunk() -> None:  # R62 R31
    options = {"include_usage": True}
    events = events_of(COMPLETIONS, "Hello.", USAGE, stream_options=options)
    assert [event["usage"] for event in events] == [None, None, COMPLETION_USAGE]
    assert events[-1]["choices"] == []
    assert len(events_of(COMPLETIONS, "Hello.", stream_options=options)) == 2


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}])
def test_usage_that_was_not_asked_for_is_no_field(options: Any) -> None:  # R62 R31
    events = events_of(COMPLETIONS, "Hello.", USAGE, stream_options=options)
    assert all("usage" not in event and event["choices"] for event in events)


def test_echo_is_the_first_chunk() -> None:  # R61
    assert deltas_of(COMPLETIONS, events_of(COMPLETIONS, "Hel", "lo.", echo=True)) == ["Why?", "Hel", "lo."]
    assert deltas_of(COMPLETIONS, events_of(COMPLETIONS, echo=True)) == ["Why?"]


def test_failure_in_mid_stream_is_an_error_frame_and_no_end() -> None:  # R7 S4
    sent = send(COMPLETIONS, saying("a", RateLimitError("Slow.")), stream=True)
    first, last = documents(sent)
    assert first["choices"][0]["text"] == "a"
    assert last["error"]["message"] == "Slow."
    assert b"[DONE]" not in sent.body


# --- prompts


@pytest.mark.parametrize("prompt", ["Why?", ["Why?"]])
def test_prompt_is_one_message_of_the_user(prompt: Any) -> None:  # R63 X13
    assert choice_of_messages(prompt=prompt) == "[{'role': 'user', 'content': 'Why?'}]"


def choice_of_messages(**fields: Any) -> str:
    return str(send(COMPLETIONS, lambda messages: str(messages), **fields).json["choices"][0]["text"])


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1, 2]], [], 7, {"a": 1}])
@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"echo": True}])
def test_several_prompts_and_token_ids_are_refused(prompt: Any, fields: Any) -> None:  # R63
    called: list[Any] = []
    sent = send(COMPLETIONS, called.append, prompt=prompt, **fields)
    assert (sent.status, sent.error["param"], called) == (400, "prompt", [])
