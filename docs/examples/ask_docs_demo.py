"""Start `ask_docs.py` on a free port, drive it with the official OpenAI SDK, and print what was called and came back.

    python docs/examples/ask_docs_demo.py

Ends with 0 where everything came back as it should.
"""

import json
import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import legacy_demo
import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam
from openai.types.responses import ResponseStreamEvent

QUESTION = "How do I add the middleware to a FastAPI app?"
READ_PAGE: Any = {
    "type": "function",
    "name": "read_page",
    "description": "Read a page of the documentation",
    "parameters": {"type": "object", "properties": {"file_id": {"type": "string"}}, "required": ["file_id"]},
    "strict": False,
}


@contextmanager
def running_app(log: IO[str]) -> Generator[str]:
    """The base URL of the app, which runs in a process of its own until the end of the `with` block.

    What the app logs goes into a file, so that it does not mix with the transcript. A failure shows it.
    """
    try:
        command = [sys.executable, str(Path(__file__).with_name("ask_docs.py")), "--port=0"]
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


def answers(client: openai.OpenAI) -> None:
    heading("One function, three APIs")
    messages = messages_with(QUESTION)
    called(f'client.chat.completions.create(model="ask-docs", messages={messages})')
    completion = client.chat.completions.create(model="ask-docs", messages=messages)
    [choice] = completion.choices
    came_back(f"{completion.id}, finish_reason={choice.finish_reason!r}")
    came_back(choice.message.content or "", indent="    | ")
    expect(choice.finish_reason, "stop")

    called(f'client.responses.create(model="ask-docs", input="{QUESTION}")')
    response = client.responses.create(model="ask-docs", input=QUESTION)
    came_back(f"{response.id}, status={response.status!r}, output={[item.type for item in response.output]}")
    for item in response.output:
        if item.type == "reasoning":
            came_back(f"reasoning: {item.summary[0].text}")
    came_back(f"the same text: {response.output_text == choice.message.content}")
    expect(response.output_text, choice.message.content)
    assert response.usage is not None
    assert completion.usage is not None
    came_back(f"the same usage: {response.usage.total_tokens == completion.usage.total_tokens}")
    expect(response.usage.total_tokens, completion.usage.total_tokens)

    called(f'client.completions.create(model="ask-docs", prompt="{QUESTION}")')
    text = client.completions.create(model="ask-docs", prompt=QUESTION).choices[0].text
    came_back(f"the same text: {text == response.output_text}")
    expect(text, response.output_text)

    called("client.models.list()")
    models = [model.id for model in client.models.list()]
    came_back(f"{models}")
    expect(models, ["ask-docs", "ask-docs-agent", "ask-docs-unreliable"])


def messages_with(question: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": question}]


def streams(client: openai.OpenAI) -> None:
    heading("Streams")
    print("Printed as it arrives: each word before a bar is a chunk of its own, and each line an event.")
    messages = messages_with(QUESTION)
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

    called(f'client.responses.create(model="ask-docs", input="{QUESTION}", stream=True)')
    events = show_events(client.responses.create(model="ask-docs", input=QUESTION, stream=True))
    completed = events[-1]
    assert completed.type == "response.completed"
    expect(completed.response.output_text, text_of(chunks))

    called(f'client.responses.stream(model="ask-docs", input="{QUESTION}").get_final_response()')
    with client.responses.stream(model="ask-docs", input=QUESTION) as stream:
        final = stream.get_final_response()
    came_back(f"status={final.status!r}, the same text: {final.output_text == text_of(chunks)}")
    expect(final.output_text, text_of(chunks))


def tools(client: openai.OpenAI) -> None:
    heading("An agent: the app asks for a call, and the client makes it")
    question = "What does a Flask view get?"
    called(f'client.responses.create(model="ask-docs-agent", input="{question}", tools=[READ_PAGE])')
    response = client.responses.create(model="ask-docs-agent", input=question, tools=[READ_PAGE])
    outputs: list[Any] = []
    for call in response.output:
        assert call.type == "function_call"
        came_back(f"{call.name}({call.arguments})")
        text = client.files.content(**json.loads(call.arguments)).text
        outputs.append({"type": "function_call_output", "call_id": call.call_id, "output": text})

    called('client.responses.create(model="ask-docs-agent", input=[the output], previous_response_id=..., ...)')
    response = client.responses.create(
        model="ask-docs-agent", input=outputs, tools=[READ_PAGE], previous_response_id=response.id
    )
    came_back(response.output_text)
    expect(response.output_text, "Read on there. It begins with: # Flask")


def stored(client: openai.OpenAI) -> None:
    heading("Stored: conversations, and lists of what was answered")
    called('client.conversations.create(metadata={"about": "Flask"})')
    talk = client.conversations.create(metadata={"about": "Flask"})
    came_back(talk.id)
    for question in ("What does a Flask view get?", "And a Django view?"):
        called(f'client.responses.create(model="ask-docs", input="{question}", conversation="{talk.id}")')
        came_back(
            client.responses.create(model="ask-docs", input=question, conversation=talk.id).output_text, most_lines=1
        )

    called(f'client.conversations.items.list("{talk.id}", order="asc")')
    items = list(client.conversations.items.list(talk.id, order="asc"))
    came_back(f"{[item.role if item.type == 'message' else item.type for item in items]}")
    expect([item.type for item in items], ["message", "reasoning", "message"] * 2)

    called('client.chat.completions.create(model="ask-docs", messages=[...], store=True)  # twice')
    for question in ("What is a reply?", "What is the bridge?"):
        client.chat.completions.create(model="ask-docs", messages=messages_with(question), store=True)
    called("client.chat.completions.list(limit=1)")
    completions = list(client.chat.completions.list(limit=1))
    for completion in completions:
        [asked] = client.chat.completions.messages.list(completion.id)
        came_back(f"{completion.id}: {asked.content}")
    expect(len(completions), 2)

    called(f'client.chat.completions.delete("{completions[0].id}")')
    came_back(f"deleted={client.chat.completions.delete(completions[0].id).deleted}")
    expect([left.id for left in client.chat.completions.list()], [completions[1].id])


def files(client: openai.OpenAI) -> None:
    heading("Files and searches: routes of the app")
    called("client.files.list(limit=2)")
    first = client.files.list(limit=2)
    came_back(f"a page of {len(first.data)}, has_more={first.has_more}: {[file.filename for file in first.data]}")
    every = list(first)
    came_back(f"iterating over it fetches the next pages too: {len(every) > 20}")
    expect(len(every) > 20, True)

    called('client.files.create(file=("bees.txt", b"Bees sleep in the hive at night."), purpose="assistants")')
    created = client.files.create(file=("bees.txt", b"Bees sleep in the hive at night."), purpose="assistants")
    came_back(f"{created.id}: {created.filename}, {created.bytes} bytes")
    expect(client.files.retrieve(created.id), created)

    called('client.vector_stores.search("docs", query="Where do bees sleep?", max_num_results=1)')
    [found] = client.vector_stores.search("docs", query="Where do bees sleep?", max_num_results=1)
    came_back(f"{found.filename}: {found.content[0].text}")
    expect(found.file_id, created.id)

    called('client.responses.create(model="ask-docs", input="Where do bees sleep?")')
    answer = client.responses.create(model="ask-docs", input="Where do bees sleep?").output_text
    came_back(answer.splitlines()[0])
    expect("in the hive" in answer, True)

    called(f'client.files.delete("{created.id}")')
    deleted = client.files.delete(created.id)
    came_back(f"deleted={deleted.deleted}")
    expect(created.id in [file.id for file in client.files.list(limit=100)], False)


def broken_streams(client: openai.OpenAI) -> None:
    heading("Streams that the app breaks in the middle")
    messages = messages_with(QUESTION)
    called(f'client.chat.completions.create(model="ask-docs-unreliable", messages={messages}, stream=True)')
    with expected(openai.APIError, code="index_closed"):
        show_chunks(client.chat.completions.create(model="ask-docs-unreliable", messages=messages, stream=True))

    called(f'client.responses.create(model="ask-docs-unreliable", input="{QUESTION}", stream=True)')
    with expected(openai.APIError, code="index_closed"):
        show_events(client.responses.create(model="ask-docs-unreliable", input=QUESTION, stream=True))


def show_chunks(stream: Iterable[ChatCompletionChunk]) -> list[ChatCompletionChunk]:
    """Print the words of an answer as they arrive."""
    chunks: list[ChatCompletionChunk] = []
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
    called('client.files.retrieve("file-unknown")')
    with expected(openai.NotFoundError, param="file_id"):
        client.files.retrieve("file-unknown")

    called('client.responses.create(model="unheard-of", input="Hello")')
    with expected(openai.NotFoundError, code="model_not_found"):
        client.responses.create(model="unheard-of", input="Hello")

    called('client.responses.create(model="ask-docs", input="And?", previous_response_id="resp_1")')
    with expected(openai.BadRequestError, param="previous_response_id"):
        client.responses.create(model="ask-docs", input="And?", previous_response_id="resp_1")

    called('client.post("/chat/completions", body={"model": "ask-docs"}, cast_to=ChatCompletion)')
    with expected(openai.UnprocessableEntityError, param="messages"):
        client.post("/chat/completions", body={"model": "ask-docs"}, cast_to=ChatCompletion)


@contextmanager
def expected(kind: type[openai.APIError], **attributes: str) -> Generator[None]:
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


def main() -> None:
    http_client = openai.DefaultHttpxClient(trust_env=False)  # an HTTP proxy in the environment is not for this machine
    with (
        TemporaryFile("w+", encoding="utf-8") as log,
        running_app(log) as base_url,
        openai.OpenAI(base_url=base_url, api_key="none", http_client=http_client) as client,
    ):
        called(f'client = openai.OpenAI(base_url="{base_url}", api_key="none")')
        answers(client)
        streams(client)
        tools(client)
        stored(client)
        files(client)
        broken_streams(client)
        errors(client)
    legacy_demo.main()
    print("\nEverything came back as it should.")


if __name__ == "__main__":
    main()
