"""OpenAI Agents, with both of its models, at help desks whose routes know nothing of OpenAI."""

import os
from typing import Any

import openai
import pytest
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel

MODELS = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel}
PREFIX = "HELP_DESK_"
DESKS = {name.removeprefix(PREFIX).lower(): url for name, url in os.environ.items() if name.startswith(PREFIX)}
QUESTION = "Where is my refund?"


class Answer(BaseModel):
    topic: str
    text: str


def agent(kind: str, desk: str, key: str = "token-of-ada", **options: Any) -> Agent:
    model = MODELS[kind]("desk", AsyncOpenAI(base_url=DESKS[desk], api_key=key, max_retries=0))
    settings = ModelSettings(include_usage=True)
    return Agent(name="Assistant", instructions="be kind", model=model, model_settings=settings, **options)


each_model = pytest.mark.parametrize("kind", MODELS)
each_desk = pytest.mark.parametrize("desk", DESKS)


@each_model
@each_desk
async def test_two_turns_at_a_help_desk(kind: str, desk: str) -> None:
    first = await Runner.run(agent(kind, desk), QUESTION)
    second = await Runner.run(agent(kind, desk), [*first.to_input_list(), {"role": "user", "content": "My password?"}])

    said = [first.final_output, second.final_output]
    if desk == "fastapi-uvicorn":
        assert said == ["Dear Ada: Refunds take five working days.", "Dear Ada: Reset it under Settings, Security."]
        assert second.context_wrapper.usage.total_tokens == 10
    else:
        assert said == [f"You asked: {QUESTION}", "You asked: My password?"]


@each_model
@each_desk
async def test_a_stream_of_a_help_desk(kind: str, desk: str) -> None:
    result = Runner.run_streamed(agent(kind, desk), QUESTION)
    deltas = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent) and event.data.delta
    ]

    assert len(deltas) > 4
    assert "".join(deltas) == result.final_output
    assert "refund" in result.final_output.lower()


@each_model
@each_desk
async def test_structured_output_of_a_help_desk(kind: str, desk: str) -> None:
    result = await Runner.run(agent(kind, desk, output_type=Answer), QUESTION)

    assert isinstance(result.final_output, Answer)
    assert "refund" in result.final_output.text.lower()


@each_model
@each_desk
async def test_a_stranger_at_a_help_desk(kind: str, desk: str) -> None:
    with pytest.raises(openai.AuthenticationError):
        await Runner.run(agent(kind, desk, key="unknown"), QUESTION)
