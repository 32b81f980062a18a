"""What holds for every test."""

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

from tests.support import postgresql

# How fast the machine is decides no test. Where CI is set, every run tries the same examples, so that a run of a change
# fails because of the change.
settings.register_profile(
    "openai-middleware",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
)
settings.load_profile("openai-middleware")


def pytest_collection_finish() -> None:
    """Spare the garbage collector the thousands of tests that stay until the end; it is a quarter faster so."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tried."""
    if not postgresql.is_there():
        terminalreporter.section("not tried", red=True)
        terminalreporter.line(postgresql.NOT_TRIED, red=True)
