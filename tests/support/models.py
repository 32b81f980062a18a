"""What the package decides, decided again by plain models: short, slow, and written from the facts alone.

Properties and fuzz targets compare the two.
"""

import posixpath
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes


class Endpoint(NamedTuple):
    """An endpoint as it is configured."""

    method: str
    path: str
    is_forbidden: bool = False


class Found(NamedTuple):
    """An endpoint that matches, and the parameters that it takes out of the path."""

    endpoint: Endpoint
    params: dict[str, str]


# --- paths


def as_sent(raw_path: str) -> list[str]:
    """The segments of a path as a client separated them, each decoded."""
    return [unquote_to_bytes(segment).decode(errors="replace") for segment in raw_path.split("/")]


def as_decoded(raw_path: str) -> list[str]:
    """The segments of a path as a router has them that decodes first."""
    return unquote_to_bytes(raw_path).decode(errors="replace").split("/")


def as_normalised(path: str) -> str:
    """A decoded path without detours, as the standard library reads one on a disk. There, two first slashes stay."""
    return posixpath.normpath("/" + path.lstrip("/"))


def is_wildcard(configured: str) -> bool:
    """Whether a path stands for all that lies below it."""
    return configured.endswith("*")


def wildcard_prefix(configured: str) -> str:
    """What a path starts with that lies below a wildcard."""
    return configured.removesuffix("*").rstrip("/") + "/"


def params_of(configured: str, segments: Sequence[str]) -> dict[str, str] | None:
    """The parameters, or None where the path is another one. One placeholder to a segment; several take slashes."""
    if is_wildcard(configured):
        prefix, path = wildcard_prefix(configured), "/".join(segments)
        # A slash in a segment separates nothing, so that it cannot be one of the prefix.
        beginning = prefix.split("/")[:-1]
        is_below = list(segments[: len(beginning)]) == beginning and len(path) > len(prefix)
        return {} if is_below and len(segments) > len(beginning) else None
    patterns = configured.split("/")
    for index, pattern in enumerate(patterns):
        if pattern.endswith(":path}"):
            # It takes as many segments as the others leave.
            count = len(segments) - len(patterns) + 1
            taken = list(segments[index : index + count])
            if count < 1 or not all(taken):
                return None
            around = [*segments[:index], "x", *segments[index + count :]]
            found = params_of(configured.replace(":path}", "}"), around)
            return None if found is None else {**found, pattern[1 : -len(":path}")]: "/".join(taken)}
    if len(patterns) != len(segments):
        return None
    params = {}
    for pattern, segment in zip(patterns, segments, strict=True):
        before, brace, rest = pattern.partition("{")
        name, _, after = rest.partition("}")
        if not brace:
            if pattern != segment:
                return None
            continue
        value = segment[len(before) : len(segment) - len(after)]
        if not value or before + value + after != segment:
            return None
        params[name] = value
    return params


def shape_of(configured: str) -> str:
    """A path without the names of its placeholders."""
    parts = configured.split("{")
    return "{".join([parts[0], *(part[part.index(":" if ":path}" in part else "}") :] for part in parts[1:])])


def rank(configured: str) -> tuple[int, int]:
    """Where an endpoint stands among those that match: the smallest first, and of equals the one registered first."""
    if is_wildcard(configured):
        return 3, -len(wildcard_prefix(configured))
    if "{" not in configured:
        return 0, 0
    return (2 if ":path}" in configured else 1), 0


def find(endpoints: Iterable[Endpoint], method: str, segments: Sequence[str]) -> list[Found]:
    """All that matches, the most specific first. An exact path hides templates."""
    found = []
    for endpoint in endpoints:
        params = params_of(endpoint.path, segments) if endpoint.method == method else None
        if params is not None:
            found.append(Found(endpoint, params))
    found.sort(key=lambda match: rank(match.endpoint.path))
    if found and rank(found[0].endpoint.path) == (0, 0):
        found = [match for match in found if rank(match.endpoint.path)[0] in (0, 3)]
    return found


# --- FORBID


def is_forbidden(endpoints: Sequence[Endpoint], method: str, raw_path: str) -> bool:
    """Whether a request is forbidden: as it was sent, or without its detours."""
    methods = ["HEAD", "GET"] if method == "HEAD" else [method]
    normal = _normalised_endpoints(tuple(endpoints))
    path = as_normalised("/".join(as_decoded(raw_path))).split("/")
    for name in methods:
        for match in (find(endpoints, name, as_sent(raw_path))[:1], find(normal, name, path)[:1]):
            if match and match[0].endpoint.is_forbidden:
                return True
    return False


@cache
def _normalised_endpoints(endpoints: tuple[Endpoint, ...]) -> list[Endpoint]:
    """The endpoints by their paths without detours. Where two are the same, one that forbids makes both forbid."""
    normal = []
    for endpoint in endpoints:
        if is_wildcard(endpoint.path):
            below = as_normalised(wildcard_prefix(endpoint.path))
            normal.append(endpoint._replace(path=below.rstrip("/") + "/*"))
        else:
            normal.append(endpoint._replace(path=as_normalised(endpoint.path)))
    forbidden = {(endpoint.method, shape_of(endpoint.path)) for endpoint in normal if endpoint.is_forbidden}
    return [one._replace(is_forbidden=(one.method, shape_of(one.path)) in forbidden) for one in normal]
