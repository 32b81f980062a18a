"""Measure everything, and write docs/benchmarks.md and its charts: `make bench`.

`--quick` measures a tenth as often, to see that it works.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from rich.progress import Progress

from tests.benchmarks import end_to_end, growth, in_process, replies, rewrites, store
from tests.benchmarks.apps import ASGI, WSGI, starlette
from tests.benchmarks.charts import bar_chart, line_chart

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "benchmarks.md"
CHARTS = DOCS / "assets" / "benchmarks"
PEER = "fastapi-openai-compat"
PACKAGES = ("fastapi", "starlette", "uvicorn", "gunicorn", "msgspec", "orjson", PEER)

# What is to be reached, of the rows that have a goal.
GOALS = {
    "matches nothing": 0.2,
    "nothing below the prefix": 0.7,
    "1 KB, field dropped": 4.5,
    "1 KB, clean": 3.5,
    "template GET of 150, answer mapped": 4.5,
    "100 KB, field dropped": 0.18,
    "4 MB, field dropped": 0.10,
    "chat event, clean": 1.4,
    "chat event, field dropped": 3.0,
    "Responses event, clean": 1.8,
    "Responses event, field dropped": 4.0,
}


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page to write; its charts stand beside it")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk was not found, which sends the requests of the end-to-end benchmark. On Debian: apt install wrk")
    scale = 1 if arguments.quick else 10
    asgi = [name for name in ASGI if name != PEER or find_spec(PEER.replace("-", "_")) is not None]
    steps = 6 + len(growth.CURVES) + 2 * scale * (len(asgi) + len(WSGI))
    with Progress() as progress:
        task = progress.add_task("Measuring", total=steps)

        def step() -> None:
            progress.advance(task)

        table = in_process.measured(9 if scale > 1 else 1, 12)
        step()
        steps_of_a_request = in_process.parts(2 * scale)
        around = in_process.around(starlette({}), 2 * scale)
        step()
        replied = replies.measured(3 * scale)
        step()
        rewritten, unit = rewrites.measured(50 * scale)
        step()
        sizes_of_stores = (store.FEW, store.MANY // 50 if arguments.quick else store.MANY)
        stored, by_size = store.measured(2 * scale, *sizes_of_stores)
        step()
        sizes = {
            "import, over what it needs": growth.import_ratio(2 * scale),
            "an idle stream, KB above the bare app": growth.kilobytes_of_an_idle_stream(growth.ASKED),
            "the same with a request of 1 KB": growth.kilobytes_of_an_idle_stream(growth.ASKED_AT_LENGTH),
        }
        step()
        curves = {}
        for name, label, measure in growth.CURVES:
            curves[name] = (label, measure(2 * scale))
            step()
        served = end_to_end.measured("asgi", asgi, scale, step)
        served_by_wsgi = end_to_end.measured("wsgi", list(WSGI), scale, step)
    charts = arguments.output.parent / "assets" / "benchmarks"
    charts.mkdir(parents=True, exist_ok=True)
    for name, (label, curve) in curves.items():
        (charts / f"{name}.svg").write_text(line_chart(curve, label, "µs above the bare app"))
    for interface, (shares, _) in (("asgi", served), ("wsgi", served_by_wsgi)):
        (charts / f"{interface}.svg").write_text(bar_chart(shares, "share of the bare app's throughput"))
    parts = [
        _head(),
        _goals(table),
        _sizes(sizes),
        _floor(steps_of_a_request, around),
        _replies(replied),
        _rewrites(rewritten, unit),
        _stored(stored, by_size, *sizes_of_stores),
        _served("Under uvicorn (ASGI)", "asgi", *served) + _served_goals(served[0]),
        _served("Under gunicorn with threads (WSGI)", "wsgi", *served_by_wsgi),
        _growth({name: label for name, (label, _) in curves.items()}),
    ]
    arguments.output.write_text("\n".join(parts))
    print(f"Wrote {arguments.output}")


def _head() -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES if find_spec(name.replace("-", "_")))
    return f"""# Benchmarks

What the middleware costs, measured by `make bench`, which writes this page. Everything is measured in turn in one run,
and told as a ratio: machines differ and drift, ratios hold.

Measured on {datetime.now(UTC):%Y-%m-%d} at commit `{commit}`: Python {platform.python_version()},
{os.cpu_count()} cores ({_processor()}), {packages}.
"""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _goals(table: dict[str, float]) -> str:
    rows = [
        [name, f"{table[name]:.2f}", f"{goal:g}", "yes" if table[name] <= goal else "no"]
        for name, goal in GOALS.items()
    ]
    return f"""## Above the bare app, in process

A raw ASGI driver sends the requests to a raw ASGI app that does nothing but answer, with the middleware and without
it. The first five rows are in round trips of a 1 KB request through orjson ({table["J in us"]:.1f} µs here), the
others in round trips of the answer or event at hand. Least of all rounds of a process, and the median of nine of them:
where things come to lie in memory makes a difference for as long as a process runs.

{_table(["", "cost", "goal", "reached"], rows)}"""


def _sizes(sizes: dict[str, float]) -> str:
    goals = {"import, over what it needs": 1.6}
    rows = [
        [name, f"{found:.2f}", f"{goals.get(name, 4):g}", "yes" if found <= goals.get(name, 4) else "no"]
        for name, found in sizes.items()
    ]
    return _table(["", "", "goal", "reached"], rows)


def _floor(steps: dict[str, float], around: tuple[float, float]) -> str:
    alone, within = around
    return f"""## What it is made of

The steps of a request of 1 KB whose answer has a field too many, each measured by itself, in microseconds:

{_table(["", "µs"], [[name, f"{found:.1f}"] for name, found in steps.items()])}
About two dozen functions are called, none of them for long; `tests/test_counted_work.py` holds that number. Of an
answer of 100 KB, one look at each of its bytes is nearly all there is. Of an event, a third is the decoder that tells
whether it has only fields of its kind, and the rest is to find its data and to hand the message on.

A processor that has done something else meanwhile has forgotten the way: around a Starlette app, by the same driver, a
request whose answer stays as it is costs {within:.1f} µs instead of {alone:.1f}. That is why ratios under a server are
below those in process.
"""


def _served_goals(shares: end_to_end.Figures) -> str:
    goals = {"JSON": (0.75, 1.45), "200 events": (0.65, 2.5)}
    rows, beyond_all = [], ""
    for ask, (share, over_peer) in goals.items():
        found = {"of the bare app's throughput": (shares["openai-middleware"][ask], share)}
        if PEER in shares:
            bare = 1 / shares[PEER][ask]
            found[f"over {PEER}"] = (shares["openai-middleware"][ask] * bare, over_peer)
            if bare < over_peer:
                beyond_all += (
                    f"\nNothing in front of the app can reach {over_peer:g} here with {ask}: the bare app itself is "
                    f"{bare:.2f} times\n{PEER}.\n"
                )
        for name, (value, goal) in found.items():
            rows.append([f"{ask}, {name}", f"{value:.2f}", f"{goal:g}", _yes(value >= goal)])
    return "\n" + _table(["", "", "goal", "reached"], rows) + beyond_all


def _replies(replied: dict[tuple[str, str, bool], float]) -> str:
    servers = list(dict.fromkeys(server for server, _, _ in replied))
    kinds = list(dict.fromkeys((api, is_stream) for _, api, is_stream in replied))
    rows = [
        [f"{api}, {'an event of a stream' if is_stream else 'a whole answer'}"]
        + [f"{replied[server, api, is_stream]:.1f} µs" for server in servers]
        for api, is_stream in kinds
    ]
    return f"""## Replies

A function that returns a sentence, and one that yields 200 pieces of text; the whole way of a request in process.

{_table(["", *servers], rows)}"""


def _rewrites(rewritten: dict[tuple[str, str], float], unit: float) -> str:
    rows = []
    for (api, answer), above in rewritten.items():
        is_whole = answer == rewrites.WHOLE
        cost, goal = (above / unit, 8) if is_whole else (above, 3)
        told = f"{cost:.1f} {'J' if is_whole else 'µs'}"
        rows.append([f"{api}, {answer}", told, f"{goal}", "yes" if cost <= goal else "no"])
    return f"""## Rewrites

Above the app's own route, in process: the request of the API that a rewrite sends on, and each piece of a streamed
answer that is read. A J is a round trip of a 1 KB request through orjson ({unit:.1f} µs here).

{_table(["", "cost", "goal", "reached"], rows)}"""


def _stored(requests: store.Requests, by_size: dict[str, tuple[float, float]], few: int, many: int) -> str:
    more = requests.stored - requests.bare
    rows = [
        ["`responses.create`", f"{requests.bare:.2f} ms", f"{requests.stored:.2f} ms", "1 ms more", _yes(more <= 1)]
    ]
    for name, (bare, found) in requests.busy.items():
        row = [f"event loop busy, {name}", f"{bare:.1f} ms", f"{found:.1f} ms", "5 ms, or as without"]
        rows.append([*row, _yes(found <= max(5, bare))])
    sizes = [[name, f"{one:.2f} ms", f"{other:.2f} ms", f"{other / one:.2f}"] for name, (one, other) in by_size.items()]
    return f"""## Store

A function that replies, without the store and with it, on SQLite in a file; and how long the event loop was busy with
one callback at most, by the time that it computed.

{_table(["", "without", "with the store", "goal", "reached"], rows)}
What operations take by how many responses one owner has, on SQLite. `python -m tests.benchmarks.store --postgresql`
compares on PostgreSQL, too.

{_table(["", f"{few:,}", f"{many:,}", "times"], sizes)}"""


def _yes(is_reached: bool) -> str:
    return "yes" if is_reached else "no"


def _served(title: str, chart: str, shares: end_to_end.Figures, least: end_to_end.Figures) -> str:
    asks = list(end_to_end.ASKS)
    rows = [
        [variant, *(f"{shares[variant][ask]:.2f}" for ask in asks), *(f"{least[variant][ask]:.0f} µs" for ask in asks)]
        for variant in shares
    ]
    head = ["", *asks, *(f"{ask}, processor time" for ask in asks)]
    return f"""## {title}

wrk sends chat requests over loopback. The share of the bare app's throughput is the processor time of the bare app's
server for a request over that of the variant's, median of all rounds; beside it the least time.

{_table(head, rows)}
![The same as a chart](assets/benchmarks/{chart}.svg)
"""


def _growth(labels: dict[str, str]) -> str:
    charts = "\n\n".join(f"![{label}](assets/benchmarks/{name}.svg)" for name, label in labels.items())
    return f"""## Growth

In process, above the bare app.

{charts}
"""


if __name__ == "__main__":
    main()
