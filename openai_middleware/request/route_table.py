"""Which endpoints match a method and a path, the most specific first."""

from collections.abc import Iterable
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

from openai_middleware.request.path_template import PathTemplate, placeholder_names

Target = TypeVar("Target")


class Match(NamedTuple, Generic[Target]):
    """What matched.

    Attributes:
        targets: The targets, the most specific first.
        path_params: The path parameters of that first one.
        is_routed_alike: Whether a router that goes by the decoded path finds the same.
    """

    targets: tuple[Target, ...]
    path_params: dict[str, str]
    is_routed_alike: bool = True


class _MethodTable(Generic[Target]):
    """The endpoints of one method."""

    def __init__(self) -> None:
        self.exact: dict[str, tuple[Target, ...]] = {}
        self.templates: dict[int, list[tuple[PathTemplate, Target]]] = {}
        self.templates_with_slashes: list[tuple[PathTemplate, Target]] = []
        self.wildcards: list[tuple[str, Target]] = []

    def add(self, path: str, target: Target) -> None:
        if path.endswith("*"):
            prefix = wildcard_prefix(path)
            self.wildcards.append((prefix, target))
            self.wildcards.sort(key=lambda wildcard: -len(wildcard[0]))
        elif placeholder_names(path):
            template = PathTemplate(path)
            same_length = self.templates.setdefault(path.count("/"), [])
            (self.templates_with_slashes if template.takes_slashes else same_length).append((template, target))
        else:
            self.exact[path] = (target,)

    def match(self, path: str) -> Match[Target] | None:
        targets = self.exact.get(path, ())
        path_params: dict[str, str] = {}
        if not targets:
            for template, target in chain(self.templates.get(path.count("/"), ()), self.templates_with_slashes):
                found = template.match(path)
                if found is not None:
                    path_params = path_params if targets else found
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

    def match(self, method: str, path: str) -> Match[Target] | None:
        """Look up an upper-case method and a path (see `RequestPath.segmented`)."""
        table = self._methods.get(method)
        return table.match(path) if table else None

    def allowed_methods(self, path: str) -> list[str]:
        """The methods for which the path matches something, sorted."""
        return sorted(method for method, table in self._methods.items() if table.match(path))


def wildcard_prefix(path: str) -> str:
    """What a path must start with, and go beyond, to match the wildcard path: `/api/` for `/api/*` and `/api*`."""
    prefix = path.removesuffix("*")
    return prefix if prefix.endswith("/") else prefix + "/"
