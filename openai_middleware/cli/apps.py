"""The app that an argument names."""

import sys
from pathlib import Path
from typing import Any

from uvicorn.importer import ImportFromStringError, import_from_string

__all__ = ["AppError", "imported"]


class AppError(ValueError):
    """An argument that names no app."""


def imported(name: str, folder: Path) -> Any:
    """Import an app.

    Args:
        name: `package.module:app`.
        folder: Where the module is looked for first.

    Raises:
        AppError: It cannot be imported; the cause is what its module raised.
    """
    sys.path.insert(0, str(folder))
    try:
        return import_from_string(name)
    except ImportFromStringError as error:
        raise AppError(str(error)) from error
    except Exception as error:
        raise AppError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
