"""Prints the transcript of the demo: at most 80 columns wide, and in colours where it goes to a terminal.

rich sees to the colours: there are none in a pipe, nor where the environment has NO_COLOR.
"""

import re
import textwrap
from collections.abc import Iterable

from rich.console import Console

WIDTH = 80
INDENT = "    "
console = Console(highlight=False, markup=False, soft_wrap=True)


def heading(text: str) -> None:
    console.print(f"\n{text}\n{'=' * len(text)}", style="bold cyan")


def told(text: str) -> None:
    console.print(textwrap.fill(text, WIDTH))


def called(code: str) -> None:
    """Code, as it stands in an interpreter."""
    console.print("\n>>> " + "\n... ".join(code.splitlines()), style="bold green")


def came_back(text: object, most_lines: int = 8, style: str = "none") -> None:
    lines = [part for line in str(text).splitlines() for part in textwrap.wrap(line, WIDTH - len(INDENT)) or [""]]
    for line in lines[:most_lines]:
        console.print(INDENT + line, style=style)
    if len(lines) > most_lines:
        console.print(f"{INDENT}… and {len(lines) - most_lines} more lines", style="dim")


def arrive(words: Iterable[str]) -> None:
    """Print words as they arrive, each with a bar behind it."""
    column = 0
    try:
        for word in words:
            text = re.sub(r"\n+", " ", word)
            if column == 0 or column + len(text) + 1 > WIDTH:
                console.print("\n" * bool(column) + INDENT, end="")
                column = len(INDENT)
            console.print(text, end="")
            console.print("|", end="", style="dim")
            column += len(text) + 1
    finally:
        console.print()
