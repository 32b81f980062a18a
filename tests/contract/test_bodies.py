"""The bodies of common operations as types, which editors complete."""

from pathlib import Path

from openai_middleware.contract import bodies
from openai_middleware.contract.generator import bodies as generator

FILE = Path(bodies.__file__)


def test_types_are_those_of_the_installed_sdk_and_of_the_shipped_contract() -> None:
    assert FILE.read_text("utf-8") == generator.bodies()  # if not: make contract


def test_nothing_in_the_package_imports_them() -> None:
    package = FILE.parent.parent
    importing = [
        file
        for file in package.rglob("*.py")
        if "import bodies" in (text := file.read_text()) or ".bodies import" in text
    ]

    assert importing == []
