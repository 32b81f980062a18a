"""The pages show code themselves, which is complete enough to be pasted, or says what it continues."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONTINUING = re.compile(r"^# (?:Continues|In an async function)\b", re.MULTILINE)
BLOCKS = {page.name: BLOCK.findall(page.read_text("utf-8")) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_shows_its_code_wherever_it_is_read(page: Path) -> None:
    assert "--8<--" not in page.read_text("utf-8")


# The client of the README talks to its app: see test_examples.py.
STANDING_ALONE = {page: [code for code in blocks if not CONTINUING.match(code)] for page, blocks in BLOCKS.items()}
STANDING_ALONE["README.md"].pop(1)


# Not under the name of a program, so that no example starts its server.
PASTED = """if True:
    import runpy, sys
    for name in sys.argv[1:]:
        runpy.run_path(name, run_name="pasted")
"""


@pytest.mark.parametrize("page", [page for page, blocks in STANDING_ALONE.items() if blocks])
def test_code_that_continues_nothing_runs_when_it_is_pasted(page: str, tmp_path: Path) -> None:
    # What ends in an error shows how one is raised.
    blocks = [code for code in STANDING_ALONE[page] if not isinstance(ast.parse(code).body[-1], ast.Raise)]
    names = [f"block{number}.py" for number in range(len(blocks))]
    for name, code in zip(names, blocks, strict=True):
        (tmp_path / name).write_text(code)
    # Django is configured once in a process.
    is_django = any("settings.configure" in code for code in blocks)
    for together in [[name] for name in names] if is_django else [names]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PASTED, *together],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{ROOT / 'docs' / 'examples'}"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_most_code_stands_alone_or_continues_what_the_page_has_shown() -> None:
    blocks = [code for page in BLOCKS.values() for code in page]
    elsewhere = [code for code in blocks if code.startswith("# Continues docs/")]
    assert len(elsewhere) < len(blocks) / 3
