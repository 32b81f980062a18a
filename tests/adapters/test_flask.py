"""Flask in front of the middleware's way: what the adapter installs, the call as a proxy, and views of functions."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Blueprint, Flask, jsonify
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from openai.types.responses.input_token_count_response import InputTokenCountResponse
from pydantic import BaseModel
from werkzeug.exceptions import abort

from openai_middleware import APIHandlerConfig, OpenAIEndpoint, OpenAIWSGIMiddleware, Response
from openai_middleware.adapters.flask import openai_call, openai_view, set_openai_frontend
from openai_middleware.errors import AuthenticationError, ConfigurationError, NotFoundError, RateLimitError
from tests.support.server_sent_events import parse
from tests.support.stacks import JSON, Reply, StackedApp, drive_wsgi, wsgi_environ

Log = list[str]

TOKENS = {"object": "response.input_tokens", "input_tokens": 7}
WIDE_TOKENS = {**TOKENS, "junk": "x" * 1_000}
TOKENS_URL = "/v1/responses/input_tokens"
CHAT_URL = "/v1/chat/completions"
CHAT = b'{"model": "m-1", "messages": [], "stream": true}'


def serving(view: Callable[..., Any], **options: Any) -> Flask:
    """An app with one view for every path, behind the API at `/v1`, if the options do not say otherwise."""
    app = Flask("app")
    set_openai_frontend(app, **(options or {"prefix": "/v1"}))
    app.add_url_rule("/<path:_>", "view", view, methods=["GET", "POST"])
    return app


def send(app: Flask, method: str, target: str, body: bytes = b"", **options: Any) -> Reply:
    return StackedApp(app, drive_wsgi).send(method, target, body, **options)


def count(app: Flask) -> Reply:
    return send(app, "POST", TOKENS_URL, b"{}")


def chat(app: Flask, **options: Any) -> Reply:
    return send(app, "POST", CHAT_URL, CHAT, **options)


def count_tokens(_: str = "") -> flask.Response:
    return jsonify(WIDE_TOKENS)


def failing(error: Exception) -> Callable[..., Any]:
    def fail(_: str = "") -> None:
        raise error

    return fail


def event(number: int) -> dict[str, Any]:
    return {"id": str(number), "junk": 1}


def ids(body: bytes) -> list[str]:
    """The ids in a stream of chunks, which has no other fields."""
    documents = [json.loads(found.data) for found in parse(body) if found.data != "[DONE]"]
    assert all(list(document) == ["id"] for document in documents)
    return [document["id"] for document in documents]


def noting(log: Log) -> Callable[[bytes], None]:
    return lambda chunk: log.extend(f"left {id}" for id in ids(chunk))


# --- the call


def test_proxy_is_the_call_of_the_current_request() -> None:  # B7
    def view(_: str) -> Any:
        assert openai_call.operation == "responses.input_tokens.count"
        assert openai_call.body == {"input": "i", "own": 1}
        return jsonify({**WIDE_TOKENS, "input_tokens": openai_call.kwargs})

    reply = send(serving(view), "POST", f"{TOKENS_URL}?tag=a", b'{"input": "i", "own": 1}')
    url_info = {"mlrun_request_path": TOKENS_URL, "mlrun_request_method": "POST"}
    assert reply.json["input_tokens"] == {"input": "i", "tag": "a", **url_info}


def test_proxy_works_in_hooks_and_blueprints() -> None:
    blueprint = Blueprint("api", "app", url_prefix="/v1")
    operations: list[Any] = []

    @blueprint.before_request
    def note() -> None:
        operations.append(openai_call.operation)

    @blueprint.post("/responses/input_tokens")
    def count_them() -> Any:
        operations.append(openai_call.operation)
        return WIDE_TOKENS

    app = Flask("app")
    set_openai_frontend(app, prefix="/v1")
    app.register_blueprint(blueprint)
    assert count(app).json == TOKENS
    assert operations == ["responses.input_tokens.count"] * 2


def test_proxy_outside_of_a_request_says_so_as_flask_does() -> None:
    with pytest.raises(RuntimeError, match="Working outside of request context"):
        openai_call.kwargs  # noqa: B018
    assert "unbound" in repr(openai_call)


@pytest.mark.parametrize("is_installed", [True, False])
def test_proxy_without_a_call_says_why(is_installed: bool) -> None:
    app = Flask("app")
    app.testing = True
    if is_installed:
        set_openai_frontend(app, prefix="/v2")
    app.add_url_rule(CHAT_URL, view_func=lambda: openai_call.kwargs, methods=["POST"])
    with pytest.raises(RuntimeError, match=rf"POST {CHAT_URL}.*set_openai_frontend.*none of its endpoints matches"):
        app.test_client().post(CHAT_URL, json={})


def test_test_client_of_flask_sees_the_api() -> None:  # O2
    response = serving(count_tokens).test_client().post(TOKENS_URL, json={})
    assert response.get_json() == TOKENS
    assert response.content_length == len(response.data)


# --- what is installed


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        ({"prefix": "v1"}, {"prefix_leading_slash"}),
        ({"prefix": "v1/", "endpoints": ["nonsense"]}, None),
        ({"endpoints": "responses"}, {"endpoints_type"}),
        ({"config": APIHandlerConfig(), "prefix": "/v1"}, {"config_and_endpoints"}),
        ({"nonsense": True}, {"extra_forbidden"}),
    ],
)
def test_mistake_is_told_at_the_call_and_installs_nothing(arguments: Any, codes: set[str] | None) -> None:
    app = Flask("app")
    with pytest.raises(ConfigurationError) as caught:
        set_openai_frontend(app, **arguments)
    assert codes is None or {mistake.code for mistake in caught.value.mistakes} == codes
    assert not isinstance(app.wsgi_app, OpenAIWSGIMiddleware)
    assert app.error_handler_spec[None][None] == {}


def test_several_frontends_serve_several_prefixes() -> None:  # C2
    app = serving(count_tokens)
    set_openai_frontend(app, [OpenAIEndpoint.RESPONSES], "/v2")
    assert [send(app, "POST", url, b"{}").json for url in (TOKENS_URL, "/v2/responses/input_tokens")] == [TOKENS] * 2


def test_routes_of_one_s_own_are_left_alone() -> None:  # M11
    assert send(serving(count_tokens), "GET", "/own").json == WIDE_TOKENS


def test_flask_still_answers_what_it_answers_itself() -> None:  # M11 M12
    app = Flask("app")
    set_openai_frontend(app, prefix="/v1")
    app.add_url_rule(CHAT_URL, view_func=count_tokens, methods=["POST"])
    assert send(app, "GET", "/nowhere").status == 404
    assert send(app, "PUT", CHAT_URL).status == 405
    assert set((send(app, "OPTIONS", CHAT_URL).header("allow") or "").split(", ")) == {"OPTIONS", "POST"}
    assert send(app, "GET", CHAT_URL).status == 405


def test_cookies_and_hooks_of_flask_still_work() -> None:  # O2
    app = serving(count_tokens)
    app.secret_key = "for tests only"

    @app.before_request
    def remember() -> None:
        flask.session["operation"] = openai_call.operation

    @app.after_request
    def sign(response: flask.Response) -> flask.Response:
        response.headers["X-Own"] = "1"
        response.set_cookie("a", "1")
        return response

    reply = count(app)
    assert (reply.json, reply.header("x-own")) == (TOKENS, "1")
    cookies = [value.partition(b"=")[0] for name, value in reply.headers if name == b"Set-Cookie"]
    assert sorted(cookies) == [b"a", b"session"]


@pytest.mark.parametrize(
    "result",
    [
        WIDE_TOKENS,
        (WIDE_TOKENS, 200),
        (json.dumps(WIDE_TOKENS), {"Content-Type": "application/json"}),
        iter([json.dumps(WIDE_TOKENS)]),
    ],
    ids=["dict", "with status", "text", "generator"],
)
def test_what_flask_makes_of_a_result_is_mapped(result: Any) -> None:  # O2
    def view(_: str) -> Any:
        return (result, {"Content-Type": "application/json"}) if isinstance(result, Iterator) else result

    reply = count(serving(view))
    assert (reply.json, reply.header("content-length")) == (TOKENS, str(len(reply.body)))


def test_async_view_of_flask_is_mapped() -> None:  # O2
    async def view(_: str) -> Any:
        return {**WIDE_TOKENS, "junk": openai_call.operation}

    assert count(serving(view)).json == TOKENS


# --- failures


@pytest.mark.parametrize("target", ["/v1/responses/r-1", "/own"])
def test_error_of_a_view_is_its_envelope_on_any_path(target: str) -> None:  # E1 E4
    error = RateLimitError("Slow down.", param="model", headers={"Retry-After": "20"})
    reply = send(serving(failing(error)), "GET", target)
    assert (reply.status, reply.header("retry-after")) == (429, "20")
    assert (reply.error["message"], reply.error["param"]) == ("Slow down.", "model")


def test_error_of_a_hook_is_its_envelope() -> None:  # E4
    app = serving(count_tokens)
    app.before_request(failing(AuthenticationError("Who are you?")))
    assert (count(app).status, count(app).error["message"]) == (401, "Who are you?")


def test_error_stays_an_envelope_where_exceptions_propagate() -> None:  # E4
    app = serving(failing(NotFoundError("Not here.")))
    app.testing = app.debug = True
    assert count(app).error["message"] == "Not here."


def test_handler_for_all_exceptions_does_not_hide_the_envelope() -> None:  # E4
    app = serving(failing(NotFoundError("Not here.")))
    app.register_error_handler(Exception, lambda error: ("hidden", 500))
    assert count(app).error["message"] == "Not here."


def test_handler_of_one_s_own_can_say_errors_otherwise() -> None:  # O1
    app = serving(failing(NotFoundError("Not here.")))
    app.register_error_handler(NotFoundError, lambda error: (f"Sorry: {error}", 404))
    reply = count(app)
    assert (reply.status, reply.body) == (404, b"Sorry: Not here.")


def test_http_exception_passes_as_flask_says_it() -> None:  # O1
    reply = count(serving(lambda _: abort(418, "No coffee.")))
    assert reply.status == 418
    assert b"No coffee." in reply.body


@pytest.mark.parametrize("propagates", [True, False])
def test_foreign_exception_gets_flask_s_answer(propagates: bool) -> None:  # E4
    error = ZeroDivisionError("secret")
    app = serving(failing(error))
    app.config["PROPAGATE_EXCEPTIONS"] = propagates
    reply = send(app, "POST", TOKENS_URL, b"{}", fails=propagates)
    assert reply.raised is (error if propagates else None)
    assert propagates or (reply.status, b"Internal Server Error" in reply.body) == (500, True)


# --- views made of functions


@pytest.mark.parametrize("is_async", [True, False])
def test_function_gets_the_body_and_its_kwargs(is_async: bool) -> None:  # B7
    given: list[Any] = []

    def create(body: Any, *, model: str, temperature: float = 1.0, **kwargs: Any) -> Any:
        given.append((body, model, temperature, kwargs))
        return {}

    async def async_create(body: Any, *, model: str, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return create(body, model=model, **kwargs)

    chat(serving(openai_view(async_create if is_async else create), prefix="/v1", include_url_info=False))
    request = {"model": "m-1", "messages": [], "stream": True}
    assert given == [(request, "m-1", 1.0, {"messages": [], "stream": True})]


def test_function_gets_only_what_it_declares_whatever_the_url_says() -> None:
    app = Flask("app")
    set_openai_frontend(app, prefix="/v1")

    @app.get("/v1/responses/<response_id>")
    @openai_view
    def retrieve(body: None, response_id: str) -> Any:
        raise NotFoundError(f"No {response_id}.")

    reply = send(app, "GET", "/v1/responses/r-1?unknown=1&stream=true")
    assert reply.error["message"] == "No r-1."
    assert retrieve.__name__ == "retrieve"


def test_function_that_requires_more_than_there_is_gets_no_call() -> None:
    def create(body: Any, *, tools: list[Any]) -> Any:
        raise ZeroDivisionError

    reply = chat(serving(openai_view(create)))
    assert (reply.status, reply.error["param"]) == (422, "tools")


class Tokens(BaseModel):
    object: str = "response.input_tokens"
    input_tokens: int = 7
    junk: int = 1


@pytest.mark.parametrize("is_async", [True, False])
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
def test_result_of_a_function_becomes_the_answer(result: Any, is_async: bool) -> None:
    async def async_tokens(body: Any) -> Any:
        return result

    def tokens(body: Any) -> Any:
        return result

    reply = count(serving(openai_view(async_tokens if is_async else tokens)))
    assert (reply.status, reply.json, reply.header("content-type")) == (200, TOKENS, "application/json")


def test_function_has_full_control_by_a_response() -> None:
    answer = Response(b"%PDF", 203, "application/pdf", {"X-Own": "1"})
    reply = count(serving(openai_view(lambda body: answer)))
    assert (reply.status, reply.body) == (203, b"%PDF")
    assert (reply.header("content-type"), reply.header("x-own")) == ("application/pdf", "1")


def numbers_until(end: int | None, log: Log, is_async: bool) -> Callable[..., Any]:
    """A handler that streams events with the request's own path, and logs what it does."""
    numbers = itertools.count() if end is None else range(end)

    def stream(body: Any) -> Iterator[Any]:
        try:
            for number in numbers:
                log.append(f"made {number} {flask.request.path} {openai_call.kwargs['model']}")
                yield event(number)
        finally:
            log.append("closed")

    async def async_stream(body: Any) -> AsyncIterator[Any]:
        try:
            for number in numbers:
                await asyncio.sleep(0)
                log.append(f"made {number} {flask.request.path} {openai_call.kwargs['model']}")
                yield event(number)
        finally:
            log.append("closed")

    return async_stream if is_async else stream


each_generator = pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])


@each_generator
def test_generator_is_consumed_event_by_event_and_has_the_request(is_async: bool) -> None:  # S1 W2
    log: Log = []
    reply = chat(serving(openai_view(numbers_until(2, log, is_async))), on_chunk=noting(log))
    assert reply.header("content-type") == "text/event-stream"
    made = [f"made {number} {CHAT_URL} m-1" for number in range(2)]
    assert log == [made[0], "left 0", made[1], "left 1", "closed"]


@each_generator
def test_generator_is_closed_when_the_server_stops(is_async: bool) -> None:  # W2
    log: Log = []
    app: Any = serving(openai_view(numbers_until(None, log, is_async)))
    headers = [*JSON, ("Content-Length", str(len(CHAT)))]
    chunks = app(wsgi_environ("POST", CHAT_URL, CHAT, headers), lambda *_: None)
    assert [ids(next(iter(chunks))) for _ in range(2)] == [["0"], ["1"]]
    assert "closed" not in log
    chunks.close()
    assert log[-1] == "closed"


@each_generator
@pytest.mark.parametrize(("error", "status"), [(NotFoundError("No such model."), 404), (ZeroDivisionError(), 500)])
def test_failure_of_a_generator_before_its_first_event_is_a_status(  # S4 E4 R7
    error: Exception, status: int, is_async: bool
) -> None:
    def stream(body: Any) -> Iterator[Any]:
        raise error
        yield

    async def async_stream(body: Any) -> AsyncIterator[Any]:
        raise error
        yield

    assert chat(serving(openai_view(async_stream if is_async else stream))).status == status


def test_chunks_may_be_sdk_models() -> None:
    usage = CompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    chunk = ChatCompletionChunk(id="c", choices=[], created=1, model="m", object="chat.completion.chunk", usage=usage)
    reply = chat(serving(openai_view(lambda body: iter([chunk]))))
    [first, done] = [found.data for found in parse(reply.body)]
    assert (json.loads(first), done) == (chunk.to_dict(), "[DONE]")


def test_stream_of_a_plain_view_is_filtered() -> None:  # S2
    def view(_: str) -> flask.Response:
        events = (b"data: " + json.dumps(event(number)).encode() + b"\n\n" for number in range(2))
        return flask.Response(events, mimetype="text/event-stream")

    assert ids(chat(serving(view)).body) == ["0", "1"]


def test_function_is_told_why_there_is_no_call() -> None:
    app = serving(openai_view(lambda body: {}), prefix="/v2")
    app.testing = True
    reply = chat(app, fails=True)
    assert isinstance(reply.raised, RuntimeError)
    assert f"No OpenAI call in POST {CHAT_URL}" in str(reply.raised)


# --- files


@pytest.mark.parametrize(
    "asked", [[], [("If-Range", '"1"')], [("Accept-Encoding", "gzip")]], ids=["part", "part if same", "compressed"]
)
def test_file_of_json_is_a_whole_answer_whatever_part_is_asked_for(  # O7 O2
    asked: list[tuple[str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps(WIDE_TOKENS))
    app = serving(lambda _="": flask.send_file(file))
    reply = send(app, "POST", TOKENS_URL, b"{}", headers=[*JSON, ("Range", "bytes=0-3"), *asked])
    assert (reply.status, reply.json, reply.header("content-range")) == (200, TOKENS, None)
