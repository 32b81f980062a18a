import json
import uuid
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

MODEL = "agent"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Weather(BaseModel):
    city: str
    degrees: int


def ask(question: str) -> list[Any]:
    return [{"role": "user", "content": question}]


def test_create(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=ask("Hello"))

    assert completion.choices[0].message.content == "Hello from the agent."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == MODEL
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (11, 7)


async def test_create_asynchronously(async_client: AsyncOpenAI) -> None:
    completion = await async_client.chat.completions.create(model=MODEL, messages=ask("Hello"))

    assert completion.choices[0].message.content == "Hello from the agent."


def test_create_with_a_stream(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model=MODEL, messages=ask("Hello"), stream=True))

    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert pieces == ["Hello ", "from ", "the ", "agent."]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


async def test_create_with_a_stream_asynchronously(async_client: AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(
        model=MODEL, messages=ask("Hello"), stream=True, stream_options={"include_usage": True}
    )

    *chunks, last = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello from the agent."
    assert last.usage is not None
    assert last.usage.total_tokens == 18


def test_the_stream_helper(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=ask("Hello")) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta" and event.delta]

    assert deltas == ["Hello ", "from ", "the ", "agent."]
    assert stream.get_final_completion().choices[0].message.content == "Hello from the agent."


async def test_the_stream_helper_asynchronously(async_client: AsyncOpenAI) -> None:
    async with async_client.chat.completions.stream(model=MODEL, messages=ask("Hello")) as stream:
        completion = await stream.get_final_completion()

    assert completion.choices[0].message.content == "Hello from the agent."


def test_a_tool_loop(client: OpenAI) -> None:
    messages = ask("What is the weather?")
    message = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL]).choices[0].message
    [call] = message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})

    messages += [message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    completion = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])

    assert completion.choices[0].message.content == "The tool said: 21 degrees"


def test_the_stream_helper_with_a_tool_call(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=ask("The weather?"), tools=[TOOL]) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]

    assert [(event.name, event.parsed_arguments) for event in done] == [("get_weather", {"city": "Paris"})]
    assert stream.get_final_completion().choices[0].finish_reason == "tool_calls"


def test_parse(client: OpenAI) -> None:
    completion = client.chat.completions.parse(model=MODEL, messages=ask("Structured"), response_format=Weather)

    assert completion.choices[0].message.parsed == Weather(city="Paris", degrees=21)


async def test_parse_asynchronously(async_client: AsyncOpenAI) -> None:
    completion = await async_client.chat.completions.parse(
        model=MODEL, messages=ask("Structured"), response_format=Weather
    )

    assert completion.choices[0].message.parsed == Weather(city="Paris", degrees=21)


def test_parse_with_a_tool(client: OpenAI) -> None:
    tool = openai.pydantic_function_tool(Weather, name="get_weather")
    completion = client.chat.completions.parse(model=MODEL, messages=ask("The weather?"), tools=[tool])

    [call] = completion.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == Weather(city="Paris", degrees=21)


def test_the_stream_helper_with_a_format(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=ask("Structured"), response_format=Weather) as stream:
        completion = stream.get_final_completion()

    assert completion.choices[0].message.parsed == Weather(city="Paris", degrees=21)


def test_reasoning(client: OpenAI) -> None:
    message = client.chat.completions.create(model=MODEL, messages=ask("Please reason.")).choices[0].message

    assert message.model_extra == {"reasoning_content": "Let me think."}
    assert message.content == "15 * 37 is 555."


def test_a_refusal(client: OpenAI) -> None:
    message = client.chat.completions.create(model=MODEL, messages=ask("Refuse")).choices[0].message

    assert (message.refusal, message.content) == ("I cannot help with that.", None)


def test_the_stream_helper_with_a_refusal(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=ask("Refuse")) as stream:
        [done] = [event for event in stream if event.type == "refusal.done"]

    assert done.refusal == "I cannot help with that."


def test_an_answer_that_was_cut(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=ask("Stop short"))
    assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == ("It was cut", "length")

    with client.chat.completions.stream(model=MODEL, messages=ask("Stop short")) as stream:
        stream.until_done()
    with pytest.raises(openai.LengthFinishReasonError):
        stream.get_final_completion()


def test_the_conversation(client: OpenAI) -> None:
    messages: list[Any] = [
        {"role": "developer", "content": "be kind"},
        *ask("Hello"),
        {"role": "assistant", "content": "Hello from the agent."},
    ]

    def answer_to(question: str) -> str | None:
        completion = client.chat.completions.create(model=MODEL, messages=[*messages, *ask(question)])
        return completion.choices[0].message.content

    assert answer_to("What did I say first?") == "You said: Hello"
    assert answer_to("How were you instructed?") == "I was told: be kind"


@pytest.mark.parametrize("stream", [False, True], ids=["", "stream"])
def test_an_error_before_the_first_piece(stream: bool, client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError, match=r"Slow down\."):
        client.chat.completions.create(model=MODEL, messages=ask("Rate limit"), stream=stream)


def test_an_error_in_mid_stream(client: OpenAI) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=ask("Break"), stream=True)
    pieces = (chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content)

    assert [next(pieces), next(pieces)] == ["It was ", "going well"]
    with pytest.raises(openai.APIError, match=r"The app broke\."):
        next(pieces)


def test_a_stream_that_is_left_is_closed(client: OpenAI) -> None:
    name = uuid.uuid4().hex
    with client.chat.completions.create(model=MODEL, messages=ask(f"Count on as {name}"), stream=True) as stream:
        next(stream)
        assert next(stream).choices[0].delta.content == "and on "

    completion = client.chat.completions.create(model=MODEL, messages=ask(f"Is {name} closed?"))
    assert completion.choices[0].message.content == "It is closed."


async def test_a_stream_that_is_left_is_closed_asynchronously(async_client: AsyncOpenAI) -> None:
    name = uuid.uuid4().hex
    stream = await async_client.chat.completions.create(model=MODEL, messages=ask(f"Count on as {name}"), stream=True)
    async with stream:
        await anext(aiter(stream))

    completion = await async_client.chat.completions.create(model=MODEL, messages=ask(f"Is {name} closed?"))
    assert completion.choices[0].message.content == "It is closed."
