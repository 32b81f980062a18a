"""The configuration objects: MLRun's names, signatures and dictionaries."""

import inspect
import json
import logging
from collections.abc import Callable
from enum import StrEnum
from http import HTTPMethod
from itertools import product
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware import (
    APIHandlerAction,
    APIHandlerConfig,
    BodyMappings,
    EndpointConfig,
    OpenAIEndpoint,
    OpenAIMiddleware,
    contract,
)
from openai_middleware.errors import ConfigurationError
from openai_middleware.mapping.rule import BodyMapping
from openai_middleware.request.path_template import path_mistakes
from tests.support.drivers import App, mappings, request

# As MLRun 1.12.1 writes it: what is None or empty is left out, `include_url_info` and `mandatory` are not.
MLRUN = {
    "enabled": True,
    "endpoints": {
        "POST:/v1/ask/{topic}": {
            "path": "/v1/ask/{topic}",
            "http_method": "POST",
            "action": "allow",
            "description": "Ask a question.",
            "input_body_mappings": {
                "mappings": [
                    {"source_path": "$.question", "destination_path": "question", "mandatory": True},
                    {"source_path": "$.options.language", "destination_path": "language", "mandatory": False},
                ]
            },
            "output_body_mappings": {
                "mappings": [{"source_path": "result.text", "destination_path": "answer", "mandatory": True}]
            },
        },
        "GET:/v1/internal/*": {"path": "/v1/internal/*", "http_method": "GET", "action": "forbid"},
    },
    "include_url_info": True,
}


def codes_of(build: Callable[..., Any], *arguments: Any) -> list[str]:
    """The codes of the mistakes that this earns; none where it is fine."""
    try:
        build(*arguments)
    except ConfigurationError as error:
        return [mistake.code for mistake in error.mistakes]
    return []


def rules(mappings: BodyMappings | None) -> list[tuple[str, str, bool]]:
    assert mappings is not None
    return [(rule["source_path"], rule["destination_path"], rule["mandatory"]) for rule in mappings.mappings]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


# --- MLRun's signatures

_ENDPOINT = {
    "http_method": HTTPMethod.POST,
    "action": APIHandlerAction.ALLOW,
    "description": None,
    "input_body_mappings": None,
    "output_body_mappings": None,
}
_NO_DEFAULT = inspect.Parameter.empty


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (BodyMappings(), {}),
        (BodyMappings().add_mapping, {"source_path": ..., "destination_path": ..., "mandatory": False}),
        (BodyMappings().remove_mapping, {"destination_path": ...}),
        (EndpointConfig, {"path": "", **_ENDPOINT}),
        (EndpointConfig().get_endpoint_key, {}),
        (APIHandlerConfig, {"enabled": True, "endpoints": None, "include_url_info": False}),
        (APIHandlerConfig().add_endpoint_handler, {"path": ..., **_ENDPOINT}),
        (APIHandlerConfig().add_endpoint_config, {"endpoint": ...}),
        (APIHandlerConfig().get_endpoint_config, {"method": ..., "path": ...}),
        (APIHandlerConfig().remove_endpoint_handler, {"path": ..., "http_method": HTTPMethod.POST}),
        (APIHandlerConfig().set_openai_frontend, {"endpoints": None, "prefix": None}),
        (APIHandlerConfig().to_dict, {}),
        (APIHandlerConfig.from_dict, {"struct": None}),
    ],
    ids=str,
)
def test_signatures_begin_as_those_of_mlrun(function: Any, parameters: dict[str, Any]) -> None:
    function = function if callable(function) else type(function)
    found = list(inspect.signature(function).parameters.values())[: len(parameters)]

    assert [parameter.name for parameter in found] == list(parameters)
    assert [parameter.default for parameter in found] == [
        _NO_DEFAULT if default is ... else default for default in parameters.values()
    ]


def test_arguments_are_taken_by_position_and_by_keyword() -> None:
    takes, gives = mappings(("$.a", "a")), mappings(("$.b", "b"))
    names = ("path", "http_method", "action", "description", "input_body_mappings", "output_body_mappings")
    values = ("/x", HTTPMethod.GET, APIHandlerAction.FORBID, "text", takes, gives)
    keywords: Any = dict(zip(names, values, strict=True))
    endpoint = EndpointConfig(*values)
    by_position, by_keyword = APIHandlerConfig(True, {}, True), APIHandlerConfig(include_url_info=True)
    by_position.add_endpoint_handler(*values)
    by_keyword.add_endpoint_handler(**keywords)

    assert [getattr(endpoint, name) for name in names] == list(values)
    assert endpoint == EndpointConfig(**keywords)
    assert by_position == by_keyword == APIHandlerConfig(True, {"GET:/x": endpoint}, True)


def test_more_arguments_than_there_are_fields_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="takes 3 arguments, and got 4"):
        APIHandlerConfig(True, {}, True, "more")  # type: ignore[call-arg]


def test_defaults_are_those_of_mlrun() -> None:
    config = APIHandlerConfig()

    assert (config.enabled, config.endpoints, config.include_url_info) == (True, {}, False)
    assert EndpointConfig("/x") == EndpointConfig("/x", HTTPMethod.POST, APIHandlerAction.ALLOW, None, None, None)
    assert [(action.name, action.value) for action in APIHandlerAction] == [("ALLOW", "allow"), ("FORBID", "forbid")]


# --- the dictionary


async def test_a_dictionary_that_mlrun_wrote_works_unchanged() -> None:
    app = App({"result": {"text": "42", "more": 1}})
    middleware = OpenAIMiddleware(app, config=json.loads(json.dumps(MLRUN)))

    sent = await request(middleware, "POST", "/v1/ask/life", {"question": "?", "options": {"language": "en"}})
    lacking = await request(middleware, "POST", "/v1/ask/life", {})
    forbidden = await request(middleware, "GET", "/v1/internal/x")

    assert app.call.body == {"question": "?", "options": {"language": "en"}}
    assert app.kwargs == {
        "question": "?",
        "language": "en",
        "topic": "life",
        "mlrun_request_path": "/v1/ask/life",
        "mlrun_request_method": "POST",
    }
    assert sent.json == {"answer": "42"}
    assert (lacking.status, forbidden.status) == (422, 403)


def test_the_dictionary_of_mlrun_is_the_dictionary_here() -> None:
    assert APIHandlerConfig.from_dict(MLRUN).to_dict() == MLRUN


def test_the_dictionary_is_plain_json_with_the_keys_of_mlrun() -> None:
    config = APIHandlerConfig(include_url_info=True)
    config.add_endpoint_handler(
        "/x",
        HTTPMethod.GET,
        APIHandlerAction.FORBID,
        "text",
        input_body_mappings=mappings(("$.a", "a", True)),
        output_body_mappings=mappings(("b", "b")),
    )
    config.add_endpoint_handler("/y")

    struct = config.to_dict()

    assert struct == json.loads(json.dumps(struct))
    assert struct == {
        "enabled": True,
        "endpoints": {
            "GET:/x": {
                "path": "/x",
                "http_method": "GET",
                "action": "forbid",
                "description": "text",
                "input_body_mappings": {
                    "mappings": [{"source_path": "$.a", "destination_path": "a", "mandatory": True}]
                },
                "output_body_mappings": {
                    "mappings": [{"source_path": "b", "destination_path": "b", "mandatory": False}]
                },
            },
            "POST:/y": {"path": "/y", "http_method": "POST", "action": "allow"},
        },
        "include_url_info": True,
    }
    assert {type(value) for endpoint in struct["endpoints"].values() for value in endpoint.values()} == {str, dict}


def test_enum_members_of_mlrun_itself_are_taken() -> None:
    class Action(StrEnum):
        FORBID = "forbid"

    endpoint = {"path": "/x", "http_method": HTTPMethod.GET, "action": Action.FORBID}

    assert APIHandlerConfig.from_dict({"endpoints": {"GET:/x": endpoint}}).endpoints["GET:/x"] == EndpointConfig(
        "/x", HTTPMethod.GET, APIHandlerAction.FORBID
    )


@pytest.mark.parametrize("struct", [None, {}, MappingProxyType({}), {"endpoints": None}, {"endpoints": {}}])
def test_an_empty_dictionary_is_an_empty_configuration(struct: Any) -> None:
    assert APIHandlerConfig.from_dict(struct) == APIHandlerConfig()


def test_any_kind_of_mapping_and_sequence_is_taken() -> None:
    rule = MappingProxyType({"source_path": "$.a", "destination_path": "a"})
    endpoint = MappingProxyType({"path": "/x", "input_body_mappings": MappingProxyType({"mappings": (rule,)})})
    expected = EndpointConfig("/x", input_body_mappings=mappings(("$.a", "a")))

    for build in (APIHandlerConfig.from_dict, lambda struct: APIHandlerConfig(**struct)):
        config = build(MappingProxyType({"endpoints": MappingProxyType({"POST:/x": endpoint})}))
        assert config.endpoints == {"POST:/x": expected}


@pytest.mark.parametrize(
    "value",
    [
        [{"source_path": "$.a", "destination_path": "a"}],
        [BodyMapping("$.a", "a")],
        (BodyMapping(source, "a") for source in ["$.a"]),
        map(BodyMapping, ["$.a"], ["a"]),
    ],
    ids=["dictionaries", "rules", "generator", "iterator"],
)
def test_rules_are_given_in_any_iterable(value: Any) -> None:
    assert BodyMappings(value) == mappings(("$.a", "a"))


@pytest.mark.parametrize("value", [None, [], ()])
def test_no_rules_are_an_empty_set(value: Any) -> None:
    assert BodyMappings(value) == BodyMappings.from_dict({"mappings": value}) == BodyMappings()


PATHS = (
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), max_size=5)
        | st.from_regex(r"\{[a-z_]{1,3}\}", fullmatch=True)
        | st.just("*"),
        min_size=1,
        max_size=4,
    )
    .map("/".join)
    .filter(lambda path: not list(path_mistakes(f"/{path}")))
)
TEXT = st.text(max_size=5)
RULES = st.lists(
    st.builds(
        BodyMapping,
        st.from_regex(r"(\$\.)?[a-z]{1,2}", fullmatch=True) | st.sampled_from(["$", "$..id", "$['x y']", "a.b[*]"]),
        TEXT.filter(lambda name: name and not name.startswith(("$.", "$["))),  # else it is a place, or a mistake
        st.booleans(),
    ),
    max_size=4,
)
MAPPINGS = st.none() | st.builds(BodyMappings, RULES)
ENDPOINTS = st.builds(
    EndpointConfig,
    PATHS,
    st.sampled_from(HTTPMethod) | st.sampled_from(["get", "Post", "DELETE"]),
    st.sampled_from(APIHandlerAction),
    st.none() | TEXT,
    MAPPINGS,
    MAPPINGS,
    operation=st.none() | st.sampled_from(contract.shipped().operation_names()),
)


@given(st.booleans(), st.lists(ENDPOINTS, max_size=4), st.booleans())
def test_a_round_trip_through_json_is_equal(
    enabled: bool, endpoints: list[EndpointConfig], include_url_info: bool
) -> None:
    config = APIHandlerConfig(enabled=enabled, include_url_info=include_url_info)
    for endpoint in endpoints:
        config.add_endpoint_config(endpoint)

    read = APIHandlerConfig.from_dict(json.loads(json.dumps(config.to_dict())))

    assert read == config
    assert list(read.endpoints) == list(config.endpoints)
    assert read.to_dict() == config.to_dict()


@pytest.mark.parametrize("prefix", [None, "/v1", ["/v1", "/t/{tenant}"]])
def test_the_openai_frontend_survives_a_round_trip(prefix: Any) -> None:
    config = APIHandlerConfig()
    config.set_openai_frontend(prefix=prefix)

    read = APIHandlerConfig.from_dict(json.loads(json.dumps(config.to_dict())))

    assert read == config
    assert read.endpoints


def test_the_key_of_an_operation_is_its_method_and_path() -> None:
    config = APIHandlerConfig()
    config.set_openai_frontend(prefix="/v1")

    assert "POST:/v1/responses" in config.endpoints
    assert "DELETE:/v1/chat/completions/{completion_id}" in config.endpoints
    assert {key: endpoint.get_endpoint_key() for key, endpoint in config.endpoints.items()} == {
        key: key for key in config.endpoints
    }


# --- endpoints


@pytest.mark.parametrize("method", [HTTPMethod.GET, "GET", "get", "gEt"])
def test_methods_are_accepted_in_any_case(method: Any) -> None:  # M4
    config = APIHandlerConfig()
    config.add_endpoint_handler("/x", method)

    assert list(config.endpoints) == ["GET:/x"]
    assert config.get_endpoint_config(method, "/x").http_method is HTTPMethod.GET  # type: ignore[union-attr]
    assert APIHandlerConfig(endpoints={f"{method}:/x": {"path": "/x", "http_method": method}}) == config  # type: ignore[dict-item]
    config.remove_endpoint_handler("/x", method)
    assert config.endpoints == {}


@pytest.mark.parametrize("path", ["x/{y}", "/x/{y}"])
def test_a_path_gains_its_leading_slash_everywhere(path: str) -> None:  # M5
    config = APIHandlerConfig()
    config.add_endpoint_handler(path)

    assert list(config.endpoints) == ["POST:/x/{y}"]
    assert config.get_endpoint_config("POST", path).path == "/x/{y}"  # type: ignore[union-attr]
    assert APIHandlerConfig(endpoints={f"POST:{path}": {"path": path}}) == config  # type: ignore[dict-item]
    config.remove_endpoint_handler(path)
    assert config.endpoints == {}


def test_an_endpoint_is_found_by_its_method_and_path_as_written_alone() -> None:
    config = APIHandlerConfig()
    config.add_endpoint_handler("/x/{y}", "GET")

    assert config.get_endpoint_config("GET", "/x/{y}") is config.endpoints["GET:/x/{y}"]
    assert config.get_endpoint_config("POST", "/x/{y}") is None
    assert config.get_endpoint_config("GET", "/x/1") is None


def test_the_same_method_and_path_again_replace_the_endpoint_in_its_place(  # M5
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = APIHandlerConfig()
    for path in ("/a", "/b", "/c"):
        config.add_endpoint_handler(path)
    assert warnings(caplog) == []

    config.add_endpoint_handler("b", "post", APIHandlerAction.FORBID)

    assert [endpoint.path for endpoint in config.endpoints.values()] == ["/a", "/b", "/c"]
    assert config.endpoints["POST:/b"].action is APIHandlerAction.FORBID
    assert warnings(caplog) == ["The endpoint POST:/b is replaced."]


def test_two_keys_of_one_endpoint_in_a_dictionary_are_a_replacement_too(  # M5
    caplog: pytest.LogCaptureFixture,
) -> None:
    endpoints = {"POST:/x": {"path": "/x"}, "POST:/y": {"path": "/y"}}
    APIHandlerConfig(endpoints=endpoints)  # type: ignore[arg-type]
    assert warnings(caplog) == []

    config = APIHandlerConfig(endpoints={**endpoints, "post:x": {"path": "x", "action": "forbid"}})  # type: ignore[dict-item]

    assert [(key, endpoint.action.value) for key, endpoint in config.endpoints.items()] == [
        ("POST:/x", "forbid"),
        ("POST:/y", "allow"),
    ]
    assert warnings(caplog) == ["The endpoint POST:/x is replaced."]


@pytest.mark.parametrize(("path", "method"), [("/y", "POST"), ("/x", "GET"), ("/x/", "POST"), ("/X", "post")])
def test_removing_an_endpoint_that_is_not_there_does_nothing(
    path: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = APIHandlerConfig()
    config.add_endpoint_handler("/x")

    config.remove_endpoint_handler(path, method)

    assert list(config.endpoints) == ["POST:/x"]
    assert caplog.records == []


# --- the OpenAI frontend


def frontend(*arguments: Any, **named: Any) -> APIHandlerConfig:
    config = APIHandlerConfig()
    config.set_openai_frontend(*arguments, **named)
    return config


def test_registration_adds_to_what_is_there() -> None:  # C2
    config = APIHandlerConfig()
    config.add_endpoint_handler("/health", HTTPMethod.GET)
    config.set_openai_frontend([OpenAIEndpoint.RESPONSES], "/v1")
    config.set_openai_frontend(["chat_completions"], prefix="/v2")
    config.set_openai_frontend([])

    responses = frontend(["responses"], "/v1").endpoints
    chat = frontend(["chat_completions"], "/v2").endpoints
    assert list(config.endpoints) == ["GET:/health", *responses, *chat]


def test_registering_a_group_again_replaces_its_endpoints_in_their_places(  # C2 M5
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = APIHandlerConfig()
    config.add_endpoint_handler("/v1/responses")
    config.add_endpoint_handler("/health", HTTPMethod.GET)
    config.set_openai_frontend([OpenAIEndpoint.RESPONSES], "/v1")

    assert list(config.endpoints)[:2] == ["POST:/v1/responses", "GET:/health"]
    assert config.endpoints["POST:/v1/responses"].operation == "responses.create"
    assert warnings(caplog) == ["The endpoint POST:/v1/responses is replaced."]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (None, list(OpenAIEndpoint)),
        ([OpenAIEndpoint.RESPONSES], ["responses"]),
        (["responses"], ["responses"]),
        (["responses", OpenAIEndpoint.RESPONSES], ["responses"]),
        ((group for group in ["responses", "chat_completions"]), ["responses", "chat_completions"]),
        ([], []),
    ],
)
def test_groups_are_given_as_members_names_or_none_for_all(groups: Any, expected: list[str]) -> None:  # C2
    config = frontend(groups)

    operations = [operation.name for group in expected for operation in contract.shipped().operations(group)]
    assert [endpoint.operation for endpoint in config.endpoints.values()] == operations


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (None, [""]),
        ("/v1", ["/v1"]),
        (["/v1"], ["/v1"]),
        (("/v1", "/v2", "/v1"), ["/v1", "/v2"]),
        ((prefix for prefix in ["/v1", "/a/b"]), ["/v1", "/a/b"]),
        ("/t/{tenant}", ["/t/{tenant}"]),
    ],
)
def test_a_prefix_or_several_stand_before_every_path(  # C2
    prefix: Any, expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    bare = frontend(["responses"]).endpoints

    config = frontend(["responses"], prefix)

    assert [(endpoint.http_method, endpoint.path) for endpoint in config.endpoints.values()] == [
        (endpoint.http_method, item + endpoint.path) for item, endpoint in product(expected, bare.values())
    ]
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("arguments", "named"), [((["nothing"],), {}), ((), {"prefix": ["/v1", "v2"]}), ((), {"prefix": "/{response_id}"})]
)
def test_a_registration_that_fails_adds_nothing(arguments: Any, named: Any) -> None:
    config = APIHandlerConfig()

    with pytest.raises(ConfigurationError):
        config.set_openai_frontend(*arguments, **named)

    assert config.endpoints == {}


# --- body mappings


@pytest.mark.parametrize(
    ("added", "left", "replaced"),
    [
        ([("$.a", "a"), ("$.b", "b")], [("$.a", "a", False), ("$.b", "b", False)], 0),
        ([("$.a", "x"), ("$.a", "y")], [("$.a", "y", False)], 1),
        ([("$.a", "x"), ("$.b", "x")], [("$.b", "x", False)], 1),
        ([("$.a", "x"), ("$.b", "y"), ("$.a", "y")], [("$.a", "y", False)], 2),
        ([("$.a", "x", True), ("$.a", "x")], [("$.a", "x", False)], 1),
        ([("$.a", "x"), ("a", "y")], [("$.a", "x", False), ("a", "y", False)], 0),
        ([("$.a", "x"), ("$.A", "X")], [("$.a", "x", False), ("$.A", "X", False)], 0),
    ],
)
@pytest.mark.parametrize("way", ["add_mapping", "constructor", "dictionary", "setter"])
def test_a_duplicate_source_or_destination_replaces_the_earlier_rule(  # B6
    added: list[Any], left: list[Any], replaced: int, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    structs = [dict(zip(("source_path", "destination_path", "mandatory"), rule, strict=False)) for rule in added]
    body_mappings = BodyMappings()
    if way == "add_mapping":
        for rule in added:
            body_mappings.add_mapping(*rule)
    elif way == "setter":
        body_mappings.mappings = structs
    else:
        body_mappings = BodyMappings(structs) if way == "constructor" else BodyMappings.from_dict({"mappings": structs})

    assert rules(body_mappings) == left
    found = warnings(caplog)
    assert len(found) == replaced
    assert all(repr(added[-1][0]) in warning and "replaces" in warning for warning in found)


def test_an_identical_rule_again_is_no_replacement_of_another(caplog: pytest.LogCaptureFixture) -> None:  # B6
    body_mappings = mappings(("$.a", "x", True))
    body_mappings.add_mapping("$.a", "x", True)

    assert rules(body_mappings) == [("$.a", "x", True)]


@pytest.mark.parametrize("destination", ["b", "$.a", "A", ""])
def test_removing_a_mapping_that_is_not_there_does_nothing(  # B6
    destination: str, caplog: pytest.LogCaptureFixture
) -> None:
    body_mappings = mappings(("$.a", "a"))

    body_mappings.remove_mapping(destination)

    assert rules(body_mappings) == [("$.a", "a", False)]
    assert caplog.records == []


def test_a_mapping_is_removed_by_its_destination() -> None:  # B6
    body_mappings = mappings(("$.a", "x"), ("$.b", "y"))

    body_mappings.remove_mapping("x")
    body_mappings.add_mapping("$.a", "z")

    assert rules(body_mappings) == [("$.b", "y", False), ("$.a", "z", False)]


def test_mappings_are_a_list_of_dictionaries_that_may_be_set() -> None:
    body_mappings = mappings(("$.a", "a", True))
    assert body_mappings.mappings == [{"source_path": "$.a", "destination_path": "a", "mandatory": True}]

    body_mappings.mappings = [{"source_path": "$.b", "destination_path": "b"}]
    assert rules(body_mappings) == [("$.b", "b", False)]

    body_mappings.mappings = None
    assert body_mappings.mappings == []


@pytest.mark.parametrize(
    "source",
    [
        "$",
        "$.a",
        "a",
        "a_b",
        "message.content",
        "$['x y']",
        '$["x y"]',
        "['x y']",
        "$..id",
        "$.a[*]",
        "$.*",
        "$.a[0]",
        "$.a[-1]",
        "$.a[0:2]",
        "$.a[::2]",
        "$['a','b']",
        "$.a[0,1]",
        "$.é",
        "$.items[?@.price > 10].name",
        "$.items[?(@.name == 'x')]",
        "$.items[?length(@.name) > 2]",
    ],
)
def test_json_paths_are_taken_by_add_mapping(source: str) -> None:  # B5
    body_mappings = BodyMappings()
    body_mappings.add_mapping(source, "x")

    assert rules(body_mappings) == [(source, "x", False)]


@pytest.mark.parametrize(
    "source",
    [
        *("$.", "$[", "$.a[", "a[", "[", "$..", "a..", "a.", "$.a b", "a b", "$['a", "$['a'", "$.a]", "$$"),
        *("?", "$.a[?", "$.a[?@.b >]", "$.a[?nothing(@)]", "{x}", " ", "\n"),
    ],
)
def test_invalid_json_paths_fail_at_add_mapping(source: str) -> None:  # B5
    body_mappings = BodyMappings()

    with pytest.raises(ConfigurationError) as caught:
        body_mappings.add_mapping(source, "x")

    [mistake] = caught.value.mistakes
    assert (mistake.code, mistake.value) == ("source_path_invalid", source)
    assert rules(body_mappings) == []


@given(st.text(st.sampled_from("$.[]'\"*:?@()a0 ,-&|<>=!~^#{}\\\n"), max_size=8) | st.text(max_size=6))
def test_any_text_is_a_source_or_refused_as_one(source: str) -> None:  # B5 B6
    codes = codes_of(BodyMappings().add_mapping, source, "x")

    assert codes in ([], ["source_path_invalid"]) if source else codes == ["source_path_empty"]


@pytest.mark.parametrize("add", [BodyMapping, BodyMappings().add_mapping])
@pytest.mark.parametrize(
    ("source", "destination", "expected"),
    [
        ("", "a", ["source_path_empty"]),
        ("$.a", "", ["destination_path_empty"]),
        ("", "", ["source_path_empty", "destination_path_empty"]),
        ("$[", "", ["source_path_invalid", "destination_path_empty"]),
    ],
)
def test_every_mistake_in_a_mapping_is_told(  # B5 B6
    add: Callable[[str, str], Any], source: str, destination: str, expected: list[str]
) -> None:
    assert sorted(codes_of(add, source, destination)) == sorted(expected)
