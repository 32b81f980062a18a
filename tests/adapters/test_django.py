"""Django around the middleware and inside it, under WSGI ("sync") and under ASGI ("async")."""

import asyncio
import gzip
import io
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import django
import pytest
from asgiref.sync import sync_to_async
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client
from django.test.utils import override_settings
from django.urls import path
from django.utils.decorators import async_only_middleware, method_decorator, sync_and_async_middleware
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from pydantic import BaseModel

from openai_middleware import APIHandlerAction, APIHandlerConfig, Response
from openai_middleware.adapters.django import OpenAIMiddleware, openai_error_response, openai_view
from openai_middleware.errors import AuthenticationError, ConfigurationError, NotFoundError
from tests.support.django_site import MIDDLEWARE, DjangoSite, Mode
from tests.support.drivers import Message, http_scope, request_messages
from tests.support.server_sent_events import parse
from tests.support.stacks import JSON, Reply, StackedApp, drive_asgi, drive_wsgi, wsgi_environ

Log = list[str]

TOKENS = {"object": "response.input_tokens", "input_tokens": 7}
WIDE_TOKENS = {**TOKENS, "junk": "x" * 1_000}
TOKENS_URL = "/v1/responses/input_tokens"
CHAT_URL = "/v1/chat/completions"
CHAT = b'{"model": "m-1", "messages": [], "stream": true}'
GZIP = "django.middleware.gzip.GZipMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> Mode:
    return request.param


def site(mode: Mode, urls: Any, **settings: Any) -> StackedApp:
    """A Django project behind the API at `/v1`, if `settings` do not say otherwise."""
    app = DjangoSite(mode, urls, **{"options": {"prefix": "/v1"}, **settings})
    return StackedApp(app, drive_wsgi if mode == "sync" else drive_asgi)


def count(app: StackedApp, *headers: tuple[str, str]) -> Reply:
    return app.send("POST", TOKENS_URL, b"{}", headers=[*JSON, *headers])


def chat(app: StackedApp, **options: Any) -> Reply:
    return app.send("POST", CHAT_URL, CHAT, **options)


def count_tokens(request: HttpRequest) -> HttpResponse:
    return JsonResponse(WIDE_TOKENS)


def failing(error: Exception) -> Callable[..., HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    return view


def event(number: int) -> dict[str, Any]:
    return {"id": str(number), "junk": 1}


def ids(body: bytes) -> list[str]:
    """The ids in a stream of chunks, which has no other fields."""
    documents = [json.loads(found.data) for found in parse(body) if found.data != "[DONE]"]
    assert all(list(document) == ["id"] for document in documents)
    return [document["id"] for document in documents]


# --- what a view is given


def test_view_finds_the_call_on_the_request(mode: Mode) -> None:  # B7
    calls: list[Any] = []
    app = site(mode, lambda request: calls.append(request.openai_call) or HttpResponse())
    app.send("POST", f"{TOKENS_URL}?tag=a", b'{"input": "i", "own": 1}')
    [call] = calls
    assert call.operation == "responses.input_tokens.count"
    assert (call.body_params, call.query_params) == ({"input": "i"}, {"tag": "a"})
    assert call.body == {"input": "i", "own": 1}


def test_request_that_nothing_matches_has_no_call(mode: Mode) -> None:  # M11
    app = site(mode, lambda request: JsonResponse({"has_call": hasattr(request, "openai_call")}))
    assert app.send("GET", "/health").json == {"has_call": False}


def test_view_can_still_read_the_body(mode: Mode) -> None:
    bodies: list[bytes] = []
    app = site(mode, lambda request: bodies.extend([request.body, request.read()]) or HttpResponse())
    app.send("POST", "/v1/responses", [b'{"input"', b': "i"}'])
    assert bodies == [b'{"input": "i"}'] * 2


def test_view_reads_multipart_as_ever(mode: Mode) -> None:  # B10
    config = APIHandlerConfig()
    config.add_endpoint_handler("/upload")
    app = site(mode, lambda request: JsonResponse(request.POST), options={"config": config})
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    reply = app.send("POST", "/upload", body, [("Content-Type", "multipart/form-data; boundary=x")])
    assert reply.json == {"a": "1"}


@sync_and_async_middleware
def tells_accept_encoding(get_response: Any) -> Any:
    """A middleware that looks at the header on the way in, and tells what it is on the way out."""

    def told(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response["X-Outside"] = f"{request.headers.get('Accept-Encoding')} {request.META.get('HTTP_ACCEPT_ENCODING')}"
        return response

    async def serve_async(request: HttpRequest) -> HttpResponse:
        assert request.headers
        return told(request, await get_response(request))

    def serve(request: HttpRequest) -> HttpResponse:
        assert request.headers
        return told(request, get_response(request))

    return serve_async if asyncio.iscoroutinefunction(get_response) else serve


def test_accept_encoding_is_hidden_from_views_alone(mode: Mode) -> None:  # O7 O9
    def view(request: HttpRequest) -> HttpResponse:
        inside = f"{request.headers.get('Accept-Encoding')} {request.META.get('HTTP_ACCEPT_ENCODING')}"
        return HttpResponse(headers={"X-Inside": inside})

    app = site(mode, view, middleware=[f"{__name__}.tells_accept_encoding", MIDDLEWARE])
    reply = count(app, ("Accept-Encoding", "gzip"))
    assert (reply.header("x-inside"), reply.header("x-outside")) == ("None None", "gzip gzip")


def test_accept_encoding_is_restored_after_a_failure(mode: Mode) -> None:  # O9
    app = site(mode, failing(NotFoundError("Not here.")), middleware=[f"{__name__}.tells_accept_encoding", MIDDLEWARE])
    reply = count(app, ("Accept-Encoding", "gzip"))
    assert (reply.status, reply.header("x-outside")) == (404, "gzip gzip")


def since(*version: int) -> pytest.MarkDecorator:
    """What Django itself does since a version."""
    return pytest.mark.skipif(version > django.VERSION, reason=f"Django does it since {'.'.join(map(str, version))}")


@pytest.mark.parametrize("path", ["/v1/responses/r-1", pytest.param("/api/v1/responses/r-1", marks=since(5, 0))])
def test_forced_script_name_is_where_the_app_is_mounted(path: str, mode: Mode) -> None:  # M10 B9
    if mode == "sync":
        path = path.removeprefix("/api")  # WSGI servers have it in SCRIPT_NAME, which Django replaces
    seen: list[Any] = []
    app = site(
        mode,
        lambda request: seen.append((request.openai_call, request.path_info)) or HttpResponse(),
        FORCE_SCRIPT_NAME="/api",
    )
    app.send("GET", path)
    [(call, path_info)] = seen
    assert (call.path, path_info) == ("/v1/responses/r-1", "/v1/responses/r-1")


@sync_and_async_middleware
def opens_a_back_door(get_response: Any) -> Any:
    """A middleware that makes other paths of some."""

    def renamed(request: HttpRequest) -> HttpRequest:
        request.path_info = request.path_info.replace("/door", "/v1")
        return request

    async def serve_async(request: HttpRequest) -> HttpResponse:
        return await get_response(renamed(request))

    def serve(request: HttpRequest) -> HttpResponse:
        return get_response(renamed(request))

    return serve_async if asyncio.iscoroutinefunction(get_response) else serve


def test_path_is_the_one_that_django_goes_by(mode: Mode) -> None:  # M9 M13
    config = APIHandlerConfig(include_url_info=True)
    config.set_openai_frontend(prefix="/v1")
    config.add_endpoint_handler("/v1/admin", "GET", APIHandlerAction.FORBID)
    app = site(
        mode,
        lambda request: JsonResponse(request.openai_call.kwargs, status=404),
        middleware=[f"{__name__}.opens_a_back_door", MIDDLEWARE],
        options={"config": config},
    )
    assert app.send("GET", "/door/admin").status == 403
    kwargs = app.send("GET", "/door/responses/r-1").json
    assert (kwargs["response_id"], kwargs["mlrun_request_path"]) == ("r-1", "/v1/responses/r-1")


def test_body_over_django_s_own_limit_is_an_envelope(mode: Mode) -> None:  # E1 E2
    app = site(mode, count_tokens, DATA_UPLOAD_MAX_MEMORY_SIZE=10)
    reply = app.send("POST", TOKENS_URL, b'{"input": "Hello"}')
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")


def test_body_of_unknown_length_over_the_limit_is_refused() -> None:  # E2
    app = DjangoSite("async", count_tokens, options={"prefix": "/v1", "max_body_size": 10})
    reply = drive_asgi(app, "POST", TOKENS_URL, [b"{" + b" " * 9, b"}"], JSON)
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")


def test_body_that_ends_early_never_reaches_the_view() -> None:  # W1
    app = DjangoSite("sync", count_tokens, options={"prefix": "/v1"})

    def cut_short(environ: dict[str, Any], start_response: Any) -> Any:
        return app({**environ, "CONTENT_LENGTH": "10"}, start_response)

    reply = StackedApp(cut_short, drive_wsgi).send("POST", TOKENS_URL, b"{}")
    assert (reply.status, reply.error["code"]) == (400, "incomplete_body")


# --- what the client is given by views of one's own


def test_answer_keeps_its_cookies_and_headers(mode: Mode) -> None:  # O2
    def view(request: HttpRequest) -> HttpResponse:
        response = JsonResponse(WIDE_TOKENS, status=203, headers={"X-Own": "1"})
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    reply = count(site(mode, view))
    assert (reply.status, reply.json, reply.header("x-own")) == (203, TOKENS, "1")
    assert [value.split(b";")[0].strip() for name, value in reply.headers if name == b"Set-Cookie"] == [b"a=1", b"b=2"]


def test_template_response_is_mapped(mode: Mode) -> None:  # O2
    def view(request: HttpRequest) -> HttpResponse:
        return TemplateResponse(
            request, "answer.json", {"answer": json.dumps(WIDE_TOKENS)}, content_type="application/json"
        )

    assert count(site(mode, view)).json == TOKENS


@pytest.mark.parametrize("content_type", ["application/json", "application/pdf"])
def test_file_is_mapped_where_it_is_json_and_passes_otherwise(  # O1 O2
    content_type: str, mode: Mode, tmp_path: Path
) -> None:
    file = tmp_path / "answer"
    file.write_text(json.dumps(WIDE_TOKENS))
    # Under ASGI Django itself warns of files that leave as they are: it reads them at once.
    opened = file.open("rb")

    def view(request: HttpRequest) -> FileResponse:
        return FileResponse(opened, content_type=content_type)

    if mode == "async" and content_type == "application/pdf":
        with pytest.warns(Warning, match="consume synchronous iterators"):
            reply = count(site(mode, view))
    else:
        reply = count(site(mode, view))
    assert reply.json == (TOKENS if content_type == "application/json" else WIDE_TOKENS)
    assert reply.header("content-length") == str(len(reply.body))
    assert opened.closed


# --- compression, CSRF, middlewares around


@pytest.mark.parametrize("gzip_is", ["inside", "outside"])
def test_compression_and_mapping_go_together(gzip_is: str, mode: Mode) -> None:  # O7 O2
    middleware = [MIDDLEWARE, GZIP] if gzip_is == "inside" else [GZIP, MIDDLEWARE]
    app = site(mode, lambda request: JsonResponse({**TOKENS, "input_tokens": [7] * 1_000}), middleware=middleware)
    reply = count(app, ("Accept-Encoding", "gzip"))
    assert reply.header("content-encoding") == {"inside": None, "outside": "gzip"}[gzip_is]
    assert reply.header("content-length") in (None, str(len(reply.body)))
    body = gzip.decompress(reply.body) if gzip_is == "outside" else reply.body
    assert json.loads(body) == {**TOKENS, "input_tokens": [7] * 1_000}


def test_compression_outside_leaves_streams_alone(mode: Mode) -> None:  # O7
    app = site(mode, csrf_exempt(openai_view(lambda request: map(event, range(3)))), middleware=[GZIP, MIDDLEWARE])
    reply = chat(app, headers=[*JSON, ("Accept-Encoding", "gzip")])
    assert reply.header("content-encoding") is None
    assert ids(reply.body) == ["0", "1", "2"]


@pytest.mark.parametrize("csrf_is", ["inside", "outside"])
@pytest.mark.parametrize("is_exempt", [True, False])
def test_csrf_protection_lets_exempt_views_through(is_exempt: bool, csrf_is: str, mode: Mode) -> None:
    middleware = [MIDDLEWARE, CSRF] if csrf_is == "inside" else [CSRF, MIDDLEWARE]
    app = site(mode, csrf_exempt(count_tokens) if is_exempt else count_tokens, middleware=middleware)
    reply = count(app)
    if is_exempt:
        assert (reply.status, reply.json) == (200, TOKENS)
    else:
        assert reply.status == 403
        assert b"CSRF verification failed" in reply.body


@pytest.mark.parametrize("outer_is_exempt", [True, False])
def test_csrf_exemption_and_openai_view_go_in_either_order(outer_is_exempt: bool, mode: Mode) -> None:
    def tokens(request: HttpRequest) -> Any:
        return WIDE_TOKENS

    view = csrf_exempt(openai_view(tokens)) if outer_is_exempt else openai_view(csrf_exempt(tokens))
    assert count(site(mode, view, middleware=[MIDDLEWARE, CSRF])).json == TOKENS


def sync_only(get_response: Any) -> Any:
    return lambda request: get_response(request)


@async_only_middleware
def async_only(get_response: Any) -> Any:
    async def serve(request: HttpRequest) -> HttpResponse:
        return await get_response(request)

    return serve


other_mode = pytest.mark.parametrize(
    ("mode", "inner"), [("async", "sync_only"), ("sync", "async_only")], ids=["sync-in-asgi", "async-in-wsgi"]
)


@other_mode
def test_middleware_of_the_other_mode_may_stand_below(mode: Mode, inner: str) -> None:  # O2 E4
    middleware = [MIDDLEWARE, f"{__name__}.{inner}"]
    assert count(site(mode, count_tokens, middleware=middleware)).json == TOKENS
    reply = count(site(mode, failing(NotFoundError("Not here.")), middleware=middleware))
    assert (reply.status, reply.error["message"]) == (404, "Not here.")


@other_mode
@pytest.mark.parametrize("is_async_generator", [True, False])
def test_events_leave_one_by_one_above_a_middleware_of_the_other_mode(  # S1
    mode: Mode, inner: str, is_async_generator: bool
) -> None:
    log: Log = []
    app = site(mode, openai_view(numbered(log, is_async_generator)), middleware=[MIDDLEWARE, f"{__name__}.{inner}"])
    chat(app, on_chunk=noting(log))
    assert log == ["made 0", "left 0", "made 1", "left 1", "closed"]


def refuses(get_response: Any) -> Any:
    return lambda request: openai_error_response(AuthenticationError("Who are you?"))


@pytest.mark.parametrize("refusing_is", ["inside", "outside"])
def test_middleware_can_answer_with_an_envelope(refusing_is: str, mode: Mode) -> None:  # E1
    refusing = f"{__name__}.refuses"
    middleware = [MIDDLEWARE, refusing] if refusing_is == "inside" else [refusing, MIDDLEWARE]
    reply = count(site(mode, count_tokens, middleware=middleware))
    assert (reply.status, reply.error["message"]) == (401, "Who are you?")


# --- views made of functions


def numbered(log: Log, is_async: bool) -> Callable[..., Any]:
    """A handler that streams two events, and logs what it does."""

    def numbers(request: HttpRequest) -> Iterator[Any]:
        try:
            for number in range(2):
                log.append(f"made {number}")
                yield event(number)
        finally:
            log.append("closed")

    async def async_numbers(request: HttpRequest) -> AsyncIterator[Any]:
        try:
            for number in range(2):
                log.append(f"made {number}")
                yield event(number)
        finally:
            log.append("closed")

    return async_numbers if is_async else numbers


def noting(log: Log) -> Callable[[bytes], None]:
    return lambda chunk: log.extend(f"left {id}" for id in ids(chunk))


@pytest.mark.parametrize("is_async_function", [True, False])
def test_function_gets_the_request_and_its_kwargs(is_async_function: bool, mode: Mode) -> None:
    given: list[Any] = []

    def create(request: HttpRequest, *, model: str, temperature: float = 1.0, **kwargs: Any) -> Any:
        given.append((request.method, model, temperature, kwargs))
        return {"error": "no"}

    async def async_create(request: HttpRequest, *, model: str, temperature: float = 1.0, **kwargs: Any) -> Any:
        return create(request, model=model, temperature=temperature, **kwargs)

    chat(
        site(
            mode,
            openai_view(async_create if is_async_function else create),
            options={"prefix": "/v1", "include_url_info": False},
        )
    )
    assert given == [("POST", "m-1", 1.0, {"messages": [], "stream": True})]


def test_function_gets_only_what_it_declares(mode: Mode) -> None:
    @openai_view
    def retrieve(request: HttpRequest, response_id: str) -> Any:
        raise NotFoundError(f"No {response_id}.")

    reply = site(mode, retrieve).send("GET", "/v1/responses/r-1?unknown=1&stream=true")
    assert reply.error["message"] == "No r-1."


def test_parameters_of_the_url_do_not_get_in_the_way(mode: Mode) -> None:
    @openai_view
    def retrieve(request: HttpRequest, *, response_id: str) -> Any:
        raise NotFoundError(response_id)

    reply = site(mode, [path("v1/responses/<response_id>", retrieve)]).send("GET", "/v1/responses/r-1")
    assert reply.error["message"] == "r-1"


def test_function_that_requires_more_than_there_is_gets_no_call(mode: Mode) -> None:
    @openai_view
    def create(request: HttpRequest, *, model: str, tools: list[Any]) -> Any:
        raise ZeroDivisionError

    reply = chat(site(mode, create))
    assert (reply.status, reply.error["param"]) == (422, "tools")


class Tokens(BaseModel):
    object: str = "response.input_tokens"
    input_tokens: int = 7
    junk: int = 1


@pytest.mark.parametrize("is_async_function", [True, False])
@pytest.mark.parametrize(
    "result",
    [
        WIDE_TOKENS,
        Tokens(),
        InputTokenCountResponse(object="response.input_tokens", input_tokens=7),
        Response(WIDE_TOKENS),
        Response(json.dumps(WIDE_TOKENS), content_type="application/json"),
    ],
    ids=lambda result: type(result).__name__,
)
def test_result_of_a_function_becomes_the_answer(result: Any, is_async_function: bool, mode: Mode) -> None:
    async def async_tokens(request: HttpRequest) -> Any:
        return result

    def tokens(request: HttpRequest) -> Any:
        return result

    reply = count(site(mode, openai_view(async_tokens if is_async_function else tokens)))
    assert (reply.status, reply.json, reply.header("content-type")) == (200, TOKENS, "application/json")


def test_function_has_full_control_by_a_response(mode: Mode) -> None:
    @openai_view
    def tokens(request: HttpRequest) -> Any:
        return Response(b"%PDF", 203, "application/pdf", {"X-Own": "1"})

    reply = count(site(mode, tokens))
    assert (reply.status, reply.body) == (203, b"%PDF")
    assert (reply.header("content-type"), reply.header("x-own")) == ("application/pdf", "1")


@pytest.mark.parametrize("is_async_generator", [True, False])
def test_generator_is_consumed_event_by_event(is_async_generator: bool, mode: Mode) -> None:  # S1 W2
    log: Log = []
    app = site(mode, openai_view(numbered(log, is_async_generator)))
    reply = chat(app, on_chunk=noting(log))
    assert reply.header("content-type") == "text/event-stream"
    assert log == ["made 0", "left 0", "made 1", "left 1", "closed"]


@pytest.mark.parametrize("is_async_generator", [True, False])
def test_stream_of_another_kind_leaves_line_by_line(is_async_generator: bool, mode: Mode) -> None:  # O1 W2
    log: Log = []

    @openai_view
    def create(request: HttpRequest) -> Any:
        return Response(numbered(log, is_async_generator)(request), content_type="application/x-ndjson")

    reply = chat(site(mode, create), on_chunk=lambda chunk: log.append("left"))
    assert (reply.header("content-type"), len(reply.chunks)) == ("application/x-ndjson", 2)
    assert log == ["made 0", "left", "made 1", "left", "closed"]


def test_chunks_may_be_sdk_models(mode: Mode) -> None:
    usage = CompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    chunk = ChatCompletionChunk(id="c", choices=[], created=1, model="m", object="chat.completion.chunk", usage=usage)
    reply = chat(site(mode, openai_view(lambda request: iter([chunk]))))
    [first, done] = [found.data for found in parse(reply.body)]
    assert (json.loads(first), done) == (chunk.to_dict(), "[DONE]")


def test_class_based_view_uses_a_method_decorator(mode: Mode) -> None:
    @method_decorator(csrf_exempt, name="dispatch")
    class Counting(View):
        tokens = 7

        @method_decorator(openai_view)
        def post(self, request: HttpRequest, *, input: str) -> Any:
            return {**WIDE_TOKENS, "input_tokens": self.tokens, "junk": (request.method, input)}

    app = site(mode, Counting.as_view(), middleware=[MIDDLEWARE, CSRF])
    assert app.send("POST", TOKENS_URL, b'{"input": "i"}').json == TOKENS


@since(5, 2)
def test_class_based_view_may_be_async(mode: Mode) -> None:
    class Counting(View):
        @method_decorator(openai_view)
        async def post(self, request: HttpRequest, *, input: str) -> Any:
            return {**WIDE_TOKENS, "junk": (request.method, input)}

    assert site(mode, Counting.as_view()).send("POST", TOKENS_URL, b'{"input": "i"}').json == TOKENS


def test_class_based_view_may_await_a_function(mode: Mode) -> None:
    @openai_view
    async def answer(request: HttpRequest, *, input: str) -> Any:
        return {**WIDE_TOKENS, "junk": (request.method, input)}

    class Counting(View):
        async def post(self, request: HttpRequest) -> Any:
            return await answer(request)

    assert site(mode, Counting.as_view()).send("POST", TOKENS_URL, b'{"input": "i"}').json == TOKENS


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"middleware": []}, "OpenAIMiddleware is not in MIDDLEWARE"),
        ({"options": {"prefix": "/v2"}}, "none of its endpoints matches"),
    ],
)
def test_function_is_told_why_there_is_no_call(
    settings: dict[str, Any], reason: str, mode: Mode, caplog: pytest.LogCaptureFixture
) -> None:
    assert chat(site(mode, openai_view(lambda request: {}), **settings)).status == 500
    error = logged_exception(caplog)
    assert isinstance(error, RuntimeError)
    assert f"POST {CHAT_URL}" in str(error)
    assert reason in str(error)


# --- failures


def logged_exception(caplog: pytest.LogCaptureFixture) -> BaseException | None:
    """The exception that Django logged."""
    [found] = [record.exc_info[1] for record in caplog.records if record.exc_info]
    return found


@pytest.mark.parametrize("is_async_view", [True, False])
@pytest.mark.parametrize("path", ["/v1/responses/r-1", "/own"])
def test_error_of_a_view_is_its_envelope_on_any_path(path: str, is_async_view: bool, mode: Mode) -> None:  # E1 E4
    async def async_view(request: HttpRequest) -> HttpResponse:
        raise NotFoundError("Not here.", param="id")

    reply = site(mode, async_view if is_async_view else failing(NotFoundError("Not here.", param="id"))).send(
        "GET", path
    )
    assert (reply.status, reply.error["message"], reply.error["param"]) == (404, "Not here.", "id")


def test_error_in_a_template_is_its_envelope(mode: Mode) -> None:  # E4
    class Refusal:
        def __str__(self) -> str:
            raise NotFoundError("Not here.")

    app = site(mode, lambda request: TemplateResponse(request, "answer.json", {"answer": Refusal()}))
    assert count(app).error["message"] == "Not here."


def test_foreign_exception_gets_django_s_answer(mode: Mode, caplog: pytest.LogCaptureFixture) -> None:  # E4
    error = ZeroDivisionError("secret")
    reply = count(site(mode, failing(error)))
    assert (reply.status, b"Server Error (500)" in reply.body) == (500, True)
    assert logged_exception(caplog) is error


def hides_errors(get_response: Any) -> Any:
    def serve(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    serve.process_exception = lambda request, error: HttpResponse(b"hidden", status=500)  # type: ignore[attr-defined]
    return serve


@pytest.mark.parametrize("error", [NotFoundError("Not here."), ZeroDivisionError()])
def test_middlewares_below_handle_exceptions_first(error: Exception, mode: Mode) -> None:  # E4
    middleware = [MIDDLEWARE, f"{__name__}.hides_errors"]
    assert count(site(mode, failing(error), middleware=middleware)).body == b"hidden"


@pytest.mark.parametrize(("error", "status"), [(NotFoundError("Not here."), 404), (ZeroDivisionError(), 500)])
def test_middlewares_above_handle_exceptions_last(error: Exception, status: int, mode: Mode) -> None:  # E4
    middleware = [f"{__name__}.hides_errors", MIDDLEWARE]
    reply = count(site(mode, failing(error), middleware=middleware))
    assert (reply.status, reply.body == b"hidden") == (status, status == 500)


@pytest.mark.parametrize("is_async_generator", [True, False])
def test_failure_before_the_first_event_of_a_plain_view_is_a_status(  # S4
    is_async_generator: bool, mode: Mode
) -> None:
    def events() -> Iterator[bytes]:
        yield b": nothing yet\n"
        raise NotFoundError("No such model.")

    async def async_events() -> AsyncIterator[bytes]:
        yield b": nothing yet\n"
        raise NotFoundError("No such model.")

    def view(request: HttpRequest) -> HttpResponse:
        chunks = async_events() if is_async_generator else events()
        return StreamingHttpResponse(chunks, content_type="text/event-stream")

    reply = chat(site(mode, view))
    assert (reply.status, reply.error["message"]) == (404, "No such model.")


# --- the client goes away


class Connection:
    """A client that goes away when it is told to, or when it has got so many parts of an answer."""

    def __init__(self, parts: int | None = None) -> None:
        self.goes = asyncio.Event()
        self._pending = request_messages(CHAT)
        self._parts = parts

    async def receive(self) -> Message:
        if self._pending:
            return self._pending.pop()
        await self.goes.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._parts is not None and message.get("body"):
            self._parts -= 1
            if self._parts == 0:
                self.goes.set()

    async def run(self, app: Any) -> None:
        """Run a chat request to its end."""
        await app(
            http_scope("POST", CHAT_URL, headers=[(b"content-type", b"application/json")]), self.receive, self.send
        )


@since(5, 0)
@pytest.mark.parametrize("made", [None, 0, 1])
async def test_async_view_is_cancelled_when_the_client_goes(made: int | None) -> None:  # S8
    log: Log = []
    connection = Connection()

    async def wait() -> None:
        connection.goes.set()
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cancelled")

    async def events() -> AsyncIterator[Any]:
        for number in range(made or 0):
            yield event(number)
        await wait()

    @openai_view
    async def create(request: HttpRequest) -> Any:
        if made is None:
            await wait()
        return events()

    await connection.run(DjangoSite("async", create, options={"prefix": "/v1"}))
    assert log == ["cancelled"]


@since(5, 0)
@pytest.mark.parametrize("is_async_generator", [True, False])
async def test_generator_is_closed_when_the_client_goes(is_async_generator: bool) -> None:  # S8
    log: Log = []
    app = DjangoSite("async", openai_view(endless(log, is_async_generator)), options={"prefix": "/v1"})
    await Connection(parts=2).run(app)
    assert log == ["closed"]


@pytest.mark.parametrize("is_async_generator", [True, False])
def test_generator_is_closed_when_the_server_stops(is_async_generator: bool) -> None:  # W2
    log: Log = []
    app = DjangoSite("sync", openai_view(endless(log, is_async_generator)), options={"prefix": "/v1"})
    chunks = app(wsgi_environ("POST", CHAT_URL, CHAT, [*JSON, ("Content-Length", str(len(CHAT)))]), lambda *_: None)
    assert [ids(chunk) for chunk, _ in zip(chunks, range(2), strict=False)] == [["0"], ["1"]]
    chunks.close()
    assert log == ["closed"]


class Upstream:
    """A stream as the OpenAI SDK gives it: no generator, but to be closed."""

    closes = 0

    def __iter__(self) -> "Upstream":
        return self

    def __next__(self) -> str:
        return "event"

    def close(self) -> None:
        self.closes += 1


class AsyncUpstream(Upstream):
    """The same, async."""

    __iter__ = None  # type: ignore[assignment]

    def __aiter__(self) -> "AsyncUpstream":
        return self

    async def __anext__(self) -> str:
        return "event"

    async def close(self) -> None:  # type: ignore[override]
        self.closes += 1


@pytest.mark.parametrize("content_type", ["text/plain", "text/event-stream"])
@pytest.mark.parametrize("kind", [Upstream, AsyncUpstream])
def test_stream_that_is_closed_before_it_was_read_is_closed_to_the_handler(kind: Any, content_type: str) -> None:  # W2
    upstream = kind()
    view = openai_view(lambda request: Response(upstream, content_type=content_type))
    with DjangoSite("sync", view, options={"prefix": "/v1"}).active():
        Client().post(CHAT_URL, CHAT, content_type="application/json").close()
    assert upstream.closes == 1


@pytest.mark.parametrize("content_type", ["text/plain", "text/event-stream"])
@pytest.mark.parametrize("kind", [Upstream, AsyncUpstream])
async def test_async_stream_that_is_closed_before_it_was_read_is_closed_to_the_handler(
    kind: Any, content_type: str
) -> None:  # S8
    upstream = kind()
    view = openai_view(lambda request: Response(upstream, content_type=content_type))
    with DjangoSite("async", view, options={"prefix": "/v1"}).active():
        response = await AsyncClient().post(CHAT_URL, CHAT, content_type="application/json")
        await sync_to_async(response.close)()
    assert upstream.closes == 1


def endless(log: Log, is_async: bool) -> Callable[..., Any]:
    """A handler whose stream does not end, and that logs that it was closed."""

    def numbers(request: HttpRequest) -> Iterator[Any]:
        try:
            yield from map(event, itertools.count())
        finally:
            log.append("closed")

    async def async_numbers(request: HttpRequest) -> AsyncIterator[Any]:
        try:
            for number in itertools.count():
                yield event(number)
                await asyncio.sleep(0)  # a generator that never waits leaves its event loop to nobody
        finally:
            log.append("closed")

    return async_numbers if is_async else numbers


# --- settings


def test_project_without_the_setting_serves_everything_at_the_root(mode: Mode) -> None:  # C2
    app = site(mode, count_tokens, options=None)
    assert app.send("POST", "/responses/input_tokens", b"{}").json == TOKENS


MISTAKES = [
    ({"prefix": "v1"}, {"prefix_leading_slash"}),
    ({"prefix": "v1/"}, {"prefix_leading_slash", "prefix_trailing_slash"}),
    ({"prefix": 1}, {"prefix_type"}),
    ({"handlers": "no.such.module"}, {"settings_import"}),
    ({"handlers": "json.no_such_name"}, {"settings_import"}),
    ({"handlers": "json.dumps"}, {"handlers_type"}),
    ({"endpoints": ["nonsense"]}, {"endpoints_unknown"}),
    ({"endpoints": "responses"}, {"endpoints_type"}),
    ({"config": {}, "prefix": "/v1"}, {"config_and_endpoints"}),
    ({"unmatched": "ignore", "max_body_size": -1}, {"literal_error", "greater_than_equal"}),
    ({"nonsense": True}, {"extra_forbidden"}),
    ({1: True}, {"extra_forbidden"}),
    ({"config": {"endpoints": {"GET:/a*b": {"path": "/a*b", "http_method": "GET"}}}}, {"path_wildcard"}),
    ("/v1", {"settings_type"}),
    (None, {"settings_type"}),
    (["/v1"], {"settings_type"}),
]


@pytest.mark.parametrize(("options", "codes"), MISTAKES)
def test_mistake_in_the_setting_is_a_system_check_and_no_middleware(options: Any, codes: set[str]) -> None:
    wanted = {f"openai_middleware.{code}" for code in codes}
    with override_settings(OPENAI_MIDDLEWARE=options):
        found = run_checks()
        with pytest.raises(ConfigurationError) as caught:
            OpenAIMiddleware(lambda request: HttpResponse())
        with pytest.raises(SystemCheckError) as refused:
            call_command("check")
    assert {message.id for message in found} == wanted
    assert all(message.is_serious() and message.hint and "OPENAI_MIDDLEWARE" in message.msg for message in found)
    assert {f"openai_middleware.{mistake.code}" for mistake in caught.value.mistakes} == wanted
    assert all(id in str(refused.value) for id in wanted)


handlers = {"models.list": lambda: ["support"]}


def test_handlers_may_be_named_by_a_dotted_path(mode: Mode) -> None:  # R71
    app = site(mode, count_tokens, options={"prefix": "/v1", "handlers": f"{__name__}.handlers"})
    assert [model["id"] for model in app.send("GET", "/v1/models").json["data"]] == ["support"]


@pytest.mark.parametrize("options", [{}, {"prefix": "/v1"}, {"config": {"endpoints": {}}}, {"unmatched": "reject"}])
def test_setting_without_mistakes_passes_the_system_checks(options: Any) -> None:
    out = io.StringIO()
    with override_settings(OPENAI_MIDDLEWARE=options, MIDDLEWARE=[MIDDLEWARE]):
        call_command("check", stdout=out)
    assert "no issues" in out.getvalue()


def test_check_names_the_place_of_a_mistake() -> None:
    config = {"endpoints": {"GET:/a*b": {"path": "/a*b", "http_method": "GET"}}}
    with override_settings(OPENAI_MIDDLEWARE={"config": config}):
        [message] = run_checks()
    assert message.obj == "endpoints.GET:/a*b.path"


# --- Django's own test clients


def test_django_s_test_client_sees_the_api() -> None:  # O2 S3
    with DjangoSite("sync", count_tokens, options={"prefix": "/v1"}).active():
        assert Client().post(TOKENS_URL, {}, content_type="application/json").json() == TOKENS


async def test_django_s_async_test_client_sees_the_api() -> None:  # O2 S3
    with DjangoSite("async", openai_view(lambda request: map(event, range(2))), options={"prefix": "/v1"}).active():
        response = await AsyncClient().post(f"{CHAT_URL}?q=%C3%A9", CHAT, content_type="application/json")
        assert ids(b"".join([chunk async for chunk in response.streaming_content])) == ["0", "1"]


class ClosingResponse(HttpResponse):
    """A response that tells how often it was closed."""

    closes: ClassVar[list[str]] = []

    def close(self) -> None:
        super().close()
        self.closes.append("closed")


def test_response_that_is_refused_is_closed(mode: Mode) -> None:  # O3
    ClosingResponse.closes.clear()

    reply = count(site(mode, lambda request: ClosingResponse(b"{}", content_type="application/json")))

    assert reply.status == 422
    assert "closed" in ClosingResponse.closes
