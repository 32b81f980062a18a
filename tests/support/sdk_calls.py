"""Calls of the official SDK, one for every operation on chat completions and responses."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

Json = dict[str, Any]
Client = OpenAI | AsyncOpenAI

HELLO: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße\u2028 \x00"}]
FUNCTION: Json = {"name": "f", "parameters": {"type": "object", "properties": {}}}
CHAT_PARAMS: Json = {
    "model": "m-1",
    "messages": HELLO,
    "temperature": 0,
    "top_p": None,
    "stop": [],
    "stream": False,
    "n": 1,
    "metadata": {"topic": "tests"},
    "tools": [{"type": "function", "function": FUNCTION}],
    "response_format": {"type": "json_object"},
    "store": True,
}
RESPONSE_PARAMS: Json = {
    "model": "m-1",
    "input": HELLO,
    "include": ["message.output_text.logprobs"],
    "instructions": "",
    "max_output_tokens": 5,
    "previous_response_id": None,
    "metadata": {},
    "reasoning": {"effort": "low"},
    "store": False,
}

# The operation, its request line, the keyword arguments that the handler is to get, and the call.
OPERATIONS: list[tuple[str, str, Json, Callable[[Any], Any]]] = [
    (
        "chat.completions.create",
        "POST /v1/chat/completions",
        CHAT_PARAMS,
        lambda client: client.chat.completions.create(**CHAT_PARAMS),
    ),
    (
        "chat.completions.retrieve",
        "GET /v1/chat/completions/chatcmpl-1",
        {"completion_id": "chatcmpl-1"},
        lambda client: client.chat.completions.retrieve("chatcmpl-1"),
    ),
    (
        "chat.completions.update",
        "POST /v1/chat/completions/chatcmpl-1",
        {"metadata": {"a": "b"}, "completion_id": "chatcmpl-1"},
        lambda client: client.chat.completions.update("chatcmpl-1", metadata={"a": "b"}),
    ),
    (
        "chat.completions.list",
        "GET /v1/chat/completions",
        {"after": "x", "limit": 2, "metadata": {"a b": "c&d", "e": "é"}, "model": "m-1", "order": "desc"},
        lambda client: client.chat.completions.list(
            after="x", limit=2, metadata={"a b": "c&d", "e": "é"}, model="m-1", order="desc"
        ),
    ),
    (
        "chat.completions.delete",
        "DELETE /v1/chat/completions/chatcmpl-1",
        {"completion_id": "chatcmpl-1"},
        lambda client: client.chat.completions.delete("chatcmpl-1"),
    ),
    (
        "chat.completions.messages.list",
        "GET /v1/chat/completions/chatcmpl-1/messages",
        {"after": "x", "limit": 3, "order": "asc", "completion_id": "chatcmpl-1"},
        lambda client: client.chat.completions.messages.list("chatcmpl-1", after="x", limit=3, order="asc"),
    ),
    (
        "responses.create",
        "POST /v1/responses",
        RESPONSE_PARAMS,
        lambda client: client.responses.create(**RESPONSE_PARAMS),
    ),
    (
        "responses.retrieve",
        "GET /v1/responses/resp-1",
        {
            "include": ["file_search_call.results", "reasoning.encrypted_content"],
            "include_obfuscation": False,
            "starting_after": 4,
            "response_id": "resp-1",
        },
        lambda client: client.responses.retrieve(
            "resp-1",
            include=["file_search_call.results", "reasoning.encrypted_content"],
            include_obfuscation=False,
            starting_after=4,
        ),
    ),
    (
        "responses.delete",
        "DELETE /v1/responses/resp-1",
        {"response_id": "resp-1"},
        lambda client: client.responses.delete("resp-1"),
    ),
    (
        "responses.cancel",
        "POST /v1/responses/resp-1/cancel",
        {"response_id": "resp-1"},
        lambda client: client.responses.cancel("resp-1"),
    ),
    (
        "responses.compact",
        "POST /v1/responses/compact",
        {"model": "m-1", "input": "Hello", "previous_response_id": "resp-1"},
        lambda client: client.responses.compact(model="m-1", input="Hello", previous_response_id="resp-1"),
    ),
    (
        "responses.input_items.list",
        "GET /v1/responses/resp-1/input_items",
        {"include": ["message.output_text.logprobs"], "limit": 1, "order": "asc", "response_id": "resp-1"},
        lambda client: client.responses.input_items.list(
            "resp-1", include=["message.output_text.logprobs"], limit=1, order="asc"
        ),
    ),
    (
        "responses.input_tokens.count",
        "POST /v1/responses/input_tokens",
        {"model": "m-1", "input": "Hello", "truncation": "auto"},
        lambda client: client.responses.input_tokens.count(model="m-1", input="Hello", truncation="auto"),
    ),
]
BY_NAME = {name: (request_line, kwargs, use) for name, request_line, kwargs, use in OPERATIONS}
each_operation = pytest.mark.parametrize("name", BY_NAME)


async def result(value: Any) -> Any:
    """What an SDK method returns, whichever client it belongs to."""
    return await value if inspect.isawaitable(value) else value
