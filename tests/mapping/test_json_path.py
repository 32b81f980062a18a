"""JSONPath: the short way to a top-level field is the long way's."""

from typing import Any

import jsonpath
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware.mapping.json_path import ABSENT, compile_lookup, compile_source, top_level_field

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(
    ["a", "b", "a b", "$", "é", "0"]
)
VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=2)
BODIES = st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=3) | st.dictionaries(NAMES, VALUES, max_size=3))
SPELLINGS = ["{}", "$.{}", "['{}']", '["{}"]', "$['{}']", '$["{}"]']


@given(NAMES, st.sampled_from(SPELLINGS), BODIES, st.booleans())
def test_every_spelling_of_a_field_finds_what_the_library_finds(  # B5
    name: str, spelling: str, body: dict[str, Any], is_there: bool
) -> None:
    source = spelling.format(name)
    if (field := top_level_field(source)) is None:
        return
    if is_there:
        body[field] = [1]

    assert compile_source(source)(body) == body.get(field, ABSENT)
    try:
        path = jsonpath.compile(source)
    except jsonpath.JSONPathError:
        return  # a control character in a quoted name, which RFC 9535 wants escaped
    values = path.findall(body)
    assert values == ([body[field]] if field in body else [])


@given(st.sampled_from(["$", "$.a.b", "$..a", "$.*", "$.a[*]", "$.a[0]", "$.a[1:]", "$['a','b']"]), BODIES)
def test_no_match_is_absent_one_is_its_value_and_several_are_a_list(source: str, body: dict[str, Any]) -> None:  # B5
    # By the letter of RFC 9535: the library lets an index find a field of that name, too.
    values = jsonpath.JSONPathEnvironment(strict=True).findall(source, body)

    found = compile_source(source)(body)

    if len(values) == 0:
        assert found is ABSENT
    else:
        assert found == (values[0] if len(values) == 1 else values)


STEPS = st.sampled_from(["a", "b", "é"]) | st.integers(-3, 3)
DOCUMENTS = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abé"), inner, max_size=3)
)


@st.composite
def ways(draw: st.DrawFn) -> tuple[Any, str]:
    """A document, and the path to a place that is more often than not in it."""
    document = draw(DOCUMENTS)
    place: Any = document
    path = ""
    for _ in range(draw(st.integers(0, 3))):
        steps: list[Any] = list(place) if isinstance(place, dict) else []
        if isinstance(place, list):
            steps = list(range(-len(place), len(place)))
        step = draw(st.sampled_from(steps) | STEPS if steps else STEPS)
        place = place[step] if step in steps else None
        path += f"[{step!r}]"
    return document, path


@given(ways())
def test_way_to_one_place_finds_what_the_library_finds(way: tuple[Any, str]) -> None:  # B5
    document, path = way
    values = jsonpath.findall(f"$['x']{path}", {"x": document})
    expected = values[0] if values else ABSENT

    assert compile_source(f"$['x']{path}")({"x": document}) == expected
    assert compile_lookup(f"${path}")(document) == expected
