"""The SDK's clients, made from the environment; each test is run with the strict one too."""

from collections.abc import AsyncIterator, Iterator

import pytest
from openai import AsyncOpenAI, OpenAI


@pytest.fixture(params=[False, True], ids=["", "strict"])
def strict(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture
def client(strict: bool) -> Iterator[OpenAI]:
    with OpenAI(max_retries=0, _strict_response_validation=strict) as client:
        yield client


@pytest.fixture
async def async_client(strict: bool) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(max_retries=0, _strict_response_validation=strict) as client:
        yield client
