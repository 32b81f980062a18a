"""OpenAI Agents, with what a server with a store keeps."""

import os
from typing import Any

import pytest
from agents import Agent, OpenAIConversationsSession, OpenAIResponsesModel, Runner, function_tool
from openai import AsyncOpenAI


@function_tool
def get_weather(city: str) -> str:
    return f"21 degrees in {city}"


@pytest.fixture
def stored() -> Any:
    """A client of the server that has a store."""
    return AsyncOpenAI(base_url=os.environ["STORED_BASE_URL"], max_retries=0)


def agent(client: Any) -> Agent:
    return Agent(name="Assistant", model=OpenAIResponsesModel("agent", client), tools=[get_weather])


async def test_runs_that_follow_each_other_by_previous_response_id(stored: Any) -> None:
    assistant = agent(stored)
    first = await Runner.run(assistant, "Hello")
    second = await Runner.run(assistant, "What is the weather?", previous_response_id=first.last_response_id)
    third = await Runner.run(assistant, "What did I say first?", previous_response_id=second.last_response_id)

    assert "21 degrees in" in second.final_output
    assert third.final_output == "You said: Hello"


async def test_runs_in_a_conversation_of_the_server(stored: Any) -> None:
    conversation = await stored.conversations.create()
    assistant = agent(stored)
    for question in ("Hello", "What is the weather?"):
        await Runner.run(assistant, question, conversation_id=conversation.id)
    last = await Runner.run(assistant, "What did I say first?", conversation_id=conversation.id)

    assert last.final_output == "You said: Hello"


async def test_a_session_that_the_server_keeps(stored: Any) -> None:
    session = OpenAIConversationsSession(openai_client=stored)
    assistant = agent(stored)
    for question in ("Hello", "What is the weather?"):
        await Runner.run(assistant, question, session=session)
    last = await Runner.run(assistant, "What did I say first?", session=session)
    kept = await session.get_items()

    assert last.final_output == "You said: Hello"
    assert [item["type"] for item in kept] == [
        *("message", "message", "message", "message", "function_call", "function_call_output", "message"),
        *("message", "message"),
    ]
    popped = await session.pop_item()
    assert popped == kept[-1]
    await session.clear_session()
