"""What is proved here holds for every way to serve."""

import pytest

from tests.support.stacks import STACKS, Stack


@pytest.fixture(params=STACKS, ids=lambda stack: stack.name)
def stack(request: pytest.FixtureRequest) -> Stack:
    return request.param
