"""What came of a check, for a person at a terminal."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from openai_middleware.check.result import CaseResult, CheckResult, Status
from openai_middleware.check.settings import ORACLES

__all__ = ["console", "print_result", "summary_of", "table_of"]

_WIDE: Final = 160
_STYLES: Final = {Status.OK: "green", Status.BROKEN: "red", Status.NOT_IMPLEMENTED: "dim", Status.SKIPPED: "yellow"}


def console() -> Console:
    """Where things are printed. A file or a pipe is as wide as its lines."""
    found = Console()
    return found if found.is_terminal else Console(width=max(found.width, _WIDE))


def table_of(*columns: str) -> Table:
    """An empty table; what is too wide goes on in the next line, so that nothing is lost."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_result(result: CheckResult, out: Console) -> None:
    """Print a table of what the app has, then what is wrong, and what was not tried."""
    tried = [one for one in result.cases if one.status in (Status.OK, Status.BROKEN)]
    if tried:
        out.print(_table(result, tried), "")
    for title, lines in _alike(tried, lambda one: tuple(one.lines())):
        out.print(f"[red]{escape(title)}[/red]", soft_wrap=True)
        for line in lines:
            out.print(f"  {escape(line)}", soft_wrap=True)
    for name, reason in result.missing.items():
        out.print(f"[red]{name}[/red]\n  is required, and {escape(reason)}", soft_wrap=True)
    _print_list(
        out,
        "Warnings",
        [f"{', '.join(told)}: {title}" for title, told in _alike(tried, lambda one: tuple(one.warnings))],
    )
    absent = dict.fromkeys(one.operation for one in result.cases if one.status is Status.NOT_IMPLEMENTED)
    served = {one.operation for one in tried}
    _print_list(out, "Not implemented", [", ".join(name for name in absent if name not in served)])
    partly = [f"{one} ({one.reason})" for one in result.cases if _is_absent_beside_others(one, served)]
    _print_list(out, "Not implemented, though the operation is", partly)
    reasons = dict.fromkeys(one.reason for one in result.cases if one.status is Status.SKIPPED)
    skipped = [f"{reason}: {', '.join(_skipped_for(result, reason))}" for reason in reasons]
    _print_list(out, "Skipped", skipped)
    if result.untried:
        out.print(f"[bold]Not tried:[/bold] {len(result.untried)} operations that only a fixture can describe.")
    out.print(summary_of(result))


def summary_of(result: CheckResult) -> str:
    """One line about all cases."""
    counts = ", ".join(f"{result.count(status)} {status}" for status in Status)
    seconds = sum(one.seconds for one in result.cases)
    cleanup = f", and {result.cleanup_requests} to clean up," if result.cleanup_requests else ""
    parts = [f"{counts}. {result.requests} requests{cleanup} in {seconds:.1f} s."]
    if result.limit:
        parts.append(f"It ended early: {result.limit}.")
    elif any("the status is 401" in line for one in result.cases for line in one.lines()):
        parts.append("The app asks who calls: give it --api-key or --header.")
    elif result.count(Status.NOT_IMPLEMENTED) and not result.count(Status.OK) and not result.count(Status.BROKEN):
        parts.append("Nothing of the API was found: is this where it begins? See --prefix.")
    return " ".join(parts)


def _table(result: CheckResult, tried: Sequence[CaseResult]) -> Table:
    table = table_of("operation", "case", *ORACLES)
    table.title, table.title_justify = f"{escape(result.target)}, model {escape(result.model)}\n", "left"
    before = ""
    for one in tried:
        operation = one.operation
        table.add_row("" if operation == before else operation, one.name, *(_cell(one, name) for name in ORACLES))
        before = operation
    return table


def _alike(
    results: Sequence[CaseResult], told: Callable[[CaseResult], tuple[str, ...]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The cases of each operation of which the same is told: their names, and what is told."""
    names: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in results:
        if lines := told(one):
            names.setdefault((one.operation, lines), []).append(one.name)
    for (operation, lines), cases in names.items():
        yield f"{operation}: {', '.join(cases)}", lines


def _cell(result: CaseResult, oracle: str) -> str:
    if oracle not in result.facts:
        return "[dim]-[/dim]"
    status = Status.BROKEN if result.facts[oracle] else Status.OK
    return f"[{_STYLES[status]}]{status}[/{_STYLES[status]}]"


def _is_absent_beside_others(result: CaseResult, served: set[str]) -> bool:
    return result.status is Status.NOT_IMPLEMENTED and result.operation in served


def _skipped_for(result: CheckResult, reason: str) -> list[str]:
    return [str(one) for one in result.cases if one.status is Status.SKIPPED and one.reason == reason]


def _print_list(out: Console, title: str, lines: Sequence[str]) -> None:
    lines = [line for line in lines if line]
    if len(lines) == 1:
        out.print(f"[bold]{title}:[/bold] {escape(lines[0])}", soft_wrap=True)
    elif lines:
        out.print(f"[bold]{title}:[/bold]")
        for line in lines:
            out.print(f"  {escape(line)}", soft_wrap=True)
