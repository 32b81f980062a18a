"""docs/architecture.md and the tree agree: every module is named on the page, and what is named there exists."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "openai_middleware"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
DRAWING = (ROOT / "docs" / "images" / "architecture.svg").read_text("utf-8")

MODULES = sorted(
    f"{prefix}{file.relative_to(folder).as_posix()}"
    for folder, prefix in ((PACKAGE, ""), (ROOT / "adapters", "adapters/"))
    for file in folder.rglob("*.py")
    if file.name != "__init__.py" and file.relative_to(folder).parts[0] != "adapters"
)
PATH = r"[\w./-]+(?:\.(?:py|json|toml)|/)"
ON_THE_PAGE = re.findall(rf"`({PATH})`", PAGE)
IN_THE_TABLE = re.findall(r"^\| `([\w./]+\.py)` \|", PAGE, re.MULTILINE)


def test_every_module_has_one_line_in_the_table() -> None:
    assert sorted(IN_THE_TABLE) == MODULES


@pytest.mark.parametrize("path", sorted({*ON_THE_PAGE, *re.findall(rf"(?<![\w./]){PATH}(?![\w/])", DRAWING)}))
def test_path_that_the_page_or_its_drawing_names_exists(path: str) -> None:
    assert path in ("openai_middleware/", "__init__.py") or (PACKAGE / path).exists()


def test_drawing_needs_nothing_from_elsewhere() -> None:
    assert not re.search(r"<script|<image|@import|href=|url\((?!#)", DRAWING)


@pytest.mark.parametrize("name", re.findall(r"^\| `(openai_middleware[\w.]*?)(?:\.\*)?` \|", PAGE, re.MULTILINE))
def test_module_that_is_said_to_be_public_can_be_imported(name: str) -> None:
    importlib.import_module(name)
