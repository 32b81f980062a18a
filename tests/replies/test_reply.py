"""What a function says in plain form, checked when it is built."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from openai.types import CompletionUsage
from openai.types.responses import ResponseUsage

from openai_middleware import Reply, ToolCall, Usage


@pytest.mark.parametrize(
    "build",
    [
        lambda: Reply(7),  # type: ignore[arg-type]
        lambda: Reply(b"text"),  # type: ignore[arg-type]
        lambda: Reply(refusal=7),  # type: ignore[arg-type]
        lambda: Reply(reasoning=["a"]),  # type: ignore[arg-type]
        lambda: Reply(tool_calls=ToolCall("f")),  # type: ignore[arg-type]
        lambda: Reply(tool_calls=[{"name": "f"}]),  # type: ignore[list-item]
        lambda: Reply(tool_calls=7),  # type: ignore[arg-type]
        lambda: Reply(usage="many"),
        lambda: Reply(finish_reason=["stop"]),  # type: ignore[arg-type]
        lambda: ToolCall(7),  # type: ignore[arg-type]
        lambda: ToolCall("f", ["a"]),  # type: ignore[arg-type]
        lambda: ToolCall("f", {"a": [object()]}),
        lambda: ToolCall("f", {("a", 1): 2}),  # type: ignore[dict-item]
        lambda: ToolCall("f", id=7),  # type: ignore[arg-type]
        lambda: Usage(1, "2"),  # type: ignore[arg-type]
        lambda: Usage(1, True),
        lambda: Usage(1, 2.0),  # type: ignore[arg-type]
    ],
)
def test_wrong_type_is_refused_where_it_is_built(build: Any) -> None:
    with pytest.raises(TypeError):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: Reply(finish_reason="function_call"),  # type: ignore[arg-type]
        lambda: Reply(usage={"input_tokens": 1}),
        lambda: Reply(usage={}),
        lambda: ToolCall(""),
        lambda: ToolCall("f", {"a": [float("nan")]}),
        lambda: ToolCall("f", {"a": float("inf")}),
        lambda: ToolCall("f", id=""),
        lambda: Usage(-1, 2),
        lambda: Usage(1, 2, total_tokens=-1),
    ],
)
def test_wrong_value_is_refused_where_it_is_built(build: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        build()


@pytest.mark.parametrize(
    ("value", "field"), [(Reply("a"), "content"), (ToolCall("f"), "name"), (Usage(1, 2), "input_tokens")]
)
def test_what_was_said_does_not_change(value: Any, field: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(value, field, None)


def test_error_says_what_is_wrong_with_the_arguments_of_a_call() -> None:
    with pytest.raises(TypeError, match=r"arguments of a tool call have no JSON form: .*object"):
        ToolCall("f", {"a": object()})
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        ToolCall("f", {"a": float("nan")})


def test_what_was_said_can_be_a_key() -> None:
    calls = [ToolCall("f", {"a": 1}), ToolCall("f", {"a": 1}), ToolCall("f", {"a": 2})]
    assert len(set(calls)) == 2
    assert len({Reply("a", tool_calls=calls[:1]), Reply("a", tool_calls=calls[1:2])}) == 1


def test_tool_calls_may_be_any_iterable() -> None:
    calls = [ToolCall("f"), ToolCall("g", '{"a": 1}', id="call_1")]
    assert Reply(tool_calls=iter(calls)).tool_calls == tuple(calls)


USAGE = Usage(3, 5, cached_tokens=1, cache_write_tokens=4, reasoning_tokens=2, total_tokens=9)


@pytest.mark.parametrize(
    "words",
    [
        USAGE,
        {
            "input_tokens": 3,
            "output_tokens": 5,
            "cached_tokens": 1,
            "cache_write_tokens": 4,
            "reasoning_tokens": 2,
            "total_tokens": 9,
        },
        {
            "prompt_tokens": 3,
            "completion_tokens": 5,
            "total_tokens": 9,
            "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
        {
            "input_tokens": 3,
            "output_tokens": 5,
            "total_tokens": 9,
            "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 4},
            "output_tokens_details": {"reasoning_tokens": 2},
        },
        CompletionUsage.model_validate(
            {
                "prompt_tokens": 3,
                "completion_tokens": 5,
                "total_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 2},
            }
        ),
        ResponseUsage.model_validate(
            {
                "input_tokens": 3,
                "output_tokens": 5,
                "total_tokens": 9,
                "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 4},
                "output_tokens_details": {"reasoning_tokens": 2},
            }
        ),
    ],
    ids=["usage", "own", "chat", "responses", "sdk chat", "sdk responses"],
)
def test_usage_is_taken_in_the_words_of_either_api(words: Any) -> None:  # R4
    assert Reply(usage=words).usage == USAGE


@pytest.mark.parametrize("details", [None, {}, {"cached_tokens": None}])
def test_details_that_were_not_reported_are_0(details: Any) -> None:  # R4
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": details}
    assert Usage.of(usage) == Usage(3, 5)


def test_total_is_the_sum_unless_it_was_reported() -> None:  # R4
    assert Usage(3, 5).total == 8
    assert Usage(3, 5, total_tokens=9).total == 9
