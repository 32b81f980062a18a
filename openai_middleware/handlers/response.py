"""A handler's result as an HTTP response: what plain functions, Django views and Flask views may return."""

import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from typing import Any, Final

import msgspec

from openai_middleware.errors import OpenAIError
from openai_middleware.headers import AGAINST_BUFFERING, as_text, lowered, malformed
from openai_middleware.iteration import aclose, close

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
EVENT_STREAM = "text/event-stream"

_AGAINST_BUFFERING: Final = as_text(AGAINST_BUFFERING)
_WITHOUT_BODY: Final = {204, 304}
_LINE_END: Final = re.compile("\r\n|\n|\r")


class Response:
    """An answer with everything under control.

    Args:
        body: Anything that a handler may return: a dict, list, pydantic or SDK model, str, bytes, or a generator,
            sync or async, whose items become server-sent events.
        status_code: The HTTP status, an int from 200 to 599.
        content_type: The content type; without it, the one that goes with the body.
        headers: More headers.

    Raises:
        TypeError: The body has no JSON form.
        ValueError: The status is none of an answer (200 to 599), or HTTP cannot carry a header.

    Attributes:
        headers: All headers, with names in lower case.
        content: The body as bytes, or None where it is a stream. Empty where the status allows none.
        events: The events of a stream as bytes, or None.
    """

    def __init__(
        self,
        body: Any = None,
        status_code: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if type(status_code) is not int or not 200 <= status_code <= 599:
            raise ValueError(f"An answer needs a status from 200 to 599, not {status_code!r}.")
        self.status_code = status_code
        self.content: bytes | None = None
        self.events: Iterator[bytes] | AsyncIterator[bytes] | None = None
        if isinstance(body, AsyncIterable):
            self.events, own_type = _AsyncEvents(body), EVENT_STREAM
        elif isinstance(body, Iterator):
            self.events, own_type = _Events(body), EVENT_STREAM
        elif isinstance(body, str):
            self.content, own_type = body.encode(), TEXT
        elif isinstance(body, bytes | bytearray | memoryview):
            self.content, own_type = bytes(body), BYTES
        else:
            self.content, own_type = encode_json(body), JSON
        fields = {"content-type": own_type} | lowered(headers or {})
        if content_type is not None:
            fields["content-type"] = content_type
        fields.pop("content-length", None)
        if (name := malformed(fields)) is not None:
            raise ValueError(f"HTTP has no form for the header {name!r}: its name or value holds what it forbids.")
        if status_code in _WITHOUT_BODY:
            self.content, self.events = b"", None
            fields.pop("content-type")
        elif self.content is not None:
            fields["content-length"] = str(len(self.content))
        self.headers = list(fields.items())

    @classmethod
    def rendered(cls, body: bytes | Iterator[bytes] | AsyncIterator[bytes]) -> "Response":
        """An answer that is right as it is: a JSON document, or the events of a stream."""
        response = cls.__new__(cls)
        response.status_code = 200
        response.content = response.events = None
        if isinstance(body, bytes):
            response.content = body
            response.headers = [("content-type", JSON), ("content-length", str(len(body)))]
        else:
            response.events = body
            response.headers = [("content-type", EVENT_STREAM), *_AGAINST_BUFFERING]
        return response

    @classmethod
    def of(cls, result: Any) -> "Response":
        """The response that a handler's result amounts to. A `Response` is returned as it is."""
        return result if isinstance(result, Response) else cls(result)

    @classmethod
    def of_error(cls, error: OpenAIError) -> "Response":
        """The envelope of an error, with the error's status and headers."""
        status, headers, body = error.response()
        return cls(body, status, headers=dict(as_text(headers)))


def encode_json(value: Any) -> bytes:
    """Encode a value as JSON; pydantic and SDK models may stand anywhere in it.

    Raises:
        TypeError: Something in it has no JSON form.
    """
    return _encoder.encode(value)


def encode_event(item: Any) -> bytes:
    """Encode one item of a stream as a server-sent event.

    Objects become JSON data; where they have a `type`, it is the event's name, as on OpenAI's typed streams. A str is
    sent as data, and bytes are sent as they are.

    Raises:
        TypeError: Something in it has no JSON form.
    """
    if isinstance(item, bytes | bytearray | memoryview):
        return bytes(item)
    if isinstance(item, str):
        return "".join(f"data: {line}\n" for line in _LINE_END.split(item)).encode() + b"\n"
    data = encode_json(item)
    kind = _type_of(data)
    name = f"event: {kind}\n" if kind and kind.isprintable() else ""
    return name.encode() + b"data: " + data + b"\n\n"


class _Typed(msgspec.Struct):
    type: str | None = None


def _type_of(data: bytes) -> str | None:
    try:
        return _typed.decode(data).type
    except msgspec.ValidationError:
        return None


def _plain(value: Any) -> Any:
    dump = getattr(type(value), "model_dump", None)
    if dump is None:
        raise TypeError(f"A {type(value).__name__} has no JSON form.")
    # In SDK models, a field that was never set is no null.
    is_of_sdk = any(base.__module__.partition(".")[0] == "openai" for base in type(value).__mro__)
    return dump(value, mode="json", by_alias=True, exclude_unset=is_of_sdk)


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_typed = msgspec.json.Decoder(_Typed)


class _Events(Iterator[bytes]):
    """Items as events. It is no generator: one that never started would not close what it iterates."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    def __next__(self) -> bytes:
        return encode_event(next(self._items))

    def close(self) -> None:
        """Close the items, once."""
        items, self._items = self._items, iter(())
        close(items)


class _AsyncEvents(AsyncIterator[bytes]):
    """The same, async."""

    def __init__(self, items: AsyncIterable[Any]) -> None:
        self._items: AsyncIterable[Any] | None = items
        self._iterator: AsyncIterator[Any] | None = None

    async def __anext__(self) -> bytes:
        if self._items is None:
            raise StopAsyncIteration
        if self._iterator is None:
            self._iterator = aiter(self._items)
        return encode_event(await anext(self._iterator))

    async def aclose(self) -> None:
        """Close the items, once."""
        items, self._items = self._items, None
        if self._iterator is not None and self._iterator is not items:
            await aclose(self._iterator)
        await aclose(items)
