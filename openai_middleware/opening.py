"""What is read of a request before its body: an exchange opened."""

from collections.abc import Iterable
from typing import Final

from openai_middleware.exchange import Exchange
from openai_middleware.headers import (
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    REQUEST_ID,
    Header,
    new_request_id,
    sent_request_id,
)
from openai_middleware.request.body import declared_length, is_for_the_app, too_large
from openai_middleware.route import Route

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
# What nearly every request has, and no other needs a longer look.
_OF_JSON: Final = (b"application/json", None)


def opened(
    route: Route,
    method: str,
    path: str,
    app_path: str,
    mount: str,
    path_params: dict[str, str],
    query: bytes,
    headers: Iterable[Header],
) -> Exchange:
    """Open an exchange; the arguments are those of `Exchange`, but for the headers: all that the client sent.

    Raises:
        RequestTooLargeError: The declared length of the body is over the limit.
    """
    left_out = _OF_ENCODING if route.response_mapping is None and route.rewrite is None else _OF_PARTS
    content_type = content_length = request_id = None
    kept = list(headers)
    unwanted: list[Header] = []
    for header in kept:
        name = header[0]
        if len(name) in _SIZES:
            name = name.lower()
            # Of one that comes twice, the last counts.
            if name == CONTENT_TYPE:
                content_type = header[1]
            elif name == CONTENT_LENGTH:
                content_length = header[1]
            elif name in left_out:
                unwanted.append(header)
            elif name == REQUEST_ID:
                request_id = sent_request_id(header[1])
    if len(unwanted) == 1:
        kept.remove(unwanted[0])
    elif unwanted:
        kept = [header for header in kept if header[0].lower() not in left_out]
    takes_body = content_type in _OF_JSON or not is_for_the_app(content_type)
    rewrite = route.rewrite
    if rewrite is not None and takes_body:
        kept = [header for header in kept if header[0].lower() not in _OF_OLD_BODY]
    exchange = Exchange(
        route,
        method,
        path,
        app_path,
        mount,
        path_params,
        query,
        kept,
        content_length,
        request_id or new_request_id(),
        takes_body,
        route.handler,
        rewrite,
        route.store,
    )
    # Only a long one can be over the limit.
    if content_length is not None and len(content_length) >= route.digits_of_more and takes_body:
        limit = route.max_body_size
        if (declared_length(content_length) or 0) > limit:
            error = too_large(limit)
            exchange.refuse(error)
            raise error
    return exchange
