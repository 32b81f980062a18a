"""llm-comply, which holds an API against OpenAI's and the Open Responses document, in both formats."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MODEL = "gpt-5-x"  # so that it asks for reasoning
COUNTS = {"openai-chat": 9, "open-responses": 13}


@functools.cache
def results(form: str) -> list[dict[str, Any]]:
    program = Path(sys.executable).with_name("llm-comply")
    options = ["--base-url", os.environ["OPENAI_BASE_URL"], "--api-key", os.environ["OPENAI_API_KEY"]]
    options += ["--model", MODEL, "--format", form, "--json"]
    done = subprocess.run([program, *options], capture_output=True, text=True, timeout=120)
    found: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "result" in metafunc.fixturenames:
        found = {f"{form}: {result['name']}": result for form in COUNTS for result in results(form)}
        metafunc.parametrize("result", found.values(), ids=found)


def test_it_passes(result: dict[str, Any]) -> None:
    assert result["status"] == "passed", result


def test_nothing_is_left_out() -> None:
    assert {form: len(results(form)) for form in COUNTS} == COUNTS
