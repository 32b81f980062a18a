"""Mistakes in a configuration, collected: pydantic's findings and this package's own in one ConfigurationError."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from openai_middleware.errors import ConfigurationError, ConfigurationMistake

_HINTS = {
    "missing": "Add it.",
    "extra_forbidden": "Remove it, or correct its name.",
    "unexpected_keyword_argument": "Remove it, or correct its name.",
    "literal_error": "Choose one of these.",
    "enum": "Choose one of these.",
}


def mistakes_in(error: ValidationError) -> Iterator[ConfigurationMistake]:
    """What pydantic found wrong, and what this package's own checks found on the way."""
    for detail in error.errors(include_url=False):
        where = ".".join(str(part) for part in detail["loc"])
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, ConfigurationError):
            yield from (mistake.inside(where) for mistake in cause.mistakes)
        else:
            hint = _HINTS.get(detail["type"], "Correct the value.")
            yield ConfigurationMistake(detail["type"], f"{detail['msg']}.", detail["input"], hint, where)


@contextmanager
def configuration_errors() -> Iterator[None]:
    """Turn pydantic's errors into one ConfigurationError."""
    try:
        yield
    except ValidationError as error:
        raise ConfigurationError(*mistakes_in(error)) from error


@contextmanager
def collected(mistakes: list[ConfigurationMistake]) -> Iterator[None]:
    """Add the mistakes of a ConfigurationError to a list, and go on."""
    try:
        yield
    except ConfigurationError as error:
        mistakes.extend(error.mistakes)
