"""Django: a middleware for `MIDDLEWARE`."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed

from openai_middleware.adapters.django.checks import frontend_from_settings
from openai_middleware.adapters.django.responses import (
    aanswer,
    amapped_response,
    answer,
    is_asgi,
    mapped_response,
    openai_error_response,
    recorded_response,
)
from openai_middleware.drivers import (
    AppRequest,
    BodyReader,
    Exchange,
    OpenAICall,
    StoreSession,
    error_of_status,
    keys_left_out,
    raw_path,
    redirected,
    reporting,
    request_headers,
    unsupported,
)
from openai_middleware.errors import OpenAIError, RequestTooLargeError

__all__ = ["OpenAIMiddleware"]


# What Django makes of these exceptions.
_STATUSES = {Http404: 404, PermissionDenied: 403, SuspiciousOperation: 400, BadRequest: 400}


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
        session = None if exchange.store is None else exchange.store.session(request)
        if session is not None:
            with _refusing(exchange):
                app_request = session.prepare(app_request)
        if exchange.rewrite is not None:
            app_request = exchange.rewrite.request(app_request, exchange.mount)
        if exchange.handler is not None:
            with reporting(app_request.call):
                response = answer(exchange.handler, app_request.call, request)
                return _mapped(exchange, request, response, session)
        with _seen_by_the_app(request, app_request) as seen:
            response = _in_openai_s_words(seen, self._get_response(seen))
        return _mapped(exchange, request, response, session)

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
        session = None if exchange.store is None else exchange.store.session(request)
        if session is not None:
            with _refusing(exchange):
                # Django's own threads: whoever asks may be found with its models.
                app_request = await sync_to_async(session.prepare)(app_request)
        if exchange.rewrite is not None:
            app_request = await exchange.rewrite.arequest(app_request, exchange.mount)
        if exchange.handler is not None:
            with reporting(app_request.call):
                response = await aanswer(exchange.handler, app_request.call, request)
                return await _amapped(exchange, request, response, session)
        with _seen_by_the_app(request, app_request) as seen:
            response = _in_openai_s_words(seen, await self._get_response(seen))
        return await _amapped(exchange, request, response, session)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Django's hook for exceptions of views."""
        if isinstance(exception, OpenAIError):
            return openai_error_response(exception)
        is_of_the_api = isinstance(getattr(request, "openai_call", None), OpenAICall)
        status = next((status for kind, status in _STATUSES.items() if isinstance(exception, kind)), None)
        if status is None or not is_of_the_api:
            return None
        # What they say is for those who look for the mistake, as on Django's own pages; but for a 404.
        message = str(exception) if isinstance(exception, Http404) else ""
        return openai_error_response(error_of_status(status, message))

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
    with _refusing(exchange):
        return exchange.receive(None if reader is None else _body(reader, request))


@contextmanager
def _refusing(exchange: Exchange) -> Iterator[None]:
    try:
        yield
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


def _in_openai_s_words(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Django's answer of a missing route, or of a view that does not take the method, as an envelope."""
    if response.status_code == 404 and request.resolver_match is None:
        return openai_error_response(unsupported(request.openai_call))
    if isinstance(response, HttpResponseNotAllowed):
        return openai_error_response(error_of_status(response.status_code, headers={"Allow": response["Allow"]}))
    return response


def _identified(exchange: Exchange | None, response: HttpResponseBase) -> HttpResponseBase:
    if exchange is not None:
        response.setdefault("x-request-id", exchange.request_id)
    return response


def _mapped(
    exchange: Exchange, request: HttpRequest, response: HttpResponseBase, session: StoreSession | None
) -> HttpResponseBase:
    needs_loop = response.streaming and is_asgi(request)
    mapped = async_to_sync(amapped_response) if needs_loop else mapped_response
    response = mapped(exchange, request, response)
    return response if session is None else recorded_response(session, request, response)


async def _amapped(
    exchange: Exchange, request: HttpRequest, response: HttpResponseBase, session: StoreSession | None
) -> HttpResponseBase:
    mapped = amapped_response if is_asgi(request) else sync_to_async(mapped_response)
    response = await mapped(exchange, request, response)
    return response if session is None else await sync_to_async(recorded_response)(session, request, response)


@contextmanager
def _seen_by_the_app(request: HttpRequest, app_request: AppRequest) -> Iterator[HttpRequest]:
    """The request as the app is to see it. Middlewares further out look at theirs when they handle what leaves."""
    request.openai_call = app_request.call
    below = app_request.path.removeprefix(request.META["SCRIPT_NAME"])
    if app_request.raw_path is not None:
        redirected_request = _redirected(request, app_request, below)
        yield redirected_request
        _hand_back(request, redirected_request)
        return
    if below != request.path_info:
        request.path_info, request.path = below, app_request.path
    removed = {key: request.META.pop(key) for key in keys_left_out(request.META, app_request)}
    vars(request).pop("headers", None)  # Django keeps what it once read of META
    try:
        yield request
    finally:
        vars(request).pop("headers", None)
        request.META.update(removed)


# What Django has read of a request, and keeps.
_READ = ("headers", "GET", "accepted_types", "accepted_types_by_precedence")
_READ_OF_BODY = ("_post", "_files", "_data")


def _redirected(request: HttpRequest, app_request: AppRequest, path: str) -> HttpRequest:
    """A request to another route of the app. One of its own, since what streams may look at it later."""
    own = request.__class__.__new__(request.__class__)
    fields = vars(own)
    fields |= {name: value for name, value in vars(request).items() if name not in _READ}
    left_out = keys_left_out(request.META, app_request)
    meta = {name: value for name, value in request.META.items() if name not in left_out}
    own.META = meta | redirected(meta, app_request) | {"PATH_INFO": path}
    own.method, own.path_info, own.path = app_request.method, path, app_request.path
    if is_asgi(request):
        own.scope = {
            **request.scope,
            "method": app_request.method,
            "path": app_request.path,
            "raw_path": app_request.raw_path,
            "query_string": request.scope["query_string"] if app_request.query is None else app_request.query,
            "headers": app_request.headers,
        }
    else:
        own.environ = own.META
    if app_request.body is not None:
        for name in _READ_OF_BODY:
            fields.pop(name, None)
        own.META["CONTENT_LENGTH"] = str(len(app_request.body))
        own._body, own._stream, own._read_started = app_request.body, BytesIO(app_request.body), False
        own.content_type, own.content_params = own.META["CONTENT_TYPE"], {}
    return own


def _hand_back(request: HttpRequest, own: HttpRequest) -> None:
    """Let middlewares further out see what those below have found out, such as the user."""
    of_body = () if own._stream is request._stream else _READ_OF_BODY
    fields = vars(request)
    for name, value in vars(own).items():
        if name not in fields and name not in _READ and name not in of_body:
            fields[name] = value
    request.resolver_match = own.resolver_match
