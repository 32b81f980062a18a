"""Metadata: what it may be, and what completions can be listed by."""

from collections.abc import Mapping
from typing import Any, Final

from openai_middleware.errors import BadRequestError

# OpenAI's limits.
_MOST: Final = 16
_LONGEST_NAME: Final = 64
_LONGEST_VALUE: Final = 512


def checked_metadata(value: Any) -> dict[str, str]:
    """The metadata of a request; null is none.

    Raises:
        BadRequestError: It is none that OpenAI would take.
    """
    if value is None:
        return {}
    message = None
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        message = "`metadata` is an object whose values are strings."
    elif len(value) > _MOST:
        message = f"`metadata` has at most {_MOST} entries."
    elif any(len(name) > _LONGEST_NAME or len(text) > _LONGEST_VALUE for name, text in value.items()):
        message = f"`metadata` has names of at most {_LONGEST_NAME} characters, and values of {_LONGEST_VALUE}."
    if message is not None:
        raise BadRequestError(message, param="metadata", code="invalid_value")
    return {searchable(name): searchable(text) for name, text in value.items()}


def searchable(text: str) -> str:
    """A text as databases take it."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def searchable_metadata(metadata: Mapping[Any, Any]) -> dict[str, str]:
    """What completions can be listed by of some metadata: what OpenAI would take of it."""
    texts = [(name, value) for name, value in metadata.items() if isinstance(name, str) and isinstance(value, str)]
    return {
        searchable(name): searchable(value)
        for name, value in texts
        if len(name) <= _LONGEST_NAME and len(value) <= _LONGEST_VALUE
    }
