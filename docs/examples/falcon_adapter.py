"""An adapter for Falcon, in the four steps of docs/write-your-own-adapter.md, and an app that uses it."""

from types import SimpleNamespace
from typing import Any

import falcon
import httpx
import openai

# --8<-- [start:adapter]
from openai_middleware.drivers import Handler, OpenAICall, OpenAIError, OpenAIWSGIMiddleware, Response, call_in, iterate
from openai_middleware.errors import NotFoundError


def openai_frontend(app: falcon.App, **options: Any) -> OpenAIWSGIMiddleware:
    app.add_error_handler(OpenAIError, lambda req, resp, error, params: respond(resp, Response.of_error(error)))
    return OpenAIWSGIMiddleware(app, **options)


def openai_call(req: falcon.Request) -> OpenAICall:
    return call_in(req.env, f"{req.method} {req.path}", "the app is not wrapped: call openai_frontend(app)")


def openai_responder(function: Any) -> Any:
    handler = Handler(function)
    return lambda req, resp, **params: respond(resp, Response.of(handler.run(openai_call(req))))


def respond(resp: falcon.Response, response: Response) -> None:
    resp.status, resp.data = response.status_code, response.content
    resp.set_headers(response.headers)
    resp.stream = None if response.events is None else iterate(response.events)


def create(body: Any, *, model: str, messages: list[dict[str, Any]], stream: bool = False) -> Any:
    if model != "loud":
        raise NotFoundError(f"There is no model {model!r}.", param="model", code="model_not_found")
    words, about = messages[-1]["content"].upper().split(), {"id": "chatcmpl-1", "created": 1, "model": model}
    if stream:
        return (about | {"choices": [{"index": 0, "delta": {"content": word}}]} for word in words)
    choice = {"index": 0, "message": {"role": "assistant", "content": " ".join(words)}, "finish_reason": "stop"}
    return about | {"object": "chat.completion", "choices": [choice]}


app = falcon.App()
app.add_route("/v1/chat/completions", SimpleNamespace(on_post=openai_responder(create)))
application = openai_frontend(app, prefix="/v1")
# --8<-- [end:adapter]

if __name__ == "__main__":
    question: Any = {"model": "loud", "messages": [{"role": "user", "content": "is anybody there"}]}
    http_client = httpx.Client(transport=httpx.WSGITransport(application))
    with openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        print(client.chat.completions.create(**question).choices[0].message.content)
        print([chunk.choices[0].delta.content for chunk in client.chat.completions.create(**question, stream=True)])
        try:
            client.chat.completions.create(**question | {"model": "soft"})
        except openai.NotFoundError as error:
            print(error.param, error)
