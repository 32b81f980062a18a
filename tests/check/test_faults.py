"""The check names what is wrong with an app, and nothing else: one fault is planted at a time."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from openai_middleware.check.result import Status
from openai_middleware.check.server import serving
from tests.support.checks import checked, told
from tests.support.faulty_app import FAULTS, TWENTY, FaultyApp

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
    "index_is_a_string": (CHAT, {"sdk: choices[0].index: is a string, not an integer"}),
    "created_is_a_string": (CHAT, {"sdk: created: is a string, not an integer"}),
    "usage_is_a_string": (CHAT, {"sdk: usage.prompt_tokens: is a string, not an integer"}),
    "parallel_is_a_string": (
        RESPONSES,
        {
            "sdk: parallel_tool_calls: is a string, not a boolean",
            "open-responses: parallel_tool_calls: is a string, not a boolean",
        },
    ),
    "bytes_are_a_string": (FILES, {"sdk: bytes: is a string, not an integer"}),
    "deleted_is_a_string": (FILES, {"sdk: deleted: is a string, not a boolean"}),
    "tokens_are_a_string": ("responses.input_tokens", {"sdk: input_tokens: is a string, not an integer"}),
    "store_size_is_a_string": ("vector_stores", {"sdk: usage_bytes: is a string, not an integer"}),
    "chunk_index_is_a_string": (CHAT, {"sdk: choices[0].index: is a string, not an integer"}),
    "no_choices": (CHAT, {"wire: choices: is empty"}),
    "failed_response": (RESPONSES, {"wire: the response failed: No."}),
    "response_in_progress": (RESPONSES, {"wire: status: is 'in_progress', not 'completed'"}),
    "empty_output": (RESPONSES, {"wire: output: is empty"}),
    "completed_in_progress": (
        RESPONSES,
        {"wire: response.completed.response.status: is 'in_progress', not 'completed'"},
    ),
    "completed_without_output": (RESPONSES, {"wire: response.completed.response.output: is empty"}),
    "one_embedding": ("embeddings", {"wire: data: holds 1 for 2 inputs"}),
    "not_a_number": (CHAT, {"wire: the body is no JSON: it holds NaN"}),
    "not_a_number_in_an_event": (
        RESPONSES,
        {'wire: the data of an event is no JSON: it holds Infinity: \'{"type": "response.output_text.delta", "\''},
    ),
    "utf_16": ("models", {"wire: the body is no JSON: it is not UTF-8"}),
    "created_status": (CHAT, {"wire: the status is 201, not 200"}),
    "no_content": (FILES, {"wire: the status is 204, not 200"}),
    "error_for_content": (FILES, {"wire: the status is 200, and the body is an error: It broke."}),
    "error_with_an_id": (CHAT, {"wire: the status is 200, and the body is an error: It broke."}),
    "completion_for_a_response": (
        RESPONSES,
        {
            "sdk: object: is 'chat.completion', not 'response'",
            "open-responses: object: is 'chat.completion', not 'response'",
        },
    ),
    "text_is_never_done": (RESPONSES, {"wire: response.output_text.done never came, for output_index 0"}),
    "part_is_never_done": (RESPONSES, {"wire: response.content_part.done never came, for output_index 0"}),
    "part_is_never_added": (RESPONSES, {"wire: response.content_part.added never came, for output_index 0"}),
    "created_twice": (RESPONSES, {"wire: response.created came twice"}),
    "item_added_twice": (RESPONSES, {"wire: response.output_item.added came twice, for output_index 0"}),
    "delta_of_another_item": (RESPONSES, {f"wire: {DELTA}.item_id: is 'msg_2', not 'msg_1'"}),
    "another_response": (RESPONSES, {"wire: response.completed.response.id: is not that of response.created"}),
    "event_without_type": (RESPONSES, {"sdk: type: missing", "open-responses: type: missing"}),
    "chunks_for_events": (RESPONSES, {"wire: no event has a type"}),
    "error_event": (RESPONSES, {"wire: the stream ended with an error: It broke."}),
    "named_error": (CHAT, {"wire: the stream ended with an error: It broke."}),
    "lines_without_data": (
        CHAT,
        {"wire: a line of the stream is neither data nor a comment: '{\"choices\": []}'"},
    ),
    "no_events": (CHAT, {"wire: the stream has no events"}),
    "user_in_output": (
        RESPONSES,
        {"sdk: output[0].role: is 'user', not 'assistant'"},
    ),
    "item_without_type": (RESPONSES, {"sdk: output[0].type: missing", "open-responses: output[0].type: missing"}),
    "listed_item_without_type": ("conversations", {"sdk: data[0].type: missing"}),
    "not_deleted": (FILES, {"wire: deleted: is false, not true"}),
    "another_is_deleted": (FILES, {"wire: id: is not that of the one that was asked for"}),
    "another_file": (FILES, {"wire: id: is not that of the one that was asked for"}),
    "another_model": ("models", {"wire: id: is not that of the one that was asked for"}),
    "no_object": (FILES, {"wire: object: missing"}),
    "no_first_id": (FILES, {"wire: first_id: missing"}),
    "no_last_id": ("responses", {"wire: last_id: missing"}),
    "list_stays_empty": (FILES, {"wire: data: is empty, and 3 were created"}),
    "more_of_nothing": (FILES, {"wire: has_more: is true where data is empty"}),
    "id_is_empty": ("conversations", {"wire: id: is empty"}),
    "file_without_a_name": (FILES, {"sdk: filename: missing"}),
    "id_is_missing": ("conversations", {"sdk: id: missing"}),
    "tools_are_not_found": (CHAT, {"wire: the status is 404: There are no tools."}),
    "model_is_not_found": (CHAT, {"wire: the status is 404: There is no such model."}),
    "cancel_breaks": ("responses", {"wire: the status is 500: It is over."}),
}
# What is planted otherwise has a test of its own.
ELSEWHERE = {
    "none",
    "no_usage",
    "no_end",
    "content_without_end",
    "serves_nothing",
    "nothing_is_of_use",
    "ends_early",
    "id_is_half_a_character",
    "twenty_at_once",
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


def test_every_fault_is_looked_for_and_counted_in_the_documentation() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"

    assert f"The check names each of {len(PLANTED)} faults" in page.read_text("utf-8")
    assert PLANTED.keys() == FAULTS.keys() - ELSEWHERE


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_named_and_nothing_else(name: str, url: str) -> None:
    where, facts = PLANTED[name]

    result = checked(f"{url}/{name}/v1", only=(where,))

    assert told(result) == facts
    assert result.exit_code == 1


def test_twenty_faults_of_one_app_are_named_and_nothing_else(url: str) -> None:
    result = checked(f"{url}/twenty_at_once/v1")

    assert len(TWENTY) == 20
    assert told(result) == set().union(*(PLANTED[name][1] for name in TWENTY))
    for name in TWENTY:
        where, facts = PLANTED[name]
        found = {line for case in result.cases if case.operation.startswith(where) for line in case.lines()}
        assert facts <= found, name


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
