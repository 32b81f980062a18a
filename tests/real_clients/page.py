"""The part of docs/clients.md that is written from the results: which client was taken through what."""

import re
from collections.abc import Iterator

from tests.real_clients.checks import Result
from tests.real_clients.environments import ROOT

PAGE = ROOT / "docs" / "clients.md"
COMMAND = "make test-clients ARGS=--page"
BEGIN, END = f"<!-- Written by: {COMMAND} -->", "<!-- The end of what is written. -->"
WRITTEN = re.compile(f"(?<={re.escape(BEGIN)}\n\n).*(?=\n\n{re.escape(END)})", re.DOTALL)


def is_current(results: list[Result]) -> bool:
    found = WRITTEN.search(PAGE.read_text("utf-8"))
    return found is not None and found[0] == "\n".join(_lines(results))


def write(results: list[Result]) -> None:
    text = WRITTEN.sub(lambda _: "\n".join(_lines(results)), PAGE.read_text("utf-8"))
    PAGE.write_text(text, "utf-8", newline="\n")


def _lines(results: list[Result]) -> Iterator[str]:
    # The page is written where all of them pass.
    yield "| client | packages | checks | result |"
    yield "|---|---|---|---|"
    for result in results:
        packages = ", ".join(f"`{name}` {version}" for name, version in result.packages.items())
        areas = ", ".join(f"{area} {count}" for area, count in sorted(result.areas.items()))
        yield f"| {result.client} | {packages} | {areas} | passed |"
    for result in results:
        yield ""
        yield f"### {result.client}"
        yield ""
        for area in sorted(result.areas):
            yield f"- **{area}**: {'; '.join(_names(result, area))}"


def _names(result: Result, area: str) -> dict[str, None]:
    """The names of the checks, each once: what it was run with is left out, unless it is all that tells them apart."""
    names = [check.name for check in result.checks if check.area == area]
    bare = dict.fromkeys(re.sub(r" \(.*\)$", "", name) for name in names)
    return bare if len(bare) > 1 else dict.fromkeys(re.sub(r"^.* \((.*)\)$", r"\1", name) for name in names)
