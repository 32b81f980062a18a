"""docs/operations.md says what the contract says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openai_middleware.contract import Operation, shipped

DOCS = Path(__file__).resolve().parents[2] / "docs"
PROGRAM = DOCS / "examples" / "contract_tables.py"
PAGE = (DOCS / "operations.md").read_text("utf-8")
OPERATIONS = [operation for group in shipped().groups for operation in shipped().operations(group)]


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", program, *arguments], capture_output=True, text=True, check=False
    )


def test_page_is_up_to_date() -> None:
    done = run(PROGRAM)

    assert (done.returncode, done.stderr) == (0, ""), "run: make contract"
    assert done.stdout == f"{PAGE}\n"


def test_page_that_is_out_of_date_is_refused_until_it_is_rewritten(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    program = Path(shutil.copy(PROGRAM, tmp_path / "examples"))
    page = tmp_path / "operations.md"
    page.write_text(PAGE.replace("`POST /embeddings`", "`GET /embeddings`"), "utf-8")

    refused = run(program)
    assert refused.returncode == 1
    assert refused.stderr == f"{page} is out of date. Run: make contract\n"
    assert run(program, "--write").returncode == 0
    assert run(program).returncode == 0
    assert page.read_text("utf-8") == PAGE


def test_every_group_has_its_operations_and_no_others() -> None:
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]

    found = {section.split("\n")[0]: re.findall(r"^\| `([\w.]+)`", section, re.MULTILINE) for section in sections}
    assert found == {group.upper(): [one.name for one in shipped().operations(group)] for group in shipped().groups}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_row_has_the_route_every_field_and_what_is_mandatory(operation: Operation) -> None:
    [row] = re.findall(rf"^\| `{re.escape(operation.name)}`<br>(.*) \|$", PAGE, re.MULTILINE)
    route, body, query, answer = row.split(" | ")

    assert route == f"`{operation.method} {operation.path}`"
    assert fields(body) == operation.body
    assert fields(query) == {name: parameter.mandatory for name, parameter in operation.query.items()}
    assert fields(answer) == {name: field.mandatory for name, field in operation.fields.items()}
    assert ("*form*" in body) == (operation.request == "multipart")
    assert re.findall(r"\*(binary|none)\*", answer) == [operation.response] * (operation.response != "json")
    assert ("*event stream*" in answer) == (operation.stream is not None)


def fields(cell: str) -> dict[str, bool]:
    return {name: bool(bold) for bold, name in re.findall(r"(\*\*)?`(\w+)`", cell)}
