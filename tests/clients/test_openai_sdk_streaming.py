"""The official SDK reads event streams from a live server whose app adds fields of its own to every event."""

import asyncio
import gc
import json
import logging
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Annotated, Any

import httpx
import openai
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI, OpenAI
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from openai_middleware import OpenAICall
from openai_middleware.adapters.fastapi import openai_call, set_openai_frontend
from openai_middleware.errors import NotFoundError, RateLimitError
from tests.support.server_sent_events import parse
from tests.support.servers import TIMEOUT, uvicorn_server

JUNK = {"secret": "s", "timings": {"first_token_ms": 1}, "x_trace": ["t"]}
MESSAGES: Any = [{"role": "user", "content": "Say it."}]
WEATHER: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
RESPONSES_TOOL: Any = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}
# The middle one is a line separator to str.splitlines().
WORDS = ["Grüße", "\u2028", "und 😀"]
ARGUMENTS = ['{"city":', ' "Köln"}']

Events = Callable[[], AsyncIterator[bytes]]


def event(document: Any) -> bytes:
    return b"data: " + json.dumps({**document, **JUNK}, ensure_ascii=False).encode() + b"\n\n"


# --- what the app streams to chat requests


def chunk(delta: Any = None, *, finish_reason: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}]
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": choices,
            **more,
        }
    )


async def chat_text() -> AsyncIterator[bytes]:
    yield chunk({"role": "assistant", "content": ""})
    for word in WORDS:
        yield chunk({"content": word})
    yield chunk({}, finish_reason="stop")
    # No [DONE] follows, and no empty line.
    yield chunk(usage={"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}).rstrip(b"\n")


async def chat_tool() -> AsyncIterator[bytes]:
    function = {"name": "weather", "arguments": ""}
    yield chunk(
        {"role": "assistant", "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}
    )
    for part in ARGUMENTS:
        yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
    yield chunk({}, finish_reason="tool_calls")
    yield b"data: [DONE]\n\n"


async def completion_text() -> AsyncIterator[bytes]:
    for word in WORDS:
        choice = {"index": 0, "text": word, "finish_reason": "stop", "logprobs": None}
        yield event({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]})


# --- what it streams to Responses requests


def answer(status: str, output: list[Any]) -> dict[str, Any]:
    """A response without the fields that may be null, with fields of the app's own."""
    required = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "model": "m"}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "output": output,
        **required,
        **JUNK,
    }


def item_events(item: Any, empty: Any, *steps: Any) -> Iterator[bytes]:
    """A whole response around one item of output, without a sequence number in sight."""
    place = {"output_index": 0}
    yield event({"type": "response.created", "response": answer("in_progress", [])})
    yield event({"type": "response.in_progress", "response": answer("in_progress", [])})
    yield event({"type": "response.output_item.added", **place, "item": {**item, **empty, "status": "in_progress"}})
    for step in steps:
        yield event({**step, **place, "item_id": item["id"]})
    yield event({"type": "response.output_item.done", **place, "item": item})
    # A client stops reading where an event has no data, and where a comment follows an id.
    yield b"event: ping\ndata:\n\nid: 7\n\n: still there\n\n"
    yield event({"type": "response.completed", "response": answer("completed", [item])})


async def responses_text() -> AsyncIterator[bytes]:
    text = "".join(WORDS)
    place = {"content_index": 0}
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    steps = [
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in WORDS),
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
    ]
    for one in item_events(message, {"content": []}, *steps):
        yield one


async def responses_tool() -> AsyncIterator[bytes]:
    arguments = "".join(ARGUMENTS)
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": arguments}
    steps = [
        *({"type": "response.function_call_arguments.delta", "delta": part} for part in ARGUMENTS),
        {"type": "response.function_call_arguments.done", "name": "weather", "arguments": arguments},
    ]
    for one in item_events({**call, "status": "completed"}, {"arguments": ""}, *steps):
        yield one


# --- streams that fail


def failing(error: Callable[[], Exception], *events: bytes) -> Events:
    async def stream() -> AsyncIterator[bytes]:
        for one in events:
            yield one
        raise error()

    return stream


CREATED = event({"type": "response.created", "response": answer("in_progress", [])})
foreign = partial(RuntimeError, "the password is hunter2")
told = partial(RateLimitError, "Too much at once.", param="input", code="slow_down")
missing = partial(NotFoundError, "There is no such model.", param="model", code="model_not_found")


# --- streams that wait


class Gate:
    """What the app does in mid-stream, and what the test waits for."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.closed: queue.SimpleQueue[str] = queue.SimpleQueue()

    async def two_events(self) -> AsyncIterator[bytes]:
        yield chunk({"content": "first"})
        assert await asyncio.to_thread(self.opened.wait, TIMEOUT)
        yield chunk({"content": "second"})

    async def waiting(self) -> AsyncIterator[bytes]:
        try:
            yield chunk({"content": "first"})
            await asyncio.Event().wait()
        finally:
            self.closed.put("waiting")

    async def endless(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield chunk({"content": "more"})
                await asyncio.sleep(0)  # whoever never waits keeps the server from hearing anything
        finally:
            self.closed.put("endless")


class Server:
    """The app, what it streams by the name of the model, and who asked."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.ports: list[int] = []
        self.streams: dict[tuple[str, str], Events] = {
            ("chat", "text"): chat_text,
            ("chat", "tool"): chat_tool,
            ("chat", "foreign"): failing(foreign, chunk({"content": "Hi"}), b'data: {"id": "half'),
            ("chat", "told"): failing(told, chunk({"content": "Hi"})),
            ("chat", "missing"): failing(missing),
            ("chat", "foreign at once"): failing(foreign),
            ("chat", "two events"): lambda: self.gate.two_events(),
            ("chat", "waiting"): lambda: self.gate.waiting(),
            ("chat", "endless"): lambda: self.gate.endless(),
            ("completions", "text"): completion_text,
            ("responses", "text"): responses_text,
            ("responses", "tool"): responses_tool,
            ("responses", "foreign"): failing(foreign, CREATED, b"event: response.compl"),
            ("responses", "told"): failing(told, CREATED),
            ("responses", "missing"): failing(missing),
        }
        self.app = FastAPI()
        set_openai_frontend(self.app, prefix="/v1")
        self.app.post("/v1/chat/completions")(self.stream)
        self.app.post("/v1/completions")(self.stream)
        self.app.post("/v1/responses")(self.stream)
        self.app.get("/v1/responses/{response_id}")(self.stream)

    async def stream(self, request: Request, call: Annotated[OpenAICall, Depends(openai_call)]) -> StreamingResponse:
        assert request.client is not None
        self.ports.append(request.client.port)
        assert call.operation is not None
        kind = call.operation.split(".")[0]
        events = self.streams[kind, call.kwargs.get("model") or call.kwargs["response_id"]]
        return StreamingResponse(events(), media_type="text/event-stream")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Server, str]]:
    server = Server()
    with uvicorn_server(server.app) as base_url:
        yield server, f"{base_url}/v1"


@pytest.fixture
def server(running: tuple[Server, str]) -> Server:
    server, _ = running
    server.gate = Gate()
    server.ports.clear()
    return server


@pytest.fixture(params=[False, True], ids=["default", "strict"])
def options(request: pytest.FixtureRequest, running: tuple[Server, str]) -> dict[str, Any]:
    _, base_url = running
    is_strict = {"_strict_response_validation": True} if request.param else {}
    return {"base_url": base_url, "api_key": "k", "max_retries": 0, **is_strict}


@pytest.fixture
def client(options: dict[str, Any]) -> Iterator[OpenAI]:
    with OpenAI(**options) as client:
        yield client


@pytest.fixture
async def async_client(options: dict[str, Any]) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(**options) as client:
        yield client


default_client_only = pytest.mark.parametrize("options", [False], ids=["default"], indirect=True)


# --- chat.completions.create(stream=True)


def check_text_chunks(chunks: list[ChatCompletionChunk]) -> None:
    assert [chunk.choices[0].delta.content for chunk in chunks[:4]] == ["", *WORDS]
    assert chunks[4].choices[0].finish_reason == "stop"
    assert chunks[5].usage is not None
    assert chunks[5].usage.total_tokens == 4
    assert len(chunks) == 6
    assert all(not chunk.model_extra for chunk in chunks)


def test_chat_chunks_arrive_with_usage(client: OpenAI) -> None:  # S2 S3 S7
    stream = client.chat.completions.create(
        model="text", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )

    check_text_chunks(list(stream))


async def test_chat_chunks_arrive_with_usage_asynchronously(async_client: AsyncOpenAI) -> None:  # S2 S3 S7
    stream = await async_client.chat.completions.create(
        model="text", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )

    check_text_chunks([chunk async for chunk in stream])


def check_tool_chunks(chunks: list[ChatCompletionChunk]) -> None:
    [first, *more] = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert (first.id, first.function and first.function.name) == ("call_1", "weather")
    assert [call.function and call.function.arguments for call in more] == ARGUMENTS
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert all(not chunk.model_extra for chunk in chunks)


def test_the_deltas_of_a_tool_call_arrive_in_chat_chunks(client: OpenAI) -> None:  # S2
    check_tool_chunks(
        list(client.chat.completions.create(model="tool", messages=MESSAGES, tools=[CHAT_TOOL], stream=True))
    )


async def test_the_deltas_of_a_tool_call_arrive_in_chat_chunks_asynchronously(async_client: AsyncOpenAI) -> None:  # S2
    stream = await async_client.chat.completions.create(model="tool", messages=MESSAGES, tools=[CHAT_TOOL], stream=True)

    check_tool_chunks([chunk async for chunk in stream])


# --- chat.completions.stream()


def check_text_completion(types: list[str], completion: ChatCompletion) -> None:
    assert types.count("content.delta") == len(WORDS) + 1
    assert types.count("content.done") == 1
    assert completion.choices[0].message.content == "".join(WORDS)
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 4
    assert not completion.model_extra


def test_the_chat_stream_helper_puts_the_completion_together(client: OpenAI) -> None:  # S2 S3
    with client.chat.completions.stream(
        model="text", messages=MESSAGES, stream_options={"include_usage": True}
    ) as stream:
        check_text_completion([event.type for event in stream], stream.get_final_completion())


async def test_the_chat_stream_helper_puts_the_completion_together_asynchronously(
    async_client: AsyncOpenAI,
) -> None:  # S2 S3
    async with async_client.chat.completions.stream(
        model="text", messages=MESSAGES, stream_options={"include_usage": True}
    ) as stream:
        check_text_completion([event.type async for event in stream], await stream.get_final_completion())


def check_tool_completion(deltas: list[str], completion: ChatCompletion) -> None:
    calls: list[Any] = [*(completion.choices[0].message.tool_calls or [])]
    [call] = calls
    assert deltas == ARGUMENTS
    assert (call.id, call.type) == ("call_1", "function")
    assert (call.function.name, call.function.arguments) == ("weather", "".join(ARGUMENTS))
    assert completion.choices[0].finish_reason == "tool_calls"
    assert not completion.model_extra


def arguments_delta(event: Any) -> list[str]:
    is_delta = event.type == "tool_calls.function.arguments.delta" and event.arguments_delta
    return [event.arguments_delta] if is_delta else []


def test_the_chat_stream_helper_puts_tool_calls_together(client: OpenAI) -> None:  # S2
    with client.chat.completions.stream(model="tool", messages=MESSAGES, tools=[CHAT_TOOL]) as stream:
        deltas = [delta for event in stream for delta in arguments_delta(event)]
        check_tool_completion(deltas, stream.get_final_completion())


async def test_the_chat_stream_helper_puts_tool_calls_together_asynchronously(async_client: AsyncOpenAI) -> None:  # S2
    async with async_client.chat.completions.stream(model="tool", messages=MESSAGES, tools=[CHAT_TOOL]) as stream:
        deltas = [delta async for event in stream for delta in arguments_delta(event)]
        check_tool_completion(deltas, await stream.get_final_completion())


# --- completions.create(stream=True)


def check_completions(completions: list[Completion]) -> None:
    assert [completion.choices[0].text for completion in completions] == WORDS
    assert all(not completion.model_extra for completion in completions)


def test_text_completions_arrive(client: OpenAI) -> None:  # S2 S3
    check_completions(list(client.completions.create(model="text", prompt="Say it.", stream=True)))


async def test_text_completions_arrive_asynchronously(async_client: AsyncOpenAI) -> None:  # S2 S3
    stream = await async_client.completions.create(model="text", prompt="Say it.", stream=True)

    check_completions([completion async for completion in stream])


# --- responses.create(stream=True) and responses.retrieve(stream=True)

TEXT_TYPES = [
    *["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"],
    *["response.output_text.delta"] * len(WORDS),
    *["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"],
]
TOOL_TYPES = [
    *["response.created", "response.in_progress", "response.output_item.added"],
    *["response.function_call_arguments.delta"] * len(ARGUMENTS),
    *["response.function_call_arguments.done", "response.output_item.done", "response.completed"],
]


def check_response_events(events: list[Any], types: list[str]) -> None:
    assert [event.type for event in events] == types
    assert [event.sequence_number for event in events] == list(range(len(types)))
    assert all(not event.model_extra for event in events)
    for event in (events[0], events[1], events[-1]):
        assert event.response.id == "resp_1"
        assert not event.response.model_extra
        assert {"error", "metadata", "temperature"} <= event.response.model_fields_set


def text_deltas(events: list[Any]) -> list[str]:
    return [event.delta for event in events if event.type == "response.output_text.delta"]


def test_responses_events_arrive(client: OpenAI) -> None:  # S2 S3 S5 S7
    events = list(client.responses.create(model="text", input="Say it.", stream=True))

    check_response_events(events, TEXT_TYPES)
    assert text_deltas(events) == WORDS


async def test_responses_events_arrive_asynchronously(async_client: AsyncOpenAI) -> None:  # S2 S3 S5 S7
    stream = await async_client.responses.create(model="text", input="Say it.", stream=True)
    events = [event async for event in stream]

    check_response_events(events, TEXT_TYPES)
    assert text_deltas(events) == WORDS


def test_a_retrieved_response_streams(client: OpenAI) -> None:  # S2 S3 S7
    check_response_events(list(client.responses.retrieve("text", stream=True)), TEXT_TYPES)


async def test_a_retrieved_response_streams_asynchronously(async_client: AsyncOpenAI) -> None:  # S2 S3 S7
    stream = await async_client.responses.retrieve("text", stream=True)

    check_response_events([event async for event in stream], TEXT_TYPES)


def test_the_arguments_of_a_function_call_arrive_in_responses_events(client: OpenAI) -> None:  # S2 S3
    events: list[Any] = list(
        client.responses.create(model="tool", input="Say it.", tools=[RESPONSES_TOOL], stream=True)
    )

    check_response_events(events, TOOL_TYPES)
    assert [event.delta for event in events[3:5]] == ARGUMENTS


async def test_the_arguments_of_a_function_call_arrive_in_responses_events_asynchronously(
    async_client: AsyncOpenAI,
) -> None:  # S2 S3
    stream = await async_client.responses.create(model="tool", input="Say it.", tools=[RESPONSES_TOOL], stream=True)
    events: list[Any] = [event async for event in stream]

    check_response_events(events, TOOL_TYPES)
    assert [event.delta for event in events[3:5]] == ARGUMENTS


# --- responses.stream()


def check_text_response(types: list[str], response: Response) -> None:
    assert types == TEXT_TYPES
    assert response.output_text == "".join(WORDS)
    assert not response.model_extra


def test_the_responses_stream_helper_gives_the_final_response(client: OpenAI) -> None:  # S2 S3
    with client.responses.stream(model="text", input="Say it.") as stream:
        check_text_response([event.type for event in stream], stream.get_final_response())


async def test_the_responses_stream_helper_gives_the_final_response_asynchronously(
    async_client: AsyncOpenAI,
) -> None:  # S2 S3
    async with async_client.responses.stream(model="text", input="Say it.") as stream:
        check_text_response([event.type async for event in stream], await stream.get_final_response())


def test_the_responses_stream_helper_goes_on_with_a_retrieved_response(client: OpenAI) -> None:  # S2 S3
    with client.responses.stream(response_id="text", starting_after=5) as stream:
        assert [event.sequence_number for event in stream] == list(range(6, len(TEXT_TYPES)))
        assert stream.get_final_response().output_text == "".join(WORDS)


def check_tool_response(types: list[str], response: Response) -> None:
    [call] = response.output
    assert types == TOOL_TYPES
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("weather", "".join(ARGUMENTS))


def test_the_responses_stream_helper_puts_function_calls_together(client: OpenAI) -> None:  # S2 S3
    with client.responses.stream(model="tool", input="Say it.", tools=[RESPONSES_TOOL]) as stream:
        check_tool_response([event.type for event in stream], stream.get_final_response())


async def test_the_responses_stream_helper_puts_function_calls_together_asynchronously(
    async_client: AsyncOpenAI,
) -> None:  # S2 S3
    async with async_client.responses.stream(model="tool", input="Say it.", tools=[RESPONSES_TOOL]) as stream:
        check_tool_response([event.type async for event in stream], await stream.get_final_response())


# --- failures


def check_broken(error: openai.APIError, model: str) -> None:
    assert not isinstance(error, openai.APIStatusError | openai.APIConnectionError)
    if model == "told":
        assert (error.message, error.param, error.code) == ("Too much at once.", "input", "slow_down")
    else:
        assert error.message == "The server failed while it was sending this answer."
        assert (error.type, error.param, error.code) == ("server_error", None, None)


broken = pytest.mark.parametrize("model", ["told", "foreign"])


@broken
def test_a_chat_stream_that_breaks_raises_an_api_error(client: OpenAI, model: str) -> None:  # S4
    stream = client.chat.completions.create(model=model, messages=MESSAGES, stream=True)

    assert next(stream).choices[0].delta.content == "Hi"
    with pytest.raises(openai.APIError) as raised:
        next(stream)
    check_broken(raised.value, model)


@broken
async def test_a_chat_stream_that_breaks_raises_an_api_error_asynchronously(
    async_client: AsyncOpenAI, model: str
) -> None:  # S4
    stream = await async_client.chat.completions.create(model=model, messages=MESSAGES, stream=True)

    assert (await anext(stream)).choices[0].delta.content == "Hi"
    with pytest.raises(openai.APIError) as raised:
        await anext(stream)
    check_broken(raised.value, model)


@broken
def test_a_responses_stream_that_breaks_raises_an_api_error(client: OpenAI, model: str) -> None:  # S4
    stream = client.responses.create(model=model, input="Say it.", stream=True)

    assert next(stream).type == "response.created"
    with pytest.raises(openai.APIError) as raised:
        next(stream)
    check_broken(raised.value, model)


@broken
async def test_a_responses_stream_that_breaks_raises_an_api_error_asynchronously(
    async_client: AsyncOpenAI, model: str
) -> None:  # S4
    stream = await async_client.responses.create(model=model, input="Say it.", stream=True)

    assert (await anext(stream)).type == "response.created"
    with pytest.raises(openai.APIError) as raised:
        await anext(stream)
    check_broken(raised.value, model)


@broken
def test_a_responses_stream_that_breaks_ends_with_a_failed_response(client: OpenAI, model: str) -> None:  # S4
    """What clients read that wait for an event which ends the response; the SDK has raised by then."""
    raw = client.responses.with_streaming_response
    with raw.create(model=model, input="Say it.", stream=True) as response:
        *_, (error, first), (failure, last) = parse(response.read())

    assert (first, last) == ("error", "response.failed")
    told, ended = json.loads(error), json.loads(failure)
    assert (told["type"], ended["type"]) == ("error", "response.failed")
    assert ended["sequence_number"] == told["sequence_number"] + 1
    assert ended["response"]["id"] == "resp_1"
    assert ended["response"]["status"] == "failed"
    assert ended["response"]["error"]["message"] == told["error"]["message"]
    assert ended["response"]["error"]["code"] == (told["error"]["code"] or "server_error")


@broken
@default_client_only
def test_the_stream_helpers_raise_an_api_error_too(client: OpenAI, model: str) -> None:  # S4
    with (
        client.chat.completions.stream(model=model, messages=MESSAGES) as chat,
        client.responses.stream(model=model, input="Say it.") as responses,
    ):
        for stream in (chat, responses):
            with pytest.raises(openai.APIError) as raised:
                list(stream)
            check_broken(raised.value, model)


class Logged(logging.Handler):
    """Waits for what the server logs, which it does after its answer has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.put(record)

    def wait_for(self, text: str) -> None:
        exc_info = None
        while exc_info is None or text not in str(exc_info[1]):
            exc_info = self.records.get(timeout=TIMEOUT).exc_info


@pytest.fixture
def logged() -> Iterator[Logged]:
    handler = Logged()
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_a_stream_that_breaks_is_closed_properly_and_the_exception_is_in_the_server_s_log(
    running: tuple[Server, str], logged: Logged, path: str
) -> None:  # S4
    _, base_url = running
    body = {"model": "foreign", "messages": MESSAGES, "input": "Say it.", "stream": True}

    response = httpx.post(f"{base_url}/{path}", json=body)

    assert response.status_code == 200
    assert "half" not in response.text
    assert "response.compl" not in response.text
    assert "hunter2" not in response.text
    assert response.text.endswith("\n\n")
    logged.wait_for("the password is hunter2")


@default_client_only
def test_a_failure_before_the_first_event_is_raised_by_its_status(client: OpenAI) -> None:  # S4 E4
    with pytest.raises(openai.NotFoundError) as chat:
        client.chat.completions.create(model="missing", messages=MESSAGES, stream=True)
    with pytest.raises(openai.NotFoundError) as responses:
        client.responses.create(model="missing", input="Say it.", stream=True)

    for error in (chat.value, responses.value):
        assert (error.status_code, error.param, error.code) == (404, "model", "model_not_found")
        assert error.response.json()["error"]["message"] == "There is no such model."


@default_client_only
def test_a_foreign_failure_before_the_first_event_is_the_app_s_own_500(client: OpenAI) -> None:  # S4 E4
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="foreign at once", messages=MESSAGES, stream=True)

    assert "hunter2" not in raised.value.response.text


# --- time and connections


@default_client_only
def test_the_first_event_arrives_before_the_app_has_made_the_second(server: Server, client: OpenAI) -> None:  # S1
    stream = client.chat.completions.create(model="two events", messages=MESSAGES, stream=True)

    first = next(stream)
    server.gate.opened.set()

    assert [chunk.choices[0].delta.content for chunk in (first, *stream)] == ["first", "second"]


@default_client_only
@pytest.mark.parametrize("model", ["waiting", "endless"])
def test_closing_the_client_in_mid_stream_ends_the_app_s_generator_every_time(
    server: Server, client: OpenAI, model: str
) -> None:  # S8
    for _ in range(100):
        with client.chat.completions.create(model=model, messages=MESSAGES, stream=True) as stream:
            next(stream)
        assert server.gate.closed.get(timeout=TIMEOUT) == model


# The client library leaves its generators to the garbage collector, which may run in the server's thread.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@default_client_only
@pytest.mark.parametrize("model", ["waiting", "endless"])
async def test_closing_the_client_in_mid_stream_ends_the_app_s_generator_every_time_asynchronously(
    server: Server, async_client: AsyncOpenAI, model: str
) -> None:  # S8
    for _ in range(100):
        async with await async_client.chat.completions.create(model=model, messages=MESSAGES, stream=True) as stream:
            await anext(stream)
        assert await asyncio.to_thread(server.gate.closed.get, timeout=TIMEOUT) == model
    # So that no later test finds what this one left.
    gc.collect()


@default_client_only
def test_a_connection_is_used_again_after_a_stream(server: Server, client: OpenAI) -> None:
    for _ in range(3):
        list(client.responses.create(model="text", input="Say it.", stream=True))

    assert len(server.ports) == 3
    assert len(set(server.ports)) == 1


@default_client_only
async def test_a_connection_is_used_again_after_a_stream_asynchronously(
    server: Server, async_client: AsyncOpenAI
) -> None:
    for _ in range(2):
        async for _ in await async_client.chat.completions.create(model="text", messages=MESSAGES, stream=True):
            pass
        async for _ in await async_client.responses.create(model="text", input="Say it.", stream=True):
            pass

    assert len(server.ports) == 4
    assert len(set(server.ports)) == 1
