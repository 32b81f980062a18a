"""The contract is the union of the SDK and the Open Responses document."""

import copy
import json
import subprocess
import sys
from typing import Any

import pytest

from openai_middleware import OpenAIMiddleware
from openai_middleware.contract import Contract, Operation, ResponseField, Stream, shipped
from openai_middleware.contract.contract import OPEN_RESPONSES
from openai_middleware.contract.drift import drift, report
from openai_middleware.contract.generator import generate
from openai_middleware.contract.generator.open_responses import OpenResponses, unite
from tests.support.drivers import App, request

Document = dict[str, Any]

PUBLISHED: Document = json.loads(OPEN_RESPONSES.read_bytes())

# What a document might have beside that which is known, all of it required.
FICTION: Document = {
    "date": "2026-12-24",
    "paths": {"POST /responses": ["Asked", "Answered"], "POST /dreams": ["Asked", "Answered"]},
    "schemas": {
        "Asked": {"model": [True, False, "string"], "night": [True, False, "integer"]},
        "Answered": {
            "id": [True, True, "string"],
            "error": [True, False, "object"],
            "meaning": [True, True, "string"],
            "usage": [True, True, "object"],
        },
        "DreamtStreamingEvent": {
            "type": [True, False, "=response.dreamt"],
            "sequence_number": [True, False, "integer"],
            "dream": [True, False, "Answered"],
        },
        "CompletedStreamingEvent": {
            "type": [True, False, "=response.completed"],
            "last_dream": [True, False, "Answered"],
            "depth": [True, False, "integer"],
        },
        "Sheep": {"id": [True, False, "string"], "wool": [True, False, "string"]},
        "Pillow": {"feathers": [True, False, "integer"]},
        "ItemField": "Sheep",
        "ItemParam": "Sheep or Pillow",
    },
}


@pytest.fixture(scope="module")
def of_the_sdk() -> Document:
    return generate.of_the_sdk()


def united(of_the_sdk: Document, content: Document) -> Contract:
    document = copy.deepcopy(of_the_sdk)
    unite(document, OpenResponses(content))
    return loaded(document)


def loaded(document: Document) -> Contract:
    return Contract(json.dumps(document).encode(), "a test")


def operation(name: str, contract: Contract | None = None) -> Operation:
    found = (contract or shipped()).operation(name)
    assert found is not None
    return found


def responses_stream(contract: Contract) -> Stream:
    return contract.stream("ResponseStreamEvent")


# --- the shipped contract


def test_document_says_where_it_is_from() -> None:  # O12
    assert PUBLISHED["source"].startswith("Open Responses specification, OpenAPI document")
    assert PUBLISHED["license"] == "Apache-2.0"
    assert shipped().open_responses == PUBLISHED["date"] == "2026-04-24"


def test_what_only_the_document_has_is_added_and_nothing_else_changes(of_the_sdk: Document) -> None:  # O12
    assert report(drift(loaded(of_the_sdk), shipped())).splitlines() == [
        "responses",
        "  + responses.cancel, responses.create, responses.retrieve: answer field frequency_penalty (optional)",
        "  + responses.cancel, responses.create, responses.retrieve: answer field presence_penalty (optional)",
        "  + responses.cancel, responses.create, responses.retrieve: answer field store (optional)",
        "  + responses.create: body field frequency_penalty (optional)",
        "  + responses.create: body field presence_penalty (optional)",
        "",
        "stream ResponseStreamEvent",
        "  + error: field error",
        "  + response.completed, response.created, response.failed, response.in_progress, response.incomplete, "
        "response.queued: field response.frequency_penalty (optional)",
        "  + response.completed, response.created, response.failed, response.in_progress, response.incomplete, "
        "response.queued: field response.presence_penalty (optional)",
        "  + response.completed, response.created, response.failed, response.in_progress, response.incomplete, "
        "response.queued: field response.store (optional)",
        "  + response.function_call_arguments.delta, response.output_text.delta, "
        "response.reasoning_summary_text.delta: field obfuscation",
        "  + response.reasoning.delta, response.reasoning.done: event",
    ]


def test_everything_that_the_document_has_is_in_the_contract() -> None:  # O12
    schemas = PUBLISHED["schemas"]
    create, compact = operation("responses.create"), operation("responses.compact")

    assert schemas["CreateResponseBody"].keys() <= create.body.keys()
    assert schemas["ResponseResource"].keys() <= create.fields.keys()
    assert schemas["CompactResponseMethodPublicBody"].keys() <= compact.body.keys()
    assert schemas["CompactResource"].keys() <= compact.fields.keys()
    events = responses_stream(shipped()).events
    described = {name: fields for name, fields in schemas.items() if name.endswith("StreamingEvent")}
    assert len(described) == 24
    for fields in described.values():
        event = events[fields["type"][2].removeprefix("=")]
        assert fields.keys() <= set(event.fields)
        answers = {field for field, (*_, kind) in fields.items() if kind == "ResponseResource"}
        assert event.nested == dict.fromkeys(answers, create.fields)
    items = {field for kind in kinds("ItemField", "ItemParam") for field in schemas[kind]}
    assert {"encrypted_content", "phase", "created_by"} <= items <= operation("responses.input_items.list").item_fields


def kinds(*unions: str) -> list[str]:
    return [kind for union in unions for kind in PUBLISHED["schemas"][union].split(" or ")]


def test_a_response_keeps_its_text_which_the_sdk_computes_and_never_has_to_have_it() -> None:  # O12
    for name in ("responses.create", "responses.retrieve", "responses.cancel"):
        assert operation(name).fields["output_text"] == (False, True)
    completed = responses_stream(shipped()).events["response.completed"]
    assert completed.nested["response"]["output_text"] == (False, True)


def test_responses_events_of_both_are_numbered_and_told_apart_by_type() -> None:  # O12 S3
    stream = responses_stream(shipped())

    assert (stream.is_typed, stream.is_numbered) == (True, True)


async def test_what_open_responses_has_is_a_keyword_argument_and_stays_in_the_answer() -> None:  # O12
    penalties = {"presence_penalty": 0.5, "frequency_penalty": 0.25}
    mandatory = dict.fromkeys((name for name, field in operation("responses.create").fields.items() if field.mandatory))
    answer = {**mandatory, **penalties, "store": False, "output_text": "Yes."}
    app = App({**answer, "junk": 1})

    sent = await request(OpenAIMiddleware(app, prefix="/v1"), "POST", "/v1/responses", {"model": "m", **penalties})

    assert app.call.body_params == {"model": "m", **penalties}
    assert sent.json == answer


def test_the_document_is_not_read_at_run_time() -> None:  # O12 C1
    code = """if True:
        import sys
        opened = []
        sys.addaudithook(lambda event, arguments: event == "open" and opened.append(str(arguments[0])))
        from openai_middleware import OpenAIMiddleware, contract
        OpenAIMiddleware(print, prefix="/v1")
        contract.shipped().check()
        assert any(name.endswith("openai.json") for name in opened)
        print([name for name in opened if name.endswith("open-responses.json")])
        print([name for name in sys.modules if ".contract.generator" in name])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["[]", "[]"]


# --- the union


def test_what_a_document_adds_is_optional_whatever_it_says_itself(of_the_sdk: Document) -> None:  # O12
    contract = united(of_the_sdk, FICTION)

    assert contract.open_responses == "2026-12-24"
    create = operation("responses.create", contract)
    assert create.body["night"] is False
    assert create.fields["meaning"] == ResponseField(mandatory=False, nullable=True)
    assert create.nullable == operation("responses.create", loaded(of_the_sdk)).nullable
    assert operation("responses.retrieve", contract).fields == create.fields


def test_what_both_have_is_as_the_sdk_has_it(of_the_sdk: Document) -> None:  # O12
    before = operation("responses.create", loaded(of_the_sdk))
    after = operation("responses.create", united(of_the_sdk, FICTION))

    assert after.body.items() >= before.body.items()
    assert after.fields.items() >= before.fields.items()
    assert after.body["model"] is False
    assert [after.fields[name] for name in ("id", "error", "usage")] == [(True, False), (True, True), (False, True)]


def test_events_of_a_document_are_added_and_the_answers_in_them_are_known(of_the_sdk: Document) -> None:  # O12
    contract = united(of_the_sdk, FICTION)
    response = operation("responses.create", contract).fields
    before, after = responses_stream(loaded(of_the_sdk)).events, responses_stream(contract).events

    assert after["response.dreamt"].fields == ("dream", "sequence_number", "type")
    assert after["response.dreamt"].nested == {"dream": response}
    completed = after["response.completed"]
    assert set(completed.fields) == {*before["response.completed"].fields, "depth", "last_dream"}
    assert completed.nested == {"response": response, "last_dream": response}
    assert after.keys() == before.keys() | {"response.dreamt"}


def test_items_of_a_document_are_kept_in_the_list_of_input_items(of_the_sdk: Document) -> None:  # O12 O11
    before, after = loaded(of_the_sdk), united(of_the_sdk, FICTION)
    name = "responses.input_items.list"

    assert operation(name, after).item_fields == operation(name, before).item_fields | {"wool", "feathers"}


def test_operations_that_the_sdk_has_not_are_left_out(of_the_sdk: Document) -> None:  # O12
    assert united(of_the_sdk, FICTION).operation_names() == shipped().operation_names()


@pytest.mark.parametrize("lacks", [["responses.compact", "responses.input_items.list"], ["responses.create"]])
def test_an_sdk_that_lacks_operations_of_the_document_is_united_all_the_same(  # O12
    lacks: list[str], of_the_sdk: Document
) -> None:
    older = copy.deepcopy(of_the_sdk)
    for name in lacks:
        del older["groups"]["responses"][name]

    contract = united(older, PUBLISHED)

    contract.check()
    assert set(contract.operation_names()) == set(shipped().operation_names()) - set(lacks)
