"""The answers of `ask_docs.py` as streams of the OpenAI API's events, with the text word by word.

The middleware does the rest: it numbers the events of a response and ends a stream of chunks with `[DONE]`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator

from ask_docs_library import Json
from fastapi.responses import StreamingResponse

from openai_middleware.errors import InternalServerError

UNRELIABLE_MODEL = "ask-docs-unreliable"


def stream(events: Iterable[Json]) -> StreamingResponse:
    return StreamingResponse((f"data: {json.dumps(event)}\n\n" for event in events), media_type="text/event-stream")


def completion_chunks(completion: Json, include_usage: bool, save: Callable[[], None]) -> Iterator[Json]:
    """The chunks of a chat completion; `save` is called when all but the last of the answer have left."""
    message = completion["choices"][0]["message"]
    common = {key: completion[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

    def chunk(delta: Json, finish_reason: str | None = None) -> Json:
        return {**common, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    yield chunk({"role": "assistant", "content": ""})
    for word in words(message["content"], completion["model"]):
        yield chunk({"content": word})
    save()
    yield chunk({"annotations": message["annotations"]}, finish_reason="stop")
    if include_usage:
        yield {**common, "choices": [], "usage": completion["usage"]}


def response_events(response: Json, save: Callable[[], None] = lambda: None) -> Iterator[Json]:
    """The events of a completed response; `save` is called when all but the last have left."""
    [message] = response["output"]
    [part] = message["content"]
    begun = {**response, "status": "in_progress", "completed_at": None, "output": [], "usage": None}
    begun_message = {**message, "status": "in_progress", "content": []}
    here = {"item_id": message["id"], "output_index": 0, "content_index": 0}

    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    yield {"type": "response.output_item.added", "output_index": 0, "item": begun_message}
    yield {"type": "response.content_part.added", **here, "part": {**part, "text": "", "annotations": []}}
    for word in words(part["text"], response["model"]):
        yield {"type": "response.output_text.delta", **here, "delta": word, "logprobs": []}
    yield {"type": "response.output_text.done", **here, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **here, "part": part}
    yield {"type": "response.output_item.done", "output_index": 0, "item": message}
    save()
    yield {"type": "response.completed", "response": response}


def resumed(events: Iterable[Json], after: int) -> Iterator[Json]:
    """The events after the one with this number. They bring their numbers: the middleware would count from 0."""
    for number, event in enumerate(events):
        if number > after:
            yield {**event, "sequence_number": number}


def words(text: str, model: str) -> Iterator[str]:
    """The text in pieces that make it up again. The unreliable model gives up after five of them."""
    pieces = re.split(r"(?<=\s)(?=\S)", text)
    if model == UNRELIABLE_MODEL:
        yield from pieces[:5]
        raise InternalServerError("The index was closed while it was read.", code="index_closed")
    yield from pieces
