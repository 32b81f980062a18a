"""The direction of imports: the package is built of floors, and what lies on one stands on those below it alone."""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "openai_middleware"

# Lowest first. What stands on the same floor does not import each other either; a folder may import from itself.
FLOORS = [
    {"extras", "identifiers", "iteration", "mistakes"},
    {"headers"},
    {"errors"},
    {"interfaces", "mapping", "contract"},
    {"request"},
    {"answer", "config", "keeping"},
    {"replies"},
    {"route"},
    {"exchange", "handlers"},
    {"opening", "rewrites", "store"},
    {"options"},
    {"checked_options"},
    {"features"},
    {"frontend"},
    {"drivers"},
    {"adapters", "check", "__init__"},
    {"cli", "testing"},
    {"__main__"},
]
FLOOR_OF = {part: number for number, parts in enumerate(FLOORS) for part in parts}

# What the core may import beside the standard library: the runtime dependencies.
LIBRARIES = {"asgiref", "jsonpath", "msgspec", "parse", "pydantic", PACKAGE}
# What parts of it may import beside these: those that nothing else imports.
MORE_LIBRARIES = {
    "contract.generator": {"openai"},
    "store.sql": {"psycopg", "sqlalchemy"},
    "check": {"httpx", "jsonschema", "openai", "pydantic_core", "uvicorn"},
    "cli": {"rich", "typer", "uvicorn"},
}


def sources() -> dict[str, Path]:
    """The modules of the package by their names, those of adapters/ included."""
    found = {}
    for folder, name in ((ROOT / PACKAGE, PACKAGE), (ROOT / "adapters", f"{PACKAGE}.adapters")):
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            if parts[0] != "adapters":  # the symlink
                found[".".join((name, *parts)).removesuffix(".__init__")] = file
    return found


SOURCES = sources()
NAMES = sorted(SOURCES)


def part_of(module: str) -> str:
    """What of the package a module belongs to: the file or the folder on the first level."""
    return module.split(".")[1] if "." in module else "__init__"


def is_in(folder: str, module: str) -> bool:
    return f"{module}.".startswith(f"{PACKAGE}.{folder}.")


def imports(module: str, *, at_module_level: bool = False) -> Iterator[str]:
    """What a module imports, inside of functions and for type checkers too, as the names of modules."""
    tree = ast.parse(SOURCES[module].read_text("utf-8"))
    for node in outside_of_functions(tree) if at_module_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in SOURCES else node.module for name in names)


def outside_of_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from outside_of_functions(child)


def test_every_part_of_the_package_has_its_floor() -> None:
    assert {part_of(name) for name in NAMES} == FLOOR_OF.keys()


@pytest.mark.parametrize("module", NAMES)
def test_module_imports_from_its_own_folder_and_from_lower_floors_alone(module: str) -> None:
    part = part_of(module)

    for imported in imports(module):
        if imported in SOURCES and part_of(imported) != part:
            assert FLOOR_OF[part_of(imported)] < FLOOR_OF[part], f"{module} imports {imported}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: {i for i in imports(name, at_module_level=True) if i in SOURCES} for name in NAMES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("module", [name for name in NAMES if not is_in("adapters", name)])
def test_core_imports_no_framework_and_the_generator_and_the_check_alone_the_sdk(module: str) -> None:
    more = set().union(*(names for folder, names in MORE_LIBRARIES.items() if is_in(folder, module)))

    imported = {imported.partition(".")[0] for imported in imports(module)}

    assert imported <= LIBRARIES | sys.stdlib_module_names | more


@pytest.mark.parametrize("module", [name for name in NAMES if not is_in("contract", name)])
def test_nothing_that_runs_imports_the_generator_of_the_contract(module: str) -> None:
    assert not [name for name in imports(module) if is_in("contract.generator", name)]


@pytest.mark.parametrize("module", [name for name in NAMES if is_in("adapters", name)])
def test_adapters_take_from_the_public_modules_alone(module: str) -> None:
    names = ("contract", "drivers", "errors", "extras", "store")
    public = {PACKAGE, *(f"{PACKAGE}.{name}" for name in names)}

    foreign = {i for i in imports(module) if i.partition(".")[0] == PACKAGE and not is_in("adapters", i)}

    assert foreign <= public


@pytest.mark.parametrize("module", NAMES)
def test_file_holds_one_thing(module: str) -> None:
    assert len(SOURCES[module].read_text("utf-8").splitlines()) <= 320
