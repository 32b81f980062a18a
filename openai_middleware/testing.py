"""The check as tests of your own: pytest runs it case by case. Needs the extra `cli`.

import pytest
from openai_middleware.testing import check
from shop.main import app

@pytest.mark.parametrize("case", check(app), ids=str)
def test_sdk_works(case):
    case()
"""

import atexit
import contextlib
import functools
from collections.abc import Callable
from typing import Any
from unittest import SkipTest

from openai_middleware.extras import needs_extra

with needs_extra("cli"):
    from openai_middleware.check.case import Case
    from openai_middleware.check.cases import cases_of, why_no_case
    from openai_middleware.check.result import Status
    from openai_middleware.check.runner import Runner
    from openai_middleware.check.server import serving
    from openai_middleware.check.settings import Settings, SettingsError

__all__ = ["CheckCase", "check"]


class CheckCase:
    """One case of the check; it is called to run it."""

    def __init__(self, case: Case, runner: Callable[[], Runner], *, is_required: bool) -> None:
        self._case = case
        self._runner = runner
        self._is_required = is_required

    def __str__(self) -> str:
        return str(self._case)

    def __call__(self) -> None:
        """Run the case.

        Raises:
            AssertionError: Something is wrong; the message has one line for each fact.
            unittest.SkipTest: The app does not have the operation, or the case cannot be tried. pytest takes it for a
                skipped test.
            ServerError: The app cannot be served.
        """
        result = self._runner().try_out(self._case)
        told = [str(self), *result.lines()]
        if result.status in (Status.NOT_IMPLEMENTED, Status.SKIPPED):
            told.append(f"{result.status}: {result.reason}")
            if not self._is_required:
                raise SkipTest(told[-1])
        elif result.status is Status.OK:
            return
        raise AssertionError("\n".join(told))


def check(app: Any, prefix: str = "/v1", **settings: Any) -> list[CheckCase]:
    """The cases for an app.

    It is served, on a free port of the loopback interface, from when the first case runs until the process ends. The
    cases need no order.

    Args:
        app: An ASGI or WSGI app.
        prefix: Where its API begins.
        settings: How it is driven: `model`, `prompt`, `api_key`, `headers`, `fixture`, `only`, `require`, `oracles` and
            `limits`, as `openai_middleware.check.settings.Settings` has them. The first case of an operation that
            `require` names fails where it would be skipped.

    Raises:
        SettingsError: A setting cannot be one, or there is no case of a required operation.
    """
    chosen = Settings(**settings)
    runner = functools.cache(lambda: _serve(app, prefix, chosen))
    cases = cases_of(chosen)
    first = {case.operation: case for case in reversed(cases)}
    for name in chosen.require:
        if name not in first:
            raise SettingsError(f"There is no case of {name}: {why_no_case(name, chosen)}.")
    required = [first[name] for name in chosen.require]
    return [CheckCase(case, runner, is_required=case in required) for case in cases]


def _serve(app: Any, prefix: str, settings: Settings) -> Runner:
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(serving(app, prefix))
        runner = stack.enter_context(contextlib.closing(Runner(url, settings)))
        atexit.register(stack.pop_all().close)
        return runner
