"""The commands: what they take, and what they exit with."""

import contextlib
import ipaddress
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, NoReturn
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn

from openai_middleware.check.cases import cases_of
from openai_middleware.check.exchange import Limits
from openai_middleware.check.result import CheckResult
from openai_middleware.check.runner import Runner, UnreachableError
from openai_middleware.check.server import ServerError, serving
from openai_middleware.check.settings import ORACLES, Settings, SettingsError
from openai_middleware.cli import formats, routes
from openai_middleware.cli.apps import AppError, imported
from openai_middleware.cli.report import console, print_result
from openai_middleware.contract.__main__ import main as contract_main

__all__ = ["cli"]

cli = typer.Typer(
    name="openai-middleware",
    help="The OpenAI REST API in front of an app that already exists.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

# What these begin with asks the model for text, if only to have something to read.
_ASKING: Final = ("chat.completions.", "completions.", "responses.")

_App = Annotated[str, typer.Argument(metavar="MODULE:APP", help="An ASGI or WSGI app.")]
_Folder = Annotated[Path, typer.Option("--app-dir", help="Where MODULE is looked for.")]


@cli.command("routes")
def routes_command(
    app: _App,
    app_dir: _Folder = Path("."),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what the middleware in an app serves: method, path, operation, what is mandatory, and by what."""
    with _told(), contextlib.redirect_stdout(sys.stderr):  # what an app prints is no JSON
        found = list(routes.served_by(imported(app, app_dir)))
    if not found:
        _fail(f"There is no middleware of this package in {app}.")
    routes.print_json(found) if as_json else routes.print_table(found)


@cli.command("contract")
def contract_command(
    contract: Annotated[Path | None, typer.Option(metavar="FILE", help="Compare this one instead.")] = None,
    write: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the contract of the installed SDK.")] = None,
) -> None:
    """Tell how the contract differs from the installed OpenAI SDK, joined with Open Responses."""
    if contract and write:
        _fail("--contract and --write do not go together.")
    arguments = [f"--contract={contract}"] if contract else [f"--write={write}"] if write else []
    raise typer.Exit(contract_main(arguments))


@cli.command()
def check(
    target: Annotated[str, typer.Argument(metavar="MODULE:APP | URL", help="An ASGI or WSGI app, or a base URL.")],
    app_dir: _Folder = Path("."),
    prefix: Annotated[str, typer.Option(help="Where the API of MODULE:APP begins.")] = "/v1",
    model: Annotated[str | None, typer.Option(help="Asked for as the model; the first that is listed.")] = None,
    prompt: Annotated[str, typer.Option(help="What is asked.")] = Settings.prompt,
    api_key: Annotated[str, typer.Option(envvar="OPENAI_API_KEY", show_envvar=True, help="The key.")] = "none",
    header: Annotated[list[str] | None, typer.Option(metavar="NAME:VALUE", help="A header of every request.")] = None,
    fixture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON: arguments of operations, such as bodies and ids.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="An operation, a group, or a pattern: files.*")] = None,
    require: Annotated[list[str] | None, typer.Option(help="An operation that has to be there.")] = None,
    oracle: Annotated[list[str] | None, typer.Option(help=f"Who judges: {', '.join(ORACLES)}.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one case.")] = Limits.case_seconds,
    max_time: Annotated[float, typer.Option(min=1, help="Seconds for all of them.")] = Limits.total_seconds,
    max_requests: Annotated[int, typer.Option(min=1, help="Requests for all of them.")] = Limits.requests,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before other hosts are touched.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit report too.")] = None,
) -> None:
    """Drive an app with the official OpenAI SDK, and judge what comes back.

    The exit status is 0 where all that the app has is well, 1 where something is broken or missing, and 2 where nothing
    can be said.
    """
    with _told():
        settings = Settings(
            model=model,
            prompt=prompt,
            api_key=api_key,
            headers=dict(map(_header, header or [])),
            fixture=Settings.fixture_of(fixture) if fixture else {},
            only=tuple(only or ()),
            require=tuple(require or ()),
            oracles=tuple(oracle or ORACLES),
            limits=Limits(timeout, max_time, max_requests),
        )
        if not cases_of(settings):
            _fail("There is no case of these operations. A fixture can describe them.")
        summary = os.environ.get("GITHUB_STEP_SUMMARY") if os.environ.get("GITHUB_ACTIONS") else None
        for file in (junit, summary):
            if file:
                Path(file).open("ab").close()  # that it cannot be written is told before anything is sent
        with _at(target, app_dir, prefix, settings, is_agreed=yes) as base_url:
            result = _checked(target, base_url, settings)
    if as_json:
        print(formats.as_json(result))
    else:
        print_result(result, console())
    if junit is not None:
        junit.write_bytes(formats.as_junit(result))
    if os.environ.get("GITHUB_ACTIONS"):
        for line in formats.github_annotations(result):
            print(line, file=sys.stderr if as_json else sys.stdout)
    if summary:
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(formats.as_markdown(result))
    raise typer.Exit(result.exit_code)


def _checked(target: str, base_url: str, settings: Settings) -> CheckResult:
    columns = (*Progress.get_default_columns()[1:3], TextColumn("{task.description}"))
    runner = Runner(base_url, settings)
    with contextlib.closing(runner), Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(runner.cases))
        for case in runner.cases:
            progress.update(task, description=str(case))
            runner.try_out(case)
            progress.advance(task)
        result = runner.result
    result.target = target
    return result


@contextlib.contextmanager
def _at(target: str, folder: Path, prefix: str, settings: Settings, *, is_agreed: bool) -> Iterator[str]:
    """The base URL of a target, which is served if it is an app."""
    if not target.lower().startswith(("http://", "https://")):
        # What an app prints is no JSON, nor a table.
        with contextlib.redirect_stdout(sys.stderr), serving(imported(target, folder), prefix) as url:
            yield url
        return
    _check_url(target)
    if not is_agreed and not _is_loopback(target):
        print(_plan(target, settings), file=sys.stderr)
        if not sys.stdin.isatty():
            _fail("Nothing was sent. Say --yes to agree.")
        if not _agrees():
            _fail("Nothing was sent.")
    yield target.rstrip("/")


def _agrees() -> bool:
    try:
        return typer.confirm("Go on?", err=True)
    except typer.Abort:
        return False


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_one = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise SettingsError(f"{url} is no URL, such as http://127.0.0.1:8000/v1.")


def _plan(url: str, settings: Settings) -> str:
    cases = cases_of(settings)
    created = [case.creates for case in cases if case.creates]
    counted = [f"{created.count(one)} x {one}" for one in dict.fromkeys(created)]
    asking = sum(case.operation.startswith(_ASKING) for case in cases)
    return (
        f"This tries {len(cases)} cases on {url}, with at most {settings.limits.requests} requests. "
        f"{asking} of them ask the model for text.\nIt may create, and deletes again where that is implemented:\n  "
        + "\n  ".join(counted or ["nothing"])
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _header(given: str) -> tuple[str, str]:
    name, separator, value = given.partition(":")
    if not separator or not name.strip():
        raise SettingsError(f"A header is NAME:VALUE, and {given!r} is none.")
    return name.strip(), value.strip()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Let mistakes of the user end the program with a message."""
    try:
        yield
    except (AppError, ServerError, SettingsError, UnreachableError, OSError) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(2)
