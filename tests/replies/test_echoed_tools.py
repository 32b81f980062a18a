"""The tools of a request, which a Response says again."""

from collections.abc import Iterator
from typing import Any

import pytest

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware
from tests.support.drivers import request

PARAMETERS = {"type": "object", "properties": {}}
FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": PARAMETERS, "strict": False}
LEFT_OUT = {"description": None, "parameters": None, "strict": None}

dispatch = Dispatcher()


@dispatch.reply
def answer(messages: Any) -> Iterator[str]:
    yield "Hello"


async def echoed(tools: Any) -> Any:
    app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")
    sent = await request(app, "POST", "/v1/responses", {"model": "m", "input": "Hello", "tools": tools})
    return sent.json["tools"]


@pytest.mark.parametrize(
    ("tool", "fields"),
    [
        (FUNCTION, FUNCTION),
        ({"type": "function", "name": "f"}, {"type": "function", "name": "f", **LEFT_OUT}),
        ({**FUNCTION, "async": True}, {**FUNCTION, "async": True}),
        ({"type": "web_search"}, {"type": "web_search"}),
        ({"type": "custom", "name": "c"}, {"type": "custom", "name": "c"}),
    ],
)
async def test_a_function_has_every_field_that_open_responses_wants_and_other_tools_are_as_they_came(
    tool: Any, fields: Any
) -> None:
    assert await echoed([tool]) == [fields]


@pytest.mark.parametrize("tools", ["none", 1, {}, ["f"]])
async def test_what_is_no_list_of_tools_is_as_it_came(tools: Any) -> None:
    assert await echoed(tools) == tools
