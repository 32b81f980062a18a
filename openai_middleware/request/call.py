"""The call: a request as the wrapped app's handler takes it; and the request as the app itself is to see it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from openai_middleware.errors import BadRequestError
from openai_middleware.headers import Header, Headers
from openai_middleware.request.body import Found, RequestMapping, decode_body

# Where the call travels: in the ASGI scope and in the WSGI environ.
CALL_KEY: Final = "openai_middleware.call"

REQUEST_PATH: Final = "mlrun_request_path"
REQUEST_METHOD: Final = "mlrun_request_method"


class Delivery(msgspec.Struct, gc=False):
    """What whoever answers a call tells the middleware in front.

    Attributes:
        is_final: The answer is right as it is made: nothing of it is to be mapped.
    """

    is_final: bool = False


class Arguments(msgspec.Struct):
    """What a request says.

    Attributes:
        found: The `body`, the `body_params` and the `kwargs` of an `OpenAICall`.
    """

    found: Found

    def get(self) -> Found:
        """The three, each the same object every time."""
        return self.found


class UnreadArguments(msgspec.Struct):
    """The same of a body that is taken apart when somebody asks: most apps read the body themselves.

    Attributes:
        mapping: What has taken the body by `RequestMapping.asks_for_stream`.
        body: The body; empty once it was taken apart, since a stream may last for hours.
        url_info: The arguments that do not come from it.
        found: See `Arguments`; None until somebody has asked.
    """

    mapping: RequestMapping
    body: bytes
    url_info: Mapping[str, str]
    found: Found | None = None

    def get(self) -> Found:
        """The three, each the same object every time.

        Raises:
            BadRequestError: A number in the body is out of range.
        """
        # In this order: where another thread has let go of the body, it has set `found` before. A race of two takes the
        # body apart twice.
        body, found = self.body, self.found
        if found is None:
            decoded = decode_body(body, is_json=True)
            body_params = self.mapping.extract(decoded)
            found = self.found = decoded, body_params, {**body_params, **self.url_info}
            self.body = b""
        return found


class OpenAICall(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the OpenAI API, ready to be handled.

    Attributes:
        operation: The operation as the SDK names it, such as `chat.completions.create`; None on your own endpoints.
        method: The HTTP method, in capitals.
        path: The decoded path without the query, relative to where the app is mounted, prefix included.
        path_params: The path parameters alone.
        query_params: The query parameters alone.
        arguments: What `body`, `body_params` and `kwargs` are taken from.
        request_headers: The request headers that the app sees, as they came; `headers` has them by name.
        delivery: Of this package alone.
        history: The items of earlier turns that a store found for `previous_response_id` or `conversation`, the oldest
            first; None where there is no store.
        owner: Whose request it is to the store, as its `owner` says; None where nobody asked.
        request_id: What the answer has as `x-request-id`, unless the app gives it one of its own: the request's, else a
            new one.
    """

    operation: str | None
    method: str
    path: str
    path_params: dict[str, str]
    query_params: dict[str, Any]
    arguments: Arguments | UnreadArguments
    request_headers: Sequence[Header] = ()
    history: Sequence[Mapping[str, Any]] | None = None
    owner: str | None = None
    request_id: str = ""
    delivery: Delivery = msgspec.field(default_factory=Delivery)

    def __repr__(self) -> str:
        # Headers and bodies hold secrets often enough.
        return f"OpenAICall({self.operation!r}, {self.method!r}, {self.path!r}, request_id={self.request_id!r})"

    @property
    def body(self) -> Any:
        """The request body, unfiltered: decoded JSON; the text (bytes where it is not UTF-8) of a body that is no JSON
        and that no mapping needed; None where it was empty, or is a multipart or octet-stream body that the app reads
        itself.
        """
        return self.arguments.get()[0]

    @property
    def body_params(self) -> dict[str, Any]:
        """The mapped body fields alone."""
        return self.arguments.get()[1]

    @property
    def kwargs(self) -> dict[str, Any]:
        """Body fields, query parameters, path parameters and, where switched on, `mlrun_request_path` and
        `mlrun_request_method`, in this order.
        """
        return self.arguments.get()[2]

    @property
    def headers(self) -> Mapping[str, str]:
        """The request headers by their names, in letters of any case."""
        return Headers(self.request_headers)


class AppRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the wrapped app is to see it. Every driver makes the app's request of this, and of nothing else.

    Attributes:
        call: The call.
        method: The HTTP method, in capitals.
        path: The whole path, decoded, as ASGI's `path` has it.
        headers: The headers, in their order.
        body: The body to be read again; None where it was not read, and the app reads it from the server.
        raw_path: The whole path as it would be sent, where the request goes to another route than the client asked for;
            None where the server's own is right.
        query: The query string of such a request, where the server's own is not right; else None.
    """

    call: OpenAICall
    method: str
    path: str
    headers: Sequence[Header]
    body: bytes | None
    raw_path: bytes | None = None
    query: bytes | None = None

    def __repr__(self) -> str:
        return f"AppRequest({self.method!r}, {self.path!r}, call={self.call!r})"


def call_in(carrier: Mapping[str, Any], request: str, remedy: str) -> OpenAICall:
    """The call that a scope or an environ carries.

    Args:
        carrier: The scope or the environ.
        request: The method and path of the request, for the message.
        remedy: What a user does to put the middleware in front.

    Raises:
        RuntimeError: There is none: the middleware is not in front, or matched nothing.
    """
    call = carrier.get(CALL_KEY)
    if isinstance(call, OpenAICall):
        return call
    raise RuntimeError(
        f"No OpenAI call in {request}: either {remedy}, or none of its endpoints matches this path (is the prefix the "
        "same as in the route?)."
    )


def merge_params(
    body_params: Mapping[str, Any], query_params: Mapping[str, Any], path_params: Mapping[str, Any]
) -> dict[str, Any]:
    """The parameters of a request in one dict, in the order of the arguments.

    Raises:
        BadRequestError: A name stands in two of them.
    """
    kwargs = {**body_params, **query_params, **path_params}
    if len(kwargs) < len(body_params) + len(query_params) + len(path_params):
        sources = {"the body": body_params, "the query string": query_params, "the path": path_params}
        for name in kwargs:
            places = [place for place, params in sources.items() if name in params]
            if len(places) > 1:
                message = f"The parameter '{name}' was sent twice: in {' and in '.join(places)}."
                raise BadRequestError(message, param=name, code="duplicate_parameter")
    return kwargs
