"""The example programs: each is run as a user runs it, and driven with the official SDK."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.support.servers import server_process

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
URL = r"^(http://127\.0\.0\.1:\d+/v1)$"
MODEL = "ask-docs"
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
    """The types of the events of one response: reasoning in one piece, and a text in so many pieces."""
    return [
        *["response.created", "response.in_progress"],
        *["response.output_item.added", "response.reasoning_summary_part.added"],
        *["response.reasoning_summary_text.delta", "response.reasoning_summary_text.done"],
        *["response.reasoning_summary_part.done", "response.output_item.done"],
        *["response.output_item.added", "response.content_part.added"],
        *["response.output_text.delta"] * deltas,
        *["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"],
    ]


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs an example, by its name, in an empty directory; what it did is kept for the next that asks."""
    return cache(lambda name: run(EXAMPLES / name, tmp_path_factory.mktemp("elsewhere")))


@pytest.mark.parametrize("name", OTHERS)
def test_example_ends_well(name: str, run_once: Any) -> None:
    assert run_once(name).returncode == 0


def test_adapter_written_from_the_page_alone_is_short_and_serves_the_sdk(run_once: Any) -> None:
    example = EXAMPLES / "falcon_adapter.py"

    assert run_once(example.name).stdout.splitlines() == [
        "IS ANYBODY THERE",
        "['IS', 'ANYBODY', 'THERE']",
        "model Error code: 404 - There is no model 'soft'.",
    ]
    lines = [line for line in example.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) < 60


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
    [
        (page, name, expected)
        for page in (
            "answers.md",
            "errors.md",
            "replies.md",
            "bridge.md",
            "rewrites.md",
            "store.md",
            "troubleshooting.md",
        )
        for name, expected in outputs(page).items()
    ],
)
def test_page_shows_what_its_example_prints(page: str, name: str, expected: list[str], run_once: Any) -> None:
    printed = run_once(name).stdout
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
def demo(run_once: Any) -> subprocess.CompletedProcess[str]:
    return run_once("ask_docs_demo.py")


def test_demo_shows_every_call_and_ends_well(demo: subprocess.CompletedProcess[str]) -> None:
    assert (demo.returncode, demo.stderr) == (0, "")
    calls = re.findall(r"^>>> client\.([a-z_.]+)\(", demo.stdout, re.MULTILINE)
    assert calls == [
        "chat.completions.create",
        *["responses.create", "completions.create", "models.list"],
        *["chat.completions.create", "responses.stream"],
        "responses.create",
        *["responses.create"] * 2,
        *["responses.create", "responses.create", "conversations.items.list"],
        *["files.list", "files.create", "vector_stores.search", "files.delete"],
        *["files.retrieve", "post", "chat.completions.create"],
        # the second act
        *["chat.completions.create"] * 2,
        *["responses.create", "models.list"],
    ]
    for line in [
        "    (FastAPI and Starlette, docs/fastapi.md)",
        "    the same text: True",
        "    the same usage: True",
        "    status='completed', the same text: True",
        "    Read on there. It begins with: # Flask",
        "    ['user', 'reasoning', 'assistant', 'user', 'reasoning', 'assistant']",
        "    iterating over it fetches the next pages too: True",
        "    openai.NotFoundError: Error code: 404 - There is no file with this id.",
        "    param='file_id', code='not_found', type='invalid_request_error'",
        "    openai.UnprocessableEntityError: Error code: 422 - Missing required",
        "    param='messages', code='missing_required_parameter',",
        "    Dear Ada: Refunds take five working days.",
        "    Dear |Ada: |Refunds |take |five |working |days. |",
        "Everything came back as it should.",
    ]:
        assert line in demo.stdout.splitlines()


def test_each_scene_of_the_demo_fits_a_screen_of_80_by_24(demo: subprocess.CompletedProcess[str]) -> None:
    scenes = re.split(r"\n\n(?=.+\n=+\n)", demo.stdout)

    assert len(scenes) == 11
    assert max(len(line) for line in demo.stdout.splitlines()) <= 80
    assert [scene for scene in scenes if len(scene.splitlines()) > 24] == []


COLOUR = re.compile(r"\x1b\[[\d;]*3\d")


@pytest.mark.parametrize(("no_color", "has_colours"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_demo_has_colours_in_a_terminal_that_wants_them(no_color: dict[str, str], has_colours: bool) -> None:
    program = "from ask_docs_transcript import *; heading('A scene'); called('one()'); came_back('two', style='red')"
    environment = {"PYTHONPATH": str(EXAMPLES), "TERM": "xterm-256color", **no_color}
    seen, terminal = os.openpty()
    subprocess.run(python("-c", program), stdout=terminal, env=environment, timeout=60, check=True)
    shown = os.read(seen, 4096).decode()
    os.close(terminal)
    os.close(seen)

    assert bool(COLOUR.search(shown)) is has_colours
    assert ">>> one()" in shown


def test_demo_has_no_colours_in_a_pipe(demo: subprocess.CompletedProcess[str]) -> None:
    assert "\x1b" not in demo.stdout


def answers(demo: subprocess.CompletedProcess[str], call: str, argument: str = "") -> list[list[str]]:
    """The lines that the transcript has below every call that begins so and has the argument."""
    parts = re.split(r"\n\n(?=>>> |.+\n=+\n)", demo.stdout)
    calls = [re.split(r"\n(?=    )", part, maxsplit=1) for part in parts if part.startswith(f">>> client.{call}")]
    return [shown.splitlines() for code, shown in calls if argument in code and shown]


def test_demo_shows_the_words_of_a_chat_stream(demo: subprocess.CompletedProcess[str]) -> None:
    [[*text, end]] = answers(demo, "chat.completions.create(", "stream_options")
    found = re.fullmatch(r"    finish_reason='stop', completion_tokens=(\d+)", end)
    assert found is not None
    assert "\n".join(text).count("|") >= int(found[1]) > 10


def test_demo_shows_the_events_of_a_responses_stream(demo: subprocess.CompletedProcess[str]) -> None:
    [lines] = answers(demo, 'responses.create(model="ask-docs", input=question, stream=True)')
    found = re.fullmatch(r" +… and (\d+) more deltas", lines.pop(13))
    assert found is not None
    numbers, types = zip(*[line.split()[:2] for line in lines], strict=True)
    assert list(types) == event_types(deltas=3)
    count = len(types) + int(found[1])
    assert [int(number) for number in numbers] == [*range(13), *range(count - 4, count)]


def test_demo_shows_how_a_broken_stream_ends(demo: subprocess.CompletedProcess[str]) -> None:  # S4
    [[*begun, error, attributes]] = answers(demo, "chat.completions.create(", 'model="ask-docs-unreliable"')
    assert begun
    assert error == f"    openai.APIError: {BREAK}"
    assert attributes == "    param=None, code='index_closed', type='server_error'"


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
    for file in (EXAMPLES / demo.name, EXAMPLES / "ask_docs_transcript.py", *EXAMPLES.glob("legacy_*.py")):
        (tmp_path / file.name).write_text(file.read_text())
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
    for file in EXAMPLES.glob("legacy_*.py"):
        (directory / file.name).write_text(file.read_text())
    assert mistakes == 1
    return directory / "ask_docs_demo.py"


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("yield from words", 'yield str(__import__("time").monotonic_ns())', r"Expected '\d+', got '\d+'\."),
        ('"has_more": start + limit < len(items)', '"has_more": False', r"Expected True, got False\."),
        ("library.remove(file_id)", "pass", r"Expected False, got True\."),
        ("raise InternalServerError", "return InternalServerError", r"openai\.APIError was expected\."),
    ],
)
def test_demo_fails_where_an_answer_is_not_as_it_should_be(
    right: str, wrong: str, message: str, tmp_path: Path
) -> None:
    done = run(demo_with_a_mistake(right, wrong, tmp_path), tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(f"{message}\n", done.stderr)


def test_demo_that_fails_shows_the_log_of_the_app(tmp_path: Path) -> None:
    bug = demo_with_a_mistake(f'InternalServerError("{BREAK}", code="index_closed")', 'ValueError("secret")', tmp_path)
    done = run(bug, tmp_path)
    assert done.returncode == 1
    *log, message = done.stderr.splitlines()
    assert "ValueError: secret" in log
    assert message == "Expected {'code': 'index_closed'}, got {'code': None}."


# The app of the demo


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with server_process(python(EXAMPLES / "ask_docs.py"), URL, cwd=elsewhere) as server:
        yield server.ready[1]
        # One of its models breaks its streams off on purpose, and the log says so.
        logged = server.output[server.output.index("Ctrl-C stops it.") + 1 :]
        assert not [line for line in logged if ": the reply broke off with 500 index_closed" not in line]


@pytest.fixture(params=["default", "strict"])
def client(request: pytest.FixtureRequest, base_url: str) -> Iterator[OpenAI]:
    is_strict = request.param == "strict"
    with OpenAI(base_url=base_url, api_key="none", _strict_response_validation=is_strict) as client:
        yield client


def test_app_serves_the_port_that_it_is_given_and_stops_when_it_is_told_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with server_process(python(EXAMPLES / "ask_docs.py", "--port", str(port)), URL) as server:
        assert server.ready[1] == f"http://127.0.0.1:{port}/v1"
        assert server.stop() == 0


def test_lines_that_the_app_prints_work_when_they_are_pasted(tmp_path: Path) -> None:
    with server_process(python(EXAMPLES / "ask_docs.py", "--port=0"), r"Ctrl-C stops it") as server:
        shown = textwrap.dedent("\n".join(server.output[2:-2]))
        curl, code = shown.split("\n\n", 1)
        asked = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, timeout=60)
        (tmp_path / "client.py").write_text(code)
        printed = run(tmp_path / "client.py", tmp_path)
    assert json.loads(asked.stdout)["status"] == "completed"
    assert "rewrite" in printed.stdout


def test_answers_quote_the_documentation_and_name_it(client: OpenAI) -> None:
    text = client.chat.completions.create(model=MODEL, messages=QUESTION).choices[0].message.content
    assert text is not None
    for quote in text.split("\n\n"):
        passage, _, source = quote.rpartition("\n")
        named = re.fullmatch(r"\((.*), ([\w./-]+\.md)\)", source)
        assert named is not None
        page = (EXAMPLES.parents[1] / named[2]).read_text("utf-8")
        assert passage in page
        assert named[1] in page


def test_answer_is_the_same_by_every_api_and_in_every_form(client: OpenAI) -> None:
    asked = QUESTION[0]["content"]
    completion = client.chat.completions.create(model=MODEL, messages=QUESTION)
    response = client.responses.create(model=MODEL, input=QUESTION)
    text = completion.choices[0].message.content
    assert text
    assert response.output_text == client.completions.create(model=MODEL, prompt=asked).choices[0].text == text
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert completion.usage is not None
    assert response.usage is not None
    assert completion.usage.prompt_tokens == response.usage.input_tokens == len(asked.split())
    assert completion.usage.completion_tokens == response.usage.output_tokens == len(text.split())

    pieces = list(chat_texts(client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)))
    assert ("".join(pieces), len(pieces)) == (text, len(text.split()))
    with client.chat.completions.stream(model=MODEL, messages=QUESTION) as chat:
        assert chat.get_final_completion().choices[0].message.content == text


def test_streamed_response_says_what_it_found_and_then_the_text(client: OpenAI) -> None:
    events: list[Any] = list(client.responses.create(model=MODEL, input=QUESTION, stream=True))
    words = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert [event.type for event in events] == event_types(len(words))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(words) == events[-1].response.output_text
    assert len(words) > 10
    with client.responses.stream(model=MODEL, input=QUESTION) as stream:
        assert stream.get_final_response().output_text == "".join(words)


@pytest.mark.parametrize("question", ["?!", "zzzqqq", '" OR *', "What is it?"])
def test_question_without_an_answer_is_answered_so(question: str, client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input=question)
    assert (response.output_text, response.status) == ("The documentation does not say.", "completed")


def test_agent_has_the_client_read_a_page(base_url: str) -> None:
    tool: Any = {"type": "function", "function": {"name": "read_page", "parameters": {"type": "object"}}}
    messages: list[Any] = [{"role": "user", "content": "What does a Flask view get?"}]
    asked: Any = {"model": "ask-docs-agent", "messages": messages}
    with OpenAI(base_url=base_url, api_key="none") as client:
        assert client.chat.completions.create(**asked).choices[0].finish_reason == "stop"
        [choice] = client.chat.completions.create(**asked, tools=[tool]).choices
        [call] = choice.message.tool_calls or []
        assert (choice.finish_reason, call.type) == ("tool_calls", "function")
        page = client.files.content(**json.loads(call.function.arguments)).text
        messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": page}]
        last = client.chat.completions.create(**asked, tools=[tool]).choices[0].message.content
    assert last == "Read on there. It begins with: # Flask"


def test_files_are_listed_added_found_and_deleted(client: OpenAI) -> None:
    def names(**query: Any) -> list[str]:
        return [file.filename for file in client.files.list(**query)]

    assert names() == names(limit=2) == names(order="desc")[::-1]
    assert names()[-1] == "README.md"
    created = client.files.create(file=("bees.txt", b"Bees sleep in the hive."), purpose="assistants")
    assert client.files.retrieve(created.id) == created
    assert client.files.content(created.id).text == "Bees sleep in the hive."
    assert names()[-1] == "bees.txt"
    [found] = client.vector_stores.search("docs", query=["Where do", "bees sleep?"], max_num_results=1)
    assert (found.file_id, found.content[0].text) == (created.id, "Bees sleep in the hive.")
    assert client.files.delete(created.id).deleted
    assert "bees.txt" not in names()
    with pytest.raises(openai.NotFoundError):
        client.files.content(created.id)


def chat_texts(stream: Iterable[Any]) -> Iterator[str]:
    return (chunk.choices[0].delta.content for chunk in stream if chunk.choices and chunk.choices[0].delta.content)


def response_texts(stream: Iterable[Any]) -> Iterator[str]:
    return (event.delta for event in stream if event.type == "response.output_text.delta")


def test_streams_of_the_unreliable_model_break_after_a_few_words(client: OpenAI) -> None:  # S4
    asked: Any = {"model": "ask-docs-unreliable", "messages": QUESTION}
    whole = client.responses.create(model=MODEL, input=QUESTION).output_text
    streams = [
        chat_texts(client.chat.completions.create(**asked, stream=True)),
        response_texts(client.responses.create(model=asked["model"], input=QUESTION, stream=True)),
    ]
    for stream in streams:
        words: list[str] = []
        with pytest.raises(openai.APIError) as caught:
            words.extend(stream)
        error = caught.value
        assert type(error) is openai.APIError
        assert (error.message, error.code, error.type) == (BREAK, "index_closed", "server_error")
        assert len(words) == 5
        assert whole.startswith("".join(words))
    with client.chat.completions.stream(**asked) as chat, pytest.raises(openai.APIError, match=BREAK):
        chat.get_final_completion()
    with pytest.raises(openai.InternalServerError, match=BREAK):
        client.chat.completions.create(**asked)


# What it refuses


@pytest.mark.parametrize(
    ("use", "param"),
    [
        (lambda c: c.chat.completions.create(model=MODEL, messages=[]), None),
        (lambda c: c.chat.completions.create(model=MODEL, messages="Hello"), "messages"),
        (lambda c: c.chat.completions.create(model=MODEL, messages=["Hello"], stream=True), "messages"),
        (lambda c: c.chat.completions.create(model=MODEL, messages=QUESTION, n=2), "n"),
        (lambda c: c.responses.create(model=MODEL, input=5), "input"),
        (lambda c: c.responses.create(model=MODEL, input="And?", previous_response_id="x"), "previous_response_id"),
        (lambda c: c.files.list(limit=0), "limit"),
        (lambda c: c.files.list(order="up"), "order"),
    ],
)
def test_bad_request_names_the_field(use: Callable[[OpenAI], Any], param: str | None, client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        use(client)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("use", "param"),
    [
        (lambda c: c.files.retrieve("x"), "file_id"),
        (lambda c: c.files.content("x"), "file_id"),
        (lambda c: c.files.delete("x"), "file_id"),
        (lambda c: c.files.list(after="x"), "after"),
        (lambda c: c.models.retrieve("x"), "model"),
        (lambda c: c.responses.create(model="x", input="Hello"), "model"),
    ],
)
def test_what_is_not_there_is_not_found(use: Callable[[OpenAI], Any], param: str, client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        use(client)
    assert caught.value.param == param


async def test_requests_that_come_at_once_are_all_answered(base_url: str) -> None:
    async with AsyncOpenAI(base_url=base_url, api_key="none") as client:
        answered = await asyncio.gather(*(client.responses.create(model=MODEL, input=QUESTION) for _ in range(40)))
    assert len({response.id for response in answered}) == 40
    assert len({response.output_text for response in answered}) == 1


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
