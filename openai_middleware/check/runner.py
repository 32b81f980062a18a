"""Runs cases, one after the other."""

import httpx

from openai_middleware.check.calls import SkippedError
from openai_middleware.check.case import Case
from openai_middleware.check.cases import cases_of, operations_without_case, why_no_case
from openai_middleware.check.exchange import Recorder
from openai_middleware.check.facts import printable
from openai_middleware.check.judge import BrokenError, NotImplementedByAppError
from openai_middleware.check.probe import Probe
from openai_middleware.check.result import CaseResult, CheckResult, Status
from openai_middleware.check.settings import Settings

__all__ = ["Runner", "UnreachableError"]

_NO_MODEL = "default"


class UnreachableError(RuntimeError):
    """There is no server where the app is said to be."""


class Runner:
    """Checks one app.

    Args:
        base_url: Where the API is: `http://127.0.0.1:8000/v1`.
        settings: How the app is driven.

    Raises:
        UnreachableError: Nothing answers there.

    Attributes:
        cases: What there is to try.
    """

    def __init__(self, base_url: str, settings: Settings) -> None:
        self.cases = cases_of(settings)
        self._settings = settings
        self._recorder = Recorder(settings.limits)
        self._probe = Probe(base_url, settings, self._recorder)
        models = self._models(base_url)
        self._probe.model = settings.model or (models[0] if models else _NO_MODEL)
        self._result = CheckResult(base_url, printable(self._probe.model), untried=operations_without_case(settings))

    def close(self) -> None:
        """Close all connections."""
        self._probe.close()

    @property
    def result(self) -> CheckResult:
        """What has come of the cases so far."""
        result, recorder = self._result, self._recorder
        served = {one.operation for one in result.cases if one.status in (Status.OK, Status.BROKEN)}
        result.missing = {name: self._why_missing(name) for name in self._settings.require if name not in served}
        result.requests, result.cleanup_requests = recorder.sent, recorder.cleaned
        result.limit = recorder.over
        return result

    def try_out(self, case: Case) -> CaseResult:
        """Try one case."""
        result = self._probe.judge.result = CaseResult(case.operation, case.name)
        self._result.cases.append(result)
        self._recorder.begin_case()
        sent = self._recorder.sent
        try:
            if self._recorder.over:
                raise SkippedError(self._recorder.over)
            case.run(self._probe)
        except NotImplementedByAppError as answer:
            result.status, result.reason = Status.NOT_IMPLEMENTED, str(answer)
        except SkippedError as skipped:
            result.status, result.reason = Status.SKIPPED, printable(str(skipped))
        except BrokenError:
            pass
        result.seconds = self._recorder.end_case()
        self._probe.clean()
        if any(result.facts.values()):
            result.status = Status.BROKEN
        elif result.status is Status.OK and not result.facts:
            result.status, result.reason = Status.SKIPPED, "no oracle that is asked for judges it"
        if result.status in (Status.OK, Status.BROKEN):
            known = self._probe.is_broken
            known[case.operation] = known.get(case.operation, False) or result.status is Status.BROKEN
        result.requests = self._recorder.sent - sent
        return result

    def _models(self, base_url: str) -> list[str]:
        self._recorder.begin_case()
        try:
            return self._probe.models()
        except httpx.ConnectError as error:
            self.close()
            raise UnreachableError(f"Nothing answers at {base_url}: {error}") from error
        except SkippedError:
            return []  # the cases tell which limit was reached
        finally:
            self._recorder.end_case()

    def _why_missing(self, name: str) -> str:
        reasons = [f"{one.status}: {one.reason}" for one in self._result.cases if one.operation == name]
        return reasons[0] if reasons else f"not tried: {why_no_case(name, self._settings)}"
