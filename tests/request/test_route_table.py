"""Which endpoints match, and in which order. The middleware's own view of it is in test_frontend.py."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_middleware.request.route_table import Match, RouteTable, wildcard_prefix
from tests.support.models import Endpoint, find

# Different in shape, and many of them match the same paths.
PATHS = [
    *("/", "/a", "/a/b", "/a/", "/a/b/c", "/{x}", "/a/{x}", "/{x}/b", "/{x}/{y}", "/a-{x}", "/a/{x}/c"),
    *("/a/{x:path}", "/{x:path}/c"),
]
WILDCARDS = ["/*", "/a/*", "/a/b/*", "/b*"]
REQUESTS = st.lists(st.sampled_from(["a", "b", "c", "", "a-1"]), min_size=1, max_size=4).map("/".join).map("/{}".format)


def table(*paths: str, method: str = "POST") -> RouteTable[str]:
    return RouteTable((method, path, path) for path in paths)


def targets(routes: RouteTable[str], path: str, method: str = "POST") -> list[str]:
    match = routes.match(method, path)
    return list(match.targets) if match else []


@given(st.permutations(PATHS + WILDCARDS), st.integers(0, len(PATHS + WILDCARDS)), REQUESTS)
@settings(max_examples=200)
def test_everything_that_matches_is_found_in_order_of_priority(  # M1 M2
    shuffled: list[str], count: int, path: str
) -> None:
    registered = shuffled[:count]
    expected = find([Endpoint("POST", configured) for configured in registered], "POST", path.split("/"))

    assert targets(table(*registered), path) == [found.endpoint.path for found in expected]
    if (match := table(*registered).match("POST", path)) is not None:
        assert match.path_params == expected[0].params


@pytest.mark.parametrize("order", list(permutations(["/a/b", "/a/{x}", "/a/*"])))
def test_exact_beats_template_beats_wildcard_in_any_order_of_registration(order: tuple[str, ...]) -> None:  # M1 M2
    assert targets(table(*order), "/a/b") == ["/a/b", "/a/*"]
    assert targets(table(*order), "/a/c") == ["/a/{x}", "/a/*"]
    assert targets(table(*order), "/a/c/d") == ["/a/*"]


@pytest.mark.parametrize("order", list(permutations(["/*", "/a/*", "/a/b/*"])))
def test_the_longer_wildcard_comes_first(order: tuple[str, ...]) -> None:  # M1
    assert targets(table(*order), "/a/b/c") == ["/a/b/*", "/a/*", "/*"]


@pytest.mark.parametrize("order", list(permutations(["/a/{x}", "/{y}/b", "/{p}/{q}"])))
def test_among_templates_the_first_registered_comes_first(order: tuple[str, ...]) -> None:  # M1 M2
    assert targets(table(*order), "/a/b") == list(order)


@pytest.mark.parametrize("order", list(permutations(["/m/{x:path}", "/m/{y}", "/m/{z}/p", "/*"])))
def test_templates_that_take_slashes_come_after_the_others(order: tuple[str, ...]) -> None:  # M1
    assert targets(table(*order), "/m/a") == ["/m/{y}", "/m/{x:path}", "/*"]
    assert targets(table(*order), "/m/a/p") == ["/m/{z}/p", "/m/{x:path}", "/*"]
    assert targets(table(*order), "/m/a/b") == ["/m/{x:path}", "/*"]


def test_the_parameters_are_those_of_the_top_match() -> None:  # M3
    assert table("/a/{x}", "/{y}/b", "/*").match("POST", "/a/b") == Match(("/a/{x}", "/{y}/b", "/*"), {"x": "b"})
    assert table("/{y}/b", "/a/{x}", "/*").match("POST", "/a/b") == Match(("/{y}/b", "/a/{x}", "/*"), {"y": "a"})
    assert table("/a/b", "/a/{x}", "/*").match("POST", "/a/b") == Match(("/a/b", "/*"), {})
    assert table("/*").match("POST", "/a/b") == Match(("/*",), {})


def test_another_method_does_not_match() -> None:  # M4 M12
    routes = RouteTable([("GET", "/a", "get"), ("POST", "/a", "post"), ("DELETE", "/{x}", "delete")])

    assert targets(routes, "/a", "GET") == ["get"]
    assert targets(routes, "/a", "POST") == ["post"]
    assert targets(routes, "/a", "HEAD") == []
    assert targets(routes, "/a", "OPTIONS") == []
    assert routes.allowed_methods("/a") == ["DELETE", "GET", "POST"]
    assert routes.allowed_methods("/b") == ["DELETE"]
    assert routes.allowed_methods("/a/b") == []


@pytest.mark.parametrize(("path", "prefix"), [("/api/*", "/api/"), ("/api*", "/api/"), ("/*", "/"), ("/a/b*", "/a/b/")])
def test_a_wildcard_stands_for_what_lies_below(path: str, prefix: str) -> None:  # M6
    assert wildcard_prefix(path) == prefix


def test_an_empty_table_matches_nothing() -> None:
    assert targets(table(), "/") == []
    assert table().allowed_methods("/") == []
