"""Responses requests in the form of chat completions, as a function that replies gets them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware.errors import BadRequestError
from openai_middleware.replies.chat_request import ChatRequest
from tests.support.replies import CHAT, COMPLETIONS, RESPONSES, send

CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "f",
    "arguments": "{}",
    "status": "completed",
}
CHAT_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "ok"}
CHAT_RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "ok"}
USER = {"role": "user", "content": "Why?"}


def asked(operation: str = RESPONSES, **fields: Any) -> tuple[Any, dict[str, Any]]:
    """The messages and the other arguments that a function gets."""
    given: list[Any] = []

    def reply(messages: Any, **kwargs: Any) -> str:
        given.append((messages, kwargs))
        return "Yes."

    sent = send(operation, reply, **fields)
    assert sent.status == 200, sent.body
    [(messages, kwargs)] = given
    return messages, {name: value for name, value in kwargs.items() if not name.startswith("mlrun_request_")}


def messages_of(*items: Any, **fields: Any) -> Any:
    return asked(input=list(items), **fields)[0]


def kwargs_of(**fields: Any) -> dict[str, Any]:
    kwargs = asked(**fields)[1]
    assert kwargs.pop("model") == "m"
    return kwargs


def refused(**fields: Any) -> tuple[str | None, str | None, str]:
    """The param, the code and the message of the error, which comes before the function is called."""
    called: list[Any] = []
    sent = send(RESPONSES, called.append, **fields)
    assert (sent.status, called) == (400, [])
    return sent.error["param"], sent.error["code"], sent.error["message"]


# --- messages


def test_str_is_a_message_of_the_user() -> None:  # X1
    assert asked(input="Why?")[0] == [USER]


def test_instructions_stand_before_all_else() -> None:  # X1
    system = {"role": "system", "content": "Be kind."}
    assert asked(input="Why?", instructions="Be kind.")[0] == [system, USER]
    assert asked(input=None, instructions="Be kind.")[0] == [system]
    assert asked(input="Why?", instructions=[{"role": "developer", "content": "Be kind."}])[0] == [
        {"role": "developer", "content": "Be kind."},
        USER,
    ]


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_message_keeps_its_role_and_loses_its_id(role: str) -> None:  # X2
    message = {"type": "message", "role": role, "content": "Yes.", "id": "msg_1", "status": "completed"}
    assert messages_of(message) == [{"role": role, "content": "Yes."}]


def test_item_with_a_role_is_a_message() -> None:  # X2
    assert messages_of(USER) == [USER]


def test_parts_of_text_are_one_str() -> None:  # X3
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    assert messages_of({"role": "user", "content": parts}) == [{"role": "user", "content": "a\nb"}]


@pytest.mark.parametrize(
    ("part", "chat_part"),
    [
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        ),
        (
            {"type": "input_image", "image_url": "u", "detail": "low"},
            {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:..."},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:..."}},
        ),
        ({"type": "input_file", "file_id": "file-1"}, {"type": "file", "file": {"file_id": "file-1"}}),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        ),
    ],
)
def test_other_parts_are_those_of_chat(part: Any, chat_part: Any) -> None:  # X3
    [message] = messages_of({"role": "user", "content": [{"type": "input_text", "text": "a"}, part]})
    assert message["content"] == [{"type": "text", "text": "a"}, chat_part]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_video"},
        {"text": "a"},
        "text",
    ],
)
def test_part_without_a_form_in_chat_is_refused(part: Any) -> None:  # X3
    param, _, message = refused(input=[USER, {"role": "user", "content": [part]}])
    assert param == "input[1]"
    assert "input[1].content[0]" in message


def test_parts_of_the_assistant_are_joined() -> None:  # X4
    parts = [{"type": "output_text", "text": "a", "annotations": [{}]}, {"type": "output_text", "text": "b"}]
    assert messages_of({"role": "assistant", "content": parts}) == [{"role": "assistant", "content": "ab"}]


def test_refusal_of_the_assistant_is_one() -> None:  # X4
    item = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert messages_of(item) == [{"role": "assistant", "content": None, "refusal": "No."}]


def test_calls_that_follow_one_another_are_one_message() -> None:  # X5
    other, other_result = {**CALL, "call_id": "call_2"}, {**RESULT, "call_id": "call_2"}
    chat_other = {**CHAT_CALL, "id": "call_2"}
    chat_other_result = {**CHAT_RESULT, "tool_call_id": "call_2"}
    assert messages_of(USER, CALL, other, RESULT, other_result) == [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL, chat_other]},
        CHAT_RESULT,
        chat_other_result,
    ]
    assert messages_of(CALL, RESULT, other, other_result) == [
        {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]},
        CHAT_RESULT,
        {"role": "assistant", "content": None, "tool_calls": [chat_other]},
        chat_other_result,
    ]


def test_call_joins_the_assistant_s_message_before_it() -> None:  # X5
    assert messages_of({"role": "assistant", "content": "Wait."}, CALL) == [
        {"role": "assistant", "content": "Wait.", "tool_calls": [CHAT_CALL]}
    ]


def thought(text: str | None, field: str = "summary") -> dict[str, Any]:
    kind = "summary_text" if field == "summary" else "reasoning_text"
    parts = [] if text is None else [{"type": kind, "text": text}]
    return {"type": "reasoning", "id": "rs_1", "summary": [], field: parts}


OTHER = {**CALL, "call_id": "call_2"}
CHAT_OTHER = {**CHAT_CALL, "id": "call_2"}


def test_what_the_assistant_says_between_a_call_and_its_result_is_a_part_of_its_message() -> None:  # X5 X7
    said = {"role": "assistant", "content": "Wait."}
    refused = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    called = {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]}
    assert messages_of(CALL, said, RESULT) == [{**called, "content": "Wait."}, CHAT_RESULT]
    assert messages_of(said, CALL, said, said, RESULT) == [{**called, "content": "Wait.Wait.Wait."}, CHAT_RESULT]
    assert messages_of(CALL, refused, RESULT) == [{**called, "refusal": "No."}, CHAT_RESULT]
    assert messages_of(thought("Hm."), CALL, thought("So."), said, OTHER, RESULT) == [
        {
            "role": "assistant",
            "content": "Wait.",
            "reasoning_content": "Hm.\nSo.",
            "tool_calls": [CHAT_CALL, CHAT_OTHER],
        },
        CHAT_RESULT,
    ]


def test_reasoning_between_calls_does_not_part_them_from_their_results() -> None:  # X5 X7
    other_result = {**CHAT_RESULT, "tool_call_id": "call_2"}
    assert messages_of(CALL, thought("Hm."), OTHER, RESULT, {**RESULT, "call_id": "call_2"}) == [
        {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CHAT_CALL, CHAT_OTHER]},
        CHAT_RESULT,
        other_result,
    ]


def test_what_the_assistant_says_after_a_result_is_a_message_of_its_own() -> None:  # X5
    said = {"role": "assistant", "content": "Wait."}
    assert messages_of(CALL, RESULT, said)[2] == said
    assert messages_of(CALL, USER, said)[1:] == [USER, said]


def test_reasoning_after_a_message_is_of_the_call_that_follows() -> None:  # X7
    said = {"role": "assistant", "content": "Wait."}
    assert messages_of(said, thought("Hm."), CALL) == [
        said,
        {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CHAT_CALL]},
    ]


def test_result_of_a_call_is_a_message_of_the_tool() -> None:  # X6
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    image = {"type": "input_image", "image_url": "u"}
    assert messages_of(RESULT) == [CHAT_RESULT]
    assert messages_of({**RESULT, "output": parts}) == [{**CHAT_RESULT, "content": "a\nb"}]
    assert messages_of({**RESULT, "output": [image]}) == [
        {**CHAT_RESULT, "content": [{"type": "image_url", "image_url": {"url": "u"}}]}
    ]


def test_reasoning_is_a_field_of_what_the_assistant_says_next() -> None:  # X7
    said = {"role": "assistant", "content": "Yes."}
    assert messages_of(thought("Hm."), thought("So."), said) == [{**said, "reasoning_content": "Hm.\nSo."}]
    assert messages_of({**thought("Hm."), "content": [{"type": "reasoning_text", "text": "Full."}]}, said) == [
        {**said, "reasoning_content": "Full."}
    ]
    assert messages_of(thought("Hm."), CALL) == [
        {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CHAT_CALL]}
    ]


def test_reasoning_without_text_is_nothing() -> None:  # X7
    hidden = {**thought(None), "encrypted_content": "..."}
    assert messages_of(CALL, hidden, {**CALL, "call_id": "call_2"}) == [
        {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL, {**CHAT_CALL, "id": "call_2"}]}
    ]
    assert messages_of(thought("Hm."), USER, {"role": "assistant", "content": "Yes."})[1] == {
        "role": "assistant",
        "content": "Yes.",
    }


def test_custom_call_and_its_result() -> None:  # X8
    call = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "shell", "input": "ls"}
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    assert messages_of(call, {**RESULT, "type": "custom_tool_call_output"}) == [
        {"role": "assistant", "content": None, "tool_calls": [custom]},
        CHAT_RESULT,
    ]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"previous_response_id": "secret"}, "previous_response_id", "previous_response_not_found"),
        ({"conversation": "secret"}, "conversation", "conversation_not_found"),
        ({"conversation": {"id": "secret"}}, "conversation", "conversation_not_found"),
        ({"input": [USER, {"type": "item_reference", "id": "secret"}]}, "input[1]", "item_not_found"),
    ],
)
def test_what_refers_to_something_stored_is_refused_with_the_way_out_and_not_repeated(
    fields: Any, param: str, code: str
) -> None:  # X9 E1
    told = refused(**fields)
    assert told[:2] == (param, code)
    assert f"`{param}`" in told[2]
    assert "`store: false`" in told[2]
    assert "secret" not in told[2]


@pytest.mark.parametrize(("field", "value"), [("background", True), ("prompt", {"id": "pmpt_1"})])
def test_what_nobody_does_is_refused(field: str, value: Any) -> None:  # X9
    assert refused(**{field: value})[:2] == (field, "unsupported_parameter")


@pytest.mark.parametrize("kind", ["file_search_call", "computer_call", "nonsense"])
def test_item_of_another_type_is_refused_by_its_name(kind: str) -> None:  # X9
    param, code, message = refused(input=[{"type": kind}])
    assert (param, code) == ("input[0]", "unsupported_item")
    assert f"'{kind}': leave them out of `input`" in message


@pytest.mark.parametrize("item", [{"foo": 1}, {"type": None}, {}])
def test_item_without_a_type_is_refused(item: Any) -> None:  # X9
    param, code, message = refused(input=[USER, item])
    assert (param, code) == ("input[1]", "invalid_value")
    assert message == "`input[1]` is no item: an item has a `type`, or as a message a `role`."


# --- tools


FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
CHAT_FUNCTION = {"type": "function", "function": {name: FUNCTION[name] for name in FUNCTION if name != "type"}}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}


def test_functions_are_nested() -> None:  # X10
    assert kwargs_of(tools=[FUNCTION])["tools"] == [CHAT_FUNCTION]
    plain = {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}
    assert kwargs_of(tools=[plain])["tools"] == [{"type": "function", "function": {"name": "f"}}]


def test_custom_tools_are_nested_and_so_is_their_grammar() -> None:  # X10
    nested = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a/"}}
    assert kwargs_of(tools=[{"type": "custom", "name": "c", "format": GRAMMAR}])["tools"] == [
        {"type": "custom", "custom": {"name": "c", "format": nested}}
    ]
    assert kwargs_of(tools=[{"type": "custom", "name": "c", "format": {"type": "text"}}])["tools"] == [
        {"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}
    ]


def test_functions_of_a_namespace_are_functions_and_the_first_of_a_name_wins() -> None:  # X10
    namespace = {
        "type": "namespace",
        "name": "crm",
        "tools": [{**FUNCTION, "description": "other"}, {**FUNCTION, "name": "g"}],
    }
    names = [
        (tool["function"]["name"], tool["function"]["description"])
        for tool in kwargs_of(tools=[FUNCTION, namespace])["tools"]
    ]
    assert names == [("f", "d"), ("g", "d")]


def test_tools_that_openai_runs_are_left_out() -> None:  # X10
    kinds = ["web_search", "file_search", "mcp", "code_interpreter", "image_generation", "computer", "local_shell"]
    hosted = [{"type": kind} for kind in kinds]
    assert kwargs_of(tools=[*hosted, FUNCTION], parallel_tool_calls=False) == {
        "tools": [CHAT_FUNCTION],
        "parallel_tool_calls": False,
    }
    assert kwargs_of(tools=hosted, parallel_tool_calls=False, tool_choice="auto") == {}


@pytest.mark.parametrize(
    ("choice", "chat_choice"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "custom", "name": "f"}, {"type": "custom", "custom": {"name": "f"}}),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
        ),
    ],
)
def test_choice_of_a_tool_is_nested(choice: Any, chat_choice: Any) -> None:  # X11
    assert kwargs_of(tools=[FUNCTION], tool_choice=choice)["tool_choice"] == chat_choice


def test_hosted_tools_are_left_out_of_those_that_are_allowed() -> None:  # X11 X10
    function, hosted = {"type": "function", "name": "f"}, {"type": "web_search"}

    def choice(mode: str, *tools: Any) -> dict[str, Any]:
        return {"tools": [FUNCTION], "tool_choice": {"type": "allowed_tools", "mode": mode, "tools": list(tools)}}

    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}
    assert kwargs_of(**choice("required", hosted, function))["tool_choice"]["allowed_tools"] == allowed
    assert kwargs_of(**choice("auto", hosted))["tool_choice"] == "none"
    assert refused(**choice("required", hosted))[:2] == ("tool_choice", "invalid_value")


def test_choice_that_nobody_can_make_is_refused() -> None:  # X11
    assert refused(tools=[FUNCTION], tool_choice={"type": "web_search"})[0] == "tool_choice"
    assert refused(tools=[{"type": "web_search"}], tool_choice="required")[0] == "tool_choice"
    assert kwargs_of(tools=[{"type": "web_search"}], tool_choice="auto") == {}


# --- all else

SCHEMA = {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("fields", "chat_fields"),
    [
        ({"max_output_tokens": 9}, {"max_completion_tokens": 9}),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
                }
            },
        ),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, {"verbosity": "low"}),
        ({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"top_logprobs": 0}, {}),
        ({"temperature": 0, "top_p": 0.5}, {"temperature": 0, "top_p": 0.5}),
        ({"metadata": {"a": "b"}, "service_tier": "flex"}, {"metadata": {"a": "b"}, "service_tier": "flex"}),
        (
            {"prompt_cache_key": "k", "safety_identifier": "s", "user": "u"},
            {"prompt_cache_key": "k", "safety_identifier": "s", "user": "u"},
        ),
        ({"stream": False}, {"stream": False}),
        (
            {
                "store": True,
                "include": [],
                "truncation": "auto",
                "max_tool_calls": 3,
                "context_management": [],
                "own": 1,
            },
            {},
        ),
    ],
)
def test_other_fields_are_those_of_chat(fields: Any, chat_fields: Any) -> None:  # X12
    assert kwargs_of(**fields) == chat_fields


def test_chat_request_comes_as_it_is() -> None:  # X13
    fields = {"tools": [CHAT_FUNCTION], "n": 1, "max_tokens": 3, "stop": ["a"], "store": True}
    messages = [{"role": "user", "content": [{"type": "text", "text": "a"}], "name": "n"}]
    assert asked(CHAT, messages=messages, **fields) == (messages, {"model": "m", **fields})


def test_request_for_a_text_completion_has_its_prompt_as_message_and_else_comes_as_it_is() -> None:  # X13 R63
    assert asked(COMPLETIONS, max_tokens=3, suffix="s") == ([USER], {"model": "m", "max_tokens": 3, "suffix": "s"})


# --- malformed requests

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "name", "id", "role"]), inner),
    max_leaves=6,
)
kinds = st.sampled_from(
    ["message", "function_call", "function_call_output", "reasoning", "custom_tool_call", "item_reference", "x"]
)
fields_of_items = ["role", "content", "output", "summary", "call_id", "name", "arguments", "input"]
items = st.fixed_dictionaries({"type": kinds | json_values}, optional=dict.fromkeys(fields_of_items, json_values))


@given(
    st.fixed_dictionaries(
        {"input": json_values | st.lists(items, max_size=4)},
        optional=dict.fromkeys(
            ["instructions", "tools", "tool_choice", "text", "reasoning", "previous_response_id", "prompt", "metadata"],
            json_values,
        ),
    )
)
def test_malformed_request_is_refused_or_understood_and_never_a_crash(fields: Any) -> None:  # X9
    try:
        chat_request = ChatRequest(RESPONSES, fields)
    except BadRequestError:
        return
    assert all(
        message["role"] in ("system", "developer", "user", "assistant", "tool") for message in chat_request.messages
    )
    assert isinstance(chat_request.kwargs, dict)
