"""The check and llm-comply, which was written elsewhere, agree on the cases that both have."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from llm_comply.config import ComplianceConfig
from llm_comply.runner import TestRunner as Comply
from llm_comply.schema import _SPECS_DIR, SpecLoader
from llm_comply.tests.open_responses import OPEN_RESPONSES_TESTS
from llm_comply.tests.openai_chat import OPENAI_CHAT_TESTS

from openai_middleware.check.result import Status
from openai_middleware.check.server import serving
from tests.check.test_faults import PLANTED
from tests.real_clients import agent
from tests.support.checks import checked
from tests.support.faulty_app import FaultyApp

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

CHAT, RESPONSES = "chat.completions.create", "responses.create"
# Its cases, and those of the check.
BOTH = {
    "chat-basic-response": f"{CHAT}: create",
    "chat-system-prompt": f"{CHAT}: several turns",
    "chat-multi-turn": f"{CHAT}: several turns",
    "chat-streaming-response": f"{CHAT}: stream",
    "chat-streaming-usage": f"{CHAT}: stream",
    "chat-error-handling": f"{CHAT}: errors",
    "basic-response": f"{RESPONSES}: create",
    "system-prompt": f"{RESPONSES}: several turns",
    "multi-turn": f"{RESPONSES}: several turns",
    "streaming-response": f"{RESPONSES}: stream",
    "streaming-usage": f"{RESPONSES}: stream",
    "error-handling": f"{RESPONSES}: errors",
    "compact-response": "responses.compact: compact",
}
# What it does not look at, so that it passes where the check does not: the fields of chunks, the end of the bytes, the
# names of events, whether what is begun is ended, whether events belong together, numbers that JSON does not have, the
# role of what is put out, and the envelope of an error.
NOT_LOOKED_AT = {
    "no_delta",
    "chunk_index_is_a_string",
    "stream_is_cut",
    "event_is_called_otherwise",
    "item_is_never_added",
    "item_is_never_done",
    "event_after_the_end",
    "event_without_data",
    "text_is_never_done",
    "part_is_never_done",
    "part_is_never_added",
    "created_twice",
    "item_added_twice",
    "delta_of_another_item",
    "another_response",
    "completed_without_output",
    "not_a_number",
    "not_a_number_in_an_event",
    "user_in_output",
    "error_is_a_string",
    "error_code_is_a_number",
    "error_without_an_envelope",
}
SPECS = {
    name: (SpecLoader(str(_SPECS_DIR / f"{name}.json")), tests)
    for name, tests in (("openresponses", OPEN_RESPONSES_TESTS), ("openai_chat", OPENAI_CHAT_TESTS))
}


def their_failures(base_url: str, model: str) -> set[str]:
    config = ComplianceConfig(base_url=base_url, api_key="none", model=model)
    found = [one for spec, tests in SPECS.values() for one in Comply(config, tests, spec).run_all().results]
    return {one.id for one in found if one.status.value == "failed"} & BOTH.keys()


def our_failures(base_url: str, model: str) -> set[str]:
    result = checked(base_url, model=model, only=(CHAT, RESPONSES, "responses.compact"))
    broken = {str(case) for case in result.cases if case.status is Status.BROKEN}
    return {theirs for theirs, ours in BOTH.items() if ours in broken}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    try:
        with serving(FaultyApp()) as url:
            yield url
    finally:
        logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)


@pytest.mark.parametrize("served", [agent.app, agent.bridged], ids=["replies", "bridge"])
def test_both_find_nothing_wrong_with_a_function_that_replies(served: Any) -> None:
    with serving(served) as url:
        assert their_failures(f"{url}/v1", "gpt-5-x") == set()
        assert our_failures(f"{url}/v1", "gpt-5-x") == set()


def test_both_find_nothing_wrong_with_an_app_without_a_fault(url: str) -> None:
    assert their_failures(f"{url}/none/v1", "m-1") == our_failures(f"{url}/none/v1", "m-1") == set()


# Those of the operations that llm-comply knows.
IN_BOTH = [name for name, (where, _) in PLANTED.items() if where in (CHAT, RESPONSES)]


@pytest.mark.parametrize("name", IN_BOTH)
def test_what_llm_comply_refuses_the_check_refuses_too(name: str, url: str) -> None:
    base_url = f"{url}/{name}/v1"

    theirs, ours = their_failures(base_url, "m-1"), our_failures(base_url, "m-1")

    assert theirs <= ours
    if name not in NOT_LOOKED_AT:
        assert bool(theirs) == bool(ours)


def test_no_usage_is_a_failure_there_and_a_warning_here(url: str) -> None:
    base_url = f"{url}/no_usage/v1"

    usage = {"chat-basic-response", "chat-streaming-usage", "basic-response", "streaming-usage"}
    assert their_failures(base_url, "m-1") == usage
    assert our_failures(base_url, "m-1") == set()


def test_a_response_that_ends_early_is_a_failure_there_and_content_here(url: str) -> None:
    base_url = f"{url}/ends_early/v1"

    assert {"basic-response", "streaming-response"} <= their_failures(base_url, "m-1")
    assert our_failures(base_url, "m-1") == set()
