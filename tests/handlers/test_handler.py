"""Handlers: which arguments a function gets, and which function gets the call."""

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware import (
    APIHandlerConfig,
    Dispatcher,
    HandlerApp,
    OpenAIWSGIMiddleware,
    WSGIHandlerApp,
    contract,
)
from openai_middleware.errors import ConfigurationError
from openai_middleware.handlers.handler import Handler
from tests.support import wsgi_driver
from tests.support.drivers import Sent
from tests.support.handlers import by_asgi, by_wsgi

BODY = {"metadata": {"a": "b"}, "extra": 1}
URL_INFO = {"mlrun_request_path": "/v1/chat/completions/c", "mlrun_request_method": "POST"}
KWARGS = {"metadata": {"a": "b"}, "verbose": "1", "completion_id": "c", **URL_INFO}
Serve = Callable[..., Sent]


@pytest.fixture(params=[by_asgi, by_wsgi], ids=["asgi", "wsgi"])
def serve(request: pytest.FixtureRequest) -> Serve:
    return request.param


def sent_to(handler: Any, serve: Serve, target: str = "/v1/chat/completions/c?verbose=1", body: Any = BODY) -> Sent:
    """What a client gets for a call that has a body, a query, a path parameter and URL info."""
    return serve(handler, "POST", target, body)


class Got(list[Any]):
    """What functions were called with."""

    def note(self, *args: Any, **kwargs: Any) -> None:
        self.append((args, kwargs))


got = Got()


@pytest.fixture(autouse=True)
def _nothing_yet() -> None:
    got.clear()


# --- functions of all kinds


def plain(body, completion_id, verbose="0"):
    got.note(body, completion_id=completion_id, verbose=verbose)


def keyword_only(body, *, completion_id, verbose):
    got.note(body, completion_id=completion_id, verbose=verbose)


def positional_only(body, /, completion_id, verbose):
    got.note(body, completion_id=completion_id, verbose=verbose)


async def coroutine(body, completion_id, verbose):
    got.note(body, completion_id=completion_id, verbose=verbose)


def bare_args(*args, completion_id, verbose):
    got.note(*args, completion_id=completion_id, verbose=verbose)


def generator(body, completion_id, verbose):
    got.note(body, completion_id=completion_id, verbose=verbose)
    yield {}


async def async_generator(body, completion_id, verbose):
    got.note(body, completion_id=completion_id, verbose=verbose)
    yield {}


class Thing:
    def method(self, body, completion_id, verbose):
        got.note(body, completion_id=completion_id, verbose=verbose)

    async def async_method(self, body, completion_id, verbose):
        got.note(body, completion_id=completion_id, verbose=verbose)

    @classmethod
    def class_method(cls, body, completion_id, verbose):
        got.note(body, completion_id=completion_id, verbose=verbose)

    @staticmethod
    def static_method(body, completion_id, verbose):
        got.note(body, completion_id=completion_id, verbose=verbose)


class Callee:
    def __call__(self, body, completion_id, verbose):
        got.note(body, completion_id=completion_id, verbose=verbose)


class AsyncCallee:
    async def __call__(self, body, completion_id, verbose):
        got.note(body, completion_id=completion_id, verbose=verbose)


class AsyncGeneratingCallee:
    async def __call__(self, body, completion_id, verbose):
        got.note(body, completion_id=completion_id, verbose=verbose)
        yield {}


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def with_one_more(own, body, completion_id, verbose):
    got.note(body, completion_id=completion_id, verbose=verbose)


async def async_with_one_more(own, body, completion_id, verbose):
    got.note(body, completion_id=completion_id, verbose=verbose)


@pytest.mark.parametrize(
    "function",
    [
        *(plain, keyword_only, positional_only, coroutine, bare_args, generator, async_generator),
        *(Thing().method, Thing().async_method, Thing.class_method, Thing.static_method),
        *(Callee(), AsyncCallee(), AsyncGeneratingCallee()),
        *(logged(plain), logged(coroutine), logged(generator), logged(async_generator)),
        *(functools.partial(with_one_more, 1), functools.partial(async_with_one_more, 1)),
        *(functools.partial(AsyncCallee()), functools.partial(async_generator)),
        lambda body, completion_id, verbose: got.note(body, completion_id=completion_id, verbose=verbose),
    ],
    ids=lambda function: getattr(function, "__qualname__", type(function).__name__),
)
def test_first_parameter_is_the_body_and_the_others_are_kwargs(function: Any, serve: Serve) -> None:  # B7
    sent = sent_to(function, serve)

    assert got == [((BODY,), {"completion_id": "c", "verbose": "1"})]
    assert sent.status in (200, 422), "of 200s, only the mapping makes 422s"


# --- which kwargs


def test_keyword_parameter_gets_all_kwargs_in_their_order(serve: Serve) -> None:  # B7 B9
    sent_to(lambda body, **kwargs: got.note(body, **kwargs), serve)

    [(args, kwargs)] = got
    assert (args, list(kwargs.items())) == ((BODY,), list(KWARGS.items()))


def test_function_gets_no_more_than_it_declares(serve: Serve) -> None:
    sent_to(lambda body: got.note(body), serve)
    sent_to(lambda body, *, mlrun_request_path: got.note(mlrun_request_path), serve)
    sent_to(lambda body, metadata, **others: got.note(metadata, **others), serve)

    others = {name: value for name, value in KWARGS.items() if name != "metadata"}
    assert got == [((BODY,), {}), ((KWARGS["mlrun_request_path"],), {}), (({"a": "b"},), others)]


def test_function_without_a_positional_parameter_gets_no_body(serve: Serve) -> None:
    sent_to(lambda **kwargs: got.note(**kwargs), serve)
    sent_to(lambda *, completion_id: got.note(completion_id), serve)
    sent_to(lambda: got.note(), serve)

    assert got == [((), KWARGS), (("c",), {}), ((), {})]


@pytest.mark.parametrize("query", ["unknown=1", "self=1&body=2&function=3", "%C3%A9=1", "call=1&first=2", "a b=1"])
def test_unknown_query_parameter_is_no_type_error(query: str, serve: Serve) -> None:
    sent = sent_to(lambda body, completion_id: got.note(completion_id), serve, f"/v1/chat/completions/c?{query}")

    assert got == [(("c",), {})]
    assert "TypeError" not in sent.body.decode()


def test_parameter_that_was_not_sent_has_its_default(serve: Serve) -> None:
    sent_to(lambda body, temperature=1.5, *, top_p=None: got.note(temperature, top_p), serve)

    assert got == [((1.5, None), {})]


def test_null_is_no_reason_for_a_default(serve: Serve) -> None:  # B2
    sent_to(lambda body, metadata="default": got.note(metadata), serve, body={"metadata": None})

    assert got == [((None,), {})]


def test_defaults_of_a_partial_hold_where_nothing_was_sent(serve: Serve) -> None:
    def function(body: Any, completion_id: str, style: str) -> None:
        got.note(completion_id, style)

    sent_to(functools.partial(function, style="own"), serve)
    sent_to(functools.partial(function, style="own"), serve, "/v1/chat/completions/c?style=sent")

    assert got == [(("c", "own"), {}), (("c", "sent"), {})]


def test_first_parameter_is_the_body_whatever_its_name_is(serve: Serve) -> None:
    sent_to(lambda metadata, **kwargs: got.note(metadata, **kwargs), serve)
    sent_to(lambda completion_id, verbose: got.note(completion_id, verbose), serve)

    others = {name: value for name, value in KWARGS.items() if name != "metadata"}
    assert got == [((BODY,), others), ((BODY, "1"), {})]


def test_name_of_a_positional_only_body_is_free_for_a_kwarg(serve: Serve) -> None:
    def function(metadata: Any, /, **kwargs: Any) -> None:
        got.note(metadata, **kwargs)

    sent_to(function, serve)

    assert got == [((BODY,), KWARGS)]


@pytest.mark.parametrize("body", [b"", b"[1]", b'"text"', b"no json", b'{"a": 1}'])
def test_body_is_what_was_sent_in_whatever_form(body: bytes, serve: Serve) -> None:  # B1 B7
    serve(lambda body: got.note(body), "POST", "/v1/responses/r/cancel", body)

    wanted = {b"": None, b"no json": "no json"}
    assert got == [((wanted[body] if body in wanted else json.loads(body),), {})]


# --- what the function requires


@pytest.mark.parametrize(
    "function",
    [
        lambda body, temperature, top_p: got.note(),
        lambda body, *, temperature, **kwargs: got.note(),
        lambda body, temperature, completion_id: got.note(),
    ],
)
def test_required_parameter_that_was_not_sent_is_422(function: Any, serve: Serve) -> None:  # E1
    sent = sent_to(function, serve)

    assert sent.status == 422
    assert sent.error == {
        "message": "Missing required parameter: 'temperature'.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "missing_required_parameter",
    }
    assert got == []


NAMES = st.sampled_from(["model", "messages", "seed", "unknown", "mlrun_request_path", "other"])


@given(
    required=st.sets(NAMES),
    optional=st.sets(NAMES),
    takes_all=st.booleans(),
    query=st.sets(st.sampled_from(["unknown", "other", "third"])),
)
def test_function_of_any_signature_is_called_or_the_client_is_told_what_is_missing(
    required: set[str], optional: set[str], takes_all: bool, query: set[str]
) -> None:
    optional -= required
    parameters = [*sorted(required), *(f"{name}='default'" for name in sorted(optional))]
    signature = ", ".join(["body", *parameters, *["**others"] * takes_all])
    namespace: dict[str, Any] = {}
    exec(f"def function({signature}): return [body, locals()]", namespace)
    sent_body = {"model": "m", "messages": [], "seed": 0}
    kwargs = {**sent_body, **dict.fromkeys(query, "sent"), "mlrun_request_path": "/v1/chat/completions"}
    results: list[Any] = []

    @functools.wraps(namespace["function"])
    def function(*args: Any, **kwargs: Any) -> str:
        results.append(namespace["function"](*args, **kwargs))
        return ""

    target = f"/v1/chat/completions?{'&'.join(f'{name}=sent' for name in query)}"
    sent = by_wsgi(function, "POST", target, sent_body, endpoints=["chat_completions"])

    missing = required - kwargs.keys()
    if missing:
        assert (sent.status, sent.error["param"] in missing, results) == (422, True, [])
        return
    assert sent.status == 200
    [(body, arguments)] = results
    assert body == sent_body
    others = arguments.pop("others", {})
    del arguments["body"]
    assert arguments == {name: kwargs.get(name, "default") for name in required | optional}
    assert others.keys() == (kwargs.keys() | {"mlrun_request_method"}) - arguments.keys() if takes_all else not others


@pytest.mark.parametrize("handler", [5, None, "text"])
@pytest.mark.parametrize("app", [HandlerApp, WSGIHandlerApp])
def test_handler_that_cannot_be_called_fails_at_once(app: Any, handler: Any) -> None:
    with pytest.raises(TypeError):
        app(handler)


# --- Dispatcher


def test_each_operation_has_its_function(serve: Serve) -> None:
    dispatch = Dispatcher()

    @dispatch("responses.retrieve")
    def retrieve(body: Any, response_id: str) -> str:
        return f"retrieved {response_id}"

    @dispatch("responses.cancel")
    async def cancel(body: Any, *, response_id: str) -> str:
        return f"cancelled {response_id}"

    assert serve(dispatch, "GET", "/v1/responses/r", b"").body == b"retrieved r"
    assert serve(dispatch, "POST", "/v1/responses/r/cancel", b"").body == b"cancelled r"


def test_every_operation_that_the_contract_has_can_be_registered() -> None:
    dispatch = Dispatcher()

    for name in contract.shipped().operation_names():
        dispatch(name)(plain)


def test_decorated_function_stays_what_it_is() -> None:
    assert Dispatcher()("responses.create")(plain) is plain


def test_one_function_may_serve_several_operations(serve: Serve) -> None:
    dispatch = Dispatcher()
    for operation in ("responses.retrieve", "responses.cancel"):
        dispatch(operation)(lambda body, response_id: response_id)

    assert serve(dispatch, "GET", "/v1/responses/r", b"").body == b"r"
    assert serve(dispatch, "POST", "/v1/responses/r/cancel", b"").body == b"r"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("chat.completions.creat", "Did you mean 'chat.completions.create'?"),
        ("chat.completion.create", "Did you mean 'chat.completions.create'?"),
        ("responses.retreive", "Did you mean 'responses.retrieve'?"),
        ("Responses.Create", "Did you mean 'responses.create'?"),
        ("", "Use the SDK's name, such as 'chat.completions.create'."),
        ("/v1/responses", None),
    ],
)
def test_name_of_no_operation_fails_at_once_and_proposes_the_nearest(name: str, hint: str | None) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Dispatcher()(name)

    [mistake] = caught.value.mistakes
    assert (mistake.code, mistake.value) == ("operation_unknown", name)
    assert hint is None or mistake.hint == hint


def test_operation_without_a_function_is_404(serve: Serve) -> None:  # E1
    dispatch = Dispatcher()
    dispatch("responses.create")(plain)

    sent = serve(dispatch, "GET", "/v1/responses/r", b"")

    assert sent.status == 404
    assert sent.error == {
        "message": "This server does not support responses.retrieve.",
        "type": "invalid_request_error",
        "param": None,
        "code": "unsupported_operation",
    }


def test_endpoint_of_ones_own_is_no_operation(serve: Serve) -> None:
    config = APIHandlerConfig()
    config.add_endpoint_handler("/run", "POST")
    dispatch = Dispatcher()
    dispatch("responses.create")(plain)

    sent = serve(dispatch, "POST", "/run", b"", config=config, prefix=None)

    assert (sent.status, sent.error["message"]) == (404, "This server does not support POST /run.")


def test_later_registration_replaces_an_earlier_one(serve: Serve) -> None:
    dispatch = Dispatcher()
    app = functools.partial(serve, dispatch, "GET", "/v1/responses/r", b"")

    dispatch("responses.retrieve")(lambda: "first")
    assert app().body == b"first"
    dispatch("responses.retrieve")(lambda: "second")
    assert app().body == b"second"


def test_registration_reaches_an_app_that_is_built_already() -> None:
    dispatch = Dispatcher()
    app = OpenAIWSGIMiddleware(WSGIHandlerApp(dispatch), prefix="/v1")
    assert wsgi_driver.request(app, "GET", "/v1/responses/r").status == 404

    dispatch("responses.retrieve")(lambda: "late")

    assert wsgi_driver.request(app, "GET", "/v1/responses/r").body == b"late"


class Assistant:
    def answer(self, body: Any, **kwargs: Any) -> Any:
        return " ".join(kwargs)

    @classmethod
    def of_class(cls, body: Any, **kwargs: Any) -> Any:
        return " ".join(kwargs)


def by_position(body: Any, /, model: str = "m", **kwargs: Any) -> Any:
    return " ".join(kwargs)


@pytest.mark.parametrize("handler", [Assistant().answer, Assistant.of_class, by_position])
@pytest.mark.parametrize("name", ["self", "cls", "body"])
def test_no_name_in_a_query_makes_a_handler_fail(handler: Any, name: str, serve: Serve) -> None:
    sent = serve(handler, "GET", f"/v1/responses/r?{name}=x&other=1", b"")

    assert sent.status == 200
    assert b"other" in sent.body


def test_positional_only_parameter_that_nothing_can_fill_is_told_at_once() -> None:
    def handler(body: Any, model: str, /) -> None: ...

    with pytest.raises(TypeError, match="'model' by position"):
        Handler(handler)


def test_handler_that_raises_stop_iteration_has_a_bug(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def handler(body: Any) -> Any:
        return next(model for model in ["a"] if model == "b")

    sent = serve(handler, "GET", "/v1/responses/r", b"")

    assert (sent.status, sent.error["type"]) == (500, "server_error")
    assert "StopIteration" in caplog.text
