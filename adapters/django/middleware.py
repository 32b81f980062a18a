"""Django: a middleware for `MIDDLEWARE`."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from openai_middleware.adapters.django.checks import frontend_from_settings
from openai_middleware.adapters.django.responses import (
    aanswer,
    amapped_response,
    answer,
    is_asgi,
    mapped_response,
    openai_error_response,
)
from openai_middleware.drivers import (
    AppRequest,
    BodyReader,
    Exchange,
    keys_left_out,
    raw_path,
    redirected,
    reporting,
    request_headers,
)
from openai_middleware.errors import OpenAIError, RequestTooLargeError

__all__ = ["OpenAIMiddleware"]


class OpenAIMiddleware:
    """Puts the OpenAI API in front of the views, and of the middlewares below it in `MIDDLEWARE`.

    Configured by the dictionary `OPENAI_MIDDLEWARE` in the settings: `endpoints`, `prefix` and the options of
    `openai_middleware.options.Options`. A matched request has its `OpenAICall` as `request.openai_call`. An
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
        exchange = None
        try:
            exchange = self._open(request)
            if exchange is None:
                return self._get_response(request)
            response = self._answered(exchange, request)
        except OpenAIError as error:
            response = openai_error_response(error)
        return _identified(exchange, response)

    def _answered(self, exchange: Exchange, request: HttpRequest) -> HttpResponseBase:
        app_request = _receive(exchange, request)
        if exchange.rewrite is not None:
            app_request = exchange.rewrite.request(app_request, exchange.mount)
        if exchange.handler is not None:
            with reporting(app_request.call):
                response = answer(exchange.handler, app_request.call, request)
                return _mapped(exchange, request, response)
        with _seen_by_the_app(request, app_request):
            response = self._get_response(request)
        return _mapped(exchange, request, response)

    async def _serve_async(self, request: HttpRequest) -> HttpResponseBase:
        exchange = None
        try:
            exchange = self._open(request)
            if exchange is None:
                return await self._get_response(request)
            response = await self._answered_async(exchange, request)
        except OpenAIError as error:
            response = openai_error_response(error)
        return _identified(exchange, response)

    async def _answered_async(self, exchange: Exchange, request: HttpRequest) -> HttpResponseBase:
        app_request = _receive(exchange, request)
        if exchange.rewrite is not None:
            app_request = await exchange.rewrite.arequest(app_request, exchange.mount)
        if exchange.handler is not None:
            with reporting(app_request.call):
                response = await aanswer(exchange.handler, app_request.call, request)
                return await _amapped(exchange, request, response)
        with _seen_by_the_app(request, app_request):
            response = await self._get_response(request)
        return await _amapped(exchange, request, response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Django's hook for exceptions of views."""
        return openai_error_response(exception) if isinstance(exception, OpenAIError) else None

    def _open(self, request: HttpRequest) -> Exchange | None:
        meta = request.META
        query = meta.get("QUERY_STRING", "")
        return self._frontend.open(
            request.method,
            meta["SCRIPT_NAME"] + request.path_info,
            query.encode() if is_asgi(request) else query.encode("latin-1"),
            request_headers(meta),
            raw_path=request.scope.get("raw_path") if is_asgi(request) else raw_path(meta),
            root_path=meta["SCRIPT_NAME"],
        )


def _receive(exchange: Exchange, request: HttpRequest) -> AppRequest:
    reader = exchange.body_reader
    try:
        return exchange.receive(None if reader is None else _body(reader, request))
    except OpenAIError as error:
        exchange.refuse(error)
        raise


def _body(reader: BodyReader, request: HttpRequest) -> bytes:
    try:
        reader.feed(request.body)
    except RequestDataTooBig as error:
        message = "The request body is larger than DATA_UPLOAD_MAX_MEMORY_SIZE."
        raise RequestTooLargeError(message, code="request_too_large") from error
    return reader.end()


def _identified(exchange: Exchange | None, response: HttpResponseBase) -> HttpResponseBase:
    if exchange is not None:
        response.setdefault("x-request-id", exchange.request_id)
    return response


def _mapped(exchange: Exchange, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    needs_loop = response.streaming and is_asgi(request)
    mapped = async_to_sync(amapped_response) if needs_loop else mapped_response
    return mapped(exchange, request, response)


async def _amapped(exchange: Exchange, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    mapped = amapped_response if is_asgi(request) else sync_to_async(mapped_response)
    return await mapped(exchange, request, response)


@contextmanager
def _seen_by_the_app(request: HttpRequest, app_request: AppRequest) -> Iterator[None]:
    """Make the request the app's. Middlewares further out look at the same one again when they handle what leaves."""
    request.openai_call = app_request.call
    below = app_request.path.removeprefix(request.META["SCRIPT_NAME"])
    if app_request.raw_path is not None:
        with _redirected(request, app_request, below):
            yield
        return
    if below != request.path_info:
        request.path_info, request.path = below, app_request.path
    removed = {key: request.META.pop(key) for key in keys_left_out(request.META, app_request)}
    vars(request).pop("headers", None)  # Django keeps what it once read of META
    try:
        yield
    finally:
        vars(request).pop("headers", None)
        request.META.update(removed)


# What Django has read of a request, and keeps.
_READ = ("headers", "GET", "_current_scheme_host", "_post", "_files", "accepted_types", "accepted_types_by_precedence")


@contextmanager
def _redirected(request: HttpRequest, app_request: AppRequest, path: str) -> Iterator[None]:
    """Make the request one to another route of the app."""
    own = vars(request)
    before, meta = own.copy(), request.META.copy()
    for key in keys_left_out(request.META, app_request):
        del request.META[key]
    request.META |= redirected(request.META, app_request) | {"PATH_INFO": path}
    for name in _READ:
        own.pop(name, None)
    request.method, request.path_info, request.path = app_request.method, path, app_request.path
    if app_request.body is not None:
        request.META["CONTENT_LENGTH"] = str(len(app_request.body))
        request._body, request._stream, request._read_started = app_request.body, BytesIO(app_request.body), False
        request.content_type, request.content_params = request.META["CONTENT_TYPE"], {}
    try:
        yield
    finally:
        request.META.clear()
        request.META.update(meta)
        for name in ("method", "path_info", "path", "content_type", "content_params", "_body", "_stream"):
            own[name] = before.get(name)
        for name in _READ:
            own.pop(name, None)
