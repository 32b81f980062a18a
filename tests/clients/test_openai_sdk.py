"""The official OpenAI SDK against a live server whose handlers say more than OpenAI's API has."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import openai
import pytest
from fastapi import Depends, FastAPI
from openai import AsyncOpenAI, OpenAI

from openai_middleware import OpenAICall, errors
from openai_middleware.adapters.fastapi import openai_call, set_openai_frontend
from tests.support.samples import ANSWERS, FULL_COMPLETION, FULL_RESPONSE, JUNK, MESSAGE, NULLABLE_OF_RESPONSE, listing
from tests.support.sdk_calls import BY_NAME, FUNCTION, HELLO, Client, each_operation, result
from tests.support.servers import uvicorn_server

Json = dict[str, Any]


def with_junk(call: OpenAICall) -> Json:
    assert call.operation is not None
    return {**JUNK, **ANSWERS[call.operation], **{f"{name}_": "junk" for name in ANSWERS[call.operation]}}


class Backend:
    """A FastAPI app that records the calls it gets and answers with what `answer` returns or raises."""

    def __init__(self) -> None:
        self.app = FastAPI()
        set_openai_frontend(self.app, prefix="/v1")
        methods = ["GET", "POST", "DELETE"]
        self.app.add_api_route("/{path:path}", self.handle, methods=methods, response_model=None)
        self.reset()

    def reset(self) -> None:
        self.calls: list[OpenAICall] = []
        self.answer: Callable[[OpenAICall], Any] = with_junk

    async def handle(self, call: Annotated[OpenAICall, Depends(openai_call)]) -> Any:
        self.calls.append(call)
        return self.answer(call)

    def fail(self, error: Exception, times: int = 1_000) -> None:
        """Fail the first calls, and answer the later ones."""

        def answer(call: OpenAICall) -> Json:
            if len(self.calls) <= times:
                raise error
            return with_junk(call)

        self.answer = answer

    @property
    def call(self) -> OpenAICall:
        [call] = self.calls
        return call


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Backend, str]]:
    backend = Backend()
    with uvicorn_server(backend.app) as url:
        yield backend, f"{url}/v1"


@pytest.fixture
def backend(live: tuple[Backend, str]) -> Backend:
    live[0].reset()
    return live[0]


@pytest.fixture(params=["sync", "sync-strict", "async", "async-strict"])
async def client(request: pytest.FixtureRequest, live: tuple[Backend, str]) -> AsyncIterator[Client]:
    settings: Json = {"base_url": live[1], "api_key": "sk-none"}
    kind, _, strict = request.param.partition("-")
    if strict:
        settings["_strict_response_validation"] = True
    if kind == "sync":
        with OpenAI(**settings) as sync_client:
            yield sync_client
    else:
        async with AsyncOpenAI(**settings) as async_client:
            yield async_client


@pytest.fixture
def sync_client(live: tuple[Backend, str]) -> Iterator[OpenAI]:
    with OpenAI(base_url=live[1], api_key="sk-none") as client:
        yield client


@each_operation
async def test_sdk_gets_its_answer_without_the_junk(name: str, client: Client, backend: Backend) -> None:  # C3 C4 O2 O5
    answer = await result(BY_NAME[name][2](client))
    assert backend.call.operation == name
    if name == "responses.delete":
        assert answer is None
        return
    wanted = ANSWERS[name]
    if wanted is FULL_RESPONSE:
        wanted = {**FULL_RESPONSE, **dict.fromkeys(NULLABLE_OF_RESPONSE)}  # O4
    assert answer.to_dict() == wanted
    beside_the_model = {"object", "first_id", "last_id"} if name.endswith("list") else set()
    assert set(answer.model_extra) == beside_the_model


@each_operation
async def test_handler_gets_what_the_sdk_was_told(name: str, client: Client, backend: Backend) -> None:  # B7 B9 Q3 Q4
    request_line, kwargs, use = BY_NAME[name]
    await result(use(client))
    method, path = request_line.split()
    assert backend.call.kwargs == {**kwargs, "mlrun_request_path": path, "mlrun_request_method": method}
    assert (backend.call.method, backend.call.path) == (method, path)


async def test_operations_without_a_body_have_none(client: Client, backend: Backend) -> None:  # B1
    await result(client.responses.cancel("resp-1"))
    assert backend.call.body is None


async def test_deprecated_parameters_are_kwargs(client: Client, backend: Backend) -> None:  # C5
    deprecated: Json = {
        "max_tokens": 9,
        "seed": 0,
        "user": "somebody",
        "functions": [FUNCTION],
        "function_call": {"name": "f"},
    }
    await result(client.chat.completions.create(model="m-1", messages=HELLO, **deprecated))
    assert backend.call.body_params == {"model": "m-1", "messages": HELLO, **deprecated}


async def test_extra_body_fields_stand_in_the_body_only(client: Client, backend: Backend) -> None:  # C5 B7
    await result(client.responses.create(model="m-1", input="Hello", extra_body={"top_k": 5}))
    assert backend.call.body_params == {"model": "m-1", "input": "Hello"}
    assert backend.call.body == {"model": "m-1", "input": "Hello", "top_k": 5}


async def test_extra_query_parameters_are_kwargs(client: Client, backend: Backend) -> None:  # Q1 Q4
    await result(client.responses.retrieve("resp-1", extra_query={"verbose": "1", "tag": ["a"]}))
    assert backend.call.query_params == {"verbose": "1", "tag": ["a"]}


async def test_url_info_cannot_be_spoofed(client: Client, backend: Backend) -> None:  # B9
    spoofed = {"mlrun_request_path": "/admin", "mlrun_request_method": "PUT"}
    await result(client.responses.create(input="Hello", extra_query=spoofed, extra_body=spoofed))
    url_info = {"mlrun_request_path": "/v1/responses", "mlrun_request_method": "POST"}
    assert backend.call.kwargs == {"input": "Hello", **url_info}


@pytest.mark.parametrize("id", ["a/b", "a b", "a%2Fb", "é", "a?b#c", "a+b", "compact"])
async def test_ids_arrive_as_the_sdk_was_given_them(id: str, client: Client, backend: Backend) -> None:  # M9 C3
    await result(client.responses.retrieve(id))
    assert backend.call.operation == "responses.retrieve"
    assert backend.call.path_params == {"response_id": id}


async def test_deleted_flag_of_a_response_is_on_the_wire(sync_client: OpenAI, backend: Backend) -> None:  # C4
    raw = sync_client.responses.with_raw_response.delete("resp-1")
    assert raw.http_response.json() == with_junk(backend.call)


async def test_deep_structure_is_left_to_the_sdk(client: Client, backend: Backend) -> None:  # O11
    message = {**MESSAGE, "reasoning_content": "Hm."}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    backend.answer = lambda call: {**FULL_COMPLETION, "choices": [choice]}
    answer = await result(client.chat.completions.create(model="m-1", messages=HELLO))
    assert answer.choices[0].message.reasoning_content == "Hm."


# Lists


def pages_of_two(call: OpenAICall) -> Json:
    ids = [f"chatcmpl-{number}" for number in range(5)]
    start = ids.index(call.kwargs["after"]) + 1 if "after" in call.kwargs else 0
    items = [{**FULL_COMPLETION, "id": id} for id in ids[start : start + 2]]
    return {**JUNK, **listing(*items, has_more=start + 2 < len(ids))}


async def test_pagination_fetches_every_page_and_ends(client: Client, backend: Backend) -> None:  # C1 Q3
    backend.answer = pages_of_two
    pages: Any = client.chat.completions.list(limit=2, metadata={"a": "b"})
    found = [item.id for item in pages] if isinstance(client, OpenAI) else [item.id async for item in pages]
    assert found == [f"chatcmpl-{number}" for number in range(5)]
    query = {"limit": 2, "metadata": {"a": "b"}}
    after = [{}, {"after": "chatcmpl-1"}, {"after": "chatcmpl-3"}]
    assert [call.query_params for call in backend.calls] == [{**query, **more} for more in after]


async def test_empty_list_is_an_empty_list(client: Client, backend: Backend) -> None:  # C1
    backend.answer = lambda call: listing()
    page = await result(client.responses.input_items.list("resp-1"))
    assert page.data == []
    assert not page.has_next_page()


async def test_list_without_has_more_is_an_error_and_no_endless_loop(client: Client, backend: Backend) -> None:  # C1 O3
    backend.answer = lambda call: {"object": "list", "data": [FULL_COMPLETION]}
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        await result(client.chat.completions.list())
    assert caught.value.param == "has_more"


# Errors


@pytest.mark.parametrize(
    ("raised", "caught", "status", "type"),
    [
        (errors.BadRequestError, openai.BadRequestError, 400, "invalid_request_error"),
        (errors.AuthenticationError, openai.AuthenticationError, 401, "invalid_request_error"),
        (errors.PermissionDeniedError, openai.PermissionDeniedError, 403, "invalid_request_error"),
        (errors.NotFoundError, openai.NotFoundError, 404, "invalid_request_error"),
        (errors.MethodNotAllowedError, openai.APIStatusError, 405, "invalid_request_error"),
        (errors.ConflictError, openai.ConflictError, 409, "invalid_request_error"),
        (errors.RequestTooLargeError, openai.APIStatusError, 413, "invalid_request_error"),
        (errors.UnprocessableEntityError, openai.UnprocessableEntityError, 422, "invalid_request_error"),
        (errors.RateLimitError, openai.RateLimitError, 429, "invalid_request_error"),
        (errors.InternalServerError, openai.InternalServerError, 500, "server_error"),
    ],
)
async def test_sdk_raises_the_namesake_of_what_the_app_raised(  # E1 E4
    raised: type[errors.OpenAIError], caught: type[Exception], status: int, type: str, client: Client, backend: Backend
) -> None:
    backend.fail(raised("It was not to be: ü.", param="messages", code="not_to_be"))
    with pytest.raises(openai.APIStatusError) as info:
        await result(client.with_options(max_retries=0).chat.completions.create(model="m-1", messages=HELLO))
    error = info.value
    assert error.__class__ is caught
    assert error.status_code == status
    assert error.body == {"message": "It was not to be: ü.", "type": type, "param": "messages", "code": "not_to_be"}
    assert (error.param, error.code, error.type) == ("messages", "not_to_be", type)
    assert "It was not to be: ü." in error.message


async def test_type_and_status_of_an_error_can_be_chosen(client: Client, backend: Backend) -> None:  # E1
    backend.fail(errors.OpenAIError("No credit.", type="insufficient_quota", status_code=402))
    with pytest.raises(openai.APIStatusError) as info:
        await result(client.responses.retrieve("resp-1"))
    assert info.value.status_code == 402
    assert (info.value.type, info.value.param, info.value.code) == ("insufficient_quota", None, None)


@pytest.mark.parametrize(
    ("status", "attempts"),
    [(400, 1), (404, 1), (409, 1), (422, 1), (500, 1), (501, 1), (408, 2), (429, 2), (502, 2), (503, 2), (504, 2)],
)
def test_only_what_waiting_can_heal_is_tried_again(
    status: int, attempts: int, sync_client: OpenAI, backend: Backend
) -> None:  # E3
    backend.fail(errors.OpenAIError("Not now.", status_code=status, headers={"Retry-After-Ms": "1"}), times=1)
    client = sync_client.with_options(max_retries=2)
    if attempts > 1:
        assert client.responses.retrieve("resp-1").id == "resp-1"
    else:
        with pytest.raises(openai.APIStatusError, match="Not now"):
            client.responses.retrieve("resp-1")
    assert len(backend.calls) == attempts


async def test_retry_can_be_asked_for(client: Client, backend: Backend) -> None:  # E3
    locked = errors.ConflictError("Locked.", should_retry=True, headers={"Retry-After-Ms": "1"})
    backend.fail(locked, times=2)
    assert (await result(client.responses.retrieve("resp-1"))).id == "resp-1"
    assert len(backend.calls) == 3


async def test_foreign_exception_stays_the_app_s_own(client: Client, backend: Backend) -> None:  # E4
    backend.fail(ZeroDivisionError("secret"))
    with pytest.raises(openai.InternalServerError) as info:
        await result(client.with_options(max_retries=0).responses.retrieve("resp-1"))
    assert info.value.response.text == "Internal Server Error"


@pytest.mark.parametrize(
    ("use", "caught", "param", "code"),
    [
        pytest.param(
            lambda client: client.post("/chat/completions", body={"model": "m-1"}, cast_to=object),
            openai.UnprocessableEntityError,
            "messages",
            "missing_required_parameter",
            id="mandatory field missing",  # B2
        ),
        pytest.param(
            lambda client: client.post("/chat/completions", body=[], cast_to=object),
            openai.UnprocessableEntityError,
            None,
            "invalid_type",
            id="no object",  # B1
        ),
        pytest.param(
            lambda client: client.post("/responses", content=b'{"input": ', cast_to=object),
            openai.BadRequestError,
            None,
            "invalid_json",
            id="malformed",  # B4
        ),
        pytest.param(
            lambda client: client.responses.retrieve("resp-1", extra_query={"response_id": "resp-1"}),
            openai.BadRequestError,
            "response_id",
            "duplicate_parameter",
            id="sent twice",  # B8
        ),
        pytest.param(
            lambda client: client.chat.completions.list(extra_query={"limit": "many"}),
            openai.BadRequestError,
            "limit",
            "invalid_type",
            id="no integer",  # Q4
        ),
    ],
)
async def test_request_that_the_contract_refuses_never_reaches_the_app(  # E1 E2
    use: Callable[[Client], Any],
    caught: type[openai.APIStatusError],
    param: str | None,
    code: str,
    client: Client,
    backend: Backend,
) -> None:
    with pytest.raises(caught) as info:
        await result(use(client))
    assert (info.value.param, info.value.code, info.value.type) == (param, code, "invalid_request_error")
    assert backend.calls == []


@pytest.mark.parametrize("field", ["id", "created", "model", "choices", "object"])
async def test_answer_without_a_mandatory_field_is_an_error(field: str, client: Client, backend: Backend) -> None:  # O3
    backend.answer = lambda call: {key: value for key, value in FULL_COMPLETION.items() if key != field}
    with pytest.raises(openai.UnprocessableEntityError) as info:
        await result(client.chat.completions.create(model="m-1", messages=HELLO))
    assert info.value.param == field
    assert len(backend.calls) == 1


async def test_concurrent_calls_do_not_mix(live: tuple[Backend, str], backend: Backend) -> None:
    backend.answer = lambda call: {**with_junk(call), "id": call.kwargs["model"], "model": call.kwargs["model"]}
    async with AsyncOpenAI(base_url=live[1], api_key="sk-none") as client:
        creating = [client.chat.completions.create(model=f"m-{number}", messages=HELLO) for number in range(100)]
        answers = await asyncio.gather(*creating)
    assert [answer.id for answer in answers] == [f"m-{number}" for number in range(100)]
