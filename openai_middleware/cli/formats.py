"""What came of a check, for programs: JSON, JUnit, and GitHub's workflow commands."""

import json
from collections.abc import Iterator
from typing import Any, Final

# Nothing is read with it.
from xml.etree import ElementTree  # nosec B405

from openai_middleware.check.result import CaseResult, CheckResult, Status
from openai_middleware.check.settings import ORACLES
from openai_middleware.cli.report import summary_of

__all__ = ["FORMAT", "as_json", "as_junit", "as_markdown", "github_annotations"]

FORMAT: Final = 1
"""The version of the JSON that is printed: it grows when a field changes or goes, not when one is added."""


def as_json(result: CheckResult) -> str:
    """The result as JSON, as `report.schema.json` describes it."""
    return json.dumps(
        {
            "format": FORMAT,
            "target": result.target,
            "model": result.model,
            "exit_code": result.exit_code,
            "counts": {status.value: result.count(status) for status in Status},
            "cases": [_case(one) for one in result.cases],
            "missing": list(result.missing),
            "untried": result.untried,
            "requests": result.requests,
            "cleanup_requests": result.cleanup_requests,
            "limit": result.limit,
        },
        indent=1,
    )


def _case(one: CaseResult) -> dict[str, Any]:
    return {
        "operation": one.operation,
        "name": one.name,
        "status": one.status.value,
        "judged_by": [oracle for oracle in ORACLES if oracle in one.facts],
        "facts": [
            {"oracle": oracle, "place": fact.place, "what": fact.what}
            for oracle, facts in one.facts.items()
            for fact in facts
        ],
        "warnings": one.warnings,
        "reason": one.reason,
        "requests": one.requests,
        "seconds": round(one.seconds, 3),
    }


def as_junit(result: CheckResult) -> bytes:
    """The result as a JUnit report: a case is a test, its operation the class."""
    broken = result.count(Status.BROKEN) + len(result.missing)
    skipped = result.count(Status.NOT_IMPLEMENTED) + result.count(Status.SKIPPED)
    counts = {
        "name": "openai-middleware check",
        "tests": str(len(result.cases) + len(result.missing)),
        "failures": str(broken),
        "errors": "0",
        "skipped": str(skipped),
        "time": f"{sum(one.seconds for one in result.cases):.3f}",
    }
    suite = ElementTree.Element("testsuite", counts)
    for one in result.cases:
        about = {"classname": one.operation, "name": one.name, "time": f"{one.seconds:.3f}"}
        test = ElementTree.SubElement(suite, "testcase", about)
        if one.status is Status.BROKEN:
            lines = list(one.lines())
            ElementTree.SubElement(test, "failure", {"message": lines[0]}).text = "\n".join(lines)
        elif one.status is not Status.OK:
            ElementTree.SubElement(test, "skipped", {"message": f"{one.status}: {one.reason}"})
    for name, reason in result.missing.items():
        test = ElementTree.SubElement(suite, "testcase", {"classname": name, "name": "is there", "time": "0"})
        ElementTree.SubElement(test, "failure", {"message": f"is required, and {reason}"})
    document: bytes = ElementTree.tostring(suite, "utf-8", xml_declaration=True)
    return document


def github_annotations(result: CheckResult) -> Iterator[str]:
    """Workflow commands that show what is wrong beside a change."""
    for one in result.cases:
        for line in one.lines():
            yield f"::error title={_property(str(one))}::{_escaped(line)}"
    for name, reason in result.missing.items():
        yield f"::error title={_property(name)}::is required, and {_escaped(reason)}"


def as_markdown(result: CheckResult) -> str:
    """The result for a step summary."""
    rows = [
        f"| {one.operation} | {one.name} | {one.status} | {_in_cell('; '.join(one.lines()))} |"
        for one in result.cases
        if one.status in (Status.OK, Status.BROKEN)
    ]
    rows += [f"| {name} | | missing | is required, and {_in_cell(why)} |" for name, why in result.missing.items()]
    heading = f"### openai-middleware check: {result.target}"
    head = ["| operation | case | | |", "|---|---|---|---|"]
    return "\n".join([heading, "", summary_of(result), "", *head, *rows, "", ""])


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
