"""An agent with tools: one function, asked by chat completions and by Responses.

uvicorn --app-dir docs/examples reply_tools:app
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware, Reply, ToolCall

dispatch = Dispatcher()


# --8<-- [start:app]
@dispatch.reply(model="weather-agent")
def weather(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None) -> Reply | str:
    if messages[-1]["role"] == "tool":
        return f"It is {messages[-1]['content']} in Oslo."
    if not tools:
        return "I have no thermometer."
    return Reply("Let me look.", tool_calls=[ToolCall("temperature", {"city": "Oslo"})])


# --8<-- [end:app]


# --8<-- [start:own]
@dispatch.reply(model="librarian")
def librarian(messages: list[dict[str, Any]]) -> Iterator[str | Reply]:
    question = messages[-1]["content"]
    yield Reply(reasoning=f"Searching the shelves for {question!r}. ")
    found = search_shelves(question)  # the server's own tool: the client learns of it, and is not asked to call it
    yield Reply(reasoning=f"{len(found)} books found.")
    yield f"Read {found[0]}."


# --8<-- [end:own]

app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")


def search_shelves(question: str) -> list[str]:
    return ["Emma", "Persuasion"]


# What the client has: a function, and how it is described.
def temperature(city: str) -> str:
    return {"Oslo": "4 °C"}[city]


SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ABOUT: Any = {"name": "temperature", "description": "The temperature in a city", "parameters": SCHEMA}


async def by_chat(client: openai.AsyncOpenAI) -> None:
    # --8<-- [start:chat]
    messages: list[Any] = [{"role": "user", "content": "How cold is Oslo?"}]
    tools: Any = [{"type": "function", "function": ABOUT}]
    while True:
        completion = await client.chat.completions.create(model="weather-agent", messages=messages, tools=tools)
        message = completion.choices[0].message
        print("chat:", completion.choices[0].finish_reason, message.content)
        if not message.tool_calls:
            break
        messages.append(message)
        for call in message.tool_calls:
            assert call.type == "function"
            result = temperature(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    # --8<-- [end:chat]


async def by_responses(client: openai.AsyncOpenAI) -> None:
    # --8<-- [start:responses]
    items: list[Any] = [{"role": "user", "content": "How cold is Oslo?"}]
    tools: Any = [{"type": "function", **ABOUT, "strict": None}]
    while True:
        response = await client.responses.create(model="weather-agent", input=items, tools=tools, store=False)
        print("responses:", [item.type for item in response.output], response.output_text)
        items += response.output
        calls = [item for item in response.output if item.type == "function_call"]
        if not calls:
            break
        for call in calls:
            result = temperature(**json.loads(call.arguments))
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
    # --8<-- [end:responses]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        await by_chat(client)
        await by_responses(client)

        response = await client.responses.create(model="librarian", input="a novel")
        for item in response.output:
            print(item.type, item.summary[0].text if item.type == "reasoning" else response.output_text)


if __name__ == "__main__":
    asyncio.run(main())
