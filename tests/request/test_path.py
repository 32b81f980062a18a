"""How the path of a request is read: decoded segment by segment, relative to the mount, and normalised."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware.request.path import ENCODED_SLASH, RequestPath, normalised, with_slashes

SEGMENTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5)
PATHS = st.text(st.sampled_from("/.a%2é"), max_size=12).map(lambda path: f"/{path}")


def read(raw: str, root_path: str = "") -> RequestPath:
    return RequestPath.of(unquote(raw), raw.encode(), root_path)


def values(path: RequestPath) -> list[str]:
    return [with_slashes(segment) for segment in path.segmented.split("/")[1:]]


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        ("/%61dmin", ["admin"]),
        ("/a%2Fb/c", ["a/b", "c"]),
        ("/a%2fb", ["a/b"]),
        ("/a+b", ["a+b"]),
        ("/%zz%2F", ["%zz/"]),
        ("/%FF%2F", ["\ufffd/"]),
        ("/%2525", ["%25"]),
        ("/%252F", ["%2F"]),
        ("/%2F%252F", ["/%2F"]),
        ("/%E2%82%AC%2F%20", ["€/ "]),
        ("/a//b", ["a", "", "b"]),
        ("/%2F", ["/"]),
        ("/", [""]),
    ],
)
def test_segments_are_split_on_the_raw_path_and_decoded_one_by_one(raw: str, segments: list[str]) -> None:  # M9
    assert values(read(raw)) == segments
    assert read(raw).decoded == unquote(raw)


@given(SEGMENTS)
def test_any_percent_encoded_segments_are_read_back(segments: list[str]) -> None:  # M9
    raw = "".join(f"/{quote(segment, safe='')}" for segment in segments)

    assert values(read(raw)) == segments
    assert read(raw).decoded == "/" + "/".join(segments)


@given(SEGMENTS)
def test_any_percent_encoded_segments_are_read_back_below_a_mount(segments: list[str]) -> None:  # M9 M10
    raw = "/api/v1" + "".join(f"/{quote(segment, safe='')}" for segment in segments)

    assert values(read(raw, "/api/v1")) == segments
    assert read(raw, "/api/v1").decoded == "/" + "/".join(segments)


@given(st.binary().map(lambda raw: b"/" + raw.replace(b"?", b"")), st.booleans())
def test_every_byte_of_a_raw_path_is_taken(raw: bytes, has_raw_path: bool) -> None:  # M9
    whole = unquote(raw.decode("latin-1"), encoding="latin-1").encode("latin-1").decode(errors="replace")

    path = RequestPath.of(whole, raw if has_raw_path else None, "")

    assert path.decoded == whole
    assert with_slashes(path.segmented) == whole


def test_without_a_raw_path_the_decoded_one_is_split() -> None:  # M9
    assert values(RequestPath.of("/a/b", None, "")) == ["a", "b"]


def test_a_raw_path_that_an_outer_middleware_left_behind_is_not_used() -> None:  # M9
    assert values(RequestPath.of("/new/b", b"/old/a%2Fb", "")) == ["new", "b"]


def test_a_query_in_the_raw_path_is_cut_off() -> None:  # Q2
    assert values(RequestPath.of("/a/b", b"/a%2Fb?c=%2F", "")) == ["a/b"]


@pytest.mark.parametrize(
    ("raw", "root_path", "decoded"),
    [
        ("/api/x", "/api", "/x"),
        ("/api/x%2Fy", "/api", "/x/y"),
        ("/api", "/api", "/"),
        ("/api/", "/api", "/"),
        ("/apix", "/api", "/apix"),
        ("/x", "/api", "/x"),
        ("/a b/x", "/a b", "/x"),
        ("/api//x", "/api", "//x"),
    ],
)
def test_paths_are_relative_to_the_mount(raw: str, root_path: str, decoded: str) -> None:  # M10
    assert read(raw, root_path).decoded == decoded
    assert with_slashes(read(raw, root_path).segmented) == decoded


@pytest.mark.parametrize(
    ("path", "shortest"),
    [
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b"),
        ("//a///b//", "/a/b"),
        ("/./a/./b/.", "/a/b"),
        ("/x/../a/y/../b", "/a/b"),
        ("/x//../a/b", "/a/b"),
        ("/../../a/b", "/a/b"),
        ("/a/b/x/..", "/a/b"),
        ("/.a/..b/c..", "/.a/..b/c.."),
        ("/...", "/..."),
        ("/", "/"),
        ("/..", "/"),
        ("", "/"),
    ],
)
def test_normalising_removes_what_means_nothing(path: str, shortest: str) -> None:  # M13
    assert normalised(path) == shortest


@given(PATHS)
def test_normalising_twice_changes_nothing_more(path: str) -> None:  # M13
    once = normalised(path)

    assert normalised(once) == once
    assert once == "/" or not once.endswith("/")
    assert not {"", ".", ".."} & set(once.split("/")[1:]) or once == "/"


@given(PATHS, PATHS)
def test_a_detour_never_changes_the_normalised_path(path: str, detour: str) -> None:  # M13
    there_and_back = "/x" + normalised(detour).rstrip("/") + "/.." * normalised(detour + "/x").count("/")

    assert normalised(f"{there_and_back}/{path}") == normalised(path)


def test_raw_path_without_the_mount_keeps_its_encoded_slash() -> None:  # M9 M10
    """So a proxy that strips a prefix, and Django's FORCE_SCRIPT_NAME, leave it."""
    path = RequestPath.of("/api/v1/a/b", b"/v1/a%2Fb", "/api")

    assert path == RequestPath(f"/v1/a{ENCODED_SLASH}b", "/v1/a/b")
