"""Mistakes in a configuration: one, all of them in one error, and what collects them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from reprlib import Repr
from types import TracebackType
from typing import Final

from pydantic import ValidationError

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

# In contrast to `repr`, it looks at no more than it shows: aliases of YAML can make billions of items of a few.
_shortened: Final = Repr()
_shortened.maxlevel = 4
_shortened.maxstring = _shortened.maxother = _shortened.maxlong = 200
_shortened.maxdict = _shortened.maxlist = _shortened.maxtuple = _shortened.maxset = _shortened.maxfrozenset = 20


@dataclass(frozen=True, slots=True)
class ConfigurationMistake:
    """One mistake in a configuration.

    Attributes:
        code: A stable word for the kind of mistake; docs/configuration.md lists them.
        message: What is wrong.
        value: The value that is wrong.
        hint: What to do about it.
        where: The place in the configuration, such as `endpoints.POST:/v1/x.path`; empty where there is only one.
    """

    code: str
    message: str
    value: object
    hint: str
    where: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        text = f"{place}{self.message} Got {self.shown}. {self.hint} [{self.code}]"
        # Lone surrogates, as a key may have them, have no UTF-8 form, and pydantic wants one of messages.
        return text.encode("utf-8", "backslashreplace").decode()

    @property
    def shown(self) -> str:
        """The value for a person: no more than the beginning of what is large, or holds itself."""
        return _shortened.repr(self.value)[:200]

    def inside(self, place: str) -> "ConfigurationMistake":
        """The same mistake, seen from one level further out."""
        return replace(self, where=".".join(part for part in (place, self.where) if part))


def nearest(name: object, names: Iterable[str]) -> str:
    """A question for whoever misspelt a name, with a space after it; empty where no name is near."""
    from difflib import get_close_matches  # few misspell anything

    choices = list(names)
    found = get_close_matches(str(name), choices, n=1) or [one for one in choices if one.startswith(f"{name}_")]
    return f"Did you mean {found[0]!r}? " if found else ""


class ConfigurationError(ValueError):
    """A configuration that cannot work. `mistakes` holds all that were found, not only the first."""

    def __init__(self, *mistakes: ConfigurationMistake) -> None:
        super().__init__(*mistakes)
        self.mistakes = mistakes

    def __str__(self) -> str:
        if len(self.mistakes) == 1:
            return str(self.mistakes[0])
        return "\n  - ".join([f"{len(self.mistakes)} configuration mistakes:", *map(str, self.mistakes)])


class Mistakes:
    """Collects mistakes, so that all are reported together.

    `with mistakes:` takes the mistakes of an error that ends its block, be it a `ConfigurationError` or pydantic's
    `ValidationError`, and goes on behind the block.
    """

    def __init__(self) -> None:
        self._found: list[ConfigurationMistake] = []
        self._cause: BaseException | None = None

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[ConfigurationMistake]:
        return iter(self._found)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if isinstance(error, ConfigurationError):
            self.extend(error.mistakes)
        elif isinstance(error, ValidationError):
            self.extend(_mistakes_in(error))
            self._cause = error
        else:
            return False
        return True

    def add(self, code: str, message: str, value: object, hint: str, where: str = "") -> None:
        """Add one mistake; the arguments are the attributes of `ConfigurationMistake`."""
        self._found.append(ConfigurationMistake(code, message, value, hint, where))

    def extend(self, mistakes: Iterable[ConfigurationMistake]) -> None:
        """Add several."""
        self._found.extend(mistakes)

    def report(self) -> None:
        """Raise one ConfigurationError with all of them; nothing happens where there are none."""
        if self._found:
            raise ConfigurationError(*self._found) from self._cause


@contextmanager
def reported_mistakes() -> Iterator[Mistakes]:
    """The mistakes of a block, reported at its end as one ConfigurationError; pydantic's errors are among them."""
    mistakes = Mistakes()
    with mistakes:
        yield mistakes
    mistakes.report()


def report_mistakes(mistakes: Iterable[ConfigurationMistake]) -> None:
    """Raise one ConfigurationError for all the mistakes; nothing happens where there are none."""
    if found := tuple(mistakes):
        raise ConfigurationError(*found)


def _mistakes_in(error: ValidationError) -> Iterator[ConfigurationMistake]:
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
