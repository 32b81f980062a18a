"""The inputs that fuzzing begins with, and those that it once found, keep their promises."""

from importlib import import_module
from pathlib import Path

import pytest

INPUTS = sorted((Path(__file__).parent / "corpus").glob("*/*"))


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_input_keeps_every_promise_that_fuzzing_checks(path: Path) -> None:
    import_module(f"tests.fuzz.{path.parent.name}").check(path.read_bytes())
