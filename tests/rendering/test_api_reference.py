"""The API reference of the built site has every public name, and none that is not."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "api.md").read_text("utf-8"), re.MULTILINE)


def public_names(module: str) -> set[str]:
    """What stands in `__all__`, read from the source: Django's modules cannot be imported without settings."""
    place = ROOT / module.replace(".", "/")
    source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    [names] = [
        node.value
        for node in ast.parse(source.read_text("utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return set(ast.literal_eval(names))


def test_reference_has_every_public_module() -> None:
    adapters = {f"openai_middleware.adapters.{name}" for name in ("fastapi", "flask", "django")}
    others = {f"openai_middleware.{name}" for name in ("errors", "contract", "contract.bodies", "store", "testing")}
    assert {*MODULES} == {"openai_middleware", *others, *adapters}


@pytest.mark.parametrize("module", MODULES)
def test_reference_has_the_public_names_of_a_module(module: str) -> None:
    page = (ROOT / "site" / "api.html").read_text("utf-8")
    assert set(re.findall(rf'<h3 id="{re.escape(module)}\.(\w+)"', page)) == public_names(module)
