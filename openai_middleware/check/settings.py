"""What an app needs to be told to be driven: a model, a prompt, headers, bodies and ids."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from openai_middleware.check.exchange import Limits
from openai_middleware.contract import shipped

__all__ = ["ORACLES", "Settings", "SettingsError"]

ORACLES: Final = ("wire", "sdk", "open-responses")


# RFC 9110, sections 5.1 and 5.5: what a header may be called, and what it may hold. Bytes beyond ASCII are obsolete.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t -~]*")


class SettingsError(ValueError):
    """A setting that cannot be one."""


@dataclass(frozen=True)
class Settings:
    """How an app is driven.

    Args:
        model: What is asked for as the model; None is the first that the app lists.
        prompt: What is asked.
        api_key: What the SDK sends as the key.
        headers: More headers of every request.
        fixture: Arguments of SDK methods by the names of operations: `{"vector_stores.search": {"query": "bees"}}`. An
            argument that begins with `@` is the file of that name, in `fixture_of` alone.
        only: Patterns for the operations that are tried; empty is all.
        require: The operations that the app has to have.
        oracles: Those that judge, of `ORACLES`.
        limits: What it may cost.

    Raises:
        SettingsError: There is no such operation or oracle, or the key or a header cannot be sent.
    """

    model: str | None = None
    prompt: str = "Say hello in one short sentence."
    api_key: str = "none"
    headers: Mapping[str, str] = field(default_factory=dict)
    fixture: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    oracles: tuple[str, ...] = ORACLES
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name in (*self.fixture, *self.require):
            if shipped().operation(name) is None:
                raise SettingsError(f"There is no operation {name!r}. docs/operations.md lists them.")
        for name in self.oracles:
            if name not in ORACLES:
                raise SettingsError(f"There is no oracle {name!r}. Choose from {', '.join(ORACLES)}.")
        for pattern in self.only:
            if not any(_is_of(name, pattern) for name in shipped().operation_names()):
                raise SettingsError(f"There is no operation {pattern!r}. docs/operations.md lists them.")
        if not self.api_key.strip() or not _HEADER_VALUE.fullmatch(self.api_key):
            raise SettingsError("A key is made of the printable characters of ASCII, one at least.")
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise SettingsError(f"A header is made of the printable characters of ASCII, and {name!r} is not.")

    def wants(self, operation: str) -> bool:
        """Whether an operation is to be tried."""
        return not self.only or any(_is_of(operation, pattern) for pattern in self.only)

    @classmethod
    def fixture_of(cls, file: Path) -> Mapping[str, Mapping[str, Any]]:
        """Read a fixture from a JSON file.

        Raises:
            OSError: The file, or one that it names, cannot be read.
            SettingsError: It is no fixture.
        """
        try:
            content = json.loads(file.read_text("utf-8"))
        except ValueError as error:
            raise SettingsError(f"{file} is no JSON: {error}") from error
        if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
            raise SettingsError(f'{file} holds no object of objects, such as {{"files.retrieve": {{"file_id": ...}}}}')
        return {
            operation: {name: _file_or_value(value, file.parent) for name, value in arguments.items()}
            for operation, arguments in content.items()
        }


def _is_of(operation: str, pattern: str) -> bool:
    return fnmatchcase(operation, pattern) or operation.startswith(f"{pattern}.")


def _file_or_value(value: Any, folder: Path) -> Any:
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    if value.startswith("@@"):
        return value.removeprefix("@")
    file = folder / value.removeprefix("@")
    return file.name, file.read_bytes()
