"""The app that the clients run against: one reply function for chat completions, responses and text completions.

What it answers follows from the conversation alone, so that a test says what it wants by what it asks.
"""

import asyncio
import functools
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware, Reply, ToolCall, Usage, errors
from openai_middleware.store import Store, by_api_key

Json = dict[str, Any]
Item = str | Reply | ToolCall | Usage

USAGE = Usage(11, 7, cached_tokens=3, reasoning_tokens=2)
SHELL = "echo sunny > weather.txt && cat weather.txt"
# The tools that Codex offers, by version and platform.
SHELL_CALLS: dict[str, Json] = {
    "exec_command": {"cmd": SHELL},
    "shell": {"command": ["bash", "-c", SHELL]},
    "shell_command": {"command": SHELL},
}
OUTPUT_TOOL = "final_result"  # Pydantic AI's way to structured output
SECONDS_UNTIL_CLOSED = 30

dispatch = Dispatcher()
closed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


@dispatch.reply
async def agent(
    messages: list[Json],
    *,
    model: str,
    tools: list[Json] | None = None,
    response_format: Json | None = None,
) -> AsyncIterator[Item]:
    match last_question(messages).split():
        case ["Rate", "limit", *_]:
            raise errors.RateLimitError("Slow down.")
        case ["Break", *_]:
            yield "It was "
            yield "going well"
            raise errors.InternalServerError("The app broke.")
        case ["Refuse", *_]:
            yield Reply(refusal="I cannot help ")
            yield Reply(refusal="with that.")
        case ["Stop", "short", *_]:
            yield "It was "
            yield Reply("cut", finish_reason="length")
        case ["Count", "on", "as", name]:
            try:
                while True:
                    yield "and on "
                    await asyncio.sleep(0.01)
            finally:
                closed[name].set()
        case ["Is", name, "closed?"]:
            async with asyncio.timeout(SECONDS_UNTIL_CLOSED):
                await closed[name].wait()
            yield "It is closed."
        case _:
            for item in conversation(messages, functions(tools), response_format or {}):
                yield item
    yield USAGE


def conversation(messages: list[Json], offered: dict[str, Json], response_format: Json) -> Iterator[Item]:
    question, results = last_question(messages), tool_results(messages)
    if call := None if results else tool_call(question, offered):
        yield "Let me see. "
        yield call
    elif OUTPUT_TOOL in offered:
        yield ToolCall(OUTPUT_TOOL, sample(offered[OUTPUT_TOOL]))
    elif response_format.get("type") == "json_schema":
        yield from words(json.dumps(sample(response_format["json_schema"]["schema"])))
    elif results:
        yield from words(f"The tool said: {' and '.join(results)}")
    elif "reason" in question:
        yield Reply(reasoning="Let me ")
        yield Reply(reasoning="think.")
        yield from words("15 * 37 is 555.")
    elif question == "What did I say first?":
        yield from words(f"You said: {text_of(next(m for m in messages if m['role'] == 'user'))}")
    elif question == "How were you instructed?":
        yield from words(f"I was told: {' and '.join(text_of(m) for m in messages if m['role'] in INSTRUCTING)}")
    else:
        yield from words("Hello from the agent.")


INSTRUCTING = {"system", "developer"}


def tool_call(question: str, offered: dict[str, Json]) -> ToolCall | None:
    if "weather" in question and "get_weather" in offered:
        return ToolCall("get_weather", sample(offered["get_weather"]))
    if "shell" in question:
        return next((ToolCall(name, SHELL_CALLS[name]) for name in offered if name in SHELL_CALLS), None)
    if question.startswith("Call "):
        _, name, arguments = question.split(" ", 2)
        return ToolCall(name, json.loads(arguments))
    return None


def functions(tools: list[Json] | None) -> dict[str, Json]:
    """The schema of each function's parameters."""
    offered = [tool["function"] for tool in tools or [] if tool["type"] == "function"]
    return {function["name"]: function.get("parameters") or {} for function in offered}


def last_question(messages: list[Json]) -> str:
    return next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "")


def tool_results(messages: list[Json]) -> list[str]:
    """What the tools said since the last question."""
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] == "user":
            break
        if message["role"] == "tool":
            results.insert(0, text_of(message))
    return results


def text_of(message: Json) -> str:
    """Its text, with the types of the parts that are none."""
    content = message["content"] or ""
    return content if isinstance(content, str) else "".join(part.get("text", part["type"]) for part in content)


def words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


def sample(schema: Json, root: Json | None = None) -> Any:
    """A value that fits a JSON schema, as far as the clients use them."""
    root = root or schema
    if "$ref" in schema:
        path = schema["$ref"].removeprefix("#/").split("/")
        return sample(functools.reduce(dict.__getitem__, path, root), root)
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return sample(schema[name][0], root)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: sample(value, root) for name, value in schema.get("properties", {}).items()}
        case "array":
            return [sample(schema["items"], root)]
        case "integer" | "number":
            return 21
        case "boolean":
            return True
    return "Paris"


@dispatch("models.list")
def models() -> list[str]:
    return ["agent", "gpt-5-x"]


@dispatch("embeddings.create")
def embed(body: Json, *, input: str | list[Any], model: str) -> list[list[float]]:
    several = isinstance(input, list) and not isinstance(input[0], int)
    return [[0.25, -0.5, float(index)] for index in range(len(input) if several else 1)]


def chat_only() -> OpenAIMiddleware:
    """The same function in an app that knows nothing of responses."""
    chat = Dispatcher()
    chat.reply("chat.completions.create", "completions.create")(agent)
    chat("models.list")(models)
    chat("embeddings.create")(embed)
    return OpenAIMiddleware(HandlerApp(chat), prefix=["/v1", STORED])


# Where the same app has a store: most clients ask for none, and are to work without one.
STORED = "/stored/v1"
BRIDGE = {"responses.create": "chat.completions.create"}

stored = OpenAIMiddleware(HandlerApp(dispatch), prefix=STORED, store=Store("sqlite://", owner=by_api_key))
app = OpenAIMiddleware(stored, prefix="/v1", handlers=dispatch)
bridged_and_stored = OpenAIMiddleware(
    chat_only(), prefix=STORED, rewrites=BRIDGE, store=Store("sqlite://", owner=by_api_key)
)
bridged = OpenAIMiddleware(bridged_and_stored, prefix="/v1", rewrites=BRIDGE)
