"""HTTP headers as bytes and as text, and which of them describe a body."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from typing import Final

from openai_middleware.identifiers import new_identifier

Header = tuple[bytes, bytes]

CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING = b"content-type", b"content-length", b"content-encoding"

# What an answer says of its old bytes: RFC 9110 (ETag), RFC 1864, RFC 3230, RFC 9530.
OF_OLD_BYTES: Final = frozenset(
    (b"etag", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"transfer-encoding")
)
_SIZES_OF_OLD: Final = frozenset(map(len, (*OF_OLD_BYTES, CONTENT_LENGTH)))
# What a stream cannot say of the bytes that will have left when it ends.
OF_WHOLE_BODY: Final = OF_OLD_BYTES - {b"transfer-encoding"} | {b"content-length"}
_OF_BODY: Final = OF_OLD_BYTES | {b"content-length", b"content-type"}
# Between two neighbours on the way, and none of an app's business (RFC 9110, section 7.6.1).
_HOP_BY_HOP: Final = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    )
)
# RFC 9110, sections 5.1 and 5.5. A line end in a value would begin another header, or the body.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")

# What SDKs show as the id of a request, and what may be echoed of one that a client sent.
REQUEST_ID: Final = b"x-request-id"
_SENT_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")

# Proxies (nginx) and caches would hold events back.
AGAINST_BUFFERING: Final = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


def as_text(headers: Iterable[Header]) -> list[tuple[str, str]]:
    """Headers as WSGI and frameworks have them: Latin-1 as text (PEP 3333, "Unicode Issues")."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def as_bytes(headers: Iterable[tuple[str, str]], errors: str = "strict") -> list[Header]:
    """Headers as ASGI and exchanges have them.

    Args:
        headers: The headers as text.
        errors: What becomes of characters that Latin-1 lacks, as `str.encode` has it.

    Raises:
        UnicodeEncodeError: A character has no place in a header.
    """
    return [(name.encode("latin-1", errors), value.encode("latin-1", errors)) for name, value in headers]


def lowered(headers: Mapping[str, object]) -> dict[str, str]:
    """Headers that an app gives for an answer whose body is made here: names in lower case, without hop-by-hop ones."""
    fields = {str(name).lower(): str(value) for name, value in headers.items()}
    return {name: value for name, value in fields.items() if name not in _HOP_BY_HOP}


def malformed(headers: Mapping[str, str]) -> str | None:
    """The name of a header that HTTP cannot carry, or None. What Latin-1 lacks is not looked for."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            return name
    return None


new_request_id = partial(new_identifier, "req_")
"""An id as OpenAI's own look: `req_` and 32 hexadecimal digits."""


def sent_request_id(value: bytes) -> str | None:
    """The id that a request brings along in its `x-request-id`; None where it is none to be echoed or logged."""
    return value.decode() if _SENT_ID.fullmatch(value) else None


def request_id_in(headers: Iterable[Header]) -> str:
    """The id of a request: its own, else a new one."""
    own = (sent_request_id(value) for name, value in headers if name.lower() == REQUEST_ID)
    return next((found for found in own if found), None) or new_request_id()


def identified(headers: Sequence[Header], request_id: str) -> Sequence[Header]:
    """The headers of an answer with an `x-request-id`: the very same where they have one."""
    for name, _ in headers:
        if len(name) == 12 and name.lower() == REQUEST_ID:
            return headers
    return [*headers, (REQUEST_ID, request_id.encode())]


@lru_cache(maxsize=256)  # nearly all requests and answers have one of a few
def media_type(value: bytes) -> str:
    """The value of a header up to its parameters, in lower case: `text/event-stream` of a content type."""
    return value.partition(b";")[0].strip().lower().decode("latin-1")


def is_json(kind: str) -> bool:
    """Whether a media type is that of a JSON document (RFC 6839, section 3.1)."""
    return kind == "application/json" or kind.endswith("+json")


def charset(value: bytes) -> str:
    """The charset that a content type names; UTF-8 where it names none."""
    for parameter in value.split(b";")[1:]:
        name, _, text = parameter.partition(b"=")
        if name.strip().lower() == b"charset":
            return text.strip().strip(b'"').decode("latin-1").lower()
    return "utf-8"


def describing(headers: Sequence[Header], body: bytes, left_out: Collection[bytes] = OF_OLD_BYTES) -> list[Header]:
    """The headers of an answer with a right Content-Length.

    Args:
        headers: The app's headers.
        body: The bytes that leave.
        left_out: The names of headers that are wrong of these bytes: what describes the old ones, or nothing where the
            bytes have always been these.
    """
    length = str(len(body)).encode()
    described: list[Header] = []
    has_length = False
    for header in headers:
        if len(header[0]) in _SIZES_OF_OLD:
            name = header[0].lower()
            if name in left_out:
                continue
            if name == CONTENT_LENGTH:
                if not has_length:
                    described.append((header[0], length))
                has_length = True
                continue
        described.append(header)
    if not has_length:
        described.append((b"content-length", length))
    return described


def streaming(headers: Sequence[Header]) -> list[Header]:
    """The headers of an answer that becomes an event stream."""
    own = [header for header in headers if header[0].lower() not in _OF_BODY]
    present = {name.lower() for name, _ in own}
    against = [header for header in AGAINST_BUFFERING if header[0] not in present]
    return [(b"content-type", b"text/event-stream"), *own, *against]


def as_json(headers: Sequence[Header], body: bytes) -> list[Header]:
    """The headers of an answer that becomes a JSON document."""
    described = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    for header in headers:
        if header[0].lower() not in _OF_BODY:
            described.append(header)
    return described


class Headers(Mapping[str, str]):
    """Request headers by name, in letters of any case. Of a header that came twice, the values are joined by commas."""

    def __init__(self, headers: Iterable[Header] = ()) -> None:
        self._headers = headers

    @cached_property
    def _by_name(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in as_text(self._headers):
            lowered = name.lower()
            # RFC 9110, section 5.3; cookies alone are joined by semicolons (RFC 6265, section 5.4).
            separator = "; " if lowered == "cookie" else ", "
            found[lowered] = found[lowered] + separator + value if lowered in found else value
        return found

    def __getitem__(self, name: str) -> str:
        return self._by_name[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._by_name

    def __repr__(self) -> str:
        # Values are secrets often enough.
        return f"Headers({', '.join(self)})"
