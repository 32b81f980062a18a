"""`openai-middleware check`: what it prints and writes, what it exits with, and what bounds it."""

import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from openai_middleware.__main__ import main
from openai_middleware.check.server import serving
from openai_middleware.cli.main import cli
from openai_middleware.cli.report import print_result
from tests.support.checks import checked
from tests.support.faulty_app import app

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "openai_middleware" / "cli" / "report.schema.json").read_text("utf-8"))
CHAT = "--only=chat.completions.create"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(app) as url:
        yield url


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["check", *map(str, arguments)], catch_exceptions=False)


def test_a_table_and_0_where_all_is_well() -> None:
    done = run("tests.support.faulty_app:app", "--app-dir", ROOT, "--prefix=/none/v1", CHAT, "--only=moderations")

    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert lines[0] == ["tests.support.faulty_app:app,", "model", "m-1"]
    assert lines[1] == ["operation", "case", "wire", "sdk", "open-responses"]
    assert ["chat.completions.create", "create", "ok", "ok", "-"] in lines
    assert ["stream", "helper", "ok", "ok", "-"] in lines
    assert "Not implemented: moderations.create" in done.stdout
    assert "7 ok, 0 broken, 1 not implemented, 0 skipped. " in done.stdout


def test_what_is_broken_is_told_in_every_format(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary, junit = tmp_path / "summary.md", tmp_path / "junit.xml"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    fact = "sdk: choices[0].message: missing"

    table = run(f"{url}/no_message/v1", CHAT, "--require=files.content", "--junit", junit)
    document = run(f"{url}/no_message/v1", CHAT, "--require=files.content", "--json")

    assert table.exit_code == document.exit_code == 1
    assert f"chat.completions.create: create, several turns, tools, a stream that is left\n  {fact}\n" in table.stdout
    assert "files.content\n  is required, and not tried: `only` leaves it out\n" in table.stdout
    assert f"::error title=chat.completions.create%3A create::{fact}\n" in table.stdout
    assert "::error title=files.content::is required, and not tried: `only` leaves it out\n" in table.stdout
    assert f"| chat.completions.create | create | broken | {fact} |\n" in summary.read_text("utf-8")

    printed = json.loads(document.stdout)
    jsonschema.validate(printed, SCHEMA)
    assert printed["cases"][0]["facts"] == [{"oracle": "sdk", "place": "choices[0].message", "what": "missing"}]
    assert (printed["exit_code"], printed["missing"]) == (1, ["files.content"])
    assert "::error title=" in document.stderr, "where it does not mix with the JSON"

    suite = ElementTree.parse(junit).getroot()
    tests = {(test.get("classname"), test.get("name")): test for test in suite}
    failure = tests["chat.completions.create", "create"].find("failure")
    assert failure is not None
    assert failure.get("message") == failure.text == fact
    assert len(tests["chat.completions.create", "stream"]) == 0
    assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
    assert tests["files.content", "is there"].find("failure") is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tests.support.nonsense:app"], 'Could not import module "tests.support.nonsense".'),
        (["tests.support.faulty_app:nonsense"], 'Attribute "nonsense" not found in module "tests.support.faulty_app".'),
        (["tests.support.faulty_app:FAULTS"], "An app can be called, and dict cannot."),
        (["http://127.0.0.1:1/v1"], "Nothing answers at http://127.0.0.1:1/v1"),
        (["HTTP://127.0.0.1:1/v1"], "Nothing answers at HTTP://127.0.0.1:1/v1"),
        (["http://127.0.0.1:abc/v1"], "http://127.0.0.1:abc/v1 is no URL, such as http://127.0.0.1:8000/v1."),
        (["http:///v1"], "http:///v1 is no URL"),
        (["localhost:8000/v1"], "A URL begins with http:// or https://."),
        (["x:app", "--api-key="], "A key is made of the printable characters of ASCII, one at least."),
        (["x:app", "--api-key=sk-é"], "A key is made of the printable characters of ASCII, one at least."),
        (["x:app", "--header=X-Tenant: é"], "A header is made of the printable characters of ASCII, and 'X-Tenant' is"),
        (["x:app", "--header=X Y: z"], "A header is made of the printable characters of ASCII, and 'X Y' is"),
        (["x:app", "--require=files.eat"], "There is no operation 'files.eat'."),
        (["x:app", "--oracle=delphi"], "There is no oracle 'delphi'. Choose from wire, sdk, open-responses."),
        (["x:app", "--only=models", "--only=nonsense"], "There is no operation 'nonsense'."),
        (["x:app", "--only=videos.edit"], "There is no case of these operations. A fixture can describe them."),
        (["x:app", "--header=Authorization"], "A header is NAME:VALUE, and 'Authorization' is none."),
        (["x:app", "--fixture=README.md"], "README.md is no JSON"),
        (["x:app", "--fixture=nowhere.json"], "No such file or directory: 'nowhere.json'"),
    ],
)
def test_2_and_a_message_where_nothing_can_be_checked(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)

    done = run(*arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_2_where_nothing_of_the_api_was_found(url: str) -> None:
    done = run(f"{url}/serves_nothing/v1")

    assert done.exit_code == 2
    assert "Nothing of the API was found: is this where it begins? See --prefix." in done.stdout


def test_another_host_is_not_touched_before_someone_agrees() -> None:
    done = run("http://192.0.2.1/v1", "--only=files")  # a network for documentation, which no one answers from

    assert done.exit_code == 2
    assert "This tries 5 cases on http://192.0.2.1/v1, with at most 500 requests." in done.stderr
    assert "  4 x a file\n" in done.stderr
    assert "  1 x three files\n" in done.stderr
    assert "Nothing was sent. Say --yes to agree." in done.stderr


def test_it_sends_no_more_requests_than_it_may(url: str) -> None:
    done = run(f"{url}/none/v1", CHAT, "--max-requests=3", "--json")  # the first asks for the models

    printed = json.loads(done.stdout)
    assert (done.exit_code, printed["limit"]) == (2, "the limit of 3 requests was reached")
    assert [case["status"] for case in printed["cases"]] == ["ok"] * 2 + ["skipped"] * 5
    assert sum(case["requests"] for case in printed["cases"]) == 2
    assert printed["requests"] == 3


def test_a_stream_without_an_end_is_broken_when_its_time_is_over(url: str) -> None:
    done = run(f"{url}/no_end/v1", CHAT, "--timeout=0.3", "--json")

    printed = json.loads(done.stdout)
    broken = {case["name"]: case["facts"] for case in printed["cases"] if case["status"] == "broken"}
    fact = [{"oracle": "wire", "place": "", "what": "the answer did not end in time"}]
    assert broken == {"stream": fact, "stream helper": fact}
    assert done.exit_code == 1


WSGI_APP = """
import json

def app(environ, start_response):
    asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0)) or "{}")
    print(environ["PATH_INFO"], environ["HTTP_AUTHORIZATION"], environ.get("HTTP_X_TENANT"), json.dumps(asked))
    if environ["PATH_INFO"] == "/api/vector_stores/docs/search":
        body = {"object": "vector_store.search_results.page", "search_query": ["q"], "data": [], "has_more": False}
        start_response("200 OK", [("Content-Type", "application/json")])
    else:
        body = {"error": {"message": "Nothing.", "type": "invalid_request_error", "param": None, "code": None}}
        start_response("404 Not Found", [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]
"""


def test_a_wsgi_app_gets_what_it_needs_to_be_told(tmp_path: Path) -> None:
    (tmp_path / "wsgi_app_of_check.py").write_text(WSGI_APP)
    fixture = tmp_path / "fixture.json"
    fixture.write_text(json.dumps({"vector_stores.search": {"vector_store_id": "docs", "max_num_results": 1}}))
    only = ("--only=vector_stores.search", "--only=moderations.create", "--only=embeddings.create")

    done = run(
        *["wsgi_app_of_check:app", "--app-dir", tmp_path, "--prefix=/api", *only, "--fixture", fixture],
        *["--prompt=Bees?", "--model=m-7", "--api-key=sk-1", "--header=X-Tenant: bees"],
    )

    assert done.exit_code == 0, done.output
    assert '/api/vector_stores/docs/search Bearer sk-1 bees {"query": "Bees?", "max_num_results": 1}' in done.stderr
    assert '/api/embeddings Bearer sk-1 bees {"model": "m-7", "input": ["Bees?", "Hello."]' in done.stderr
    assert "1 ok, 0 broken, 2 not implemented, 0 skipped." in done.stdout


def test_an_app_that_asks_for_a_key_says_so(url: str, tmp_path: Path) -> None:
    (tmp_path / "closed_app_of_check.py").write_text(WSGI_APP.replace("404 Not Found", "401 Unauthorized"))

    done = run("closed_app_of_check:app", "--app-dir", tmp_path, "--only=embeddings.create")

    assert done.exit_code == 1
    assert "embeddings.create: create\n  wire: the status is 401: Nothing.\n" in done.stdout
    assert "The app asks who calls: give it --api-key or --header." in done.stdout


def test_an_app_that_does_not_start_is_no_app_that_was_checked(tmp_path: Path) -> None:
    (tmp_path / "failing_app_of_check.py").write_text("async def app(scope, receive, send):\n    1 / 0\n")
    (tmp_path / "broken_app_of_check.py").write_text("1 / 0\n")
    logging.getLogger("uvicorn.error").disabled = True
    try:
        failing = run("failing_app_of_check:app", "--app-dir", tmp_path, CHAT)
        broken = run("broken_app_of_check:app", "--app-dir", tmp_path, CHAT)
    finally:
        logging.getLogger("uvicorn.error").disabled = False

    assert failing.exit_code == 1
    assert "the status is 500" in failing.stdout
    assert broken.exit_code == 2
    assert "broken_app_of_check:app cannot be imported: ZeroDivisionError: division by zero" in broken.stderr


NOISY = """
print("imported")

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    print("asked for", scope["path"])
    body = b'{"object": "list", "data": []}'
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})

def create_app():
    return app
"""


def test_what_an_app_prints_does_not_mix_with_the_json(tmp_path: Path) -> None:
    (tmp_path / "noisy_app_of_check.py").write_text(NOISY)

    done = run("noisy_app_of_check:app", "--app-dir", tmp_path, "--only=models.list", "--json")

    assert done.exit_code == 0
    assert json.loads(done.stdout)["counts"]["ok"] == 1
    assert done.stderr.splitlines()[:2] == ["imported", "asked for /v1/models"]


@pytest.mark.parametrize("prefix", ["v1", "/v1/", "/v1"])
def test_a_prefix_may_leave_out_its_slash(prefix: str, tmp_path: Path) -> None:
    (tmp_path / "noisy_app_of_check.py").write_text(NOISY)

    done = run("noisy_app_of_check:app", "--app-dir", tmp_path, "--only=models.list", "--prefix", prefix)

    assert done.exit_code == 0
    assert "asked for /v1/models\n" in done.stderr


def test_a_function_that_makes_an_app_is_none(tmp_path: Path) -> None:
    (tmp_path / "noisy_app_of_check.py").write_text(NOISY)

    done = run("noisy_app_of_check:create_app", "--app-dir", tmp_path)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "An app takes arguments, and this takes none: is it a function that returns the app?" in done.stderr


def test_2_before_anything_is_sent_where_a_report_cannot_be_written(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(app.connections)

    junit = run(f"{url}/none/v1", CHAT, "--junit", tmp_path / "nowhere" / "check.xml")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    summary = run(f"{url}/none/v1", CHAT)

    assert (junit.exit_code, summary.exit_code) == (2, 2)
    assert "No such file or directory" in junit.stderr
    assert "Is a directory" in summary.stderr
    assert len(app.connections) == before


def answered(answer: bytes, *arguments: str) -> tuple[int, str]:
    """The program at a terminal, and what someone types there."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keyboard, os.fdopen(theirs, "rb") as terminal:
        keyboard.write(answer)
        command = [sys.executable, "-m", "openai_middleware", "check", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, stdin=terminal, capture_output=True, text=True, check=False, timeout=60
        )
    return done.returncode, done.stderr


def test_someone_at_a_terminal_is_asked_before_another_host_is_touched(url: str) -> None:
    elsewhere = f"{url.replace('127.0.0.1', '0.0.0.0')}/none/v1"  # which is here all the same
    before = len(app.connections)

    no, told_no = answered(b"n\n", elsewhere, "--only=models")
    untouched = len(app.connections) == before
    yes, told_yes = answered(b"y\n", elsewhere, "--only=models")
    agreed = run(elsewhere, "--only=models", "--yes")

    assert (no, yes, agreed.exit_code) == (2, 0, 0)
    assert untouched
    assert "Go on?" in told_no
    assert "Nothing was sent." in told_no
    assert "Go on?" in told_yes
    assert "Go on?" not in agreed.stderr
    assert "0 of them ask the model for text." in told_no


def test_progress_is_shown_at_a_terminal(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    done = run(f"{url}/none/v1", "--only=models")

    assert " 50%" in done.stderr or "100%" in done.stderr
    assert "models.retrieve: retrieve" in done.stderr


def test_a_table_fits_into_80_columns(url: str) -> None:
    out = StringIO()

    print_result(checked(f"{url}/none/v1", only=("chat.completions.create",)), Console(file=out, width=80))

    assert "chat.completions.create  a stream that is left" not in out.getvalue()
    assert "chat.completions.create  create " in out.getvalue()
    assert "a stream that is left  ok    ok   -" in out.getvalue()


def test_why_a_required_operation_is_missing_is_told(url: str) -> None:
    required = ("--require=moderations.create", "--require=videos.edit", "--require=embeddings.create")

    done = run(f"{url}/none/v1", "--only=embeddings", "--only=videos.edit", *required)

    assert done.exit_code == 1
    assert "moderations.create\n  is required, and not tried: `only` leaves it out\n" in done.stdout
    assert "videos.edit\n  is required, and not tried: only a fixture can describe it\n" in done.stdout
    assert "embeddings.create\n  is required" not in done.stdout


def test_a_fixture_with_an_argument_that_there_is_not_says_so_alone(url: str, tmp_path: Path) -> None:
    fixture = tmp_path / "fixture.json"
    fixture.write_text('{"embeddings.create": {"flavour": "sweet"}}')

    done = run(f"{url}/none/v1", "--only=embeddings", "--fixture", fixture)

    assert done.exit_code == 2
    assert "the SDK did not send it: " in done.stdout
    assert "'flavour'" in done.stdout
    assert "Nothing of the API" not in done.stdout


def test_the_sample_of_the_documentation_is_what_is_printed() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    sample = page.partition("```text\n")[2].partition("```")[0].splitlines()
    command = [sys.executable, "-m", "openai_middleware", "check", "replies:app"]
    folder, environment = ROOT / "docs" / "examples", {**os.environ, "PYTHONPATH": str(ROOT)}

    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=120)

    printed = [line.rstrip() for line in done.stdout.splitlines()]
    whole = [line for line in sample if "..." not in line]
    *rest, last = whole
    assert set(rest) <= set(printed)
    assert re.sub(r"[\d.]+ s\.", "", printed[-1]) == re.sub(r"[\d.]+ s\.", "", last)


def test_the_program_says_what_to_install_where_its_extra_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "openai_middleware.cli.main")
    monkeypatch.setitem(sys.modules, "typer", None)

    with pytest.raises(SystemExit, match="2"):
        main()

    assert capsys.readouterr().err == "The command line needs typer. Run: pip install 'openai-middleware[cli]'\n"


def test_python_m_is_the_program_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["openai-middleware", "--help"])

    with pytest.raises(SystemExit, match="0"):
        main()

    assert "check" in capsys.readouterr().out
