"""Start `ask_docs.py` on a free port, drive it with the official OpenAI SDK, and print what was called and came back.

    python docs/examples/ask_docs_demo.py

Ends with 0 where everything came back as it should.
"""

import json
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import legacy_demo
import openai
from ask_docs_transcript import arrive, called, came_back, console, heading
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam

QUESTION = "How do I add the middleware to a FastAPI app?"
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
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


def chat(client: openai.OpenAI) -> None:
    heading("A function of the app, by chat completions")
    called(f'question = "{QUESTION}"')
    called('messages = [{"role": "user", "content": question}]')
    called('client.chat.completions.create(model="ask-docs", messages=messages)')
    completion = client.chat.completions.create(model="ask-docs", messages=MESSAGES)
    [choice] = completion.choices
    came_back(f"{completion.id}, finish_reason={choice.finish_reason!r}")
    came_back(choice.message.content)
    expect(choice.finish_reason, "stop")


def responses(client: openai.OpenAI) -> None:
    heading("The same function, by Responses and text completions")
    completion = client.chat.completions.create(model="ask-docs", messages=MESSAGES)
    called('client.responses.create(model="ask-docs", input=question)')
    response = client.responses.create(model="ask-docs", input=QUESTION)
    came_back(f"{response.id}, status={response.status!r}")
    for item in response.output:
        if item.type == "reasoning":
            came_back(f"reasoning: {item.summary[0].text}")
    came_back(f"the same text: {response.output_text == completion.choices[0].message.content}")
    expect(response.output_text, completion.choices[0].message.content)
    assert response.usage is not None
    assert completion.usage is not None
    came_back(f"the same usage: {response.usage.total_tokens == completion.usage.total_tokens}")
    expect(response.usage.total_tokens, completion.usage.total_tokens)

    called('client.completions.create(model="ask-docs", prompt=question)')
    text = client.completions.create(model="ask-docs", prompt=QUESTION).choices[0].text
    came_back(f"the same text: {text == response.output_text}")
    expect(text, response.output_text)

    called("client.models.list()")
    models = [model.id for model in client.models.list()]
    came_back(models)
    expect(models, ["ask-docs", "ask-docs-agent", "ask-docs-unreliable"])


def chunks(client: openai.OpenAI) -> None:
    heading("A stream as it arrives: behind each word a bar, for it is a chunk of its own")
    called(
        'client.chat.completions.create(\n    model="ask-docs", messages=messages, stream=True,\n'
        '    stream_options={"include_usage": True},\n)'
    )
    stream = client.chat.completions.create(
        model="ask-docs", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    received: list[ChatCompletionChunk] = []
    arrive(words_of(stream, received))
    usage = received[-1].usage
    assert usage is not None
    came_back(f"finish_reason={received[-2].choices[0].finish_reason!r}, completion_tokens={usage.completion_tokens}")

    called('client.responses.stream(model="ask-docs", input=question)')
    with client.responses.stream(model="ask-docs", input=QUESTION) as events:
        final = events.get_final_response()
    came_back(f"status={final.status!r}, the same text: {final.output_text == ''.join(words_of(received))}")
    expect(final.output_text, "".join(words_of(received)))


def words_of(stream: Iterable[ChatCompletionChunk], received: list[ChatCompletionChunk] | None = None) -> Iterator[str]:
    """The words of an answer, while its chunks are kept."""
    for chunk in stream:
        if received is not None:
            received.append(chunk)
        for choice in chunk.choices:
            if choice.delta.content:
                yield choice.delta.content


def events(client: openai.OpenAI, most_deltas: int = 3) -> None:
    heading("The events of a Response")
    called('client.responses.create(model="ask-docs", input=question, stream=True)')
    deltas = 0
    for event in client.responses.create(model="ask-docs", input=QUESTION, stream=True):
        if event.type == "response.output_text.delta":
            deltas += 1
            if deltas <= most_deltas:
                came_back(f"{event.sequence_number:>3} {event.type} {event.delta!r}")
            continue
        if event.type == "response.output_text.done":
            came_back(f"    … and {deltas - most_deltas} more deltas", style="dim")
        came_back(f"{event.sequence_number:>3} {event.type}")


def tools(client: openai.OpenAI) -> None:
    heading("An agent: the app asks for a call, and the client makes it")
    called('question = "What does a Flask view get?"')
    called('client.responses.create(\n    model="ask-docs-agent", input=question, tools=[READ_PAGE]\n)')
    question = "What does a Flask view get?"
    response = client.responses.create(model="ask-docs-agent", input=question, tools=[READ_PAGE])
    outputs: list[Any] = []
    for call in response.output:
        assert call.type == "function_call"
        came_back(f"{call.name}({call.arguments})")
        text = client.files.content(**json.loads(call.arguments)).text
        outputs.append({"type": "function_call_output", "call_id": call.call_id, "output": text})

    called(
        'client.responses.create(\n    model="ask-docs-agent", input=outputs, tools=[READ_PAGE],\n'
        "    previous_response_id=response.id,\n)"
    )
    response = client.responses.create(
        model="ask-docs-agent", input=outputs, tools=[READ_PAGE], previous_response_id=response.id
    )
    came_back(response.output_text)
    expect(response.output_text, "Read on there. It begins with: # Flask")


def stored(client: openai.OpenAI) -> None:
    heading("A conversation, which the server keeps")
    called('talk = client.conversations.create(metadata={"about": "Flask"})')
    talk = client.conversations.create(metadata={"about": "Flask"})
    came_back(talk.id)
    for question in ("What does a Flask view get?", "And a Django view?"):
        called(f'client.responses.create(\n    model="ask-docs", input="{question}",\n    conversation=talk.id,\n)')
        response = client.responses.create(model="ask-docs", input=question, conversation=talk.id)
        came_back(response.output_text, most_lines=1)

    called('client.conversations.items.list(talk.id, order="asc")')
    items = list(client.conversations.items.list(talk.id, order="asc"))
    came_back([item.role if item.type == "message" else item.type for item in items])
    expect([item.type for item in items], ["message", "reasoning", "message"] * 2)


def files(client: openai.OpenAI) -> None:
    heading("Files and searches: routes of the app")
    called("client.files.list(limit=2)")
    first = client.files.list(limit=2)
    came_back(f"a page of {len(first.data)}, has_more={first.has_more}: {[file.filename for file in first.data]}")
    every = list(first)
    came_back(f"iterating over it fetches the next pages too: {len(every) > 20}")
    expect(len(every) > 20, True)

    called('client.files.create(file=("bees.txt", BEES), purpose="assistants")')
    created = client.files.create(file=("bees.txt", b"Bees sleep in the hive at night."), purpose="assistants")
    came_back(f"{created.id}: {created.filename}, {created.bytes} bytes")
    expect(client.files.retrieve(created.id), created)

    called('client.vector_stores.search("docs", query="Where do bees sleep?")')
    found = client.vector_stores.search("docs", query="Where do bees sleep?").data[0]
    came_back(f"{found.filename}: {found.content[0].text}")
    expect(found.file_id, created.id)

    called(f'client.files.delete("{created.id}")')
    deleted = client.files.delete(created.id)
    came_back(f"deleted={deleted.deleted}")
    expect(created.id in [file.id for file in client.files.list(limit=100)], False)


def errors(client: openai.OpenAI) -> None:
    heading("Errors: what the app raises is what the client catches")
    called('client.files.retrieve("file-unknown")')
    with expected(openai.NotFoundError, param="file_id"):
        client.files.retrieve("file-unknown")

    called('client.post(\n    "/chat/completions", body={"model": "ask-docs"}, cast_to=ChatCompletion\n)')
    with expected(openai.UnprocessableEntityError, param="messages"):
        client.post("/chat/completions", body={"model": "ask-docs"}, cast_to=ChatCompletion)

    called('client.chat.completions.create(\n    model="ask-docs-unreliable", messages=messages, stream=True\n)')
    with expected(openai.APIError, code="index_closed"):
        model = "ask-docs-unreliable"
        arrive(words_of(client.chat.completions.create(model=model, messages=MESSAGES, stream=True)))


@contextmanager
def expected(kind: type[openai.APIError], **attributes: str) -> Generator[None]:
    try:
        yield
    except kind as error:
        came_back(f"openai.{type(error).__name__}: {error.message}", style="red")
        came_back(f"param={error.param!r}, code={error.code!r}, type={error.type!r}")
        expect(type(error), kind)
        expect({name: getattr(error, name) for name in attributes}, attributes)
    else:
        raise SystemExit(f"openai.{kind.__name__} was expected.")


def expect(actual: object, wanted: object) -> None:
    if actual != wanted:
        raise SystemExit(f"Expected {wanted!r}, got {actual!r}.")


def main() -> None:
    http_client = openai.DefaultHttpxClient(trust_env=False)  # an HTTP proxy in the environment is not for this machine
    with (
        TemporaryFile("w+", encoding="utf-8") as log,
        running_app(log) as base_url,
        openai.OpenAI(base_url=base_url, api_key="none", http_client=http_client) as client,
    ):
        called(f'client = openai.OpenAI(base_url="{base_url}", api_key="none")')
        for scene in (chat, responses, chunks, events, tools, stored, files, errors):
            scene(client)
    legacy_demo.main()
    console.print("\nEverything came back as it should.", style="bold")


if __name__ == "__main__":
    main()
