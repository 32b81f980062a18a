"""Matching and the options, as a user of the middleware sees them: one raw ASGI request at a time."""

from collections.abc import Iterable, Iterator
from itertools import permutations
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from openai_middleware import APIHandlerAction, APIHandlerConfig, OpenAIEndpoint, OpenAIMiddleware, contract
from openai_middleware.frontend import Frontend
from openai_middleware.request.call import CALL_KEY
from tests.support.drivers import JSON_HEADERS, App, Sent, http_scope, mappings, request

ALLOW, FORBID = APIHandlerAction.ALLOW, APIHandlerAction.FORBID


def config_of(*endpoints: str, **options: Any) -> APIHandlerConfig:
    """A configuration of endpoints written `POST /path`, or `POST /path forbid`."""
    config = APIHandlerConfig(**options)
    for endpoint in endpoints:
        method, path, action = (*endpoint.split(" "), ALLOW)[:3]
        config.add_endpoint_handler(path, method, action)
    return config


async def ask(endpoints: Iterable[str], line: str, **options: Any) -> tuple[App, Sent]:
    """Send a request, written `GET /path`, to a middleware with these endpoints."""
    app = App()
    method, target = line.split(" ")
    middleware = OpenAIMiddleware(app, config=config_of(*endpoints), **options)
    return app, await request(middleware, method, target)


def is_matched(app: App) -> bool:
    [scope] = app.scopes
    return CALL_KEY in scope


async def contributions(paths: Iterable[str], target: str, source: str = "$['{path}']") -> list[str]:
    """The paths whose mappings a POST gets, the least specific first."""
    config = APIHandlerConfig()
    for path in paths:
        config.add_endpoint_handler(path, input_body_mappings=mappings((source.format(path=path), path)))
    app = App()
    await request(OpenAIMiddleware(app, config=config), "POST", target, {"all": 1} | dict.fromkeys(paths, 1))
    return list(app.call.body_params) if is_matched(app) else []


async def top(paths: Iterable[str], target: str) -> str:
    """The path of the most specific match: all map the same field, so it is the one that is left."""
    [path] = await contributions(paths, target, "$.all")
    return path


# --- which endpoint


@pytest.mark.parametrize("paths", list(permutations(["/a/b", "/a/{x}", "/a/*", "/*"])))
async def test_exact_beats_template_beats_longer_beats_shorter_wildcard(
    paths: tuple[str, ...],
) -> None:  # M1
    assert await top(paths, "/a/b") == "/a/b"
    assert await top(paths, "/a/c") == "/a/{x}"
    assert await top(paths, "/a/b/c") == "/a/*"
    assert await top(paths, "/b") == "/*"


@pytest.mark.parametrize("paths", list(permutations(["/a/{x}", "/{y}/b", "/{p}/{q}"])))
async def test_among_templates_of_different_shape_the_first_registered_wins(paths: tuple[str, ...]) -> None:  # M1
    assert await top(paths, "/a/b") == paths[0]


@pytest.mark.parametrize("paths", list(permutations(["/a/b", "/a/{x}", "/{y}/b", "/a/*", "/*"])))
async def test_all_matches_contribute_their_mappings_but_an_exact_hit_skips_templates(  # M2
    paths: tuple[str, ...],
) -> None:
    templates = [path for path in paths if "{" in path]

    assert await contributions(paths, "/a/b") == ["/*", "/a/*", "/a/b"]
    assert await contributions([path for path in paths if path != "/a/b"], "/a/b") == ["/*", "/a/*", *templates[::-1]]


@pytest.mark.parametrize(
    ("endpoints", "status", "params"),
    [
        (["POST /a/{x}", "POST /{y}/b forbid", "POST /* forbid"], 200, {"x": "b"}),
        (["POST /{y}/b", "POST /a/{x} forbid"], 200, {"y": "a"}),
        (["POST /{y}/b forbid", "POST /a/{x}"], 403, None),
        (["POST /a/b", "POST /{y}/b forbid", "POST /a/* forbid"], 200, {}),
        (["POST /a/*", "POST /* forbid"], 200, {}),
        (["POST /a/* forbid", "POST /*"], 403, None),
    ],
)
async def test_only_the_top_match_decides_the_action_and_the_path_parameters(  # M3 M6
    endpoints: list[str], status: int, params: dict[str, str] | None
) -> None:
    app, sent = await ask(endpoints, "POST /a/b")

    assert sent.status == status
    assert (app.call.path_params if app.is_called else None) == params


@pytest.mark.parametrize("configured", ["GET", "get", "gEt"])
@pytest.mark.parametrize("sent", ["GET", "get", "Get"])
async def test_methods_are_taken_in_any_case(configured: str, sent: str) -> None:  # M4
    app, _ = await ask([f"{configured} /a"], f"{sent} /a")

    assert app.call.method == "GET"


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        ("GET /a", "POST /a"),
        ("GET /a", "GET /A"),
        ("GET /A", "GET /a"),
        ("GET /a", "GET /a/"),
        ("GET /a/", "GET /a"),
        ("GET /a/{x}", "GET /a/1/"),
        ("GET /a/{x}/", "GET /a/1"),
        ("GET /a/{x}", "GET /A/1"),
        ("GET /a/*", "GET /A/1"),
        ("GET /a", "GET //a"),
        ("GET /a", "HEAD /a"),
        ("GET /a", "OPTIONS /a"),
        ("POST /a", "OPTIONS /a"),
        ("GET /*", "HEAD /a"),
    ],
)
async def test_method_letters_and_slashes_all_count(configured: str, sent: str) -> None:  # M4 M12
    app, _ = await ask([configured], sent)

    assert not is_matched(app)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PATCH"])
async def test_any_method_is_matched_where_it_is_configured(method: str) -> None:  # M4 M12
    app, _ = await ask([f"{method} /a"], f"{method} /a")

    assert app.call.method == method


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        ("a/b", "/a/b"),
        ("", "/"),
        ("*", "/a"),
        ("{x}", "/a"),
        ("/%C3%A9", "/%25C3%25A9"),
        ("/é", "/%C3%A9"),
        ("/a+b?c#d", "/a+b%3Fc%23d"),
        ("/a%2Fb", "/a%252Fb"),
        ("/a//b", "/a//b"),
        ("/a/", "/a/"),
    ],
)
async def test_configured_paths_are_decoded_and_gain_a_leading_slash(configured: str, sent: str) -> None:  # M5 M9
    app, _ = await ask([f"GET {configured}"], f"GET {sent}")

    assert is_matched(app)


@pytest.mark.parametrize(
    ("configured", "sent", "matches"),
    [
        ("/api/*", "/api/x", True),
        ("/api/*", "/api/x/y/z", True),
        ("/api/*", "/api/x/", True),
        ("/api/*", "/api/%2F", True),
        ("/api/*", "/api", False),
        ("/api/*", "/api/", False),
        ("/api/*", "/apix", False),
        ("/api/*", "/apix/y", False),
        ("/api/*", "/x/api/y", False),
        ("/api/*", "/api%2Fx", True),
        ("/api*", "/api/x", True),
        ("/api*", "/api", False),
        ("/api*", "/apix", False),
        ("/*", "/x", True),
        ("/*", "/x/y", True),
        ("/*", "/", False),
    ],
)
async def test_a_wildcard_matches_any_depth_below_it(configured: str, sent: str, matches: bool) -> None:  # M6
    app, _ = await ask([f"GET {configured}"], f"GET {sent}")

    assert is_matched(app) is matches
    assert not matches or app.call.path_params == {}


@pytest.mark.parametrize(
    ("path", "sent", "params"),
    [
        ("/a/{x}", "/a/1", {"x": "1"}),
        ("/{x}/{y}", "/a/b", {"x": "a", "y": "b"}),
        ("/f-{x}.json", "/f-1.json", {"x": "1"}),
        ("/f-{x}.json", "/f-1_json", None),
        ("/a/{x}", "/a/", None),
        ("/a/{x}", "/a/1/2", None),
        ("/a/{x}", "/%61/1", {"x": "1"}),
        ("/a/{x}", "/a/b%2Fc", {"x": "b/c"}),
        ("/a/{x}", "/a/b+c", {"x": "b+c"}),
        ("/a/{x}", "/a/%zz", {"x": "%zz"}),
        ("/a/{x}", "/a/%FF", {"x": "\ufffd"}),
        ("/a/{x}", "/a/%2525", {"x": "%25"}),
        ("/a/{x}", "/a/%2525%2F", {"x": "%25/"}),
        ("/a/{x}", "/a/%E2%82%AC", {"x": "€"}),
        ("/a/{x}", "/a//1", None),
        ("/a/{x}/b", "/a//b", None),
        ("/{x}/1", "//1", None),
    ],
)
async def test_a_parameter_is_one_segment_decoded_on_its_own(  # M7 M9
    path: str, sent: str, params: dict[str, str] | None
) -> None:
    app, _ = await ask([f"GET {path}"], f"GET {sent}")

    assert (app.call.path_params if is_matched(app) else None) == params


async def test_parameters_are_keyword_arguments() -> None:  # M7
    app, _ = await ask(["GET /{_id}/f-{größe}"], "GET /1/f-2")

    assert app.kwargs == {"_id": "1", "größe": "2"}


async def test_templates_of_one_shape_may_differ_by_method() -> None:  # M8
    endpoints = ["GET /a/{x}", "DELETE /a/{y}"]

    assert (await ask(endpoints, "GET /a/1"))[0].kwargs == {"x": "1"}
    assert (await ask(endpoints, "DELETE /a/1"))[0].kwargs == {"y": "1"}


# --- where the path comes from


def without_raw_path(app: Any) -> Any:
    async def server(scope: Any, receive: Any, send: Any) -> None:
        del scope["raw_path"]
        await app(scope, receive, send)

    return server


async def test_without_a_raw_path_the_decoded_one_is_used() -> None:  # M9
    app = App()
    server = without_raw_path(OpenAIMiddleware(app, config=config_of("GET /a/{x}/{y}")))

    await request(server, "GET", "/a/b%2Fc")

    assert app.kwargs == {"x": "b", "y": "c"}


async def test_a_raw_path_of_none_is_no_raw_path() -> None:  # M9
    app = App()

    await request(OpenAIMiddleware(app, config=config_of("GET /a/{x}")), "GET", "/a/b", raw_path=None)

    assert app.kwargs == {"x": "b"}


@pytest.mark.parametrize("target", ["/old/a%2Fb", "/old/a"])
async def test_a_path_that_an_outer_middleware_has_rewritten_counts_and_not_the_raw_one(target: str) -> None:  # M9
    app = App()
    middleware = OpenAIMiddleware(app, config=config_of("GET /old/{x}", "GET /new/{y}"))

    await request(middleware, "GET", target, path="/new/c")

    assert app.kwargs == {"y": "c"}
    assert app.call.path == "/new/c"


@pytest.mark.parametrize(
    ("target", "root_path", "path"),
    [
        ("/v1/responses/r", "", "/v1/responses/r"),
        ("/srv/v1/responses/r", "/srv", "/v1/responses/r"),
        ("/srv/v1/responses/a%2Fb", "/srv", "/v1/responses/a/b"),
        ("/s%20rv/v1/responses/r", "/s rv", "/v1/responses/r"),
        ("/v1/responses/r", "/srv", "/v1/responses/r"),
        ("/v1/v1/responses/r", "/v1", "/v1/responses/r"),
    ],
)
async def test_the_prefix_is_relative_to_the_mount(target: str, root_path: str, path: str) -> None:  # M10
    app = App()

    await request(OpenAIMiddleware(app, prefix="/v1"), "GET", target, root_path=root_path)

    assert app.call.operation == "responses.retrieve"
    assert app.call.path == app.kwargs["mlrun_request_path"] == path
    assert app.call.path_params == {"response_id": path.removeprefix("/v1/responses/")}
    assert app.scopes[0]["root_path"] == root_path


@pytest.mark.parametrize(
    ("target", "root_path"),
    [
        ("/v1x/responses/r", ""),
        ("/v1", ""),
        ("/responses/r", ""),
        ("/v1/responses/r", "/v1"),
        ("/srvv1/responses/r", "/srv"),
        ("/srv/responses/r", "/srv"),
        ("/other/v1/responses/r", "/srv"),
    ],
)
async def test_what_lies_outside_the_prefix_is_not_matched(target: str, root_path: str) -> None:  # M10
    app = App()

    await request(OpenAIMiddleware(app, prefix="/v1"), "GET", target, root_path=root_path)

    assert not is_matched(app)


async def test_the_middleware_works_inside_a_starlette_mount() -> None:  # M9 M10 M13
    app = App()
    config = config_of("GET /v1/items/{x}", "GET /v1/secret forbid")
    outer = Starlette(routes=[Mount("/api/{tenant}", app=OpenAIMiddleware(app, config=config))])

    sent = await request(outer, "GET", "/srv/api/acme/v1/items/a%2Fb", root_path="/srv")
    forbidden = await request(outer, "GET", "/api/acme//v1%2Fsecret")

    assert sent.status == 200
    assert app.call.path == "/v1/items/a/b"
    assert app.call.path_params == {"x": "a/b"}
    assert app.scopes[0]["root_path"] == "/srv/api/acme"
    assert forbidden.status == 403


async def test_a_starlette_mount_works_inside_the_middleware() -> None:  # M9 M10
    async def retrieve(request: Request) -> JSONResponse:
        call = request.scope[CALL_KEY]
        return JSONResponse({"id": call.kwargs["response_id"], "object": request.scope["root_path"]})

    inner = Starlette(routes=[Mount("/v1", routes=[Route("/responses/{response_id:path}", retrieve)])])
    config = APIHandlerConfig()
    config.add_endpoint_handler("/v1/responses/{response_id}", "GET")

    sent = await request(OpenAIMiddleware(inner, config=config), "GET", "/v1/responses/a%2Fb")

    assert sent.json == {"id": "a/b", "object": "/v1"}


# --- what is not ours


async def nothing(*_: Any) -> Any:
    raise AssertionError("the middleware received, or sent, what was the app's business")


class Recorder:
    """An app that only notes what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def __call__(self, *call: Any) -> None:
        self.calls.append(call)


@pytest.mark.parametrize(
    ("scope", "options"),
    [
        (http_scope("GET", "/"), {}),
        (http_scope("GET", "/other?a=b"), {}),
        (http_scope("GET", "/v1x/responses/r"), {}),
        (http_scope("PUT", "/v1/responses/r"), {}),
        (http_scope("HEAD", "/v1/responses/r"), {}),
        (http_scope("OPTIONS", "/v1/responses"), {}),
        (http_scope("GET", "/v1/responses//"), {}),
        (http_scope("get", "/other", headers=[(b"Accept-Encoding", b"gzip")]), {}),
        (http_scope("POST", "/v1/responses"), {"config": {"enabled": False}}),
        ({"type": "websocket", "path": "/v1/responses", "headers": []}, {}),
        ({"type": "websocket", "path": "/v1/responses", "headers": []}, {"unmatched": "reject"}),
        ({"type": "lifespan", "state": {}}, {}),
        ({"type": "lifespan", "state": {}}, {"unmatched": "reject"}),
        ({"type": "something.new"}, {"unmatched": "reject"}),
    ],
)
async def test_what_matches_nothing_reaches_the_app_with_the_very_same_objects(  # M11 M12
    scope: dict[str, Any], options: dict[str, Any]
) -> None:
    app = Recorder()
    before = {**scope, "headers": list(scope.get("headers", ()))}
    prefix: Any = {} if "config" in options else {"prefix": "/v1"}

    await OpenAIMiddleware(app, **prefix, **options)(scope, nothing, nothing)

    [(app_scope, receive, send)] = app.calls
    assert app_scope is scope
    assert receive is nothing
    assert send is nothing
    assert {**scope, "headers": list(scope.get("headers", ()))} == before


async def test_a_websocket_and_a_lifespan_pass_where_everything_is_forbidden() -> None:  # M12
    for kind in ("websocket", "lifespan"):
        app = Recorder()
        scope: dict[str, Any] = {"type": kind, "path": "/a", "headers": []}

        await OpenAIMiddleware(app, config=config_of("GET /* forbid"))(scope, nothing, nothing)

        assert app.calls == [(scope, nothing, nothing)]


@pytest.mark.parametrize(
    ("line", "status", "allow"),
    [
        ("GET /other", 404, None),
        ("GET /a/1/2", 404, None),
        ("GET /A/1", 404, None),
        ("PUT /a/1", 405, "DELETE, GET"),
        ("HEAD /a/1", 405, "DELETE, GET"),
        ("OPTIONS /b", 405, "POST"),
        ("get /b", 405, "POST"),
    ],
)
async def test_with_reject_what_matches_nothing_is_404_or_405_before_the_body_is_read(  # M11
    line: str, status: int, allow: str | None
) -> None:
    app, sent = Recorder(), Sent()
    middleware = OpenAIMiddleware(app, config=config_of("GET /a/{x}", "DELETE /a/{y}", "POST /b"), unmatched="reject")

    async def send(message: Any) -> None:
        sent.messages.append(message)

    await middleware(http_scope(*line.split(" ")), nothing, send)

    assert app.calls == []
    assert sent.status == status
    assert sent.header("allow") == allow
    assert sent.error["code"] == {404: "unknown_url", 405: "method_not_allowed"}[status]


async def test_with_reject_what_matches_is_served() -> None:  # M11
    app, sent = await ask(["GET /a"], "GET /a", unmatched="reject")

    assert sent.status == 200
    assert is_matched(app)


# --- forbidden


async def refused(endpoints: Iterable[str], line: str, **options: Any) -> bool:
    """Whether a request gets 403: without its body being read, and without a call of the app."""
    app, sent = Recorder(), Sent()
    received = []

    async def receive() -> Any:
        received.append(True)
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.messages.append(message)

    middleware = OpenAIMiddleware(app, config=config_of(*endpoints), **options)
    await middleware(http_scope(*line.split(" ")), receive, send)
    if app.calls:
        return False
    assert not received
    assert sent.is_complete
    assert sent.status == 403
    assert sent.error["code"] == "forbidden"
    return True


def passing() -> Iterator[tuple[str, str]]:
    yield "/admin/panel", "/ADMIN/panel"
    yield "/admin/panel", "/admin"
    yield "/admin/panel", "/admin/panels"
    yield "/admin/panel", "/admin/panel/x"
    yield "/admin/panel", "/x/admin/panel"
    yield "/admin/panel", "/admin%252Fpanel"
    yield "/admin/panel", "/admin/%252e/panel"
    yield "/admin/panel", "/admin/panel/.."
    yield "/admin/panel", "/admin/.../panel"
    yield "/admin/*", "/admin"
    yield "/admin/*", "/admin/"
    yield "/admin/*", "/adminx/y"
    yield "/admin/*", "/x/admin/y"
    yield "/users/{id}", "/users"
    yield "/users/{id}", "/users/"
    yield "/users/{id}", "/users/a/b"


def refusing() -> Iterator[tuple[str, str]]:
    for path in (
        "/admin/panel",
        "/%61dmin/%70anel",
        "/admin%2Fpanel",
        "/admin%2fpanel",
        "//admin/panel",
        "/admin//panel",
        "/admin%2F%2Fpanel",
        "/admin/panel/",
        "/admin/panel%2F",
        "/admin/panel//",
        "/./admin/panel",
        "/admin/./panel",
        "/admin/panel/.",
        "/x/../admin/panel",
        "/x/%2e%2E/admin/panel",
        "/x/..%2Fadmin/panel",
        "/admin/x/y/../../panel",
        "/../admin/panel",
    ):
        yield "/admin/panel", path
        yield "/admin/*", path
        yield "/admin/{x}", path
    yield "/admin/*", "/admin/x/y/z"
    yield "/admin/*", "/admin/.."
    yield "/admin/*", "/admin//"
    yield "/admin/*", "/%61dmin/%2e%2e/x"
    yield "/admin*", "/x/../admin/y"
    yield "/*", "//a"
    yield "/users/{id}/keys", "/users/a%2Fb/keys"
    yield "/users/{id}/keys", "//users/a/./keys/"
    for configured in ("/admin/panel/", "//admin//panel", "/x/../admin/panel", "/./admin/panel/."):
        yield configured, "/admin/panel"
        yield configured, "/admin%2Fpanel/"
        yield configured, configured
    yield "/admin//*", "/admin/x"
    yield "/x/../admin/*", "/admin/x"
    yield "/x/../users/{id}/", "/users/1"
    yield "/", "/"
    yield "/", "//"
    yield "/", "/x/.."


@pytest.mark.parametrize(("configured", "target"), list(refusing()))
async def test_forbid_is_tested_on_the_path_as_sent_and_on_the_normalised_one(  # M13
    configured: str, target: str
) -> None:
    assert await refused([f"GET {configured} forbid"], f"GET {target}")


@pytest.mark.parametrize(("configured", "target"), list(passing()))
async def test_forbid_concerns_no_other_path(configured: str, target: str) -> None:  # M4 M13
    assert not await refused([f"GET {configured} forbid"], f"GET {target}")


@pytest.mark.parametrize("target", ["/admin/panel", "/admin%2Fpanel", "//admin/panel", "/admin/panel/"])
async def test_forbid_holds_also_where_the_server_gives_no_raw_path(target: str) -> None:  # M9 M13
    app = App()
    server = without_raw_path(OpenAIMiddleware(app, config=config_of("GET /admin/panel forbid")))

    assert (await request(server, "GET", target)).status == 403
    assert not app.is_called


@pytest.mark.parametrize("target", ["/srv/admin", "/srv//admin/", "/srv%2Fadmin", "/srv/x%2F../admin"])
async def test_forbid_is_relative_to_the_mount(target: str) -> None:  # M10 M13
    app = App()
    middleware = OpenAIMiddleware(app, config=config_of("GET /admin forbid"))

    assert (await request(middleware, "GET", target, root_path="/srv")).status == 403
    assert not app.is_called


@pytest.mark.parametrize(
    "endpoints", list(permutations(["GET /admin/* forbid", "GET /admin/open", "GET /admin/{x} forbid"]))
)
async def test_an_exact_path_is_allowed_under_a_forbidden_wildcard(endpoints: tuple[str, ...]) -> None:  # M1 M13
    assert not await refused(endpoints, "GET /admin/open")
    assert not await refused(endpoints, "GET /%61dmin/open")
    assert not await refused(endpoints, "HEAD /admin/open")
    assert await refused(endpoints, "GET /admin/other")
    assert await refused(endpoints, "GET /admin/open/")
    assert await refused(endpoints, "GET /admin//open")
    assert await refused(endpoints, "GET /admin/open/x")


@pytest.mark.parametrize("endpoints", list(permutations(["GET /open/*", "GET /open/secret forbid", "GET /open/{x}"])))
async def test_an_exact_path_is_forbidden_under_an_allowed_wildcard(endpoints: tuple[str, ...]) -> None:  # M1 M13
    assert await refused(endpoints, "GET /open/secret")
    assert await refused(endpoints, "GET /open//secret")
    assert await refused(endpoints, "GET /open/secret%2F")
    assert await refused(endpoints, "GET /open%2Fsecret")
    assert not await refused(endpoints, "GET /open/other")


async def test_where_two_configured_paths_normalise_to_one_the_forbidden_one_counts() -> None:  # M13
    for endpoints in permutations(["GET /a", "GET /a/ forbid"]):
        assert await refused(endpoints, "GET /a")
        assert await refused(endpoints, "GET //a")


async def test_a_hit_of_the_path_as_sent_counts_though_the_normalised_path_is_allowed() -> None:  # M13
    for endpoints in permutations(["GET /{x}/ forbid", "GET /a"]):
        assert await refused(endpoints, "GET /a/")
        assert not await refused(endpoints, "GET /a")


async def test_forbid_is_for_its_own_method_and_that_of_get_for_head_too() -> None:  # M12 M13
    assert await refused(["GET /a forbid"], "HEAD /a")
    assert await refused(["GET /a forbid"], "head //a/")
    assert await refused(["GET /a/* forbid"], "HEAD /a/b")
    assert await refused(["GET /{x} forbid"], "HEAD /a")
    assert await refused(["HEAD /a forbid"], "HEAD /a")
    assert not await refused(["HEAD /a forbid"], "GET /a")
    assert not await refused(["GET /a forbid"], "OPTIONS /a")
    assert not await refused(["GET /a forbid"], "POST /a")
    assert not await refused(["POST /a forbid"], "HEAD /a")
    assert await refused(["get /a forbid"], "Get /a")


@pytest.mark.parametrize("target", ["/other/admin", "//admin"])
async def test_forbid_comes_before_404_and_405(target: str) -> None:  # M11 M13 E2
    endpoints = ["GET /admin forbid", "GET /other/* forbid", "POST /admin"]

    assert await refused(endpoints, f"GET {target}", unmatched="reject")


async def test_forbid_comes_before_413_and_422() -> None:  # M13 E2
    config = APIHandlerConfig()
    config.add_endpoint_handler("/a", "POST", FORBID, input_body_mappings=mappings(("$.x", "x", True)))
    app = App()

    sent = await request(
        OpenAIMiddleware(app, config=config, max_body_size=1),
        "POST",
        "/a",
        headers=[(b"content-length", b"100")],
        messages=[],
    )

    assert sent.status == 403
    assert not app.is_called


async def test_an_operation_of_the_api_can_be_forbidden() -> None:  # M5 M13
    config = APIHandlerConfig()
    config.set_openai_frontend(prefix="/v1")
    config.add_endpoint_handler("/v1/responses/{response_id}", "DELETE", FORBID)
    config.add_endpoint_handler("/v1/chat/*", "POST", FORBID)
    app = App()
    middleware = OpenAIMiddleware(app, config=config)

    assert (await request(middleware, "DELETE", "/v1/responses/r")).status == 403
    assert (await request(middleware, "POST", "/v1/chat/unknown")).status == 403
    assert not app.is_called
    await request(middleware, "POST", "/v1/chat/completions", {"model": "m", "messages": []})
    assert app.call.operation == "chat.completions.create"


# --- switched off


@pytest.mark.parametrize("line", ["GET /a", "GET /admin", "PUT /a", "GET /other"])
async def test_a_disabled_configuration_switches_everything_off(line: str) -> None:  # M14
    config = config_of("GET /a", "GET /admin forbid", enabled=False)
    app = App()

    method, target = line.split(" ")
    await request(OpenAIMiddleware(app, config=config, unmatched="reject", max_body_size=0), method, target, b"body")

    assert not is_matched(app)
    assert app.bodies == [b"body"]


# --- groups and prefixes


async def served(**arguments: Any) -> set[str]:
    """The operations that a middleware with these arguments serves, asked for one by one."""
    found = set()
    app = App()
    middleware = OpenAIMiddleware(app, **arguments)
    for group in contract.shipped().groups:
        for operation in contract.shipped().operations(group):
            app.scopes.clear()
            target = arguments.get("prefix", "") + operation.path.replace("{", "").replace("}", "")
            body = dict.fromkeys(operation.body, "x")
            await request(middleware, operation.method, target, body)
            if app.is_called and is_matched(app) and app.call.operation == operation.name:
                found.add(operation.name)
    return found


def operations_of(*groups: str) -> set[str]:
    return {operation.name for group in groups for operation in contract.shipped().operations(group)}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, set(OpenAIEndpoint)),
        ({"endpoints": None, "prefix": "/v1"}, set(OpenAIEndpoint)),
        ({"endpoints": [OpenAIEndpoint.RESPONSES]}, {"responses"}),
        ({"endpoints": ["chat_completions"], "prefix": "/v1"}, {"chat_completions"}),
        ({"endpoints": ("responses", OpenAIEndpoint.CHAT_COMPLETIONS)}, {"responses", "chat_completions"}),
        ({"endpoints": {"responses"}}, {"responses"}),
        ({"endpoints": ["responses", "responses"]}, {"responses"}),
        ({"endpoints": []}, set()),
    ],
)
async def test_the_groups_that_were_asked_for_are_served(  # C2
    arguments: dict[str, Any], expected: set[str]
) -> None:
    assert await served(**arguments) == operations_of(*expected)


async def test_groups_and_prefixes_may_be_generators() -> None:  # C2
    app = App()
    middleware = OpenAIMiddleware(app, (group for group in ["responses"]), (prefix for prefix in ["/a", "/b"]))

    for prefix in ("/a", "/b"):
        await request(middleware, "GET", f"{prefix}/responses/r")
    await request(middleware, "GET", "/a/chat/completions")

    assert [CALL_KEY in scope for scope in app.scopes] == [True, True, False]


def test_the_core_groups_are_six_and_seven_operations() -> None:  # C3
    assert len(operations_of(OpenAIEndpoint.CHAT_COMPLETIONS)) == 6
    assert len(operations_of(OpenAIEndpoint.RESPONSES)) == 7


@pytest.mark.parametrize(
    ("line", "operation", "params"),
    [
        ("POST /v1/responses/compact", "responses.compact", {}),
        ("POST /v1/responses/input_tokens", "responses.input_tokens.count", {}),
        ("GET /v1/responses/compact", "responses.retrieve", {"response_id": "compact"}),
        ("GET /v1/responses/r/input_items", "responses.input_items.list", {"response_id": "r"}),
        ("POST /v1/responses/compact/cancel", "responses.cancel", {"response_id": "compact"}),
    ],
)
async def test_fixed_paths_of_the_api_beat_its_templates(  # C3 M1
    line: str, operation: str, params: dict[str, str]
) -> None:
    app = App()
    method, target = line.split(" ")

    await request(OpenAIMiddleware(app, prefix="/v1"), method, target, {"model": "m", "input": "i"})

    assert app.call.operation == operation
    assert app.call.path_params == params


@pytest.mark.parametrize("prefix", [["/v1", "/openai/v1"], ("/v1", "/openai/v1", "/v1")])
async def test_several_prefixes_are_served_alike(prefix: Any, caplog: pytest.LogCaptureFixture) -> None:  # C2
    for path in ("/v1/responses/r", "/openai/v1/responses/r"):
        app = App({})
        await request(OpenAIMiddleware(app, prefix=prefix), "GET", path)
        assert app.call.operation == "responses.retrieve"
        assert app.call.path == path
    assert [record for record in caplog.records if "replaced" in record.message] == []


async def test_a_placeholder_in_the_prefix_is_a_keyword_argument() -> None:  # C2 M7
    app = App()
    middleware = OpenAIMiddleware(app, prefix="/openai/deployments/{deployment}")

    await request(middleware, "GET", "/openai/deployments/gpt%2F4/responses/r")
    assert app.kwargs["deployment"] == "gpt/4"
    assert app.call.path_params == {"deployment": "gpt/4", "response_id": "r"}


async def test_an_exact_operation_is_a_template_below_a_prefix_with_a_placeholder() -> None:  # C2 C3
    app = App()
    middleware = OpenAIMiddleware(app, prefix="/t/{tenant}")

    await request(middleware, "POST", "/t/acme/responses/compact", {"model": "m"})

    assert app.call.operation == "responses.compact"
    assert app.call.path_params == {"tenant": "acme"}


# --- options

URL_INFO = {"mlrun_request_path": "/a", "mlrun_request_method": "GET"}


@pytest.mark.parametrize(
    ("config", "options", "expected"),
    [
        ({"include_url_info": True}, {}, URL_INFO),
        ({"include_url_info": False}, {}, {}),
        ({}, {}, {}),
        ({"include_url_info": True}, {"include_url_info": None}, URL_INFO),
        ({"include_url_info": True}, {"include_url_info": False}, {}),
        ({"include_url_info": False}, {"include_url_info": True}, URL_INFO),
    ],
)
async def test_with_a_config_its_own_include_url_info_counts_unless_the_option_says_otherwise(  # B9
    config: dict[str, Any], options: dict[str, Any], expected: dict[str, str]
) -> None:
    app = App()

    await request(OpenAIMiddleware(app, config=config_of("GET /a", **config), **options), "GET", "/a")

    assert app.kwargs == expected


@pytest.mark.parametrize(("options", "has_it"), [({}, True), ({"include_url_info": False}, False)])
async def test_without_a_config_the_url_info_is_included_by_default(  # B9
    options: dict[str, Any], has_it: bool
) -> None:
    app = App()

    await request(OpenAIMiddleware(app, **options), "GET", "/responses/r")

    assert ("mlrun_request_path" in app.kwargs) is has_it
    assert ("mlrun_request_method" in app.kwargs) is has_it


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, {"a": 1}), ({"absent_optional": "omit"}, {"a": 1}), ({"absent_optional": "null"}, {"a": 1, "b": None})],
)
async def test_absent_optional_fields_are_left_out_or_null(options: dict[str, Any], expected: Any) -> None:  # O5
    config = APIHandlerConfig()
    config.add_endpoint_handler("/a", "GET", output_body_mappings=mappings(("$.a", "a"), ("$.b", "b")))

    sent = await request(OpenAIMiddleware(App({"a": 1, "c": 2}), config=config, **options), "GET", "/a")

    assert sent.json == expected


@pytest.mark.parametrize(
    ("options", "body", "headers", "is_too_large"),
    [
        ({"max_body_size": 4}, b"1234", [], False),
        ({"max_body_size": 4}, b"12345", [], True),
        ({"max_body_size": 4}, b"1", [(b"content-length", b"5")], True),
        ({"max_body_size": 0}, b"", [], False),
        ({"max_body_size": 0}, b"1", [], True),
        ({}, b"1", [(b"content-length", b"67108864")], False),
        ({}, b"1", [(b"content-length", b"67108865")], True),
        ({"max_body_size": None}, b"1", [(b"content-length", b"67108865")], False),
        ({"max_body_size": None}, b"1", [(b"content-length", b"9" * 30)], False),
    ],
)
async def test_only_larger_bodies_than_max_body_size_get_413(  # E2
    options: dict[str, Any], body: bytes, headers: Any, is_too_large: bool
) -> None:
    app = App()
    middleware = OpenAIMiddleware(app, config=config_of("POST /a"), **options)

    sent = await request(middleware, "POST", "/a", body, headers=headers)

    assert (sent.status == 413) is is_too_large
    assert not (app.is_called and is_too_large)


@pytest.mark.parametrize("is_dict", [False, True])
async def test_a_config_or_its_dict_stands_for_all_endpoints(is_dict: bool) -> None:
    config = config_of("GET /a", "GET /b forbid")
    app = App()
    middleware = OpenAIMiddleware(app, config=config.to_dict() if is_dict else config)

    assert (await request(middleware, "GET", "/b")).status == 403
    await request(middleware, "GET", "/responses/r")
    assert not is_matched(app)


async def test_later_changes_of_a_config_do_not_reach_the_middleware() -> None:
    rules = mappings(("$.a", "a"))
    config = APIHandlerConfig()
    config.add_endpoint_handler("/a", "POST", input_body_mappings=rules)
    app = App()
    middleware = OpenAIMiddleware(app, config=config)

    rules.add_mapping("$.b", "b")
    config.get_endpoint_config("POST", "/a").action = FORBID  # type: ignore[union-attr]
    config.add_endpoint_handler("/*", "POST", FORBID)
    config.remove_endpoint_handler("/a")
    config.enabled = False
    config.include_url_info = True
    await request(middleware, "POST", "/a", {"a": 1, "b": 2})

    assert app.kwargs == {"a": 1}


async def test_two_middlewares_may_share_a_config() -> None:
    config = config_of("GET /a")
    cases: list[tuple[Any, int]] = [({"include_url_info": True}, 2), ({}, 0)]
    for options, count in cases:
        app = App()
        await request(OpenAIMiddleware(app, config=config, **options), "GET", "/a")
        assert len(app.kwargs) == count


def test_an_exchange_has_one_reader_for_its_body() -> None:  # E2
    exchange = Frontend(prefix="/v1").open("POST", "/v1/responses", b"", [])
    assert exchange is not None
    assert exchange.body_reader is not None

    exchange.body_reader.feed(b"{")
    exchange.body_reader.feed(b"}")

    assert exchange.body_reader.end() == b"{}"


def test_nothing_that_a_debugger_shows_of_a_request_holds_its_secrets() -> None:
    headers = [(b"authorization", b"Bearer secret"), (b"x-request-id", b"mine")]
    exchange = Frontend(["chat_completions"], "/v1").open("POST", "/v1/chat/completions", b"", headers)
    assert exchange is not None
    received = exchange.receive(b'{"model": "m", "messages": [{"role": "user", "content": "secret"}]}')
    answer = exchange.answer(200, [*JSON_HEADERS, (b"set-cookie", b"secret")])
    assert answer is not None
    answer.feed(b'{"id": "secret"}')

    for told in map(repr, (exchange, received, received.call, answer)):
        assert "secret" not in told
        assert "mine" in told
