"""Answers that are nearly plain: odd bytes, odd charsets, and apps that fail before anything has left."""

import json
from typing import Any

import pytest

from openai_middleware import OpenAIMiddleware
from tests.support.drivers import Header, Message, Script, part, request, start
from tests.support.samples import CHUNK, COMPLETION

CHAT = {"model": "m", "messages": []}
HELLO = {**CHUNK, "choices": [{"index": 0, "delta": {"content": "Hello"}}]}


def headers(kind: str) -> list[Header]:
    return [(b"content-type", kind.encode())]


def answering(kind: str, body: bytes, raises: Exception | None = None) -> Any:
    """An app that answers with these bytes, or fails instead of sending the last of them."""
    messages: list[Message] = [start(headers=headers(kind)), part(body, more_body=raises is not None)]
    return OpenAIMiddleware(Script(messages if body else messages[:1], raises=raises), prefix="/v1")


async def text_of(app: Any) -> Any:
    sent = await request(app, "POST", "/v1/chat/completions", CHAT)
    assert sent.status == 200
    return sent.json["choices"][0]["message"]["content"]


@pytest.mark.parametrize("charset", ["nonsense", "base64", "utf-8", '"UTF-8"'])
async def test_text_of_a_charset_that_is_none_is_utf_8(charset: str) -> None:
    assert await text_of(answering(f"text/plain; charset={charset}", "Grüße".encode())) == "Grüße"


async def test_events_that_are_no_json_are_no_part_of_a_whole_answer() -> None:
    events = b"".join(b"data: " + data + b"\n\n" for data in (b"{", b"[1]", json.dumps(HELLO).encode(), b"[DONE]"))

    assert await text_of(answering("text/event-stream", events)) == "Hello"


@pytest.mark.parametrize("events", [b": ping\n\n", b"data: [DONE]\n\n"])
async def test_stream_that_says_nothing_is_no_answer_and_the_log_tells_so(
    events: bytes, caplog: pytest.LogCaptureFixture
) -> None:  # R34
    sent = await request(answering("text/event-stream", events), "POST", "/v1/chat/completions", CHAT)

    assert (sent.status, sent.error["type"]) == (500, "server_error")
    assert "chat.completions.create: the app's stream ended before its answer did. The client gets 500" in caplog.text


@pytest.mark.parametrize("body", [b"[1, 2", b'["a", 1]', b"17", b"null"])
@pytest.mark.parametrize("asked", [{}, {"stream": True}], ids=["whole", "streamed"])
async def test_json_that_is_no_answer_of_any_kind_is_not_taken_for_one(body: bytes, asked: dict[str, Any]) -> None:
    sent = await request(answering("application/json", body), "POST", "/v1/chat/completions", CHAT | asked)

    assert sent.body == body or sent.error["code"] == "invalid_response"


@pytest.mark.parametrize("kind", ["text/plain", "text/event-stream", "application/json"])
@pytest.mark.parametrize("begun", [b"", b'{"id": '], ids=["nothing sent", "something sent"])
async def test_failure_of_an_app_whose_answer_is_collected_is_the_server_s_to_tell(kind: str, begun: bytes) -> None:
    with pytest.raises(ValueError, match="broken"):
        await request(answering(kind, begun, ValueError("broken")), "POST", "/v1/chat/completions", CHAT)


async def test_several_choices_are_refused_where_the_app_fails_as_well() -> None:
    with pytest.raises(ValueError, match="broken"):
        await request(
            answering("text/plain", b"Hello", ValueError("broken")), "POST", "/v1/chat/completions", CHAT | {"n": 2}
        )


async def test_object_with_white_space_before_it_is_one() -> None:
    body = b" \n" + json.dumps(COMPLETION).encode()

    assert (await request(answering("application/json", body), "POST", "/v1/chat/completions", CHAT)).body == body
