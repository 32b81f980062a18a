"""llm-comply, which holds an API against OpenAI's and the Open Responses document, in both formats."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

MODEL = "gpt-5-x"  # so that it asks for reasoning
FORMATS = {"chat": "openai-chat", "responses": "open-responses"}
COUNTS = {"chat": 9, "responses": 13}


def results(api: str) -> list[dict[str, Any]]:
    program = Path(sys.executable).with_name("llm-comply")
    options = ["--base-url", os.environ["OPENAI_BASE_URL"], "--api-key", os.environ["OPENAI_API_KEY"]]
    options += ["--model", MODEL, "--format", FORMATS[api], "--json"]
    done = subprocess.run([program, *options], capture_output=True, text=True, timeout=120)
    found: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "result" in metafunc.fixturenames:
        found = [(api, result) for api in FORMATS for result in results(api)]
        assert Counter(api for api, _ in found) == COUNTS  # so that none is left out
        ids = [f"{api}-{result['name'].replace('-', ' ')}" for api, result in found]
        metafunc.parametrize("result", [result for _, result in found], ids=ids)


def test_it_passes(result: dict[str, Any]) -> None:
    assert result["status"] == "passed", result
