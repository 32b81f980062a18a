"""The check as tests of one's own, as pytest runs them."""

import json
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

import pytest

from openai_middleware.check.settings import Settings, SettingsError
from openai_middleware.testing import check
from tests.support.faulty_app import app


def outcomes(prefix: str, **settings: object) -> dict[str, str]:
    found = {}
    for case in check(app, prefix=prefix, **settings):
        try:
            case()
        except SkipTest as skipped:
            found[str(case)] = str(skipped)
        except AssertionError as failed:
            found[str(case)] = f"failed: {failed}"
        else:
            found[str(case)] = "passed"
    return found


def test_a_case_passes_fails_with_its_facts_or_is_skipped() -> None:
    found = outcomes("/no_has_more/v1", only=["files"])

    assert found == {
        "files.create: create": "passed",
        "files.retrieve: retrieve": "passed",
        "files.list: list": "failed: files.list: list\nwire: has_more: missing: the SDK would ask for page after page",
        "files.delete: delete": "passed",
        "files.content: content": "passed",
    }


def test_the_first_case_of_a_required_operation_is_not_skipped() -> None:
    names = ["responses.create", "moderations.create", "completions.create"]
    found = outcomes("/none/v1", only=names, require=names)

    assert found.pop("moderations.create: create") == "failed: moderations.create: create\nnot implemented: 404"
    assert found.pop("completions.create: errors") == "skipped: completions.create is not implemented"
    assert found.pop("completions.create: stream") == "not implemented: 404"
    assert found.pop("completions.create: create").startswith("failed: ")
    assert set(found.values()) == {"passed"}


def test_an_operation_without_a_case_cannot_be_required() -> None:
    with pytest.raises(SettingsError, match=r"There is no case of videos.edit: only a fixture can describe it."):
        check(app, require=["videos.edit"])


def test_a_required_operation_that_is_left_out_is_told() -> None:
    with pytest.raises(SettingsError, match=r"There is no case of files.list: `only` leaves it out."):
        check(app, only=["models"], require=["files.list"])


def test_a_missing_package_is_named_with_the_line_that_installs_it() -> None:
    program = "import sys; sys.modules['jsonschema'] = None; import openai_middleware.testing"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1
    assert "Install it with: pip install 'openai-middleware[cli]'" in done.stderr


def test_a_fixture_describes_an_operation_files_included(tmp_path: Path) -> None:
    (tmp_path / "bees.wav").write_bytes(b"RIFF")
    arguments = {"file": "@bees.wav", "model": "m-1", "prompt": "@@ada"}
    (tmp_path / "fixture.json").write_text(json.dumps({"audio.transcriptions.create": arguments}))
    fixture = Settings.fixture_of(tmp_path / "fixture.json")

    read = {"file": ("bees.wav", b"RIFF"), "model": "m-1", "prompt": "@ada"}
    assert fixture == {"audio.transcriptions.create": read}
    assert outcomes("/none/v1", only=["audio.transcriptions"], fixture=fixture) == {
        "audio.transcriptions.create: as the fixture says": "not implemented: 404"
    }
