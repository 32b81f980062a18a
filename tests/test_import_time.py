"""What it costs to import the package and to build a middleware, each time in a fresh interpreter."""

import json
import pickle
import subprocess
import sys
from typing import Any

import pytest

import openai_middleware
from openai_middleware import APIHandlerAction, APIHandlerConfig, BodyMappings, EndpointConfig, config
from openai_middleware.contract import shipped

SDK_AND_FRAMEWORKS = {"openai", "starlette", "fastapi", "django", "flask", "werkzeug", "uvicorn", "httpx", "httpx2"}


def run(code: str) -> Any:
    """What a program prints, which is JSON."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("driver", ["OpenAIMiddleware", "OpenAIWSGIMiddleware"])
def test_a_middleware_of_all_groups_is_built_without_the_sdk_and_without_a_framework(driver: str) -> None:
    modules = run(f"""if True:
        import json, sys
        from openai_middleware import {driver}
        {driver}(print, prefix="/v1")
        print(json.dumps(list(sys.modules)))
    """)

    imported = {name.partition(".")[0] for name in modules}
    assert "openai_middleware" in imported
    assert not imported & SDK_AND_FRAMEWORKS
    # What only some configurations need.
    assert "jsonpath" not in imported


@pytest.mark.parametrize(
    "statement",
    [
        "import openai_middleware",
        "import openai_middleware.config, openai_middleware.drivers, openai_middleware.errors, openai_middleware.store",
        "from openai_middleware import APIHandlerAction, HandlerApp, OpenAIMiddleware, OpenAIWSGIMiddleware, Rewrite",
    ],
)
def test_importing_the_package_makes_no_model_and_imports_nothing_that_makes_one(statement: str) -> None:
    more = run(f"""if True:
        import json, sys
        import pydantic  # which alone imports nothing of what makes models
        before = set(sys.modules)
        {statement}
        print(json.dumps(list(set(sys.modules) - before)))
    """)

    assert "openai_middleware.frontend" in more
    assert not [name for name in more if name.partition(".")[0] == "pydantic"]
    assert not {"openai_middleware.checked_options", "openai_middleware.config.api_handler"} & set(more)


LAZY = [APIHandlerConfig, BodyMappings, EndpointConfig]


@pytest.mark.parametrize("module", ["openai_middleware", "openai_middleware.config"])
@pytest.mark.parametrize("name", [cls.__name__ for cls in LAZY])
def test_class_of_the_configuration_is_there_as_soon_as_it_is_asked_for(module: str, name: str) -> None:
    found = run(f"""if True:
        import json, {module} as module
        listed = {name!r} in dir(module), {name!r} in module.__all__
        from {module} import {name}
        everything = {{}}
        exec("from {module} import *", everything)
        same = module.{name} is {name} is everything[{name!r}]
        print(json.dumps([*listed, same, {name}.__name__, {name}.__module__, len(everything) > len(module.__all__)]))
    """)

    defined_in = {"APIHandlerConfig": "api_handler", "BodyMappings": "body_mappings", "EndpointConfig": "endpoint"}[
        name
    ]
    assert found == [True, True, True, name, f"openai_middleware.config.{defined_in}", True]


@pytest.mark.parametrize("module", [openai_middleware, config])
def test_name_that_there_is_not_is_an_error_as_of_any_module(module: Any) -> None:
    assert not hasattr(module, "APIHandlerConfigs")
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'Endpoint'"):
        module.Endpoint  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'EndpointConfigs'"):
        # A type checker knows it too: the comment would be one too many.
        from openai_middleware import EndpointConfigs  # type: ignore[attr-defined]  # noqa: F401


def test_configuration_goes_through_pickle() -> None:
    endpoint = EndpointConfig("/x", action=APIHandlerAction.FORBID, output_body_mappings=BodyMappings())
    configured = APIHandlerConfig(endpoints={endpoint.get_endpoint_key(): endpoint})

    read = pickle.loads(pickle.dumps(configured))

    assert read == configured
    assert isinstance(read.endpoints["POST:/x"], EndpointConfig)
    assert read.endpoints["POST:/x"].action is APIHandlerAction.FORBID


SERVED = """if True:
    import asyncio, json, sys
    from io import BytesIO
    from openai_middleware import OpenAIMiddleware, OpenAIWSGIMiddleware, Rewrite

    PACKAGES = ("openai_middleware", "pydantic", "pydantic_core")
    CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    COMPLETION = {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
    }

    async def app(scope, receive, send):
        await receive()
        path = scope["path"]
        asked = scope.get("openai_middleware.call")
        if path == "/text":
            kind, body = b"text/plain", b"Hello"
        elif asked is not None and asked.kwargs.get("stream"):
            choice = {"index": 0, "delta": {"content": "Hello"}}
            chunk = {**COMPLETION, "object": "chat.completion.chunk", "choices": [choice]}
            kind, body = b"text/event-stream", b"data: " + json.dumps(chunk).encode() + b"\\n\\n"
        else:
            kind, body = b"application/json", json.dumps({"id": "x", "junk": 1} | COMPLETION).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body})

    def wsgi(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(COMPLETION).encode()]

    async def asked(wrapped, method, path, body=None):
        sent = []
        content = b"" if body is None else json.dumps(body).encode()
        pending = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive():
            return pending.pop() if pending else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        scope = {"type": "http", "method": method, "path": path, "query_string": b"limit=1", "headers": headers}
        await wrapped(scope, receive, send)
        return sent[0]["status"]

    def reply(messages, *, model):
        yield "Hello"

    mapped = {
        "path": "/own/{thing}",
        "input_body_mappings": {"mappings": [{"source_path": "$.a[0].b", "destination_path": "b"}]},
        "output_body_mappings": {"mappings": [{"source_path": "$..content", "destination_path": "$.found[0].text"}]},
    }
    rewrites = {
        "chat.completions.create": Rewrite("/text", body={"q": "$.prompt"}),
        "responses.create": "chat.completions.create",
    }
    before = {name for name in sys.modules if name.partition(".")[0] in PACKAGES}
    plain = OpenAIMiddleware(app, prefix="/v1", unmatched="reject")
    rewritten = OpenAIMiddleware(app, prefix="/v1", rewrites=rewrites)
    handled = OpenAIMiddleware(app, prefix="/v1", handlers={"chat.completions.create": reply})
    own = OpenAIMiddleware(app, config={"endpoints": {"POST:/own/{thing}": mapped}})
    of_wsgi = OpenAIWSGIMiddleware(wsgi, prefix="/v1")
    built = {name for name in sys.modules if name.partition(".")[0] in PACKAGES}

    async def main():
        return [
            await asked(plain, "POST", "/v1/chat/completions", CHAT),
            await asked(plain, "POST", "/v1/chat/completions", CHAT | {"stream": True}),
            await asked(plain, "GET", "/v1/chat/completions/c"),
            await asked(plain, "GET", "/v1/nothing"),
            await asked(plain, "POST", "/v1/embeddings", {}),
            await asked(rewritten, "POST", "/v1/chat/completions", CHAT),
            await asked(rewritten, "POST", "/v1/responses", {"model": "m", "input": "Hi", "stream": True}),
            await asked(handled, "POST", "/v1/chat/completions", CHAT | {"stream": True}),
            await asked(own, "POST", "/own/x", {"a": [{"b": 1}]}),
        ]

    statuses = asyncio.run(main())
    body = json.dumps(CHAT).encode()
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/v1/chat/completions", "SCRIPT_NAME": "", "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body),
    }
    answer = of_wsgi(environ, lambda status, headers, exc_info=None: statuses.append(int(status[:3])))
    assert b"Hello" in b"".join(answer)
    served = {name for name in sys.modules if name.partition(".")[0] in PACKAGES}
    print(json.dumps([sorted(built - before), statuses, sorted(served - built)]))
"""


def test_configuration_is_loaded_where_a_middleware_is_built_and_requests_load_nothing() -> None:
    for_building, statuses, for_serving = run(SERVED)

    assert {"openai_middleware.config.api_handler", "pydantic.main"} <= set(for_building)
    assert statuses == [200, 200, 200, 404, 422, 200, 200, 200, 200, 200]
    assert for_serving == []


IN_THREADS = """if True:
    import json, sys
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier
    import {module}

    sys.setswitchinterval(1e-6)
    barrier = Barrier(8)

    def build(number):
        barrier.wait()
        if number % 2:
            return type(openai_middleware.OpenAIMiddleware(print, prefix="/v1")).__name__
        return type(openai_middleware.APIHandlerConfig()).__name__

    with ThreadPoolExecutor(8) as pool:
        print(json.dumps(sorted(pool.map(build, range(8)))))
"""


@pytest.mark.parametrize("module", ["openai_middleware", "openai_middleware, openai_middleware.checked_options"])
def test_threads_that_need_the_configuration_for_the_first_time_all_get_it(module: str) -> None:
    assert run(IN_THREADS.format(module=module)) == ["APIHandlerConfig"] * 4 + ["OpenAIMiddleware"] * 4


LOOKED_INTO = """if True:
    import json, sys
    import msgspec
    from openai_middleware.contract import Contract

    def classes_while(function):
        # What msgspec asks of a class, once, is Python code: meanwhile another thread may run, and see half of it.
        seen = set()
        def profile(frame, event, argument):
            if event == "call" and frame.f_globals["__name__"] == "msgspec._utils" and "obj" in frame.f_locals:
                seen.add(str(frame.f_locals["obj"]))
        sys.setprofile(profile)
        function()
        sys.setprofile(None)
        return sorted(seen)

    class Other(msgspec.Struct):
        field: int

    of_another = classes_while(lambda: msgspec.json.Decoder(Other))
    print(json.dumps([of_another, classes_while(lambda: Contract.load().check())]))
"""


def test_no_thread_is_the_first_to_let_msgspec_look_into_a_class_of_the_contract() -> None:
    """Two that are would crash the interpreter."""
    of_another, of_the_contract = run(LOOKED_INTO)

    assert of_another == ["<class '__main__.Other'>"]
    assert of_the_contract == []


TIMES = """if True:
    import json
    from time import perf_counter as now

    begun = now()
    from pydantic import BaseModel
    has_pydantic = now()
    from openai_middleware import APIHandlerConfig, OpenAIMiddleware
    from openai_middleware.contract import shipped
    has_package = now()
    OpenAIMiddleware(print, prefix="/v1")
    built = now()
    assert len(shipped().operation_names()) == 150
    print(json.dumps([has_pydantic - begun, built - has_package]))
"""


def test_loading_the_contract_and_building_all_groups_takes_less_than_twice_as_long_as_importing_pydantic() -> None:
    """The best of some runs counts: what else the machine does is no part of the cost."""
    importing, building = zip(*(run(TIMES) for _ in range(5)), strict=True)

    assert min(building) < 2 * min(importing)


DECODED = """if True:
    import json
    from openai_middleware import OpenAIMiddleware
    from openai_middleware.contract import shipped

    OpenAIMiddleware(print, {groups}, prefix="/v1")
    contract = shipped()
    print(json.dumps([list(contract._operations), list(contract._schemas), list(contract._streams)]))
"""


@pytest.mark.parametrize("groups", [["chat_completions", "responses"], ["models"], []])
def test_building_with_some_groups_decodes_nothing_of_the_others(groups: list[str]) -> None:  # C2
    operations, schemas, streams = run(DECODED.format(groups=groups))

    fields = [operation.fields for group in groups for operation in shipped().operations(group)]
    assert sorted(operations) == groups
    assert len(schemas) == len({id(one) for one in fields if one})
    assert streams == [], "a stream is decoded for its first request"
