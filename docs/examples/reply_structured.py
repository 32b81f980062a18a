"""Structured output: the schema arrives in chat form, whichever API asked, and the reply is JSON text.

uvicorn --app-dir docs/examples reply_structured:app
"""

import asyncio
import json
from typing import Any

import httpx2
import openai
from pydantic import BaseModel

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware, Reply

dispatch = Dispatcher()


# --8<-- [start:app]
@dispatch.reply
def extract(messages: list[dict[str, Any]], response_format: dict[str, Any] | None = None) -> str | Reply:
    words = messages[-1]["content"].rstrip(".").split()
    if "secret" in words:
        return Reply(refusal="That is nobody's business.")
    if response_format is None or response_format["type"] != "json_schema":
        return " ".join(words)
    wanted = response_format["json_schema"]["schema"]["properties"]
    found = {"name": words[0], "year": int(words[-1])}
    return json.dumps({name: found[name] for name in wanted})


# --8<-- [end:app]

# --8<-- [start:server]
app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")
# --8<-- [end:server]


# --8<-- [start:client]
class Birth(BaseModel):
    name: str
    year: int


async def ask(client: openai.AsyncOpenAI) -> None:
    text = "Ada was born in 1815."
    response = await client.responses.parse(model="m", input=text, text_format=Birth)
    print("responses:", repr(response.output_parsed))

    messages: Any = [{"role": "user", "content": text}]
    completion = await client.chat.completions.parse(model="m", messages=messages, response_format=Birth)
    print("chat:", repr(completion.choices[0].message.parsed))


# --8<-- [end:client]


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        await ask(client)
        messages: Any = [{"role": "user", "content": "Her secret of 1815"}]
        refused = await client.chat.completions.parse(model="m", messages=messages, response_format=Birth)
        print("refused:", refused.choices[0].message.refusal)


if __name__ == "__main__":
    asyncio.run(main())
