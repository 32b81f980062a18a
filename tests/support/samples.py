"""Samples of what goes over the wire: requests, and answers as OpenAI's API gives them."""

from typing import Any

Json = dict[str, Any]

CHAT: Json = {"model": "m", "messages": []}

# As little as the API's objects can hold.
COMPLETION: Json = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
CHUNK: Json = {**COMPLETION, "object": "chat.completion.chunk"}
RESPONSE: Json = {
    "id": "r",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
NULLABLE_OF_RESPONSE = ["error", "incomplete_details", "instructions", "metadata", "temperature", "top_p"]
"""What a Response must have, and may be null."""

# With a message in them.
MESSAGE = {"role": "assistant", "content": "Grüße\u2028!", "refusal": None}
FULL_COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "m-1",
    "choices": [{"index": 0, "finish_reason": "stop", "message": MESSAGE, "logprobs": None}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
OUTPUT = {
    "id": "msg-1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Grüße", "annotations": []}],
}
FULL_RESPONSE = {
    "id": "resp-1",
    "object": "response",
    "created_at": 1_700_000_000,
    "model": "m-1",
    "output": [OUTPUT],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "status": "completed",
}
USAGE = {
    "input_tokens": 1,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 3,
}
COMPACTION = {
    "id": "resp-2",
    "object": "response.compaction",
    "created_at": 1_700_000_000,
    "output": [{"id": "cmp-1", "type": "compaction", "encrypted_content": "..."}],
    "usage": USAGE,
}
ITEM = {"id": "msg-0", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
# No field of any object.
JUNK: Json = {"junk": {"deep": [1]}, "_internal": "secret", "debug": None, "Model": "m-2", "outputs": []}


def listing(*items: Json, has_more: bool = False) -> Json:
    """A page of a list."""
    ids = [item["id"] for item in items] or [None]
    return {"object": "list", "data": list(items), "first_id": ids[0], "last_id": ids[-1], "has_more": has_more}


# An answer for every operation on chat completions and responses.
ANSWERS: dict[str, Json] = {
    "chat.completions.create": FULL_COMPLETION,
    "chat.completions.retrieve": FULL_COMPLETION,
    "chat.completions.update": FULL_COMPLETION,
    "chat.completions.list": listing(FULL_COMPLETION),
    "chat.completions.delete": {"id": "chatcmpl-1", "object": "chat.completion.deleted", "deleted": True},
    "chat.completions.messages.list": listing({"id": "msg-1", **MESSAGE}),
    "responses.create": FULL_RESPONSE,
    "responses.retrieve": FULL_RESPONSE,
    "responses.delete": {"id": "resp-1", "object": "response", "deleted": True},
    "responses.cancel": FULL_RESPONSE,
    "responses.compact": COMPACTION,
    "responses.input_items.list": listing(ITEM),
    "responses.input_tokens.count": {"object": "response.input_tokens", "input_tokens": 7},
}
