"""OpenAI Agents, with its Responses model and its chat completions model."""

from typing import Any

import openai
import pytest
from agents import (
    Agent,
    ModelBehaviorError,
    ModelRefusalError,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel

MODELS = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel}


class Weather(BaseModel):
    city: str
    degrees: int


@function_tool
def get_weather(city: str) -> str:
    return f"21 degrees in {city}"


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]("agent", AsyncOpenAI(max_retries=0))


def agent(model: Any, **options: Any) -> Agent:
    settings = ModelSettings(include_usage=True)
    return Agent(name="Assistant", instructions="be kind", model=model, model_settings=settings, **options)


async def test_a_run(model: Any) -> None:
    result = await Runner.run(agent(model), "Hello")

    assert result.final_output == "Hello from the agent."
    usage = result.context_wrapper.usage
    assert (usage.input_tokens, usage.output_tokens) == (11, 7)


async def test_instructions_reach_the_app(model: Any) -> None:
    result = await Runner.run(agent(model), "How were you instructed?")

    assert result.final_output == "I was told: be kind"


async def test_a_tool_loop(model: Any) -> None:
    result = await Runner.run(agent(model, tools=[get_weather]), "What is the weather?")

    assert result.final_output == "The tool said: 21 degrees in Paris"


async def test_a_tool_loop_with_a_stream(model: Any) -> None:
    result = Runner.run_streamed(agent(model, tools=[get_weather]), "What is the weather?")
    items = [event.item.type async for event in result.stream_events() if event.type == "run_item_stream_event"]

    assert result.final_output == "The tool said: 21 degrees in Paris"
    assert {"tool_call_item", "tool_call_output_item", "message_output_item"} <= set(items)


async def test_a_stream(model: Any) -> None:
    result = Runner.run_streamed(agent(model), "Hello")
    deltas = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent) and event.data.delta
    ]

    assert deltas == ["Hello ", "from ", "the ", "agent."]


async def test_structured_output(model: Any) -> None:
    result = await Runner.run(agent(model, output_type=Weather), "Structured")

    assert result.final_output == Weather(city="Paris", degrees=21)


async def test_structured_output_after_a_tool(model: Any) -> None:
    result = await Runner.run(agent(model, tools=[get_weather], output_type=Weather), "What is the weather?")

    assert result.final_output == Weather(city="Paris", degrees=21)


async def test_a_handoff(model: Any) -> None:
    other = agent(model)
    other.name = "Weather"
    result = await Runner.run(agent(model, handoffs=[other]), "Call transfer_to_weather {}")

    assert result.last_agent is other
    assert result.final_output.startswith("The tool said: ")


async def test_several_turns(model: Any) -> None:
    first = await Runner.run(agent(model, tools=[get_weather]), "What is the weather?")
    conversation = [*first.to_input_list(), {"role": "user", "content": "What did I say first?"}]
    result = await Runner.run(agent(model), conversation)

    assert result.final_output == "You said: What is the weather?"


async def test_reasoning(model: Any) -> None:
    result = await Runner.run(agent(model), "Please reason.")

    reasoning, message = result.new_items
    assert (reasoning.type, message.type) == ("reasoning_item", "message_output_item")
    assert reasoning.raw_item.summary[0].text == "Let me think."


async def test_a_refusal(model: Any) -> None:
    with pytest.raises(ModelRefusalError, match="I cannot help with that"):
        await Runner.run(agent(model, output_type=Weather), "Refuse")


async def test_an_answer_that_was_cut(model: Any) -> None:
    if isinstance(model, OpenAIChatCompletionsModel):
        assert (await Runner.run(agent(model), "Stop short")).final_output == "It was cut"
        return
    with pytest.raises(ModelBehaviorError):
        async for _ in Runner.run_streamed(agent(model), "Stop short").stream_events():
            pass


async def test_an_error_before_the_first_piece(model: Any) -> None:
    with pytest.raises(openai.RateLimitError):
        await Runner.run(agent(model), "Rate limit")


async def test_an_error_in_mid_stream(model: Any) -> None:
    result = Runner.run_streamed(agent(model), "Break")

    with pytest.raises(Exception, match="The app broke"):
        async for _ in result.stream_events():
            pass
