"""What goes wrong most often with a new app, what the client sees of it, and what mends it."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse

from openai_middleware import Dispatcher
from openai_middleware.adapters.fastapi import set_openai_frontend
from openai_middleware.errors import RateLimitError

logging.getLogger("openai_middleware").setLevel(logging.CRITICAL)  # the page has what it says

MESSAGES: Any = [{"role": "user", "content": "Good morning"}]


def words() -> Iterator[str]:
    yield from ("Good ", "morning ", "to you")


# One function, and an app beside it.

# --8<-- [start:one_model]
app = FastAPI()
dispatch = Dispatcher()


@dispatch.reply(model="house")
def hello(messages: list[dict[str, Any]]) -> str:
    return "Good morning to you"


set_openai_frontend(app, prefix="/v1", handlers=dispatch)
# --8<-- [end:one_model]


async def not_found() -> None:
    for base_url, model in (("http://app", "house"), ("http://app/v1", "gpt-5"), ("http://app/v1", "house")):
        print(f"{base_url} {model}: {await asked(app, base_url=base_url, model=model)}")
    async with client_of(app) as client:
        try:
            await client.files.list()
        except openai.NotFoundError as error:
            print(error)


# A stream that the client cannot read as one.

streaming_app = FastAPI()
set_openai_frontend(streaming_app, prefix="/v1")


# --8<-- [start:no_type]
@streaming_app.post("/v1/chat/completions")
def chat() -> StreamingResponse:
    return StreamingResponse(words())  # without a media type: what leaves is no reply and no event stream


# --8<-- [end:no_type]

typed_app = FastAPI()
set_openai_frontend(typed_app, prefix="/v1")


# --8<-- [start:type]
@typed_app.post("/v1/chat/completions")
def typed_chat() -> StreamingResponse:
    return StreamingResponse(words(), media_type="text/plain")


# --8<-- [end:type]


async def empty_stream() -> None:
    for name, mended in (("without a type", streaming_app), ("as text/plain", typed_app)):
        async with client_of(mended) as client:
            stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            print(f"{name}: {[chunk.choices[0].delta.content async for chunk in stream]}")


# An answer that is nobody's.

mapped_app = FastAPI()
set_openai_frontend(mapped_app, prefix="/v1")


# --8<-- [start:no_choices]
@mapped_app.post("/v1/chat/completions")
def answer() -> dict[str, str]:
    return {"answer": "Good morning to you"}  # no chat completion


# --8<-- [end:no_choices]


# What the SDK sends again.

busy_app = FastAPI()
busy = Dispatcher()
tries: list[str] = []


# --8<-- [start:busy]
@busy.reply
def answer_or_refuse(messages: list[dict[str, Any]], model: str) -> str:
    tries.append(model)
    if model == "busy":
        raise RateLimitError("Come back later.")  # sent again, as 408, 502, 503 and 504 are
    if model == "full":
        raise RateLimitError("Your quota is used up.", should_retry=False)
    raise ValueError("A bug.")


# --8<-- [end:busy]
set_openai_frontend(busy_app, prefix="/v1", handlers=busy)


async def sent_again() -> None:
    for model in ("busy", "full", "bug"):
        tries.clear()
        print(f"{model}: {await asked(busy_app, model=model)}, {len(tries)} times")


# A page in a browser asks before it sends, and may read only what is allowed.

page_app = FastAPI()
# --8<-- [start:cors]
page_app.add_middleware(
    CORSMiddleware,
    allow_origins=["https://page.example"],
    allow_methods=["*"],
    allow_headers=["*"],  # Authorization, Content-Type, and the X-Stainless-... of OpenAI's SDK
)
set_openai_frontend(page_app, prefix="/v1", handlers=dispatch)
# --8<-- [end:cors]

strict_app = FastAPI()
strict_app.add_middleware(CORSMiddleware, allow_origins=["https://page.example"])
set_openai_frontend(strict_app, prefix="/v1", handlers=dispatch)


async def preflight() -> None:
    asks = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
    }
    for name, served in (("origins alone", strict_app), ("methods and headers too", page_app)):
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(served), base_url="http://app") as client:
            told = await client.options("/v1/chat/completions", headers=asks)
            print(f"{name}: {told.status_code} {told.text}")


async def nobody_there() -> None:
    async with openai.AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key="unused", max_retries=0) as client:
        try:
            await client.models.list()
        except openai.APIConnectionError as error:
            print(type(error).__name__, error)


def client_of(served: FastAPI, base_url: str = "http://app/v1") -> openai.AsyncOpenAI:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(served))
    return openai.AsyncOpenAI(base_url=base_url, api_key="unused", http_client=http_client)


async def asked(served: FastAPI, *, model: str, base_url: str = "http://app/v1") -> str | None:
    """What the function says, or the error that the caller gets."""
    async with client_of(served, base_url) as client:
        try:
            completion = await client.chat.completions.create(model=model, messages=MESSAGES)
        except openai.APIStatusError as error:
            return f"{type(error).__name__} {error}"
        return completion.choices[0].message.content


async def main() -> None:
    await not_found()
    await empty_stream()
    print(await asked(mapped_app, model="m"))
    await sent_again()
    await preflight()
    await nobody_there()


if __name__ == "__main__":
    asyncio.run(main())
