"""What differs between two contracts is found and told, and what the command says by its exit status."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_middleware import contract
from openai_middleware.contract import Contract
from openai_middleware.contract.__main__ import main
from openai_middleware.contract.drift import drift, report
from openai_middleware.contract.generator import generate

Document = dict[str, Any]
Change = Callable[[Document], object]

SHIPPED = json.loads(contract.SHIPPED.read_bytes())


def document() -> Document:
    """Two groups, three operations, one stream."""
    return {
        "format": 1,
        "openai": "1.0",
        "groups": {
            "files": {
                "files.list": {
                    "method": "GET",
                    "path": "/files",
                    "request": "none",
                    "body": {},
                    "query": {"limit": [False, "integer"]},
                    "response": "json",
                    "schema": "Page",
                    "items": "File",
                    "stream": None,
                }
            },
            "responses": {
                name: {
                    "method": "POST",
                    "path": path,
                    "request": "json",
                    "body": {"model": True, "seed": False},
                    "query": {},
                    "response": "json",
                    "schema": "Response",
                    "stream": "Event",
                }
                for name, path in [("responses.create", "/responses"), ("responses.retry", "/responses/{response_id}")]
            },
        },
        "schemas": {"Page": {"data": [True, False]}, "Response": {"id": [True, False], "error": [True, True]}},
        "items": {"File": ["filename"]},
        "streams": {
            "Event": {
                "events": {
                    "begin": {"fields": ["type"]},
                    "end": {"fields": ["response"], "nested": {"response": "Response"}},
                }
            }
        },
    }


def load(content: Document) -> Contract:
    return Contract(json.dumps(content).encode(), "a test")


def changed(change: Change, original: Document | None = None) -> Document:
    content = copy.deepcopy(original or document())
    change(content)
    return content


def operation(content: Document, name: str = "responses.create") -> Any:
    return content["groups"][name.partition(".")[0]][name]


def events(content: Document) -> Any:
    return content["streams"]["Event"]["events"]


def lines(change: Change) -> list[str]:
    """The report of one change, without indentation and sections."""
    return report(drift(load(document()), load(changed(change)))).replace("  ", "").splitlines()


# --- what is told


def test_the_same_contract_has_no_drift_whatever_its_versions() -> None:
    other = changed(lambda content: content.update(openai="2.0", open_responses="2026-01-01"))

    assert drift(load(document()), load(other)) == []


CHANGES: dict[str, tuple[Change, str]] = {
    "operation added": (
        lambda content: content["groups"]["files"].update({"files.get": operation(content, "files.list")}),
        "+ files.get: operation (GET /files)",
    ),
    "operation removed": (lambda content: content["groups"]["files"].clear(), "- files.list: operation (GET /files)"),
    "group removed": (lambda content: content["groups"].pop("files"), "- files.list: operation (GET /files)"),
    "group added": (
        lambda content: content["groups"].update({"models": {"models.list": operation(content, "files.list")}}),
        "+ models.list: operation (GET /files)",
    ),
    "path moved": (
        lambda content: operation(content).update(path="/answers"),
        "~ responses.create: operation: POST /responses -> POST /answers",
    ),
    "method moved": (
        lambda content: operation(content).update(method="PUT"),
        "~ responses.create: operation: POST /responses -> PUT /responses",
    ),
    "body field added": (
        lambda content: operation(content)["body"].update(user=True),
        "+ responses.create: body field user (mandatory)",
    ),
    "body field removed": (
        lambda content: operation(content)["body"].pop("seed"),
        "- responses.create: body field seed (optional)",
    ),
    "body field flipped": (
        lambda content: operation(content)["body"].update(seed=True),
        "~ responses.create: body field seed: optional -> mandatory",
    ),
    "query parameter added": (
        lambda content: operation(content, "files.list")["query"].update(after=[False, "string"]),
        "+ files.list: query parameter after (optional string)",
    ),
    "query parameter removed": (
        lambda content: operation(content, "files.list")["query"].clear(),
        "- files.list: query parameter limit (optional integer)",
    ),
    "query parameter flipped": (
        lambda content: operation(content, "files.list")["query"].update(limit=[True, "integer"]),
        "~ files.list: query parameter limit: optional integer -> mandatory integer",
    ),
    "query parameter of another type": (
        lambda content: operation(content, "files.list")["query"].update(limit=[False, "number"]),
        "~ files.list: query parameter limit: optional integer -> optional number",
    ),
    "answer field added": (
        lambda content: content["schemas"]["Page"].update(object=[False, True]),
        "+ files.list: answer field object (optional nullable)",
    ),
    "answer field removed": (
        lambda content: content["schemas"]["Page"].clear(),
        "- files.list: answer field data (mandatory)",
    ),
    "answer field flipped": (
        lambda content: content["schemas"]["Page"].update(data=[False, False]),
        "~ files.list: answer field data: mandatory -> optional",
    ),
    "answer field nullable": (
        lambda content: content["schemas"]["Page"].update(data=[True, True]),
        "~ files.list: answer field data: mandatory -> mandatory nullable",
    ),
    "item field added": (
        lambda content: content["items"]["File"].append("bytes"),
        "+ files.list: item field bytes",
    ),
    "item field removed": (
        lambda content: content["items"]["File"].clear(),
        "- files.list: item field filename",
    ),
    "items no longer known": (
        lambda content: operation(content, "files.list").update(items=None),
        "- files.list: item field filename",
    ),
    "another kind of request": (
        lambda content: operation(content).update(request="multipart"),
        "~ responses.create: request: json -> multipart",
    ),
    "another kind of answer": (
        lambda content: operation(content).update(response="binary"),
        "~ responses.create: answer: json -> binary",
    ),
    "stream added": (
        lambda content: operation(content, "files.list").update(stream="Event"),
        "+ files.list: event stream",
    ),
    "stream removed": (
        lambda content: operation(content).update(stream=None),
        "- responses.create: event stream",
    ),
    "type of event added": (lambda content: events(content).update(middle={"fields": []}), "+ middle: event"),
    "type of event removed": (lambda content: events(content).pop("begin"), "- begin: event"),
    "field of an event added": (
        lambda content: events(content)["begin"]["fields"].append("at"),
        "+ begin: field at",
    ),
    "field of an event removed": (lambda content: events(content)["begin"]["fields"].clear(), "- begin: field type"),
}


@pytest.mark.parametrize(("change", "line"), CHANGES.values(), ids=list(CHANGES))
def test_each_change_takes_one_line(change: Change, line: str) -> None:  # O11
    assert lines(change)[1:] == [line]


def test_lines_stand_under_their_group_or_stream() -> None:
    def change(content: Document) -> None:
        content["groups"]["files"].clear()
        operation(content)["body"] = {"model": False, "user": False}
        events(content).pop("begin")

    assert report(drift(load(document()), load(changed(change)))).splitlines() == [
        "files",
        "  - files.list: operation (GET /files)",
        "",
        "responses",
        "  - responses.create: body field seed (optional)",
        "  ~ responses.create: body field model: mandatory -> optional",
        "  + responses.create: body field user (optional)",
        "",
        "stream Event",
        "  - begin: event",
    ]


def test_what_is_the_same_for_several_operations_takes_one_line() -> None:
    assert lines(lambda content: content["schemas"]["Response"].pop("error")) == [
        "responses",
        "- responses.create, responses.retry: answer field error (mandatory nullable)",
        "",
        "stream Event",
        "- end: field response.error (mandatory nullable)",
    ]


def test_an_event_that_no_longer_holds_an_answer_is_told_by_the_fields_of_that_answer() -> None:
    assert lines(lambda content: events(content)["end"].pop("nested"))[1:] == [
        "- end: field response.error (mandatory nullable)",
        "- end: field response.id (mandatory)",
    ]


def test_events_without_a_type_are_named() -> None:
    untyped = changed(lambda content: content["streams"]["Event"].update(events={"": {"fields": ["id"]}}))
    more = changed(lambda content: events(content)[""]["fields"].append("usage"), untyped)

    assert report(drift(load(untyped), load(more))) == "stream Event\n  + every event: field usage"


def test_other_names_for_schemas_items_and_streams_make_no_difference() -> None:
    renamed = json.dumps(document())
    for old, new in [("Response", "Answer"), ("File", "Document"), ("Event", "Happening")]:
        renamed = renamed.replace(f'"{old}"', f'"{new}"')

    assert drift(load(document()), Contract(renamed.encode(), "a test")) == []


# --- that nothing is left out

NAMES = st.sampled_from(["id", "model", "data", "limit", "stream"])
KINDS = ["string", "integer", "number", "boolean", "array", "object"]
FLAGS = st.booleans()
SCHEMAS = st.dictionaries(NAMES, st.tuples(FLAGS, FLAGS), min_size=1, max_size=2)
EVENTS = st.dictionaries(
    st.sampled_from(["", "begin", "end"]),
    st.fixed_dictionaries(
        {"fields": st.lists(NAMES, unique=True, max_size=2)},
        optional={"nested": st.dictionaries(NAMES, st.just("Nested"), max_size=1)},
    ),
    max_size=2,
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Each operation has a schema, items and a stream of its own, so that all that is written has a meaning."""
    content: Document = {
        "format": 1,
        "openai": "1.0",
        "groups": {},
        "schemas": {"Nested": draw(SCHEMAS)},
        "items": {},
        "streams": {},
    }
    for name in draw(st.lists(st.sampled_from(["files.list", "files.create", "models.list"]), unique=True, min_size=1)):
        content["schemas"][name] = draw(SCHEMAS)
        content["items"][name] = draw(st.lists(NAMES, unique=True, min_size=1, max_size=2))
        content["streams"][name] = {"events": draw(EVENTS)}
        content["groups"].setdefault(name.partition(".")[0], {})[name] = {
            "method": draw(st.sampled_from(["GET", "POST"])),
            "path": f"/{draw(NAMES)}",
            "request": draw(st.sampled_from(["json", "multipart", "none"])),
            "body": draw(st.dictionaries(NAMES, FLAGS, max_size=2)),
            "query": draw(st.dictionaries(NAMES, st.tuples(FLAGS, st.sampled_from(KINDS)), max_size=2)),
            "response": draw(st.sampled_from(["json", "binary", "none"])),
            "schema": name,
            "items": name,
            "stream": name,
        }
    return content


def mutations(content: Document) -> Iterator[Document]:
    """The document with one thing removed, or one thing changed, for everything that there is to remove or change."""
    for name in (name for group in content["groups"].values() for name in group):
        group = name.partition(".")[0]
        yield from without_each(content, "groups", group)
        here = ("groups", group, name)
        for key, choices in {
            "method": ["GET", "POST"],
            "path": ["/id", "/elsewhere"],
            "request": ["json", "multipart", "none"],
            "response": ["json", "binary", "none"],
        }.items():
            yield with_another(content, choices, *here, key)
        yield replaced(content, None, *here, "schema")
        yield replaced(content, None, *here, "items")
        yield replaced(content, None, *here, "stream")
        for index in range(len(at(content, "items", name))):
            yield without(content, "items", name, index)
        yield from without_each(content, *here, "body")
        yield from without_each(content, *here, "query")
        for field in at(content, *here, "body"):
            yield with_another(content, [True, False], *here, "body", field)
        for field in at(content, *here, "query"):
            yield with_another(content, [True, False], *here, "query", field, 0)
            yield with_another(content, KINDS, *here, "query", field, 1)
        yield from schema_mutations(content, name)
        yield from without_each(content, "streams", name, "events")
        for event_type, event in at(content, "streams", name, "events").items():
            for index in range(len(event["fields"])):
                yield without(content, "streams", name, "events", event_type, "fields", index)
            if event.get("nested"):
                yield replaced(content, {}, "streams", name, "events", event_type, "nested")
                yield from schema_mutations(content, "Nested")


def schema_mutations(content: Document, name: str) -> Iterator[Document]:
    yield from without_each(content, "schemas", name)
    for field in at(content, "schemas", name):
        yield with_another(content, [True, False], "schemas", name, field, 0)
        yield with_another(content, [True, False], "schemas", name, field, 1)


def at(content: Any, *path: str | int) -> Any:
    for step in path:
        content = content[step]
    return content


def replaced(content: Document, value: object, *path: str | int) -> Document:
    content = copy.deepcopy(content)
    at(content, *path[:-1])[path[-1]] = value
    return content


def with_another(content: Document, choices: list[Any], *path: str | int) -> Document:
    return replaced(content, next(choice for choice in choices if choice != at(content, *path)), *path)


def without(content: Document, *path: str | int) -> Document:
    content = copy.deepcopy(content)
    del at(content, *path[:-1])[path[-1]]
    return content


def without_each(content: Document, *path: str) -> Iterator[Document]:
    return (without(content, *path, key) for key in at(content, *path))


def plain(content: Document) -> Document:
    """With lists for tuples, so that they can be changed."""
    plain: Document = json.loads(json.dumps(content))
    return plain


@given(documents().map(plain))
def test_a_contract_has_no_drift_from_itself(content: Document) -> None:
    assert drift(load(content), load(content)) == []


@settings(max_examples=20)
@given(documents().map(plain))
def test_every_single_mutation_is_told_in_both_directions(content: Document) -> None:
    mirrored = {"removed": "added", "added": "removed", "changed": "changed"}
    for mutated in mutations(content):
        there, back = drift(load(content), load(mutated)), drift(load(mutated), load(content))

        assert there
        assert sorted((one.place, mirrored[one.kind]) for one in there) == sorted((one.place, one.kind) for one in back)


# --- the command


@pytest.fixture(scope="module", autouse=True)
def generated_once() -> Iterator[None]:
    """The installed SDK is read once for all: that takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "generate", cache(generate.generate))
        yield


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(arguments)
    captured = capsys.readouterr()
    assert captured.err == ""
    return status, captured.out


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments], capture_output=True, text=True, check=False, timeout=120
    )


SOURCES = f"openai {openai.__version__} and Open Responses {SHIPPED['open_responses']}"


def test_the_shipped_contract_is_in_step_with_the_pinned_sdk_and_open_responses() -> None:  # C1 O12
    done = python("-m", "openai_middleware.contract")

    assert (done.returncode, done.stderr) == (0, "")
    made_from = SOURCES.replace(" and ", ", ")
    assert done.stdout == f"The shipped contract ({made_from}) is in step with {SOURCES}.\n"


@pytest.mark.parametrize(
    ("change", "status", "line"),
    [
        (
            lambda content: content["groups"]["files"].pop("files.list"),
            0,
            "  + files.list: operation (GET /files)",
        ),
        (
            lambda content: content["groups"]["models"]["models.list"]["query"].update(page=[False, "integer"]),
            1,
            "  - models.list: query parameter page (optional integer)",
        ),
        (
            lambda content: content["groups"]["embeddings"]["embeddings.create"]["body"].update(model=False),
            1,
            "  ~ embeddings.create: body field model: optional -> mandatory",
        ),
        (
            lambda content: content["groups"]["responses"]["responses.create"]["body"].pop("presence_penalty"),
            0,
            "  + responses.create: body field presence_penalty (optional)",
        ),
        (
            lambda content: content["schemas"]["Response"].update(pitch=[False, False]),
            1,
            "  - responses.cancel, responses.create, responses.retrieve: answer field pitch (optional)",
        ),
    ],
    ids=["added", "removed", "flipped", "added by Open Responses", "removed by Open Responses"],
)
def test_status_is_1_on_a_removal_or_a_change_and_0_otherwise(  # O12
    change: Change, status: int, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.json"
    older = SHIPPED | {"openai": "1.2.3", "open_responses": "2026-01-15"}
    file.write_text(json.dumps(changed(change, older)), "utf-8")

    returned, printed = run(["--contract", str(file)], capsys)

    assert returned == status
    assert printed.startswith(f"{file} (openai 1.2.3, Open Responses 2026-01-15) differs from {SOURCES}; removed (-), ")
    assert line in printed.splitlines()


def test_a_contract_written_without_open_responses_lacks_what_only_that_has(  # O12
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "older.json"
    older = generate.of_the_sdk()
    file.write_text(json.dumps(older | {"openai": "1.2.3"}), "utf-8")

    returned, printed = run(["--contract", str(file)], capsys)

    assert returned == 0
    assert printed.startswith(f"{file} (openai 1.2.3) differs from {SOURCES}; ")
    assert "  + responses.create: body field frequency_penalty (optional)" in printed.splitlines()


def test_write_writes_the_contract_of_the_installed_sdk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "written.json"

    assert run(["--write", str(file)], capsys) == (0, f"{file}: 150 operations of {SOURCES}\n")
    assert file.read_bytes() == contract.SHIPPED.read_bytes(), "run: make contract"
    assert run(["--contract", str(file)], capsys)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--contract", "nowhere.json"], "nowhere.json"),
        (["--contract", "pyproject.toml"], "pyproject.toml is not a contract of format 1"),
        (["--write", "nowhere/openai.json"], "nowhere/openai.json"),
        (["--write"], "expected one argument"),
        (["--write", "a", "--contract", "b"], "not allowed with"),
        (["a.json"], "unrecognized arguments: a.json"),
    ],
)
def test_status_is_2_where_nothing_can_be_compared(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]")

    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert reason in captured.err


RUN_WITH = """
import runpy, sys
sys.argv[1:] = []
{}
runpy.run_module("openai_middleware.contract", run_name="__main__")
"""


def test_without_an_sdk_the_command_says_how_to_get_one() -> None:
    done = python("-c", RUN_WITH.format("sys.modules['openai'] = None"))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("the OpenAI SDK is not installed. Run: pip install openai\n")


def test_an_sdk_that_cannot_be_read_is_named() -> None:
    done = python("-c", RUN_WITH.format("import openai; sys.modules['openai._resource'] = None"))

    assert (done.returncode, done.stdout) == (2, "")
    assert "the installed OpenAI SDK cannot be read: " in done.stderr
    assert "openai._resource" in done.stderr
