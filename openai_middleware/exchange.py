"""One request of the API and the answer to it: every decision of the protocol, free of I/O."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

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
    new_request_id,
    sent_request_id,
    type_and_encoding,
)
from openai_middleware.keeping import RouteStore
from openai_middleware.replies.reply_form import JSONReply
from openai_middleware.request.body import (
    BodyReader,
    Found,
    UnreadBody,
    declared_length,
    decode_body,
    is_for_the_app,
    too_large,
)
from openai_middleware.request.call import REQUEST_METHOD, REQUEST_PATH, AppRequest, Arguments, OpenAICall, merge_params
from openai_middleware.request.query import parse_query
from openai_middleware.request.refusal import log_refusal
from openai_middleware.route import AppRewrite, HandlerSource, Route

_UNENCODED: Final = ("", "identity")
# Answers that describe other bytes than those of a whole JSON document.
_WITHOUT_DOCUMENT: Final = {204, 205, 206}
# What an app answers that has no such route, or none for the method.
_WITHOUT_ROUTE: Final = {404, 405}
# Headers that an app could answer with something that is no whole document.
_OF_ENCODING: Final = frozenset((b"accept-encoding",))
_OF_PARTS: Final = _OF_ENCODING | {b"range", b"if-range"}
# And what describes a body in whose place a rewrite puts another.
_OF_OLD_BODY: Final = frozenset(
    (
        *(CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, b"transfer-encoding", b"expect"),
        *(b"content-md5", b"digest", b"content-digest", b"repr-digest"),
    )
)

# How long the names are that are looked for in every request: others need no second look.
_SIZES: Final = frozenset(map(len, (CONTENT_TYPE, CONTENT_LENGTH, REQUEST_ID, *_OF_PARTS)))
# What the client sends under these names is never a parameter.
_RESERVED: Final = frozenset((REQUEST_PATH, REQUEST_METHOD))
# What nearly every request has, and no other needs a longer look.
_OF_JSON: Final = (b"application/json", None)
_NOTHING: Final[Mapping[str, str]] = {}


class Exchange:
    """A request that belongs to the OpenAI API, and the answer to it.

    Args:
        route: What the endpoints that match it mean.
        method: The HTTP method, in capitals.
        path: The decoded path, relative to where the app is mounted.
        app_path: The whole path as the app is to see it.
        mount: The path at which the app is mounted.
        path_params: The path parameters.
        query: The query string as it was sent.
        headers: The request headers.

    Attributes:
        takes_body: Whether the driver reads the request body before `receive`; otherwise it leaves it to the app.
        handler: What answers instead of the app, or None.
        rewrite: What makes another request of the one that `receive` returns, or None.
        store: What keeps the answer, or reads what was kept; or None. It prepares the request before `rewrite` does.
        mount: The path at which the app is mounted.
        request_id: The id of the request: the one that it brings along, else a new one.

    Raises:
        RequestTooLargeError: The declared length of the body is over the limit.
    """

    __slots__ = (
        "_app_path",
        "_asks_for_stream",
        "_body_reader",
        "_call",
        "_content_length",
        "_headers",
        "_method",
        "_path",
        "_path_params",
        "_query",
        "_query_params",
        "_route",
        "_url_info",
        "handler",
        "mount",
        "request_id",
        "rewrite",
        "store",
        "takes_body",
    )

    def __init__(
        self,
        route: Route,
        method: str,
        path: str,
        app_path: str,
        mount: str,
        path_params: dict[str, str],
        query: bytes,
        headers: Iterable[Header],
    ) -> None:
        self._route = route
        self._method = method
        self._path = path
        self._app_path = app_path
        self._path_params = path_params
        self._query = query
        self._url_info = {REQUEST_PATH: path, REQUEST_METHOD: method} if route.includes_url_info else _NOTHING
        self._asks_for_stream = False
        self._call: OpenAICall | None = None
        self._query_params: dict[str, Any] = {}
        self.mount = mount
        self.handler: HandlerSource | None = route.handler
        self.rewrite: AppRewrite | None = route.rewrite
        self.store: RouteStore | None = route.store
        left_out = _OF_ENCODING if route.response_mapping is None and route.rewrite is None else _OF_PARTS
        content_type = content_length = sent_id = None
        kept: list[Header] = []
        for header in headers:
            name = header[0]
            if len(name) in _SIZES:
                name = name.lower()
                if name in left_out:
                    continue
                # Of one that comes twice, the last counts.
                if name == CONTENT_TYPE:
                    content_type = header[1]
                elif name == CONTENT_LENGTH:
                    content_length = header[1]
                elif name == REQUEST_ID:
                    sent_id = header[1]
            kept.append(header)
        self.request_id = (sent_request_id(sent_id) if sent_id is not None else None) or new_request_id()
        self.takes_body = content_type in _OF_JSON or not is_for_the_app(content_type)
        if route.rewrite is not None and self.takes_body:
            kept = [header for header in kept if header[0].lower() not in _OF_OLD_BODY]
        self._headers = kept
        self._content_length = content_length
        self._body_reader: BodyReader | None = None
        limit = route.max_body_size
        is_long = content_length is not None and len(content_length) >= route.digits_of_more
        if limit is not None and is_long and self.takes_body and (declared_length(content_length) or 0) > limit:
            error = too_large(limit)
            self.refuse(error)
            raise error

    @property
    def name(self) -> str:
        """The operation, or the endpoint's key, for messages."""
        return self._route.name

    @property
    def body_reader(self) -> BodyReader | None:
        """What the driver feeds with a request body that comes in pieces; None where it leaves the body to the app."""
        if self._body_reader is None and self.takes_body:
            self._body_reader = BodyReader(declared_length(self._content_length), self._route.max_body_size)
        return self._body_reader

    def refuse(self, error: OpenAIError) -> None:
        """Log that the request is refused with this error, before the app has seen it, and give the error its id."""
        log_refusal(error, self._route.name, self.request_id)

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
        route = self._route
        mapping = route.request_mapping
        is_for_app = self.handler is None and self.rewrite is None and self.store is None
        try:
            if body is not None and route.max_body_size is not None and len(body) > route.max_body_size:
                raise too_large(route.max_body_size)
            is_stream = None
            if body and mapping is not None and is_for_app and not self._query and not self._path_params:
                is_stream = mapping.asks_for_stream(body)
                if is_stream is not None:
                    arguments = Arguments(UnreadBody(mapping, body, self._url_info))
            if is_stream is None:
                found = self._found(body)
                arguments = Arguments(found)
                is_stream = found[2].get("stream") is True
            self._asks_for_stream = is_stream
        except OpenAIError as error:
            self.refuse(error)
            raise
        call = self._call = OpenAICall(
            operation=route.operation,
            method=self._method,
            path=self._path,
            path_params=self._path_params,
            query_params=self._query_params,
            arguments=arguments,
            request_headers=self._headers,
            request_id=self.request_id,
        )
        return AppRequest(call=call, method=self._method, path=self._app_path, headers=self._headers, body=body)

    def _found(self, body: bytes | None) -> Found:
        """What the body says, with the query and the path, and all that there is to refuse in it."""
        route = self._route
        mapping = route.request_mapping
        body_params: dict[str, Any] = {}
        decoded = decode_body(body, is_json=mapping is not None) if body else None
        if self._query:
            self._query_params = parse_query(self._query, route.query_types, _RESERVED)
        if mapping is not None and body is not None:
            body_params = mapping.extract(decoded)
        elif mapping is not None and not route.takes_multipart:
            mapping.refuse("a multipart or octet-stream body")
        if self._query_params or self._path_params:
            kwargs = merge_params(body_params, self._query_params, self._path_params)
        else:
            kwargs = body_params.copy()
        kwargs |= self._url_info
        return decoded, body_params, kwargs

    def answer(self, status: int, headers: Sequence[Header]) -> Answer | None:
        """Decide what becomes of the answer that begins here: None where it leaves as the app sends it.

        Args:
            status: The app's status.
            headers: The app's headers. Nothing keeps a driver from asking again, for another answer that replaces it.
        """
        if not 200 <= status < 300 or status in _WITHOUT_DOCUMENT or self._method == "HEAD":
            if status in _WITHOUT_ROUTE and self.rewrite is not None:
                self.rewrite.refused(status, self._path)
            return None
        content_type, encoding = type_and_encoding(headers)
        if encoding and media_type(encoding) not in _UNENCODED:
            return None
        call = self._call
        if call is not None and call.delivery.is_final:
            return None
        kind = "application/json" if content_type == b"application/json" else media_type(content_type)
        if self.rewrite is not None and call is not None:
            return self.rewrite.answer(
                call,
                kind,
                headers,
                is_stream=self._asks_for_stream,
                native=partial(self._native_answer, kind, headers),
            )
        return self._native_answer(kind, headers)

    def _native_answer(self, kind: str, headers: Sequence[Header]) -> Answer | None:
        """What becomes of OpenAI's own objects, and of plain answers."""
        route = self._route
        if kind == "text/event-stream":
            stream = EventStream(route.event_mapping, headers, route.name, self.request_id)
            if route.reply_form is not None and not self._asks_for_stream:
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
                    form=route.reply_form,
                    call=self._call,
                    asks_for_stream=self._asks_for_stream,
                )
            return JSONAnswer(route.name, route.response_mapping, headers, self.request_id)
        if kind == "text/plain" and route.reply_form is not None:
            return route.reply_form.text(self._call, headers, is_stream=self._asks_for_stream)
        return None

    def _expect(self, *, is_stream: bool) -> None:
        """Say in the log that the answer is not what the client waits for."""
        if is_stream is not self._asks_for_stream:
            asked, came = ("JSON", "an event stream") if is_stream else ("an event stream", "JSON")
            self._route.once.warn(
                f"{self._route.name}: the client asked for {asked}, and the app answered with {came}. "
                'Answer with text/event-stream where the request has "stream": true, and with JSON otherwise.'
            )
