"""The contract agrees with the pinned SDK, and with what the SDK cannot tell."""

import ast
import functools
import inspect
import json
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Required

import openai
import pytest
from typing_extensions import TypedDict

from openai_middleware import contract
from openai_middleware.contract import Contract, OpenAIEndpoint, Operation
from openai_middleware.contract.generator import generate
from openai_middleware.contract.generator.open_responses import OpenResponses
from openai_middleware.contract.generator.sdk_source import UnreadableSourceError, read_sent_request
from openai_middleware.contract.generator.sdk_types import json_type, parameters
from openai_middleware.request.path_template import placeholder_names

SHIPPED = contract.shipped()
OPERATIONS = [operation for group in SHIPPED.groups for operation in SHIPPED.operations(group)]


def operation(name: str) -> Operation:
    found = SHIPPED.operation(name)
    assert found is not None
    return found


def routes(group: str) -> dict[str, str]:
    return {one.name: f"{one.method} {one.path}" for one in SHIPPED.operations(group)}


@pytest.fixture(scope="module")
def generated() -> dict[str, Any]:
    return generate.generate()


# --- the data file and the SDK


def test_shipped_file_is_what_the_pinned_sdk_yields(generated: dict[str, Any]) -> None:  # C1
    assert SHIPPED.version == openai.__version__

    assert generate.render(generated) == contract.SHIPPED.read_text("utf-8"), "run: make contract"


def test_generated_document_is_the_content_of_the_file(generated: dict[str, Any]) -> None:
    assert json.loads(generate.render(generated)) == generated


def test_all_150_operations_are_there_and_their_routes_are_unique() -> None:  # C1
    pairs = Counter((one.method, one.path) for one in OPERATIONS)

    print(
        f"{len(OPERATIONS)} operations of openai {SHIPPED.version}, {len(pairs)} routes, {len(SHIPPED.groups)} groups"
    )
    assert len(OPERATIONS) == 150
    assert set(pairs.values()) == {1}


def test_every_request_in_the_source_of_the_sdk_is_in_the_contract() -> None:  # C1
    """Looks for calls in the files, where the generator walks the client's attributes."""
    resources = Path(inspect.getfile(openai)).parent / "resources"
    files = [path for path in resources.rglob("*.py") if path.relative_to(resources).parts[0] not in ("admin", "beta")]
    sent = {route for path in files for route in requests_sent(ast.parse(path.read_text("utf-8")))}

    assert sent == {(one.method, one.path.replace(":path}", "}")) for one in OPERATIONS}


def requests_sent(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=attribute), args=[path, *_]):
                verb = attribute.removesuffix("_api_list").removeprefix("_")
                literals = [leaf.value for leaf in ast.walk(path) if isinstance(leaf, ast.Constant)]
                methods = [ast.literal_eval(word.value) for word in node.keywords if word.arg == "method"]
                if verb in ("get", "post", "put", "patch", "delete", "request"):
                    yield (methods or [verb])[0].upper(), str(literals[0])


@pytest.mark.parametrize("one", OPERATIONS, ids=lambda one: one.name)
def test_each_argument_of_the_sdk_method_is_sent_in_path_query_or_body(one: Operation) -> None:  # C1 O12
    *attributes, method = one.name.split(".")
    with openai.OpenAI(api_key="not used") as client:
        resource = functools.reduce(getattr, attributes, client)
    arguments = set(inspect.signature(inspect.unwrap(getattr(resource, method))).parameters)
    arguments -= {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
    in_path = set(placeholder_names(one.path))
    call = OpenResponses.load().calls.get(f"{one.method} {one.path}")

    assert in_path | set(one.body) | set(one.query) == arguments | set(call.body if call else ())


def test_overlay_has_nothing_that_the_pinned_sdk_lacks(generated: dict[str, Any]) -> None:  # C1
    overlay = tomllib.loads(generate.OVERLAY.read_text("utf-8"))
    schemas = generated["schemas"]

    for name, fields in overlay["required_nullable"].items():
        assert {field: schemas[name].get(field) for field in fields} == {field: [True, True] for field in fields}
    assert set(overlay["schemas"]) <= set(schemas)
    assert {*overlay["lists"], *overlay["operations"]} <= set(SHIPPED.operation_names())


# --- what it says


def test_core_groups_have_6_and_7_operations() -> None:  # C3
    assert routes(OpenAIEndpoint.CHAT_COMPLETIONS) == {
        "chat.completions.create": "POST /chat/completions",
        "chat.completions.delete": "DELETE /chat/completions/{completion_id}",
        "chat.completions.list": "GET /chat/completions",
        "chat.completions.messages.list": "GET /chat/completions/{completion_id}/messages",
        "chat.completions.retrieve": "GET /chat/completions/{completion_id}",
        "chat.completions.update": "POST /chat/completions/{completion_id}",
    }
    assert routes(OpenAIEndpoint.RESPONSES) == {
        "responses.cancel": "POST /responses/{response_id}/cancel",
        "responses.compact": "POST /responses/compact",
        "responses.create": "POST /responses",
        "responses.delete": "DELETE /responses/{response_id}",
        "responses.input_items.list": "GET /responses/{response_id}/input_items",
        "responses.input_tokens.count": "POST /responses/input_tokens",
        "responses.retrieve": "GET /responses/{response_id}",
    }


def test_every_endpoint_group_is_in_the_contract() -> None:  # C1
    assert set(OpenAIEndpoint) <= set(SHIPPED.groups)


def test_groups_are_the_resources_of_the_client() -> None:  # C1
    assert SHIPPED.groups == tuple(sorted({one.group for one in OPERATIONS}))
    assert {"audio", "conversations", "files", "fine_tuning", "models", "vector_stores"} <= set(SHIPPED.groups)
    assert not {"admin", "beta", "chat"} & set(SHIPPED.groups)


def test_chat_create_takes_deprecated_fields_too() -> None:  # C5
    body = operation("chat.completions.create").body

    assert {name for name, mandatory in body.items() if mandatory} == {"messages", "model"}
    assert {"max_tokens", "functions", "function_call", "user", "seed"} <= set(body)


@pytest.mark.parametrize(
    ("name", "mandatory"),
    [
        ("responses.create", set()),
        ("chat.completions.update", {"metadata"}),
        ("completions.create", {"model", "prompt"}),
        ("embeddings.create", {"input", "model"}),
        ("conversations.items.create", {"items"}),
        ("images.edit", {"image", "prompt"}),
        ("audio.voices.create", {"name"}),
        ("uploads.complete", {"part_ids"}),
    ],
)
def test_body_fields_are_mandatory_where_every_form_of_the_call_requires_them(name: str, mandatory: set[str]) -> None:
    assert {field for field, is_mandatory in operation(name).body.items() if is_mandatory} == mandatory  # C1


def test_delete_of_a_response_has_no_answer_to_map() -> None:  # C4
    assert operation("responses.delete").response == "none"
    assert operation("responses.delete").fields == {}


def test_a_response_has_14_mandatory_fields_and_6_of_them_are_nullable() -> None:  # O4
    fields = operation("responses.create").fields

    assert {name for name, field in fields.items() if field.mandatory} == {
        *("id", "created_at", "error", "incomplete_details", "instructions", "metadata", "model"),
        *("object", "output", "parallel_tool_calls", "temperature", "tool_choice", "tools", "top_p"),
    }
    assert operation("responses.create").nullable == {
        *("error", "incomplete_details", "instructions", "metadata", "temperature", "top_p")
    }
    assert operation("responses.retrieve").fields == operation("responses.cancel").fields == fields


def test_nullable_is_what_is_both_mandatory_and_nullable() -> None:  # O4
    for one in OPERATIONS:
        both = {name for name, (mandatory, nullable) in one.fields.items() if mandatory and nullable}
        assert one.nullable == both, one.name
    assert operation("chat.completions.create").nullable == operation("responses.delete").nullable == frozenset()
    assert operation("skills.list").nullable == {"first_id", "last_id"}


def test_a_chat_completion_has_its_fields() -> None:  # C1
    fields = operation("chat.completions.create").fields

    assert {name for name, field in fields.items() if field.mandatory} == {
        "id",
        "choices",
        "created",
        "model",
        "object",
    }
    assert {"usage", "service_tier", "system_fingerprint", "metadata"} <= set(fields)


def paginated() -> list[Operation]:
    return [one for one in OPERATIONS if "has_more" in one.fields]


def test_lists_must_say_whether_there_is_more() -> None:  # C1
    assert {tuple(one.fields["has_more"]) for one in paginated()} == {(True, False)}
    assert {one.fields["data"].mandatory for one in paginated()} == {True}


def test_all_lists_are_paginated_but_those_that_are_always_complete() -> None:  # C1
    lists = {one.name for one in OPERATIONS if one.name.rpartition(".")[2].startswith("list")}
    pages = {one.name for one in paginated()}

    assert lists - pages == {"models.list", "webhooks.event_types.list"}
    assert pages - lists == {
        "conversations.items.create",
        "fine_tuning.checkpoints.permissions.create",
        "vector_stores.files.content",
        "vector_stores.search",
    }


@pytest.mark.parametrize("name", ["chat.completions.list", "responses.input_items.list", "conversations.items.list"])
def test_lists_keep_their_envelope(name: str) -> None:  # C1
    fields = operation(name).fields

    assert set(fields) == {"object", "data", "has_more", "first_id", "last_id"}
    assert {field for field in fields if fields[field].mandatory} == {"data", "has_more"}


def test_lists_whose_description_has_more_keep_it() -> None:  # C1
    assert operation("vector_stores.search").fields["next_page"] == (True, True)
    assert operation("skills.list").fields["first_id"] == (True, True)
    assert operation("models.list").fields == {"data": (True, False), "object": (True, False)}


def test_query_parameters_have_types() -> None:  # Q4
    assert operation("chat.completions.list").query == {
        "after": (False, "string"),
        "limit": (False, "integer"),
        "metadata": (False, "object"),
        "model": (False, "string"),
        "order": (False, "string"),
    }
    assert operation("responses.retrieve").query == {
        "include": (False, "array"),
        "include_obfuscation": (False, "boolean"),
        "starting_after": (False, "integer"),
        "stream": (False, "boolean"),
    }


def test_no_query_parameter_is_mandatory() -> None:
    assert not [one.name for one in OPERATIONS for parameter in one.query.values() if parameter.mandatory]


def test_a_field_goes_into_the_query_or_the_body_as_the_sdk_sends_it() -> None:  # C1
    items_create = operation("conversations.items.create")

    assert items_create.body == {"items": True}
    assert items_create.query == {"include": (False, "array")}


def test_request_kinds() -> None:  # C1
    assert {one.name for one in OPERATIONS if one.request == "multipart"} == {
        "audio.transcriptions.create",
        "audio.translations.create",
        "audio.voice_consents.create",
        "audio.voices.create",
        "containers.files.create",
        "content_provenance_checks.create",
        "files.create",
        "images.create_variation",
        "images.edit",
        "realtime.calls.create",
        "skills.create",
        "skills.versions.create",
        "uploads.parts.create",
        "videos.create",
        "videos.create_character",
        "videos.edit",
        "videos.extend",
    }
    assert operation("vector_stores.search").request == "json"
    assert operation("responses.cancel").request == operation("models.list").request == "none"


def test_only_operations_without_a_body_have_no_body_fields() -> None:
    assert {one.name for one in OPERATIONS if not one.body} == {one.name for one in OPERATIONS if one.request == "none"}


def test_response_kinds() -> None:  # C1
    assert {one.name for one in OPERATIONS if one.response == "binary"} == {
        "audio.speech.create",
        "containers.files.content.retrieve",
        "files.content",
        "live.sessions.download_recording",
        "realtime.calls.create",
        "skills.content.retrieve",
        "skills.versions.content.retrieve",
        "videos.download_content",
    }
    assert {one.name for one in OPERATIONS if one.response == "json"} == {one.name for one in OPERATIONS if one.fields}


def test_an_answer_of_several_forms_has_the_fields_of_all() -> None:  # C1
    fields = operation("audio.transcriptions.create").fields

    assert {name for name, field in fields.items() if field.mandatory} == {"text"}
    assert {"duration", "segments", "usage", "words"} <= set(fields)


def test_streams_of_one_kind_of_event() -> None:  # S2
    assert operation("chat.completions.create").stream == "ChatCompletionChunk"
    chunk = SHIPPED.stream("ChatCompletionChunk").events[""]
    assert {"id", "choices", "created", "model", "object", "usage", "service_tier"} <= set(chunk.fields)
    assert chunk.nested == {}
    assert set(SHIPPED.stream("Completion").events) == {""}


def test_streams_of_typed_events() -> None:  # S2
    assert operation("responses.create").stream == operation("responses.retrieve").stream == "ResponseStreamEvent"
    events = SHIPPED.stream("ResponseStreamEvent").events
    assert events["response.output_text.delta"].fields == (
        *("content_index", "delta", "item_id", "logprobs", "obfuscation", "output_index", "sequence_number", "type"),
    )
    assert all("type" in event.fields and "sequence_number" in event.fields for event in events.values())


@pytest.mark.parametrize(
    ("name", "is_typed", "is_numbered"),
    [
        ("ChatCompletionChunk", False, False),
        ("Completion", False, False),
        ("ResponseStreamEvent", True, True),
        ("TranscriptionStreamEvent", True, False),
        ("ImageGenStreamEvent", True, False),
        ("ImageEditStreamEvent", True, False),
    ],
)
def test_streams_say_how_their_events_are_told_apart_and_whether_they_are_counted(  # S2 S3
    name: str, is_typed: bool, is_numbered: bool
) -> None:
    stream = SHIPPED.stream(name)

    assert (stream.is_typed, stream.is_numbered) == (is_typed, is_numbered)


def test_a_stream_is_numbered_only_if_every_event_is(tmp_path: Path) -> None:  # S3
    def change(document: dict[str, Any]) -> None:
        document["streams"]["ResponseStreamEvent"]["events"]["response.queued"]["fields"].remove("sequence_number")

    assert not Contract.load(changed(tmp_path, change)).stream("ResponseStreamEvent").is_numbered


def test_events_that_wrap_a_response_say_so() -> None:  # S2
    events = SHIPPED.stream("ResponseStreamEvent").events
    assert {name for name, event in events.items() if event.nested} == {
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    }
    assert events["response.completed"].nested == {"response": operation("responses.create").fields}


def test_streams_are_those_of_the_sdk() -> None:
    assert {one.name: one.stream for one in OPERATIONS if one.stream} == {
        "audio.transcriptions.create": "TranscriptionStreamEvent",
        "chat.completions.create": "ChatCompletionChunk",
        "completions.create": "Completion",
        "images.edit": "ImageEditStreamEvent",
        "images.generate": "ImageGenStreamEvent",
        "responses.create": "ResponseStreamEvent",
        "responses.retrieve": "ResponseStreamEvent",
    }


# --- loading it


def test_importing_the_contract_does_not_import_the_sdk() -> None:
    code = "import sys; from openai_middleware import contract; contract.shipped(); print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of the shipped file with something wrong."""
    document = json.loads(contract.SHIPPED.read_bytes())
    change(document)
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_only_the_groups_that_are_asked_for_are_decoded(tmp_path: Path) -> None:
    loaded = Contract.load(changed(tmp_path, lambda document: document["groups"].update(files={"files.list": 5})))

    assert len(loaded.operations("responses")) == 7
    assert loaded.operations("responses") == loaded.operations(OpenAIEndpoint.RESPONSES)
    with pytest.raises(
        ValueError, match=r"contract\.json is not a contract of format 1: group files: Expected `object`"
    ):
        loaded.operations("files")


def test_operations_are_found_by_name() -> None:
    assert operation("responses.retrieve").path == "/responses/{response_id}"
    assert SHIPPED.operation("responses.parse") is None
    assert set(SHIPPED.operation_names()) == {one.name for one in OPERATIONS}


def test_unknown_names_are_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"has no group 'chat'\. It has: audio, batches, chat_completions"):
        SHIPPED.operations("chat")
    with pytest.raises(ValueError, match=r"has no stream 'Events'\. It has: ChatCompletionChunk"):
        SHIPPED.stream("Events")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"format": 2}', "format"),
        (b'{"format": 1, "openai": "3.54.0", "groups": {}}', "missing required field `schemas`"),
        (b"\xff", "malformed"),
        (b'{"format": "' + b"\xff" + b'"}', ""),
    ],
)
def test_a_file_that_is_no_contract_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=rf"other\.json is not a contract of format 1: .*{reason}"):
        Contract.load(path)


def test_a_contract_without_a_schema_that_it_names_is_refused(tmp_path: Path) -> None:
    loaded = Contract.load(changed(tmp_path, lambda document: document["schemas"].pop("Response")))

    with pytest.raises(ValueError, match="has no schema 'Response'"):
        loaded.operations("responses")
    with pytest.raises(ValueError, match="has no schema 'Response'"):
        loaded.stream("ResponseStreamEvent")


def test_a_file_written_before_there_were_items_and_open_responses_is_still_a_contract(tmp_path: Path) -> None:  # C1
    def change(document: dict[str, Any]) -> None:
        del document["items"], document["open_responses"]
        for group in document["groups"].values():
            for entry in group.values():
                del entry["items"]

    loaded = Contract.load(changed(tmp_path, change))

    loaded.check()
    listing = loaded.operation("files.list")
    assert listing
    assert listing.item_fields == frozenset()
    assert loaded.open_responses is None
    assert loaded.operation_names() == SHIPPED.operation_names()


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Contract.load(tmp_path / "nowhere.json")


# --- reading the SDK's source: forms that the pinned SDK does not have, but other versions do


class Resource:
    """Methods as the SDK writes them; they are read, never called."""

    _get: Any
    _post: Any

    def formatted_path(self, part_id: str) -> object:
        return self._get(f"/parts/{part_id}/content", options=make_request_options())

    def body_in_a_variable(self, name: str) -> object:
        params = {"name": name}
        params = wrap(params)
        return self._post("/parts", body=maybe_transform(params, Params), options=make_request_options())

    def unknown_path(self, path: str) -> object:
        return self._get(path.lower(), options=make_request_options())

    def unknown_fields(self, **fields: object) -> object:
        return self._post("/parts", body=maybe_transform(fields, Params), options=make_request_options())

    def unknown_keys(self, name: str) -> object:
        return self._post("/parts", body=maybe_transform({name: 1}, Params), options=make_request_options())

    def untyped_body(self, name: str) -> object:
        return self._post("/parts", body={"name": name}, options=make_request_options())

    def unknown_stream(self, kind: Any) -> object:
        return self._post("/parts", options=make_request_options(), stream=True, stream_cls=kind)

    def computed_path(self, path: str) -> object:
        return self._get(f"/parts/{path.lower()}", options=make_request_options())

    def two_requests(self) -> object:
        return self._get("/a") or self._get("/b")

    def no_request(self) -> object:
        return self.two_requests()


make_request_options: Any = None
maybe_transform: Any = None
wrap: Any = None
Params: Any = None


def test_paths_may_be_formatted_strings() -> None:
    request = read_sent_request(Resource.formatted_path)

    assert request is not None
    assert (request.method, request.path, request.body) == ("GET", "/parts/{part_id}/content", None)


def test_bodies_may_be_put_into_a_variable_first() -> None:
    request = read_sent_request(Resource.body_in_a_variable)

    assert request is not None
    assert request.body is not None
    assert (request.body.keys, request.body.types) == (("name",), ("Params",))


def test_methods_that_send_nothing_themselves_are_no_operations() -> None:
    assert read_sent_request(Resource.no_request) is None


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (Resource.unknown_path, "cannot tell the path from self._get(path.lower(), "),
        (Resource.computed_path, "cannot tell the path from"),
        (Resource.unknown_stream, "cannot tell the events from kind"),
        (Resource.unknown_fields, "cannot tell the fields from fields"),
        (Resource.unknown_keys, "cannot tell the fields from {name: 1}"),
        (Resource.untyped_body, "cannot tell the fields from {'name': name}"),
        (Resource.two_requests, "sends 2 requests"),
    ],
)
def test_what_cannot_be_read_is_an_error_and_never_left_out(method: Callable[..., object], reason: str) -> None:
    with pytest.raises(UnreadableSourceError) as caught:
        read_sent_request(method)

    assert f"Resource.{method.__name__}" in str(caught.value)
    assert reason in str(caught.value)


class Alias(NamedTuple):
    alias: str


class Base(TypedDict):
    inherited: str
    not_inherited: NotRequired[int]


class Streaming(Base, total=False):
    marked: Required[Annotated[str, Alias("markedName")]]
    number: int | float | None
    mixed: bool | list[str]
    stream: Required[Literal[True]]


class NotStreaming(Base, total=False):
    marked: Required[Annotated[str, Alias("markedName")]]
    stream: Literal[False]


def test_mandatory_is_what_is_so_in_every_form_by_marker_or_by_class() -> None:
    """With the `TypedDict` of typing_extensions, as in the SDK; typing's does not remember its bases."""
    keys = ["inherited", "not_inherited", "marked", "number", "mixed", "stream"]

    assert parameters([Streaming | NotStreaming], keys, json_type) == {
        "inherited": (True, "string"),
        "not_inherited": (False, "integer"),
        "markedName": (True, "string"),
        "number": (False, "number"),
        "mixed": (False, "string"),
        "stream": (False, "boolean"),
    }


def test_a_parameter_that_no_type_has_is_an_error() -> None:
    with pytest.raises(KeyError, match="absent"):
        parameters([dict], ["absent"], json_type)
