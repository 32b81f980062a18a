"""Mistakes in a configuration, collected: pydantic's findings and this package's own in one ConfigurationError."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydantic import ValidationError

from openai_middleware.errors import ConfigurationError, ConfigurationMistake

HINTS: Final = {
    "missing": "Add it.",
    "extra_forbidden": "Remove it, or correct its name.",
    "literal_error": "Choose one of these.",
    "enum": "Choose one of these.",
    "string_type": "Write a str.",
    "bool_type": "Write True or False.",
    "int_type": "Write an int.",
    "greater_than_equal": "Write a larger number.",
    "list_type": "Write a list.",
    "dict_type": "Write a dict.",
}
# pydantic tells apart what is one mistake to the person who made it.
_SAME_MISTAKE: Final = {
    "unexpected_keyword_argument": "extra_forbidden",
    "invalid_key": "extra_forbidden",
    "string_unicode": "string_type",
    "is_instance_of": "string_type",
    "value_error": "string_type",  # a lone surrogate, which has no UTF-8 form
    "bool_parsing": "bool_type",
    "model_type": "dict_type",
    "dataclass_type": "dict_type",
}


def mistakes_in(error: ValidationError) -> Iterator[ConfigurationMistake]:
    """What pydantic found wrong, and what this package's own checks found on the way."""
    for detail in error.errors(include_url=False):
        where = ".".join(str(part) for part in detail["loc"])
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, ConfigurationError):
            yield from (mistake.inside(where) for mistake in cause.mistakes)
        else:
            code = _SAME_MISTAKE.get(detail["type"], detail["type"])
            hint = HINTS.get(code, "Correct the value.")
            yield ConfigurationMistake(code, f"{detail['msg']}.", detail["input"], hint, where)


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
