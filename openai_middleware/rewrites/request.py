"""The request that a rewrite sends to the app."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from asgiref.sync import async_to_sync, sync_to_async

from openai_middleware.config.rewrite import Rewrite
from openai_middleware.errors import BadRequestError
from openai_middleware.headers import Header
from openai_middleware.iteration import shared_pool
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.mapping.json_path import ABSENT
from openai_middleware.request.call import AppRequest, OpenAICall
from openai_middleware.request.path_template import PLACEHOLDER, placeholder_names
from openai_middleware.rewrites.template import Template

# What described the old body, or an answer in parts or in another encoding.
_OF_OLD_REQUEST: Final = frozenset(
    (
        *(b"accept-encoding", b"transfer-encoding", b"expect", b"range", b"if-range", b"content-type"),
        *(b"content-length", b"content-encoding", b"content-md5", b"digest", b"content-digest", b"repr-digest"),
    )
)
_WITHOUT_BODY: Final = ("GET", "DELETE")

Value = Callable[[OpenAICall], Any]


class RewrittenRequest:
    """Makes the app's request of a call.

    Args:
        rewrite: What the request is to be.
    """

    def __init__(self, rewrite: Rewrite) -> None:
        self.path = rewrite.path
        self.method = rewrite.method
        self._names = placeholder_names(rewrite.path)
        self._has_body = rewrite.body is not None or self.method not in _WITHOUT_BODY
        self._body = _value_of(rewrite.body) if rewrite.body is not None else _kwargs if self._has_body else _nothing
        self._query = _nothing if rewrite.query is None else _value_of(rewrite.query)

    def make(self, request: AppRequest, mount: str) -> AppRequest:
        """The request, from sync code.

        Args:
            request: The client's request.
            mount: The path at which the app is mounted.

        Raises:
            BadRequestError: A placeholder of the path cannot be filled, or the request has no form that is needed.
            OpenAIError: A function of the rewrite raised it.
        """
        body, query = (value(request.call) for value in self._values(request))
        return self._made(request, mount, body, query)

    async def amake(self, request: AppRequest, mount: str) -> AppRequest:
        """The same from async code; a plain function runs in a thread."""
        body, query = [await _acalled(value, request.call) for value in self._values(request)]
        return self._made(request, mount, body, query)

    def _values(self, request: AppRequest) -> tuple[Value, Value]:
        # A body that the app reads itself is the client's.
        return (_nothing if request.body is None else self._body), self._query

    def _made(self, request: AppRequest, mount: str, body: Any, query: Any) -> AppRequest:
        call = request.call
        path, raw_path = self._filled_path(call.kwargs)
        return AppRequest(
            call=call,
            method=self.method,
            path=mount + path,
            raw_path=quote(mount).encode() + raw_path.encode(),
            query=b"" if query is ABSENT else _query_string(query),
            **self._described_body(request, body),
        )

    def _described_body(self, request: AppRequest, value: Any) -> dict[str, Any]:
        if request.body is None:
            # The app reads it itself: only the way to the route is another.
            return {"headers": request.headers, "body": None}
        if not self._has_body:
            return {"headers": without_body(request.headers), "body": b""}
        body = b"" if value is ABSENT else encoded(value)
        own = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        return {"headers": without_body(request.headers) + own, "body": body}

    def _filled_path(self, kwargs: Mapping[str, Any]) -> tuple[str, str]:
        """The path decoded and as it is sent. A slash in a value separates nothing: it stays encoded in both."""
        if not self._names:
            return self.path, quote(self.path)
        texts = {name: _segment(name, kwargs.get(name)) for name in self._names}
        decoded = PLACEHOLDER.sub(lambda found: texts[found[1]].replace("/", "%2F"), self.path)
        raw = PLACEHOLDER.sub(
            lambda found: quote(texts[found[1]], safe="", errors="replace"), quote(self.path, safe="/{}")
        )
        return decoded, raw


def _segment(name: str, value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else encoded(value).decode()
    if text in ("", ".", ".."):
        raise BadRequestError(f"`{name}` must name something, not '{text}'.", param=name, code="invalid_value")
    return text


def without_body(headers: Iterable[Header]) -> list[Header]:
    """The headers of a request that say nothing of its body, or of the form of the answer."""
    return [header for header in headers if header[0].lower() not in _OF_OLD_REQUEST]


def _nothing(_: OpenAICall) -> Any:
    return ABSENT


def _kwargs(call: OpenAICall) -> Any:
    return call.kwargs


def _value_of(value: Any) -> Value:
    return _Function(value) if callable(value) else Template(value).fill


class _Function:
    """A function of the user's: what it does may take its time."""

    def __init__(self, function: Callable[[OpenAICall], Any]) -> None:
        self._function = function
        is_async = any(map(inspect.iscoroutinefunction, (function, getattr(function, "__call__", None))))  # noqa: B004
        self._on_a_loop = (
            function if is_async else sync_to_async(function, thread_sensitive=False, executor=shared_pool())
        )

    def __call__(self, call: OpenAICall) -> Any:
        result = self._function(call)
        return async_to_sync(_awaited)(result) if inspect.isawaitable(result) else result

    async def acall(self, call: OpenAICall) -> Any:
        """The same from async code; a plain function runs in a thread."""
        result = await self._on_a_loop(call)
        return await result if inspect.isawaitable(result) else result


async def _acalled(value: Value, call: OpenAICall) -> Any:
    return await value.acall(call) if isinstance(value, _Function) else value(call)


async def _awaited(result: Any) -> Any:
    return await result


def _query_string(query: Any) -> bytes:
    if not isinstance(query, Mapping):
        raise BadRequestError("The query of this request is made of an object, and it holds none there.")
    pairs = [
        (name, _query_value(item))
        for name, value in query.items()
        for item in (value if isinstance(value, list | tuple) else (value,))
        if item is not None
    ]
    return urlencode(pairs, errors="replace").encode()


def _query_value(value: Any) -> str:
    return value if isinstance(value, str) else encoded(value).decode()
