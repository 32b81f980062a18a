"""The ways to put OpenAI's API in front of an app, each with the same question from the official SDK."""

import asyncio
from typing import Any

import httpx2
import openai
from fastapi import FastAPI
from legacy_app import app as help_desk

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware, Rewrite
from openai_middleware.adapters.fastapi import openai_view, set_openai_frontend

# --8<-- [start:function]
dispatch = Dispatcher()


@dispatch.reply
def answer(messages: list[dict[str, Any]]) -> str:
    return f"You said: {messages[-1]['content']}"


# --8<-- [end:function]

# --8<-- [start:beside]
app = FastAPI()  # yours, with all that it has
set_openai_frontend(app, prefix="/v1", handlers=dispatch)
# --8<-- [end:beside]

# --8<-- [start:alone]
server = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")
# --8<-- [end:alone]

# --8<-- [start:routes]
routes = FastAPI()
set_openai_frontend(routes, prefix="/v1", rewrites={"responses.create": "chat.completions.create"})


@routes.post("/v1/chat/completions")
@openai_view
async def chat(body: Any, *, messages: list[dict[str, Any]]) -> str:
    return f"You said: {messages[-1]['content']}"


# --8<-- [end:routes]

# --8<-- [start:rewrites]
ask = Rewrite("/ask", body={"question": "$.prompt"}, reply="$.answer")
rewrites: Any = {"chat.completions.create": ask, "responses.create": "chat.completions.create"}
set_openai_frontend(help_desk, prefix="/v1", rewrites=rewrites)
# --8<-- [end:rewrites]

# --8<-- [start:handler]
graph = FastAPI()


@graph.post("/openai")
async def handle(kwargs: dict[str, Any]) -> str:
    return f"You said: {kwargs['messages'][-1]['content']}"


set_openai_frontend(graph, ["chat_completions"], prefix="/v1", handler_path="/openai")
# --8<-- [end:handler]


async def main() -> None:
    messages: Any = [{"role": "user", "content": "Where is my refund?"}]
    ways: Any = {"beside": app, "alone": server, "routes": routes, "rewrites": help_desk, "handler_path": graph}
    for name, way in ways.items():
        http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(way))
        async with openai.AsyncOpenAI(
            base_url="http://app/v1", api_key="token-of-ada", http_client=http_client
        ) as client:
            completion = await client.chat.completions.create(model="m", messages=messages)
            print(f"{name}: {completion.choices[0].message.content}")
            if name != "handler_path":
                response = await client.responses.create(model="m", input="Where is my refund?")
                assert response.output_text == completion.choices[0].message.content


if __name__ == "__main__":
    asyncio.run(main())
