"""Ask this project's documentation, with the official OpenAI SDK as the client.

A FastAPI app that stands on its own: it looks a question up in the documentation with SQLite's full-text search,
answers with the best passages, and stores what it answered. One line makes it an OpenAI API: `set_openai_frontend`.

    python docs/examples/ask_docs.py [--port PORT] [--database FILE]

Every model gives the same answers. Only the streams of the model `ask-docs-unreliable` break after a few words, to show
what a client gets then.
"""

import argparse
import contextlib
import secrets
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from ask_docs_events import completion_chunks, response_events, resumed, stream
from ask_docs_library import Json, Library, count_tokens, last_question, page
from fastapi import APIRouter, Depends, FastAPI, Request, Response

from openai_middleware import OpenAICall, errors
from openai_middleware.adapters.fastapi import openai_call, set_openai_frontend


def library_of(request: Request) -> Library:
    library: Library = request.app.state.library
    return library


Docs = Annotated[Library, Depends(library_of)]
Call = Annotated[OpenAICall, Depends(openai_call)]
router = APIRouter(prefix="/v1")


@router.post("/chat/completions", response_model=None)
def create_completion(call: Call, docs: Docs) -> Json | Response:
    messages = [{"id": new_id("msg"), **message} for message in objects(call.kwargs["messages"], "messages")]
    text, citations = docs.search(last_question(messages, "messages"))
    annotations = [{"type": "url_citation", "url_citation": citation} for citation in citations]
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": annotations}
    asked, answered = count_tokens(messages), len(text.split())
    completion = {
        "id": new_id("chatcmpl"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": call.kwargs["model"],
        "metadata": object_or_none(call, "metadata"),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered},
    }

    def save() -> None:
        if call.kwargs.get("store") is not False:
            docs.save("completion", messages, completion)

    if call.kwargs.get("stream"):
        options = object_or_none(call, "stream_options") or {}
        return stream(completion_chunks(completion, bool(options.get("include_usage")), save))
    save()
    return completion


@router.get("/chat/completions")
def list_completions(call: Call, docs: Docs) -> Json:
    model, metadata = call.kwargs.get("model"), object_or_none(call, "metadata") or {}
    found = [
        completion
        for completion in docs.all("completion")
        if model in (None, completion["model"]) and metadata.items() <= (completion["metadata"] or {}).items()
    ]
    return page(found, **call.query_params)


@router.get("/chat/completions/{completion_id}")
def retrieve_completion(completion_id: str, docs: Docs) -> Json:
    return docs.load("completion", completion_id)[1]


@router.post("/chat/completions/{completion_id}")
def update_completion(completion_id: str, call: Call, docs: Docs) -> Json:
    with docs.editing("completion", completion_id) as completion:
        completion["metadata"] = object_or_none(call, "metadata")
    return completion


@router.delete("/chat/completions/{completion_id}")
def delete_completion(completion_id: str, docs: Docs) -> Json:
    docs.delete("completion", completion_id)
    return {"id": completion_id, "object": "chat.completion.deleted", "deleted": True}


@router.get("/chat/completions/{completion_id}/messages")
def list_messages(completion_id: str, call: Call, docs: Docs) -> Json:
    return page(docs.load("completion", completion_id)[0], **call.query_params)


@router.post("/responses", response_model=None)
def create_response(call: Call, docs: Docs) -> Json | Response:
    items = conversation(call, docs)
    response = {
        "id": new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "queued",
        "background": bool(call.kwargs.get("background")),
        "model": call.kwargs.get("model", "ask-docs"),
        "metadata": object_or_none(call, "metadata"),
        "previous_response_id": call.kwargs.get("previous_response_id"),
        "output": [],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
    }

    def save() -> None:
        if call.kwargs.get("store") is not False:
            docs.save("response", items, response)

    if call.kwargs.get("stream"):
        complete(response, items, docs)
        return stream(response_events(response, save))
    if not response["background"]:
        complete(response, items, docs)
    save()
    return response


@router.get("/responses/{response_id}", response_model=None)
def retrieve_response(response_id: str, call: Call, docs: Docs) -> Json | Response:
    """A response; one that was created in the background is worked out when it is first asked for."""
    items, response = docs.load("response", response_id)
    if response["status"] == "queued":
        with docs.editing("response", response_id) as response:
            if response["status"] == "queued":
                complete(response, items, docs)
    if not call.kwargs.get("stream"):
        return response
    if response["status"] == "cancelled":
        raise errors.ConflictError("A cancelled response cannot be streamed.", param="stream")
    return stream(resumed(response_events(response), after=call.kwargs.get("starting_after", -1)))


@router.post("/responses/{response_id}/cancel")
def cancel_response(response_id: str, docs: Docs) -> Json:
    with docs.editing("response", response_id) as response:
        if response["status"] == "completed":
            raise errors.ConflictError("A completed response cannot be cancelled.", param="response_id")
        response["status"] = "cancelled"
    return response


@router.delete("/responses/{response_id}")
def delete_response(response_id: str, docs: Docs) -> Json:
    docs.delete("response", response_id)
    return {"id": response_id, "object": "response", "deleted": True}


@router.get("/responses/{response_id}/input_items")
def list_input_items(response_id: str, call: Call, docs: Docs) -> Json:
    return page(docs.load("response", response_id)[0], **{"order": "desc", **call.query_params})


@router.post("/responses/input_tokens")
def count_input_tokens(call: Call, docs: Docs) -> Json:
    return {"object": "response.input_tokens", "input_tokens": count_tokens(conversation(call, docs))}


@router.post("/responses/compact")
def compact_conversation(call: Call, docs: Docs) -> Json:
    """The conversation in a single item. All that the next answer needs of it is the last question."""
    items = conversation(call, docs)
    question = last_question(items, "input")
    return {
        "id": new_id("resp"),
        "object": "response.compaction",
        "created_at": int(time.time()),
        "output": [{"id": new_id("cmp"), "type": "compaction", "encrypted_content": question}],
        "usage": response_usage(items, question),
    }


def complete(response: Json, items: list[Json], docs: Library) -> None:
    text, citations = docs.search(last_question(items, "input"))
    message = input_item({"role": "assistant", "content": text})
    message["content"][0]["annotations"] = [{"type": "url_citation", **citation} for citation in citations]
    response |= {"status": "completed", "completed_at": int(time.time())}
    response |= {"output": [message], "usage": response_usage(items, text)}


def conversation(call: OpenAICall, docs: Library) -> list[Json]:
    """All items so far: what the previous response was asked, what it answered, and the new input."""
    given, previous = call.kwargs.get("input") or [], call.kwargs.get("previous_response_id")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    items = [input_item(item) for item in objects(given, "input")]
    if previous is None:
        return items
    asked, response = docs.load("response", previous, param="previous_response_id")
    return [*asked, *response["output"], *items]


def input_item(given: Json) -> Json:
    """An item as it is stored and listed: with an id, and with its text as a list of parts."""
    item = {"id": new_id("msg"), "type": "message", "status": "completed", **given}
    if isinstance(item.get("content"), str):
        is_answer = item.get("role") == "assistant"
        part = {"type": "output_text", "annotations": []} if is_answer else {"type": "input_text"}
        item["content"] = [{**part, "text": item["content"]}]
    return item


def response_usage(asked: list[Json], answer: str) -> Json:
    input_tokens, output_tokens = count_tokens(asked), len(answer.split())
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    }


def object_or_none(call: OpenAICall, param: str) -> Json | None:
    value = call.kwargs.get(param)
    if value is None or isinstance(value, dict):
        return value
    raise errors.BadRequestError(f"'{param}' is an object.", param=param)


def objects(values: Any, param: str) -> list[Json]:
    if isinstance(values, list) and all(isinstance(value, dict) for value in values):
        return values
    raise errors.BadRequestError(f"'{param}' is a list of objects.", param=param)


def new_id(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(8)}"


def create_app(database: Path) -> FastAPI:
    app = FastAPI(title="Ask the docs")
    app.state.library = Library(database)
    app.include_router(router)
    set_openai_frontend(app, prefix="/v1")
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask this project's documentation with the OpenAI SDK.")
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1; a free one without it")
    parser.add_argument("--database", type=Path, help="the SQLite file; a temporary one without it")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as after Ctrl-C: without the temporary file
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory() as directory,
        socket.create_server(("127.0.0.1", arguments.port)) as listener,
    ):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as asyncio does for sockets of its own
        app = create_app(arguments.database or Path(directory, "ask_docs.sqlite"))
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
