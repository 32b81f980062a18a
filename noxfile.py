"""The tests on every supported Python, and on the oldest and the newest frameworks: `make test-matrix`.

A Python that is not installed is skipped, and named at the end; in the hosted workflow it is an error.
"""

import subprocess

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

# The lowest versions that pyproject.toml allows, with what they were released beside.
OLDEST = [
    *("fastapi==0.115.11", "starlette==0.46.0", "django==4.2", "flask==3.0.0", "werkzeug==3.0.1"),
    *("asgiref==3.8.1", "msgspec==0.19.0", "parse==1.20.2", "pydantic==2.7.4", "python-jsonpath==2.0.0"),
    *("sqlalchemy==2.1.0", "psycopg[binary]==3.2.1"),
]
NEWEST = [requirement.partition("==")[0] for requirement in OLDEST]
OF_FRAMEWORKS = ["tests/adapters", "tests/stacks", "tests/drivers", "tests/handlers", "tests/mapping", "tests/store"]

nox.options.reuse_existing_virtualenvs = True


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Every test but the slow ones, with the pinned packages."""
    session.install("--constraint", "constraints.txt", "--editable", ".[dev]")
    session.run("python", "-m", "pytest", *PARALLEL, *(session.posargs or ["-m", "not slow"]))


@nox.session
@nox.parametrize(("python", "versions"), [("3.11", OLDEST), ("3.13", NEWEST)], ids=["oldest", "newest"])
def frameworks(session: nox.Session, versions: list[str]) -> None:
    """What the frameworks have a part in, with their oldest or their newest versions."""
    session.install("--upgrade", "--editable", ".[cli,postgresql,test]", *versions)
    session.run("python", "-m", "pip", "list", "--format=freeze", silent=False)
    session.run("python", "-m", "pytest", *PARALLEL, *(session.posargs or OF_FRAMEWORKS))


PARALLEL = ["--quiet", "--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile", "-p", "no:cacheprovider"]
# A test that hangs ends its process after two minutes, with the traceback of every thread, and that ends the run.
PARALLEL += ["--override-ini=faulthandler_timeout=120", "--max-worker-restart=0"]


@nox.session(python=False)
def missing(session: nox.Session) -> None:
    """Name the Pythons that are not here, and were therefore not tested."""
    absent = [python for python in PYTHONS if not is_here(f"python{python}")]
    if absent:
        session.warn(f"NOT TESTED, because it is not installed: Python {', '.join(absent)}")


def is_here(python: str) -> bool:
    """Whether it runs: a version manager may have a program of that name for a Python that it does not switch on."""
    try:
        return subprocess.run([python, "--version"], capture_output=True).returncode == 0
    except OSError:
        return False
