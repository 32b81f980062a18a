"""Functions that reply, asked for an answer of each API, and what left read again."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, get_args

from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from openai_middleware import Dispatcher
from openai_middleware.errors import OpenAIError
from openai_middleware.replies.forms import RENDERINGS
from tests.support.drivers import Sent
from tests.support.handlers import by_asgi
from tests.support.server_sent_events import parse

CHAT = "chat.completions.create"
RESPONSES = "responses.create"
COMPLETIONS = "completions.create"
OPERATIONS = [CHAT, RESPONSES, COMPLETIONS]

TARGETS = {CHAT: "/v1/chat/completions", RESPONSES: "/v1/responses", COMPLETIONS: "/v1/completions"}
QUESTIONS: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "Why?"}]},
    RESPONSES: {"model": "m", "input": "Why?"},
    COMPLETIONS: {"model": "m", "prompt": "Why?"},
}

_WHOLE: dict[str, Any] = {CHAT: ChatCompletion, RESPONSES: Response, COMPLETIONS: Completion}
_EVENTS = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(ResponseStreamEvent)[0])
}


def replying(function: Callable[..., Any]) -> Dispatcher:
    """A dispatcher with one function for every operation that takes replies."""
    dispatch = Dispatcher()
    dispatch.reply(function)
    return dispatch


def saying(*pieces: Any) -> Callable[..., Iterator[Any]]:
    """A function that yields these, and raises those that are exceptions."""

    def reply(messages: Any) -> Iterator[Any]:
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    return reply


def send(operation: str, function: Callable[..., Any], serve: Any = by_asgi, **fields: Any) -> Sent:
    """Ask a function that replies; fields stand in the request beside a question."""
    # Building the whole surface takes longer than a request.
    group = operation.removesuffix(".create").replace(".", "_")
    body = {**QUESTIONS[operation], **fields}
    return serve(replying(function), "POST", TARGETS[operation], body, endpoints=[group])


def documents(sent: Sent) -> list[Any]:
    """The data of all events. Those of Responses have their type as name, the others have none and end with [DONE]."""
    assert (sent.status, sent.header("content-type")) == (200, "text/event-stream")
    assert sent.header("content-length") is None
    events = parse(sent.body)
    if events and events[-1].data == "[DONE]":
        assert events.pop().type == ""
        assert [event.type for event in events] == [""] * len(events)
    else:
        assert [event.type for event in events] == [json.loads(event.data).get("type", "") for event in events]
    return [json.loads(event.data) for event in events]


def whole_of(operation: str, reply: Any, **fields: Any) -> Any:
    """The whole answer that a reply is; the SDK's strict type takes it."""
    sent = send(operation, lambda messages: reply, **fields)
    assert (sent.status, sent.header("content-type")) == (200, "application/json"), sent.body
    assert sent.header("content-length") == str(len(sent.body))
    _WHOLE[operation].model_validate(sent.json, strict=True)
    return sent.json


def events_of(operation: str, *pieces: Any, is_strict: bool = True, **fields: Any) -> list[Any]:
    """The events that pieces are; the SDK's strict types take them, but those of text completions."""
    sent = send(operation, saying(*pieces), stream=True, **fields)
    events = documents(sent)
    assert sent.body.endswith(b"data: [DONE]\n\n") == (operation != RESPONSES)
    if is_strict:
        validate_events(operation, events)
    return events


def validate_events(operation: str, events: Iterable[Any]) -> None:
    """Check events against the SDK's types. Its type for completions knows no chunk without a finish reason."""
    for event in events:
        if operation == CHAT:
            ChatCompletionChunk.model_validate(event)
        elif operation == RESPONSES:
            _EVENTS[event["type"]].model_validate(event)


def rendered(operation: str, pieces: Iterable[Any], **fields: Any) -> tuple[list[Any], Any]:
    """The same without a server between: the events, and the whole answer that the same rendering gives."""
    rendering = RENDERINGS[operation]({**QUESTIONS[operation], **fields, "stream": True})
    stream = b"".join(rendering.feed(piece) for piece in pieces) + rendering.finish()
    events = [json.loads(event.data) for event in parse(stream) if event.data != "[DONE]"]
    return events, json.loads(json.dumps(rendering.whole()))


def rendered_whole(operation: str, pieces: Iterable[Any], **fields: Any) -> Any:
    """The whole answer that pieces are where nobody asked for a stream."""
    rendering = RENDERINGS[operation]({**QUESTIONS[operation], **fields})
    assert b"".join([*(rendering.feed(piece) for piece in pieces), rendering.finish()]) == b""
    return json.loads(json.dumps(rendering.whole()))


def broken(operation: str, pieces: Iterable[Any], error: OpenAIError) -> list[Any]:
    """The events of a rendering that fails after these pieces."""
    rendering = RENDERINGS[operation]({**QUESTIONS[operation], "stream": True})
    stream = b"".join(rendering.feed(piece) for piece in pieces) + rendering.fail(error)
    return [json.loads(event.data) for event in parse(stream)]


def text_of(operation: str, answer: Any) -> str:
    """The text of a whole answer."""
    if operation == CHAT:
        return str(answer["choices"][0]["message"]["content"] or "")
    if operation == COMPLETIONS:
        return str(answer["choices"][0]["text"])
    parts = [part for item in answer["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part.get("text", "") for part in parts)


def deltas_of(operation: str, events: Iterable[Any]) -> list[str]:
    """The pieces of text in the events of a stream. Blank ones are none."""
    if operation == RESPONSES:
        texts = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    else:
        choices = [choice for event in events for choice in event["choices"]]
        texts = [choice["delta"].get("content") if operation == CHAT else choice["text"] for choice in choices]
    return [text for text in texts if text]
