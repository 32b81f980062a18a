"""Replies as Responses, whole and streamed."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

import openai_middleware.contract
from openai_middleware import Reply, ToolCall, Usage
from openai_middleware.errors import BadRequestError, OpenAIError, RateLimitError
from tests.support.replies import (
    RESPONSES,
    broken,
    deltas_of,
    documents,
    events_of,
    saying,
    send,
    validate_events,
    whole_of,
)

OPEN_RESPONSES = Path(openai_middleware.contract.__file__).parent / "open-responses.json"
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}
SHELL = {"type": "custom", "name": "shell"}
NAMESPACE = {"type": "namespace", "name": "crm", "description": "d", "tools": [{**WEATHER, "name": "find"}]}
CALL = ToolCall("weather", {"city": "Köln"}, id="call_1")
USAGE = Usage(3, 5, cached_tokens=1, cache_write_tokens=4, reasoning_tokens=2)
RESPONSE_USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 4},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 8,
}


def required_fields() -> set[str]:
    """What the Open Responses document requires of a response."""
    schemas = json.loads(OPEN_RESPONSES.read_text("utf-8"))["schemas"]
    return {name for name, (is_required, *_) in schemas["ResponseResource"].items() if is_required}


def output_of(reply: Any, **fields: Any) -> list[Any]:
    return whole_of(RESPONSES, reply, **fields)["output"]


def kinds(events: list[Any]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


# --- whole


def test_text_is_a_whole_response_with_every_field_that_open_responses_requires() -> None:  # R40 R2 R4
    before = int(time.time())
    answer = whole_of(RESPONSES, "Hello.")
    assert required_fields() <= answer.keys()
    [item] = answer["output"]
    assert re.fullmatch("resp_[A-Za-z0-9]{16,64}", answer["id"])
    assert re.fullmatch("msg_[A-Za-z0-9]{16,64}", item.pop("id"))
    assert item == {"type": "message", "status": "completed", "role": "assistant", "content": [text_part("Hello.")]}
    told = {name: answer[name] for name in ("object", "status", "model", "error", "incomplete_details", "usage")}
    assert told == {
        "object": "response",
        "status": "completed",
        "model": "m",
        "error": None,
        "incomplete_details": None,
        "usage": None,
    }
    assert (answer["background"], answer["service_tier"], answer["store"]) == (False, "default", False)
    assert isinstance(answer["created_at"], int)
    assert before <= answer["created_at"] <= answer["completed_at"] <= time.time()


def test_what_the_request_does_not_say_leaves_as_openai_s_defaults() -> None:  # R41
    answer = whole_of(RESPONSES, "Hello.", tools=None, metadata=None, temperature=None, text=None, reasoning={})
    defaults: dict[str, Any] = {
        "instructions": None,
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "temperature": 1,
        "top_p": 1,
        "truncation": "disabled",
        "metadata": {},
        "max_output_tokens": None,
        "max_tool_calls": None,
        "top_logprobs": 0,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "previous_response_id": None,
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": None, "summary": None},
        "prompt_cache_key": None,
        "safety_identifier": None,
    }
    assert {name: answer[name] for name in defaults} == defaults


ECHOED: dict[str, Any] = {
    "instructions": "Be kind.",
    "tools": [WEATHER, NAMESPACE, {"type": "web_search"}],
    "tool_choice": {"type": "function", "name": "weather"},
    "parallel_tool_calls": False,
    "temperature": 0.5,
    "top_p": 0.9,
    "truncation": "auto",
    "metadata": {"a": "b"},
    "max_output_tokens": 9,
    "max_tool_calls": 3,
    "user": "u",
    "prompt_cache_key": "k",
    "safety_identifier": "s",
    "top_logprobs": 0,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
}


def test_what_the_request_says_is_said_again_in_every_response() -> None:  # R41
    more: dict[str, Any] = {"text": {"verbosity": "low"}, "reasoning": {"effort": "low"}, "service_tier": "flex"}
    expected = {
        **ECHOED,
        # Open Responses wants these fields of a function even where they were left out.
        "tools": [{"description": None, **WEATHER}, NAMESPACE, {"type": "web_search"}],
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": None},
        "service_tier": "default",
    }
    events = events_of(RESPONSES, "Hello.", **ECHOED, **more)
    responses = [event["response"] for event in events if "response" in event]
    assert len(responses) == 3
    for response in [*responses, whole_of(RESPONSES, "Hello.", **ECHOED, **more)]:
        assert {name: response[name] for name in expected} == expected


def test_items_stand_in_the_order_they_were_said() -> None:  # R42 R44
    reasoning, message, call = output_of(Reply("Wait.", reasoning="Hm.", tool_calls=[CALL]), tools=[WEATHER])
    assert re.fullmatch("rs_[A-Za-z0-9]{16,64}", reasoning.pop("id"))
    assert reasoning == {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    assert message["content"] == [text_part("Wait.")]
    assert re.fullmatch("fc_[A-Za-z0-9]{16,64}", call.pop("id"))
    assert call == {
        "type": "function_call",
        "status": "completed",
        "call_id": "call_1",
        "name": "weather",
        "arguments": '{"city":"Köln"}',
    }


def test_response_with_calls_is_completed() -> None:  # R42
    assert whole_of(RESPONSES, Reply(tool_calls=[CALL], finish_reason="tool_calls"))["status"] == "completed"


def test_call_without_an_id_gets_one() -> None:  # R8 R2
    [call] = output_of(Reply(tool_calls=[ToolCall("weather")]))
    assert re.fullmatch("call_[A-Za-z0-9]{16,64}", call["call_id"])
    assert call["arguments"] == "{}"


@pytest.mark.parametrize(("given", "leaves"), [("{}", "{}"), ("", ""), ({}, "")])
def test_input_of_a_custom_tool_is_never_made_up(given: Any, leaves: str) -> None:  # R8 R42
    [item] = whole_of(RESPONSES, Reply(tool_calls=[ToolCall("shell", given)]), tools=[SHELL])["output"]
    assert item["input"] == leaves


def test_call_of_a_custom_tool_is_custom() -> None:  # R42
    [call] = output_of(Reply(tool_calls=[ToolCall("shell", "ls -l", id="call_1")]), tools=[SHELL])
    assert re.fullmatch("ctc_[A-Za-z0-9]{16,64}", call.pop("id"))
    assert call == {
        "type": "custom_tool_call",
        "status": "completed",
        "call_id": "call_1",
        "name": "shell",
        "input": "ls -l",
    }


def test_call_of_a_function_in_a_namespace_names_it() -> None:  # R42
    [call] = output_of(Reply(tool_calls=[ToolCall("find")]), tools=[WEATHER, NAMESPACE])
    assert (call["name"], call["namespace"]) == ("find", "crm")
    [call] = output_of(Reply(tool_calls=[ToolCall("weather")]), tools=[WEATHER, NAMESPACE])
    assert "namespace" not in call


def test_refusal_is_a_part_after_the_text() -> None:  # R43
    [message] = output_of(Reply("Well,", refusal="no."))
    assert message["content"] == [text_part("Well,"), {"type": "refusal", "refusal": "no."}]
    [message] = output_of(Reply(refusal="No."))
    assert message["content"] == [{"type": "refusal", "refusal": "No."}]


@pytest.mark.parametrize(("reason", "told"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_answer_that_was_cut_is_incomplete(reason: Any, told: str) -> None:  # R45
    answer = whole_of(RESPONSES, Reply("Ye", finish_reason=reason, usage=USAGE))
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": told})
    assert (answer["output"][0]["status"], answer["error"], answer["completed_at"]) == ("incomplete", None, None)
    assert answer["usage"] == RESPONSE_USAGE
    assert kinds(events_of(RESPONSES, "Ye", Reply(finish_reason=reason)))[-1] == "incomplete"


@pytest.mark.parametrize("reason", [None, "stop", "tool_calls"])
def test_answer_that_was_not_cut_is_completed(reason: Any) -> None:  # R45
    answer = whole_of(RESPONSES, Reply("Yes.", finish_reason=reason))
    assert (answer["status"], answer["incomplete_details"]) == ("completed", None)


def test_usage_has_the_details_that_the_sdk_requires() -> None:  # R4
    assert whole_of(RESPONSES, Reply("Hello.", usage=USAGE))["usage"] == RESPONSE_USAGE
    assert events_of(RESPONSES, USAGE, "Hello.")[-1]["response"]["usage"] == RESPONSE_USAGE


# --- streamed


def test_events_of_a_text_stand_in_openai_s_order() -> None:  # R46 R48
    events = events_of(RESPONSES, "Hel", "lo.")
    assert kinds(events) == [
        *["created", "in_progress", "output_item.added", "content_part.added"],
        *["output_text.delta", "output_text.delta", "output_text.done"],
        *["content_part.done", "output_item.done", "completed"],
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))
    created, progressing, added, part, *said, text, part_done, done, completed = events
    for begun in (created, progressing):
        response = begun["response"]
        assert (response["status"], response["output"], response["usage"]) == ("in_progress", [], None)
        assert response["id"] == completed["response"]["id"]
    identifier = added["item"]["id"]
    place = {"item_id": identifier, "output_index": 0, "content_index": 0}
    assert added["item"] == {
        "id": identifier,
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    assert place.items() <= part.items()
    assert part["part"] == text_part("")
    for event, delta in zip(said, ["Hel", "lo."], strict=True):
        assert {**place, "delta": delta, "logprobs": []}.items() <= event.items()
    assert {**place, "text": "Hello.", "logprobs": []}.items() <= text.items()
    assert part_done["part"] == text_part("Hello.")
    assert done["item"] == {**added["item"], "status": "completed", "content": [text_part("Hello.")]}
    assert completed["response"]["output"] == [done["item"]]


def test_events_of_a_refusal_follow_those_of_the_text_in_one_message() -> None:  # R46 R43
    events = events_of(RESPONSES, "Well,", Reply(refusal="n"), Reply(refusal="o."))
    assert kinds(events)[2:-1] == [
        *["output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done"],
        *["content_part.added", "refusal.delta", "refusal.delta", "refusal.done", "content_part.done"],
        "output_item.done",
    ]
    assert [event["content_index"] for event in events if "content_index" in event] == [0] * 4 + [1] * 5
    assert events[10]["refusal"] == "no."


def test_events_of_reasoning_are_those_of_a_summary() -> None:  # R46 R44
    events = events_of(RESPONSES, Reply(reasoning="H"), Reply(reasoning="m."), "Yes.")
    assert kinds(events)[2:9] == [
        *["output_item.added", "reasoning_summary_part.added"],
        *["reasoning_summary_text.delta", "reasoning_summary_text.delta", "reasoning_summary_text.done"],
        *["reasoning_summary_part.done", "output_item.done"],
    ]
    added, inner, done = events[2], events[3:8], events[8]
    assert added["item"]["summary"] == []
    assert {(event["item_id"], event["summary_index"], event["output_index"]) for event in inner} == {
        (added["item"]["id"], 0, 0)
    }
    assert inner[3]["text"] == "Hm."
    assert done["item"]["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert events[9]["output_index"] == 1


def test_events_of_calls_leave_call_after_call() -> None:  # R46 R42
    calls = [CALL, ToolCall("find", "{}", id="call_2"), ToolCall("shell", "ls", id="call_3")]
    events = events_of(RESPONSES, *calls, tools=[WEATHER, NAMESPACE, SHELL])
    function = ["function_call_arguments.delta", "function_call_arguments.done"]
    custom = ["custom_tool_call_input.delta", "custom_tool_call_input.done"]
    assert kinds(events)[2:-1] == [
        *["output_item.added", *function, "output_item.done"] * 2,
        *["output_item.added", *custom, "output_item.done"],
    ]
    assert [event["output_index"] for event in events[2:-1]] == [0] * 4 + [1] * 4 + [2] * 4
    added, _, done, _ = events[2:6]
    assert (added["item"]["status"], added["item"]["arguments"]) == ("in_progress", "")
    assert (done["name"], done["arguments"], done["item_id"]) == ("weather", '{"city":"Köln"}', added["item"]["id"])
    assert (events[6]["item"]["namespace"], events[12]["input"]) == ("crm", "ls")
    assert [item["call_id"] for item in events[-1]["response"]["output"]] == ["call_1", "call_2", "call_3"]


def test_text_after_a_call_is_a_new_message() -> None:  # R48
    events = events_of(RESPONSES, "a", CALL, "b", Reply(reasoning="c"), "d")
    types = [item["type"] for item in events[-1]["response"]["output"]]
    assert types == ["message", "function_call", "message", "reasoning", "message"]
    opened = 0
    for kind in kinds(events):
        opened += (kind == "output_item.added") - (kind == "output_item.done")
        assert opened in (0, 1)


def test_whole_reply_is_one_delta() -> None:  # R1
    events = documents(send(RESPONSES, lambda messages: "Hello.", stream=True))
    assert deltas_of(RESPONSES, events) == ["Hello."]


def test_nothing_is_a_message_with_an_empty_text_and_no_delta() -> None:  # R6
    [message] = output_of("")
    assert message["content"] == [text_part("")]
    assert kinds(events_of(RESPONSES)) == [
        *["created", "in_progress", "output_item.added", "content_part.added", "output_text.done"],
        *["content_part.done", "output_item.done", "completed"],
    ]


# --- failures


def test_failure_in_mid_stream_is_an_error_and_a_failed_response() -> None:  # R47 R7
    sent = send(RESPONSES, saying(USAGE, "a", RateLimitError("Slow.", code="slow")), stream=True)
    *events, error, failed = documents(sent)
    validate_events(RESPONSES, events)
    assert kinds(events)[-1] == "output_text.delta"
    assert [event["sequence_number"] for event in (*events, error, failed)] == list(range(len(events) + 2))
    told = {"message": "Slow.", "type": "invalid_request_error", "param": None, "code": "slow"}
    assert (error["type"], error["error"]) == ("error", told)
    response = failed["response"]
    assert (failed["type"], response["status"]) == ("response.failed", "failed")
    assert response["error"] == {"code": "slow", "message": "Slow."}
    assert (response["id"], response["usage"]) == (events[0]["response"]["id"], RESPONSE_USAGE)
    [item] = response["output"]
    assert (item["status"], item["content"]) == ("incomplete", [text_part("a")])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RateLimitError("Slow.", code="own"), "own"),
        (RateLimitError("Slow."), "rate_limit_exceeded"),
        (BadRequestError("Bad."), "invalid_prompt"),
        (OpenAIError("Broken."), "server_error"),
    ],
)
def test_failed_response_has_a_code_that_says_whether_to_try_again(error: OpenAIError, code: str) -> None:  # R47
    assert broken(RESPONSES, ["a"], error)[-1]["response"]["error"]["code"] == code


def test_failure_of_a_function_says_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:  # R47 R7
    sent = send(RESPONSES, saying("a", ZeroDivisionError("secret")), stream=True)
    *events, error, failed = documents(sent)
    validate_events(RESPONSES, [*events, failed])
    assert b"secret" not in sent.body
    assert failed["response"]["error"]["code"] == "server_error"
    assert error["error"]["type"] == "server_error"
    assert sent.is_complete
    assert any(record.exc_info and isinstance(record.exc_info[1], ZeroDivisionError) for record in caplog.records)
