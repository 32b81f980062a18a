"""What a server with a store keeps."""

import os
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

MODEL = "agent"


@pytest.fixture
def stored(strict: bool) -> Iterator[OpenAI]:
    url = os.environ["STORED_BASE_URL"]
    with OpenAI(base_url=url, max_retries=0, _strict_response_validation=strict) as client:
        yield client


def test_responses_that_follow_each_other(stored: OpenAI) -> None:
    first = stored.responses.create(model=MODEL, input="Hello")
    with stored.responses.stream(model=MODEL, input="And on", previous_response_id=first.id) as stream:
        second = stream.get_final_response()
    third = stored.responses.create(model=MODEL, input="What did I say first?", previous_response_id=second.id)

    assert third.output_text == "You said: Hello"
    assert stored.responses.retrieve(second.id).output_text == second.output_text
    stored.responses.delete(third.id)
    with pytest.raises(openai.NotFoundError):
        stored.responses.retrieve(third.id)


def test_a_conversation(stored: OpenAI) -> None:
    conversation = stored.conversations.create(items=[{"role": "user", "content": "Hello"}], metadata={"a": "b"})
    answer = stored.responses.create(model=MODEL, input="What did I say first?", conversation=conversation.id)

    assert answer.output_text == "You said: Hello"
    items = list(stored.conversations.items.list(conversation.id, limit=2, order="asc"))
    assert [item.type for item in items] == ["message", "message", "message"]
    assert stored.conversations.retrieve(conversation.id).metadata == {"a": "b"}
    assert stored.conversations.delete(conversation.id).deleted
