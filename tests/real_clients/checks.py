"""What a client's tests said, read from the JUnit report of pytest or of Node's test runner."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

APIS = ("chat", "responses")


@dataclass(frozen=True)
class Check:
    """One test.

    Attributes:
        area: The API, or else what the tests are grouped under.
        name: The test's name, in words.
        result: `passed`, `failed` or `skipped`.
    """

    area: str
    name: str
    result: str


@dataclass(frozen=True)
class Result:
    """What came of one client.

    Attributes:
        client: Its name.
        packages: The versions of its packages.
        checks: Its tests.
        problem: What went wrong outside of them, or nothing.
    """

    client: str
    packages: dict[str, str]
    checks: list[Check]
    problem: str = ""

    @property
    def failed(self) -> int:
        return sum(check.result != "passed" for check in self.checks)

    @property
    def is_good(self) -> bool:
        return bool(self.checks) and not self.failed and not self.problem

    @property
    def areas(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for check in self.checks:
            counts[check.area] = counts.get(check.area, 0) + 1
        return counts

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.is_good}


def read(report: Path) -> list[Check]:
    """The checks of a report; none where there is no report."""
    if not report.exists():
        return []
    return [
        _check(case, "" if suite.tag == "testsuites" else suite.get("name", ""))
        for suite in ElementTree.parse(report).iter()
        for case in suite.findall("testcase")
    ]


def _check(case: ElementTree.Element, suite: str) -> Check:
    name, _, parameters = case.get("name", "").partition("[")
    options = [option for option in parameters.rstrip("]").split("-") if option]
    file = Path(case.get("file") or case.get("classname", "").replace(".", "/")).name
    stem = re.sub(r"^test_|\.test\.js$", "", file)
    area = next((option for option in options if option in APIS), stem if suite in ("", "pytest") else suite)
    title = name.removeprefix("test_").replace("_", " ").replace("mid stream", "mid-stream")
    remarks = [option for option in options if option not in APIS]
    result = "failed" if {"failure", "error"} & {child.tag for child in case} else "passed"
    if case.find("skipped") is not None:
        result = "skipped"
    return Check(area, f"{title} ({', '.join(remarks)})" if remarks else title, result)
