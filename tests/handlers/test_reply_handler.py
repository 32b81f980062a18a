"""Functions that reply: when they are called, with what, and what may go wrong."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from openai_middleware import (
    Dispatcher,
    HandlerApp,
    OpenAICall,
    OpenAIMiddleware,
    OpenAIWSGIMiddleware,
    Reply,
    Response,
    ToolCall,
    Usage,
    WSGIHandlerApp,
)
from openai_middleware.errors import ConfigurationError, NotFoundError
from tests.support import wsgi_driver
from tests.support.drivers import Sent
from tests.support.handlers import Client, by_asgi, by_wsgi
from tests.support.replies import (
    CHAT,
    COMPLETIONS,
    OPERATIONS,
    QUESTIONS,
    RESPONSES,
    TARGETS,
    deltas_of,
    documents,
    replying,
    saying,
    send,
    text_of,
)
from tests.support.samples import FULL_COMPLETION
from tests.support.wsgi_driver import Server

each_operation = pytest.mark.parametrize("operation", OPERATIONS)
Serve = Callable[..., Sent]


@pytest.fixture(params=[by_asgi, by_wsgi], ids=["asgi", "wsgi"])
def serve(request: pytest.FixtureRequest) -> Serve:
    return request.param


# --- what is a reply


def text(messages: Any) -> str:
    return "Hello."


async def text_on_a_loop(messages: Any) -> str:
    return "Hello."


def reply(messages: Any) -> Reply:
    return Reply("Hello.")


def pieces(messages: Any) -> Iterator[Any]:
    yield from ("Hel", None, "", Reply("lo"), Usage(1, 2), ".")


async def pieces_on_a_loop(messages: Any) -> AsyncIterator[Any]:
    for piece in pieces(messages):
        yield piece


def iterator(messages: Any) -> Any:
    return map(str, ["Hel", "lo."])


async def async_iterator_of_a_coroutine(messages: Any) -> Any:
    return pieces_on_a_loop(messages)


class Pieces:
    async def __aiter__(self) -> AsyncIterator[Any]:
        for piece in pieces(None):
            yield piece


def async_iterable(messages: Any) -> Any:
    return Pieces()


REPLIES = [
    async_iterable,
    text,
    text_on_a_loop,
    reply,
    pieces,
    pieces_on_a_loop,
    iterator,
    async_iterator_of_a_coroutine,
]


@each_operation
@pytest.mark.parametrize("function", REPLIES)
@pytest.mark.parametrize("stream", [False, None, "absent"])
def test_reply_is_a_whole_answer_where_no_stream_was_asked_for(  # R1
    stream: Any, function: Any, operation: str, serve: Serve
) -> None:
    fields = {} if stream == "absent" else {"stream": stream}
    sent = send(operation, function, serve, **fields)
    assert (sent.status, sent.header("content-type")) == (200, "application/json")
    assert text_of(operation, sent.json) == "Hello."


@each_operation
@pytest.mark.parametrize("function", REPLIES)
def test_reply_is_events_where_a_stream_was_asked_for(function: Any, operation: str, serve: Serve) -> None:  # R1 R5
    events = documents(send(operation, function, serve, stream=True))
    count = {text: 1, text_on_a_loop: 1, reply: 1, iterator: 2}.get(function, 3)
    assert "".join(deltas_of(operation, events)) == "Hello."
    # A whole reply is one delta, and blanks are none.
    assert len(deltas_of(operation, events)) == count


@each_operation
def test_str_is_text_whatever_it_looks_like(operation: str) -> None:  # R5
    for said in ("[DONE]", '{"object": "chat.completion"}', "data: x\n\n"):
        assert text_of(operation, send(operation, saying(said)).json) == said
        assert deltas_of(operation, documents(send(operation, saying(said), stream=True))) == [said]


@each_operation
@pytest.mark.parametrize("nothing", ["", None, iter(())])
def test_nothing_is_an_answer_too(nothing: Any, operation: str, serve: Serve) -> None:  # R6
    sent = send(operation, lambda messages: nothing, serve)
    assert (sent.status, text_of(operation, sent.json)) == (200, "")
    assert deltas_of(operation, documents(send(operation, lambda messages: iter(()), serve, stream=True))) == []


@each_operation
@pytest.mark.parametrize("wrong", [["Hello."], {"text": "Hello."}, 7, b"Hello."], ids=["list", "dict", "int", "bytes"])
def test_what_is_no_reply_is_an_error_that_the_log_explains(  # R1
    wrong: Any, operation: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(messages: Any) -> Any:
        return wrong

    sent = send(operation, answer, serve)
    assert (sent.status, sent.header("x-should-retry")) == (500, "false")
    assert "answer returned no reply" in caplog.text
    assert type(wrong).__name__ in caplog.text


@each_operation
def test_piece_that_is_no_reply_is_an_error_that_the_log_explains(
    operation: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:  # R7
    sent = send(operation, saying("a", 7), serve)
    assert sent.status == 500
    assert "reply gave no reply: int is no reply" in caplog.text


class Event:
    """What the SDK's helpers yield: no chat completion, but with a JSON form."""

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return {"type": "content.delta", "delta": "a"}


@each_operation
@pytest.mark.parametrize("wrong", [{"text": "a"}, 7, b"a", ["a"], Event()], ids=["dict", "int", "bytes", "list", "sdk"])
@pytest.mark.parametrize("stream", [False, True])
def test_first_piece_that_is_no_reply_is_an_error_that_the_log_explains(
    stream: bool, wrong: Any, operation: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:  # R1 R7
    async def reply(messages: Any) -> AsyncIterator[Any]:
        yield wrong
        yield "b"

    for function in (saying(wrong, "b"), reply):
        caplog.clear()
        sent = send(operation, function, serve, stream=stream)
        assert (sent.status, sent.header("x-should-retry")) == (500, "false")
        assert f"reply gave no reply: {type(wrong).__name__} is no reply" in caplog.text


@each_operation
def test_log_names_the_function_whose_piece_in_mid_stream_is_no_reply(
    operation: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:  # R7
    assert b'"error"' in send(operation, saying("a", 7), serve, stream=True).body
    assert "reply gave no reply: int is no reply" in caplog.text


def test_response_of_a_function_leaves_as_it_is(serve: Serve) -> None:
    answer = Response(FULL_COMPLETION, status_code=201, headers={"X-Own": "1"})
    sent = send(CHAT, lambda messages: answer, serve)
    assert (sent.status, sent.header("x-own"), sent.json) == (201, "1", FULL_COMPLETION)


# --- when it fails


@each_operation
@pytest.mark.parametrize("stream", [False, True])
def test_failure_before_the_first_item_is_a_status(stream: bool, operation: str, serve: Serve) -> None:  # R7
    sent = send(operation, saying(NotFoundError("No.", param="model", code="gone")), serve, stream=stream)
    assert (sent.status, sent.error["message"], sent.error["code"]) == (404, "No.", "gone")


@each_operation
def test_failure_of_an_iterator_that_is_collected_is_a_status(operation: str, serve: Serve) -> None:  # R7
    assert send(operation, saying("a", NotFoundError("No.")), serve).status == 404
    assert send(operation, saying("a", ZeroDivisionError("secret")), serve).error["type"] == "server_error"


@each_operation
def test_failure_in_mid_stream_is_told_in_the_stream_and_the_log(
    operation: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:  # R7 R47
    bug = ZeroDivisionError("secret")
    sent = send(operation, saying("a", bug), serve, stream=True)
    assert (sent.status, sent.is_complete) == (200, True)
    events = documents(sent)
    assert [event["error"]["type"] for event in events if event.get("error")] == ["server_error"]
    assert b"secret" not in sent.body
    assert b"[DONE]" not in sent.body
    [record] = [record for record in caplog.records if record.name == "openai_middleware"]
    assert record.getMessage().startswith(f"{operation}: the handler failed (request req_")
    assert record.exc_info is not None
    assert record.exc_info[1] is bug


@each_operation
def test_error_that_a_function_raises_in_mid_stream_is_a_line_in_the_log(
    operation: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:  # R47
    send(operation, saying("a", NotFoundError("hunter2", code="gone")), serve, stream=True)

    [record] = [record for record in caplog.records if record.name == "openai_middleware"]
    assert record.getMessage().startswith(f"{operation}: the reply broke off with 404 gone (request req_")


# --- choices


@pytest.mark.parametrize(("name", "operation"), [("n", CHAT), ("n", COMPLETIONS), ("best_of", COMPLETIONS)])
@pytest.mark.parametrize("stream", [False, True])
def test_several_choices_are_refused_before_the_function_is_called(
    stream: bool, name: str, operation: str, serve: Serve
) -> None:  # R9
    called: list[Any] = []
    sent = send(operation, called.append, serve, stream=stream, **{name: 2})
    assert (sent.status, sent.error["param"], called) == (400, name, [])
    assert send(operation, text, serve, **{name: 1}).status == 200


@pytest.mark.parametrize(("name", "operation"), [("n", CHAT), ("n", COMPLETIONS), ("best_of", COMPLETIONS)])
def test_several_choices_are_refused_before_a_handler_of_one_operation_is_called(
    name: str, operation: str, serve: Serve
) -> None:  # R9
    called: list[Any] = []

    def handle(*, model: str) -> str:
        called.append(model)
        return "Hello."

    dispatch = Dispatcher()
    dispatch(operation)(handle)
    for stream in (False, True):
        sent = serve(dispatch, "POST", TARGETS[operation], {**QUESTIONS[operation], name: 2, "stream": stream})
        assert (sent.status, sent.error["param"], called) == (400, name, [])
    assert serve(dispatch, "POST", TARGETS[operation], {**QUESTIONS[operation], name: 1}).status == 200


def test_handler_of_one_operation_that_takes_n_answers_with_an_object_of_several_choices(serve: Serve) -> None:  # R9
    full: dict[str, Any] = FULL_COMPLETION
    [choice] = full["choices"]

    def answer_of(count: int) -> Any:
        return {**full, "choices": [{**choice, "index": index} for index in range(count)]}

    def naming(body: Any, n: int) -> Any:
        return answer_of(n)

    def taking_all(body: Any, **kwargs: Any) -> Any:
        return answer_of(kwargs["n"])

    for function in (naming, taking_all):
        dispatch = Dispatcher()
        dispatch(CHAT)(function)
        sent = serve(dispatch, "POST", TARGETS[CHAT], {**QUESTIONS[CHAT], "n": 2})
        assert (sent.status, len(sent.json["choices"])) == (200, 2)


def test_several_choices_of_a_response_are_refused_where_the_function_would_hear_of_them(serve: Serve) -> None:  # R9
    called: list[Any] = []

    def choices(messages: Any, n: int = 1) -> list[str]:
        called.append(n)
        return ["Hello."] * n

    sent = send(RESPONSES, choices, serve, n=3)
    assert (sent.status, sent.error["param"], called) == (400, "n", [])
    assert send(RESPONSES, text, serve, n=3).status == 200


@pytest.mark.parametrize("function_is_async", [False, True])
def test_function_that_declares_n_returns_choices(function_is_async: bool, serve: Serve) -> None:  # R9
    def choices(messages: Any, n: int = 1) -> list[Any]:
        return [f"No. {number}" for number in range(n - 1)] + [Reply(tool_calls=[ToolCall("f")])]

    async def choices_on_a_loop(messages: Any, n: int = 1) -> list[Any]:
        return choices(messages, n)

    sent = send(CHAT, choices_on_a_loop if function_is_async else choices, serve, n=3)
    said = [(choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in sent.json["choices"]]
    assert said == [(0, "No. 0", "stop"), (1, "No. 1", "stop"), (2, None, "tool_calls")]
    ChatCompletion.model_validate(sent.json, strict=True)


def test_choices_are_streamed_too(serve: Serve) -> None:  # R9
    def choices(messages: Any, n: int = 1) -> list[Any]:
        return [f"No. {number}" for number in range(n)]

    events = documents(send(CHAT, choices, serve, n=2, stream=True))
    told: dict[int, list[Any]] = {0: [], 1: []}
    for event in events:
        ChatCompletionChunk.model_validate(event)
        for choice in event["choices"]:
            told[choice["index"]].append(choice["delta"].get("content") or choice["finish_reason"])
    assert told == {0: [None, "No. 0", "stop"], 1: [None, "No. 1", "stop"]}


@pytest.mark.parametrize("operation", [RESPONSES, COMPLETIONS])
@pytest.mark.parametrize("stream", [False, True])
def test_list_of_one_reply_is_the_answer_where_there_are_no_choices(
    stream: bool, operation: str, serve: Serve
) -> None:  # R9
    def choices(messages: Any, n: int = 1) -> list[str]:
        return ["Hello."] * n

    sent = send(operation, choices, serve, stream=stream)
    said = deltas_of(operation, documents(sent)) if stream else [text_of(operation, sent.json)]
    assert said == ["Hello."]


def test_choices_of_a_text_completion_are_refused_although_the_function_gives_several(serve: Serve) -> None:  # R9
    def choices(messages: Any, n: int = 1) -> list[str]:
        return ["Hello."] * n

    sent = send(COMPLETIONS, choices, serve, n=2)
    assert (sent.status, sent.error["param"]) == (400, "n")


# --- item by item


@each_operation
@pytest.mark.parametrize("is_async", [False, True])
async def test_item_leaves_before_the_next_is_asked_for(is_async: bool, operation: str) -> None:  # R10
    client = Client("POST", TARGETS[operation], {**QUESTIONS[operation], "stream": True})
    seen: list[bytes] = []

    def numbers(messages: Any) -> Iterator[str]:
        for number in range(3):
            yield f"No. {number}"
            seen.append(client.sent.body)

    async def numbers_on_a_loop(messages: Any) -> AsyncIterator[str]:
        for number in numbers(messages):
            yield number

    await client.asks(OpenAIMiddleware(HandlerApp(replying(numbers_on_a_loop if is_async else numbers)), prefix="/v1"))
    for number in range(3):
        assert f"No. {number}".encode() in seen[number]
        assert f"No. {number + 1}".encode() not in seen[number]


class Counting:
    """An iterator that never ends, and tells when it is closed."""

    def __init__(self) -> None:
        self.closes = 0
        self._numbers = itertools.count()

    def close(self) -> None:
        self.closes += 1


class SyncCounting(Counting):
    def __iter__(self) -> "SyncCounting":
        return self

    def __next__(self) -> str:
        return str(next(self._numbers))


class AsyncCounting(Counting):
    def __aiter__(self) -> "AsyncCounting":
        return self

    async def __anext__(self) -> str:
        await asyncio.sleep(0)
        return str(next(self._numbers))


class AsyncCountingWithAclose(AsyncCounting):
    async def aclose(self) -> None:
        self.close()


@each_operation
@pytest.mark.parametrize("kind", [SyncCounting, AsyncCounting, AsyncCountingWithAclose])
async def test_iterator_is_closed_when_the_client_goes(kind: Any, operation: str) -> None:  # R10
    client = Client("POST", TARGETS[operation], {**QUESTIONS[operation], "stream": True})
    numbers = kind()
    app = OpenAIMiddleware(HandlerApp(replying(lambda messages: numbers)), prefix="/v1")
    asking = asyncio.ensure_future(client.asks(app))
    await client.bodies.get()
    client.goes.set()
    await asking
    assert numbers.closes == 1
    assert not client.sent.is_complete


@each_operation
@pytest.mark.parametrize("kind", [SyncCounting, AsyncCounting, AsyncCountingWithAclose])
def test_iterator_is_closed_when_the_server_stops(kind: Any, operation: str) -> None:  # R10 W2
    numbers = kind()
    app = OpenAIWSGIMiddleware(WSGIHandlerApp(replying(lambda messages: numbers)), prefix="/v1")
    server = Server()
    body = json.dumps({**QUESTIONS[operation], "stream": True}).encode()
    server.call(app, wsgi_driver.environ("POST", TARGETS[operation], body))
    for _ in range(3):
        assert server.step()
    assert numbers.closes == 0
    server.close()
    assert numbers.closes == 1


@each_operation
@pytest.mark.parametrize("stream", [False, True])
def test_all_items_of_an_async_generator_are_taken_on_one_loop(
    stream: bool, operation: str, serve: Serve
) -> None:  # R10
    loops: list[Any] = []

    async def numbers(messages: Any) -> AsyncIterator[str]:
        for number in range(3):
            loops.append(asyncio.get_running_loop())
            await asyncio.sleep(0)
            yield str(number)

    sent = send(operation, numbers, serve, stream=stream)
    said = deltas_of(operation, documents(sent)) if stream else [*text_of(operation, sent.json)]
    assert said == ["0", "1", "2"]
    assert len({id(loop) for loop in loops}) == 1


# --- what a function is called with


@each_operation
def test_function_gets_messages_and_what_it_declares(operation: str, serve: Serve) -> None:  # X1 X13
    given: list[Any] = []

    def answer(messages: Any, model: str, call: OpenAICall, temperature: float = 1.0) -> str:
        given.append((messages, model, temperature, call.operation))
        return "Yes."

    assert send(operation, answer, serve, temperature=0.5).status == 200
    assert given == [([{"role": "user", "content": "Why?"}], "m", 0.5, operation)]


def test_function_for_one_operation_comes_before_the_one_for_all() -> None:
    for is_first in (True, False):
        dispatch = Dispatcher()
        if is_first:
            dispatch(RESPONSES)(lambda body: "special")
        dispatch.reply(lambda messages: "general")
        if not is_first:
            dispatch(RESPONSES)(lambda body: "special")
        said = {
            operation: text_of(operation, by_asgi(dispatch, "POST", TARGETS[operation], QUESTIONS[operation]).json)
            for operation in OPERATIONS
        }
        assert said == {CHAT: "general", RESPONSES: "special", COMPLETIONS: "general"}


def test_function_may_reply_to_some_operations_alone() -> None:
    dispatch = Dispatcher()
    dispatch.reply(CHAT)(lambda messages: "Hello.")
    assert by_asgi(dispatch, "POST", TARGETS[CHAT], QUESTIONS[CHAT]).status == 200
    refused = by_asgi(dispatch, "POST", TARGETS[RESPONSES], QUESTIONS[RESPONSES])
    assert (refused.status, refused.error["code"]) == (404, "unsupported_operation")
    with pytest.raises(ConfigurationError, match="takes no replies"):
        dispatch.reply("models.list")


@pytest.mark.parametrize("operation", [CHAT, RESPONSES])
def test_handler_of_one_operation_returns_replies_too(operation: str, serve: Serve) -> None:  # R1
    dispatch = Dispatcher()
    dispatch(operation)(lambda body: iter(["Hel", "lo."]))
    request = QUESTIONS[operation]
    assert text_of(operation, serve(dispatch, "POST", TARGETS[operation], request).json) == "Hello."
    streamed = serve(dispatch, "POST", TARGETS[operation], {**request, "stream": True})
    assert deltas_of(operation, documents(streamed)) == ["Hel", "lo."]


# --- chat completions of another client


@each_operation
@pytest.mark.parametrize("make", [dict, ChatCompletion.model_validate], ids=["dict", "sdk"])
@pytest.mark.parametrize("stream", [False, True])
def test_chat_completion_is_a_reply(stream: bool, make: Any, operation: str, serve: Serve) -> None:  # X30 R34
    sent = send(operation, lambda messages: make(FULL_COMPLETION), serve, stream=stream)
    said = "".join(deltas_of(operation, documents(sent))) if stream else text_of(operation, sent.json)
    assert said == "Grüße\u2028!"
