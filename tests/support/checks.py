"""The check, run on an app that listens already."""

from contextlib import closing
from typing import Any

from openai_middleware.check.result import CheckResult
from openai_middleware.check.runner import Runner
from openai_middleware.check.settings import Settings


def checked(base_url: str, **settings: Any) -> CheckResult:
    with closing(Runner(base_url, Settings(**settings))) as runner:
        for case in runner.cases:
            runner.try_out(case)
        return runner.result


def told(result: CheckResult) -> set[str]:
    """What is wrong: the oracle and the fact, each once."""
    return {line for case in result.cases for line in case.lines()}
