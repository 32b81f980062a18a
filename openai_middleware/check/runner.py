"""Runs cases, one after the other."""

import httpx

from openai_middleware.check.case import Case
from openai_middleware.check.cases import cases_of
from openai_middleware.check.exchange import Recorder
from openai_middleware.check.facts import printable
from openai_middleware.check.probe import BrokenError, NotImplementedByAppError, Probe, SkippedError
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
        models = self._models(base_url)
        model = settings.model or (models[0] if models else _NO_MODEL)
        self._probe = Probe(base_url, model, settings, self._recorder)
        self._result = CheckResult(base_url, printable(model))

    def close(self) -> None:
        """Close all connections."""
        self._probe.close()

    @property
    def result(self) -> CheckResult:
        """What has come of the cases so far."""
        served = {one.operation for one in self._result.cases if one.status in (Status.OK, Status.BROKEN)}
        self._result.missing = [name for name in self._settings.require if name not in served]
        self._result.limit = self._recorder.over
        return self._result

    def try_out(self, case: Case) -> CaseResult:
        """Try one case."""
        result = self._probe.result = CaseResult(case.operation, case.name)
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
            result.status, result.reason = Status.SKIPPED, str(skipped)
        except BrokenError:
            pass
        result.seconds = self._recorder.end_case()
        self._recorder.begin_case()  # so that a case whose time is over cleans up too
        self._probe.clean()
        if any(result.facts.values()):
            result.status = Status.BROKEN
        if result.status in (Status.OK, Status.BROKEN):
            known = self._probe.is_broken
            known[case.operation] = known.get(case.operation, False) or result.status is Status.BROKEN
        result.requests = self._recorder.sent - sent
        return result

    def _models(self, base_url: str) -> list[str]:
        """The models that the app lists, as far as it does."""
        headers = {"Authorization": f"Bearer {self._settings.api_key}", **self._settings.headers}
        with httpx.Client(headers=headers, timeout=self._settings.limits.case_seconds, trust_env=False) as client:
            try:
                answer = client.get(f"{base_url}/models")
                return [model["id"] for model in answer.json()["data"] if isinstance(model["id"], str)]
            except httpx.ConnectError as error:
                raise UnreachableError(f"Nothing answers at {base_url}: {error}") from error
            except (httpx.HTTPError, ValueError, LookupError, TypeError):
                return []  # the cases tell what is wrong
