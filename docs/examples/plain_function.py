"""One plain function with the OpenAI API around it.

uvicorn --app-dir docs/examples plain_function:app
gunicorn --chdir docs/examples plain_function:wsgi_app
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import openai

# --8<-- [start:app]
from openai_middleware import HandlerApp, OpenAIEndpoint, OpenAIMiddleware, OpenAIWSGIMiddleware, WSGIHandlerApp


def shout(body: Any, *, messages: list[dict[str, Any]]) -> Iterator[str]:
    for word in messages[-1]["content"].upper().split():
        yield f"{word} "


app = OpenAIMiddleware(HandlerApp(shout), [OpenAIEndpoint.CHAT_COMPLETIONS], prefix="/v1")
wsgi_app = OpenAIWSGIMiddleware(WSGIHandlerApp(shout), [OpenAIEndpoint.CHAT_COMPLETIONS], prefix="/v1")
# --8<-- [end:app]


async def main() -> None:
    messages: Any = [{"role": "user", "content": "is anybody there"}]
    absent: Any = openai.omit

    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        # The function does not declare `temperature`, so it is not called with it.
        completion = await client.chat.completions.create(model="loud", messages=messages, temperature=0)
        print("ASGI:", completion.choices[0].message.content)
        try:
            await client.chat.completions.create(model="loud", messages=absent)
        except openai.UnprocessableEntityError as error:
            print("ASGI:", error)

    wsgi_client = httpx2.Client(transport=httpx2.WSGITransport(wsgi_app))
    with openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=wsgi_client) as sync_client:
        for chunk in sync_client.chat.completions.create(model="loud", messages=messages, stream=True):
            print("WSGI:", repr(chunk.choices[0].delta.content))


if __name__ == "__main__":
    asyncio.run(main())
