"""Start `ask_docs.py` on a free port, drive it with the official OpenAI SDK, and print what was called and came back.

    python docs/examples/ask_docs_demo.py

Ends with 0 where everything came back as it should.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam
from openai.types.responses import ResponseStreamEvent

QUESTIONS = ["What is openai-middleware?", "How do I add the middleware to a FastAPI app?", "Is it a proxy?"]


@contextmanager
def running_app(log: IO[str]) -> Iterator[str]:
    """The base URL of the app, which runs in a process of its own until the end of the `with` block.

    What the app logs goes into a file, so that it does not mix with the transcript. A failure shows it.
    """
    try:
        with TemporaryDirectory() as directory:
            program, database = Path(__file__).with_name("ask_docs.py"), Path(directory, "ask_docs.sqlite")
            command = [sys.executable, str(program), "--database", str(database)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
                try:
                    assert process.stdout is not None
                    base_url = process.stdout.readline().strip()
                    if not base_url:
                        raise SystemExit(f"The app did not start: it ended with {process.wait()}.")
                    yield base_url
                finally:
                    process.terminate()
    except BaseException:
        log.seek(0)
        sys.stderr.write(log.read())
        raise


def chat_completions(client: openai.OpenAI) -> None:
    heading("Chat completions")
    created = [ask(client, question) for question in QUESTIONS]
    first = created[0]

    called('client.chat.completions.list(limit=2, metadata={"topic": "demo"})')
    page = client.chat.completions.list(limit=2, metadata={"topic": "demo"})
    came_back(f"a page of {len(page.data)}, has_more={page.has_more}: {[item.id for item in page.data]}")
    expect([item.id for item in page.data], [item.id for item in created[:2]])
    every = [item.id for item in page]
    came_back(f"iterating over it fetches the next page too: {len(every)} completions in all")
    expect(every, [item.id for item in created])

    called(f'client.chat.completions.retrieve("{first.id}")')
    retrieved = client.chat.completions.retrieve(first.id)
    came_back(f"metadata={retrieved.metadata}, the same answer: {retrieved.choices == first.choices}")
    expect(retrieved.choices, first.choices)

    called(f'client.chat.completions.messages.list("{first.id}")')
    messages = client.chat.completions.messages.list(first.id)
    came_back(f"{[message.content for message in messages]}")
    expect([message.content for message in messages], QUESTIONS[:1])

    called(f'client.chat.completions.update("{first.id}", metadata={{"topic": "done"}})')
    updated = client.chat.completions.update(first.id, metadata={"topic": "done"})
    came_back(f"metadata={updated.metadata}")
    expect(updated.metadata, {"topic": "done"})

    called(f'client.chat.completions.delete("{first.id}")')
    deleted = client.chat.completions.delete(first.id)
    came_back(f"deleted={deleted.deleted}")
    expect(deleted.deleted, True)
    expect([item.id for item in client.chat.completions.list()], [item.id for item in created[1:]])


def ask(client: openai.OpenAI, question: str) -> ChatCompletion:
    messages = messages_with(question)
    called(f'client.chat.completions.create(model="ask-docs", messages={messages}, metadata={{"topic": "demo"}})')
    completion = client.chat.completions.create(model="ask-docs", messages=messages, metadata={"topic": "demo"})
    message = completion.choices[0].message
    came_back(completion.id)
    came_back(message.content or "", indent="    | ")
    for annotation in message.annotations or []:
        came_back(f"from {annotation.url_citation.url}: {annotation.url_citation.title}")
    expect(bool(message.annotations), True)
    return completion


def messages_with(question: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": question}]


def responses(client: openai.OpenAI) -> None:
    heading("Responses")
    called(f'client.responses.create(model="ask-docs", input="{QUESTIONS[1]}")')
    created = client.responses.create(model="ask-docs", input=QUESTIONS[1])
    came_back(f"{created.id}, status={created.status}, error={created.error}")
    came_back(created.output_text, indent="    | ")
    expect(created.status, "completed")

    called(f'client.responses.retrieve("{created.id}")')
    retrieved = client.responses.retrieve(created.id)
    came_back(f"the same answer: {retrieved.output_text == created.output_text}")
    expect(retrieved.output, created.output)

    called(f'client.responses.input_items.list("{created.id}")')
    items = client.responses.input_items.list(created.id)
    came_back(f"{[item.to_dict() for item in items]}")
    expect(len(items.data), 1)

    called(f'client.responses.delete("{created.id}")')
    client.responses.delete(created.id)
    came_back("nothing, as the SDK has it")


def streams(client: openai.OpenAI) -> None:
    heading("Streams")
    print("Printed as it arrives: each word before a bar is a chunk of its own, and each line an event.")
    messages = messages_with(QUESTIONS[1])
    called(
        f'client.chat.completions.create(model="ask-docs", messages={messages}, '
        'stream=True, stream_options={"include_usage": True})'
    )
    chunks = show_chunks(
        client.chat.completions.create(
            model="ask-docs", messages=messages, stream=True, stream_options={"include_usage": True}
        )
    )
    usage = chunks[-1].usage
    assert usage is not None
    came_back(f"finish_reason={chunks[-2].choices[0].finish_reason!r}, completion_tokens={usage.completion_tokens}")

    called(f'client.chat.completions.retrieve("{chunks[0].id}")')
    stored = client.chat.completions.retrieve(chunks[0].id).choices[0].message.content
    came_back(f"the same text: {stored == text_of(chunks)}")
    expect(text_of(chunks), stored)

    called(f'client.responses.create(model="ask-docs", input="{QUESTIONS[1]}", stream=True)')
    events = show_events(client.responses.create(model="ask-docs", input=QUESTIONS[1], stream=True))
    completed = events[-1]
    assert completed.type == "response.completed"

    called(f'client.responses.retrieve("{completed.response.id}", stream=True)')
    replayed = list(client.responses.retrieve(completed.response.id, stream=True))
    came_back(f"the same {len(replayed)} events: {replayed == events}")
    expect(replayed, events)

    called(f'client.responses.stream(model="ask-docs", input="{QUESTIONS[1]}").get_final_response()')
    with client.responses.stream(model="ask-docs", input=QUESTIONS[1]) as stream:
        final = stream.get_final_response()
    came_back(f"status={final.status}, the same text: {final.output_text == completed.response.output_text}")
    expect(final.output_text, completed.response.output_text)


def broken_streams(client: openai.OpenAI) -> None:
    heading("Streams that the app breaks in the middle")
    messages = messages_with(QUESTIONS[1])
    called(f'client.chat.completions.create(model="ask-docs-unreliable", messages={messages}, stream=True)')
    with expected(openai.APIError, code="index_closed"):
        show_chunks(client.chat.completions.create(model="ask-docs-unreliable", messages=messages, stream=True))

    called(f'client.responses.create(model="ask-docs-unreliable", input="{QUESTIONS[1]}", stream=True)')
    with expected(openai.APIError, code="index_closed"):
        show_events(client.responses.create(model="ask-docs-unreliable", input=QUESTIONS[1], stream=True))


def show_chunks(stream: Iterable[ChatCompletionChunk]) -> list[ChatCompletionChunk]:
    """Print the words of an answer as they arrive."""
    chunks = []
    print("    ", end="")
    try:
        for chunk in stream:
            chunks.append(chunk)
            if word := text_of([chunk]):
                print(word.replace("\n", "\n    "), end="|", flush=True)
    finally:
        print()
    return chunks


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def show_events(stream: Iterable[ResponseStreamEvent], most_deltas: int = 6) -> list[ResponseStreamEvent]:
    """Print the events of a response as they arrive."""
    events: list[ResponseStreamEvent] = []
    deltas = 0
    for event in stream:
        events.append(event)
        if event.type == "response.output_text.delta":
            deltas += 1
            if deltas <= most_deltas:
                came_back(f"{event.sequence_number:>3} {event.type} {event.delta!r}")
            continue
        if event.type == "response.output_text.done" and deltas > most_deltas:
            came_back(f"    … and {deltas - most_deltas} more deltas")
        came_back(f"{event.sequence_number:>3} {event.type}")
    return events


def errors(client: openai.OpenAI) -> None:
    heading("Errors")
    called('client.responses.retrieve("resp_unknown")')
    with expected(openai.NotFoundError, param="response_id"):
        client.responses.retrieve("resp_unknown")

    called('client.post("/chat/completions", body={"model": "ask-docs"}, cast_to=ChatCompletion)')
    with expected(openai.UnprocessableEntityError, param="messages"):
        client.post("/chat/completions", body={"model": "ask-docs"}, cast_to=ChatCompletion)


@contextmanager
def expected(kind: type[openai.APIError], **attributes: str) -> Iterator[None]:
    try:
        yield
    except kind as error:
        came_back(f"openai.{type(error).__name__}: {error.message}")
        came_back(f"param={error.param!r}, code={error.code!r}, type={error.type!r}")
        expect(type(error), kind)
        expect({name: getattr(error, name) for name in attributes}, attributes)
    else:
        raise SystemExit(f"openai.{kind.__name__} was expected.")


def expect(actual: object, wanted: object) -> None:
    if actual != wanted:
        raise SystemExit(f"Expected {wanted!r}, got {actual!r}.")


def heading(text: str) -> None:
    print(f"\n{text}\n{'=' * len(text)}")


def called(code: str) -> None:
    print(f"\n>>> {code}")


def came_back(text: str, indent: str = "    ", most_lines: int = 8) -> None:
    lines = text.splitlines()
    for line in lines[:most_lines]:
        print(indent + (line if len(line) <= 110 else f"{line[:109]}…"), flush=True)
    if len(lines) > most_lines:
        print(f"{indent}… and {len(lines) - most_lines} more lines")


def logged(log: str) -> None:
    heading("The app's log")
    print("The server, too, learns of the streams that broke.")
    failures = [line for line in log.splitlines() if line.startswith("openai_middleware.errors.")]
    for failure in failures:
        came_back(failure)
    expect(len(failures), 2)


def main() -> None:
    http_client = openai.DefaultHttpxClient(trust_env=False)  # an HTTP proxy in the environment is not for this machine
    with TemporaryFile("w+", encoding="utf-8") as log:
        with (
            running_app(log) as base_url,
            openai.OpenAI(base_url=base_url, api_key="none", http_client=http_client) as client,
        ):
            called(f'client = openai.OpenAI(base_url="{base_url}", api_key="none")')
            chat_completions(client)
            responses(client)
            streams(client)
            broken_streams(client)
            errors(client)
        log.seek(0)
        logged(log.read())
    print("\nEverything came back as it should.")


if __name__ == "__main__":
    main()
