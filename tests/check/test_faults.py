"""The check names what is wrong with an app, and nothing else: one fault is planted at a time."""

import logging
from collections.abc import Iterator

import pytest

from openai_middleware.check.result import Status
from openai_middleware.check.server import serving
from tests.support.checks import checked, told
from tests.support.faulty_app import FAULTS, FaultyApp

app = FaultyApp()
CHAT, RESPONSES, FILES = "chat.completions.create", "responses.create", "files"
DELTA = "response.output_text.delta"

# Where a fault is planted, and what is told.
PLANTED: dict[str, tuple[str, set[str]]] = {
    "no_message": (CHAT, {"sdk: choices[0].message: missing"}),
    "created_is_a_date": (CHAT, {"sdk: created: is a string, not an integer"}),
    "another_finish_reason": (
        CHAT,
        {
            "sdk: choices[0].finish_reason: is 'done', not 'stop', 'length', 'tool_calls', 'content_filter' or "
            "'function_call'"
        },
    ),
    "no_delta": (CHAT, {"sdk: choices[0].delta: missing"}),
    "no_done": (CHAT, {"wire: [DONE] never came"}),
    "no_finish_reason_ever": (CHAT, {"wire: choices[0].finish_reason: never came"}),
    "half_an_event": (CHAT, {"wire: the last event has no empty line after it"}),
    "stream_is_cut": (CHAT, {"wire: the answer broke off before its end"}),
    "whole_for_a_stream": (CHAT, {"wire: Content-Type: is application/json, not text/event-stream"}),
    "error_in_a_stream": (CHAT, {"wire: the stream ended with an error: The model\\x1b\\x00 is gone."}),
    "event_without_data": (CHAT, {"wire: an event has no data: 'event: ping'"}),
    "event_is_no_json": (CHAT, {"wire: the data of an event is no JSON: '{\"choices\": ['"}),
    "error_is_a_string": (CHAT, {"wire: error: is a string, not an object"}),
    "error_code_is_a_number": (CHAT, {"wire: error.code: is an integer, not a string or null"}),
    "error_without_an_envelope": (CHAT, {"wire: error: missing"}),
    "nothing_is_refused": (
        CHAT,
        {
            "wire: the status is 200 for a body that is no JSON, not 400 or 422",
            "wire: the status is 200 for a body without 'messages', not 400 or 422",
            "wire: the status is 200 for a body without 'model', not 400 or 422",
        },
    ),
    "error_with_200": ("embeddings", {"wire: the status is 200, and the body is an error: No such model."}),
    "html": ("embeddings", {"wire: Content-Type: is text/html, not application/json"}),
    "no_annotations": (
        RESPONSES,
        {
            "sdk: output[0].content[0].annotations: missing",
            "open-responses: output[0].content[0].annotations: missing",
        },
    ),
    "no_status": (RESPONSES, {"open-responses: status: missing"}),
    "no_tool_choice": (RESPONSES, {"sdk: tool_choice: missing", "open-responses: tool_choice: missing"}),
    "unknown_item": (
        RESPONSES,
        {
            "sdk: output[0].type: is 'note', which is none of what may stand here",
            "open-responses: output[0].type: is 'note', not 'message' or 'function_call' or 'function_call_output' or "
            "'reasoning' or 'compaction'",
        },
    ),
    "wrong_sequence_number": (RESPONSES, {"wire: sequence_number: is 4 after 4"}),
    "no_sequence_number": (
        RESPONSES,
        {f"sdk: {DELTA}.sequence_number: missing", f"open-responses: {DELTA}.sequence_number: missing"},
    ),
    "delta_is_a_number": (
        RESPONSES,
        {
            f"sdk: {DELTA}.delta: is an integer, not a string",
            f"open-responses: {DELTA}.delta: is an integer, not a string",
        },
    ),
    "no_terminal_event": (RESPONSES, {"wire: response.completed never came"}),
    "event_after_the_end": (RESPONSES, {"wire: response.in_progress came after response.completed"}),
    "no_created_event": (RESPONSES, {"wire: response.created never came"}),
    "item_is_never_added": (
        RESPONSES,
        {"wire: response.content_part.added came before response.output_item.added, for output_index 0"},
    ),
    "item_is_never_done": (RESPONSES, {"wire: response.output_item.done never came, for output_index 0"}),
    "event_is_called_otherwise": (RESPONSES, {f"wire: event: is 'delta' where the type is '{DELTA}'"}),
    "nothing_is_stored": ("responses", {"wire: the status is 507: The disk is full."}),
    "no_has_more": (FILES, {"wire: has_more: missing: the SDK would ask for page after page"}),
    "same_page_again": (FILES, {"wire: data: is the same on the next page: the list has no end"}),
    "nothing_is_deleted": (FILES, {"wire: the status is 200 for something that does not exist, not 404"}),
    "no_owner": ("models", {"sdk: data[1].owned_by: missing"}),
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # an answer that is cut is an error of the server
    try:
        with serving(app) as url:
            yield url
    finally:
        logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)


def test_nothing_is_wrong_with_an_app_without_a_fault(url: str) -> None:
    result = checked(f"{url}/none/v1")

    assert told(result) == set()
    assert [case.warnings for case in result.cases if case.warnings] == []
    assert result.exit_code == 0
    assert result.model == "m-1"
    absent = {case.operation for case in result.cases if case.status is Status.NOT_IMPLEMENTED}
    assert {operation for operation in absent if not operation.endswith(".list")} == {
        "completions.create",
        "moderations.create",
    }
    assert [str(case) for case in result.cases if case.status is Status.SKIPPED] == ["completions.create: errors"]
    assert result.count(Status.OK) > 45
    assert app.apps["none"].kept == {}, "what a check creates it deletes"
    assert len(app.connections) == len(set(app.connections)), "no request is sent on a connection that was used before"


def test_every_fault_is_looked_for() -> None:
    assert PLANTED.keys() == FAULTS.keys() - {"none", "no_usage", "no_end", "serves_nothing"}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_named_and_nothing_else(name: str, url: str) -> None:
    where, facts = PLANTED[name]

    result = checked(f"{url}/{name}/v1", only=(where,))

    assert told(result) == facts
    assert result.exit_code == 1


def test_without_usage_there_is_a_warning(url: str) -> None:
    result = checked(f"{url}/no_usage/v1", only=(CHAT, RESPONSES))

    assert result.exit_code == 0
    warned = {str(case) for case in result.cases if case.warnings}
    names = ("create", "several turns", "tools", "stream")
    assert warned >= {f"{operation}: {name}" for operation in (CHAT, RESPONSES) for name in names}
    assert {warning for case in result.cases for warning in case.warnings} == {"usage: missing"}


def test_an_oracle_that_is_not_asked_says_nothing(url: str) -> None:
    result = checked(f"{url}/no_annotations/v1", only=(RESPONSES,), oracles=("wire", "open-responses"))

    assert told(result) == {"open-responses: output[0].content[0].annotations: missing"}
    assert {oracle for case in result.cases for oracle in case.facts} == {"wire", "open-responses"}
