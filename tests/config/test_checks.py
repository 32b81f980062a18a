"""Configuration mistakes: one test per code, and all of them in one report."""

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

import openai_middleware
from openai_middleware import APIHandlerConfig, BodyMappings, Dispatcher, EndpointConfig, OpenAIMiddleware, Rewrite
from openai_middleware.errors import ConfigurationError, ConfigurationMistake
from openai_middleware.mapping.rule import BodyMapping
from openai_middleware.mistakes import HINTS
from openai_middleware.options import Options
from openai_middleware.store import Store
from openai_middleware.store.sql import schema
from tests.support.drivers import App, mappings

PACKAGE = Path(openai_middleware.__file__).parent
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "configuration.md"


def middleware(**arguments: Any) -> OpenAIMiddleware:
    return OpenAIMiddleware(App(), **arguments)


def no_asgi(environ: Any, start_response: Any) -> Any: ...


def by_position(body: Any, other: Any, /) -> None: ...


def nested(levels: int) -> list[Any]:
    """Lists in lists; the innermost is empty."""
    struct: list[Any] = []
    for _ in range(levels - 1):
        struct = [struct]
    return struct


def of_dict(**endpoint: Any) -> OpenAIMiddleware:
    """A middleware with the dictionary of one endpoint."""
    return middleware(config={"endpoints": {"POST:/x": {"path": "/x", **endpoint}}})


def of_answer(*rules: dict[str, Any]) -> OpenAIMiddleware:
    """A middleware with the output mappings of one endpoint."""
    return of_dict(output_body_mappings={"mappings": list(rules)})


def of_rule(*rule: Any) -> OpenAIMiddleware:
    names = ("source_path", "destination_path", "mandatory")
    return of_dict(input_body_mappings={"mappings": [dict(zip(names, rule, strict=False))]})


def of_paths(*lines: str, **options: Any) -> OpenAIMiddleware:
    """A middleware with endpoints, written `POST /path`."""
    config = APIHandlerConfig()
    for line in lines:
        method, path = line.split(" ")
        config.add_endpoint_handler(path, method)
    return middleware(config=config, **options)


def of_rewrite(rewrite: Any) -> OpenAIMiddleware:
    """A middleware with a rewrite of chat."""
    return middleware(prefix="/v1", rewrites={"chat.completions.create": rewrite})


def store(url: str = "sqlite://", **arguments: Any) -> Store:
    return Store(url, **{"owner": "shared", **arguments})


def store_without_its_driver() -> None:
    with patch.dict(sys.modules, {"psycopg": None}):
        store("postgresql+psycopg://localhost/x")


def store_of_a_later_version() -> None:
    with TemporaryDirectory() as folder, patch.object(schema, "VERSION", 99):
        made = store(f"sqlite:///{folder}/openai.db")
        made.open()
        made.close()
        with patch.object(schema, "VERSION", 98):
            middleware(store=store(f"sqlite:///{folder}/openai.db"))


def of_conflict() -> OpenAIMiddleware:
    config = APIHandlerConfig()
    config.add_endpoint_handler("/x/{a}", input_body_mappings=mappings(("$.b", "a")))
    return middleware(config=config)


def mistakes_of(build: Callable[[], Any]) -> list[ConfigurationMistake]:
    """The mistakes that this earns; none where it is fine."""
    try:
        build()
    except ConfigurationError as error:
        return list(error.mistakes)
    return []


def codes_of(build: Callable[[], Any]) -> list[str]:
    return [mistake.code for mistake in mistakes_of(build)]


RULE = "endpoints.POST:/x.input_body_mappings.mappings.0"
ANSWER = RULE.replace("input", "output")

# Code, the value that is wrong, the place in the configuration, and what a user did.
REWRITE = "rewrites.chat.completions.create"
ONE_BY_ONE: list[tuple[str, Any, str, Callable[[], Any]]] = [
    ("store_type", "sqlite://", "store", lambda: middleware(store="sqlite://")),
    ("store_url", "mysql://x/y", "url", lambda: store("mysql://x/y")),
    ("store_driver", "postgresql", "url", store_without_its_driver),
    ("store_owner", "ada", "owner", lambda: store(owner="ada")),
    ("store_ttl", -1, "ttl", lambda: store(ttl=-1)),
    ("store_max_bytes", "1 GB", "max_bytes", lambda: store(max_bytes="1 GB")),
    ("store_schema", 99, "store.url", store_of_a_later_version),
    ("app_interface", no_asgi, "app", lambda: OpenAIMiddleware(no_asgi)),  # type: ignore[arg-type]
    ("app_not_callable", None, "app", lambda: OpenAIMiddleware(None)),  # type: ignore[arg-type]
    (
        "config_and_endpoints",
        {"endpoints": None, "prefix": "/v1"},
        "",
        lambda: middleware(config=APIHandlerConfig(), prefix="/v1"),
    ),
    ("contract_unreadable", "no-such-file", "contract", lambda: middleware(prefix="/v1", contract="no-such-file")),
    ("handlers_type", "models.list", "handlers", lambda: middleware(prefix="/v1", handlers="models.list")),
    (
        "handler_not_callable",
        "gpt",
        "handlers.models.list",
        lambda: middleware(prefix="/v1", handlers={"models.list": "gpt"}),
    ),
    (
        "handler_signature",
        by_position,
        "handlers.models.list",
        lambda: middleware(prefix="/v1", handlers={"models.list": by_position}),
    ),
    (
        "handler_unreachable",
        "models.list",
        "handlers",
        lambda: middleware(endpoints=["responses"], handlers={"models.list": list}),
    ),
    ("rewrites_type", "/ask", "rewrites", lambda: middleware(prefix="/v1", rewrites="/ask")),
    (
        "rewrite_endpoint",
        "POST:/summaries",
        "rewrites.POST:/summaries",
        lambda: middleware(prefix="/v1", rewrites={"POST:/summaries": "/ask"}),
    ),
    (
        "rewrite_unreachable",
        "models.list",
        "rewrites.models.list",
        lambda: middleware(endpoints=["responses"], rewrites={"models.list": "/ask"}),
    ),
    ("rewrite_operation", "models.list", REWRITE, lambda: of_rewrite("models.list")),
    ("rewrite_type", 5, REWRITE, lambda: of_rewrite(5)),
    ("rewrite_placeholder", "id", f"{REWRITE}.target", lambda: of_rewrite(Rewrite("/ask/{id}"))),
    (
        "rewrite_without_reply",
        "models.delete",
        "rewrites.models.delete.reply",
        lambda: middleware(prefix="/v1", rewrites={"models.delete": Rewrite("/ask", reply="$.a")}),
    ),
    ("rewrite_inside_prefix", "/v1/ask", f"{REWRITE}.target", lambda: of_rewrite("/v1/ask")),
    ("rewrite_target", 5, "", lambda: Rewrite(5)),  # type: ignore[arg-type]
    ("rewrite_method", "get /ask", REWRITE, lambda: of_rewrite("get /ask")),
    ("rewrite_path", "POST ask", "", lambda: Rewrite("POST ask")),
    ("rewrite_query", ["$.a"], "query", lambda: Rewrite("/ask", query=["$.a"])),
    ("rewrite_key", 5, "body.a", lambda: Rewrite("/ask", body={"a": {5: "$.a"}})),
    ("rewrite_value", b"x", "body.a.1", lambda: Rewrite("/ask", body={"a": [1, b"x"]})),
    ("rewrite_reading", 5, "delta", lambda: Rewrite("/ask", delta=5)),  # type: ignore[arg-type]
    ("rewrite_field", "text", "reply", lambda: Rewrite("/ask", reply={"text": "$.a"})),
    ("rewrite_done", True, "done", lambda: Rewrite("/ask", done=True)),  # type: ignore[arg-type]
    ("rewrite_unknown", "goal", "rewrite", lambda: EndpointConfig(rewrite={"target": "/ask", "goal": "/x"})),  # type: ignore[arg-type]
    ("rewrite_function", max, "body", lambda: EndpointConfig(rewrite=Rewrite("/ask", body=max)).to_dict()),
    ("handler_path", "/x/{id}", "handler_path", lambda: middleware(prefix="/v1", handler_path="/x/{id}")),
    ("reply_operation", "embeddings.create", "reply", lambda: Dispatcher().reply("embeddings.create")),
    ("reply_model", 5, "reply", lambda: Dispatcher().reply(model=5)),  # type: ignore[call-overload]
    ("endpoints_type", "responses", "endpoints", lambda: middleware(endpoints="responses")),
    ("endpoints_unknown", "nothing", "endpoints", lambda: middleware(endpoints=["responses", "nothing"])),
    ("prefix_type", 5, "prefix", lambda: middleware(prefix=5)),
    ("prefix_leading_slash", "v1", "prefix", lambda: middleware(prefix="v1")),
    ("prefix_trailing_slash", "/v1/", "prefix", lambda: middleware(prefix="/v1/")),
    ("prefix_wildcard", "/*/v1", "prefix", lambda: middleware(prefix="/*/v1")),
    ("path_wildcard", "/*/x", "path", lambda: EndpointConfig("/*/x")),
    (
        "path_placeholder_slashes",
        "/{a:path}/x/{b:path}",
        "path",
        lambda: EndpointConfig("/{a:path}/x/{b:path}"),
    ),
    ("path_wildcard_placeholder", "/{x}/*", "path", lambda: EndpointConfig("/{x}/*")),
    ("path_unclosed", "/{x", "path", lambda: EndpointConfig("/{x")),
    ("path_placeholder", "/{}", "path", lambda: EndpointConfig("/{}")),
    ("path_placeholder_repeated", "/{x}/{x}", "path", lambda: EndpointConfig("/{x}/{x}")),
    ("path_template_overlap", "/{b}", "endpoints.POST:/{b}.path", lambda: of_paths("POST /{a}", "POST /{b}")),
    ("parameter_conflict", "a", "endpoints.POST:/x/{a}.input_body_mappings", of_conflict),
    ("source_path_empty", "", RULE, lambda: of_rule("", "x")),
    ("source_path_invalid", "$[", RULE, lambda: of_rule("$[", "x")),
    ("destination_path_empty", "", RULE, lambda: of_rule("$.x", "")),
    ("destination_path_invalid", "\ud800", RULE, lambda: of_rule("$.x", "\ud800")),
    ("destination_path_ambiguous", "$.a[*].b", ANSWER, lambda: of_answer({"value": 1, "destination_path": "$.a[*].b"})),
    (
        "destination_path_overlap",
        "$.a.b",
        ANSWER.removesuffix(".0"),
        lambda: of_answer(*({"value": 1, "destination_path": place} for place in ("a", "$.a.b"))),
    ),
    (
        "destination_path_gap",
        "$.a[1].b",
        "endpoints.POST:/x.output_body_mappings",
        lambda: of_answer({"value": 1, "destination_path": "$.a[1].b"}),
    ),
    (
        "mapping_of_answer",
        "$.a.b",
        RULE.removesuffix(".mappings.0"),
        lambda: of_rule("a", "$.a.b"),
    ),
    ("value_invalid", b"x", ANSWER, lambda: of_answer({"value": b"x", "destination_path": "a"})),
    (
        "value_and_source",
        "$.a",
        ANSWER,
        lambda: of_answer({"source_path": "$.a", "value": 1, "destination_path": "a"}),
    ),
    ("nested_too_deeply", [], "", lambda: APIHandlerConfig.from_dict({"x": nested(32)})),
    ("operation_unknown", "chat.create", "endpoints.POST:/x.operation", lambda: of_dict(operation="chat.create")),
    (
        "endpoint_key_mismatch",
        "GET:/x",
        "endpoints.GET:/x",
        lambda: APIHandlerConfig(endpoints={"GET:/x": {"path": "x"}}),  # type: ignore[dict-item]
    ),
    ("missing", {"source_path": "$.x"}, f"{RULE}.destination_path", lambda: of_rule("$.x")),
    ("extra_forbidden", 1, "prefixes", lambda: middleware(prefixes=1)),
    ("enum", "FETCH", "endpoints.POST:/x.http_method", lambda: of_dict(http_method="fetch")),
    ("literal_error", "drop", "unmatched", lambda: middleware(unmatched="drop")),
    ("string_type", 5, "endpoints.POST:/x.description", lambda: of_dict(description=5)),
    ("bool_type", "perhaps", "enabled", lambda: middleware(config={"enabled": "perhaps"})),
    ("int_type", "1", "max_body_size", lambda: middleware(max_body_size="1")),
    ("greater_than_equal", -1, "max_body_size", lambda: middleware(max_body_size=-1)),
    ("list_type", 5, RULE.removesuffix(".0"), lambda: of_dict(input_body_mappings={"mappings": 5})),
    ("dict_type", 5, "endpoints.POST:/x.input_body_mappings", lambda: of_dict(input_body_mappings=5)),
]


# --- structures that nobody writes by hand


def holding_itself() -> dict[str, Any]:
    struct: dict[str, Any] = {}
    struct["endpoints"] = struct
    return struct


def deep() -> dict[str, Any]:
    return {"endpoints": {"POST:/x": {"path": "/x", "description": nested(5000)}}}


def of_aliases() -> dict[str, Any]:
    """As YAML's aliases make it: 60 lists that are 2 to the power of 60 places."""
    aliased: list[Any] = ["x"]
    for _ in range(20):
        aliased = [aliased] * 8
    return {"endpoints": {"POST:/x": {"path": "/x", "description": aliased}}}


@pytest.mark.parametrize("make", [holding_itself, deep, of_aliases])
@pytest.mark.parametrize("build", [APIHandlerConfig.from_dict, lambda struct: middleware(config=struct)])
def test_structure_that_nobody_writes_by_hand_is_a_mistake_like_any_other(make: Any, build: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build(make())

    assert len(str(caught.value)) < 500


def test_what_stands_in_several_places_is_taken_in_each() -> None:
    rules = {"mappings": [{"source_path": "$.a", "destination_path": "a"}]}

    config = APIHandlerConfig.from_dict(
        {"endpoints": {f"POST:/{name}": {"path": f"/{name}", "input_body_mappings": rules} for name in "xy"}}
    )

    assert all(endpoint.input_body_mappings.rules for endpoint in config.endpoints.values())  # type: ignore[union-attr]


@pytest.mark.parametrize("path", ["$[?1e501", "$[?1e501]", "$[?@.a==1e501]", "$[?@==" + "9" * 5000 + "]"])
def test_number_that_no_float_holds_makes_a_source_no_jsonpath(path: str) -> None:  # B5
    with pytest.raises(ConfigurationError, match=r"\[source_path_invalid\]"):
        BodyMappings().add_mapping(path, "a")


@pytest.mark.parametrize(("code", "value", "where", "build"), ONE_BY_ONE, ids=[case[0] for case in ONE_BY_ONE])
def test_each_mistake_has_its_code_the_bad_value_the_place_and_a_hint(
    code: str, value: Any, where: str, build: Callable[[], Any]
) -> None:
    with pytest.raises(ValueError, match=rf"\[{code}\]") as caught:
        build()

    assert isinstance(caught.value, ConfigurationError)
    [mistake] = caught.value.mistakes
    assert (mistake.code, mistake.value, mistake.where) == (code, value, where)
    assert mistake.message.endswith(".")
    assert mistake.hint
    for part in (mistake.message, repr(value), mistake.hint, where):
        assert part in str(caught.value)


# --- the codes


def literals(module: ast.Module, *callers: str) -> Iterator[str]:
    """The first arguments of all calls of functions with these names."""
    for node in ast.walk(module):
        match node:
            case ast.Call(
                func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(value=str(code)), _, *_]
            ) if name in callers:
                yield code


def codes_in_the_source() -> set[str]:
    modules = [ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")]
    makers = ("ConfigurationMistake", "mistake", "add")
    return {code for module in modules for code in literals(module, *makers)} | set(HINTS)


def codes_in_the_documentation() -> list[str]:
    """The first cells of the table that begins with "code"."""
    _, _, table = DOCUMENTATION.read_text("utf-8").partition("| code |")
    rows = [line.split("|") for line in table.partition("\n\n")[0].splitlines()[2:]]
    return [row[1].strip().strip("`") for row in rows]


@pytest.mark.parametrize("target", ["/ask/*", "/ask?a=1", "/ask#a", "/{name:path}", "GET /a b"])
def test_rewrite_goes_to_one_path_without_a_query(target: str) -> None:  # T1
    assert codes_of(lambda: Rewrite(target)) == ["rewrite_path"]


@pytest.mark.parametrize("reading", ["", {"content": ""}, {"content": 5}])
def test_rewrite_reads_by_paths_that_are_some(reading: Any) -> None:  # T5
    assert codes_of(lambda: Rewrite("/ask", reply=reading)) == ["source_path_empty"]


def test_rewrite_without_functions_has_a_dictionary_form() -> None:
    rewrite = Rewrite("/ask", body={"question": "$.prompt"}, reply="$.answer")

    [struct] = [EndpointConfig(path="/x", rewrite=rewrite).to_dict()]

    assert struct["rewrite"] == {"target": "/ask", "body": {"question": "$.prompt"}, "reply": "$.answer"}
    assert EndpointConfig.from_dict(struct).rewrite == rewrite


def test_every_code_in_the_source_has_a_test() -> None:
    assert {code for code, *_ in ONE_BY_ONE} == codes_in_the_source()
    assert len(ONE_BY_ONE) == len(codes_in_the_source())


def test_every_code_in_the_source_is_documented_once() -> None:
    assert sorted(codes_in_the_documentation()) == sorted(codes_in_the_source())


# --- all together


def test_all_mistakes_of_a_configuration_are_reported_together() -> None:
    rule = {"source_path": "$.a", "destination_path": "y"}
    endpoints = {
        "POST:/a": {"path": "/*/a", "http_method": "fetch", "description": 5},
        "POST:/b": {"path": "/b", "input_body_mappings": {"mappings": [rule, {"source_path": "$["}, 5]}},
        "POST:/c": {"path": "/d", "colour": "red"},
        "POST:/e": {"path": "/e"},
        "POST:/{x}": {"path": "/{x}"},
        "POST:/{y}": {"path": "/{y}", "input_body_mappings": {"mappings": [rule]}, "operation": "chat.complete"},
        "GET:/f": {"path": "/f"},
    }
    config = {"enabled": "perhaps", "endpoints": endpoints, "colour": "red"}

    mistakes = mistakes_of(lambda: middleware(config=config, prefix="/v1", unmatched="drop", max_body_size=-1, x=1))

    assert {(mistake.code, mistake.where) for mistake in mistakes} == {
        ("literal_error", "unmatched"),
        ("greater_than_equal", "max_body_size"),
        ("extra_forbidden", "x"),
        ("config_and_endpoints", ""),
        ("bool_type", "enabled"),
        ("extra_forbidden", "colour"),
        ("path_wildcard", "endpoints.POST:/a.path"),
        ("enum", "endpoints.POST:/a.http_method"),
        ("string_type", "endpoints.POST:/a.description"),
        ("missing", "endpoints.POST:/b.input_body_mappings.mappings.1.destination_path"),
        ("dict_type", "endpoints.POST:/b.input_body_mappings.mappings.2"),
        ("extra_forbidden", "endpoints.POST:/c.colour"),
        ("path_template_overlap", "endpoints.POST:/{y}.path"),
        ("parameter_conflict", "endpoints.POST:/{y}.input_body_mappings"),
        ("operation_unknown", "endpoints.POST:/{y}.operation"),
        ("endpoint_key_mismatch", "endpoints.GET:/f"),
    }
    assert len(mistakes) == 16


def test_the_report_lists_every_mistake() -> None:
    with pytest.raises(ConfigurationError) as caught:
        middleware(endpoints=["nothing"], prefix=["v1/", 5], unmatched="drop")

    lines = str(caught.value).splitlines()
    assert lines[0] == "5 configuration mistakes:"
    assert [line.rpartition("[")[2].rstrip("]") for line in lines[1:]] == [
        "literal_error",
        "prefix_leading_slash",
        "prefix_trailing_slash",
        "prefix_type",
        "endpoints_unknown",
    ]


CODES = codes_in_the_source()
KEYS = st.sampled_from(
    [
        *APIHandlerConfig.__dataclass_fields__,
        *EndpointConfig.__dataclass_fields__,
        *("mappings", "source_path", "destination_path", "mandatory", "self", "POST:/a", "GET:/{x}"),
    ]
)
WORDS = st.text("a*{}/$.[\ud800", max_size=4) | st.sampled_from(
    ["/a", "/{x}", "$.a", "get", "POST", "allow", "forbid", "off"]
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.integers() | WORDS, inner, max_size=6),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, JUNK, max_size=6) | JUNK)
@pytest.mark.parametrize("kind", [APIHandlerConfig, EndpointConfig, BodyMappings])
def test_any_dictionary_is_taken_or_refused_with_codes_that_are_documented(kind: Any, struct: Any) -> None:
    assert set(codes_of(lambda: kind.from_dict(struct))) <= CODES


@given(st.dictionaries(st.sampled_from([*Options.__annotations__, "x"]), JUNK))
def test_any_options_are_taken_or_refused_with_codes_that_are_documented(options: Any) -> None:
    assert set(codes_of(lambda: middleware(endpoints=[], **options))) <= CODES


@given(JUNK, JUNK)
def test_any_groups_and_prefixes_are_taken_or_refused_with_codes_that_are_documented(  # C2
    endpoints: Any, prefix: Any
) -> None:
    assert set(codes_of(lambda: middleware(endpoints=endpoints, prefix=prefix))) <= CODES


# --- what is a mistake, and what is not


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (["POST /a/{x}", "POST /a/{y}"], ["path_template_overlap"]),
        (["POST /a/{x}", "post a/{y}", "POST /a/{z}"], ["path_template_overlap"] * 2),
        (["POST /{a}-{b}", "POST /{c}-{d}"], ["path_template_overlap"]),
        (["POST /a/{x}", "GET /a/{y}"], []),
        (["POST /a/{x}", "POST /a/{x}/"], []),
        (["POST /a/{x}", "POST /{x}/a"], []),
        (["POST /a/{x}", "POST /A/{x}"], []),
        (["POST /a/{x}", "POST /a/b", "POST /a/*", "POST /*"], []),
    ],
)
def test_two_templates_of_one_shape_on_one_method_are_a_mistake(lines: list[str], codes: list[str]) -> None:  # M8
    assert codes_of(lambda: of_paths(*lines)) == codes


def of_mappings(*endpoints: tuple[str, dict[str, str]], kind: str = "input_body_mappings") -> OpenAIMiddleware:
    config = APIHandlerConfig()
    for line, destinations in endpoints:
        method, path = line.split(" ")
        options: Any = {kind: mappings(*destinations.items())}
        config.add_endpoint_handler(path, method, **options)
    return middleware(config=config)


@pytest.mark.parametrize(
    ("endpoints", "values"),
    [
        ([("POST /a/{x}", {"$.b": "x"})], ["x"]),
        ([("POST /a/{x}/{y}", {"$.b": "y", "$.c": "x"})], ["x", "y"]),
        ([("POST /a/{x}", {}), ("POST /a/*", {"$.b": "x"})], ["x"]),
        ([("POST /a/{x}", {}), ("POST /a*", {"$.b": "x"}), ("POST /*", {"$.b": "x"})], ["x", "x"]),
        ([("POST /a/{x}", {"$.x": "b"})], []),
        ([("POST /a/{x}", {}), ("GET /a/*", {"$.b": "x"})], []),
        ([("POST /a/{x}", {}), ("POST /b/*", {"$.b": "x"})], []),
        ([("POST /a/{x}", {}), ("POST /a/b/*", {"$.b": "x"})], []),
        ([("POST /a/{x}", {}), ("POST /a/b", {"$.b": "x"})], []),
    ],
)
def test_a_body_destination_that_is_a_path_parameter_is_a_mistake(  # B8
    endpoints: list[Any], values: list[str]
) -> None:
    mistakes = mistakes_of(lambda: of_mappings(*endpoints))

    assert [mistake.code for mistake in mistakes] == ["parameter_conflict"] * len(values)
    assert [mistake.value for mistake in mistakes] == values


def test_a_field_of_an_answer_may_have_the_name_of_a_path_parameter() -> None:  # B8
    assert codes_of(lambda: of_mappings(("POST /a/{x}", {"$.b": "x"}), kind="output_body_mappings")) == []


@pytest.mark.parametrize("prefix", ["/{model}", "/{messages}", "/{input}/v1"])
def test_a_placeholder_in_the_prefix_must_not_be_a_body_field(prefix: str) -> None:  # B8 C2
    codes = codes_of(lambda: middleware(endpoints=["chat_completions", "responses"], prefix=prefix))

    assert codes
    assert set(codes) == {"parameter_conflict"}


@pytest.mark.parametrize("prefix", ["/{response_id}", "/{completion_id}/v1"])
def test_a_placeholder_in_the_prefix_must_not_be_one_of_an_operation(prefix: str) -> None:  # M8 C2
    codes = codes_of(lambda: middleware(endpoints=["chat_completions", "responses"], prefix=prefix))

    assert codes
    assert set(codes) == {"path_placeholder_repeated"}


@pytest.mark.parametrize(
    ("prefix", "codes"),
    [
        ("", ["prefix_leading_slash"]),
        ("/", ["prefix_trailing_slash"]),
        ("v1/", ["prefix_leading_slash", "prefix_trailing_slash"]),
        ("/{x", ["path_unclosed"]),
        ("/{}", ["path_placeholder"]),
        ("/{x}/{x}", ["path_placeholder_repeated"]),
        ("/*", ["prefix_wildcard"]),
        (["/v1", "v2", "/v3/"], ["prefix_leading_slash", "prefix_trailing_slash"]),
        (["/v1", None], ["prefix_type"]),
        (b"/v1", ["prefix_type"]),
        (object(), ["prefix_type"]),
        ("//v1", []),
        ("/v1/x.y", []),
    ],
)
def test_a_prefix_starts_with_a_slash_and_does_not_end_with_one(prefix: Any, codes: list[str]) -> None:  # C2 M10
    mistakes = mistakes_of(lambda: middleware(prefix=prefix))

    assert [mistake.code for mistake in mistakes] == codes
    assert {mistake.where for mistake in mistakes} <= {"prefix"}


@pytest.mark.parametrize("endpoints", ["responses", b"responses", 5, True])
def test_groups_are_never_a_single_string(endpoints: Any) -> None:  # C2
    [mistake] = mistakes_of(lambda: middleware(endpoints=endpoints))

    assert mistake.code == "endpoints_type"
    assert mistake.value == endpoints


@pytest.mark.parametrize("group", ["chat", "RESPONSES", 5, None, ["responses"], {}])
def test_an_unknown_group_lists_the_choices(group: Any) -> None:  # C2
    [mistake] = mistakes_of(lambda: middleware(endpoints=[group]))

    assert (mistake.code, mistake.value) == ("endpoints_unknown", group)
    assert all(choice in mistake.hint for choice in ("chat_completions", "responses"))


@pytest.mark.parametrize(
    ("operation", "nearest"), [("chat.completion.create", "chat.completions.create"), ("responses.get", "responses.")]
)
def test_an_unknown_operation_proposes_the_nearest(operation: str, nearest: str) -> None:
    [mistake] = mistakes_of(lambda: of_dict(operation=operation))

    assert nearest in mistake.hint


@pytest.mark.parametrize("option", ["unmatched", "absent_optional"])
@pytest.mark.parametrize("value", ["Pass", "", None, 1, [], True])
def test_a_choice_that_there_is_not_is_told_with_those_there_are(option: str, value: Any) -> None:
    [mistake] = mistakes_of(lambda: middleware(**{option: value}))

    assert (mistake.code, mistake.value, mistake.where) == ("literal_error", value, option)
    assert all(
        choice in mistake.message for choice in {"unmatched": ("'pass'", "'reject'")}.get(option, ("'omit'", "'null'"))
    )


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        (None, []),
        (0, []),
        (1, []),
        (-1, ["greater_than_equal"]),
        ("1", ["int_type"]),
        (1.0, ["int_type"]),
        (1.5, ["int_type"]),
        (True, ["int_type"]),
        ([], ["int_type"]),
    ],
)
def test_max_body_size_is_none_or_a_number_of_bytes(value: Any, codes: list[str]) -> None:
    assert codes_of(lambda: middleware(max_body_size=value)) == codes


@pytest.mark.parametrize(
    ("value", "codes"), [(None, []), (True, []), (False, []), (1, ["bool_type"]), ("yes", ["bool_type"])]
)
def test_include_url_info_is_none_or_a_bool(value: Any, codes: list[str]) -> None:
    assert codes_of(lambda: middleware(include_url_info=value)) == codes


@pytest.mark.parametrize(
    "arguments",
    [{"endpoints": ["responses"]}, {"endpoints": []}, {"prefix": "/v1"}, {"endpoints": [], "prefix": "/v1"}],
)
def test_a_config_does_not_go_together_with_groups_or_a_prefix(arguments: Any) -> None:
    assert codes_of(lambda: middleware(config={}, **arguments)) == ["config_and_endpoints"]
    assert codes_of(lambda: middleware(config=None, **arguments)) == []


@pytest.mark.parametrize("config", [5, "x", [], object()])
def test_a_config_is_an_object_or_its_dictionary(config: Any) -> None:
    [mistake] = mistakes_of(lambda: middleware(config=config))

    assert (mistake.code, mistake.value) == ("dict_type", config)


@pytest.mark.parametrize("app", [None, "app", 5, {}])
def test_an_app_is_callable(app: Any) -> None:
    assert codes_of(lambda: OpenAIMiddleware(app)) == ["app_not_callable"]


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (lambda: APIHandlerConfig().get_endpoint_config("fetch", "/x"), "enum"),
        (lambda: APIHandlerConfig().remove_endpoint_handler("/x", "fetch"), "enum"),
        (lambda: APIHandlerConfig().add_endpoint_handler("/x", None), "enum"),  # type: ignore[arg-type]
        (lambda: APIHandlerConfig().add_endpoint_handler("/x", action="deny"), "enum"),
        (lambda: APIHandlerConfig().add_endpoint_handler(5), "string_type"),  # type: ignore[arg-type]
        (lambda: APIHandlerConfig().add_endpoint_handler("/x", input_body_mappings="$.a"), "dict_type"),  # type: ignore[arg-type]
        (lambda: APIHandlerConfig(colour="red"), "extra_forbidden"),  # type: ignore[call-arg]
        (lambda: APIHandlerConfig(endpoints=[]), "dict_type"),  # type: ignore[arg-type]
        (lambda: APIHandlerConfig.from_dict({1: 2}), "extra_forbidden"),  # type: ignore[dict-item]
        (lambda: APIHandlerConfig.from_dict({"self": 2}), "extra_forbidden"),
        (lambda: BodyMappings([{"source_path": "a", "destination_path": "b", "optional": True}]), "extra_forbidden"),
        (lambda: BodyMappings({1: 2} for _ in "a"), "extra_forbidden"),  # type: ignore[dict-item]
        (lambda: BodyMappings().add_mapping(5, "x"), "string_type"),  # type: ignore[arg-type]
        (lambda: BodyMappings().add_mapping("$.x", None), "string_type"),  # type: ignore[arg-type]
        (lambda: BodyMappings().add_mapping("$.x", "x", "perhaps"), "bool_type"),  # type: ignore[arg-type]
        (lambda: BodyMappings("$.a"), "list_type"),  # type: ignore[arg-type]
        (lambda: BodyMappings(["$.a"]), "dict_type"),  # type: ignore[list-item]
        (lambda: BodyMapping("", "x"), "source_path_empty"),
        (lambda: EndpointConfig(description=b"\xff"), "string_type"),  # type: ignore[arg-type]
        (lambda: EndpointConfig(b"/{x"), "path_unclosed"),  # type: ignore[arg-type]
    ],
)
def test_mistakes_are_told_by_the_objects_themselves(build: Callable[[], Any], code: str) -> None:
    assert code in codes_of(build)


def test_a_mistake_made_on_the_object_afterwards_is_found_when_the_middleware_is_built() -> None:
    config = APIHandlerConfig()
    config.add_endpoint_handler("/x")
    config.endpoints["POST:/x"].path = "/{x"
    config.include_url_info = "perhaps"  # type: ignore[assignment]

    assert sorted(codes_of(lambda: middleware(config=config))) == ["bool_type", "path_unclosed"]


def test_model_in_the_place_of_an_operation_is_told_where_it_goes() -> None:
    def hint_of(operation: str) -> str:
        [mistake] = mistakes_of(lambda: Dispatcher().reply(operation))
        return mistake.hint

    assert hint_of("support-agent").endswith("A model is named by model='support-agent'.")
    assert "model=" not in hint_of("models.list")


@pytest.mark.parametrize("build", [lambda: Dispatcher().reply(model=""), lambda: Dispatcher().reply(["a"])])  # type: ignore[call-overload]
def test_odd_arguments_of_reply_are_mistakes(build: Any) -> None:
    assert len(mistakes_of(build)) == 1
