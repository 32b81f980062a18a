"""The check as tests of one's own: pytest runs it case by case.

cd docs/examples && python -m pytest check_with_pytest.py
"""

import subprocess
import sys
from pathlib import Path

# --8<-- [start:tests]
import pytest
from replies import app  # your app

from openai_middleware.testing import CheckCase, check


@pytest.mark.parametrize("case", check(app, require=["chat.completions.create", "responses.create"]), ids=str)
def test_official_sdk(case: CheckCase) -> None:
    case()


# --8<-- [end:tests]


def main() -> None:
    file = Path(__file__)
    command = [
        sys.executable,
        "-m",
        "pytest",
        file.name,
        "--quiet",
        "-p",
        "no:cacheprovider",
        "-k",
        "completions.create",
    ]
    raise SystemExit(subprocess.run(command, cwd=file.parent, check=False).returncode)


if __name__ == "__main__":
    main()
