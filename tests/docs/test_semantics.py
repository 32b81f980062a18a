"""docs/semantics.md is the legend of the tests: a tag such as `# M13` is a fact there, and every fact has a test."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "semantics.md").read_text("utf-8")

FACT = r"[A-Z][1-9][0-9]*"
TITLE = re.compile(rf"({FACT})\. \S.* {{ #({FACT}) }}")
TAGS = re.compile(rf"{FACT}(?:(?:,\s*|\s+and\s+|\s+){FACT})*(?![\w-]|\.\d)")


class Tag(NamedTuple):
    """The name of one fact, in a comment of the tests."""

    fact: str
    file: str
    line: int
    is_on_test: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.fact}"


def facts(page: str) -> list[str]:
    """The facts of a page, one for each of its headings of the third level."""
    found = []
    for heading in re.findall(r"^### *(.*)$", page, re.MULTILINE):
        title = TITLE.fullmatch(heading)
        assert title is not None, f"not the title of a fact, such as 'M1. Its title {{ #M1 }}': {heading}"
        assert title[1] == title[2], f"the anchor of {title[1]} is #{title[2]}"
        found.append(title[1])
    return found


def named_in(comment: str) -> list[str]:
    """The facts that a comment begins with. A second comment may follow one that is for a tool."""
    runs = (TAGS.match(part.strip()) for part in comment.split("#"))
    return [fact for run in runs if run is not None for fact in re.findall(FACT, run[0])]


def tags(source: str, file: str) -> Iterator[Tag]:
    """The tags of one file. Only comments are looked at, not what stands in a string."""
    tests = [lines_of(node) for node in ast.walk(ast.parse(source)) if is_test(node)]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line = token.start[0]
            is_on_test = any(line in lines for lines in tests)
            yield from (Tag(fact, file, line, is_on_test) for fact in named_in(token.string))


def is_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")


def lines_of(test: ast.AST) -> range:
    assert isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef)
    assert test.end_lineno is not None
    return range(min(node.lineno for node in [test, *test.decorator_list]), test.end_lineno + 1)


def tags_below(folder: Path) -> Iterator[Tag]:
    for path in sorted(folder.rglob("*.py")):
        yield from tags(path.read_text("utf-8"), path.relative_to(folder.parent).as_posix())


FACTS = facts(PAGE)


@pytest.fixture(scope="module")
def tagged() -> list[Tag]:
    """The tags of all tests."""
    return list(tags_below(ROOT / "tests"))


# --- the page and the tests


def test_every_tag_is_a_fact_of_the_page(tagged: list[Tag]) -> None:
    assert [str(tag) for tag in tagged if tag.fact not in FACTS] == []


def test_every_tag_is_on_a_test(tagged: list[Tag]) -> None:
    assert [str(tag) for tag in tagged if not tag.is_on_test] == []


def test_every_fact_has_a_test(tagged: list[Tag]) -> None:
    proved = {tag.fact for tag in tagged if tag.is_on_test}

    assert [fact for fact in FACTS if fact not in proved] == []


def test_facts_stand_in_their_section_in_the_order_of_their_numbers() -> None:
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        letter = section[0]
        assert re.match(rf"{letter}\. \S.* {{ #{letter} }}\n", section), section.splitlines()[0]
        numbers = [int(fact.removeprefix(letter)) for fact in facts(section)]
        assert numbers
        assert numbers == sorted(set(numbers)), letter


# --- how both are read


@pytest.mark.parametrize(
    ("comment", "named"),
    [
        ("# M1", ["M1"]),
        ("#M1", ["M1"]),
        ("# M1, M2", ["M1", "M2"]),
        ("# M1,M2", ["M1", "M2"]),
        ("# M12 S4 E10", ["M12", "S4", "E10"]),
        ("# O3 and S4", ["O3", "S4"]),
        ("# S4: the frame comes first", ["S4"]),
        ("# S4, and the frame comes first", ["S4"]),
        ("# M1, M2.", ["M1", "M2"]),
        ("# M1.5 is no number", []),
        ("# type: ignore[arg-type]  # M9", ["M9"]),
        ("# noqa: B018", []),
        ("# noqa: E402, F401", []),
        ("# SSE", []),
        ("# E2E", []),
        ("# B-tree", []),
        ("# B2-trees", []),
        ("# S0", []),
        ("# M01", []),
        ("# UTF8 only", []),
        ("# As M13 says", []),
        ("# --- M1", []),
    ],
)
def test_what_a_comment_names(comment: str, named: list[str]) -> None:
    assert named_in(comment) == named


def test_tags_know_where_they_stand() -> None:
    source = """
# M1
TEXT = "# M2"

@mark  # M3
@mark(
    "one",  # M4 M5
)
async def test_one(
    one: str,
) -> None:  # M6
    '''# M7'''
    for _ in one:
        pass  # M8

def helper():  # M9
    pass

class TestMore:
    def test_two(self) -> None: ...  # M10
"""
    found = [(tag.fact, tag.line, tag.is_on_test) for tag in tags(source, "tests/a.py")]

    assert [(fact, line) for fact, line, is_on_test in found if not is_on_test] == [("M1", 2), ("M9", 16)]
    assert [(fact, line) for fact, line, is_on_test in found if is_on_test] == [
        *[("M3", 5), ("M4", 7), ("M5", 7), ("M6", 11), ("M8", 14), ("M10", 20)]
    ]


def test_tag_is_shown_with_its_place() -> None:
    [tag] = tags("\nasync def test_one(): ...  # M99\n", "tests/a.py")

    assert str(tag) == "tests/a.py:2: M99"


def test_facts_are_the_headings_of_the_third_level() -> None:
    page = "## M. One { #M }\n\n### M1. Two words { #M1 }\n\nM7 as in `# M8`.\n\n### M10. Not so (≠ MLRun) { #M10 }\n"

    assert facts(page) == ["M1", "M10"]


@pytest.mark.parametrize(
    "heading", ["### M1", "### M1. One", "### M1. One { #M2 }", "### One { #M1 }", "###M1. { #M1 }"]
)
def test_heading_that_is_no_fact_is_refused(heading: str) -> None:
    with pytest.raises(AssertionError):
        facts(f"{heading}\n")
