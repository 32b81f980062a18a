"""Chat completions and chunks of another server, read as a reply."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from openai_middleware.replies.chat_reader import ChatReader
from openai_middleware.replies.pieces import CallArguments, CallStart
from openai_middleware.replies.reply import Reply, ToolCall, Usage
from tests.support.replies import CHAT, RESPONSES, rendered, validate_events

SHARED = {"id": "own", "created": 1, "model": "other"}


def chunk(delta: Any = None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": reason}
    return {**SHARED, "object": "chat.completion.chunk", "choices": [choice], **more}


def completion(message: Any, reason: str = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return {**SHARED, "object": "chat.completion", "choices": [choice], **more}


def fragment(index: int | None, arguments: str = "", **more: Any) -> dict[str, Any]:
    """A fragment of a tool call."""
    place = {} if index is None else {"index": index}
    function = {"arguments": arguments, **({"name": more.pop("name")} if "name" in more else {})}
    return {**place, **more, "function": function}


def begun(index: int, arguments: str = "") -> dict[str, Any]:
    return fragment(index, arguments, id=f"call_{index}", type="function", name=f"f{index}")


def response_of(*answers: Any) -> Any:
    """The response that chat completions or chunks are. Its events say the same."""
    events, whole = rendered(RESPONSES, answers)
    validate_events(RESPONSES, events)
    assert events[-1]["response"] == whole
    return whole


def said_of(*answers: Any) -> list[tuple[str, Any]]:
    """What the items of a response say: texts, and the name and the arguments of calls."""
    said: list[tuple[str, Any]] = []
    for item in response_of(*answers)["output"]:
        if item["type"] == "message":
            said += [(part["type"], part.get("text", part.get("refusal"))) for part in item["content"]]
        elif item["type"] == "reasoning":
            said.append(("reasoning", item["summary"][0]["text"]))
        else:
            said.append((item["call_id"], (item["name"], item["arguments"])))
    return said


USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 5,
    "total_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


# --- whole


def test_completion_is_reasoning_then_a_message_then_calls() -> None:  # X30 R42 R44
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = completion({"reasoning_content": "Hm.", "content": "Wait.", "tool_calls": [call]}, "tool_calls")
    assert said_of(answer) == [("reasoning", "Hm."), ("output_text", "Wait."), ("call_1", ("f", "{}"))]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_read_under_either_name(name: str) -> None:  # R25 X30
    assert said_of(completion({name: "Hm.", "content": "Yes."}))[0] == ("reasoning", "Hm.")
    assert said_of(chunk({name: "Hm."}), chunk({"content": "Yes."}))[0] == ("reasoning", "Hm.")


def test_usage_is_translated_with_its_details() -> None:  # X30 R4
    usage = response_of(completion({"content": "Yes."}, usage=USAGE))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (3, 5, 8)
    assert usage["input_tokens_details"] == {"cached_tokens": 1, "cache_write_tokens": 4}
    assert usage["output_tokens_details"]["reasoning_tokens"] == 2


@pytest.mark.parametrize(("reason", "status"), [("stop", "completed"), ("length", "incomplete"), ("odd", "completed")])
def test_finish_reason_is_the_status(reason: str, status: str) -> None:  # X30 R45
    assert response_of(completion({"content": "Yes."}, reason))["status"] == status


def test_id_time_and_model_are_new_ones() -> None:  # X30 R2
    answer = response_of(completion({"content": "Yes."}))
    assert answer["id"].startswith("resp_")
    assert (answer["model"], answer["created_at"] > 1) == ("m", True)


def test_only_the_first_choice_is_read() -> None:  # X30
    answer = completion({"content": "Yes."})
    answer["choices"].append({"index": 1, "message": {"content": "No."}, "finish_reason": "stop"})
    assert said_of(answer) == [("output_text", "Yes.")]


def test_custom_call_of_a_completion() -> None:  # X30 R23
    call = {"id": "call_1", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    _, whole = rendered(RESPONSES, [completion({"tool_calls": [call]})], tools=[{"type": "custom", "name": "shell"}])
    [item] = whole["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "ls")


def test_sdk_s_objects_are_read_as_mappings_are() -> None:  # X30
    answer = completion({"content": "Yes."}, usage=USAGE)
    assert said_of(ChatCompletion.model_validate(answer)) == said_of(answer)
    assert said_of(ChatCompletionChunk.model_validate(chunk({"content": "Yes."}))) == [("output_text", "Yes.")]


# --- in chunks


def test_role_and_blank_deltas_and_chunks_without_choices_are_nothing() -> None:  # X31
    blanks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": None, "tool_calls": None}),
        chunk({}),
        {**chunk(), "choices": []},
        {**chunk(), "choices": None},
        chunk({"tool_calls": []}),
    ]
    assert said_of(*blanks, chunk({"content": "Yes."}), *blanks, chunk({}, "stop")) == [("output_text", "Yes.")]
    assert list(ChatReader().read(blanks[0])) == []


def test_usage_after_the_finish_reason_is_read() -> None:  # X31
    answer = response_of(chunk({"content": "Yes."}), chunk({}, "stop"), {**chunk(), "choices": [], "usage": USAGE})
    assert answer["usage"]["input_tokens"] == 3


def test_call_in_pieces_leaves_in_pieces() -> None:  # X31
    chunks = [
        chunk({"tool_calls": [begun(0)]}),
        chunk({"tool_calls": [fragment(0, '{"a":')]}),
        chunk({"tool_calls": [fragment(0, "1}")]}),
        chunk({}, "tool_calls"),
    ]
    events, _ = rendered(RESPONSES, chunks)
    deltas = [event["delta"] for event in events if event["type"].endswith("arguments.delta")]
    assert deltas == ['{"a":', "1}"]
    assert said_of(*chunks) == [("call_0", ("f0", '{"a":1}'))]


def test_call_that_has_not_ended_keeps_the_others_back() -> None:  # X31
    reader = ChatReader()
    assert list(reader.read(chunk({"tool_calls": [begun(0, "{"), begun(1, "{}")]}))) == [
        CallStart("f0", "call_0"),
        CallArguments("{"),
    ]
    assert list(reader.read(chunk({"tool_calls": [fragment(0, "}")]}))) == [
        CallArguments("}"),
        CallStart("f1", "call_1"),
        CallArguments("{}"),
    ]


def test_call_whose_arguments_never_end_lets_the_others_go_at_the_end() -> None:  # X31
    chunks = [chunk({"tool_calls": [begun(0, "{"), begun(1, "{}")]}), chunk({}, "tool_calls")]
    assert said_of(*chunks) == [("call_0", ("f0", "{")), ("call_1", ("f1", "{}"))]


def test_calls_without_an_index_go_by_their_place() -> None:  # X31
    calls = [{name: value for name, value in begun(index, "{}").items() if name != "index"} for index in (0, 1)]
    assert said_of(chunk({"tool_calls": calls})) == [("call_0", ("f0", "{}")), ("call_1", ("f1", "{}"))]


@pytest.mark.parametrize("index", [None, 0])
def test_another_id_begins_another_call(index: int | None) -> None:  # X31
    first, second = (fragment(index, "{}", id=f"call_{name}", name=name) for name in "fg")
    assert said_of(chunk({"tool_calls": [first]}), chunk({"tool_calls": [second]})) == [
        ("call_f", ("f", "{}")),
        ("call_g", ("g", "{}")),
    ]


def test_call_that_another_one_follows_at_its_index_has_ended() -> None:  # X31
    reader = ChatReader()
    list(reader.read(chunk({"tool_calls": [fragment(0, id="call_f", name="f")]})))
    assert list(reader.read(chunk({"tool_calls": [fragment(0, "{", id="call_g", name="g")]}))) == [
        CallStart("g", "call_g"),
        CallArguments("{"),
    ]


def test_fragments_that_say_their_id_again_are_one_call() -> None:  # X31
    chunks = [chunk({"tool_calls": [fragment(0, text, id="call_1", name="f")]}) for text in ("{", "}")]
    assert said_of(*chunks) == [("call_1", ("f", "{}"))]


def test_text_in_the_middle_of_a_call_comes_after_it() -> None:  # X31
    chunks = [
        chunk({"tool_calls": [begun(0, '{"a":')]}),
        chunk({"content": "Wait."}),
        chunk({"tool_calls": [fragment(0, "1}")]}),
    ]
    assert said_of(*chunks) == [("call_0", ("f0", '{"a":1}')), ("output_text", "Wait.")]


def test_arguments_that_are_an_object_are_its_json() -> None:  # X30 X31
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": {"a": "é"}}}
    assert said_of(completion({"tool_calls": [call]})) == [("call_1", ("f", '{"a":"é"}'))]
    assert said_of(chunk({"tool_calls": [call]})) == [("call_1", ("f", '{"a":"é"}'))]


def test_content_in_parts_is_their_text() -> None:  # X30
    parts = [{"type": "text", "text": "Wa"}, {"type": "image_url"}, 7, {"type": "text", "text": "it."}]
    assert said_of(completion({"content": parts})) == [("output_text", "Wait.")]


def test_pieces_of_a_function_call_are_a_call() -> None:  # X31
    chunks = [
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk({}, "function_call"),
    ]
    [(_, call)] = said_of(*chunks)
    assert call == ("f", "{}")


def test_text_after_calls_is_a_message_after_them() -> None:  # X31 R48
    chunks = [chunk({"content": "a"}), chunk({"tool_calls": [begun(0, "{}")]}), chunk({"content": "b"})]
    assert [kind for kind, _ in said_of(*chunks)] == ["output_text", "call_0", "output_text"]


def test_pieces_of_all_kinds_may_stand_beside_chunks() -> None:
    pieces = ["a", chunk({"content": "b"}), Reply("c"), ToolCall("f", id="call_1"), Usage(1, 2)]
    assert said_of(*pieces) == [("output_text", "abc"), ("call_1", ("f", "{}"))]


objects = st.dictionaries(st.text('ab}{"\\é', max_size=3), st.integers() | st.text('}{"\\', max_size=3), max_size=3)


@st.composite
def interleaved(draw: Any) -> tuple[list[str], list[dict[str, Any]]]:
    """The arguments of some calls, and chunks that have them in fragments of any size, in any order between calls."""
    wanted = [json.dumps(value) for value in draw(st.lists(objects, min_size=1, max_size=4))]
    left = [begun(index) for index in range(len(wanted))]
    rests = list(wanted)
    fragments = []
    unbegun = list(range(len(wanted)))
    while unbegun or any(rests):
        open_calls = [index for index, rest in enumerate(rests) if rest and index not in unbegun]
        index = draw(st.sampled_from([*open_calls, *unbegun[:1]]))
        if index in unbegun:
            unbegun.remove(index)
            fragments.append(left[index])
            continue
        size = draw(st.integers(1, len(rests[index])))
        fragments.append(fragment(index, rests[index][:size]))
        rests[index] = rests[index][size:]
    chunks = []
    while fragments:
        size = draw(st.integers(1, 3))
        chunks.append(chunk({"tool_calls": fragments[:size]}))
        fragments = fragments[size:]
    return wanted, chunks


@given(interleaved())
def test_calls_in_any_fragments_leave_one_after_the_other(given_calls: tuple[list[str], list[Any]]) -> None:  # X31 R32
    wanted, chunks = given_calls
    assert said_of(*chunks) == [(f"call_{index}", (f"f{index}", text)) for index, text in enumerate(wanted)]
    events, whole = rendered(CHAT, chunks)
    validate_events(CHAT, events)
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    indices = [call["index"] for delta in deltas for call in delta.get("tool_calls", ())]
    assert indices == sorted(indices)
    calls = whole["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == wanted


malformed = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["index", "id", "function", "custom", "name", "arguments", "content", "tool_calls"]), inner
        )
    ),
    max_leaves=6,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"object": st.sampled_from(["chat.completion", "chat.completion.chunk"])},
            optional={
                "choices": malformed
                | st.lists(
                    st.fixed_dictionaries(
                        {},
                        optional={
                            "index": st.integers(0, 1),
                            "delta": malformed,
                            "message": malformed,
                            "finish_reason": malformed,
                        },
                    ),
                    max_size=2,
                ),
                "usage": malformed,
            },
        ),
        max_size=4,
    )
)
def test_malformed_chunks_are_read_as_far_as_they_say_something(chunks: Any) -> None:  # X31
    response_of(*chunks)
