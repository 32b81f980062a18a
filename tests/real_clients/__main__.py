"""Run the clients that people use against one reply function, each in an environment of its own.

    make test-clients                   # all of them
    make test-clients ARGS=ai-sdk       # one
    make test-clients ARGS=--bridge     # all of them, against an app that serves chat completions alone
    make test-clients ARGS=--page       # all of them, and write docs/clients.md anew
    make test-clients ARGS=--lock       # raise what is pinned below the packages that are tested

What they said is in `.clients/results.json`, and what they printed beside it. None of them reaches anything but the
app, and the help desks of the documentation: what else they try to call is refused, and is a failure.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from openai_middleware import OpenAIMiddleware
from tests.real_clients import agent, page
from tests.real_clients.checks import Result, read
from tests.real_clients.environments import CACHE, Client, SetupError, clients, lock, set_up
from tests.real_clients.network import RefusingProxy
from tests.support.help_desks import SERVERS
from tests.support.servers import uvicorn_server

TIMEOUT = 300
"""Seconds after which a client is stopped."""

AT_ONCE = 2
"""How many clients are tried out at the same time."""

ONE_SETS_UP = threading.Lock()
"""Held while a client is set up: some share the environment of Node."""


def main() -> int:
    known = {client.name: client for client in clients()}
    parser = argparse.ArgumentParser(prog="make test-clients")
    parser.add_argument("names", nargs="*", metavar="CLIENT", help=f"of {', '.join(known)}; all without one")
    parser.add_argument("--lock", action="store_true", help="pin the newest versions of what the packages need")
    parser.add_argument("--bridge", action="store_true", help="run them against an app of chat completions alone")
    parser.add_argument("--page", action="store_true", help="write what all of them said into docs/clients.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - known.keys():
        parser.error(f"There is no client {', '.join(sorted(unknown))}. There are: {', '.join(known)}.")
    chosen = [known[name] for name in arguments.names or known]
    if arguments.lock:
        for client in chosen:
            lock(client)
        return 0
    results = run(chosen, agent.bridged if arguments.bridge else agent.app)
    (CACHE / "results.json").write_text(json.dumps([result.as_json() for result in results], indent=1), "utf-8")
    print(*table(results), sep="\n")
    failed = sum(not result.is_good for result in results)
    if len(results) == len(known) and not failed and not arguments.bridge:
        if arguments.page:
            page.write(results)
        elif not page.is_current(results):
            failed += 1
            print(f"docs/clients.md is out of date. Run: {page.COMMAND}")
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


def run(chosen: list[Client], app: OpenAIMiddleware) -> list[Result]:
    CACHE.mkdir(exist_ok=True)
    logging.basicConfig(filename=CACHE / "server.log", filemode="w")
    with ExitStack() as stack:
        url = stack.enter_context(uvicorn_server(app))
        urls = {"OPENAI_BASE_URL": f"{url}/v1", "STORED_BASE_URL": f"{url}{agent.STORED}"}
        for name, serving in SERVERS.items():
            urls[f"HELP_DESK_{name.upper()}"] = f"{stack.enter_context(serving())}/v1"
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        return list(pool.map(lambda client: try_out(client, urls), chosen))


def try_out(client: Client, urls: Mapping[str, str]) -> Result:
    """Set the client up, run its tests, and print how that went when all is done: others are tried out meanwhile."""
    said = f"{client.name:18}"
    start = time.monotonic()
    try:
        with ONE_SETS_UP:
            if set_up(client):
                said += f"set up in {time.monotonic() - start:.0f} s, "
    except SetupError as error:
        print(f"{said}was not set up\n{error}", flush=True)
        return Result(client.name, client.packages, [], "was not set up")
    start = time.monotonic()
    with RefusingProxy() as proxy:
        problem, output = run_tests(client, urls, proxy)
    result = Result(client.name, client.packages, read(report_of(client)), problem)
    said += f"{len(result.checks)} checks in {time.monotonic() - start:.0f} s: {verdict(result)}"
    print(said if result.is_good else f"{said}\n{output}", flush=True)
    return result


def run_tests(client: Client, urls: Mapping[str, str], proxy: RefusingProxy) -> tuple[str, str]:
    """What went wrong, or nothing, and what was printed."""
    report = report_of(client)
    report.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            client.command(report),
            cwd=client.environment,
            env={**environment(client, proxy.url), **urls},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired as expired:
        output = expired.stdout or b""
        return f"not done after {TIMEOUT} s", output.decode(errors="replace") if isinstance(output, bytes) else output
    (client.environment / "output.txt").write_text(done.stdout, "utf-8")
    if proxy.refused:
        return f"called {', '.join(sorted(proxy.refused))}", done.stdout
    return (f"ended with {done.returncode}" if done.returncode else ""), done.stdout


def environment(client: Client, proxy: str) -> dict[str, str]:
    """The environment variables of a client's tests: nothing of the user's own but the language."""
    home = client.environment / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name.startswith("LC_") or name in ("LANG", "TMPDIR")}
    return {
        **kept,
        "PATH": client.path,
        "HOME": str(home),
        "OPENAI_API_KEY": "sk-of-no-one",
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        "NO_PROXY": "127.0.0.1,localhost",
        "NODE_USE_ENV_PROXY": "1",
        "DO_NOT_TRACK": "1",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "LANGSMITH_TRACING": "false",
    }


def report_of(client: Client) -> Path:
    return client.environment / "junit.xml"


def verdict(result: Result) -> str:
    if result.is_good:
        return "passed"
    return ", ".join([f"{result.failed} failed"] * bool(result.failed) + [result.problem] * bool(result.problem))


def table(results: list[Result]) -> list[str]:
    rows = [("client", "packages", "checks", "result")]
    for result in results:
        packages = " ".join(f"{name} {version}" for name, version in result.packages.items())
        areas = ", ".join(f"{area} {count}" for area, count in result.areas.items())
        rows.append((result.client, packages, areas, verdict(result)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return ["", lines[0], "  ".join("-" * width for width in widths), *lines[1:], ""]


if __name__ == "__main__":
    sys.exit(main())
