"""Django: a middleware for `MIDDLEWARE`."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from openai_middleware.adapters.django.checks import frontend_from_settings
from openai_middleware.adapters.django.responses import amapped_response, mapped_response, openai_error_response
from openai_middleware.adapters.django.views import openai_view
from openai_middleware.drivers.wsgi import raw_path
from openai_middleware.errors import OpenAIError, RequestTooLargeError
from openai_middleware.exchange import Exchange

__all__ = ["OpenAIMiddleware", "openai_error_response", "openai_view"]


class OpenAIMiddleware:
    """Puts the OpenAI API in front of the views, and of the middlewares below it in `MIDDLEWARE`.

    Configured by the dictionary `OPENAI_MIDDLEWARE` in the settings: `endpoints`, `prefix` and the options of
    `openai_middleware.frontend.Options`. A matched request has its `OpenAICall` as `request.openai_call`. An
    `OpenAIError` that a view raises becomes its envelope, on any path.

    Raises:
        ConfigurationError: With every mistake in the settings.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._frontend = frontend_from_settings()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request, in the mode that the middlewares below ask for."""
        if self._is_async:
            return self._serve_async(request)
        try:
            exchange = self._open(request)
            if exchange is None:
                return self._get_response(request)
            with _without_accept_encoding(request):
                response = self._get_response(request)
            needs_loop = response.streaming and _is_asgi(request)
            mapped = async_to_sync(amapped_response) if needs_loop else mapped_response
            return mapped(exchange, request, response)
        except OpenAIError as error:
            return openai_error_response(error)

    async def _serve_async(self, request: HttpRequest) -> HttpResponseBase:
        try:
            exchange = self._open(request)
            if exchange is None:
                return await self._get_response(request)
            with _without_accept_encoding(request):
                response = await self._get_response(request)
            mapped = amapped_response if _is_asgi(request) else sync_to_async(mapped_response)
            return await mapped(exchange, request, response)
        except OpenAIError as error:
            return openai_error_response(error)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Django's hook for exceptions of views."""
        return openai_error_response(exception) if isinstance(exception, OpenAIError) else None

    def _open(self, request: HttpRequest) -> Exchange | None:
        meta = request.META
        mount = meta["SCRIPT_NAME"]
        query = meta.get("QUERY_STRING", "")
        exchange = self._frontend.open(
            request.method,
            mount + request.path_info,
            query.encode() if _is_asgi(request) else query.encode("latin-1"),
            [
                (b"content-type", meta.get("CONTENT_TYPE", "").encode("latin-1")),
                (b"content-length", meta.get("CONTENT_LENGTH", "").encode("latin-1")),
            ],
            raw_path=request.scope.get("raw_path") if _is_asgi(request) else raw_path(meta),
            root_path=mount,
        )
        if exchange is not None:
            request.openai_call = exchange.receive(_body(exchange, request) if exchange.reads_body else None)
        return exchange


def _is_asgi(request: HttpRequest) -> bool:
    # What Django can stream depends on the server, not on the mode that a middleware runs in.
    return hasattr(request, "scope")


def _body(exchange: Exchange, request: HttpRequest) -> bytes:
    try:
        body: bytes = request.body
    except RequestDataTooBig as error:
        message = "The request body is larger than DATA_UPLOAD_MAX_MEMORY_SIZE."
        raise RequestTooLargeError(message, code="request_too_large") from error
    exchange.check_size(len(body))
    exchange.check_end(len(body))
    return body


@contextmanager
def _without_accept_encoding(request: HttpRequest) -> Iterator[None]:
    # Middlewares further out look at the same request again when they compress what leaves.
    removed = request.META.pop("HTTP_ACCEPT_ENCODING", None)
    vars(request).pop("headers", None)  # Django keeps what it once read of META
    try:
        yield
    finally:
        vars(request).pop("headers", None)
        if removed is not None:
            request.META["HTTP_ACCEPT_ENCODING"] = removed
