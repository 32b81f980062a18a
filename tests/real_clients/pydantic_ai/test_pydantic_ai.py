"""Pydantic AI, with its Responses model and its chat completions model."""

from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError, NativeOutput, ThinkingPart, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

MODELS = {"responses": OpenAIResponsesModel, "chat": OpenAIChatModel}


class Weather(BaseModel):
    city: str
    degrees: int


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]("agent", provider=OpenAIProvider(openai_client=AsyncOpenAI(max_retries=0)))


def weather_agent(model: Any, **options: Any) -> Agent:
    agent: Agent = Agent(model, **options)

    @agent.tool_plain
    def get_weather(city: str) -> str:
        return f"21 degrees in {city}"

    return agent


async def test_a_run(model: Any) -> None:
    result = await Agent(model).run("Hello")

    assert result.output == "Hello from the agent."
    assert (result.usage.input_tokens, result.usage.output_tokens) == (11, 7)


async def test_instructions_reach_the_app(model: Any) -> None:
    result = await Agent(model, instructions="be kind").run("How were you instructed?")

    assert result.output == "I was told: be kind"


async def test_a_stream(model: Any) -> None:
    async with Agent(model).run_stream("Hello") as result:
        deltas = [delta async for delta in result.stream_text(delta=True, debounce_by=None)]

    assert deltas == ["Hello ", "from ", "the ", "agent."]


async def test_a_tool_loop(model: Any) -> None:
    result = await weather_agent(model).run("What is the weather?")

    assert result.output == "The tool said: 21 degrees in Paris"


async def test_a_tool_loop_with_a_stream(model: Any) -> None:
    async with weather_agent(model).iter("What is the weather?") as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                async with node.stream(run.ctx) as events:
                    async for _ in events:
                        pass

    assert run.result is not None
    assert run.result.output == "The tool said: 21 degrees in Paris"


@pytest.mark.parametrize("output", [NativeOutput(Weather), ToolOutput(Weather)], ids=["native", "tool"])
async def test_structured_output(output: Any, model: Any) -> None:
    result = await Agent(model, output_type=output).run("Structured")

    assert result.output == Weather(city="Paris", degrees=21)


@pytest.mark.parametrize("output", [NativeOutput(Weather), ToolOutput(Weather)], ids=["native", "tool"])
async def test_structured_output_with_a_stream(output: Any, model: Any) -> None:
    async with Agent(model, output_type=output).run_stream("Structured") as result:
        weather = await result.get_output()

    assert weather == Weather(city="Paris", degrees=21)


async def test_structured_output_after_a_tool(model: Any) -> None:
    result = await weather_agent(model, output_type=NativeOutput(Weather)).run("What is the weather?")

    assert result.output == Weather(city="Paris", degrees=21)


async def test_several_turns(model: Any) -> None:
    first = await weather_agent(model).run("What is the weather?")
    result = await Agent(model).run("What did I say first?", message_history=first.all_messages())

    assert result.output == "You said: What is the weather?"


async def test_reasoning_and_a_turn_after_it(model: Any) -> None:
    first = await Agent(model).run("Please reason.")
    assert first.output == "15 * 37 is 555."
    thinking = [part for part in first.all_messages()[-1].parts if isinstance(part, ThinkingPart)]
    assert [part.content for part in thinking] == ["Let me think."]

    result = await Agent(model).run("What did I say first?", message_history=first.all_messages())

    assert result.output == "You said: Please reason."


async def test_an_answer_that_was_cut(model: Any) -> None:
    result = await Agent(model).run("Stop short")

    assert result.output == "It was cut"
    assert result.response.finish_reason == "length"


async def test_an_error_before_the_first_piece(model: Any) -> None:
    with pytest.raises(ModelHTTPError) as raised:
        await Agent(model).run("Rate limit")
    assert raised.value.status_code == 429


async def test_an_error_in_mid_stream(model: Any) -> None:
    with pytest.raises(Exception, match="The app broke"):
        async with Agent(model).run_stream("Break") as result:
            await result.get_output()
