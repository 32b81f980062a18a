"""Rewrites: what another route of the app sees of a request, whatever serves it."""

import json
import logging
from typing import Any

import pytest

from openai_middleware import APIHandlerConfig, OpenAICall, Rewrite
from openai_middleware.errors import PermissionDeniedError
from tests.support.behaviours import Backend, dump
from tests.support.drivers import mappings
from tests.support.samples import CHAT, COMPLETION
from tests.support.stacks import JSON, Answer, Headers, Reply, Seen, Stack, StackedApp

CREATE = "chat.completions.create"
MODEL = {"id": "m", "object": "model", "created": 1, "owned_by": "o"}
HELLO = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]


def chat(app: StackedApp, headers: Headers = JSON, **fields: Any) -> Reply:
    return app.send("POST", "/v1/chat/completions", dump({**CHAT, "messages": HELLO, **fields}), headers)


def ask(app: StackedApp, **fields: Any) -> Reply:
    return app.send("POST", "/v1/responses", dump({"model": "m", "input": "Hello", **fields}))


def seen_of(stack: Stack, rewrite: Rewrite, **fields: Any) -> Seen:
    """What the app sees of a chat request that is rewritten."""
    backend = Backend(COMPLETION)
    chat(stack.app(backend, rewrites={CREATE: rewrite}, include_url_info=False), **fields)
    return backend.seen


def body_of(stack: Stack, body: Any, **fields: Any) -> Any:
    """The body that the app gets."""
    return json.loads(seen_of(stack, Rewrite("/ask", body=body), **fields).body)


# --- the route


def test_operation_goes_to_a_route_of_the_app(stack: Stack) -> None:  # T1 T2
    seen = seen_of(stack, Rewrite("/ask"))
    assert (seen.line, seen.path) == ("POST /ask", "/ask")
    assert json.loads(seen.body) == {**CHAT, "messages": HELLO}


@pytest.mark.parametrize("target", ["GET /assistants/{model}", "DELETE /assistants/{model}", "PUT /assistants/{model}"])
def test_target_names_the_method_and_takes_keyword_arguments_into_the_path(target: str, stack: Stack) -> None:  # T1
    backend = Backend(MODEL)
    stack.app(backend, rewrites={"models.retrieve": target}).send("GET", "/v1/models/gpt%204")
    assert backend.seen.line == target.replace("{model}", "gpt%204")
    assert backend.seen.path == "/assistants/gpt 4"


@pytest.mark.parametrize(
    ("value", "raw", "decoded"),
    [
        ("a/b", "a%2Fb", "a%2Fb"),
        ("../x", "..%2Fx", "..%2Fx"),
        ("a?b#c", "a%3Fb%23c", "a?b#c"),
        ("a%2Fb", "a%252Fb", "a%2Fb"),
        ("ä", "%C3%A4", "ä"),
        ("{user}", "%7Buser%7D", "{user}"),
        (7, "7", "7"),
    ],
)
def test_value_in_the_path_is_one_segment(value: object, raw: str, decoded: str, stack: Stack) -> None:  # T1 M9
    seen = seen_of(stack, Rewrite("/of/{model}/{user}"), model=value, user="u")
    assert (seen.line, seen.path) == (f"POST /of/{raw}/u", f"/of/{decoded}/u")


@pytest.mark.parametrize("fields", [{"user": ""}, {"user": "."}, {"user": ".."}, {"user": None}, {}])
def test_placeholder_that_nothing_fills_is_a_400_with_its_name(fields: Any, stack: Stack) -> None:  # T1
    backend = Backend()
    reply = chat(stack.app(backend, rewrites={CREATE: Rewrite("/of/{user}")}), **fields)
    assert (reply.status, reply.error["param"]) == (400, "user")
    assert not backend.is_called


def test_path_is_relative_to_where_the_app_is_mounted(stack: Stack) -> None:  # T1
    backend = Backend(COMPLETION)
    app = stack.app(backend, rewrites={CREATE: Rewrite("/ask")})
    app.send("POST", "/tenant/v1/chat/completions", dump(CHAT), root_path="/tenant")
    assert (backend.seen.line, backend.seen.path) == ("POST /tenant/ask", "/tenant/ask")
    assert backend.call.path == "/v1/chat/completions"


def test_placeholders_of_a_prefix_and_parameters_of_the_query_can_be_used(stack: Stack) -> None:  # T1
    backend = Backend({"object": "list", "data": [], "has_more": False})
    rewrites = {"files.list": Rewrite("GET /{tenant}/files/{order}")}
    stack.app(backend, prefix="/{tenant}/v1", rewrites=rewrites).send("GET", "/acme/v1/files?order=asc&limit=2")
    assert backend.seen.line == "GET /acme/files/asc"


@pytest.mark.parametrize("prefix", ["/v1", "/v2"])
def test_rewrite_holds_under_every_prefix(prefix: str, stack: Stack) -> None:  # T1
    backend = Backend(COMPLETION)
    app = stack.app(backend, prefix=["/v1", "/v2"], rewrites={CREATE: Rewrite("/ask")})
    app.send("POST", f"{prefix}/chat/completions", dump(CHAT))
    assert backend.seen.line == "POST /ask"


# --- the request


def test_headers_of_the_old_body_and_of_other_forms_of_the_answer_go(stack: Stack) -> None:  # T2
    backend = Backend(COMPLETION)
    gone = {
        "Accept-Encoding": "gzip",
        "Range": "bytes=0-1",
        "If-Range": "x",
        "Content-Encoding": "identity",
        "Content-MD5": "x",
        "Digest": "x",
        "Content-Digest": "x",
        "Expect": "100-continue",
    }
    kept = {"authorization": "Bearer secret", "cookie": "session=1", "x-own": "1", "user-agent": "u"}
    headers = [("Content-Type", "application/json; charset=utf-8"), *gone.items(), *kept.items()]
    chat(stack.app(backend, rewrites={CREATE: Rewrite("/ask", body={"q": "$.prompt"})}), headers)
    seen = backend.seen.headers
    assert seen.keys().isdisjoint(name.lower() for name in gone)
    assert {name: seen[name] for name in kept} == kept
    assert seen.get("content-type", "application/json") == "application/json"
    assert backend.seen.body == b'{"q":"Hello"}'


def test_length_and_type_of_the_new_body_are_right(stack: Stack) -> None:  # T2
    headers = seen_of(stack, Rewrite("/ask", body={"q": "$.prompt"})).headers
    # An environ has the two under names of their own.
    assert stack.name == "wsgi" or (headers["content-length"], headers["content-type"]) == ("13", "application/json")


def test_query_of_the_client_stays_behind(stack: Stack) -> None:  # T2
    backend = Backend({"object": "list", "data": [], "has_more": False})
    stack.app(backend, rewrites={"files.list": "GET /files"}).send("GET", "/v1/files?limit=2")
    assert backend.seen.line == "GET /files"
    assert backend.call.kwargs["limit"] == 2


def test_query_is_made_as_a_body_is(stack: Stack) -> None:  # T3 T4
    query = {
        "q": "$.prompt",
        "tag": "$.stop",
        "t": "$.temperature",
        "none": "$.user",
        "literal": "a b&c",
        "s": "$.store",
    }
    seen = seen_of(stack, Rewrite("GET /ask", query=query), stop=["x", "y"], temperature=0.5, store=True, user=None)
    assert seen.line == "GET /ask?q=Hello&tag=x&tag=y&t=0.5&literal=a+b%26c&s=true"


def test_query_may_be_one_path_to_an_object(stack: Stack) -> None:  # T3
    app = Rewrite("GET /ask", query="$.metadata")
    assert seen_of(stack, app, metadata={"a": "1"}).line == "GET /ask?a=1"
    assert seen_of(stack, app).line == "GET /ask"


def test_query_that_is_no_object_is_a_400(stack: Stack) -> None:  # T3
    reply = chat(stack.app(Backend(), rewrites={CREATE: Rewrite("GET /ask", query="$.user")}), user="u")
    assert reply.status == 400


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_get_and_delete_send_no_body(method: str, stack: Stack) -> None:  # T3
    seen = seen_of(stack, Rewrite(f"{method} /ask"))
    assert seen.body == b""
    assert "content-type" not in seen.headers or not seen.headers["content-type"]


def test_delete_sends_the_body_that_is_asked_for(stack: Stack) -> None:  # T3
    assert seen_of(stack, Rewrite("DELETE /ask", body={"q": "$.prompt"})).body == b'{"q":"Hello"}'


def test_call_of_the_client_is_in_the_scope(stack: Stack) -> None:  # T2
    call = seen_of(stack, Rewrite("/ask", body={"q": "$.prompt"})).call
    assert call is not None
    assert (call.operation, call.path, call.kwargs["messages"]) == (CREATE, "/v1/chat/completions", HELLO)


# --- the body


def test_body_is_the_keyword_arguments_with_the_url_info_where_it_is_on(stack: Stack) -> None:  # T3
    backend = Backend(COMPLETION)
    chat(stack.app(backend, rewrites={CREATE: "/ask"}))
    info = {"mlrun_request_path": "/v1/chat/completions", "mlrun_request_method": "POST"}
    assert json.loads(backend.seen.body) == {**CHAT, "messages": HELLO, **info}


def test_body_is_json_with_paths_for_leaves(stack: Stack) -> None:  # T3 T4
    body = {
        "question": "$.prompt",
        "deep": [{"model": "$.model"}, 1, None, True, "plain", "$5", "$.messages[0].content"],
        "nothing": "$.user",
        "list": ["$.user", "$['model']", '$["model"]'],
    }
    assert body_of(stack, body) == {
        "question": "Hello",
        "deep": [{"model": "m"}, 1, None, True, "plain", "$5", "Be kind."],
        "list": ["m", "m"],
    }


def test_dollar_is_the_keyword_arguments_beside_chat_names_too(stack: Stack) -> None:  # T3 T4
    backend = Backend(b'"Hi"')
    rewrite = Rewrite("/ask", body={"all": "$", "question": "$.prompt"})
    ask(stack.app(backend, rewrites={"responses.create": rewrite}, include_url_info=False))
    assert json.loads(backend.seen.body) == {"all": {"model": "m", "input": "Hello"}, "question": "Hello"}


@pytest.mark.parametrize(("body", "sent"), [("$", {**CHAT, "messages": HELLO}), ("$.messages", HELLO)])
def test_body_may_be_one_path(body: str, sent: Any, stack: Stack) -> None:  # T3
    assert body_of(stack, body) == sent


def test_body_may_be_a_function_of_the_call(stack: Stack) -> None:  # T3
    def question(call: OpenAICall) -> Any:
        return {"model": call.kwargs["model"], "agent": call.headers.get("x-agent")}

    assert body_of(stack, question) == {"model": "m", "agent": None}


def test_function_may_return_null(stack: Stack) -> None:  # T3
    assert body_of(stack, lambda call: None) is None


async def question_on_a_loop(call: OpenAICall) -> Any:
    return {"model": call.kwargs["model"]}


class Question:
    async def __call__(self, call: OpenAICall) -> Any:
        return {"model": call.kwargs["model"]}


@pytest.mark.parametrize("function", [question_on_a_loop, Question()])
def test_function_may_be_a_coroutine_function(function: Any, stack: Stack) -> None:  # T3
    assert body_of(stack, function) == {"model": "m"}


@pytest.mark.parametrize("place", ["body", "query"])
@pytest.mark.parametrize("is_async", [False, True])
def test_openai_error_of_a_function_is_its_envelope(place: str, is_async: bool, stack: Stack) -> None:  # T3
    def refusing(call: OpenAICall) -> Any:
        raise PermissionDeniedError("Not you.", code="no")

    async def refusing_on_a_loop(call: OpenAICall) -> Any:
        raise PermissionDeniedError("Not you.", code="no")

    backend = Backend()
    function = refusing_on_a_loop if is_async else refusing
    reply = chat(stack.app(backend, rewrites={CREATE: Rewrite("/ask", **{place: function})}))  # type: ignore[arg-type]
    assert (reply.status, reply.error["message"], reply.error["code"]) == (403, "Not you.", "no")
    assert not backend.is_called


def test_messages_and_prompt_are_there_for_responses_and_completions(stack: Stack) -> None:  # T4
    backend = Backend(b'"Hi"')
    body = {"history": "$.messages", "question": "$.prompt"}
    rewrite = Rewrite("/ask", body=body)
    app = stack.app(backend, rewrites={"responses.create": rewrite, "completions.create": rewrite})
    parts = [{"type": "input_text", "text": "Hel"}, {"type": "input_text", "text": "lo"}]
    items = [{"role": "user", "content": parts}, {"role": "assistant", "content": "Yes?"}]
    ask(app, instructions="Be kind.", input=items)
    app.send("POST", "/v1/completions", b'{"model": "m", "prompt": "Once"}')
    responses, completions = [json.loads(seen.body) for seen in backend.requests]
    assert responses["question"] == "Hel\nlo"
    assert [message["role"] for message in responses["history"]] == ["system", "user", "assistant"]
    assert completions == {"history": [{"role": "user", "content": "Once"}], "question": "Once"}


def test_names_that_the_request_uses_are_its_own(stack: Stack) -> None:  # T4
    assert body_of(stack, "$.messages", messages=[{"role": "user", "content": "x", "own": 1}]) == [
        {"role": "user", "content": "x", "own": 1}
    ]


def test_request_without_a_chat_form_is_refused_only_where_it_is_needed(stack: Stack) -> None:  # T4
    def status(body: Any) -> int:
        return ask(
            stack.app(Backend(b'"Hi"'), rewrites={"responses.create": Rewrite("/ask", body=body)}), input=[5]
        ).status

    assert status({"q": "$.prompt"}) == 400
    assert status({"q": "$.input", "key": "$.prompt_cache_key"}) == 200


def test_multipart_is_rewritten_in_path_and_method_alone(stack: Stack) -> None:  # T11
    backend = Backend({"text": "Hi"})
    form = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--x--\r\n'
    headers = [("Content-Type", "multipart/form-data; boundary=x")]
    rewrites = {"audio.transcriptions.create": Rewrite("PUT /hear", body={"never": 1})}
    app = stack.app(backend, endpoints=["audio"], rewrites=rewrites)
    reply = app.send("POST", "/v1/audio/transcriptions", form, headers)
    assert reply.json == {"text": "Hi"}
    assert (backend.seen.line, backend.seen.body) == ("PUT /hear", form)
    assert backend.seen.headers.get("content-type", headers[0][1]) == headers[0][1]


# --- by way of another operation


def test_responses_are_served_by_the_chat_route_of_the_app(stack: Stack) -> None:  # T8
    answer = {**COMPLETION, "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}
    backend = Backend(answer)
    reply = ask(stack.app(backend, rewrites={"responses.create": CREATE}), instructions="Be kind.")
    assert backend.seen.line == "POST /v1/chat/completions"
    assert json.loads(backend.seen.body)["messages"] == HELLO
    assert backend.call.operation == CREATE
    assert reply.json["output"][0]["content"][0]["text"] == "Hi"


@pytest.mark.parametrize(("path", "body"), [("responses", {"input": "Hello"}), ("completions", {"prompt": "Hello"})])
def test_operation_follows_the_rewrite_of_chat(path: str, body: Any, stack: Stack) -> None:  # T8
    backend = Backend({"answer": "Hi"})
    rewrites = {
        CREATE: Rewrite("/ask", body={"question": "$.prompt"}, reply="$.answer"),
        "responses.create": CREATE,
        "completions.create": CREATE,
    }
    app = stack.app(backend, prefix=["/v1", "/v2"], rewrites=rewrites)
    reply = app.send("POST", f"/v2/{path}", dump({"model": "m", **body}))
    assert (backend.seen.line, json.loads(backend.seen.body)) == ("POST /ask", {"question": "Hello"})
    assert b'"Hi"' in reply.body


def test_handler_path_gets_every_operation_with_its_keyword_arguments(stack: Stack) -> None:  # T9
    backend = Backend(MODEL)
    rewrites = {CREATE: Rewrite("/ask")}
    app = stack.app(backend, handler_path="/openai", rewrites=rewrites)
    reply = app.send("GET", "/v1/models/gpt")
    chat(app)
    retrieved, created = backend.requests
    info = {"mlrun_request_path": "/v1/models/gpt", "mlrun_request_method": "GET"}
    assert (retrieved.line, json.loads(retrieved.body)) == ("POST /openai", {"model": "gpt", **info})
    assert created.line == "POST /ask"
    assert reply.json == MODEL


def test_responses_follow_the_handler_path_by_way_of_chat(stack: Stack) -> None:  # T8 T9
    backend = Backend(b'"Hi"')
    reply = ask(stack.app(backend, handler_path="/openai", rewrites={"responses.create": CREATE}))
    assert backend.seen.line == "POST /openai"
    assert json.loads(backend.seen.body)["messages"] == HELLO[1:]
    assert reply.json["output"][0]["content"][0]["text"] == "Hi"


# --- endpoints of a configuration


def test_configuration_holds_rewrites_of_operations_and_of_endpoints_of_your_own(stack: Stack) -> None:
    config = APIHandlerConfig()
    config.set_openai_frontend(["chat_completions"], "/v1")
    config.endpoints["POST:/v1/chat/completions"].rewrite = Rewrite("/ask", reply="$.answer")
    config.add_endpoint_handler(
        "/v1/summaries/{kind}",
        input_body_mappings=mappings(("$.text", "text")),
        output_body_mappings=mappings(("$.answer", "summary")),
        rewrite={"target": "PUT /sum/{kind}", "body": {"t": "$.text"}},  # type: ignore[arg-type]
    )
    backend = Backend({"answer": "Hi"})
    app = stack.app(backend, config=config)
    assert app.send("POST", "/v1/summaries/short", b'{"text": "x"}').json == {"summary": "Hi"}
    assert chat(app).json["choices"][0]["message"]["content"] == "Hi"
    assert [(seen.line, seen.body[:9]) for seen in backend.requests] == [
        ("PUT /sum/short", b'{"t":"x"}'),
        ("POST /ask", b'{"model":'),
    ]


def test_key_of_an_endpoint_counts_more_than_its_operation_and_than_the_configuration(stack: Stack) -> None:
    config = APIHandlerConfig()
    config.set_openai_frontend(["chat_completions"], ["/v1", "/v2", "/v3"])
    for prefix in ("/v1", "/v2"):
        config.endpoints[f"POST:{prefix}/chat/completions"].rewrite = "/own"
    backend = Backend(COMPLETION)
    app = stack.app(backend, config=config, rewrites={"POST:/v1/chat/completions": "/key", CREATE: "/operation"})
    for prefix in ("/v1", "/v2", "/v3"):
        app.send("POST", f"{prefix}/chat/completions", dump(CHAT))
    assert [seen.path for seen in backend.requests] == ["/key", "/operation", "/operation"]


# --- what the client may ask for


def test_forbidden_and_unmatched_concern_the_client_and_never_the_rewrite(stack: Stack) -> None:  # T2
    config = APIHandlerConfig()
    config.set_openai_frontend(["chat_completions", "responses"], "/v1")
    config.add_endpoint_handler("/ask", "POST", "forbid")
    config.add_endpoint_handler("/v1/responses/{response_id}", "GET", "forbid")
    backend = Backend(COMPLETION)
    rewrites = {CREATE: Rewrite("/ask"), "responses.delete": Rewrite("DELETE /elsewhere")}
    app = stack.app(backend, config=config, unmatched="reject", rewrites=rewrites)
    assert chat(app).status == 200
    assert app.send("DELETE", "/v1/responses/r").status == 200
    assert [seen.line for seen in backend.requests] == ["POST /ask", "DELETE /elsewhere"]
    assert app.send("POST", "/ask", dump(CHAT)).status == 403
    assert app.send("GET", "/v1/responses/r").status == 403
    assert app.send("DELETE", "/elsewhere").status == 404


def test_request_is_checked_before_it_is_rewritten(stack: Stack) -> None:  # T1 B2 B4
    backend = Backend()
    app = stack.app(backend, rewrites={CREATE: Rewrite("/ask")})
    assert app.send("POST", "/v1/chat/completions", b"{}").status == 422
    assert app.send("POST", "/v1/chat/completions", b"{").status == 400
    assert not backend.is_called


def test_app_without_the_route_is_said_once_with_both_paths(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:  # T10
    page = Answer(b"no such page", 404, [("Content-Type", "text/html")])
    app = stack.app(Backend(page), rewrites={"models.retrieve": "GET /nowhere/{model}", CREATE: "/ask"})
    with caplog.at_level(logging.WARNING, "openai_middleware"):
        for model in ("a", "b"):
            reply = app.send("GET", f"/v1/models/{model}")
            assert (reply.status, reply.body) == (404, b"no such page")  # T7
    [line] = [record.getMessage() for record in caplog.records if record.name == "openai_middleware"]
    assert line == "models.retrieve: /v1/models/a goes to GET /nowhere/{model}, and the app answers 404 there."
