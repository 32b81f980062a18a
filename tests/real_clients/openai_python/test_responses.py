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
    "name": "get_weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class Weather(BaseModel):
    city: str
    degrees: int


def test_create(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="Hello")

    assert response.output_text == "Hello from the agent."
    assert (response.status, response.model) == ("completed", MODEL)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (11, 7)
    assert response.usage.input_tokens_details.cached_tokens == 3
    assert response.usage.output_tokens_details.reasoning_tokens == 2


async def test_create_asynchronously(async_client: AsyncOpenAI) -> None:
    response = await async_client.responses.create(model=MODEL, input="Hello")

    assert response.output_text == "Hello from the agent."


def test_create_with_a_stream(client: OpenAI) -> None:
    events = list(client.responses.create(model=MODEL, input="Hello", stream=True))

    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["Hello ", "from ", "the ", "agent."]
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Hello from the agent."
    assert [event.sequence_number for event in events] == list(range(len(events)))


async def test_create_with_a_stream_asynchronously(async_client: AsyncOpenAI) -> None:
    stream = await async_client.responses.create(model=MODEL, input="Hello", stream=True)

    deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert deltas == ["Hello ", "from ", "the ", "agent."]


def test_the_stream_helper(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="Hello") as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]

    assert snapshots == ["Hello ", "Hello from ", "Hello from the ", "Hello from the agent."]
    assert stream.get_final_response().output_text == "Hello from the agent."


async def test_the_stream_helper_asynchronously(async_client: AsyncOpenAI) -> None:
    async with async_client.responses.stream(model=MODEL, input="Hello") as stream:
        response = await stream.get_final_response()

    assert response.output_text == "Hello from the agent."


def test_a_tool_loop(client: OpenAI) -> None:
    conversation: list[Any] = [{"role": "user", "content": "What is the weather?"}]
    response = client.responses.create(model=MODEL, input=conversation, tools=[TOOL])
    message, call = response.output
    assert message.type == "message"
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})

    result = {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}
    conversation += [item.to_dict() for item in response.output] + [result]
    response = client.responses.create(model=MODEL, input=conversation, tools=[TOOL])

    assert response.output_text == "The tool said: 21 degrees"


def test_the_stream_helper_with_a_tool_call(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="The weather?", tools=[TOOL]) as stream:
        [done] = [event for event in stream if event.type == "response.function_call_arguments.done"]

    assert json.loads(done.arguments) == {"city": "Paris"}
    assert [item.type for item in stream.get_final_response().output] == ["message", "function_call"]


def test_parse(client: OpenAI) -> None:
    response = client.responses.parse(model=MODEL, input="Structured", text_format=Weather)

    assert response.output_parsed == Weather(city="Paris", degrees=21)


async def test_parse_asynchronously(async_client: AsyncOpenAI) -> None:
    response = await async_client.responses.parse(model=MODEL, input="Structured", text_format=Weather)

    assert response.output_parsed == Weather(city="Paris", degrees=21)


def test_the_stream_helper_with_a_format(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="Structured", text_format=Weather) as stream:
        response = stream.get_final_response()

    assert response.output_parsed == Weather(city="Paris", degrees=21)


def test_reasoning(client: OpenAI) -> None:
    reasoning, message = client.responses.create(model=MODEL, input="Please reason.").output

    assert reasoning.type == "reasoning"
    assert [part.text for part in reasoning.summary] == ["Let me think."]
    assert message.type == "message"


def test_the_stream_helper_with_reasoning(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="Please reason.") as stream:
        deltas = [event.delta for event in stream if event.type == "response.reasoning_summary_text.delta"]

    assert deltas == ["Let me ", "think."]
    assert stream.get_final_response().output_text == "15 * 37 is 555."


def test_a_refusal(client: OpenAI) -> None:
    [message] = client.responses.create(model=MODEL, input="Refuse").output

    assert message.type == "message"
    [part] = message.content
    assert part.type == "refusal"
    assert part.refusal == "I cannot help with that."


def test_the_stream_helper_with_a_refusal(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="Refuse") as stream:
        [done] = [event for event in stream if event.type == "response.refusal.done"]

    assert done.refusal == "I cannot help with that."


def test_an_answer_that_was_cut(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="Stop short")
    *_, last = client.responses.create(model=MODEL, input="Stop short", stream=True)

    assert last.type == "response.incomplete"
    for answer in (response, last.response):
        assert (answer.status, answer.output_text) == ("incomplete", "It was cut")
        assert answer.incomplete_details is not None
        assert answer.incomplete_details.reason == "max_output_tokens"


def test_the_conversation(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="Hello", store=False)
    history: list[Any] = [{"role": "user", "content": "Hello"}, *(item.to_dict() for item in first.output)]

    def answer_to(question: str) -> str:
        conversation = [*history, {"role": "user", "content": question}]
        return client.responses.create(model=MODEL, input=conversation, instructions="be kind").output_text

    assert answer_to("What did I say first?") == "You said: Hello"
    assert answer_to("How were you instructed?") == "I was told: be kind"


def test_a_conversation_that_the_server_should_have_stored(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="Hello")

    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model=MODEL, input="And on", previous_response_id=first.id)
    assert (raised.value.param, raised.value.code) == ("previous_response_id", "previous_response_not_found")


@pytest.mark.parametrize("stream", [False, True], ids=["", "stream"])
def test_an_error_before_the_first_piece(stream: bool, client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError, match=r"Slow down\."):
        client.responses.create(model=MODEL, input="Rate limit", stream=stream)


def test_an_error_in_mid_stream(client: OpenAI) -> None:
    stream = client.responses.create(model=MODEL, input="Break", stream=True)
    deltas = (event.delta for event in stream if event.type == "response.output_text.delta")

    assert [next(deltas), next(deltas)] == ["It was ", "going well"]
    with pytest.raises(openai.APIError, match=r"The app broke\."):
        next(deltas)


def test_a_stream_that_is_left_is_closed(client: OpenAI) -> None:
    name = uuid.uuid4().hex
    with client.responses.create(model=MODEL, input=f"Count on as {name}", stream=True) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                break

    assert client.responses.create(model=MODEL, input=f"Is {name} closed?").output_text == "It is closed."


async def test_a_stream_that_is_left_is_closed_asynchronously(async_client: AsyncOpenAI) -> None:
    name = uuid.uuid4().hex
    async with async_client.responses.stream(model=MODEL, input=f"Count on as {name}") as stream:
        await anext(aiter(stream))

    response = await async_client.responses.create(model=MODEL, input=f"Is {name} closed?")
    assert response.output_text == "It is closed."
