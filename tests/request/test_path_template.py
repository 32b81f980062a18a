"""Path templates, and what is wrong with a path."""

import re
import string
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware.request.path import RequestPath
from openai_middleware.request.path_template import PathTemplate, path_mistakes, placeholder_names, shape_of

# What regular expressions, format strings and `parse` give a meaning.
SPECIAL = ".^$+?()[]|\\-#&~!:%<>=, \t\n\r\v\f_dwsSnxXlbeg"
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/{}*")
LITERALS = st.text(st.sampled_from(SPECIAL) | CHARACTERS, max_size=8)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True) | st.sampled_from(["_id", "größe", "class", "x1"])


def sent(raw: str) -> str:
    return RequestPath.of(unquote(raw), raw.encode(), "").segmented


@given(st.lists(st.tuples(LITERALS, NAMES, LITERALS, VALUES), min_size=1, max_size=4, unique_by=lambda part: part[1]))
def test_a_template_matches_its_own_percent_encoded_path_and_gives_the_values_back(  # M7 M9
    parts: list[tuple[str, str, str, str]],
) -> None:
    path = "".join(f"/{before}{{{name}}}{after}" for before, name, after, _ in parts)
    raw = "".join(f"/{quote(before + value + after, safe='')}" for before, _, after, value in parts)

    assert list(path_mistakes(path)) == []
    assert PathTemplate(path).match(sent(raw)) == {name: value for _, name, _, value in parts}


@given(LITERALS, LITERALS, VALUES)
def test_the_literal_parts_of_a_template_are_literal(literal: str, other: str, value: str) -> None:  # M4 M7
    template = PathTemplate(f"/{literal}/{{x}}")

    found = template.match(sent(f"/{quote(other, safe='')}/{quote(value, safe='')}"))

    assert (found is not None) is (literal == other)


@pytest.mark.parametrize("special", sorted(set(string.punctuation + string.whitespace) - set("/{}*")))
def test_no_character_of_a_literal_part_has_a_meaning(special: str) -> None:  # M5 M7
    template = PathTemplate(f"/a{special}b/{{x}}")

    assert template.match(sent(f"/a{quote(special, safe='')}b/1")) == {"x": "1"}
    for other in ("", "aa", "c", special * 2):
        assert template.match(sent(f"/a{quote(other, safe='')}b/1")) is None


@pytest.mark.parametrize(
    ("path", "raw", "params"),
    [
        ("/{x}", "/1", {"x": "1"}),
        ("/{x}", "/", None),
        ("/{x}", "/1/", None),
        ("/{x}", "/1/2", None),
        ("/{x}", "//", None),
        ("/{x}/b", "//b", None),
        ("/a/{x}/b", "/a//b", None),
        ("/{x}", "/a%2Fb", {"x": "a/b"}),
        ("/{x}", "/%2F", {"x": "/"}),
        ("/{x}", "/%2F%2F", {"x": "//"}),
        ("/{x}", "/a+b%20c", {"x": "a+b c"}),
        ("/{x}", "/%zz", {"x": "%zz"}),
        ("/{x}", "/%FF", {"x": "\ufffd"}),
        ("/{x}", "/%2525", {"x": "%25"}),
        ("/{x}", "/%0A", {"x": "\n"}),
        ("/{x}", "/7", {"x": "7"}),
        ("/a/{x}", "/A/1", None),
        ("/f-{x}.json", "/f-1.json", {"x": "1"}),
        ("/f-{x}.json", "/f-.json", None),
        ("/f-{x}.json", "/f-1xjson", None),
        ("/f-{x}.json", "/f-1.json.json", {"x": "1.json"}),
        ("/f-{x}.json", "/f-a%2Fb.json", {"x": "a/b"}),
        ("/{x}-{y}", "/1-2", {"x": "1", "y": "2"}),
        ("/{x}/{y}", "/1/2", {"x": "1", "y": "2"}),
        ("/{_id}/{__}", "/1/2", {"_id": "1", "__": "2"}),
        ("/{a_b}/{a__b}", "/1/2", {"a_b": "1", "a__b": "2"}),
    ],
)
def test_a_parameter_takes_one_segment_or_a_part_of_one(  # M7 M9
    path: str, raw: str, params: dict[str, str] | None
) -> None:
    assert PathTemplate(path).match(sent(raw)) == params


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("/m/a", "a"),
        ("/m/org/name", "org/name"),
        ("/m/org%2Fname", "org/name"),
        ("/m/a/b%2Fc/d", "a/b/c/d"),
        ("/m/", None),
        ("/m//", None),
        ("/m//a", None),
        ("/m/a/", None),
        ("/m/a//b", None),
        ("/x/a", None),
    ],
)
def test_a_parameter_of_type_path_takes_several_segments(raw: str, value: str | None) -> None:
    assert PathTemplate("/m/{x:path}").match(sent(raw)) == (None if value is None else {"x": value})


@given(
    st.lists(st.sampled_from(["", "-", "--", "a", ".json"]), min_size=3, max_size=5),
    st.text("a-.json", max_size=14),
)
def test_several_parameters_in_a_segment_take_as_much_as_those_after_them_leave(  # M7
    literals: list[str], segment: str
) -> None:
    names = [f"x{index}" for index in range(len(literals) - 1)]
    template = literals[0] + "".join(f"{{{name}}}{after}" for name, after in zip(names, literals[1:], strict=True))
    pattern = "(.+)".join(map(re.escape, literals))
    found = re.fullmatch(pattern, segment)

    expected = dict(zip(names, found.groups(), strict=True)) if found else None
    assert PathTemplate(f"/{template}").match(f"/{segment}") == expected


def test_a_long_segment_costs_no_more_than_its_length() -> None:  # M7
    template = PathTemplate("/reports/{year}-{month}-{day}.json")

    # A pattern that tried every way to divide it would take years.
    assert template.match("/reports/" + "-" * 200_000 + ".jso") is None


def test_templates_of_one_shape_differ_in_names_alone() -> None:  # M8
    assert shape_of("/a/{x}/f-{y}") == shape_of("/a/{other}/f-{_}")
    assert shape_of("/a/{x}/f-{y}") != shape_of("/a/{x}/g-{y}")
    assert shape_of("/a/{x}") != shape_of("/A/{x}")
    assert shape_of("/a/{x:path}") == shape_of("/a/{y:path}") != shape_of("/a/{x}")


def test_placeholder_names_are_in_order() -> None:
    assert placeholder_names("/{b}/x/{a}.{c}") == ("b", "a", "c")


@pytest.mark.parametrize(
    "path",
    ["/", "/a", "/a/", "/a//b", "/a b", "/a?b#c", "/a%2Fb", "/*", "/a*", "/a/*", "/{x}", "/{x}{y}", "/é/{größe}"],
)
def test_good_paths_have_no_mistakes(path: str) -> None:  # M5 M6 M7 M8
    assert list(path_mistakes(path)) == []


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("/*/a", ["path_wildcard"]),
        ("/a/**", ["path_wildcard"]),
        ("/*/*", ["path_wildcard"]),
        ("/{x}/*", ["path_wildcard_placeholder"]),
        ("/{x}*", ["path_wildcard_placeholder"]),
        ("/{}", ["path_placeholder"]),
        ("/{1}", ["path_placeholder"]),
        ("/{x y}", ["path_placeholder"]),
        ("/{ x}", ["path_placeholder"]),
        ("/{x:int}", ["path_placeholder"]),
        ("/{x!r}", ["path_placeholder"]),
        ("/{x.y}", ["path_placeholder"]),
        ("/{:path}", ["path_placeholder"]),
        ("/{x:path}/*", ["path_wildcard_placeholder"]),
        ("/{x}/{x:path}", ["path_placeholder_repeated"]),
        ("/{x-y}", ["path_placeholder"]),
        ("/{a}/{a}", ["path_placeholder_repeated"]),
        ("/{x", ["path_unclosed"]),
        ("/x}", ["path_unclosed"]),
        ("/{{x}}", ["path_unclosed"]),
        ("/{x}/{y", ["path_unclosed"]),
        (
            "/*/{}/{1}/{1}/{x",
            ["path_wildcard", "path_unclosed", *["path_placeholder"] * 3, "path_placeholder_repeated"],
        ),
    ],
)
def test_every_mistake_in_a_path_is_told(path: str, codes: list[str]) -> None:  # M6 M8
    mistakes = list(path_mistakes(path))

    assert [mistake.code for mistake in mistakes] == codes
    assert {mistake.value for mistake in mistakes} == {path}


@given(st.text(st.sampled_from("/{}*ax1 "), max_size=10))
def test_what_has_no_mistake_compiles(path: str) -> None:  # M8
    path = f"/{path}"
    if not list(path_mistakes(path)):
        PathTemplate(path).match("/a/x")
