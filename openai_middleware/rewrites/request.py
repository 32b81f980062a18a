"""The request that a rewrite sends to the app."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from asgiref.sync import async_to_sync, sync_to_async

from openai_middleware.config.rewrite import Rewrite
from openai_middleware.errors import BadRequestError
from openai_middleware.iteration import shared_pool
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.mapping.json_path import ABSENT
from openai_middleware.request.call import AppRequest, OpenAICall
from openai_middleware.request.path_template import PLACEHOLDER, placeholder_names
from openai_middleware.rewrites.template import Template

_JSON: Final = (b"content-type", b"application/json")
_WITHOUT_BODY: Final = ("GET", "DELETE")

Value = Callable[[OpenAICall], Any]


class RewrittenRequest:
    """Makes the app's request of a call.

    Args:
        rewrite: What the request is to be.

    Attributes:
        has_functions: Whether functions take part, which may take their time.
    """

    def __init__(self, rewrite: Rewrite) -> None:
        self.path = rewrite.path
        self.method = rewrite.method
        self._names = placeholder_names(rewrite.path)
        self._has_body = rewrite.body is not None or self.method not in _WITHOUT_BODY
        self._body = _value_of("$" if rewrite.body is None and self._has_body else rewrite.body)
        self._query = _value_of(rewrite.query)
        self.has_functions = any(isinstance(value, _Function) for value in (self._body, self._query))
        # Without placeholders all requests go to the one path.
        self._sent_path = None if self._names else (rewrite.path, quote(rewrite.path).encode())

    def make(self, request: AppRequest, mount: str) -> AppRequest:
        """The request, from sync code.

        Args:
            request: The client's request.
            mount: The path at which the app is mounted.

        Raises:
            BadRequestError: A placeholder of the path cannot be filled, or the request has no form that is needed.
            OpenAIError: A function of the rewrite raised it.
        """
        call = request.call
        body = ABSENT if request.body is None or self._body is None else self._body(call)
        return self._made(request, mount, body, ABSENT if self._query is None else self._query(call))

    async def amake(self, request: AppRequest, mount: str) -> AppRequest:
        """The same from async code; a plain function runs in a thread."""
        call = request.call
        body = await _acalled(None if request.body is None else self._body, call)
        return self._made(request, mount, body, await _acalled(self._query, call))

    def _made(self, request: AppRequest, mount: str, body: Any, query: Any) -> AppRequest:
        call = request.call
        path, raw_path = self._sent_path or self._filled_path(call.kwargs)
        headers = request.headers
        sent: bytes | None = None
        # A body that the app reads itself passes: only the way to the route is another.
        if request.body is not None:
            sent = b"" if body is ABSENT else encoded(body)
            if self._has_body:
                headers = [*headers, _JSON, (b"content-length", b"%d" % len(sent))]
        return AppRequest(
            call=call,
            method=self.method,
            path=mount + path if mount else path,
            headers=headers,
            body=sent,
            raw_path=quote(mount).encode() + raw_path if mount else raw_path,
            query=b"" if query is ABSENT else _query_string(query),
        )

    def _filled_path(self, kwargs: Mapping[str, Any]) -> tuple[str, bytes]:
        """The path decoded and as it is sent. A slash in a value separates nothing: it stays encoded in both."""
        texts = {name: _segment(name, kwargs.get(name)) for name in self._names}
        decoded = PLACEHOLDER.sub(lambda found: texts[found[1]].replace("/", "%2F"), self.path)
        raw = PLACEHOLDER.sub(
            lambda found: quote(texts[found[1]], safe="", errors="replace"), quote(self.path, safe="/{}")
        )
        return decoded, raw.encode()


def _segment(name: str, value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else encoded(value).decode()
    if text in ("", ".", ".."):
        raise BadRequestError(f"`{name}` must name something, not '{text}'.", param=name, code="invalid_value")
    return text


def _value_of(value: Any) -> Value | None:
    if value is None:
        return None
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


async def _acalled(value: Value | None, call: OpenAICall) -> Any:
    if value is None:
        return ABSENT
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
