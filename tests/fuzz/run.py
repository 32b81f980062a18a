"""Fuzz the package: each target for its share of the time, two at once, with what earlier runs have found.

    python -m tests.fuzz.run --seconds 60
    python -m tests.fuzz.run --seconds 60 requests
    python -m tests.fuzz.run requests --input FINDING

An input that breaks a promise is kept in `.fuzz/findings/`. Inputs that reach new code are kept in `.fuzz/`, beside the
corpus, for the next run.
"""

import argparse
import logging
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
KEPT = ROOT / ".fuzz"
TARGETS = ["requests", "event_streams", "configurations", "message_orders"]

SECONDS_OF_ONE = 20
"""An input that takes longer is a finding."""


class Outcome(NamedTuple):
    """How a run of one target went."""

    target: str
    runs: int
    is_well: bool
    output: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--input", type=Path, help="run one target on this one input, without fuzzing")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    targets = arguments.targets or TARGETS
    if arguments.input is not None:
        import_module(f"tests.fuzz.{targets[0]}").check(arguments.input.read_bytes())
        return 0
    if find_spec("atheris") is None:
        print(f"NOTHING WAS FUZZED: atheris is not installed; for Python {sys.version.split()[0]} there may be none.")
        return 0
    if arguments.alone:
        fuzz(targets[0], arguments.seconds)
    at_once = min(len(targets), os.cpu_count() or 1)
    seconds = max(1, arguments.seconds * at_once // len(targets))
    with ThreadPoolExecutor(at_once) as pool:
        outcomes = list(pool.map(lambda target: outcome(target, seconds), targets))
    for target, runs, is_well, output in outcomes:
        if not is_well:
            # Without what libFuzzer reports of its progress.
            print(*(line for line in output.splitlines() if not re.match(r"#\d+\t|INFO: ", line)), sep="\n")
        print(f"{target:16} {runs:9,} inputs   {'no finding' if is_well else 'A FINDING: see above'}")
    print(f"{'all':16} {sum(found.runs for found in outcomes):9,} inputs")
    return 0 if all(found.is_well for found in outcomes) else 1


def outcome(target: str, seconds: int) -> Outcome:
    """Fuzz one target in a process of its own: libFuzzer ends the process when it is done."""
    command = [sys.executable, "-m", "tests.fuzz.run", "--alone", "--seconds", str(seconds), target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    output = done.stdout + done.stderr
    runs = re.findall(r"^(?:Done (\d+) runs|#(\d+)\t)", output, re.MULTILINE)
    return Outcome(target, max((int(a or b) for a, b in runs), default=0), done.returncode == 0, output)


def fuzz(target: str, seconds: int) -> None:
    import atheris

    own, findings = KEPT / target, KEPT / "findings"
    for folder in (own, findings):
        folder.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=["openai_middleware"]):
        check = import_module(f"tests.fuzz.{target}").check
    logging.disable()
    options = [f"-max_total_time={seconds}", f"-timeout={SECONDS_OF_ONE}", "-max_len=4000", "-rss_limit_mb=2048"]
    atheris.Setup(
        [
            sys.argv[0],
            *options,
            "-print_final_stats=1",
            f"-artifact_prefix={findings}/{target}-",
            str(own),
            str(CORPUS / target),
        ],
        check,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
