"""What an app needs to be told to be driven: a model, a prompt, headers, bodies and ids."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from openai_middleware.check.exchange import Limits
from openai_middleware.contract import shipped

__all__ = ["ORACLES", "Settings", "SettingsError"]

ORACLES: Final = ("wire", "sdk", "open-responses")


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
            argument that begins with `@` is the file of that name.
        only: Patterns for the operations that are tried; empty is all.
        require: The operations that the app has to have.
        oracles: Those that judge, of `ORACLES`.
        limits: What it may cost.

    Raises:
        SettingsError: There is no such operation or oracle.
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


def _file_or_value(value: Any, folder: Path) -> Any:
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    file = folder / value.removeprefix("@")
    return file.name, file.read_bytes()
