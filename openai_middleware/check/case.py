"""A case: data, and one function."""

from collections.abc import Callable
from dataclasses import dataclass

from openai_middleware.check.probe import Probe

__all__ = ["Case"]


@dataclass(frozen=True)
class Case:
    """One thing that a client does.

    Attributes:
        operation: The operation that it is about.
        name: What is done, in words.
        run: Does it.
        creates: What it leaves behind, or may leave behind, on a server that keeps things; empty where nothing.
    """

    operation: str
    name: str
    run: Callable[[Probe], object]
    creates: str = ""

    def __str__(self) -> str:
        return f"{self.operation}: {self.name}"
