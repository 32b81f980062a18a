"""The app that an argument names."""

import re
import sys
from pathlib import Path
from typing import Any, Final

from uvicorn.importer import ImportFromStringError, import_from_string

__all__ = ["AppError", "imported"]


# No attribute of a module is a number.
_PORT: Final = re.compile(r":\d+(/|$)")


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
        hint = " A URL begins with http:// or https://." if _PORT.search(name) else ""
        raise AppError(f"{error}{hint}") from error
    except Exception as error:
        raise AppError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
