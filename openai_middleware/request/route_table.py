"""Which endpoints match a method and a path, the most specific first."""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeVar

import msgspec

from openai_middleware.request.path import ENCODED_SLASH, with_slashes
from openai_middleware.request.path_template import PathTemplate, placeholder_names

Target = TypeVar("Target")


class Match(msgspec.Struct, Generic[Target], frozen=True):
    """What matched.

    Attributes:
        targets: The targets, the most specific first.
        path_params: The path parameters of that first one; not to be changed.
        is_routed_alike: Whether a router that goes by the decoded path finds the same.
    """

    targets: tuple[Target, ...]
    path_params: dict[str, str]
    is_routed_alike: bool = True


class _Templates(Generic[Target]):
    """The templates of one method that have one number of segments."""

    def __init__(self) -> None:
        self._count = 0
        # By the places of their literal segments, and these themselves: hundreds are told apart by a look-up or two.
        self._by_literals: dict[tuple[int, ...], tuple[Callable[[Sequence[str]], Any], dict[Any, list[Any]]]] = {}
        self._others: list[tuple[int, PathTemplate, Target]] = []

    def add(self, path: str, template: PathTemplate, target: Target) -> None:
        self._count += 1
        places = template.places
        if places is None:
            self._others.append((self._count, template, target))
            return
        segments = path.split("/")
        literals = tuple(place for place in range(len(segments)) if place not in places)
        pick, found = self._by_literals.setdefault(literals, (itemgetter(*literals), {}))
        named = tuple(zip(template.names, places, strict=True))
        found.setdefault(pick(segments), []).append((self._count, named, target))

    def matches(self, path: str, segments: Sequence[str]) -> list[tuple[int, dict[str, str], Target]]:
        """Those that match, in their order: the place of each among all, its path parameters, and its target."""
        found: list[tuple[int, dict[str, str], Target]] = []
        for pick, by_literals in self._by_literals.values():
            for order, named, target in by_literals.get(pick(segments), ()):
                path_params = {name: segments[place] for name, place in named}
                if all(path_params.values()):
                    found.append((order, path_params, target))
        if ENCODED_SLASH in path:
            for _, path_params, _ in found:
                path_params |= {name: with_slashes(value) for name, value in path_params.items()}
        for order, template, target in self._others:
            if path.startswith(template.start) and (matched := template.match(path)) is not None:
                found.append((order, matched, target))
        if len(found) > 1:
            found.sort(key=itemgetter(0))
        return found


class _MethodTable(Generic[Target]):
    """The endpoints of one method."""

    def __init__(self) -> None:
        self.exact: dict[str, tuple[Target, ...]] = {}
        self.templates: dict[int, _Templates[Target]] = {}
        self.templates_with_slashes: list[tuple[PathTemplate, Target]] = []
        self.wildcards: list[tuple[str, Target]] = []

    def add(self, path: str, target: Target) -> None:
        if path.endswith("*"):
            prefix = wildcard_prefix(path)
            self.wildcards.append((prefix, target))
            self.wildcards.sort(key=lambda wildcard: -len(wildcard[0]))
        elif placeholder_names(path):
            template = PathTemplate(path)
            if template.takes_slashes:
                self.templates_with_slashes.append((template, target))
            else:
                self.templates.setdefault(path.count("/") + 1, _Templates()).add(path, template, target)
        else:
            self.exact[path] = (target,)

    def match(self, path: str) -> Match[Target] | None:
        targets = self.exact.get(path, ())
        path_params: dict[str, str] = {}
        if not targets:
            segments = path.split("/")
            templates = self.templates.get(len(segments))
            for _, found, target in templates.matches(path, segments) if templates is not None else ():
                path_params = path_params if targets else found
                targets += (target,)
            for template, target in self.templates_with_slashes:
                if path.startswith(template.start) and (matched := template.match(path)) is not None:
                    path_params = path_params if targets else matched
                    targets += (target,)
        for prefix, target in self.wildcards:
            if path.startswith(prefix) and len(path) > len(prefix):
                targets += (target,)
        return Match(targets, path_params) if targets else None


class RouteTable(Generic[Target]):
    """An immutable table of endpoints, looked up by method and path.

    Exact paths come before templates, templates before wildcards; a longer wildcard before a shorter one, a template
    registered earlier before a later one, and one whose placeholders take slashes after the others. An exact path hides
    templates; all else that matches is found.
    """

    def __init__(self, endpoints: Iterable[tuple[str, str, Target]]) -> None:
        """Build the table from `(METHOD, path, target)`, in the order of registration."""
        self._methods: dict[str, _MethodTable[Target]] = {}
        for method, path, target in endpoints:
            self._methods.setdefault(method, _MethodTable()).add(path, target)
        self._exact = {
            (method, path): table.match(path) for method, table in self._methods.items() for path in table.exact
        }

    def match(self, method: str, path: str) -> Match[Target] | None:
        """Look up an upper-case method and a path (see `RequestPath.segmented`)."""
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact
        table = self._methods.get(method)
        return table.match(path) if table else None

    def allowed_methods(self, path: str) -> list[str]:
        """The methods for which the path matches something, sorted."""
        return sorted(method for method, table in self._methods.items() if table.match(path))


def wildcard_prefix(path: str) -> str:
    """What a path must start with, and go beyond, to match the wildcard path: `/api/` for `/api/*` and `/api*`."""
    prefix = path.removesuffix("*")
    return prefix if prefix.endswith("/") else prefix + "/"
