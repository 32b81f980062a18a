"""The official OpenAI SDK against plain functions: under uvicorn, and under gunicorn with threads."""

import asyncio
import itertools
import threading
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware, OpenAIWSGIMiddleware, WSGIHandlerApp
from openai_middleware.errors import NotFoundError
from tests.support.samples import RESPONSE
from tests.support.servers import gunicorn_server, uvicorn_server

HELLO: list[Any] = [{"role": "user", "content": "Grüße\u2028!"}]
FIELDS: dict[str, Any] = {"id": "c", "created": 1}
DELTA = {
    "type": "response.output_text.delta",
    "output_index": 0,
    "content_index": 0,
    "item_id": "i",
    "logprobs": [],
}

# --- the server: this module is imported by gunicorn too

dispatch = Dispatcher()
released: defaultdict[str, threading.Event] = defaultdict(threading.Event)
closed: defaultdict[str, threading.Event] = defaultdict(threading.Event)
attempts: Counter[str] = Counter()


def text_chunk(model: str, text: str) -> ChatCompletionChunk:
    choice: Any = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return ChatCompletionChunk(**FIELDS, model=model, object="chat.completion.chunk", choices=[choice])


@dispatch("chat.completions.create")
def create_completion(body: Any, *, model: str, messages: list[Any], stream: bool = False, n: int = 1) -> Any:
    if stream:
        return streamed(model, messages)
    message: Any = {"role": "assistant", "content": messages[-1]["content"]}
    choices: Any = [{"index": i, "finish_reason": "stop", "message": message} for i in range(n)]
    return ChatCompletion(**FIELDS, model=model, object="chat.completion", choices=choices)


def streamed(model: str, messages: list[Any]) -> Iterator[Any]:
    """What the name of the model asks for: `wait-` for another call, `fail`, `bug`, `endless-`, or the text."""
    kind = model.partition("-")[0]
    if kind == "endless":
        try:
            yield from (text_chunk(model, str(number)) for number in itertools.count())
        finally:
            closed[model].set()
    for letter in messages[-1]["content"]:
        yield text_chunk(model, letter)
        if kind == "wait":
            released[model].wait(60)
        if kind == "fail":
            raise NotFoundError("It is gone.", param="model", code="gone")
        if kind == "bug":
            raise ZeroDivisionError("secret")


@dispatch("responses.create")
async def create_response(body: Any, *, model: str, input: str, stream: bool = False) -> Any:
    return astreamed(model, input) if stream else Response.construct(**{**RESPONSE, "model": model})


async def astreamed(model: str, input: str) -> AsyncIterator[Any]:
    try:
        yield {"type": "response.created", "response": {**RESPONSE, "model": model, "junk": 1}}
        for letter in input:
            await asyncio.sleep(0)
            yield {**DELTA, "delta": letter}
        if model == "bug":
            raise ZeroDivisionError("secret")
        while model.startswith("endless"):
            await asyncio.sleep(0)
            yield {**DELTA, "delta": "x"}
        yield {"type": "response.completed", "response": RESPONSE}
    finally:
        closed[model].set()


@dispatch("responses.cancel")
def release(body: Any, response_id: str) -> Any:
    released[response_id].set()
    return RESPONSE


@dispatch("responses.retrieve")
def retrieve(body: Any, response_id: str) -> Any:
    kind, _, name = response_id.partition(":")
    if kind == "bug":
        attempts[name] += 1
        raise ZeroDivisionError("secret")
    if kind == "attempts":
        return {**RESPONSE, "id": str(attempts[name])}
    if kind == "closed":
        return {**RESPONSE, "id": str(closed[name].wait(60))}
    raise NotFoundError("No response found", param="response_id")


asgi_app = OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1")
wsgi_app = OpenAIWSGIMiddleware(WSGIHandlerApp(dispatch), prefix="/v1")


# --- the client


@pytest.fixture(scope="module", params=["uvicorn", "gunicorn"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "uvicorn":
        with uvicorn_server(asgi_app) as url:
            yield f"{url}/v1"
    else:
        with gunicorn_server("tests.clients.test_openai_sdk_handler_app:wsgi_app") as url:
            yield f"{url}/v1"


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key="sk-none", _strict_response_validation=True) as client:
        yield client


@pytest.fixture
async def async_client(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=url, api_key="sk-none", _strict_response_validation=True) as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return request.node.name.partition("[")[0]


def test_function_answers_a_chat(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="m", messages=HELLO, n=2)

    assert [choice.message.content for choice in completion.choices] == ["Grüße\u2028!"] * 2
    assert completion.to_dict().keys() == {"id", "created", "model", "object", "choices"}


async def test_coroutine_function_answers(async_client: AsyncOpenAI) -> None:  # O4
    response = await async_client.responses.create(model="m-1", input="Hello")

    assert (response.model, response.error, response.output_text) == ("m-1", None, "")


def test_parameter_that_the_function_does_not_declare_is_no_error(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model="m", messages=HELLO, temperature=1, extra_query={"own": "1"}, extra_body={"top_k": 1}
    )

    assert completion.model == "m"


def test_generator_is_a_stream_of_chunks(client: OpenAI) -> None:  # S3
    chunks = list(client.chat.completions.create(model="m", messages=HELLO, stream=True))

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Grüße\u2028!"
    assert {chunk.model for chunk in chunks} == {"m"}


async def test_async_generator_is_a_stream_of_typed_events(async_client: AsyncOpenAI) -> None:  # S3
    stream: Any = await async_client.responses.create(model="m", input="abc", stream=True)
    events = [event async for event in stream]

    assert [event.type for event in events] == [
        "response.created",
        *["response.output_text.delta"] * 3,
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(5))
    assert events[0].response.model == "m"


def test_chunk_arrives_before_the_next_one_is_made(client: OpenAI, name: str) -> None:  # S1 W2
    model = f"wait-{name}"

    stream = client.chat.completions.create(model=model, messages=HELLO, stream=True)
    first = next(stream)
    client.responses.cancel(model)  # the server waits for this before it makes the second chunk
    rest = list(stream)

    assert first.choices[0].delta.content == "G"
    assert len(rest) == len("rüße\u2028!")


def test_generator_is_closed_when_the_client_goes(client: OpenAI, name: str) -> None:  # S8
    model = f"endless-{name}"

    with client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream:
        next(stream)

    assert client.responses.retrieve(f"closed:{model}").id == "True"


async def test_async_generator_is_closed_when_the_client_goes(async_client: AsyncOpenAI, name: str) -> None:  # S8
    model = f"endless-{name}"

    stream: Any = await async_client.responses.create(model=model, input="abc", stream=True)
    async with stream:
        await anext(stream)

    assert (await async_client.responses.retrieve(f"closed:{model}")).id == "True"


def test_openai_error_of_a_function_is_raised_by_the_sdk(client: OpenAI) -> None:  # E4
    with pytest.raises(openai.NotFoundError, match="No response found") as caught:
        client.responses.retrieve("x")

    assert caught.value.param == "response_id"


def test_operation_without_a_function_is_raised_by_the_sdk(client: OpenAI) -> None:  # E1
    with pytest.raises(openai.NotFoundError, match=r"does not support chat\.completions\.list") as caught:
        client.chat.completions.list()

    assert caught.value.code == "unsupported_operation"


def test_required_parameter_that_is_missing_is_raised_by_the_sdk(client: OpenAI) -> None:  # E1
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.responses.create(model="m")

    assert caught.value.param == "input"


def test_bug_is_not_tried_again(client: OpenAI, name: str) -> None:  # E3
    with pytest.raises(openai.InternalServerError) as caught:
        client.with_options(max_retries=2).responses.retrieve(f"bug:{name}")

    assert "secret" not in caught.value.response.text
    assert client.responses.retrieve(f"attempts:{name}").id == "1"


@pytest.mark.parametrize(
    ("model", "message"),
    [("fail", "It is gone."), ("bug", "The server had an error while processing your request.")],
)
def test_failure_within_a_stream_is_raised_by_the_sdk(model: str, message: str, client: OpenAI) -> None:  # S4
    stream = client.chat.completions.create(model=model, messages=HELLO, stream=True)

    assert next(stream).model == model
    with pytest.raises(openai.APIError) as caught:
        next(stream)
    assert caught.value.message == message


async def test_failure_within_a_typed_stream_is_raised_by_the_sdk(async_client: AsyncOpenAI) -> None:  # S4
    stream: Any = await async_client.responses.create(model="bug", input="", stream=True)

    assert (await anext(stream)).type == "response.created"
    with pytest.raises(openai.APIError, match="The server had an error"):
        await anext(stream)


@pytest.mark.parametrize("model", ["fail", "bug"])
def test_stream_that_fails_ends_as_http_wants_it(model: str, url: str) -> None:  # S4
    """A client that reads to the end meets no connection that was cut."""
    body = {"model": model, "messages": HELLO, "stream": True}

    answer = httpx.post(f"{url}/chat/completions", json=body)

    assert answer.status_code == 200
    assert answer.text.count("\n\n") == 2
    assert '{"error":{' in answer.text


def test_body_without_a_length_is_read_to_its_end(url: str) -> None:  # W1
    def parts() -> Iterator[bytes]:
        yield b'{"model": "m", "mess'
        yield b'ages": [{"role": "user", "content": "Hello"}]}'

    answer = httpx.post(f"{url}/chat/completions", content=parts(), headers={"Content-Type": "application/json"})

    assert answer.json()["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize("id", ["a/b", "a b", "é", "a?b#c", "a%2Fb"])
def test_ids_arrive_as_the_sdk_was_given_them(id: str, client: OpenAI, name: str) -> None:  # M9 W4
    with pytest.raises(openai.InternalServerError):
        client.responses.retrieve(f"bug:{name}{id}")

    assert client.responses.retrieve(f"attempts:{name}{id}").id == "1"


async def test_many_calls_at_once_do_not_mix(async_client: AsyncOpenAI) -> None:
    async def answered(number: int) -> str:
        text: list[Any] = [{"role": "user", "content": str(number)}]
        if number % 2:
            completion = await async_client.chat.completions.create(model="m", messages=text)
            return completion.choices[0].message.content or ""
        stream = await async_client.chat.completions.create(model="m", messages=text, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert await asyncio.gather(*(answered(number) for number in range(100))) == [str(n) for n in range(100)]
