"""Ask this project's documentation, with the official OpenAI SDK as the client.

A FastAPI app that searches the documentation with SQLite's full-text search. Functions that reply answer chat
completions, Responses and text completions with what it finds; routes of the app serve files and searches. A store
keeps what was answered, in memory.

    python docs/examples/ask_docs.py [--port PORT]

The model `ask-docs` answers with the best passages, word by word. `ask-docs-agent` has the client read a page first.
`ask-docs-unreliable` breaks off after a few words, to show what a client gets then.
"""

import argparse
import contextlib
import itertools
import re
import signal
import socket
from collections.abc import Iterator
from typing import Annotated, Any

import uvicorn
from ask_docs_library import Document, documentation, page
from fastapi import Depends, FastAPI, File, Form, UploadFile
from fastapi.responses import PlainTextResponse
from pydantic import TypeAdapter, ValidationError

from openai_middleware import Dispatcher, OpenAICall, Reply, ToolCall, Usage
from openai_middleware.adapters.fastapi import openai_call, set_openai_frontend
from openai_middleware.errors import BadRequestError, InternalServerError
from openai_middleware.store import Store, by_api_key

Json = dict[str, Any]
MESSAGES = TypeAdapter(list[Json])
Call = Annotated[OpenAICall, Depends(openai_call)]

library = documentation()
app = FastAPI(title="Ask the docs")
dispatch = Dispatcher()
set_openai_frontend(app, prefix="/v1", handlers=dispatch, store=Store("sqlite://", owner=by_api_key))


# Functions that reply


@dispatch.reply(model="ask-docs")
def answer(messages: list[Json]) -> Iterator[str | Reply | Usage]:
    found = library.search(last_question(messages))
    if found:
        sources = ", ".join(sorted({passage.name for passage in found}))
        yield Reply(reasoning=f"I searched the documentation: {sources}.")
    text = "\n\n".join(f"{passage.text}\n({passage.heading}, {passage.name})" for passage in found)
    words = re.split(r"(?<=\s)(?=\S)", text or "The documentation does not say.")
    yield from words
    # There is no model, and so no tokenizer: as many as there are words.
    yield Usage(sum(len(text_of(message).split()) for message in messages), len(words))


@dispatch.reply(model="ask-docs-agent")
def look_up(messages: list[Json], tools: list[Json] | None = None) -> Reply | str:
    found = library.search(last_question(messages), limit=1)
    if messages[-1].get("role") == "tool":
        title, _, _ = text_of(messages[-1]).partition("\n")
        return f"Read on there. It begins with: {title}"
    if not found or not tools:
        return "The documentation does not say."
    return Reply(tool_calls=[ToolCall("read_page", {"file_id": found[0].document_id})])


@dispatch.reply(model="ask-docs-unreliable")
def break_off(messages: list[Json]) -> Iterator[str | Reply | Usage]:
    yield from itertools.islice(answer(messages), 6)
    raise InternalServerError("The index was closed while it was read.", code="index_closed")


def last_question(messages: list[Json]) -> str:
    try:
        MESSAGES.validate_python(messages)
    except ValidationError as error:
        raise BadRequestError("'messages' is a list of objects.", param="messages") from error
    for message in reversed(messages):
        if message.get("role") == "user":
            return text_of(message)
    raise BadRequestError("There is no message of a user.")


def text_of(message: Json) -> str:
    """The text of a message, whose content is a string or a list of parts."""
    content: list[Json] | str | None = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part["text"]) for part in content if "text" in part)
    return content or ""


# Routes of the app, for the operations that are about its documents


@app.get("/v1/files")
def list_files(call: Call) -> Json:
    return page([about(document) for document in library.all()], **call.query_params)


@app.post("/v1/files")
def create_file(file: Annotated[UploadFile, File()], purpose: Annotated[str, Form()]) -> Json:
    return about(library.add(file.filename or "unnamed", file.file.read().decode("utf-8", "replace")), purpose)


@app.get("/v1/files/{file_id}")
def retrieve_file(file_id: str) -> Json:
    return about(library.find(file_id))


@app.get("/v1/files/{file_id}/content")
def retrieve_content(file_id: str) -> PlainTextResponse:
    return PlainTextResponse(library.find(file_id).text)


@app.delete("/v1/files/{file_id}")
def delete_file(file_id: str) -> Json:
    library.remove(file_id)
    return {"id": file_id, "object": "file", "deleted": True}


@app.post("/v1/vector_stores/{vector_store_id}/search")
def search(call: Call) -> Json:
    query = call.kwargs["query"]
    question = query if isinstance(query, str) else " ".join(query)
    found = [
        {
            "file_id": passage.document_id,
            "filename": passage.name,
            "score": passage.score,
            "attributes": {"heading": passage.heading},
            "content": [{"type": "text", "text": passage.text}],
        }
        for passage in library.search(question, call.kwargs.get("max_num_results") or 10)
    ]
    searched = {"object": "vector_store.search_results.page", "search_query": [question]}
    return {**searched, "data": found, "has_more": False, "next_page": None}


def about(document: Document, purpose: str = "assistants") -> Json:
    return {
        "id": document.id,
        "object": "file",
        "bytes": len(document.text.encode()),
        "created_at": document.created_at,
        "filename": document.name,
        "purpose": purpose,
        "status": "processed",
    }


HOW_TO_ASK = """\
{url}

    curl -s {url}/responses -H 'Authorization: Bearer any' -H 'Content-Type: application/json' \\
         -d '{{"model": "ask-docs", "input": "What is a rewrite?"}}'

    from openai import OpenAI

    client = OpenAI(base_url="{url}", api_key="unused")
    print(client.responses.create(model="ask-docs", input="What is a rewrite?").output_text)

Ctrl-C stops it."""


def listening(port: int | None) -> socket.socket:
    """A socket that listens at a port; without one at 8000, or at any other where that is taken."""
    if port is None:
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", 8000))
    return socket.create_server(("127.0.0.1", port or 0))


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask this project's documentation with the OpenAI SDK.")
    parser.add_argument("--port", type=int, help="the port on 127.0.0.1; 8000 without it, where that is free")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as after Ctrl-C
    with contextlib.suppress(KeyboardInterrupt), listening(arguments.port) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as asyncio does for sockets of its own
        print(HOW_TO_ASK.format(url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1"), flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
