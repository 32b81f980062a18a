"""An adapter for Falcon, in the four steps of docs/write-your-own-adapter.md, and an app that uses it."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
from types import SimpleNamespace
from typing import Any

import falcon
import httpx2
import openai

# --8<-- [start:adapter]
from openai_middleware.drivers import Handler, OpenAICall, OpenAIError, OpenAIWSGIMiddleware, Response, call_in, iterate
from openai_middleware.errors import NotFoundError


def openai_frontend(app: Any, **options: Any) -> OpenAIWSGIMiddleware:
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
    messages: Any = [{"role": "user", "content": "is anybody there"}]
    http_client = httpx2.Client(transport=httpx2.WSGITransport(application))
    with openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        print(client.chat.completions.create(model="loud", messages=messages).choices[0].message.content)
        stream = client.chat.completions.create(model="loud", messages=messages, stream=True)
        print([chunk.choices[0].delta.content for chunk in stream])
        try:
            client.chat.completions.create(model="soft", messages=messages)
        except openai.NotFoundError as error:
            print(error.param, error)
