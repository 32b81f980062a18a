"""What the oracles say of answers that no planted fault gives, without a server."""

from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, ValidationError

from openai_middleware.check import events, sdk, wire
from openai_middleware.check.exchange import Exchange, Limits, Recorder
from openai_middleware.check.facts import facts_of_pydantic, printable
from openai_middleware.check.open_responses import judge_events, judge_whole
from openai_middleware.check.server import ServerError, is_asgi, serving
from openai_middleware.contract import shipped
from tests.support.samples import COMPLETION


def exchange(body: bytes, content_type: str = "text/event-stream", status: int = 200) -> Exchange:
    return Exchange("POST", "/v1/responses", status, content_type, bytearray(body))


def operation(name: str) -> Any:
    return shipped().operation(name)


@pytest.mark.parametrize(
    ("stream", "fact"),
    [
        (b": a comment\n\ndata: [1]\n\n", "the data of an event is a list, not an object"),
        (b'data: {"error": "It broke."}\n\n', "the stream ended with an error: It broke."),
        (b'data: {"type": "error", "sequence_number": 1}\n\n', "the stream ended with an error: without a message"),
    ],
)
def test_framing_of_a_stream(stream: bytes, fact: str) -> None:
    _, facts = events.read_events(exchange(stream), shipped().stream("ResponseStreamEvent"))

    assert [str(one) for one in facts] == [fact]


@pytest.mark.parametrize(
    ("response", "facts"),
    [
        ({"status": "in_progress", "background": True}, []),
        ({"status": "queued", "background": False}, ["status: is 'queued', not 'completed'"]),
        ({"status": "incomplete", "output": []}, []),
        ({"output": []}, []),
        ({"status": "failed", "error": None}, ["the response failed: without a message"]),
    ],
)
def test_a_response_that_says_nothing_says_why(response: Any, facts: list[str]) -> None:
    assert [str(one) for one in wire.judge_text(response, "responses.create")] == facts


CREATED = {"type": "response.created"}
ADDED = {"type": "response.output_item.added", "output_index": 0, "item": {"id": "fc_1"}}
DELTA = {"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1", "delta": "{"}


@pytest.mark.parametrize(
    ("name", "sent", "facts"),
    [
        ("ResponseStreamEvent", [{"type": "response.completed"}, CREATED], 2),
        ("ResponseStreamEvent", [CREATED, {"type": "response.failed", "response": {"error": {"message": "No."}}}], 1),
        ("ResponseStreamEvent", [CREATED, {"type": "response.failed"}], 1),
        ("ResponseStreamEvent", [CREATED, ADDED, DELTA, {"type": "response.failed"}], 1),
        ("ResponseStreamEvent", [CREATED, ADDED, DELTA, {"type": "response.completed"}], 2),
        ("ResponseStreamEvent", [CREATED, ADDED, DELTA], 1),
        ("ChatCompletionChunk", [{"choices": []}, {}], 1),
        ("ChatCompletionChunk", [{"choices": [{"finish_reason": "stop"}]}, {}, {"choices": []}], 1),
        ("ImageGenStreamEvent", [{"type": "image_generation.completed"}], 0),
    ],
)
def test_order_of_events(name: str, sent: list[Any], facts: int) -> None:
    assert len(events.judge_events(sent, shipped().stream(name))) == facts


@pytest.mark.parametrize(
    ("name", "body", "content_type", "facts"),
    [
        ("files.content", b"", "text/plain", ["the answer is empty"]),
        ("files.retrieve", b"{", "application/json", ["the body is no JSON"]),
        ("files.retrieve", b"[1.5]", "application/json", ["the body is a list, not an object"]),
        (
            "files.list",
            b'{"has_more": 1.5}',
            "application/json",
            [
                "data: missing",
                "has_more: is a number, not a boolean",
                "object: missing",
                "first_id: missing",
                "last_id: missing",
            ],
        ),
        (
            "batches.list",
            b'{"data": {}, "has_more": true, "object": "list"}',
            "application/json",
            ["data: is an object, not a list"],
        ),
        ("files.retrieve", b"\xef\xbb\xbf{}", "application/json", []),
        (
            "batches.retrieve",
            b'{"object": "batch", "error": "No."}',
            "application/json",
            ["the status is 200, and the body is an error: No."],
        ),
        ("videos.retrieve", b'{"object": "video", "error": {"message": "No."}}', "application/json", []),
        ("files.content", b'{"error": "No."}', "application/octet-stream", []),
    ],
)
def test_whole_answers(name: str, body: bytes, content_type: str, facts: list[str]) -> None:
    assert [str(one) for one in wire.judge_whole(exchange(body, content_type), operation(name))] == facts


def test_envelope_of_an_error_has_all_its_fields() -> None:
    answer = exchange(b'{"error": {"message": null, "param": null}}', "application/json", 400)

    facts = [str(one) for one in wire.judge_refusal(answer, "a body without 'model'")]

    assert facts == ["error.message: is null, not a string", "error.type: missing", "error.code: missing"]


def test_schemas_of_open_responses_are_those_of_the_kind_that_a_value_says_it_is() -> None:
    call = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "f",
        "arguments": {},
        "status": "completed",
    }
    answer = {"id": "r", "object": "response.compaction", "created_at": 1, "output": [call], "usage": None}

    assert [str(one) for one in judge_whole("responses.compact", answer)] == [
        "output[0].arguments: is an object, not a string",
        "usage: is null, not an object",
    ]
    unknown, of_openai = {"type": "response.dreamt"}, {"type": "response.web_search_call.completed"}
    assert [str(one) for one in judge_events([unknown, of_openai])] == ["'response.dreamt' is no type of event"]


class _Text(BaseModel):
    text: str


class _Several(BaseModel):
    value: _Text | int
    items: list[_Text | int]


def test_a_value_of_no_kind_that_may_stand_there() -> None:
    document = {"value": "x" * 50, "items": [{"text": 1}, 2]}
    with pytest.raises(ValidationError) as raised:
        _Several.model_validate(document, strict=True)

    facts = facts_of_pydantic(raised.value.errors(), document)

    assert [str(one) for one in facts] == [
        "value: is a string, and none of what may stand here",
        "items[0].text: is an integer, not a string",
    ]


def test_errors_that_the_content_makes_the_sdk_raise_are_no_facts() -> None:
    completion: Any = ChatCompletion.model_validate(COMPLETION)
    assert sdk.judge("x", None, [], openai.LengthFinishReasonError(completion=completion)) == []
    assert [str(one) for one in sdk.judge("x", None, [], KeyError("output"))] == ["the SDK raised KeyError: 'output'"]


def test_what_an_app_says_controls_no_terminal() -> None:
    assert printable("Grüße \x1b[31m\x00\n") == "Grüße \\x1b[31m\\x00\\n"


def test_a_server_that_goes_away_is_a_problem_of_the_exchange() -> None:
    recorder = Recorder(Limits(case_seconds=5))
    recorder.begin_case()
    with httpx.Client(transport=recorder, trust_env=False) as client, pytest.raises(httpx.ConnectError):
        client.get("http://127.0.0.1:1/v1/models")

    assert recorder.exchanges[0].problem.startswith("no answer came: ")


def test_the_time_of_all_cases_is_a_limit() -> None:
    recorder = Recorder(Limits(total_seconds=0))
    recorder.begin_case()
    with httpx.Client(transport=recorder, trust_env=False) as client, pytest.raises(httpx.RequestError):
        client.get("http://127.0.0.1:1/v1/models")

    assert (recorder.over, recorder.exchanges) == ("the time of 0 s was over", [])


def test_an_app_that_never_answers_is_told() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while scope["type"] == "http" and (await receive())["type"] != "http.disconnect":
            pass

    recorder = Recorder(Limits(case_seconds=0.2))
    with serving(app) as url, httpx.Client(transport=recorder, trust_env=False) as client:
        recorder.begin_case()
        with pytest.raises(httpx.TimeoutException):
            client.get(url)

    assert recorder.exchanges[0].problem == "no answer came within 0.2 s"


def test_apps_of_both_interfaces_are_told_apart() -> None:
    class Double:
        def __call__(self, scope: object, receive: object, send: object) -> None: ...

    def wsgi(environ: object, start_response: object) -> None: ...

    assert is_asgi(Double())
    assert not is_asgi(wsgi)
    assert not is_asgi(type), "whose signature cannot be read"
    with pytest.raises(ServerError, match="An app can be called"):
        is_asgi(1)


def test_an_app_whose_lifespan_fails_does_not_start() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(ServerError, match="The app did not start"), serving(app):
        pass
