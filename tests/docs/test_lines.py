"""How much is written so that an app's text is an answer: counted in an example that serves the SDK."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "few_lines.py"
PAGE = ROOT / "docs" / "choose-your-way.md"
SECTIONS = {
    "FastAPI, Starlette": ["function", "fastapi"],
    "Flask": ["function", "flask"],
    "any ASGI app": ["function", "asgi"],
    "any WSGI app": ["function", "wsgi"],
    "Django, by a view": ["django"],
}
WORDS_OF_OPENAI = {"object", "choices", "message", "delta", "output", "role", "finish_reason"}
WHOLE = "Refunds take five days."
STREAMED = "Refunds |take |five |days."


def code(app: str) -> list[str]:
    """The lines that are written for an app, without blank ones and without comments."""
    source = EXAMPLE.read_text("utf-8")
    found = [re.search(rf"\[start:{name}\]\n(.*?)# --8<-- \[end:{name}\]", source, re.DOTALL) for name in SECTIONS[app]]
    lines = [line for section in found if section is not None for line in section[1].splitlines()]
    return [line for line in lines if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("app", SECTIONS)
def test_text_of_an_app_is_served_by_five_lines_at_most(app: str) -> None:
    written = code(app)

    assert 0 < len(written) <= 5
    assert f"| {app} | {len(written)} |" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("app", SECTIONS)
def test_the_lines_hold_no_object_of_openai(app: str) -> None:
    tree = ast.parse("\n".join(code(app)))

    assert {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}.isdisjoint(WORDS_OF_OPENAI)


def test_page_counts_each_kind_of_app_once() -> None:
    assert re.findall(r"^\| ([^|]+) \| \d+ \|", PAGE.read_text("utf-8"), re.MULTILINE) == list(SECTIONS)


def test_sdk_gets_the_text_of_each_app_by_both_apis_whole_and_streamed() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE], capture_output=True, text=True, timeout=60, check=True
    )

    expected = [WHOLE, f"|{STREAMED}|", WHOLE, STREAMED]  # chunks of chat begin and end with one without words
    assert done.stdout.splitlines() == [f"{app} {expected}" for app in ("fastapi", "asgi", "flask", "django", "wsgi")]
