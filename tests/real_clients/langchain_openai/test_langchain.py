"""LangChain's ChatOpenAI, on chat completions and on responses."""

from typing import Any

import openai
import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Weather(BaseModel):
    city: str
    degrees: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


@pytest.fixture(params=[False, True], ids=["chat", "responses"])
def model(request: pytest.FixtureRequest) -> ChatOpenAI:
    return ChatOpenAI(model="agent", use_responses_api=request.param, stream_usage=True, max_retries=0)


def test_invoke(model: ChatOpenAI) -> None:
    message = model.invoke("Hello")

    assert message.text == "Hello from the agent."
    assert message.usage_metadata["input_tokens"] == 11
    assert message.usage_metadata["output_tokens"] == 7


async def test_invoke_asynchronously(model: ChatOpenAI) -> None:
    assert (await model.ainvoke("Hello")).text == "Hello from the agent."


def test_stream(model: ChatOpenAI) -> None:
    chunks = list(model.stream("Hello"))

    assert [chunk.text for chunk in chunks if chunk.text] == ["Hello ", "from ", "the ", "agent."]
    whole = sum(chunks[1:], chunks[0])
    assert whole.usage_metadata["total_tokens"] == 18


async def test_stream_asynchronously(model: ChatOpenAI) -> None:
    texts = [chunk.text async for chunk in model.astream("Hello")]

    assert "".join(texts) == "Hello from the agent."


def test_a_tool_loop(model: ChatOpenAI) -> None:
    with_tools = model.bind_tools([get_weather])
    messages: list[Any] = [HumanMessage("What is the weather?")]
    messages.append(with_tools.invoke(messages))
    [call] = messages[-1].tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})

    result = get_weather.invoke(call)
    assert isinstance(result, ToolMessage)
    answer = with_tools.invoke([*messages, result])

    assert answer.text == "The tool said: 21 degrees in Paris"


def test_a_tool_call_in_a_stream(model: ChatOpenAI) -> None:
    chunks = list(model.bind_tools([get_weather]).stream("What is the weather?"))

    [call] = sum(chunks[1:], chunks[0]).tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(method: Any, model: ChatOpenAI) -> None:
    class get_weather(Weather):  # noqa: N801 - the name of the tool
        """The weather of a city."""

    weather = model.with_structured_output(get_weather, method=method).invoke("The weather, structured")

    assert weather == get_weather(city="Paris", degrees=21)


def test_the_conversation(model: ChatOpenAI) -> None:
    history: list[Any] = [SystemMessage("be kind"), HumanMessage("Hello")]
    history.append(model.invoke(history))

    def answer_to(question: str) -> str:
        return model.invoke([*history, HumanMessage(question)]).text

    assert answer_to("What did I say first?") == "You said: Hello"
    assert answer_to("How were you instructed?") == "I was told: be kind"


@pytest.mark.parametrize("model", [True], ids=["responses"], indirect=True)  # it drops that of chat completions
def test_reasoning(model: ChatOpenAI) -> None:
    message = model.invoke("Please reason.")

    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
    assert message.content_blocks[0]["reasoning"] == "Let me think."


def test_a_refusal(model: ChatOpenAI) -> None:
    message = model.invoke("Refuse")

    [part] = message.content if isinstance(message.content, list) else [message.additional_kwargs]
    assert part["refusal"] == "I cannot help with that."


def test_an_answer_that_was_cut(model: ChatOpenAI) -> None:
    message = model.invoke("Stop short")

    assert message.text == "It was cut"
    metadata = message.response_metadata
    assert "length" in metadata.values() or metadata["incomplete_details"]["reason"] == "max_output_tokens"


def test_an_error_before_the_first_piece(model: ChatOpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        model.invoke("Rate limit")


def test_an_error_in_mid_stream(model: ChatOpenAI) -> None:
    with pytest.raises(Exception, match="The app broke"):
        list(model.stream("Break"))
