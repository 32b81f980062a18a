"""FORBID, and what the app's own router makes of a request: any configuration, any spelling, against plain models."""

from collections.abc import Sequence

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from openai_middleware import APIHandlerAction, APIHandlerConfig
from openai_middleware.errors import ConfigurationError, PermissionDeniedError
from openai_middleware.exchange import Exchange
from openai_middleware.frontend import Frontend
from tests.support.drivers import http_scope, mappings
from tests.support.models import Endpoint, find, is_forbidden

CONFIGURED = [
    *("/", "/a", "/a/", "/a/b", "//a//b", "/x/../a/b", "/./a", "/a/b/", "/a/b/c"),
    *("/{x}", "/a/{x}", "/a/{x}/", "/{y}/b", "/{x}/{y}", "/a-{x}", "/{x}-1", "/a/{x}/c", "/a/{x:path}", "/{x:path}/c"),
    *("/a/{x}Fb", "/{x}2Fb", "/a/a%2Fb"),
    *("/*", "/a/*", "/a*", "/a/b/*", "//a/*", "/x/../b/*"),
]
METHODS = st.sampled_from(["GET", "GET", "HEAD", "POST"])
ENDPOINTS = st.lists(
    st.builds(Endpoint, METHODS, st.sampled_from(CONFIGURED), st.booleans()),
    unique_by=lambda endpoint: endpoint[:2],
    max_size=6,
)
# Every spelling of a few paths: encoded letters and slashes, doubled slashes, dot segments.
SEGMENTS = st.sampled_from(
    [*"aaabbcx", "", ".", "..", "a-1", "%61", "%2e", "%2E%2e", "a%2Fb", "%2f", "%252F", "%00", "%FF"]
)
SEPARATORS = st.sampled_from(["/", "/", "/", "//", "%2F", "%2f", "/x/../"])


@st.composite
def targets(draw: st.DrawFn) -> str:
    """A path that is configured, or one like it."""
    if draw(st.booleans()):
        segments = draw(st.lists(SEGMENTS, min_size=1, max_size=5))
    else:
        segments = [
            before + (draw(SEGMENTS) + rest.partition("}")[2] if brace else "")
            for before, brace, rest in (
                segment.replace("*", "{x}").partition("{")
                for segment in draw(st.sampled_from(CONFIGURED)).split("/")[1:]
            )
        ]
    return "/" + "".join(f"{draw(SEPARATORS) if number else ''}{segment}" for number, segment in enumerate(segments))


TARGETS = targets()


def configured(endpoints: Sequence[Endpoint]) -> Frontend | None:
    """The frontend of these endpoints, each with a rule by which it can be told; None where two are in conflict."""
    config = APIHandlerConfig()
    for method, path, is_forbidden_one in endpoints:
        action = APIHandlerAction.FORBID if is_forbidden_one else APIHandlerAction.ALLOW
        config.add_endpoint_handler(path, method, action, input_body_mappings=mappings(("$.all", path)))
    try:
        return Frontend(config=config)
    except ConfigurationError as error:
        if {mistake.code for mistake in error.mistakes} != {"path_ambiguous"}:
            raise
        # Of two templates of one shape, one would never be asked.
        return None


def opened(frontend: Frontend, method: str, target: str) -> Exchange | None:
    scope = http_scope(method, target)
    return frontend.open(method, scope["path"], b"", [], raw_path=scope["raw_path"])


@settings(max_examples=200)
@given(ENDPOINTS, METHODS, TARGETS)
@example([Endpoint("GET", "/a/b", is_forbidden=True), Endpoint("GET", "/{x}")], "GET", "/a%2Fb")
@example([Endpoint("GET", "/a/b/", is_forbidden=True), Endpoint("GET", "/*")], "HEAD", "//a/x/..%2Fb")
def test_what_is_forbidden_in_a_plain_reading_is_forbidden_and_nothing_else(  # M12 M13
    endpoints: list[Endpoint], method: str, target: str
) -> None:
    frontend = configured(endpoints)
    if frontend is None:
        return
    try:
        opened(frontend, method, target)
        is_refused = False
    except PermissionDeniedError:
        is_refused = True

    event(f"refused: {is_refused}")
    assert is_refused == is_forbidden(endpoints, method, target)


@settings(max_examples=200)
@given(ENDPOINTS, METHODS, TARGETS)
@example([Endpoint("GET", "/a/{x}"), Endpoint("GET", "/a/{x}/c")], "GET", "/a/x%2Fc")
@example([Endpoint("GET", "/a/{x}"), Endpoint("GET", "/a/b/c")], "GET", "/a%2Fb%2Fc")
def test_router_that_goes_by_the_decoded_path_finds_what_was_matched(  # M9
    endpoints: list[Endpoint], method: str, target: str
) -> None:
    endpoints = [endpoint._replace(is_forbidden=False) for endpoint in endpoints]
    frontend = configured(endpoints)
    exchange = opened(frontend, method, target) if frontend else None
    if exchange is None:
        return
    request = exchange.receive(b'{"all": 1}')
    # The rules of all that matches have one source, so that only that of the most specific is left.
    [path] = request.call.body_params

    routed = find(endpoints, method, request.path.split("/"))[0]

    event(f"encoded: {'%2F' in request.path}")
    assert routed.endpoint.path == path
    assert plain(routed.params) == plain(request.call.path_params)


def plain(params: dict[str, str]) -> dict[str, str]:
    """Parameters without regard to whether a slash in them is encoded."""
    return {name: value.replace("%2F", "/") for name, value in params.items()}
