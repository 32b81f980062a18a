"""Holds the code that the pages show to the examples that it is taken from.

A comment in a page, `<!-- docs/examples/NAME.py:SECTION -->`, names what the code block below it shows: a section of
an example, with the imports that it needs. Where it needs more of the example, its first line says so; where that
cannot be seen in its names, the comment ends with `continues`. Run without arguments this fails where a page shows
something else; with --write it writes the code into the pages.
"""

import ast
import builtins
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))

BLOCK = re.compile(
    r"^(?P<indent> *)<!-- (?P<name>[\w/.]+\.\w+)(?::(?P<section>[\w-]+))?(?P<continues> continues)? -->\n"
    r" *```(?P<language>\w+)\n.*?^ *```$",
    re.MULTILINE | re.DOTALL,
)
MARKER = re.compile(r"^.*--8<-- \[(start|end):([\w-]+)\].*\n", re.MULTILINE)


def main() -> None:
    differing: list[str] = []
    for page in PAGES:
        text = page.read_text("utf-8")
        written = with_code(text)
        if written != text:
            differing.append(page.name)
            if "--write" in sys.argv[1:]:
                page.write_text(written, "utf-8")
    if differing and "--write" not in sys.argv[1:]:
        sys.exit(f"Code differs from docs/examples in {', '.join(differing)}. Write it with: make pages")


def with_code(text: str) -> str:
    """A page with the code of today's examples."""
    shown: set[str] = set()

    def block(found: re.Match[str]) -> str:
        source = (ROOT / found["name"]).read_text("utf-8")
        code = MARKER.sub("", source) if found["section"] is None else section_of(source, found["section"])
        if found["language"] == "python":
            code = with_what_it_needs(code, source, found["name"], shown, continues=bool(found["continues"]))
            shown.update(bound_names(ast.parse(code)))
        place = found["name"] if found["section"] is None else f"{found['name']}:{found['section']}"
        written = f"<!-- {place}{found['continues'] or ''} -->\n```{found['language']}\n{code}```"
        return textwrap.indent(written, found["indent"])

    return BLOCK.sub(block, text)


def section_of(source: str, section: str) -> str:
    start, end = (marker for marker in MARKER.finditer(source) if marker[2] == section)
    return textwrap.dedent(MARKER.sub("", source[start.end() : end.start()])).strip("\n") + "\n"


def with_what_it_needs(code: str, source: str, name: str, shown: set[str], *, continues: bool) -> str:
    """Code below the imports that it needs, and below a line about what else it needs."""
    head: list[str] = []
    needed = missing_names(code)
    imported = list(imports_of(source, needed))
    if not is_of_module_level(code):
        head.append("# In an async function.")
    needed -= {bound for line in imported for bound in bound_names(ast.parse(line))}
    if needed or continues:
        head.append(
            "# Continues the code above." if needed <= shown else f"# Continues {name}: {', '.join(sorted(needed))}."
        )
    return "\n".join([*head, *imported, *([""] if imported else []), code])


def is_of_module_level(code: str) -> bool:
    """Whether code can stand outside of functions: `await` cannot."""
    try:
        compile(code, "a block", "exec")
    except SyntaxError:
        return False
    return True


def missing_names(code: str) -> set[str]:
    """The names that code uses and does not have itself."""
    tree = ast.parse(code)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return used - bound_names(tree) - vars(builtins).keys()


def bound_names(tree: ast.AST) -> set[str]:
    return set(_bound_names(tree))


def _bound_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


@cache
def imports(source: str) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]


def imports_of(source: str, names: set[str]) -> Iterator[str]:
    """The imports of a module that bring these names."""
    for node in imports(source):
        kept = [alias for alias in node.names if bound_names(alias) & names]
        if kept:
            node = ast.Import(kept) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, kept, node.level)
            yield ast.unparse(node)


if __name__ == "__main__":
    main()
