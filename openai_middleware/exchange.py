"""One request and its response: every decision of the protocol, free of I/O."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import msgspec

from openai_middleware.answer.event_mapping import EventMapping
from openai_middleware.answer.event_stream import EventStream
from openai_middleware.body_mapping import UNDECODABLE, MissingFieldError, RequestMapping, ResponseMapping
from openai_middleware.errors import BadRequestError, RequestTooLargeError, UnprocessableEntityError
from openai_middleware.request.call import REQUEST_METHOD, REQUEST_PATH, OpenAICall, merge_params
from openai_middleware.request.query import parse_query

logger = logging.getLogger("openai_middleware")

Header = tuple[bytes, bytes]

# Bodies that the app reads itself: they may be large, and parsing them is its business.
_STREAMED_BODIES: Final = ("multipart/", "application/octet-stream")
# Answers that describe other bytes than those of a whole JSON document.
_WITHOUT_DOCUMENT: Final = {204, 205, 206}
# What an answer says of its old bytes: RFC 9110 (ETag), RFC 1864, RFC 3230, RFC 9530.
_OF_OLD_BYTES: Final = {b"etag", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"transfer-encoding"}
_OF_WHOLE_BODY: Final = _OF_OLD_BYTES - {b"transfer-encoding"} | {b"content-length"}
# Proxies (nginx) and caches would hold events back.
_AGAINST_BUFFERING: Final = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))

_LENGTH_DIGITS: Final = 30
# What the client sends under these names is never a parameter.
_RESERVED: Final = frozenset((REQUEST_PATH, REQUEST_METHOD))

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Route:
    """What the endpoints that match a request mean together.

    Attributes:
        name: The operation, or the endpoint's key, for messages.
        operation: The operation of the OpenAI API, or None.
        request_mapping: From the body to keyword arguments, or None.
        response_mapping: From the app's JSON answer to the client's, or None.
        event_mapping: From the data of the app's server-sent events to the client's.
        query_types: The types of query parameters that are not strings.
        takes_multipart: Whether multipart is the operation's own request format.
    """

    name: str
    operation: str | None
    request_mapping: RequestMapping | None
    response_mapping: ResponseMapping | None
    event_mapping: EventMapping
    query_types: Mapping[str, str]
    takes_multipart: bool


class Handling(Enum):
    """What a driver does with an answer of the app."""

    PASS = auto()
    """Let it through as it comes."""
    MAP = auto()
    """Collect the whole body, then send what `Exchange.finish` returns."""
    STREAM = auto()
    """Feed the body to `Exchange.event_stream` as it comes; begin the answer when the first event leaves."""
    HOLD = auto()
    """Keep it back until the app has ended: it may be a framework's page for an exception that is still to come."""


class Exchange:
    """A request that belongs to the OpenAI API, and the answer to it."""

    __slots__ = (
        "_headers",
        "_include_url_info",
        "_max_body_size",
        "_media_type",
        "_method",
        "_path",
        "_path_params",
        "_query",
        "_route",
        "content_length",
        "request_headers",
    )

    def __init__(
        self,
        route: Route,
        method: str,
        path: str,
        path_params: dict[str, str],
        query: bytes,
        headers: Iterable[Header],
        *,
        include_url_info: bool,
        max_body_size: int | None,
    ) -> None:
        self._route = route
        self._method = method
        self._path = path
        self._path_params = path_params
        self._query = query
        self._include_url_info = include_url_info
        self._max_body_size = max_body_size
        self._media_type = ""
        self.content_length: int | None = None
        self.request_headers: list[Header] = []
        """The request headers as the app is to see them: it must not compress what is to be mapped."""
        for header in headers:
            name = header[0].lower()
            if name == b"accept-encoding":
                continue
            if name == b"content-type":
                self._media_type = _media_type(header[1])
            elif name == b"content-length" and header[1].isdigit():
                # int() refuses thousands of digits; nobody sends a body that needs more than these.
                self.content_length = int(header[1][:_LENGTH_DIGITS])
            self.request_headers.append(header)

    @property
    def reads_body(self) -> bool:
        """Whether the driver reads the body for `receive`. What it does not read is left to the app."""
        return not self._media_type.startswith(_STREAMED_BODIES)

    def check_size(self, size: int | None = None) -> None:
        """Check how much of the body there is: `size` bytes so far, or what the request declares.

        Raises:
            RequestTooLargeError: It is more than the limit.
        """
        size = self.content_length if size is None else size
        if self._max_body_size is not None and size is not None and size > self._max_body_size:
            message = f"The request body is larger than {self._max_body_size} bytes."
            raise RequestTooLargeError(message, code="request_too_large")

    def check_end(self, size: int) -> None:
        """Check that a body which ended after `size` bytes is whole. ASGI servers tell otherwise, WSGI servers do not.

        Raises:
            BadRequestError: The request declares more.
        """
        if self.content_length is not None and size < self.content_length:
            raise BadRequestError("The request body ended before its Content-Length.", code="incomplete_body")

    def receive(self, body: bytes | None) -> OpenAICall:
        """Turn the request into a call.

        Args:
            body: The whole body; None where it was not read.

        Raises:
            BadRequestError: The body is no JSON although some of its fields are to be mapped, a query parameter has the
                wrong type, or a name was sent in two places.
            UnprocessableEntityError: A mandatory field is absent.
        """
        route = self._route
        decoded = self._decode(body) if body else None
        query_params = parse_query(self._query, route.query_types, _RESERVED) if self._query else {}
        body_params: dict[str, Any] = {}
        if route.request_mapping is not None:
            if body is not None:
                body_params = self._extract(route.request_mapping, decoded)
            elif not route.takes_multipart:
                route.request_mapping.refuse("a multipart or octet-stream body")
        kwargs = merge_params(body_params, query_params, self._path_params)
        if self._include_url_info:
            kwargs[REQUEST_PATH] = self._path
            kwargs[REQUEST_METHOD] = self._method
        return OpenAICall(
            operation=route.operation,
            method=self._method,
            path=self._path,
            body=decoded,
            kwargs=kwargs,
            path_params=self._path_params,
            query_params=query_params,
            body_params=body_params,
        )

    def _decode(self, body: bytes) -> Any:
        try:
            return _decode(body)
        except UNDECODABLE as error:
            if self._route.request_mapping is not None:
                raise _malformed(error) from error
        try:
            return body.decode()
        except UnicodeDecodeError:
            return body

    def _extract(self, mapping: RequestMapping, decoded: Any) -> dict[str, Any]:
        try:
            return mapping.extract(decoded)
        except RecursionError as error:
            raise _malformed(error) from error

    def start_response(self, status: int, headers: Iterable[Header]) -> Handling:
        """Decide what happens to the answer that begins here."""
        self._headers = list(headers)
        if status == 500:
            return Handling.HOLD
        if not 200 <= status < 300 or status in _WITHOUT_DOCUMENT or self._method == "HEAD":
            return Handling.PASS
        media_type = encoding = ""
        for name, value in self._headers:
            lowered = name.lower()
            if lowered == b"content-type":
                media_type = _media_type(value)
            elif lowered == b"content-encoding":
                encoding = _media_type(value)
        if encoding not in ("", "identity"):
            return Handling.PASS
        if media_type == "text/event-stream":
            return Handling.STREAM
        is_json = media_type == "application/json" or media_type.endswith("+json")
        return Handling.MAP if is_json and self._route.response_mapping is not None else Handling.PASS

    def event_stream(self) -> tuple[list[Header], EventStream]:
        """The headers and the body of an answer that is to be handled as a stream."""
        present = {name.lower() for name, _ in self._headers}
        headers = [header for header in self._headers if header[0].lower() not in _OF_WHOLE_BODY]
        headers += [header for header in _AGAINST_BUFFERING if header[0] not in present]
        return headers, EventStream(self._route.event_mapping)

    def finish(self, body: bytes) -> tuple[Sequence[Header] | None, bytes]:
        """Map the answer whose whole body is here.

        Returns:
            The headers, or None where those of the app are right, and the body: the very same where nothing changed.

        Raises:
            UnprocessableEntityError: The answer lacks a mandatory field.
        """
        mapping = self._route.response_mapping
        mapped = body
        if mapping is not None:
            try:
                mapped = mapping.apply(body)
            except MissingFieldError as error:
                raise self._incomplete(error.field) from error
            except UNDECODABLE as error:
                logger.warning("%s: the app's answer is no JSON and leaves as it is: %s", self._route.name, error)
        headers = _described(self._headers, mapped, is_changed=mapped is not body)
        return (None if headers == self._headers else headers), mapped

    def _incomplete(self, field: str | None) -> UnprocessableEntityError:
        lack = "is no JSON object" if field is None else f"lacks the mandatory field '{field}'"
        logger.error("%s: the app's answer %s. The client gets 422.", self._route.name, lack)
        return UnprocessableEntityError(f"The server's answer {lack}.", param=field, code="invalid_response")


def _media_type(value: bytes) -> str:
    return value.partition(b";")[0].strip().lower().decode("latin-1")


def _malformed(error: Exception) -> BadRequestError:
    reason = str(error)
    if isinstance(error, UnicodeDecodeError):
        reason = "it is not UTF-8"
    elif isinstance(error, RecursionError):
        reason = "it is nested too deeply"
    return BadRequestError(f"The request body is no valid JSON: {reason}.", code="invalid_json")


def _described(headers: Sequence[Header], body: bytes, *, is_changed: bool) -> list[Header]:
    """The headers with a right Content-Length and, where the body changed, without what described the old one."""
    length = str(len(body)).encode()
    described = []
    has_length = False
    for header in headers:
        name = header[0].lower()
        if name == b"content-length":
            if not has_length:
                described.append(header if header[1] == length else (header[0], length))
            has_length = True
        elif not (is_changed and name in _OF_OLD_BYTES):
            described.append(header)
    if is_changed and not has_length:
        described.append((b"content-length", length))
    return described
