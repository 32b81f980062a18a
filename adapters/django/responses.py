"""Django's response objects, mapped."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http.response import ResponseHeaders

from openai_middleware.drivers.chunks import Answer, AsyncAnswer, amap_answer, map_answer
from openai_middleware.errors import OpenAIError
from openai_middleware.exchange import Exchange, Header
from openai_middleware.iteration import aiterate, iterate

__all__ = ["amapped_response", "mapped_response", "openai_error_response"]


def mapped_response(exchange: Exchange, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The response of the views as the client is to get it, for WSGI servers."""
    chunks = iterate(response.streaming_content) if response.streaming else [response.content]
    _keep_uncompressed(request, response)
    return _changed(response, map_answer(exchange, response.status_code, _headers(response), chunks))


async def amapped_response(exchange: Exchange, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The response of the views as the client is to get it, for ASGI servers."""
    if not response.streaming:
        return mapped_response(exchange, request, response)
    chunks = aiterate(response.streaming_content)
    _keep_uncompressed(request, response)
    return _changed(response, await amap_answer(exchange, response.status_code, _headers(response), chunks))


def openai_error_response(error: OpenAIError) -> HttpResponse:
    """An `OpenAIError` as its envelope."""
    status, headers, body = error.response()
    return HttpResponse(body, status=status, headers={k.decode("latin-1"): v.decode("latin-1") for k, v in headers})


def _keep_uncompressed(request: HttpRequest, response: HttpResponseBase) -> None:
    # Django's GZipMiddleware would hold events back under WSGI, and make a file of its own of each under ASGI.
    if response.get("Content-Type", "").startswith("text/event-stream"):
        request.META.pop("HTTP_ACCEPT_ENCODING", None)


def _headers(response: HttpResponseBase) -> list[Header]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]


def _changed(response: HttpResponseBase, answer: Answer | AsyncAnswer | None) -> HttpResponseBase:
    if answer is None:
        return response
    if answer.headers is not None:
        decoded = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
        response.headers = ResponseHeaders(decoded)
    chunks: Any = answer.chunks
    if response.streaming:
        response.streaming_content = chunks
    else:
        response.content = b"".join(chunks)
    return response
