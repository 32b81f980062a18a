"""The generator and the comparison run on every major version of the SDK that is claimed to be supported.

Each older version gets an environment of its own, with what `pip install openai` gives there; the pinned one is in the
environment of all tests.
"""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from openai_middleware.contract import Contract, shipped

ROOT = Path(__file__).resolve().parents[2]
PINNED = shipped().version
OLDER = OLDEST, NEWEST_2 = "1.109.1", "2.54.0"
OPEN_RESPONSES = f"Open Responses {shipped().open_responses}"

pytestmark = pytest.mark.slow


class Outcome(NamedTuple):
    """What the command did with one version of the SDK."""

    written: Contract
    drift: subprocess.CompletedProcess[str]


def requirements(version: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [f"openai=={version}", *project["dependencies"]]


def constraints(home: Path) -> Path:
    """Those of the project, but for the SDK's own version."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    file = home / "constraints.txt"
    file.write_text("\n".join(line for line in lines if not line.startswith("openai==")), "utf-8")
    return file


def run(*command: str | Path, cwd: Path, allowed: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in allowed, f"{command} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def try_out(version: str, home: Path) -> Outcome:
    run(sys.executable, "-m", "venv", "--without-pip", home / "venv", cwd=home)
    python = home / "venv" / "bin" / "python"
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--constraint", constraints(home), *requirements(version), cwd=home)
    command: list[str | Path] = [python, "-m", "openai_middleware.contract"]
    run(*command, "--write", home / "contract.json", cwd=home)
    return Outcome(Contract.load(home / "contract.json"), run(*command, cwd=home, allowed=(0, 1)))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    """All of them at once: most of the time goes into waiting for the registry."""
    with ThreadPoolExecutor() as pool:
        yield {
            version: pool.submit(try_out, version, tmp_path_factory.mktemp(f"openai-{version}")) for version in OLDER
        }


@pytest.fixture
def outcome(version: str, outcomes: dict[str, Future[Outcome]]) -> Outcome:
    return outcomes[version].result()


def test_versions_are_the_first_the_newest_2_and_the_pinned_one() -> None:
    assert [version.partition(".")[0] for version in (*OLDER, PINNED)] == ["1", "2", "3"]


@pytest.mark.parametrize(("version", "operations", "groups"), [(OLDEST, 95, 17), (NEWEST_2, 124, 20)])
def test_generator_finds_every_operation(outcome: Outcome, version: str, operations: int, groups: int) -> None:  # C1
    written = outcome.written

    assert written.version == version
    assert (len(written.operation_names()), len(written.groups)) == (operations, groups)


@pytest.mark.parametrize("version", OLDER)
def test_generator_finds_what_clients_rely_on(outcome: Outcome) -> None:  # C1
    written = outcome.written
    response = written.operation("responses.create")
    chat = written.operation("chat.completions.create")
    listing = written.operation("chat.completions.list")

    assert response
    assert {name for name, field in response.fields.items() if field.mandatory} == {
        *("id", "created_at", "error", "incomplete_details", "instructions", "metadata", "model"),
        *("object", "output", "parallel_tool_calls", "temperature", "tool_choice", "tools", "top_p"),
    }
    assert response.stream
    assert "response.completed" in written.stream(response.stream).events
    assert chat
    assert {name for name, mandatory in chat.body.items() if mandatory} == {"messages", "model"}
    assert listing
    assert listing.fields["has_more"] == (True, False)
    assert listing.query["limit"] == (False, "integer")
    assert {"choices", "id", "usage"} <= listing.item_fields


@pytest.mark.parametrize("version", OLDER)
def test_what_only_open_responses_has_is_added_to_every_version(outcome: Outcome) -> None:  # O12
    written = outcome.written
    response = written.operation("responses.create")
    items = written.operation("responses.input_items.list")

    assert written.open_responses == shipped().open_responses
    assert response
    assert response.body["presence_penalty"] is False
    assert response.fields["store"] == (False, False)
    assert response.fields["output_text"] == (False, True)
    assert response.stream
    assert "response.reasoning.delta" in written.stream(response.stream).events
    assert written.stream(response.stream).is_numbered
    assert items
    assert {"type", "role", "content", "encrypted_content", "phase"} <= items.item_fields


@pytest.mark.parametrize("version", OLDER)
def test_drift_from_an_older_version_is_told(outcome: Outcome, version: str) -> None:
    first, *lines = outcome.drift.stdout.splitlines()

    assert outcome.drift.returncode == 1
    assert f"(openai {PINNED}, {OPEN_RESPONSES}) differs from openai {version} and {OPEN_RESPONSES}; removed" in first
    assert "  - webhooks.list: operation (GET /webhook_endpoints)" in lines
    assert not [line for line in lines if "chat.completions" in line and "operation (" in line]
