"""Whose a request is to the store."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

Owner = Callable[[Any], str | None] | Literal["shared"]

SHARED: Final = "shared"

# `AzureOpenAI` sends its key under a name of its own.
_OF_KEYS: Final = ("authorization", "api-key")


def by_api_key(carrier: Any) -> str | None:
    """An owner for each API key: a digest of the `Authorization` header, or of Azure's `api-key`, never the key itself.

    Args:
        carrier: An ASGI scope, a WSGI environ, or Django's request.

    Returns:
        None where the request has neither header.
    """
    for name in _OF_KEYS:
        value = _header(carrier, name)
        if value:
            return "key_" + hashlib.sha256(value).hexdigest()
    return None


def _header(carrier: Any, name: str) -> bytes | None:
    environ = carrier if isinstance(carrier, Mapping) else getattr(carrier, "META", {})
    if "headers" in environ:
        wanted = name.encode()
        values = [value for key, value in environ["headers"] if key.lower() == wanted]
        return bytes(values[-1]) if values else None
    value = environ.get("HTTP_" + name.upper().replace("-", "_"))
    return value.encode("latin-1", "replace") if isinstance(value, str) else None
