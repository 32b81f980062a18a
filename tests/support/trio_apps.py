"""Apps for a server that runs on trio: one that is only wrapped, and functions, which need asyncio."""

import json
from typing import Any

from openai_middleware import HandlerApp, OpenAIMiddleware
from tests.support.drivers import Message, part, start
from tests.support.samples import CHUNK, JUNK


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Lists no models, or streams two chunks."""
    if scope["type"] == "lifespan":
        while True:
            message: Message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/v1/models":
        await send(start(200, [(b"content-type", b"application/json")]))
        await send(part(b'{"object": "list", "data": [], "junk": 1}'))
        return
    await send(start(200, [(b"content-type", b"text/event-stream")]))
    for number in range(2):
        await send(
            part(b"data: " + json.dumps({**JUNK, **CHUNK, "created": number}).encode() + b"\n\n", more_body=True)
        )
    await send(part(b""))


def models(body: Any) -> Any:
    """No models."""
    return {"object": "list", "data": []}


wrapped = OpenAIMiddleware(app, prefix="/v1")
beside = OpenAIMiddleware(app, prefix="/v1", handlers={"models.list": models})
handled = OpenAIMiddleware(HandlerApp(models), prefix="/v1")
