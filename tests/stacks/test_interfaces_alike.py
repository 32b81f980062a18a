"""ASGI and WSGI: any request, and any answer of the app, come out alike through both drivers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from openai_middleware import APIHandlerAction, APIHandlerConfig
from openai_middleware.errors import BadRequestError, NotFoundError, RateLimitError
from tests.support.drivers import mappings
from tests.support.samples import CHUNK, COMPLETION, JUNK, RESPONSE
from tests.support.stacks import JSON, STACKS, Answer, Reply, Seen, StackedApp

ASGI, WSGI = (next(stack for stack in STACKS if stack.name == name) for name in ("asgi", "wsgi"))

MADE = re.compile(rb'[0-9a-f]{32}|"(?:created|created_at|completed_at)":[0-9]+')
FAILURES = st.sampled_from(
    [NotFoundError("There is none.", param="model"), RateLimitError("Later."), KeyError("secret")]
)
BODIES = (
    st.sampled_from(
        [
            {"model": "m", "messages": []},
            {"model": "m", "stream": True},
            {"model": "m", "messages": None, "stream": True},
        ]
    ).map(lambda body: json.dumps(body).encode())
    | st.sampled_from(
        [b"", b"{", b"[]", b"7", b'{"model": NaN}', b'"\xff"', b'{"a": "\\ud800"}', b"[" * 2000, b"x" * 600]
    )
    | st.binary(max_size=8)
)
TARGETS = st.tuples(
    st.sampled_from(
        [
            *("/v1/chat/completions", "/v1/chat%2Fcompletions", "/v1/chat/completions/", "/v1/responses", "/v1/models"),
            *("/v1/chat/completions/c%2F1", "/v1/responses/r%FF1", "/v1/responses/%C3%A9", "/v1/files/f/content"),
            *("/own/a/b", "/own/a%2Fb", "/own/secret", "/own//secret/", "/own/%2e%2E/own/secret", "/elsewhere", "/"),
        ]
    ),
    st.sampled_from(
        ["", "?limit=3", "?limit=x", "?model=q", "?a=1&a=2", "?a[]=%FF&b[c]=d", "?%C3%A9=+%2B", "?a[b]=1&a=2"]
    ),
).map("".join)
HEADERS = st.lists(
    st.sampled_from(
        [
            *[("Content-Type", kind) for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x")],
            *[("X-Text", "\xe9"), ("Range", "bytes=0-1"), ("Accept-Encoding", "gzip"), ("Authorization", "Bearer k")],
        ]
    ),
    unique_by=lambda header: header[0],
    max_size=4,
)
EVENTS = st.sampled_from(
    [
        {**CHUNK, **JUNK},
        {"type": "response.created", "response": {**RESPONSE, **JUNK}},
        {"type": "response.output_text.delta", "delta": "\u2028é", "junk": 1},
        {"type": "response.completed", "response": RESPONSE},
        {"error": {"message": "m"}},
    ]
).map(lambda data: b"data: " + json.dumps(data).encode() + b"\n\n")
PIECES = EVENTS | st.sampled_from(
    [b"data: [DONE]\n\n", b": ping\n\n", b"data: {", b"}\r\n\r\n", b"data:\n\n", b"id: 1\n", b"\r"]
)
DOCUMENTS = st.sampled_from(
    [COMPLETION, {**COMPLETION, **JUNK}, {**RESPONSE, **JUNK}, {"id": "c"}, [], JUNK, {"x": 1}]
).map(lambda data: json.dumps(data).encode()) | st.sampled_from([b"", b"{", b'{"id": "\\ud800"}', b"\xff"])


@dataclass
class App:
    """An app of this behaviour, which records what it sees."""

    kind: str
    status: int
    chunks: list[bytes]
    fails: Exception | None
    seen: list[Seen] = field(default_factory=list)

    def __call__(self, seen: Seen) -> Answer:
        self.seen.append(seen)
        # An empty piece and a failure after it: ASGI's start has left then, and WSGI's waits for the first byte.
        if self.fails is not None and not any(self.chunks):
            raise self.fails
        body = b"".join(self.chunks) if self.kind == "application/json" and self.fails is None else self._pieces()
        return Answer(body, self.status, [("Content-Type", self.kind), ("X-Own", "\xe9"), ("ETag", '"1"')])

    def _pieces(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.fails is not None:
            raise self.fails


APPS = st.builds(
    App,
    st.just("text/event-stream"),
    st.sampled_from([200, 200, 404]),
    st.lists(PIECES, max_size=5),
    st.none() | FAILURES,
) | st.builds(
    App,
    st.sampled_from(["application/json", "application/json", "application/problem+json", "text/plain"]),
    st.sampled_from([200, 200, 201, 206, 400, 500]),
    st.lists(DOCUMENTS, max_size=1),
    st.none() | st.none() | FAILURES,
)


def config() -> APIHandlerConfig:
    own = APIHandlerConfig(include_url_info=True)
    own.set_openai_frontend(["chat_completions", "responses", "models", "files"], "/v1")
    own.add_endpoint_handler("/own/{x}", "POST", input_body_mappings=mappings(("$.model", "m"), ("$..a", "deep")))
    own.add_endpoint_handler("/own/{x}/{y}", "GET", output_body_mappings=mappings(("$.x", "y", True)))
    own.add_endpoint_handler("/own/secret", "GET", APIHandlerAction.FORBID)
    own.add_endpoint_handler("/own/secret", "POST", APIHandlerAction.FORBID)
    return own


BOTH: dict[str, list[StackedApp]] = {
    unmatched: [
        stack.app(lambda seen: BEHAVIOUR[0](seen), config=config(), unmatched=unmatched, max_body_size=500)
        for stack in (ASGI, WSGI)
    ]
    for unmatched in ("pass", "reject")
}
BEHAVIOUR: list[App] = []


def through(
    app: StackedApp, behaviour: App, method: str, target: str, body: bytes, headers: list[tuple[str, str]]
) -> tuple[Reply, list[Seen]]:
    BEHAVIOUR[:] = [behaviour]
    behaviour.seen = []
    return app.send(method, target, body, headers, fails=True), behaviour.seen


def left(reply: Reply) -> dict[str, Any]:
    """What a client gets; where it gets nothing, what reaches the server. WSGI servers hear of no failure later on."""
    if not reply.starts:
        return {"raised": repr(reply.raised)}
    headers = sorted((name.lower(), value) for name, value in reply.headers)
    # What is made for one answer alone: its ids and its time.
    body = MADE.sub(b"", reply.body)
    return {"status": reply.status, "headers": headers, "body": body}


def reached(seen: Seen) -> dict[str, Any]:
    """What the app gets."""
    # The interfaces differ in where they have these two.
    headers = {name: value for name, value in seen.headers.items() if name not in ("content-type", "content-length")}
    if seen.call is None:
        return {"headers": headers, "body": seen.body}
    names = ("operation", "method", "path", "body", "kwargs", "path_params", "query_params", "body_params")
    call = {name: getattr(seen.call, name) for name in names}
    return {"headers": headers, "body": seen.body, **call, "call_headers": dict(seen.call.headers)}


@settings(max_examples=200)
@given(
    st.sampled_from(["pass", "reject"]),
    st.sampled_from(["GET", "POST", "POST", "POST", "DELETE", "HEAD"]),
    TARGETS,
    BODIES,
    HEADERS,
    APPS,
)
@example(
    "pass", "POST", "/v1/responses", b'{"stream": true}', JSON, App("text/event-stream", 200, [b"data: {"], KeyError())
)
def test_request_and_answer_are_alike_through_asgi_and_wsgi(  # B7 O1 O2 S1 S3 S4 E1 E4
    unmatched: str, method: str, target: str, body: bytes, headers: list[tuple[str, str]], behaviour: App
) -> None:
    asgi, wsgi = (through(app, behaviour, method, target, body, headers) for app in BOTH[unmatched])

    event(f"{left(asgi[0]).get('status')}, {behaviour.kind if asgi[1] else 'refused'}")
    assert [reached(seen) for seen in asgi[1]] == [reached(seen) for seen in wsgi[1]]
    expected, got = left(asgi[0]), left(wsgi[0])
    if method == "HEAD" and not asgi[1]:
        # ASGI servers drop the body of an answer to HEAD; under WSGI the app does.
        expected["body"] = b""
    assert got == expected
    assert asgi[0].raised in (None, behaviour.fails), "an exception that is not the app's"


def test_both_refuse_alike_what_the_app_has_to_refuse() -> None:  # E4
    behaviour = App("application/json", 200, [], BadRequestError("No."))

    replies = [through(app, behaviour, "POST", "/own/x", b"{}", JSON)[0] for app in BOTH["pass"]]

    assert left(replies[0]) == left(replies[1])
    assert replies[0].status == 400
