"""Django's response objects, made and mapped."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.http.response import ResponseHeaders

from openai_middleware.drivers import (
    AsyncMappedAnswer,
    Exchange,
    HandlerSource,
    Header,
    MappedAnswer,
    OpenAICall,
    Response,
    StoreSession,
    aclose,
    aiterate,
    amap_answer,
    arecorded,
    arespond,
    as_bytes,
    as_text,
    iterate,
    map_answer,
    recorded,
    respond_by_asgiref,
)
from openai_middleware.errors import OpenAIError

__all__ = [
    "aanswer",
    "amapped_response",
    "answer",
    "http_response",
    "is_asgi",
    "mapped_response",
    "openai_error_response",
    "recorded_response",
]


def is_asgi(request: HttpRequest) -> bool:
    """Whether an ASGI server runs Django: what it can stream depends on that, not on the mode of a middleware."""
    return hasattr(request, "scope")


def answer(source: HandlerSource, call: OpenAICall, request: HttpRequest, *first: Any) -> HttpResponseBase:
    """What a handler answers, from sync code. See `respond_by_asgiref`."""
    return http_response(request, respond_by_asgiref(source, call, *first, is_asgi=is_asgi(request)))


async def aanswer(source: HandlerSource, call: OpenAICall, request: HttpRequest, *first: Any) -> HttpResponseBase:
    """The same as `answer`, from async code."""
    if is_asgi(request):
        return http_response(request, await arespond(source, call, *first))
    # WSGI has an event loop for this call alone, and a loop that ends closes the generators that it has begun.
    return await sync_to_async(answer)(source, call, request, *first)


def http_response(request: HttpRequest, response: Response) -> HttpResponseBase:
    """A `Response` as Django's own."""
    headers = dict(response.headers)
    if response.events is None:
        return HttpResponse(response.content, status=response.status_code, headers=headers)
    events: Any = _Closable(aiterate(response.events)) if is_asgi(request) else iterate(response.events)
    return StreamingHttpResponse(events, status=response.status_code, headers=headers)


def openai_error_response(error: OpenAIError) -> HttpResponse:
    """An `OpenAIError` as its envelope."""
    response = Response.of_error(error)
    return HttpResponse(response.content, status=response.status_code, headers=dict(response.headers))


def mapped_response(exchange: Exchange, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The response of the views as the client is to get it, for WSGI servers."""
    chunks = iterate(response.streaming_content) if response.streaming else [response.content]
    _keep_uncompressed(request, response)
    try:
        return _changed(response, map_answer(exchange, response.status_code, _headers(response), chunks))
    except Exception:
        response.close()
        raise


async def amapped_response(exchange: Exchange, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The response of the views as the client is to get it, for ASGI servers."""
    if not response.streaming:
        return mapped_response(exchange, request, response)
    chunks = aiterate(response.streaming_content)
    _keep_uncompressed(request, response)
    try:
        return _changed(response, await amap_answer(exchange, response.status_code, _headers(response), chunks))
    except Exception:
        await sync_to_async(response.close)()
        raise


def recorded_response(session: StoreSession, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The response as it leaves where a store keeps it. A stream is kept while it leaves.

    Raises:
        OpenAIError: It cannot be kept, and must be.
    """
    recorder = session.recorder
    if recorder is None or not recorder.begin(response.status_code, _headers(response)):
        return response
    chunks: Any
    if not response.streaming:
        response.content = b"".join(recorded(recorder, [response.content]))
        response.headers = ResponseHeaders(dict(as_text(recorder.headers)))
    elif is_asgi(request):
        chunks = arecorded(session, recorder, aiterate(response.streaming_content))
        response.streaming_content = _Closable(chunks)
    else:
        response.streaming_content = recorded(recorder, iterate(response.streaming_content))
    return response


class _Closable:
    """An async stream that Django closes with its response: from a thread, and by `close`."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._chunks)

    def close(self) -> None:
        async_to_sync(aclose)(self._chunks)


def _keep_uncompressed(request: HttpRequest, response: HttpResponseBase) -> None:
    # Django's GZipMiddleware would hold events back under WSGI, and make a file of its own of each under ASGI.
    if response.get("Content-Type", "").startswith("text/event-stream"):
        request.META.pop("HTTP_ACCEPT_ENCODING", None)


def _headers(response: HttpResponseBase) -> list[Header]:
    return as_bytes(response.items())


def _changed(response: HttpResponseBase, answer: MappedAnswer | AsyncMappedAnswer | None) -> HttpResponseBase:
    if answer is None:
        return response
    if answer.headers is not None:
        response.headers = ResponseHeaders(dict(as_text(answer.headers)))
    chunks: Any = answer.chunks
    if not response.streaming:
        response.content = b"".join(chunks)
    elif isinstance(answer, AsyncMappedAnswer):
        response.streaming_content = _Closable(chunks)
    else:
        response.streaming_content = chunks
    return response
