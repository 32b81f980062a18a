"""What came of a check: of each case, and of all."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from openai_middleware.check.facts import Fact

__all__ = ["CaseResult", "CheckResult", "Status"]


class Status(StrEnum):
    """What came of a case."""

    OK = "ok"
    BROKEN = "broken"
    NOT_IMPLEMENTED = "not implemented"
    SKIPPED = "skipped"


@dataclass
class CaseResult:
    """What came of one case.

    Attributes:
        operation: The operation that the case is about.
        name: What was done, in words.
        status: What came of it.
        facts: What is wrong, by oracle. An oracle that is here with none has judged, and found nothing.
        warnings: What is no fault, and worth knowing.
        reason: Why it was skipped, or what the app answered that does not have the operation.
        requests: How many requests it sent, but for those that delete what it had created.
        seconds: How long it took.
    """

    operation: str
    name: str
    status: Status = Status.OK
    facts: dict[str, list[Fact]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    reason: str = ""
    requests: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.operation}: {self.name}"

    def lines(self) -> Iterator[str]:
        """What is wrong, one line for each fact: the oracle and the fact."""
        for oracle, facts in self.facts.items():
            for fact in facts:
                yield f"{oracle}: {fact}"


@dataclass
class CheckResult:
    """What came of all cases.

    Attributes:
        target: What was checked.
        model: The model that was asked for.
        cases: What came of each case.
        missing: The operations that the app has to have, and does not have or was not asked for; and why.
        untried: The operations that only a fixture can describe.
        requests: How many requests were sent, those for the model included.
        cleanup_requests: How many requests were sent beyond these to delete what had been created.
        limit: The limit at which the check ended early; empty where it did not.
    """

    target: str
    model: str
    cases: list[CaseResult] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)
    requests: int = 0
    cleanup_requests: int = 0
    limit: str = ""

    def count(self, status: Status) -> int:
        """How many cases ended so."""
        return sum(result.status is status for result in self.cases)

    @property
    def exit_code(self) -> int:
        """0 where all is well; 1 where something is broken or missing; 2 where nothing can be said."""
        if self.missing or self.count(Status.BROKEN):
            return 1
        return 2 if self.limit or not self.count(Status.OK) else 0
