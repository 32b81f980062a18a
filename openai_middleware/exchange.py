"""One request of the API and the answer to it: every decision of the protocol, free of I/O."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from openai_middleware.answer.answer import Answer
from openai_middleware.answer.event_stream import EventStream
from openai_middleware.answer.json_answer import JSONAnswer
from openai_middleware.errors import OpenAIError
from openai_middleware.headers import (
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    REQUEST_ID,
    Header,
    identified,
    is_json,
    media_type,
)
from openai_middleware.keeping import RouteStore
from openai_middleware.replies.reply_form import JSONReply
from openai_middleware.request.body import (
    BodyReader,
    Found,
    declared_length,
    decode_body,
    too_large,
)
from openai_middleware.request.call import (
    REQUEST_METHOD,
    REQUEST_PATH,
    AppRequest,
    Arguments,
    OpenAICall,
    UnreadArguments,
    merge_params,
)
from openai_middleware.request.query import parse_query
from openai_middleware.request.refusal import log_refusal
from openai_middleware.route import AppRewrite, HandlerSource, Route

_UNENCODED: Final = ("", "identity")
# Answers that describe other bytes than those of a whole JSON document.
_WITHOUT_DOCUMENT: Final = {204, 205, 206}
# What an app answers that has no such route, or none for the method.
_WITHOUT_ROUTE: Final = {404, 405}
# What the client sends under these names is never a parameter.
_RESERVED: Final = frozenset((REQUEST_PATH, REQUEST_METHOD))
_NOTHING: Final[Mapping[str, str]] = {}


class Exchange(msgspec.Struct, eq=False):
    """A request that belongs to the OpenAI API, and the answer to it.

    Drivers and adapters use the first six attributes and the methods. Nobody but `Frontend.open` makes one.

    Attributes:
        takes_body: Whether the driver reads the request body before `receive`; otherwise it leaves it to the app.
        handler: What answers instead of the app, or None.
        rewrite: What makes another request of the one that `receive` returns, or None.
        store: What keeps the answer, or reads what was kept; or None. It prepares the request before `rewrite` does.
        mount: The path at which the app is mounted.
        request_id: The id of the request: the one that it brings along, else a new one.
        route: What the endpoints that match it mean.
        method: The HTTP method, in capitals.
        path: The decoded path, relative to where the app is mounted.
        app_path: The whole path as the app is to see it.
        path_params: The path parameters.
        query: The query string as it was sent.
        headers: The request headers that the app sees.
        content_length: What the request says of the length of its body.
        query_params: The query parameters, after `receive`.
        asks_for_stream: Whether the client asks for events, after `receive`.
        call: The call, after `receive`.
    """

    route: Route
    method: str
    path: str
    app_path: str
    mount: str
    path_params: dict[str, str]
    query: bytes
    headers: Sequence[Header]
    content_length: bytes | None
    request_id: str
    takes_body: bool
    handler: HandlerSource | None
    rewrite: AppRewrite | None
    store: RouteStore | None
    query_params: dict[str, Any] = {}
    asks_for_stream: bool = False
    call: OpenAICall | None = None
    _body_reader: BodyReader | None = None

    def __repr__(self) -> str:
        # Headers and bodies hold secrets often enough.
        return f"Exchange({self.name!r}, request_id={self.request_id!r})"

    @property
    def name(self) -> str:
        """The operation, or the endpoint's key, for messages."""
        return self.route.name

    @property
    def body_reader(self) -> BodyReader | None:
        """What the driver feeds with a request body that comes in pieces; None where it leaves the body to the app."""
        if self._body_reader is None and self.takes_body:
            self._body_reader = BodyReader(declared_length(self.content_length), self.route.max_body_size)
        return self._body_reader

    def refuse(self, error: OpenAIError) -> None:
        """Log that the request is refused with this error, before the app has seen it, and give the error its id."""
        log_refusal(error, self.route.name, self.request_id)

    def identified(self, headers: Sequence[Header]) -> Sequence[Header]:
        """The headers of an answer with the request's id, where they have none: the very same where they have one."""
        return identified(headers, self.request_id)

    def receive(self, body: bytes | None) -> AppRequest:
        """Turn the request into the app's. A request that is refused here is logged.

        Args:
            body: The whole body; None where it was not read.

        Raises:
            RequestTooLargeError: The body is over the limit.
            BadRequestError: The body is no JSON although some of its fields are to be mapped, a query parameter has the
                wrong type, or a name was sent in two places.
            UnprocessableEntityError: A mandatory field is absent.
        """
        route = self.route
        mapping = route.request_mapping
        try:
            if body is not None and len(body) > route.max_body_size:
                raise too_large(route.max_body_size)
            is_stream = None
            if body and mapping is not None and route.is_plain and not self.query and not self.path_params:
                is_stream = mapping.asks_for_stream(body)
            arguments: Arguments | UnreadArguments
            if is_stream is None or mapping is None or body is None:
                found = self._found(body)
                arguments = Arguments(found)
                is_stream = found[2].get("stream") is True
            else:
                arguments = UnreadArguments(mapping, body, self._url_info() if route.includes_url_info else _NOTHING)
            if is_stream:
                self.asks_for_stream = True
        except OpenAIError as error:
            self.refuse(error)
            raise
        call = self.call = OpenAICall(
            operation=route.operation,
            method=self.method,
            path=self.path,
            path_params=self.path_params,
            query_params=self.query_params,
            arguments=arguments,
            request_headers=self.headers,
            request_id=self.request_id,
        )
        return AppRequest(call=call, method=self.method, path=self.app_path, headers=self.headers, body=body)

    def _url_info(self) -> Mapping[str, str]:
        return {REQUEST_PATH: self.path, REQUEST_METHOD: self.method}

    def _found(self, body: bytes | None) -> Found:
        """What the body says, with the query and the path, and all that there is to refuse in it."""
        route = self.route
        mapping = route.request_mapping
        body_params: dict[str, Any] = {}
        decoded = decode_body(body, is_json=mapping is not None) if body else None
        if self.query:
            self.query_params = parse_query(self.query, route.query_types, _RESERVED)
        if mapping is not None and body is not None:
            body_params = mapping.extract(decoded)
        elif mapping is not None and not route.takes_multipart:
            mapping.refuse("a multipart or octet-stream body")
        if self.query_params or self.path_params:
            kwargs = merge_params(body_params, self.query_params, self.path_params)
        else:
            kwargs = body_params.copy()
        if route.includes_url_info:
            kwargs |= self._url_info()
        return decoded, body_params, kwargs

    def answer(self, status: int, headers: Sequence[Header]) -> Answer | None:
        """Decide what becomes of the answer that begins here: None where it leaves as the app sends it.

        Args:
            status: The app's status.
            headers: The app's headers. Nothing keeps a driver from asking again, for another answer that replaces it.
        """
        return self.begin(status, headers, identifies=False)[1]

    def begin(
        self, status: int, headers: Sequence[Header], *, identifies: bool = True
    ) -> tuple[Sequence[Header], Answer | None]:
        """What `identified` and `answer` return, by one look at the headers.

        Args:
            status: The app's status.
            headers: The app's headers.
            identifies: Whether the headers get the request's id.

        Returns:
            The headers, the very same where they have an id; and the answer, or None where it leaves as it is.
        """
        content_type = encoding = b""
        length: bytes | None = None
        for name, value in headers:
            # Names of other lengths are not worth a second look.
            size = len(name)
            if size == 12:
                name = name.lower()
                if name == CONTENT_TYPE:
                    content_type = value
                elif name == REQUEST_ID:
                    identifies = False
            elif size == 14 and name.lower() == CONTENT_LENGTH:
                # None of several is right.
                length = value if length is None else b""
            elif size == 16 and name.lower() == CONTENT_ENCODING:
                encoding = value
        if identifies:
            headers = [*headers, (REQUEST_ID, self.request_id.encode())]
        if (status != 200 and (not 200 < status < 300 or status in _WITHOUT_DOCUMENT)) or self.method == "HEAD":
            if status in _WITHOUT_ROUTE and self.rewrite is not None:
                self.rewrite.refused(status, self.path)
            return headers, None
        if encoding and media_type(encoding) not in _UNENCODED:
            return headers, None
        call = self.call
        if call is not None and call.delivery.is_final:
            return headers, None
        kind = "application/json" if content_type == b"application/json" else media_type(content_type)
        native = self._native_answer
        if self.rewrite is None or call is None:
            return headers, native(kind, headers, length)
        is_stream, native = self.asks_for_stream, partial(native, kind, headers, length)
        return headers, self.rewrite.answer(call, kind, headers, is_stream=is_stream, native=native)

    def _native_answer(self, kind: str, headers: Sequence[Header], length: bytes | None) -> Answer | None:
        """What becomes of OpenAI's own objects, and of plain answers."""
        route = self.route
        if kind == "text/event-stream":
            stream = EventStream(route.event_mapping, headers, route.name, self.request_id)
            if route.reply_form is not None and not self.asks_for_stream:
                return route.reply_form.collected(stream, route.response_mapping, headers, self.request_id)
            if route.may_stream:
                self._expect(is_stream=True)
            return stream
        if kind == "application/json" or is_json(kind):
            if route.reply_form is None and route.may_stream:
                self._expect(is_stream=False)
            if route.response_mapping is None:
                return None
            if route.reply_form is not None:
                return JSONReply(
                    route.name,
                    route.response_mapping,
                    headers,
                    self.request_id,
                    length,
                    form=route.reply_form,
                    call=self.call,
                    asks_for_stream=self.asks_for_stream,
                )
            return JSONAnswer(route.name, route.response_mapping, headers, self.request_id, length)
        if kind == "text/plain" and route.reply_form is not None:
            return route.reply_form.text(self.call, headers, is_stream=self.asks_for_stream)
        return None

    def _expect(self, *, is_stream: bool) -> None:
        """Say in the log that the answer is not what the client waits for."""
        if is_stream is not self.asks_for_stream:
            asked, came = ("JSON", "an event stream") if is_stream else ("an event stream", "JSON")
            self.route.once.warn(
                f"{self.route.name}: the client asked for {asked}, and the app answered with {came}. "
                'Answer with text/event-stream where the request has "stream": true, and with JSON otherwise.'
            )
