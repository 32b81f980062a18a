"""The environment of each client: a virtual environment, or a folder of Node packages, in `.clients/`.

A client is a folder here. It has a `requirements.in` with the packages to test, and all that they need, pinned, in
`requirements.txt`; or a `package.json` and its lock. Node comes from PyPI: the clients want a newer one than most
systems have.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".clients"

PIP = ["-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
NPM = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]


class SetupError(Exception):
    """An environment could not be made; the message is what the command printed."""


@dataclass(frozen=True)
class Client:
    """A folder of tests, and the packages that they are run with.

    Attributes:
        name: Its name, such as `openai-python`.
    """

    name: str

    @property
    def tests(self) -> Path:
        return HERE / self.name.replace("-", "_")

    @property
    def environment(self) -> Path:
        return CACHE / self.name

    @property
    def is_node(self) -> bool:
        """Whether its packages are those of Node. Codex' are, and its tests are in Python all the same."""
        return (self.tests / "package.json").exists()

    @property
    def packages(self) -> dict[str, str]:
        """The versions of the packages that are tested, not of those that only the tests need."""
        if self.is_node:
            dependencies: dict[str, str] = json.loads((self.tests / "package.json").read_text("utf-8"))["dependencies"]
            return dependencies
        lines = (self.tests / "requirements.in").read_text("utf-8").splitlines()
        return dict(line.split("==") for line in lines if "==" in line)

    @property
    def path(self) -> str:
        """Where its programs are found, before all others."""
        folders = [self.environment / "node_modules" / ".bin", scripts(CACHE / "node")] if self.is_node else []
        return os.pathsep.join([*map(str, folders), os.environ["PATH"]])

    def command(self, report: Path) -> list[str | Path]:
        """What runs its tests in its environment, and writes a JUnit report."""
        if scripts_of_node := [file.name for file in sorted(self.tests.glob("*.test.js"))]:
            reporters = ["--test-reporter=spec", "--test-reporter-destination=stdout"]
            reporters += ["--test-reporter=junit", f"--test-reporter-destination={report}"]
            options = ["--test-force-exit", "--test-timeout=60000"]
            return [scripts(CACHE / "node") / "node", "--test", *options, *reporters, *scripts_of_node]
        python = sys.executable if self.is_node else python_of(self.environment)
        options = [f"--config-file={HERE / 'pytest.ini'}", f"--rootdir={ROOT}", f"--confcutdir={HERE}"]
        return [python, "-m", "pytest", "--tb=short", *options, f"--junit-xml={report}", self.tests]


def clients() -> Iterator[Client]:
    for folder in sorted(HERE.iterdir()):
        if (folder / "requirements.in").exists() or (folder / "package.json").exists():
            yield Client(folder.name.replace("_", "-"))


def set_up(client: Client) -> bool:
    """Make the client's environment, unless it is there and has what is pinned. Whether there was something to do.

    Raises:
        SetupError: A package cannot be had.
    """
    if not client.is_node:
        return _install_python(client.environment, client.tests / "requirements.txt")
    is_new = _install_python(CACHE / "node", HERE / "node.txt")
    manifests = [client.tests / "package.json", client.tests / "package-lock.json"]
    if not _is_current(client.environment, manifests):
        shutil.rmtree(client.environment, ignore_errors=True)
        client.environment.mkdir(parents=True)
        _copy(manifests, client.environment)
        _npm("ci", cwd=client.environment)
        _mark(client.environment, manifests)
        is_new = True
    # Imports are looked up from where a file lies.
    _copy(client.tests.glob("*.js"), client.environment)
    return is_new


def lock(client: Client) -> None:
    """Pin the newest versions of everything that the client's own packages need.

    Raises:
        SetupError: There are none that go together.
    """
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if client.is_node:
            _install_python(CACHE / "node", HERE / "node.txt")
            _copy([client.tests / "package.json"], scratch)
            _npm("install", "--package-lock-only", "--omit-lockfile-registry-resolved", cwd=scratch)
            _copy([scratch / "package-lock.json"], client.tests)
            return
        # For the oldest Python that is supported: every version found runs on newer ones too.
        options = ["--python-version=3.11.0", "--only-binary=:all:", f"--target={scratch / 'none'}"]
        report, wanted = scratch / "report.json", client.tests / "requirements.in"
        _run([sys.executable, *PIP, "--dry-run", "--ignore-installed", f"--report={report}", *options, "-r", wanted])
        found = [package["metadata"] for package in json.loads(report.read_text("utf-8"))["install"]]
        pins = sorted({f"{package['name']}=={package['version']}" for package in found}, key=str.lower)
        written = "# Written by: make test-clients ARGS=--lock"
        (client.tests / "requirements.txt").write_text("\n".join([written, *pins, ""]), "utf-8")


def scripts(environment: Path) -> Path:
    return environment / "bin"


def python_of(environment: Path) -> Path:
    return scripts(environment) / "python"


def _install_python(environment: Path, requirements: Path) -> bool:
    if _is_current(environment, [requirements]):
        return False
    _run([sys.executable, "-m", "venv", "--clear", environment])
    _run([python_of(environment), *PIP, "-r", requirements])
    _mark(environment, [requirements])
    return True


def _npm(*arguments: str, cwd: Path) -> None:
    path = os.pathsep.join([str(scripts(CACHE / "node")), os.environ["PATH"]])
    _run([scripts(CACHE / "node") / "npm", *arguments, *NPM], cwd=cwd, env={**os.environ, "PATH": path})


def _run(command: Sequence[str | Path], **options: object) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise SetupError(f"{' '.join(map(str, command))}\n{done.stdout}")


def _copy(files: Sequence[Path] | Iterator[Path], folder: Path) -> None:
    for file in files:
        shutil.copy(file, folder)


def _is_current(environment: Path, manifests: Sequence[Path]) -> bool:
    stamp = environment / ".installed"
    return stamp.exists() and stamp.read_text("utf-8") == _digest(manifests)


def _mark(environment: Path, manifests: Sequence[Path]) -> None:
    (environment / ".installed").write_text(_digest(manifests), "utf-8")


def _digest(manifests: Sequence[Path]) -> str:
    contents = [sys.version.encode(), *(manifest.read_bytes() for manifest in manifests)]
    return hashlib.sha256(b"\0".join(contents)).hexdigest()
