"""What the benchmarks send: the requests, answers and streams of the table of goals, and a raw driver for them."""

import json
from typing import Any, NamedTuple

from tests.support.drivers import http_scope

CHAT = "/v1/chat/completions"
JSON = b"application/json"
EVENTS = 200

BODY = json.dumps(
    {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Answer in one sentence."},
            {"role": "user", "content": [{"type": "text", "text": "How long is a piece of string?"}]},
            {"role": "assistant", "content": "Twice half its length."},
            {"role": "user", "content": [{"type": "text", "text": "And how is the weather in Paris, Oslo and Rome?"}]},
        ],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_completion_tokens": 100,
        "seed": 7,
        "stop": ["END", "STOP"],
        "user": "user-1",
        "metadata": {"session": "1", "channel": "web"},
        "tool_choice": "auto",
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "The weather of a city.",
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
                        "required": ["city", "unit"],
                        "additionalProperties": False,
                    },
                    "strict": True,
                },
            },
            {
                "type": "function",
                "function": {
                    "name": "time",
                    "description": "The local time of a city.",
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                        "additionalProperties": False,
                    },
                    "strict": True,
                },
            },
        ],
    }
).encode()
HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.54.0"),
    (b"x-stainless-lang", b"python"),
    (b"x-stainless-retry-count", b"0"),
    (b"authorization", b"Bearer secret"),
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(BODY)),
]
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Twice half its length, as ever. " * 24},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200},
}
FILE: dict[str, Any] = {
    "id": "file-1",
    "object": "vector_store.file",
    "created_at": 1,
    "vector_store_id": "vs_1",
    "status": "completed",
    "usage_bytes": 1,
    "last_error": None,
}
CHUNK: dict[str, Any] = {
    "id": "chatcmpl-0123456789abcdef0123456789abcdef",
    "object": "chat.completion.chunk",
    "created": 1700000000,
    "model": "a-model-with-a-name-2026-08-06",
    "service_tier": "default",
    "system_fingerprint": "fp_0123456789",
    "choices": [{"index": 0, "delta": {"content": "Twice half "}, "logprobs": None, "finish_reason": None}],
}
DELTA: dict[str, Any] = {
    "type": "response.output_text.delta",
    "sequence_number": 4,
    "item_id": "msg_0123456789abcdef0123456789abcdef0123456789abcdef",
    "output_index": 0,
    "content_index": 0,
    "delta": "Twice half ",
    "logprobs": [],
    "obfuscation": "0123456789abcdef" * 4,
}


class Row(NamedTuple):
    """One thing that is measured.

    Attributes:
        name: What the tables call it.
        unit: What is a round trip: J, or the bytes of which rt is the round trip.
        method, target, body: The request.
        kind: The media type of the app's answer.
        parts: The bodies of the app's messages.
        per: How many of a thing one request has.
    """

    name: str
    unit: bytes
    method: str
    target: str
    body: bytes
    kind: bytes
    parts: list[bytes]
    per: int = 1


def encoded(value: Any) -> bytes:
    """As an app's own JSON library writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


def padded(value: dict[str, Any], size: int) -> dict[str, Any]:
    """A chat completion of about so many bytes."""
    [choice] = value["choices"]
    tokens = [
        {"token": f"token {index}", "logprob": -0.25, "bytes": [116, 111], "top_logprobs": []}
        for index in range(size // 72)
    ]
    return {**value, "choices": [{**choice, "logprobs": {"content": tokens, "refusal": None}}]}


def _events(value: dict[str, Any]) -> list[bytes]:
    name = b"event: " + value["type"].encode() + b"\n" if "type" in value else b""
    return [name + b"data: " + encoded(value) + b"\n\n"] * EVENTS


def rows() -> list[Row]:
    """The rows of the table of goals."""
    responses, files = "/v1/responses", "/v1/vector_stores/vs_1/files/file-1"
    sse = b"text/event-stream"
    asked = encoded({**json.loads(BODY), "stream": True})
    asked_response = encoded({"model": "m", "input": "Twice?", "stream": True})
    found = [
        Row("matches nothing", BODY, "GET", "/health", b"", JSON, [encoded(COMPLETION)]),
        Row("nothing below the prefix", BODY, "GET", "/v1/health/here", b"", JSON, [encoded(COMPLETION)]),
        Row("1 KB, field dropped", BODY, "POST", CHAT, BODY, JSON, [encoded({**COMPLETION, "junk": 1})]),
        Row("1 KB, clean", BODY, "POST", CHAT, BODY, JSON, [encoded(COMPLETION)]),
        Row("template GET of 150, answer mapped", BODY, "GET", files, b"", JSON, [encoded({**FILE, "junk": 1})]),
    ]
    for name, size in (("100 KB", 100_000), ("4 MB", 4_000_000)):
        large = {**padded(COMPLETION, size), "junk": 1}
        found.append(
            Row(f"{name}, field dropped", encoded(large), "POST", CHAT, BODY, JSON, [encoded(large)]),
        )
    for name, value, target, body in (
        ("chat event", CHUNK, CHAT, asked),
        ("Responses event", DELTA, responses, asked_response),
    ):
        for state, event in (("clean", value), ("field dropped", {**value, "junk": 1})):
            unit = encoded(value)
            found.append(Row(f"{name}, {state}", unit, "POST", target, body, sse, _events(event), EVENTS))
    return found


class App:
    """A raw ASGI app that reads its request and sends what a row says."""

    def __init__(self, row: Row) -> None:
        length = [] if row.per > 1 else [(b"content-length", b"%d" % len(row.parts[0]))]
        headers = [*length, (b"content-type", row.kind)]
        bodies = [{"type": "http.response.body", "body": part, "more_body": True} for part in row.parts]
        bodies[-1] = {**bodies[-1], "more_body": False}
        if row.per > 1:
            bodies = [*bodies[:-1], {**bodies[0]}, {"type": "http.response.body", "body": b"", "more_body": False}]
        self._messages = [{"type": "http.response.start", "status": 200, "headers": headers}, *bodies]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        for message in self._messages:
            await send(message)


def send_requests(app: Any, row: Row, count: int) -> None:
    """Send requests to an app. Nothing waits here, so that each runs without an event loop.

    Raises:
        RuntimeError: Something waits.
    """
    scope = http_scope(row.method, row.target, headers=HEADERS if row.body else HEADERS[:-2])
    request = {"type": "http.request", "body": row.body, "more_body": False}

    async def receive() -> Any:
        return request

    async def send(message: Any) -> None:
        pass

    for _ in range(count):
        try:
            app(scope, receive, send).send(None)
        except StopIteration:
            continue
        raise RuntimeError("The app waits.")
