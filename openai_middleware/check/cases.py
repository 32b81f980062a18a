"""All cases, and which of them are tried."""

from collections.abc import Iterator
from functools import partial

from openai_middleware.check.case import Case
from openai_middleware.check.probe import Probe
from openai_middleware.check.resource_cases import resource_cases
from openai_middleware.check.settings import Settings
from openai_middleware.check.text_cases import text_cases
from openai_middleware.contract import Operation, shipped

__all__ = ["cases_of", "operations_without_case", "why_no_case"]


def cases_of(settings: Settings) -> list[Case]:
    """The cases that some settings ask for, those of one operation together."""
    found = [case for case in _all(settings) if settings.wants(case.operation)]
    operations = list(dict.fromkeys(case.operation for case in found))
    return sorted(found, key=lambda case: operations.index(case.operation))


def operations_without_case(settings: Settings) -> list[str]:
    """The operations that are asked for, and that only a fixture can describe."""
    tried = {case.operation for case in _all(settings)}
    return [name for name in shipped().operation_names() if name not in tried and settings.wants(name)]


def why_no_case(operation: str, settings: Settings) -> str:
    """Why no case of an operation is tried, in words."""
    has_case = any(case.operation == operation for case in _all(settings))
    return "`only` leaves it out" if has_case else "only a fixture can describe it"


def _all(settings: Settings) -> Iterator[Case]:
    tried: set[str] = set()
    for case in (*text_cases(), *resource_cases()):
        tried.add(case.operation)
        yield case
    for name in shipped().operation_names():
        operation = shipped().operation(name)
        if name in tried or operation is None:
            continue
        if name in settings.fixture:
            yield Case(name, "as the fixture says", partial(_call, name), _what_it_may_create(operation))
        elif operation.method == "GET" and operation.item_fields and "{" not in operation.path:
            yield Case(name, "list", partial(_list, name))


def _list(name: str, probe: Probe) -> None:
    probe.pages(name)


def _call(name: str, probe: Probe) -> None:
    probe.whole(name, is_kept=True)


def _what_it_may_create(operation: Operation) -> str:
    return "" if operation.method in ("GET", "DELETE") else f"what {operation.name} creates"
