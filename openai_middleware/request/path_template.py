"""Path templates: `/responses/{response_id}` compiled to a matcher."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import parse

from openai_middleware.mistakes import ConfigurationMistake
from openai_middleware.request.path import with_slashes

# Starlette's spelling: `{name}` is one segment, `{name:path}` one or more.
PLACEHOLDER = re.compile(r"\{([^{}]*?)(:path)?\}")


def _segment(text: str) -> str:
    return text


def _segments(text: str) -> str:
    return text


# Where `parse` looks for the pattern of a type.
_segment.pattern = r"[^/]+"  # type: ignore[attr-defined]
_segments.pattern = r"[^/]+(?:/[^/]+)*"  # type: ignore[attr-defined]
_TYPES = {"segment": _segment, "segments": _segments}


class PathTemplate:
    """A path with placeholders.

    `{name}` takes one non-empty segment, or a part of one; `{name:path}` takes several segments too.

    Attributes:
        names: The placeholders' names, in order.
        start: What every path starts with that matches.
        takes_slashes: Whether a placeholder takes several segments.
        places: The places of the placeholders among the segments, where each is a whole one: then the others, which
            are literal, decide whether a path matches. None elsewhere.
    """

    __slots__ = ("_literals", "_parser", "names", "places", "start", "takes_slashes")

    def __init__(self, path: str) -> None:
        """Compile a path in which `path_mistakes` finds none."""
        self.names = placeholder_names(path)
        self.start = path.partition("{")[0]
        self.takes_slashes = ":path}" in path
        segments = path.split("/")
        places = [place for place, one in enumerate(segments) if one.startswith("{") and one.endswith("}")]
        self.places = None if self.takes_slashes or len(places) < len(self.names) else tuple(places)
        # What stands around the placeholders of each segment that has any.
        self._literals = [PLACEHOLDER.split(segment)[::3] for segment in segments if placeholder_names(segment)]
        # Names stay here: `parse` knows no field whose name starts with an underscore. A segment with several
        # placeholders is one field: a regular expression of several tries every way to divide a segment among them.
        fields = "/".join("{:segment}" if len(placeholder_names(one)) > 1 else _field(one) for one in segments)
        self._parser = parse.compile(fields, _TYPES, case_sensitive=True)

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of a request path (see `RequestPath.segmented`), or None where it does not match."""
        found = self._parser.parse(path, evaluate_result=False)
        if found is None:
            return None
        values: list[str] = []
        for value, literals in zip(found.match.groups(), self._literals, strict=True):
            divided = _divided(value, literals) if len(literals) > 2 else [value]
            if divided is None:
                return None
            values += divided
        return {name: with_slashes(value) for name, value in zip(self.names, values, strict=True)}


def _field(segment: str) -> str:
    return PLACEHOLDER.sub(lambda found: "{:segments}" if found[2] else "{:segment}", segment)


def _divided(segment: str, literals: Sequence[str]) -> list[str] | None:
    """The values between the literals of a segment, none of them empty: each as long as those before it allow.

    Going from the right, the last place of each literal is the right one, so that no other is ever tried.
    """
    first, *between, last = literals
    start, end = len(first), len(segment) - len(last)
    if not (segment.startswith(first) and segment.endswith(last)):
        return None
    values: list[str] = []
    for literal in reversed(between):
        at = segment.rfind(literal, start + 1, end - 1)
        if at < 0:
            return None
        values.insert(0, segment[at + len(literal) : end])
        end = at
    return [segment[start:end], *values] if start < end else None


@lru_cache(maxsize=4096)
def placeholder_names(path: str) -> tuple[str, ...]:
    """The names of the placeholders in a path, in order."""
    return tuple(found[1] for found in PLACEHOLDER.finditer(path))


def shape_of(path: str) -> str:
    """The path without the names of its placeholders; templates of one shape match the same paths."""
    return PLACEHOLDER.sub(r"{\2}", path)


def path_mistakes(path: str) -> Iterator[ConfigurationMistake]:
    """What is wrong with the path of an endpoint, which starts with a slash."""

    def mistake(code: str, message: str, hint: str) -> ConfigurationMistake:
        return ConfigurationMistake(code, message, path, hint)

    names = placeholder_names(path)
    if "*" in path[:-1]:
        yield mistake("path_wildcard", "A '*' may stand once, as the last character.", "Write '/api/*'.")
    elif path.endswith("*") and names:
        yield mistake("path_wildcard_placeholder", "A wildcard path takes no placeholders.", "Use one or the other.")
    if any(brace in PLACEHOLDER.sub("", path) for brace in "{}"):
        yield mistake("path_unclosed", "A brace has no partner.", "A placeholder is written '{name}'.")
    for name in names:
        if not name.isidentifier():
            hint = "A placeholder is written '{name}', and its name becomes a keyword argument."
            yield mistake("path_placeholder", f"The placeholder name {name!r} is no identifier.", hint)
    if path.count(":path}") > 1 or any(":path}" in one and len(placeholder_names(one)) > 1 for one in path.split("/")):
        hint = "Write one such placeholder, alone in its place between two slashes."
        yield mistake("path_placeholder_slashes", "Only one placeholder may take slashes, alone.", hint)
    if len(set(names)) < len(names):
        yield mistake("path_placeholder_repeated", "A placeholder name stands twice.", "Give each its own name.")
