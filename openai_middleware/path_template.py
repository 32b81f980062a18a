"""Path templates: `/responses/{response_id}` compiled to a matcher."""

import re

import parse

from openai_middleware.errors import ConfigurationError, ConfigurationMistake
from openai_middleware.request_path import with_slashes

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def _segment(text: str) -> str:
    return text


_segment.pattern = r"[^/]+"  # type: ignore[attr-defined]  # where `parse` looks for the pattern of a type


class PathTemplate:
    """A path with placeholders, each of which takes one non-empty segment, or a part of one.

    Attributes:
        names: The placeholders' names, in order.
        shape: The path without the names; templates of one shape match the same paths.
    """

    __slots__ = ("_parser", "names", "shape")

    def __init__(self, path: str) -> None:
        """Compile a path that `check_path` has let through."""
        self.names = placeholder_names(path)
        self.shape = _PLACEHOLDER.sub("{}", path)
        self._parser = parse.compile(
            _PLACEHOLDER.sub(r"{\1:segment}", path), {"segment": _segment}, case_sensitive=True
        )

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of a request path (see `RequestPath.segmented`), or None where it does not match."""
        found = self._parser.parse(path, evaluate_result=False)
        if found is None:
            return None
        return {name: with_slashes(value) for name, value in found.match.groupdict().items()}


def placeholder_names(path: str) -> tuple[str, ...]:
    """The names of the placeholders in a path, in order."""
    return tuple(_PLACEHOLDER.findall(path))


def check_path(path: str) -> None:
    """Check the path of an endpoint, which starts with a slash.

    Raises:
        ConfigurationError: A `*` that is not the single last character, a placeholder beside a `*`, a placeholder that
            is unclosed, without a name, not an identifier or there twice, or a query string.
    """

    def mistake(code: str, message: str, hint: str) -> ConfigurationError:
        return ConfigurationError(ConfigurationMistake(code, message, path, hint))

    names = placeholder_names(path)
    if "?" in path or "#" in path:
        raise mistake("path_query", "A path holds no query and no fragment.", "Matching is by path alone.")
    if "*" in path[:-1]:
        raise mistake("path_wildcard", "A '*' may stand once, as the last character.", "Write '/api/*'.")
    if any(brace in _PLACEHOLDER.sub("", path) for brace in "{}"):
        raise mistake("path_unclosed", "A brace has no partner.", "A placeholder is written '{name}'.")
    if path.endswith("*") and names:
        raise mistake("path_wildcard_placeholder", "A wildcard path takes no placeholders.", "Use one or the other.")
    for name in names:
        if not name.isidentifier():
            hint = "A placeholder is written '{name}', and its name becomes a keyword argument."
            raise mistake("path_placeholder", f"The placeholder name {name!r} is no identifier.", hint)
    if len(set(names)) < len(names):
        raise mistake("path_placeholder_repeated", "A placeholder name stands twice.", "Give each its own name.")
