"""Codex as it is run in scripts, with a provider of its own."""

import json
import os
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

CONFIG = Path(__file__).with_name("config.toml").read_text("utf-8")
BASE_URL = "http://127.0.0.1:8000/v1"
# It sends requests again when a stream broke, and it would call other servers than the one that it is told to use.
OF_TESTS = """
request_max_retries = 0
stream_max_retries = 0

[analytics]
enabled = false

[features]
plugins = false
"""


class Codex:
    """Codex with a home and a working directory of its own.

    The commands that it runs are the app's, `echo` and `cat`, so that its sandbox, which not every machine has, is off.
    """

    def __init__(self, path: Path) -> None:
        self.home, self.directory = path / "home", path / "work"
        self.home.mkdir()
        self.directory.mkdir()
        config = CONFIG.replace(BASE_URL, os.environ["OPENAI_BASE_URL"]) + OF_TESTS
        (self.home / "config.toml").write_text(config, "utf-8")

    def run(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        """Its events."""
        options = ["--json", "--skip-git-repo-check", "--strict-config", "--sandbox=danger-full-access"]
        done = subprocess.run(
            ["codex", "exec", *options, *arguments],
            cwd=self.directory,
            env={**os.environ, "CODEX_HOME": str(self.home), "HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """What it has done, but for its warning that it does not know the model."""
        items = [event["item"] for event in self.run(*arguments) if event["type"] == "item.completed"]
        return [item for item in items if item["type"] != "error"]


@pytest.fixture
def codex(tmp_path: Path) -> Codex:
    return Codex(tmp_path)


def png() -> bytes:
    """One black pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">2I5B", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(4))) + chunk(b"IEND", b"")


def test_an_answer(codex: Codex) -> None:
    events = codex.run("Hello")

    assert [event["item"]["text"] for event in events if event.get("item", {}).get("type") == "agent_message"] == [
        "Hello from the agent."
    ]
    usage = events[-1]["usage"]
    assert (usage["input_tokens"], usage["cached_input_tokens"], usage["output_tokens"]) == (11, 3, 7)


def test_a_shell_call(codex: Codex) -> None:
    *_, command, answer = codex.items("Use the shell")

    assert command["type"] == "command_execution"
    assert (command["exit_code"], command["aggregated_output"]) == (0, "sunny\n")
    assert (codex.directory / "weather.txt").read_text("utf-8") == "sunny\n"
    assert answer["text"].startswith("The tool said: ")
    assert answer["text"].endswith("sunny\n")


def test_a_call_of_a_function_in_a_namespace(codex: Codex) -> None:
    *_, answer = codex.items('Call close_agent {"target": "nobody"}')

    assert "unsupported call" not in answer["text"]
    assert "nobody" in answer["text"]


def test_an_image_as_the_result_of_a_tool(codex: Codex) -> None:
    (codex.directory / "pixel.png").write_bytes(png())
    *_, answer = codex.items('Call view_image {"path": "pixel.png"}')

    assert answer["text"] == "The tool said: image_url"


def test_an_image_in_the_prompt(codex: Codex) -> None:
    (codex.directory / "pixel.png").write_bytes(png())
    [answer] = codex.items("What do you see?", "--image=pixel.png")

    assert answer["text"] == "Hello from the agent."


def test_reasoning(codex: Codex) -> None:
    reasoning, answer = codex.items("Please reason.")

    assert (reasoning["type"], reasoning["text"]) == ("reasoning", "Let me think.")
    assert answer["text"] == "15 * 37 is 555."


def test_structured_output(codex: Codex) -> None:
    properties = {"city": {"type": "string"}, "degrees": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    (codex.directory / "schema.json").write_text(json.dumps(schema), "utf-8")

    [answer] = codex.items("Structured", "--output-schema=schema.json")

    assert json.loads(answer["text"]) == {"city": "Paris", "degrees": 21}


def test_a_session_that_goes_on(codex: Codex) -> None:
    codex.run("Please reason.")
    *_, answer = codex.items("resume", "--last", "Use the shell")

    assert answer["text"].endswith("sunny\n")


def test_an_error_before_the_first_piece(codex: Codex) -> None:
    [failed] = [event for event in codex.run("Rate limit", code=1) if event["type"] == "turn.failed"]

    assert "429" in failed["error"]["message"]


def test_an_error_in_mid_stream(codex: Codex) -> None:
    [failed] = [event for event in codex.run("Break", code=1) if event["type"] == "turn.failed"]

    assert "The app broke." in failed["error"]["message"]


def test_an_answer_that_was_cut(codex: Codex) -> None:
    [failed] = [event for event in codex.run("Stop short", code=1) if event["type"] == "turn.failed"]

    assert "max_output_tokens" in failed["error"]["message"]
