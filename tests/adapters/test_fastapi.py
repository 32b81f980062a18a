"""FastAPI and Starlette in front of the middleware's way: what the adapter installs, and what surrounds it."""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

from openai_middleware import APIHandlerConfig, OpenAICall, OpenAIEndpoint, OpenAIMiddleware
from openai_middleware.adapters.fastapi import openai_call, openai_kwargs, set_openai_frontend
from openai_middleware.errors import ConfigurationError, NotFoundError, OpenAIError, RateLimitError
from tests.support.drivers import JSON_HEADERS, Sent, request

Call = Annotated[OpenAICall, Depends(openai_call)]
Kwargs = Annotated[dict[str, Any], Depends(openai_kwargs)]
Json = dict[str, Any]

QUESTION = {"input": "Why?", "temperature": 0}
URL_INFO = {"mlrun_request_path": "/v1/responses", "mlrun_request_method": "POST"}
TOKENS = {"object": "response.input_tokens", "input_tokens": 7}


async def post(app: Any, path: str, body: Any = QUESTION, *headers: tuple[bytes, bytes], **scope: Any) -> Sent:
    return await request(app, "POST", path, body, headers=[*JSON_HEADERS, *headers], **scope)


def counting_app() -> FastAPI:
    """An app that counts tokens at /v1/responses/input_tokens, and says more than OpenAI's API has."""
    app = FastAPI()

    @app.post("/v1/responses/input_tokens")
    async def count() -> Json:
        return {"junk": "x" * 1_000, **TOKENS}

    return app


def failing_app(error: Exception) -> FastAPI:
    """An app whose routes raise: one of the OpenAI API, one of its own."""
    app = FastAPI()

    @app.get("/v1/responses/{response_id}")
    @app.get("/own")
    async def fail() -> None:
        raise error

    return app


# What a route is given


async def test_route_gets_the_call() -> None:  # B7
    app = FastAPI()
    set_openai_frontend(app, prefix="/v1")
    calls = []

    @app.post("/v1/responses")
    async def create(call: Call) -> None:
        calls.append(call)

    await post(app, "/v1/responses?tag=a", {**QUESTION, "own": 1})
    [call] = calls
    assert call.operation == "responses.create"
    assert call.kwargs == {**QUESTION, "tag": "a", **URL_INFO}
    assert call.body == {**QUESTION, "own": 1}


async def test_route_in_a_thread_gets_the_call() -> None:
    app = FastAPI()
    set_openai_frontend(app, prefix="/v1")
    calls = []

    @app.get("/v1/responses/{response_id}")
    def retrieve(response_id: str, call: Call) -> None:
        calls.append((response_id, call.path_params))

    await request(app, "GET", "/v1/responses/r-1")
    assert calls == [("r-1", {"response_id": "r-1"})]


@pytest.mark.parametrize("include_url_info", [True, False])
async def test_route_gets_the_kwargs_alone(include_url_info: bool) -> None:  # B7 B9
    app = FastAPI()
    set_openai_frontend(app, prefix="/v1", include_url_info=include_url_info)
    given = []

    @app.post("/v1/responses")
    async def create(kwargs: Kwargs) -> None:
        given.append(kwargs)

    await post(app, "/v1/responses")
    assert given == [{**QUESTION, **(URL_INFO if include_url_info else {})}]


async def test_dependency_of_a_dependency_gets_the_call() -> None:
    async def model(call: Call) -> str:
        return str(call.kwargs["model"])

    app = FastAPI()
    set_openai_frontend(app, prefix="/v1")
    models = []

    @app.post("/v1/responses")
    async def create(model: Annotated[str, Depends(model)]) -> None:
        models.append(model)

    await post(app, "/v1/responses", {"model": "m-1"})
    assert models == ["m-1"]


class Question(BaseModel):
    input: str
    own: int


async def test_route_can_still_read_the_body() -> None:
    app = FastAPI()
    set_openai_frontend(app, prefix="/v1")
    bodies: list[Any] = []

    @app.post("/v1/responses")
    async def create(request: Request, question: Question, call: Call) -> None:
        bodies.extend([await request.json(), await request.body(), question, call.body])

    body = {"input": "Why?", "own": 1}
    await post(app, "/v1/responses", [b'{"input": "Why?", ', b'"own": 1}'])
    assert bodies == [body, b'{"input": "Why?", "own": 1}', Question(input="Why?", own=1), body]


async def test_dependencies_add_nothing_to_the_api_description() -> None:
    app = FastAPI()
    app.add_middleware(OpenAIMiddleware, prefix="/v1")

    @app.post("/v1/responses")
    async def create(call: Call, kwargs: Kwargs) -> None: ...

    description = (await request(app, "GET", "/openapi.json")).json
    assert not {"parameters", "requestBody"} & description["paths"]["/v1/responses"]["post"].keys()


@pytest.mark.parametrize("dependency", [openai_call, openai_kwargs])
async def test_route_without_the_middleware_is_told_so(dependency: Callable[..., Any]) -> None:
    app = FastAPI()

    @app.post("/v1/responses")
    async def create(given: Annotated[Any, Depends(dependency)]) -> None: ...

    with pytest.raises(RuntimeError, match=r"POST /v1/responses.*set_openai_frontend.*prefix"):
        await post(app, "/v1/responses")


async def test_route_outside_the_prefix_is_told_so() -> None:
    app = FastAPI()
    set_openai_frontend(app, prefix="/v2")

    @app.post("/v1/responses")
    async def create(call: Call) -> None: ...

    with pytest.raises(RuntimeError, match=r"POST /v1/responses.*none of its endpoints matches"):
        await post(app, "/v1/responses")


# What the client is given


def by_frontend(app: FastAPI) -> Any:
    set_openai_frontend(app, prefix="/v1")
    return app


def by_add_middleware(app: FastAPI) -> Any:
    app.add_middleware(OpenAIMiddleware, prefix="/v1")
    return app


def by_wrapping(app: FastAPI) -> Any:
    return OpenAIMiddleware(app, prefix="/v1")


each_way = pytest.mark.parametrize("install", [by_frontend, by_add_middleware, by_wrapping])


@each_way
async def test_answer_is_mapped(install: Callable[[FastAPI], Any]) -> None:  # O2
    sent = await post(install(counting_app()), "/v1/responses/input_tokens")
    assert sent.json == TOKENS
    assert sent.header("content-length") == str(len(sent.body))


@each_way
async def test_error_of_a_route_is_its_envelope(install: Callable[[FastAPI], Any]) -> None:  # E1 E4
    error = NotFoundError("There is no such response.", param="response_id", code="not_found")
    sent = await request(install(failing_app(error)), "GET", "/v1/responses/r-1")
    assert sent.status == 404
    assert sent.error == {
        "message": "There is no such response.",
        "type": "invalid_request_error",
        "param": "response_id",
        "code": "not_found",
    }


@each_way
async def test_error_keeps_its_headers(install: Callable[[FastAPI], Any]) -> None:  # E3
    error = RateLimitError("Slow down.", headers={"Retry-After": "20"}, should_retry=True)
    sent = await request(install(failing_app(error)), "GET", "/v1/responses/r-1")
    assert (sent.status, sent.header("retry-after"), sent.header("x-should-retry")) == (429, "20", "true")


@each_way
async def test_error_of_a_dependency_is_its_envelope(install: Callable[[FastAPI], Any]) -> None:  # E4
    async def refuse() -> None:
        raise OpenAIError("No.", status_code=401)

    app = FastAPI(dependencies=[Depends(refuse)])

    @app.get("/v1/responses/{response_id}")
    async def retrieve() -> None: ...

    sent = await request(install(app), "GET", "/v1/responses/r-1")
    assert (sent.status, sent.error["message"]) == (401, "No.")


@each_way
async def test_error_after_the_start_of_an_answer_is_raised_as_it_is(install: Callable[[FastAPI], Any]) -> None:  # E4
    app = FastAPI()

    @app.get("/v1/responses/{response_id}")
    async def retrieve() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            raise NotFoundError("No more.")

        return StreamingResponse(parts(), media_type="text/plain")

    sent = Sent()
    with pytest.raises(NotFoundError, match="No more"):
        await request(install(app), "GET", "/v1/responses/r-1", sent=sent)
    assert (sent.status, sent.body, sent.is_complete) == (200, b"one", False)


@each_way
async def test_foreign_exception_gets_the_framework_s_answer(install: Callable[[FastAPI], Any]) -> None:  # E4
    sent = Sent()
    with pytest.raises(ZeroDivisionError):
        await request(install(failing_app(ZeroDivisionError())), "GET", "/v1/responses/r-1", sent=sent)
    assert (sent.status, sent.body) == (500, b"Internal Server Error")


plain_ways = pytest.mark.parametrize("install", [by_add_middleware, by_wrapping])


@plain_ways
async def test_http_exception_passes_as_fastapi_says_it(install: Callable[[FastAPI], Any]) -> None:  # O1
    sent = await request(install(failing_app(HTTPException(404, "Nothing here."))), "GET", "/v1/responses/r-1")
    assert (sent.status, sent.json) == (404, {"detail": "Nothing here."})


@plain_ways
async def test_validation_error_passes_as_fastapi_says_it(install: Callable[[FastAPI], Any]) -> None:  # O1
    app = FastAPI()

    @app.post("/v1/responses")
    async def create(question: Question) -> None: ...

    sent = await post(install(app), "/v1/responses", {"input": "Why?"})
    assert sent.status == 422
    assert sent.json["detail"][0]["loc"] == ["body", "own"]


@each_way
async def test_own_routes_are_left_alone(install: Callable[[FastAPI], Any]) -> None:  # M11
    app = counting_app()

    @app.post("/own")
    async def own(question: Question) -> Json:
        return {"question": question, "id": 1}

    sent = await post(install(app), "/own", {"input": "Why?", "own": 1})
    assert sent.json == {"question": {"input": "Why?", "own": 1}, "id": 1}


async def test_error_of_an_own_route_is_an_envelope_too() -> None:  # E1
    app = by_frontend(failing_app(NotFoundError("Not here.")))
    sent = await request(app, "GET", "/own")
    assert (sent.status, sent.error["message"]) == (404, "Not here.")


async def test_handler_for_all_exceptions_of_the_app_s_own_does_not_hide_the_envelope() -> None:  # E4
    app = failing_app(NotFoundError("Not here."))

    @app.exception_handler(Exception)
    async def hide(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"oops": True}, 500)

    sent = await request(by_wrapping(app), "GET", "/v1/responses/r-1")
    assert (sent.status, sent.error["message"]) == (404, "Not here.")


async def test_handler_of_the_app_s_own_can_say_errors_otherwise() -> None:  # O1
    app = by_frontend(failing_app(NotFoundError("Not here.")))

    async def say(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(f"Sorry: {error}", 404)

    app.add_exception_handler(NotFoundError, say)
    sent = await request(app, "GET", "/v1/responses/r-1")
    assert (sent.status, sent.body) == (404, b"Sorry: Not here.")


# Configuration


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        ({"prefix": "v1"}, {"prefix_leading_slash"}),
        ({"prefix": "/v1/"}, {"prefix_trailing_slash"}),
        ({"prefix": ["/v1", "v2"]}, {"prefix_leading_slash"}),
        ({"prefix": 1}, None),
        ({"endpoints": ["nonsense"]}, {"endpoints_unknown"}),
        ({"endpoints": "responses"}, {"endpoints_type"}),
        ({"endpoints": 1}, {"endpoints_type"}),
        ({"config": APIHandlerConfig(), "prefix": "/v1"}, {"config_and_endpoints"}),
        ({"unmatched": "ignore"}, None),
        ({"nonsense": True}, None),
    ],
)
def test_mistake_is_told_at_the_call_and_installs_nothing(arguments: Json, codes: set[str] | None) -> None:
    app = FastAPI()
    with pytest.raises(ConfigurationError) as caught:
        set_openai_frontend(app, **arguments)
    assert codes is None or {mistake.code for mistake in caught.value.mistakes} == codes
    assert app.user_middleware == []
    assert OpenAIError not in app.exception_handlers


async def test_frontend_comes_before_the_first_request() -> None:
    app = FastAPI()
    await request(app, "GET", "/")
    with pytest.raises(RuntimeError, match="started"):
        set_openai_frontend(app, prefix="/v1")


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1"])
async def test_groups_and_prefixes_may_be_given_by_generators(prefix: str) -> None:  # C2
    app = FastAPI()
    groups, prefixes = [OpenAIEndpoint.RESPONSES], ["/v1", "/openai/v1"]
    set_openai_frontend(app, (group for group in groups), (prefix for prefix in prefixes))
    operations = []

    @app.post(f"{prefix}/responses")
    async def create(call: Call) -> None:
        operations.append(call.operation)

    await post(app, f"{prefix}/responses")
    assert operations == ["responses.create"]


async def test_only_the_chosen_groups_are_served() -> None:  # C2
    app = counting_app()
    set_openai_frontend(app, [OpenAIEndpoint.CHAT_COMPLETIONS], "/v1")
    assert "junk" in (await post(app, "/v1/responses/input_tokens")).json


async def test_config_is_taken_as_it_is_at_the_call() -> None:
    config = APIHandlerConfig()
    config.set_openai_frontend(prefix="/v1")
    app = counting_app()
    set_openai_frontend(app, config=config)
    config.remove_endpoint_handler("/v1/responses/input_tokens")
    assert (await post(app, "/v1/responses/input_tokens")).json == TOKENS


async def test_groups_and_prefixes_are_taken_as_they_are_at_the_call() -> None:
    groups, prefixes = [OpenAIEndpoint.RESPONSES], ["/v1"]
    app = counting_app()
    set_openai_frontend(app, groups, prefixes)
    groups.clear()
    prefixes[0] = "/v2"
    assert (await post(app, "/v1/responses/input_tokens")).json == TOKENS


async def test_two_frontends_serve_two_prefixes() -> None:  # C2
    app = FastAPI()
    set_openai_frontend(app, [OpenAIEndpoint.RESPONSES], "/v1")
    set_openai_frontend(app, [OpenAIEndpoint.RESPONSES], "/v2")
    paths = []

    @app.post("/v1/responses")
    @app.post("/v2/responses")
    async def create(call: Call) -> None:
        paths.append(call.path)

    await post(app, "/v1/responses")
    await post(app, "/v2/responses")
    assert paths == ["/v1/responses", "/v2/responses"]


# Around and inside


async def test_bare_starlette_app() -> None:
    async def retrieve(request: Request) -> JSONResponse:
        kwargs = await openai_kwargs(request)
        if kwargs["response_id"] == "unknown":
            raise NotFoundError("There is no such response.", param="response_id")
        return JSONResponse({"id": kwargs["response_id"], "junk": 1}, 203)

    app = Starlette(routes=[Route("/v1/responses/{response_id}", retrieve)])
    set_openai_frontend(app, prefix="/v1", absent_optional="null")
    assert (await request(app, "GET", "/v1/responses/unknown")).error["param"] == "response_id"
    assert (await request(app, "GET", "/v1/responses/r-1")).error["param"] == "created_at"


def app_of_router(prefix: str) -> FastAPI:
    router = APIRouter(prefix=prefix)

    @router.get("/responses/{response_id}")
    async def retrieve(call: Call) -> None:
        raise NotFoundError(f"{call.path} {call.path_params}")

    app = FastAPI()
    app.include_router(router)
    return app


async def test_router_with_a_prefix() -> None:
    app = app_of_router("/v1")
    set_openai_frontend(app, prefix="/v1")
    sent = await request(app, "GET", "/v1/responses/r-1")
    assert sent.error["message"] == "/v1/responses/r-1 {'response_id': 'r-1'}"


async def test_app_that_is_mounted_goes_by_its_own_paths() -> None:  # M10 B9
    app, parent = app_of_router("/v1"), FastAPI()
    set_openai_frontend(app, prefix="/v1")
    parent.mount("/api", app)
    sent = await request(parent, "GET", "/api/v1/responses/r-1")
    assert sent.error["message"] == "/v1/responses/r-1 {'response_id': 'r-1'}"


async def test_parent_serves_what_is_mounted_in_it() -> None:  # M10
    app, parent = app_of_router(""), FastAPI()
    set_openai_frontend(parent, prefix="/api")
    parent.mount("/api", app)
    sent = await request(parent, "GET", "/api/responses/r-1")
    assert (sent.status, sent.error["message"]) == (404, "/api/responses/r-1 {'response_id': 'r-1'}")


async def test_app_behind_a_root_path_goes_by_its_own_paths() -> None:  # M10
    app = app_of_router("/v1")
    set_openai_frontend(app, prefix="/v1")
    sent = await request(app, "GET", "/proxy/v1/responses/r-1", root_path="/proxy")
    assert sent.error["message"] == "/v1/responses/r-1 {'response_id': 'r-1'}"


@pytest.mark.parametrize("gzip_is", ["inside", "outside"])
async def test_compression_and_mapping_go_together(gzip_is: str) -> None:  # O7 O2
    app = counting_app()
    if gzip_is == "inside":
        app.add_middleware(GZipMiddleware, minimum_size=1)
    set_openai_frontend(app, prefix="/v1")
    if gzip_is == "outside":
        app.add_middleware(GZipMiddleware, minimum_size=1)
    sent = await post(app, "/v1/responses/input_tokens", QUESTION, (b"accept-encoding", b"gzip"))
    assert sent.header("content-encoding") == {"inside": None, "outside": "gzip"}[gzip_is]
    assert sent.header("content-length") == str(len(sent.body))
    assert json.loads(gzip.decompress(sent.body) if gzip_is == "outside" else sent.body) == TOKENS


ORIGIN = (b"origin", b"https://app.example")


@pytest.mark.parametrize("cors_is", ["inside", "outside"])
async def test_cross_origin_calls_work(cors_is: str) -> None:  # M12
    app = counting_app()
    if cors_is == "inside":
        app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"], allow_methods=["POST"])
    set_openai_frontend(app, prefix="/v1")
    if cors_is == "outside":
        app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"], allow_methods=["POST"])

    preflight = await request(
        app, "OPTIONS", "/v1/responses/input_tokens", headers=[ORIGIN, (b"access-control-request-method", b"POST")]
    )
    assert (preflight.status, preflight.header("access-control-allow-origin")) == (200, "https://app.example")
    sent = await post(app, "/v1/responses/input_tokens", QUESTION, ORIGIN)
    assert (sent.json, sent.header("access-control-allow-origin")) == (TOKENS, "https://app.example")


async def test_cors_outside_covers_errors_of_the_middleware_too() -> None:
    app = counting_app()
    set_openai_frontend(app, prefix="/v1")
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"])
    sent = await post(app, "/v1/responses", b"{", ORIGIN)
    assert (sent.status, sent.header("access-control-allow-origin")) == (400, "https://app.example")


@pytest.mark.parametrize("middleware_is", ["inside", "outside"])
@pytest.mark.parametrize("error", [None, NotFoundError("Not here.")])
async def test_base_http_middleware_goes_with_it(middleware_is: str, error: OpenAIError | None) -> None:  # O2 E4
    async def tag(request: Request, call_next: Callable[[Request], Any]) -> Any:
        response = await call_next(request)
        response.headers["x-tag"] = "seen"
        return response

    app = FastAPI()

    @app.post("/v1/responses/input_tokens")
    async def count(call: Call) -> Json:
        if error is not None:
            raise error
        return {**TOKENS, "junk": call.kwargs}

    if middleware_is == "inside":
        app.add_middleware(BaseHTTPMiddleware, dispatch=tag)
    set_openai_frontend(app, prefix="/v1")
    if middleware_is == "outside":
        app.add_middleware(BaseHTTPMiddleware, dispatch=tag)
    sent = await post(app, "/v1/responses/input_tokens")
    assert sent.json == ({"error": error.detail} if error else TOKENS)
    assert sent.header("x-tag") == "seen"


async def test_bug_whose_cause_is_an_openai_error_stays_a_bug() -> None:
    app = FastAPI()
    set_openai_frontend(app, prefix="/v1")

    @app.get("/v1/responses/{response_id}")
    async def retrieve(response_id: str) -> None:
        raise RuntimeError("a bug") from NotFoundError("Gone.")

    sent = Sent()
    with pytest.raises(RuntimeError, match="a bug"):
        await request(app, "GET", "/v1/responses/r", sent=sent)

    assert sent.status == 500


@pytest.mark.parametrize(
    "asked", [[], [(b"if-range", b'"1"')], [(b"accept-encoding", b"gzip")]], ids=["part", "part if same", "compressed"]
)
async def test_file_of_json_is_a_whole_answer_whatever_part_is_asked_for(  # O7 O2
    asked: list[tuple[bytes, bytes]], tmp_path: Path
) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps({"junk": "x" * 1_000, **TOKENS}))
    app = FastAPI()
    set_openai_frontend(app, prefix="/v1")

    @app.post("/v1/responses/input_tokens")
    async def count() -> FileResponse:
        return FileResponse(file, media_type="application/json")

    sent = await post(app, "/v1/responses/input_tokens", QUESTION, (b"range", b"bytes=0-3"), *asked)
    assert (sent.status, sent.json, sent.header("content-range")) == (200, TOKENS, None)


# Middleware functions inside


DONE = b"data: [DONE]\n\n"
EVENT = b'data: {"id":"c"}\n\n'


def streaming_app(*events: bytes, error: Exception | None) -> FastAPI:
    """An app that streams through a middleware function, which ends the body before it raises what the body raised."""
    app = FastAPI()

    @app.middleware("http")
    async def pass_on(request: Request, call_next: Callable[[Request], Any]) -> Any:
        return await call_next(request)

    @app.post("/v1/chat/completions")
    async def chat() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            for event in events:
                yield event
            if error is not None:
                raise error

        return StreamingResponse(body(), media_type="text/event-stream")

    set_openai_frontend(app, prefix="/v1")
    return app


CHAT = {"model": "m", "messages": [], "stream": True}


async def test_stream_that_broke_below_a_middleware_function_does_not_end_as_if_it_were_whole() -> None:  # S3 S4
    error = ZeroDivisionError("a secret")
    sent = Sent()
    with pytest.raises(ZeroDivisionError) as raised:
        await post(streaming_app(EVENT, error=error), "/v1/chat/completions", CHAT, sent=sent)
    assert raised.value is error
    assert sent.is_complete
    assert sent.body.startswith(EVENT + b'data: {"error":')
    assert DONE not in sent.body
    assert b"secret" not in sent.body


async def test_stream_that_ended_well_below_a_middleware_function_ends_with_done() -> None:  # S3
    sent = await post(streaming_app(EVENT, error=None), "/v1/chat/completions", CHAT)
    assert (sent.body, sent.is_complete) == (EVENT + DONE, True)


async def test_error_before_the_first_event_below_a_middleware_function_is_a_status() -> None:  # S3 S4 E4
    error = NotFoundError("There is no such model.", param="model")
    sent = await post(streaming_app(error=error), "/v1/chat/completions", CHAT)
    assert (sent.status, sent.error["param"]) == (404, "model")
