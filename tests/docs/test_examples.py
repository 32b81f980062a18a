"""The example programs: each is run as a user runs it, and driven with the official SDK."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.support.servers import server_process

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
URL = r"^(http://127\.0\.0\.1:\d+/v1)$"
QUESTION: list[Any] = [{"role": "user", "content": "What is openai-middleware, and is it a proxy?"}]
BREAK = "The index was closed while it was read."
OTHERS = sorted({file.name for file in EXAMPLES.glob("*.py")} - {"ask_docs.py", "ask_docs_demo.py"})


def python(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-W", "error", *arguments]


def run(program: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(python(program), cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    print(done.stdout, done.stderr)  # pytest shows it where the test fails
    return done


def event_types(deltas: int) -> list[str]:
    """The types of the events of one response, whose text comes in so many pieces."""
    return [
        *["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"],
        *["response.output_text.delta"] * deltas,
        *["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"],
    ]


@pytest.mark.parametrize("name", OTHERS)
def test_example_ends_well(name: str, tmp_path: Path) -> None:
    assert run(EXAMPLES / name, tmp_path).returncode == 0


def test_adapter_written_from_the_page_alone_is_short_and_serves_the_sdk(tmp_path: Path) -> None:
    example = EXAMPLES / "falcon_adapter.py"

    assert run(example, tmp_path).stdout.splitlines() == [
        "IS ANYBODY THERE",
        "['IS', 'ANYBODY', 'THERE']",
        "model Error code: 404 - There is no model 'soft'.",
    ]
    assert len(example.read_text("utf-8").splitlines()) < 60


DOCS = EXAMPLES.parent
SHOWN = re.compile(r"examples/(?P<name>\w+\.py)|^```text\n(?P<output>.*?)^```", re.MULTILINE | re.DOTALL)


def outputs(page: str) -> dict[str, list[str]]:
    """What a page says that its examples print: an output belongs to the example that was shown last before it."""
    name, found = "", dict[str, list[str]]()
    for shown in SHOWN.finditer((DOCS / page).read_text("utf-8")):
        if shown["name"]:
            name = shown["name"]
        else:
            found.setdefault(name, []).append(shown["output"])
    return found


@pytest.mark.parametrize(
    ("page", "name", "expected"),
    [(page, name, expected) for page in ("replies.md", "bridge.md") for name, expected in outputs(page).items()],
)
def test_page_shows_what_its_example_prints(page: str, name: str, expected: list[str], tmp_path: Path) -> None:
    printed = run(EXAMPLES / name, tmp_path).stdout
    for output in expected:
        assert output in printed


def test_readme_runs_as_it_stands(tmp_path: Path) -> None:
    readme = (EXAMPLES.parents[1] / "README.md").read_text("utf-8")
    app, client, printed = re.findall(r"^```(?:python|text)\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)[:3]
    assert len([line for line in app.splitlines() if line]) <= 10
    (tmp_path / "app.py").write_text(app)
    command = python("-m", "uvicorn", "app:app", "--port", "0")
    with server_process(command, r"running on (http://\S+)", cwd=tmp_path) as server:
        assert "http://127.0.0.1:8000/" in client
        (tmp_path / "client.py").write_text(client.replace("http://127.0.0.1:8000", server.ready[1]))
        assert run(tmp_path / "client.py", tmp_path).stdout == printed.rstrip("\n")


# The demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    return run(EXAMPLES / "ask_docs_demo.py", tmp_path_factory.mktemp("elsewhere"))


def test_demo_shows_every_call_and_ends_well(demo: subprocess.CompletedProcess[str]) -> None:
    assert (demo.returncode, demo.stderr) == (0, "")
    calls = re.findall(r"^>>> client\.([a-z_.]+)\(", demo.stdout, re.MULTILINE)
    assert calls == [
        *["chat.completions.create"] * 3,
        "chat.completions.list",
        "chat.completions.retrieve",
        "chat.completions.messages.list",
        "chat.completions.update",
        "chat.completions.delete",
        "responses.create",
        "responses.retrieve",
        "responses.input_items.list",
        "responses.delete",
        "chat.completions.create",
        "chat.completions.retrieve",
        "responses.create",
        "responses.retrieve",
        "responses.stream",
        "chat.completions.create",
        "responses.create",
        "responses.retrieve",
        "post",
    ]
    for line in [
        "    from docs/index.md: openai-middleware",
        "    iterating over it fetches the next page too: 3 completions in all",
        "    metadata={'topic': 'done'}",
        "    the same text: True",
        "    status=completed, the same text: True",
        "    openai.NotFoundError: Error code: 404 - There is no response with this id.",
        "    param='response_id', code='not_found', type='invalid_request_error'",
        "    openai.UnprocessableEntityError: Error code: 422 - Missing required parameter: 'messages'.",
        "    param='messages', code='missing_required_parameter', type='invalid_request_error'",
        "Everything came back as it should.",
    ]:
        assert line in demo.stdout.splitlines()


def answers(demo: subprocess.CompletedProcess[str], call: str) -> list[list[str]]:
    """The lines that the transcript has below every call that begins so."""
    parts = re.split(r"\n\n(?=>>> |.+\n=+\n)", demo.stdout)
    return [part.splitlines()[1:] for part in parts if part.startswith(f">>> client.{call}")]


def test_demo_shows_the_words_of_a_chat_stream(demo: subprocess.CompletedProcess[str]) -> None:
    [*text, end] = answers(demo, 'chat.completions.create(model="ask-docs", messages=')[-1]
    found = re.fullmatch(r"    finish_reason='stop', completion_tokens=(\d+)", end)
    assert found is not None
    assert "\n".join(text).count("|") >= int(found[1]) > 10


def test_demo_shows_the_events_of_a_responses_stream(demo: subprocess.CompletedProcess[str]) -> None:
    lines = answers(demo, 'responses.create(model="ask-docs", input=')[-1]
    found = re.fullmatch(r" +… and (\d+) more deltas", lines.pop(10))
    assert found is not None
    numbers, types = zip(*[line.split()[:2] for line in lines], strict=True)
    assert list(types) == event_types(deltas=6)
    count = len(types) + int(found[1])
    assert [int(number) for number in numbers] == [*range(10), *range(count - 4, count)]
    assert answers(demo, "responses.retrieve(")[1] == [f"    the same {count} events: True"]


@pytest.mark.parametrize("api", ["chat.completions", "responses"])
def test_demo_shows_how_a_broken_stream_ends(api: str, demo: subprocess.CompletedProcess[str]) -> None:  # S4
    [[*begun, error, attributes]] = answers(demo, f'{api}.create(model="ask-docs-unreliable"')
    assert begun
    assert error == f"    openai.APIError: {BREAK}"
    assert attributes == "    param=None, code='index_closed', type='server_error'"


def test_demo_shows_that_the_server_s_log_has_both_failures(demo: subprocess.CompletedProcess[str]) -> None:  # S4
    assert demo.stdout.splitlines().count(f"    openai_middleware.errors.InternalServerError: {BREAK}") == 2


def test_demo_stops_the_app_that_it_started(demo: subprocess.CompletedProcess[str]) -> None:
    found = re.search(r'base_url="http://127\.0\.0\.1:(\d+)/v1"', demo.stdout)
    assert found is not None
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(found[1]))):
        pass


@pytest.mark.parametrize(
    ("app", "message"),
    [
        ("raise SystemExit(3)", "The app did not start: it ended with 3."),
        ("import openai_middleware.nonsense", "The app did not start: it ended with 1."),
    ],
)
def test_demo_fails_where_the_app_does_not_start(app: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "ask_docs.py").write_text(app)
    demo = tmp_path / "ask_docs_demo.py"
    demo.write_text((EXAMPLES / demo.name).read_text())
    done = run(demo, tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == message


def demo_with_a_mistake(right: str, wrong: str, directory: Path) -> Path:
    """A copy of the demo in which something is wrong."""
    mistakes = 0
    for file in EXAMPLES.glob("ask_docs*.py"):
        text = file.read_text().replace("__file__", repr(str(file)) if "library" in file.name else "__file__")
        mistakes += text.count(right)
        (directory / file.name).write_text(text.replace(right, wrong))
    assert mistakes == 1
    return directory / "ask_docs_demo.py"


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ('completion["metadata"] = ', "", "Expected {'topic': 'done'}, got {'topic': 'demo'}."),
        ('chunk({"content": word})', 'chunk({"content": "x"})', "Expected '(?!x+').*', got 'x+'."),
        ('"sequence_number": number', '"sequence_number": 0', r"Expected \[.*\], got \[.*\]\."),
        ("raise InternalServerError", "return InternalServerError", "openai.APIError was expected."),
    ],
)
def test_demo_fails_where_an_answer_is_not_as_it_should_be(
    right: str, wrong: str, message: str, tmp_path: Path
) -> None:
    done = run(demo_with_a_mistake(right, wrong, tmp_path), tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(f"{message}\n", done.stderr)


def test_demo_that_fails_shows_the_log_of_the_app(tmp_path: Path) -> None:
    done = run(demo_with_a_mistake('read.", code="index_closed"', 'read.", code="other"', tmp_path), tmp_path)
    assert done.returncode == 1
    *log, message = done.stderr.splitlines()
    assert f"openai_middleware.errors.InternalServerError: {BREAK}" in log
    assert message == "Expected {'code': 'index_closed'}, got {'code': 'other'}."


# The app of the demo


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with server_process(python(EXAMPLES / "ask_docs.py"), URL, cwd=elsewhere) as server:
        yield server.ready[1]
        assert server.output == [server.ready[1]]


@pytest.fixture(params=["default", "strict"])
def client(request: pytest.FixtureRequest, base_url: str) -> Iterator[OpenAI]:
    is_strict = request.param == "strict"
    with OpenAI(base_url=base_url, api_key="none", _strict_response_validation=is_strict) as client:
        yield client


def test_app_stops_when_it_is_told_to_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with server_process(python(EXAMPLES / "ask_docs.py"), URL, env={"TMPDIR": str(tmp_path)}) as server:
        assert list(tmp_path.rglob("*.sqlite"))
        assert server.stop() == 0
    assert list(tmp_path.iterdir()) == []


def test_app_serves_the_port_and_keeps_the_file_that_it_is_given(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = python(EXAMPLES / "ask_docs.py", "--port", str(port), "--database", tmp_path / "answers")
    ids = []
    for _ in range(2):
        with (
            server_process(command, URL) as server,
            OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client,
        ):
            assert server.ready[1] == f"http://127.0.0.1:{port}/v1"
            ids.append(client.chat.completions.create(model="m", messages=QUESTION).id)
            assert [item.id for item in client.chat.completions.list()] == ids


def test_answers_quote_the_documentation_and_cite_it(client: OpenAI) -> None:
    message = client.chat.completions.create(model="m", messages=QUESTION).choices[0].message
    assert message.content is not None
    assert message.annotations
    for annotation in message.annotations:
        citation = annotation.url_citation
        quote = message.content[citation.start_index : citation.end_index]
        passage, _, source = quote.rpartition("\n")
        assert source == f"({citation.title}, {citation.url})"
        assert passage in (EXAMPLES.parent.parent / citation.url).read_text()


@pytest.mark.parametrize("question", ["?!", "zzzqqq", '" OR *', "What is it?"])
def test_question_without_an_answer_is_answered_so(question: str, client: OpenAI) -> None:
    response = client.responses.create(input=question)
    assert (response.output_text, response.status) == ("The documentation does not say.", "completed")


def test_stored_completions_are_listed_changed_and_deleted(client: OpenAI) -> None:  # C3
    tag = {"test": client.chat.completions.create(model="m", messages=QUESTION).id}
    created = [client.chat.completions.create(model="m", messages=QUESTION, metadata=tag) for _ in range(3)]
    client.chat.completions.create(model="m", messages=QUESTION, metadata=tag, store=False)
    ids = [completion.id for completion in created]

    def listed(**query: Any) -> list[str]:
        return [completion.id for completion in client.chat.completions.list(metadata=tag, **query)]

    assert listed() == listed(limit=2) == listed(limit=1, order="asc", model="m") == ids
    assert listed(limit=2, order="desc") == ids[::-1]
    assert listed(after=ids[0]) == ids[1:]
    assert listed(model="another") == []
    page = client.chat.completions.list(metadata=tag, limit=2)
    assert [page.has_more, page.first_id, page.last_id] == [True, ids[0], ids[1]]  # type: ignore[attr-defined]

    assert client.chat.completions.retrieve(ids[0]) == created[0]
    updated = client.chat.completions.update(ids[0], metadata={"a": "b"})
    assert updated == client.chat.completions.retrieve(ids[0])
    assert (updated.metadata, updated.choices) == ({"a": "b"}, created[0].choices)
    assert listed() == ids[1:]
    assert client.chat.completions.delete(ids[1]).deleted
    assert listed() == ids[2:]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(ids[1])


def test_messages_of_a_completion_are_those_that_were_sent(base_url: str) -> None:
    # Not with strict validation: the SDK's type for these messages has the role "assistant" only.
    messages: list[Any] = [{"role": "system", "content": "Be brief."}, *QUESTION]
    with OpenAI(base_url=base_url, api_key="none") as client:
        completion = client.chat.completions.create(model="m", messages=messages)
        found = list(client.chat.completions.messages.list(completion.id, limit=1))
    assert [{"role": message.role, "content": message.content} for message in found] == messages
    assert len({message.id for message in found}) == 2


def test_conversation_goes_on_from_a_response(client: OpenAI) -> None:  # C3
    first = client.responses.create(model="m", input="Is it a proxy?", metadata={"a": "b"})
    assert client.responses.retrieve(first.id) == first
    second = client.responses.create(input=QUESTION, previous_response_id=first.id)
    items = list(client.responses.input_items.list(second.id, order="asc", limit=1))
    texts = [content.text for item in items for content in item.content]  # type: ignore[union-attr]
    assert texts == ["Is it a proxy?", first.output_text, QUESTION[0]["content"]]
    assert list(client.responses.input_items.list(second.id)) == items[::-1]

    counted = client.responses.input_tokens.count(input=QUESTION, previous_response_id=first.id)
    assert second.usage is not None
    assert counted.input_tokens == second.usage.input_tokens == sum(len(text.split()) for text in texts)

    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(input="And?", previous_response_id=first.id)
    assert caught.value.param == "previous_response_id"


def test_compacted_conversation_stands_for_the_whole(client: OpenAI) -> None:  # C3
    whole = client.responses.create(input=QUESTION)
    compacted = client.responses.compact(model="m", previous_response_id=whole.id)
    items: list[Any] = [item.to_dict() for item in compacted.output]
    assert client.responses.create(input=items).output_text == whole.output_text


def test_response_in_the_background_can_be_cancelled_until_it_is_asked_for(client: OpenAI) -> None:  # C3
    cancelled = client.responses.create(input="Is it a proxy?", background=True)
    assert (cancelled.status, cancelled.output) == ("queued", [])
    assert client.responses.cancel(cancelled.id).status == "cancelled"
    assert client.responses.retrieve(cancelled.id).status == "cancelled"

    completed = client.responses.create(input="Is it a proxy?", background=True)
    answer = client.responses.retrieve(completed.id)
    assert (answer.status, bool(answer.output_text)) == ("completed", True)
    with pytest.raises(openai.ConflictError) as caught:
        client.responses.cancel(completed.id)
    assert caught.value.param == "response_id"


# Its streams


def check_chunks(chunks: list[Any], stored: ChatCompletion) -> None:
    first, *words, last = chunks
    [choice] = stored.choices
    texts = [chunk.choices[0].delta.content for chunk in words]
    assert first.choices[0].delta.role == "assistant"
    assert "".join(texts) == choice.message.content
    assert len(texts) == len([text for text in texts if len(text.split()) == 1]) > 10
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    annotations = last.choices[0].delta.to_dict()["annotations"]
    assert annotations == [annotation.to_dict() for annotation in choice.message.annotations or []]
    assert annotations
    assert {(chunk.id, chunk.created, chunk.model) for chunk in chunks} == {(stored.id, stored.created, stored.model)}


def check_chunks_with_usage(chunks: list[Any], stored: ChatCompletion) -> None:
    *chunks, last = chunks
    check_chunks(chunks, stored)
    assert (last.choices, last.usage) == ([], stored.usage)


WITH_USAGE: Any = {"model": "m", "messages": QUESTION, "stream_options": {"include_usage": True}}


def test_streamed_completion_comes_word_by_word_and_is_stored(client: OpenAI) -> None:  # S2 S3 S7
    chunks = list(client.chat.completions.create(model="m", messages=QUESTION, stream=True))
    check_chunks(chunks, client.chat.completions.retrieve(chunks[0].id))

    chunks = list(client.chat.completions.create(**WITH_USAGE, stream=True))
    check_chunks_with_usage(chunks, client.chat.completions.retrieve(chunks[0].id))


async def test_streamed_completion_comes_asynchronously(base_url: str) -> None:  # S2 S3 S7
    async with AsyncOpenAI(base_url=base_url, api_key="none") as client:
        chunks = [chunk async for chunk in await client.chat.completions.create(**WITH_USAGE, stream=True)]
        check_chunks_with_usage(chunks, await client.chat.completions.retrieve(chunks[0].id))


def check_completion(streamed: ChatCompletion, stored: ChatCompletion) -> None:
    assert (streamed.id, streamed.usage) == (stored.id, stored.usage)
    assert streamed.choices[0].finish_reason == "stop"
    assert streamed.choices[0].message.content == stored.choices[0].message.content
    assert streamed.choices[0].message.annotations == stored.choices[0].message.annotations


def test_chat_stream_helper_puts_the_stored_completion_together(client: OpenAI) -> None:  # S2 S3
    with client.chat.completions.stream(**WITH_USAGE) as stream:
        streamed = stream.get_final_completion()
    check_completion(streamed, client.chat.completions.retrieve(streamed.id))


async def test_chat_stream_helper_puts_the_stored_completion_together_asynchronously(base_url: str) -> None:  # S2 S3
    async with AsyncOpenAI(base_url=base_url, api_key="none") as client:
        async with client.chat.completions.stream(**WITH_USAGE) as stream:
            streamed = await stream.get_final_completion()
        check_completion(streamed, await client.chat.completions.retrieve(streamed.id))


def check_events(events: list[Any], replayed: list[Any], stored: Response) -> None:
    words = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert [event.type for event in events] == event_types(len(words))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(words) == stored.output_text
    assert len(words) > 10
    assert [event.response.status for event in events[:2]] == ["in_progress"] * 2
    assert [event.response.output for event in events[:2]] == [[], []]
    assert events[-1].response == stored
    assert replayed == events


def test_streamed_response_is_stored_and_can_be_streamed_again(client: OpenAI) -> None:  # S2 S3 S7
    events: list[Any] = list(client.responses.create(input=QUESTION, stream=True))
    id = events[-1].response.id
    check_events(events, list(client.responses.retrieve(id, stream=True)), client.responses.retrieve(id))
    assert list(client.responses.retrieve(id, stream=True, starting_after=5)) == events[6:]


async def test_streamed_response_is_stored_and_can_be_streamed_again_asynchronously(
    base_url: str,
) -> None:  # S2 S3 S7
    async with AsyncOpenAI(base_url=base_url, api_key="none") as client:
        events: list[Any] = [event async for event in await client.responses.create(input=QUESTION, stream=True)]
        id = events[-1].response.id
        replayed = [event async for event in await client.responses.retrieve(id, stream=True)]
        check_events(events, replayed, await client.responses.retrieve(id))


def test_responses_stream_helper_gives_the_stored_response(client: OpenAI) -> None:  # S2 S3
    with client.responses.stream(model="m", input=QUESTION) as stream:
        final = stream.get_final_response()
    stored = client.responses.retrieve(final.id)
    assert (final.output_text, final.status, final.usage) == (stored.output_text, "completed", stored.usage)
    with client.responses.stream(response_id=final.id) as stream:
        assert stream.get_final_response() == final


async def test_responses_stream_helper_gives_the_stored_response_asynchronously(base_url: str) -> None:  # S2 S3
    async with AsyncOpenAI(base_url=base_url, api_key="none") as client:
        async with client.responses.stream(model="m", input=QUESTION) as stream:
            final = await stream.get_final_response()
        assert (await client.responses.retrieve(final.id)).output_text == final.output_text != ""


def test_streams_that_are_not_to_be_stored_are_not(client: OpenAI) -> None:
    *_, chunk = client.chat.completions.create(model="m", messages=QUESTION, stream=True, store=False)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(chunk.id)
    *_, event = client.responses.create(input=QUESTION, stream=True, store=False)
    assert event.type == "response.completed"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(event.response.id)


def test_response_in_the_background_can_be_streamed_unless_it_was_cancelled(client: OpenAI) -> None:
    queued = client.responses.create(input=QUESTION, background=True)
    *_, event = client.responses.retrieve(queued.id, stream=True)
    assert event.type == "response.completed"
    assert event.response == client.responses.retrieve(queued.id)

    cancelled = client.responses.cancel(client.responses.create(input=QUESTION, background=True).id)
    with pytest.raises(openai.ConflictError) as caught:
        client.responses.retrieve(cancelled.id, stream=True)
    assert caught.value.param == "stream"


def chat_texts(stream: Iterable[Any]) -> Iterator[str]:
    return (chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content)


def response_texts(stream: Iterable[Any]) -> Iterator[str]:
    return (event.delta for event in stream if event.type == "response.output_text.delta")


def test_streams_of_the_unreliable_model_break_after_a_few_words() -> None:  # S4
    asked: Any = {"model": "ask-docs-unreliable", "messages": QUESTION}
    with (
        server_process(python(EXAMPLES / "ask_docs.py"), URL) as server,
        OpenAI(base_url=server.ready[1], api_key="none") as client,
    ):
        whole = client.responses.create(model=asked["model"], input=QUESTION)
        streams = [
            chat_texts(client.chat.completions.create(**asked, stream=True)),
            response_texts(client.responses.create(model=asked["model"], input=QUESTION, stream=True)),
            response_texts(client.responses.retrieve(whole.id, stream=True)),
        ]
        for stream in streams:
            words: list[str] = []
            with pytest.raises(openai.APIError) as caught:
                words.extend(stream)
            error = caught.value
            assert type(error) is openai.APIError
            assert (error.message, error.code, error.type) == (BREAK, "index_closed", "server_error")
            assert len(words) == 5
            assert whole.output_text.startswith("".join(words))
        with client.chat.completions.stream(**asked) as chat, pytest.raises(openai.APIError, match=BREAK):
            chat.get_final_completion()
        with (
            client.responses.stream(model=asked["model"], input=QUESTION) as responses,
            pytest.raises(openai.APIError, match=BREAK),
        ):
            responses.get_final_response()
        assert list(client.chat.completions.list()) == []
        server.stop()
        assert server.output.count(f"openai_middleware.errors.InternalServerError: {BREAK}") == 5


# What it refuses


@pytest.mark.parametrize(
    ("use", "param"),
    [
        (lambda c: c.chat.completions.create(model="m", messages=[]), "messages"),
        (lambda c: c.chat.completions.create(model="m", messages="Hello"), "messages"),
        (lambda c: c.chat.completions.create(model="m", messages=["Hello"]), "messages"),
        (lambda c: c.chat.completions.create(model="m", messages=QUESTION, metadata="x"), "metadata"),
        (
            lambda c: c.chat.completions.create(model="m", messages=QUESTION, stream=True, stream_options="x"),
            "stream_options",
        ),
        (lambda c: c.chat.completions.list(extra_query={"metadata": "x"}), "metadata"),
        (lambda c: c.chat.completions.list(limit=0), "limit"),
        (lambda c: c.chat.completions.list(order="up"), "order"),
        (lambda c: c.responses.create(model="m"), "input"),
        (lambda c: c.responses.create(input=5), "input"),
        (lambda c: c.responses.create(input=""), "input"),
        (lambda c: c.responses.create(input="", stream=True), "input"),
        (lambda c: c.responses.retrieve("x", stream=True, starting_after="x"), "starting_after"),
    ],
)
def test_bad_request_names_the_field(use: Callable[[OpenAI], Any], param: str, client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        use(client)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("use", "param"),
    [
        (lambda c: c.chat.completions.retrieve("x"), "completion_id"),
        (lambda c: c.chat.completions.update("x", metadata={}), "completion_id"),
        (lambda c: c.chat.completions.delete("x"), "completion_id"),
        (lambda c: c.chat.completions.messages.list("x"), "completion_id"),
        (lambda c: c.chat.completions.list(after="x"), "after"),
        (lambda c: c.responses.retrieve("x"), "response_id"),
        (lambda c: c.responses.retrieve("x", stream=True), "response_id"),
        (lambda c: c.responses.cancel("x"), "response_id"),
        (lambda c: c.responses.delete("x"), "response_id"),
        (lambda c: c.responses.input_items.list("x"), "response_id"),
    ],
)
def test_what_is_not_there_is_not_found(use: Callable[[OpenAI], Any], param: str, client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        use(client)
    assert (caught.value.param, caught.value.code) == (param, "not_found")


async def test_requests_that_write_at_once_lose_nothing(base_url: str) -> None:
    async with AsyncOpenAI(base_url=base_url, api_key="none") as client:
        created = await asyncio.gather(
            *(client.chat.completions.create(model="m", messages=QUESTION) for _ in range(40))
        )
        tag = {"test": created[0].id}
        await asyncio.gather(*(client.chat.completions.update(item.id, metadata=tag) for item in created))
        listed = [item.id async for item in client.chat.completions.list(metadata=tag, limit=7)]
    assert sorted(listed) == sorted(item.id for item in created)


# The app of the FastAPI page


def test_smallest_app_answers_and_remembers() -> None:
    command = python("-m", "uvicorn", "--app-dir", EXAMPLES, "fastapi_app:app", "--port", "0")
    with server_process(command, r"running on (http://\S+)") as server:
        settings: dict[str, Any] = {"base_url": f"{server.ready[1]}/v1", "api_key": "none"}
        with OpenAI(**settings, _strict_response_validation=True) as client:
            created = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
            assert created.choices[0].message.content == "You said: Hello"
            assert created.model_extra == {}
            assert client.chat.completions.retrieve(created.id) == created
            with pytest.raises(openai.NotFoundError, match="There is no such completion"):
                client.chat.completions.retrieve("unknown")
