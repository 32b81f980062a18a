"""Rules from one JSON object to another: how they merge, what they find, and what they leave alone."""

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware import APIHandlerConfig, OpenAIMiddleware
from openai_middleware.answer.response_mapping import MissingFieldError, ResponseMapping
from openai_middleware.errors import ConfigurationError, UnprocessableEntityError
from openai_middleware.mapping.json_codec import UNDECODABLE
from openai_middleware.mapping.json_path import ABSENT, compile_source
from openai_middleware.mapping.rule import BodyMapping, merged
from openai_middleware.request.body import RequestMapping
from tests.support.drivers import App, endpoint, mappings, request

NAMES = st.sampled_from("abcd")
SOURCES = st.sampled_from(["$.a", "a", "$['a']", "$.b", "$.c", "$.d"])
RULES = st.builds(BodyMapping, SOURCES, NAMES, st.booleans())
SCOPES = st.lists(RULES, max_size=4, unique_by=(lambda rule: rule.source_path, lambda rule: rule.destination_path))
TOP_LEVEL_RULES = st.lists(
    st.tuples(NAMES, NAMES).flatmap(
        # Half of the rules rename nothing, as the built-in ones.
        lambda names: st.builds(BodyMapping, st.just(f"$.{names[0]}"), st.sampled_from(names), st.booleans())
    ),
    max_size=4,
    unique_by=lambda rule: rule.destination_path,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("abcdef"), JSON)


def field_of(rule: BodyMapping) -> str:
    return rule.source_path.removeprefix("$.")


def share_an_end(one: BodyMapping, other: BodyMapping) -> bool:
    return one.source_path == other.source_path or one.destination_path == other.destination_path


# --- merging


@given(SCOPES, SCOPES)
def test_inherited_rules_stay_where_no_specific_one_shares_their_source_or_destination(
    inherited: list[BodyMapping], specific: list[BodyMapping]
) -> None:  # H1
    kept = [rule for rule in inherited if not any(share_an_end(rule, other) for other in specific)]

    assert merged(inherited, specific) == [*kept, *specific]


@given(st.lists(SCOPES, min_size=3, max_size=5))
def test_any_chain_of_scopes_merges_without_two_rules_for_one_source_or_one_destination(
    scopes: list[list[BodyMapping]],
) -> None:  # H3
    rules: list[BodyMapping] = []
    for scope in scopes:
        rules = merged(rules, scope)

    assert rules[len(rules) - len(scopes[-1]) :] == scopes[-1]
    assert len({rule.source_path for rule in rules}) == len({rule.destination_path for rule in rules}) == len(rules)


def chain(app: App, *, takes: Iterable[Any] = (), gives: Iterable[Any] = ()) -> OpenAIMiddleware:
    """The middleware with `/*`, `/a/*` and `/a/run`, which get one set of rules each, as far as there are any."""
    config = APIHandlerConfig()
    takes, gives = list(takes), list(gives)
    for index, path in enumerate(["/*", "/a/*", "/a/run"]):
        config.add_endpoint_handler(
            path,
            input_body_mappings=mappings(*takes[index]) if takes[index:] else None,
            output_body_mappings=mappings(*gives[index]) if gives[index:] else None,
        )
    return OpenAIMiddleware(app, config=config)


MERGED = [
    pytest.param([[("$.x", "p")], [("$.y", "q")], [("$.z", "r")]], {"p": 1, "q": 2, "r": 3}, id="disjoint rules join"),
    pytest.param([[("$.x", "p")], [("$.y", "p")]], {"p": 2}, id="same destination"),
    pytest.param([[("$.x", "p")], [("$.x", "q")]], {"q": 1}, id="same source"),
    pytest.param([[("x", "p")], [("$.x", "q")]], {"p": 1, "q": 1}, id="sources are compared as written"),
    pytest.param([[("$.none", "p", True)], [("$.none", "p")]], {}, id="the specific rule is optional"),
    pytest.param(
        [[("$.x", "p"), ("$.y", "q")], [("$.y", "p"), ("$.x", "z")]], {"p": 2, "z": 1}, id="swapped destinations"
    ),
    pytest.param(
        [[("$.x", "p"), ("$.y", "q")], [("$.x", "q"), ("$.y", "p")], [("$.x", "p"), ("$.y", "q")]],
        {"p": 1, "q": 2},
        id="swapped twice",
    ),
    pytest.param(
        [[("$.x", "p"), ("$.y", "q"), ("$.z", "r")], [("$.y", "r"), ("$.z", "p")], [("$.x", "r")]],
        {"p": 3, "r": 1},
        id="each level replaces something",
    ),
]


@pytest.mark.parametrize(("levels", "expected"), MERGED)
async def test_input_rules_merge_along_wildcards(levels: list[Any], expected: dict[str, int]) -> None:  # H1 H3
    app = App()

    await request(chain(app, takes=levels), "POST", "/a/run", {"x": 1, "y": 2, "z": 3})

    assert app.kwargs == expected


@pytest.mark.parametrize(("levels", "expected"), MERGED)
async def test_output_rules_merge_along_wildcards(levels: list[Any], expected: dict[str, int]) -> None:  # H1 H3
    app = App({"x": 1, "y": 2, "z": 3})

    assert (await request(chain(app, gives=levels), "POST", "/a/run")).json == expected


async def test_mandatory_rule_of_a_wildcard_holds_for_an_endpoint_without_mappings() -> None:  # H2
    app = App({"y": 1})
    middleware = chain(app, takes=[[("$.x", "x", True)]], gives=[[("$.y", "y", True)]])

    assert (await request(middleware, "POST", "/a/run", {"y": 1})).error["param"] == "x"
    assert not app.is_called
    assert (await request(middleware, "POST", "/a/run", {"x": 1})).json == {"y": 1}
    app.answer = {}
    assert (await request(middleware, "POST", "/a/run", {"x": 1})).error["param"] == "y"


async def test_specific_mandatory_rule_replaces_an_optional_one_of_a_wildcard() -> None:  # H1
    app = App()

    sent = await request(chain(app, takes=[[("$.x", "p")], [("$.y", "p", True)]]), "POST", "/a/run", {"x": 1})

    assert (sent.status, sent.error["param"]) == (422, "y")


# --- sources

FOUND = [
    ("$.a", {"a": 1}, 1),
    ("a", {"a": 1}, 1),
    ("$['x y']", {"x y": 1}, 1),
    ('$["x y"]', {"x y": 1}, 1),
    ("$.é", {"é": 1}, 1),
    ("$['']", {"": 1}, 1),
    ("$['a\"b']", {'a"b': 1}, 1),
    (r"$['a\'b']", {"a'b": 1}, 1),
    ("$.a.b", {"a": {"b": 1}}, 1),
    ("message.content", {"message": {"content": "hi"}}, "hi"),
    ("$.a.b", {"a": [{"b": 1}]}, ABSENT),
    ("$.a.b", {"a": "text"}, ABSENT),
    ("$.a.b", {"a": {"b": None}}, None),
    ("$.a", {}, ABSENT),
    ("$.a", {"a": []}, []),
    ("$.a[0]", {"a": [1, 2]}, 1),
    ("$.a[-1]", {"a": [1, 2]}, 2),
    ("$.a[5]", {"a": [1, 2]}, ABSENT),
    ("$.a[*]", {"a": [1, 2]}, [1, 2]),
    ("$.a[*]", {"a": [1]}, 1),
    ("$.a[*]", {"a": []}, ABSENT),
    ("$.a[*]", {"a": [[1, 2]]}, [1, 2]),
    ("$.a[1:]", {"a": [1, 2, 3]}, [2, 3]),
    ("$.a[::2]", {"a": [1, 2, 3]}, [1, 3]),
    ("$.a[::-1]", {"a": [1, 2]}, [2, 1]),
    ("$['a', 'b']", {"a": 1, "b": 2, "c": 3}, [1, 2]),
    ("$.a[0, 2]", {"a": [1, 2, 3]}, [1, 3]),
    ("$.*", {"a": 1, "b": 2}, [1, 2]),
    ("$..id", {"id": 1, "a": {"id": 2}, "b": [{"id": 3}]}, [1, 2, 3]),
    ("$..id", {"a": {"id": 2}}, 2),
    ("$.a[?@.role == 'user'].text", {"a": [{"role": "user", "text": "hi"}, {"role": "tool", "text": "no"}]}, "hi"),
    ("$.a[?@.n > 1]", {"a": [{"n": 1}, {"n": 2}, {"n": 3}]}, [{"n": 2}, {"n": 3}]),
    ("$.a[?length(@) > 1]", {"a": ["x", "yy", 3]}, "yy"),
    ("$", {"a": 1}, {"a": 1}),
    ("$", {}, {}),
]


@pytest.mark.parametrize(("source", "body", "expected"), FOUND)
async def test_source_finds_nothing_one_value_or_several_as_a_list(source: str, body: Any, expected: Any) -> None:  # B5
    app = App()

    await request(endpoint(app, takes=[(source, "found")]), "POST", "/run", body)

    assert app.kwargs == ({} if expected is ABSENT else {"found": expected})


@pytest.mark.parametrize(("source", "body", "expected"), FOUND)
async def test_source_finds_the_same_in_an_answer(source: str, body: Any, expected: Any) -> None:  # B5
    sent = await request(endpoint(App(body), gives=[(source, "found")]), "POST", "/run")

    assert sent.json == ({} if expected is ABSENT else {"found": expected})


@pytest.mark.parametrize(
    "source",
    [
        *("$.", "$[", "a b", "..", "$.a..", "[0", "$['a'", "$.a[?]", "$.a[?@.b ==]", "$[?nope(@)]", "@.a", "^"),
        *("$[1e5]", "$.a[?@.b =~ /(/]", "$[99999999999999999999]", "$.a,b", "$.0"),
    ],
)
def test_source_that_is_no_path_is_a_configuration_error(source: str) -> None:  # B5
    with pytest.raises(ConfigurationError) as caught:
        BodyMapping(source, "found")

    [mistake] = caught.value.mistakes
    assert (mistake.code, mistake.value) == ("source_path_invalid", source)


@pytest.mark.parametrize(
    ("source", "destination", "code"),
    [("", "a", "source_path_empty"), ("$.a", "", "destination_path_empty"), ("", "", "source_path_empty")],
)
def test_source_and_destination_may_not_be_empty(source: str, destination: str, code: str) -> None:  # B6
    with pytest.raises(ConfigurationError) as caught:
        BodyMapping(source, destination)

    assert caught.value.mistakes[0].code == code


TOKENS = [
    *("$", ".", "..", "[", "]", "(", ")", "*", "?", "@", ":", ",", "'", '"', "==", "<", "&&", "!", "|", "~", "^", "#"),
    *("a", "b", "é", "0", "-1", "1e5", "'a'", "=~", "/a/", "length(", "match(", "null", "\\"),
]


@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=7).map("".join), OBJECTS)
def test_any_text_is_refused_as_a_source_or_searches_any_object(source: str, body: dict[str, Any]) -> None:  # B5
    try:
        find = compile_source(source)
    except ConfigurationError:
        return
    find(body)


@given(SCOPES, OBJECTS)
def test_kwargs_are_the_mapped_fields_that_are_there(rules: list[BodyMapping], body: dict[str, Any]) -> None:  # B2 B3
    fields = {rule: "a" if "a" in rule.source_path else field_of(rule) for rule in rules}
    missing = [fields[rule] for rule in rules if rule.mandatory and fields[rule] not in body]
    mapping = RequestMapping(rules)

    if missing:
        with pytest.raises(UnprocessableEntityError) as caught:
            mapping.extract(body)
        assert caught.value.param == missing[0]
        assert all(f"'{field}'" in str(caught.value) for field in missing)
    else:
        assert mapping.extract(body) == {
            rule.destination_path: body[field] for rule, field in fields.items() if field in body
        }


# --- answers


@given(
    rules=TOP_LEVEL_RULES,
    answer=OBJECTS,
    nullable=st.sets(NAMES),
    absent_optional=st.sampled_from(["omit", "null"]),
    indent=st.sampled_from([None, 1]),
    ensure_ascii=st.booleans(),
)
def test_answers_keep_their_mapped_fields_and_change_only_where_they_must(
    rules: list[BodyMapping],
    answer: dict[str, Any],
    nullable: set[str],
    absent_optional: Any,
    indent: int | None,
    ensure_ascii: bool,
) -> None:  # O2 O3 O4 O5
    body = json.dumps(answer, indent=indent, ensure_ascii=ensure_ascii).encode()
    mapping = ResponseMapping(rules, nullable, absent_optional)
    absent = [rule for rule in rules if field_of(rule) not in answer]
    missing = [rule.destination_path for rule in absent if rule.mandatory and rule.destination_path not in nullable]

    if missing:
        with pytest.raises(MissingFieldError) as caught:
            mapping.apply(body)
        assert caught.value.field == missing[0]
        return
    expected = {
        rule.destination_path: answer.get(field_of(rule))
        for rule in rules
        if rule not in absent or rule.mandatory or absent_optional == "null"
    }
    mapped = mapping.apply(body)
    assert json.loads(mapped) == expected
    if all(field_of(rule) == rule.destination_path for rule in rules):
        assert (mapped is body) == (expected == answer)
    if mapped is not body:
        assert list(json.loads(mapped)) == list(expected)


@given(TOP_LEVEL_RULES, JSON.filter(lambda value: not isinstance(value, dict)))
def test_answers_that_are_no_object_pass_unless_a_field_is_mandatory(
    rules: list[BodyMapping], answer: Any
) -> None:  # O6
    body = json.dumps(answer).encode()
    mapping = ResponseMapping(rules)

    if any(rule.mandatory for rule in rules):
        with pytest.raises(MissingFieldError) as caught:
            mapping.apply(body)
        assert caught.value.field is None
    else:
        assert mapping.apply(body) is body


@given(
    TOP_LEVEL_RULES,
    st.sampled_from(["$.a", "$.a.b"]),
    OBJECTS,
    st.integers(0),
    st.integers(0, 2),
    st.binary(max_size=2),
)
def test_any_bytes_are_mapped_or_refused_as_undecodable(
    rules: list[BodyMapping], source: str, answer: dict[str, Any], at: int, removed: int, put_in: bytes
) -> None:  # O8
    body = json.dumps(answer, ensure_ascii=False).encode()
    at %= len(body)
    body = body[:at] + put_in + body[at + removed :]

    with suppress(*UNDECODABLE, MissingFieldError):
        ResponseMapping(merged(rules, [BodyMapping(source, "found")])).apply(body)


@pytest.mark.parametrize(
    "value", [2**70, -(2**70), 1e22, -0.0, 1.0, 5e-324, "\u2028", "\x00", "😀", {"": [None, True]}, 0.1 + 0.2]
)
@pytest.mark.parametrize("source", ["$.x", "$.deep.x"])
def test_values_survive_the_mapping_exactly(source: str, value: Any) -> None:  # O2
    body = json.dumps({"x": value, "deep": {"x": value}, "other": 1}).encode()

    [(name, mapped)] = json.loads(ResponseMapping([BodyMapping(source, "y")]).apply(body)).items()

    assert (name, repr(mapped)) == ("y", repr(value))


@pytest.mark.parametrize("name", ['with "quotes"', "tab\t", "two words", "émile", "a/b", "$", "[0]", "self", "field_0"])
async def test_field_of_an_answer_may_have_any_name(name: str) -> None:  # O2
    middleware = endpoint(App({name: 1, "other": 2}), gives=[(f"$['{name}']", name, True)])

    assert (await request(middleware, "POST", "/run")).json == {name: 1}


def test_field_name_that_is_escaped_in_the_answer_is_the_same_field() -> None:  # O2
    mapping = ResponseMapping([BodyMapping("$.id", "id", True)])

    assert mapping.apply(rb'{"\u0069d": 1}') == rb'{"\u0069d": 1}'
    assert json.loads(mapping.apply(rb'{"\u0069d": 1, "junk": 2}')) == {"id": 1}


def test_last_of_duplicate_fields_wins_in_an_answer() -> None:  # O2
    mapped = ResponseMapping([BodyMapping("$.id", "id")]).apply(b'{"id": 1, "id": 2, "junk": 3}')

    assert json.loads(mapped) == {"id": 2}


@pytest.mark.parametrize("rest", ["", ', "junk": 1'])
@pytest.mark.parametrize("value", ["null", "0", "1", '"true"', "[]"])
async def test_list_that_does_not_say_whether_it_has_more_is_refused(value: str, rest: str) -> None:  # C1
    """The SDK stops asking for pages at `false` alone."""
    app = App(f'{{"data": [], "has_more": {value}{rest}}}'.encode())

    sent = await request(OpenAIMiddleware(app, ["batches"]), "GET", "/batches")

    assert (sent.status, sent.error["param"]) == (422, "has_more")


@pytest.mark.parametrize("value", ["true", "false"])
async def test_list_that_says_whether_it_has_more_is_mapped(value: str) -> None:  # C1
    for rest in ("", ', "junk": 1'):
        app = App(f'{{"data": [], "has_more": {value}{rest}}}'.encode())

        sent = await request(OpenAIMiddleware(app, ["batches"]), "GET", "/batches")

        assert sent.json == {"data": [], "has_more": value == "true"}
