"""The oldest Django that is supported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def django_4_2(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which Django 4.2 stands before the version that is installed."""
    folder = tmp_path_factory.mktemp("django")
    install = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--target", folder, "django==4.2.*"], check=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def test_this_is_django_4_2(django_4_2: dict[str, str]) -> None:
    version = subprocess.check_output(
        [sys.executable, "-c", "import django; print(django.VERSION[:2])"], env=django_4_2
    )

    assert version.strip() == b"(4, 2)"


@pytest.mark.parametrize("program", ["django_app.py", "auth_django.py"])
def test_examples_run_on_django_4_2(program: str, django_4_2: dict[str, str]) -> None:
    subprocess.run([sys.executable, ROOT / "docs" / "examples" / program], env=django_4_2, check=True, timeout=60)
