"""What is asked of an app, and what is made of the answers by the oracles that are asked."""

import json
from typing import Any

import pytest

from openai_middleware.check.result import Status
from openai_middleware.check.server import serving
from tests.support.checks import checked, told
from tests.support.faulty_app import FaultyApp

CHAT, RESPONSES = "chat.completions.create", "responses.create"


def test_each_case_asks_for_what_it_is_about() -> None:
    app = FaultyApp()
    with serving(app) as url:
        checked(f"{url}/none/v1", only=(CHAT, RESPONSES, "files.list"))

    asked = app.apps["none"].asked
    bodies = [(one.path, one.body) for one in asked if one.method == "POST"]
    roles = {
        path: [turn["role"] for turn in body[field]]
        for field, path in (("messages", "/chat/completions"), ("input", "/responses"))
        for where, body in bodies
        if where == path and isinstance(body.get(field), list) and len(body[field]) > 1
    }
    assert roles == {
        "/chat/completions": ["system", "user", "assistant", "user"],
        "/responses": ["developer", "user", "assistant", "user"],
    }
    tools = {path: body["tools"][0] for path, body in bodies if body.get("tools")}
    assert tools["/chat/completions"]["function"]["name"] == tools["/responses"]["name"] == "get_weather"
    queries = [one.query for one in asked if (one.method, one.path) == ("GET", "/files")]
    assert [sorted(query.split("&"))[-1] for query in queries] == ["limit=2", "limit=2"]
    assert "after=" in queries[1]


def answering(status: int, **error: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = {"error": {"message": "No.", "type": "invalid_request_error", "param": None, "code": None, **error}}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    return app


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_app_without_an_operation_says_so_with_one_of_three_statuses(status: int) -> None:
    with serving(answering(status)) as url:
        result = checked(f"{url}/v1", only=("embeddings.create", "files.list"))

    assert {(case.status, case.reason) for case in result.cases} == {(Status.NOT_IMPLEMENTED, str(status))}
    assert result.exit_code == 2


def test_404_for_the_model_is_no_answer_of_an_app_without_the_operation() -> None:
    with serving(answering(404, param="model")) as url:
        result = checked(f"{url}/v1", only=("embeddings.create",))

    assert told(result) == {"wire: the status is 404: No."}


@pytest.mark.parametrize(("status", "outcome"), [(404, Status.BROKEN), (501, Status.NOT_IMPLEMENTED)])
def test_an_app_that_has_answered_has_no_part_of_an_operation_with_501_alone(status: int, outcome: Status) -> None:
    inner, refusing = FaultyApp(), answering(status)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        message = await receive()

        async def received() -> Any:
            return message

        await (refusing if b'"tools"' in message["body"] else inner)(scope, received, send)

    with serving(app) as url:
        result = checked(f"{url}/none/v1", only=(CHAT,))

    assert {case.name for case in result.cases if case.status is outcome} == {"tools"}
    assert result.count(Status.OK) == len(result.cases) - 1


def test_what_does_not_exist_is_asked_for_without_anything_that_does() -> None:
    with serving(FaultyApp()) as url:
        result = checked(f"{url}/nothing_is_of_use/v1", only=("models.retrieve", "conversations.retrieve"))

    assert [(str(case), list(case.lines())) for case in result.cases] == [
        (name, ["wire: the status is 200 for something that does not exist, not 404"])
        for name in ("models.retrieve: retrieve", "conversations.retrieve: retrieve")
    ]


def test_an_id_that_cannot_be_sent_ends_no_check() -> None:
    with serving(FaultyApp()) as url:
        result = checked(f"{url}/id_is_half_a_character/v1", only=("conversations",))

    assert len(result.cases) > 5
    assert {case.operation for case in result.cases if case.status is Status.BROKEN} == {"conversations.create"}


def test_what_a_fixture_asks_for_is_not_compared_with_what_the_check_does() -> None:
    app = FaultyApp()
    app.apps["none"].kept["file-0"] = {
        "id": "file-0",
        "object": "file",
        "bytes": 1,
        "created_at": 1,
        "filename": "a",
        "purpose": "user_data",
        "status": "processed",
    }
    fixture = {"files.retrieve": {"file_id": "file-0"}, "embeddings.create": {"input": ["one"]}}
    with serving(app) as url:
        result = checked(f"{url}/none/v1", only=("files.retrieve", "embeddings"), fixture=fixture)

    assert [(case.status, [*case.lines()]) for case in result.cases] == [(Status.OK, [])] * 2


def test_an_answer_that_the_model_ends_early_is_no_fault() -> None:
    with serving(FaultyApp()) as url:
        result = checked(f"{url}/ends_early/v1", only=(RESPONSES,))

    assert told(result) == set()
    assert result.count(Status.OK) == len(result.cases)


def test_headers_of_a_check_take_the_place_of_others_whatever_their_letters() -> None:
    sent: list[list[bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            sent.append([value for name, value in scope["headers"] if name == b"authorization"])
            await inner(scope, receive, send)

    inner = FaultyApp()
    with serving(app) as url:
        result = checked(f"{url}/none/v1", only=(CHAT, "models"), headers={"authorization": "Basic YTpi"})

    assert result.exit_code == 0
    assert sent == [[b"Basic YTpi"]] * len(sent)


RAISED = "the SDK raised"


@pytest.mark.parametrize(
    ("name", "only", "facts"),
    [
        ("nothing_is_deleted", "files", {f"{RAISED} nothing, not NotFoundError"}),
        ("nothing_is_refused", CHAT, {f"{RAISED} nothing, not BadRequestError or UnprocessableEntityError"}),
        ("error_is_a_string", CHAT, {"BadRequestError.body: is a string, not an object"}),
        ("error_code_is_a_number", CHAT, {"BadRequestError.code: is an integer, not a string or null"}),
        ("no_terminal_event", RESPONSES, {f"{RAISED} RuntimeError: Didn't receive a `response.completed` event."}),
        ("html", "embeddings", {"Content-Type: is text/html, not application/json"}),
    ],
)
def test_what_the_sdk_raises_is_judged_by_itself(name: str, only: str, facts: set[str]) -> None:
    with serving(FaultyApp()) as url:
        result = checked(f"{url}/{name}/v1", only=(only,), oracles=("sdk",))

    assert told(result) == {f"sdk: {fact}" for fact in facts}


def test_the_sdk_judges_every_case_of_an_app_without_a_fault() -> None:
    with serving(FaultyApp()) as url:
        result = checked(f"{url}/none/v1", oracles=("sdk",))

    judged = [case for case in result.cases if case.status is Status.OK]
    assert len(judged) > 45
    assert {"errors", "retrieve", "delete", "stream helper"} <= {case.name for case in judged}
    assert all(case.facts == {"sdk": []} for case in judged)


def test_a_case_that_no_oracle_judges_is_skipped() -> None:
    with serving(FaultyApp()) as url:
        result = checked(f"{url}/none/v1", only=("models", "responses.compact"), oracles=("open-responses",))

    assert {str(case): (case.status, case.reason) for case in result.cases} == {
        "models.list: list": (Status.SKIPPED, "no oracle that is asked for judges it"),
        "models.retrieve: retrieve": (Status.SKIPPED, "no oracle that is asked for judges it"),
        "responses.compact: compact": (Status.OK, ""),
    }
