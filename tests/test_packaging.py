"""The distribution: what it holds, and that it works where the checkout is not."""

import email
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

import openai_middleware

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS_AND_SDK = ["openai", "fastapi", "starlette", "django", "flask"]

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return what it printed; a failure shows everything that it said."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{command} exited with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
    return done.stdout


def run_python(python: Path, code: str, cwd: Path) -> str:
    """Run code in an isolated interpreter: neither the working directory nor PYTHONPATH is searched."""
    return run(python, "-I", "-W", "error", "-c", code, cwd=cwd)


def wheel_contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        assert len(names) == len(set(names))
        return {name: archive.read(name) for name in names}


def metadata_of(wheel: Path) -> Message:
    [metadata] = [data for name, data in wheel_contents(wheel).items() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(metadata)


def files_of_tree() -> dict[str, bytes]:
    """Every file of the package in the checkout, by the name that it is installed under."""
    files: dict[str, bytes] = {}
    for top, installed_as in [("openai_middleware", "openai_middleware"), ("adapters", "openai_middleware/adapters")]:
        for folder, _, names in os.walk(ROOT / top):  # does not follow the symlink
            within = Path(folder).relative_to(ROOT / top)
            if "__pycache__" not in within.parts:
                files |= {(installed_as / within / name).as_posix(): Path(folder, name).read_bytes() for name in names}
    return files


class Built(NamedTuple):
    wheel_from_sdist: Path
    wheel_from_checkout: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build from a copy, so that nothing is left behind in the checkout and no leftover gets into the build."""
    copy = tmp_path_factory.mktemp("checkout") / "project"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "site")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=ignored)
    build: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation", copy, "--outdir"]
    out = tmp_path_factory.mktemp("dist")
    run(*build, out / "sdist", cwd=out)  # the sdist, then the wheel from it
    run(*build, out / "checkout", "--wheel", cwd=out)
    return Built(*(next((out / where).glob("*.whl")) for where in ("sdist", "checkout")))


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a clean environment that holds the wheel, its dependencies and the frameworks."""
    home = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", home / "venv", cwd=home)
    python = home / "venv" / "bin" / "python"
    requirement = f"openai-middleware[django,fastapi,flask] @ {built.wheel_from_sdist.as_uri()}"
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", requirement, cwd=home)
    return python


def test_adapters_directory_is_reached_through_a_relative_symlink() -> None:
    assert os.readlink(ROOT / "openai_middleware" / "adapters") == "../adapters"


def test_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    contents = wheel_contents(built.wheel_from_sdist)

    assert {name: data for name, data in contents.items() if ".dist-info/" not in name} == files_of_tree()
    assert {
        "openai_middleware/__init__.py",
        "openai_middleware/py.typed",
        "openai_middleware/contract/openai.json",
        "openai_middleware/adapters/__init__.py",
        "openai_middleware/adapters/fastapi/__init__.py",
    } <= contents.keys()


def test_every_folder_with_code_is_a_package() -> None:
    """The build finds packages by their `__init__.py`."""
    files = files_of_tree()

    folders = {name.rpartition("/")[0] for name in files if name.endswith(".py")}
    assert not {folder for folder in folders if f"{folder}/__init__.py" not in files}


def test_sdist_and_checkout_build_the_same_wheel(built: Built) -> None:
    assert wheel_contents(built.wheel_from_sdist) == wheel_contents(built.wheel_from_checkout)


def test_metadata_names_exactly_the_runtime_dependencies(built: Built) -> None:
    metadata = metadata_of(built.wheel_from_sdist)

    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = {re.split(r"[^\w.-]", line)[0] for line in required}
    assert names == {"asgiref", "msgspec", "parse", "pydantic", "python-jsonpath"}
    assert metadata["Name"] == "openai-middleware"
    assert metadata["License-Expression"] == "Apache-2.0"


def test_version_is_that_of_the_distribution(built: Built) -> None:
    assert metadata_of(built.wheel_from_sdist)["Version"] == openai_middleware.__version__


def test_everything_public_imports_from_the_installed_wheel(installed: Path, tmp_path: Path) -> None:
    code = """if True:
        import json, openai_middleware, openai_middleware.errors
        import openai_middleware.adapters.django, openai_middleware.adapters.django_checks
        from openai_middleware.adapters.django import openai_view
        from openai_middleware.adapters.fastapi import openai_call, openai_kwargs, set_openai_frontend
        from openai_middleware.adapters.flask import openai_call, openai_view, set_openai_frontend
        missing = [
            f"{module.__name__}.{name}"
            for module in (openai_middleware, openai_middleware.errors)
            for name in module.__all__
            if not hasattr(module, name)
        ]
        print(json.dumps([openai_middleware.__file__, openai_middleware.__all__, missing]))
    """
    location, public, missing = json.loads(run_python(installed, code, tmp_path))

    assert Path(location).is_relative_to(installed.parent.parent)
    assert missing == []
    assert set(public) == {
        "APIHandlerAction",
        "APIHandlerConfig",
        "BodyMappings",
        "Dispatcher",
        "EndpointConfig",
        "HandlerApp",
        "OpenAICall",
        "OpenAIEndpoint",
        "OpenAIMiddleware",
        "OpenAIWSGIMiddleware",
        "Reply",
        "Response",
        "Rewrite",
        "ToolCall",
        "Usage",
        "WSGIHandlerApp",
    }


def test_no_top_level_adapters_is_installed(installed: Path, tmp_path: Path) -> None:
    code = "import importlib.util; print(importlib.util.find_spec('adapters'))"

    assert run_python(installed, code, tmp_path).strip() == "None"


def test_installed_middleware_builds_its_table_from_the_shipped_contract(installed: Path, tmp_path: Path) -> None:
    code = """if True:
        from openai_middleware import OpenAIEndpoint, OpenAIMiddleware
        async def app(scope, receive, send): ...
        OpenAIMiddleware(app, [OpenAIEndpoint.CHAT_COMPLETIONS, OpenAIEndpoint.RESPONSES], prefix="/v1")
    """
    run_python(installed, code, tmp_path)


def test_importing_the_package_imports_neither_the_sdk_nor_a_framework(tmp_path: Path) -> None:
    """In this environment, which has the SDK and FastAPI."""
    code = f"""if True:
        import sys, openai_middleware
        print([name for name in {FRAMEWORKS_AND_SDK} if name in sys.modules])
    """
    assert run_python(Path(sys.executable), code, tmp_path).strip() == "[]"
