"""Request bodies: read up to a limit, decoded, and turned into keyword arguments."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Raw

from openai_middleware.errors import BadRequestError, RequestTooLargeError, UnprocessableEntityError
from openai_middleware.headers import media_type
from openai_middleware.mapping.json_codec import UNDECODABLE, decoder_of, fitting, json_kind, reason_of, value_of
from openai_middleware.mapping.json_path import ABSENT, compile_source, top_level_field
from openai_middleware.mapping.rule import BodyMapping

Found = tuple[Any, dict[str, Any], dict[str, Any]]
"""The `body`, the `body_params` and the `kwargs` of an `OpenAICall`."""

MAX_VALUES: Final = 1_000_000
"""How many values a JSON body may hold: decoded, an empty array takes 21 times the three bytes that it was sent in."""

_LENGTH_DIGITS: Final = 30
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


@lru_cache(maxsize=256)
def is_for_the_app(content_type: bytes) -> bool:
    """Whether the app reads a body of this type itself: it may be large, and parsing it is the app's business."""
    return media_type(content_type).startswith(("multipart/", "application/octet-stream"))


def declared_length(value: bytes | None) -> int | None:
    """The number of bytes that a Content-Length declares; None where it is no number (RFC 9110, section 8.6)."""
    if value is None or not value.isdigit():
        return None
    if len(value) > _LENGTH_DIGITS:
        # int() refuses thousands of digits; nobody sends a body that needs more than these.
        value = value.lstrip(b"0")[:_LENGTH_DIGITS] or b"0"
    return int(value)


class BodyReader:
    """The body of one request while it comes in.

    Args:
        content_length: The length that the request declares, or None.
        limit: How many bytes there may be.
    """

    __slots__ = ("_body", "_limit", "content_length")

    def __init__(self, content_length: int | None, limit: int) -> None:
        self.content_length = content_length
        self._limit = limit
        self._body: bytes | bytearray = b""

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return len(self._body)

    @property
    def body(self) -> bytes:
        """What has come."""
        return bytes(self._body)

    def feed(self, chunk: bytes) -> None:
        """Take some bytes.

        Raises:
            RequestTooLargeError: With them it is more than the limit.
        """
        if not self._body:
            self._body = chunk
        else:
            if not isinstance(self._body, bytearray):
                # One buffer that grows: a list of one-byte chunks takes a hundred times their size.
                self._body = bytearray(self._body)
            self._body += chunk
        if len(self._body) > self._limit:
            raise too_large(self._limit)

    def end(self) -> bytes:
        """The whole body: no more bytes come, but the server does not vouch for it.

        Where a client leaves in the middle of a body, ASGI servers tell, while WSGI servers end it as if it were
        complete.

        Raises:
            BadRequestError: The request declares more than has come.
        """
        if self.content_length is not None and len(self._body) < self.content_length:
            raise BadRequestError("The request body ended before its Content-Length.", code="incomplete_body")
        return self.body


def too_large(limit: int) -> RequestTooLargeError:
    """What a request gets whose body has more bytes than the limit."""
    return RequestTooLargeError(f"The request body is larger than {limit} bytes.", code="request_too_large")


def decode_body(body: bytes, *, is_json: bool) -> Any:
    """Decode a body that is not empty.

    Args:
        body: The bytes.
        is_json: Whether it has to be JSON. Otherwise text that is no JSON comes back as a str, and what is no text
            as bytes.

    Raises:
        BadRequestError: It has to be JSON and is not.
        RequestTooLargeError: It holds more than `MAX_VALUES`.
    """
    if len(body) > MAX_VALUES and _has_too_many_values(body):
        message = f"The request body holds more than {MAX_VALUES} values."
        raise RequestTooLargeError(message, code="request_too_large")
    try:
        return value_of(body)
    except UNDECODABLE as error:
        if is_json:
            raise _malformed(error) from error
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _has_too_many_values(body: bytes) -> bool:
    # Every value but the first stands behind a comma, a bracket or a brace.
    if _separators(body) <= MAX_VALUES:
        return False
    return _separators(_STRING.sub(b"", body)) > MAX_VALUES  # prose has commas, too


def _separators(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _malformed(error: Exception) -> BadRequestError:
    return BadRequestError(f"The request body is no valid JSON: {reason_of(error)}.", code="invalid_json")


class RequestMapping:
    """Input rules compiled: from a decoded request body to keyword arguments.

    Args:
        rules: The input rules.
        is_ordered: Whether the arguments come in the order of the rules. Otherwise in any.
    """

    __slots__ = ("_check", "_destinations", "_fields", "_mandatory", "_mandatory_destinations", "_rules", "_same")

    def __init__(self, rules: Sequence[BodyMapping], *, is_ordered: bool = True) -> None:
        self._rules = [(rule.destination_path, compile_source(rule.source_path)) for rule in rules]
        self._mandatory = [rule for rule in rules if rule.mandatory]
        self._mandatory_destinations = frozenset(rule.destination_path for rule in self._mandatory)
        fields = [(rule.destination_path, top_level_field(rule.source_path)) for rule in rules]
        # Bodies have few of the fields that there are rules for: a look-up is cheaper than a call.
        self._fields = None if any(field is None for _, field in fields) else fields
        by_field = {field: destination for destination, field in fields}
        # Of an operation's many fields a body has few: then the body is what is gone through.
        is_quick = not is_ordered and self._fields is not None and len(by_field) == len(fields)
        self._destinations = by_field if is_quick else None
        # And where they keep their names, as most do, a body that has no others is the arguments.
        is_same = is_quick and all(field == destination for field, destination in by_field.items())
        self._same = frozenset(rule.destination_path for rule in rules) if is_same else None
        self._check = self._compile_check() if is_same else None

    def _compile_check(self) -> Callable[[bytes], Any] | None:
        """A decoder that takes every object with the mandatory fields, and looks at no value but that of `stream`.

        None where a field has a name that msgspec takes for no struct.
        """
        fields: dict[str, tuple[Any, ...]] = dict.fromkeys(self._mandatory_destinations, (Raw,))
        if self._same and "stream" in self._same:
            fields["stream"] = (Any, *(() if "stream" in fields else (None,)))
        try:
            return decoder_of(fitting(fields, forbids_unknown=False, attribute="stream"))
        except ValueError:
            return None

    def extract(self, body: Any) -> dict[str, Any]:
        """The keyword arguments in a decoded body, or the body itself; None stands for one that was empty.

        Raises:
            BadRequestError: The body is nested more deeply than a path can follow.
            UnprocessableEntityError: A mandatory field is absent, or the body is no object and some field is mandatory.
        """
        destinations = self._destinations
        kwargs: dict[str, Any] = {}
        if isinstance(body, dict):
            if self._same is not None and self._same.issuperset(body):
                kwargs = body
            elif destinations is not None:
                kwargs = {destinations[field]: value for field, value in body.items() if field in destinations}
            else:
                kwargs = self._found(body)
        elif body is not None:
            self.refuse(json_kind(body))
            return kwargs
        self._require(kwargs)
        return kwargs

    def asks_for_stream(self, body: bytes) -> bool | None:
        """Whether a body that `extract` would take has `"stream": true`; None where only decoding tells, or refuses.

        A number that is out of range shows in the values alone.
        """
        check = self._check
        if check is None or (len(body) > MAX_VALUES and _has_too_many_values(body)):
            return None
        try:
            # Nobody looks into the texts for it here.
            if not body.isascii():
                body.decode()
            return getattr(check(body), "stream", None) is True
        except UNDECODABLE:
            return None

    def _require(self, kwargs: Mapping[str, Any]) -> None:
        if not kwargs.keys() >= self._mandatory_destinations:
            missing = [_source_name(rule) for rule in self._mandatory if rule.destination_path not in kwargs]
            names = ", ".join(f"'{name}'" for name in missing)
            message = f"Missing required parameter{'s' if len(missing) > 1 else ''}: {names}."
            raise UnprocessableEntityError(message, param=missing[0], code="missing_required_parameter")

    def _found(self, body: dict[str, Any]) -> dict[str, Any]:
        if self._fields is not None:
            return {destination: body[field] for destination, field in self._fields if field in body}
        found = ((destination, find(body)) for destination, find in self._rules)
        try:
            return {destination: value for destination, value in found if value is not ABSENT}
        except RecursionError as error:
            raise _malformed(error) from error

    def refuse(self, kind: str) -> None:
        """Refuse a body that is no JSON object, but this kind of thing, where a field of it would be mandatory.

        Raises:
            UnprocessableEntityError: A field is mandatory.
        """
        if self._mandatory:
            message = f"The request body must be a JSON object, not {kind}."
            raise UnprocessableEntityError(message, code="invalid_type")


def _source_name(rule: BodyMapping) -> str:
    return top_level_field(rule.source_path) or rule.source_path
