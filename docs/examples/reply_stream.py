"""Replies piece by piece: text, reasoning, usage, and what happens when something goes wrong.

uvicorn --app-dir docs/examples reply_stream:app
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware, Reply, Usage
from openai_middleware.errors import RateLimitError

dispatch = Dispatcher()
closed: list[str] = []


# --8<-- [start:app]
@dispatch.reply
async def tell(messages: list[dict[str, Any]]) -> AsyncIterator[str | Reply | Usage]:
    question = messages[-1]["content"]
    if question == "too much":
        raise RateLimitError("Come back in a minute.", headers={"Retry-After": "60"})  # nothing has left: it is a 429
    connection = await connect()
    try:
        yield Reply(reasoning="A story was asked for. ")
        for word in ("Once ", "upon ", "a ", "time"):
            yield word
        if question == "the long one":
            yield Reply(finish_reason="length")
        if question == "the sad one":
            raise RateLimitError("The story was lost.")  # some of it has left: the stream ends with an error
        yield Usage(input_tokens=3, output_tokens=4)
    finally:
        await connection.close()  # also where the client has gone


app = OpenAIMiddleware(HandlerApp(dispatch, keep_alive=15), prefix="/v1")
# --8<-- [end:app]


class Connection:
    """Stands for whatever an answer needs while it is made."""

    async def close(self) -> None:
        closed.append("closed")


async def connect() -> Connection:
    return Connection()


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    settings: Any = {"base_url": "http://app/v1", "api_key": "unused", "max_retries": 0, "http_client": http_client}
    async with openai.AsyncOpenAI(**settings) as client:
        async for event in await client.responses.create(model="m", input="a story", stream=True):
            delta: str | None = getattr(event, "delta", None)
            print(event.type, "" if delta is None else repr(delta))

        response = await client.responses.create(model="m", input="the long one")
        print(response.status, response.incomplete_details, response.output_text)

        # --8<-- [start:errors]
        for question in ("too much", "the sad one"):
            words: list[str] = []
            try:
                async for event in await client.responses.create(model="m", input=question, stream=True):
                    if event.type == "response.output_text.delta":
                        words.append(event.delta)
            except openai.APIError as error:
                print(type(error).__name__, words, error)
        # --8<-- [end:errors]
        print(closed)


if __name__ == "__main__":
    asyncio.run(main())
