"""A function that answers, with a store beside it: conversations, lists, and what was said before.

uvicorn --app-dir docs/examples store:app
"""

import asyncio
from typing import Any

import httpx2
import openai

# --8<-- [start:app]
from fastapi import FastAPI

from openai_middleware import Dispatcher
from openai_middleware.adapters.fastapi import set_openai_frontend
from openai_middleware.store import Store, by_api_key

app = FastAPI()
dispatch = Dispatcher()


@dispatch.reply
def answer(messages: list[dict[str, Any]]) -> str:
    questions = [message["content"] for message in messages if message["role"] == "user"]
    return f"You have asked: {', '.join(questions)}"


store = Store("sqlite:///openai.db", owner=by_api_key)
set_openai_frontend(app, prefix="/v1", handlers=dispatch, store=store)
# --8<-- [end:app]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="sk-ada", http_client=http_client) as client:
        # --8<-- [start:client]
        first = await client.responses.create(model="m", input="one")
        second = await client.responses.create(model="m", input="two", previous_response_id=first.id)
        print(second.output_text)
        print((await client.responses.retrieve(first.id)).output_text)

        talk = await client.conversations.create(metadata={"topic": "numbers"})
        for question in ("three", "four"):
            await client.responses.create(model="m", input=question, conversation=talk.id)
        async for item in client.conversations.items.list(talk.id, order="asc"):
            print(item.type, item.role if item.type == "message" else "")

        # Chat completions are kept where the client asks for it, as with OpenAI.
        messages: Any = [{"role": "user", "content": "five"}]
        await client.chat.completions.create(model="m", messages=messages, store=True, metadata={"topic": "more"})
        async for completion in client.chat.completions.list(metadata={"topic": "more"}):
            print(completion.choices[0].message.content)
        # --8<-- [end:client]
        eve = client.with_options(api_key="sk-eve")
        try:
            await eve.responses.retrieve(first.id)
        except openai.NotFoundError as error:
            print(error.code)
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
