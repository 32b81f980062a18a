"""Answers on their way out: what they say is kept before their end leaves."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from openai_middleware.answer.failure import failed_response
from openai_middleware.answer.server_sent_events import DONE, EventReader, EventSplitter, data_of
from openai_middleware.errors import ConflictError, OpenAIError
from openai_middleware.headers import Header, describing, is_json, media_type
from openai_middleware.mapping.json_codec import UNDECODABLE, encoded, fields_of, value_of
from openai_middleware.replies.collected import failure_in
from openai_middleware.replies.turning import collector_of
from openai_middleware.store.failures import not_available, reason_of
from openai_middleware.store.items import input_items, is_storable, output_items
from openai_middleware.store.labels import searchable, searchable_metadata
from openai_middleware.store.store import (
    MAX_ID_LENGTH,
    Backend,
    Completion,
    ConversationChangedError,
    Head,
    TooLargeError,
    Turn,
    UnavailableError,
)

logger = logging.getLogger("openai_middleware")

_WITHOUT_DOCUMENT: Final = (204, 205, 206)
_COMPLETE: Final = (b'"completed"', b'"incomplete"', None)
# Quotes within a text are escaped, so that no text looks like this.
_OF_RESPONSE: Final = re.compile(rb'"response"\s*:')
_NO_ID: Final = f"the answer has no id, or one that is no str of 1 to {MAX_ID_LENGTH} characters, and is not stored."
_TERMINAL: Final = re.compile(rb'"response\.(?:completed|incomplete)"')


class _Recorder:
    """What both kinds of answers have in common. See `Recorder`."""

    headers: Sequence[Header] = ()
    is_due = False

    def __init__(self, backend: Backend, *, is_stream: bool) -> None:
        self._backend = backend
        self._is_stream = is_stream
        self._chunks: list[bytes] = []

    def begin(self, status: int, headers: Sequence[Header]) -> bool:
        """See `Recorder.begin`."""
        self._chunks = []
        self.headers = headers
        if not 200 <= status < 300 or status in _WITHOUT_DOCUMENT:
            return False
        kind = ""
        for name, value in headers:
            lowered = name.lower()
            if lowered == b"content-type":
                kind = media_type(value)
            elif lowered == b"content-encoding" and media_type(value) != "identity":
                return False
        return kind == "text/event-stream" if self._is_stream else is_json(kind)

    def feed(self, chunk: bytes, *, is_last: bool) -> bytes:
        """See `Recorder.feed`."""
        if self._is_stream:
            return self._streamed(chunk, is_last=is_last)
        self._chunks.append(chunk)
        self.is_due = is_last
        return b""

    def conclude(self) -> bytes:
        """See `Recorder.conclude`."""
        self.is_due = False
        held, self._chunks = b"".join(self._chunks), []
        if self._is_stream:
            return self._concluded(held)
        body = self._whole(held)
        if body is not held:
            self.headers = describing(self.headers, body)
        return body

    def _streamed(self, chunk: bytes, *, is_last: bool) -> bytes:
        """The bytes of a stream that leave now; what has to wait for `conclude` goes to `_chunks`."""
        raise NotImplementedError

    def _concluded(self, held: bytes) -> bytes:
        """What held bytes of a stream become, once what they complete was kept."""
        raise NotImplementedError

    def _whole(self, body: bytes) -> bytes:
        """What a whole answer becomes, once it was kept."""
        raise NotImplementedError


class ResponseRecorder(_Recorder):
    """Keeps a response, and says in it whether it was kept. See `Recorder`.

    Args:
        backend: Where it is kept.
        is_kept: Whether it is to be kept.
        is_stream: Whether the client asked for events.

    Attributes:
        owner: Whose it is.
        input: The input, as JSON.
        parent: The id of the response that it follows, or None.
        head: The conversation to which it belongs, or None.
    """

    def __init__(self, backend: Backend, *, is_kept: bool, is_stream: bool) -> None:
        super().__init__(backend, is_stream=is_stream)
        self._is_kept = is_kept
        self._is_over = False
        self.owner = ""
        self.input = b"[]"
        self.parent: str | None = None
        self.head: Head | None = None

    def _streamed(self, chunk: bytes, *, is_last: bool) -> bytes:
        if self._is_over:
            return b""
        if _OF_RESPONSE.search(chunk) is None:
            return chunk
        if _TERMINAL.search(chunk) is None:
            return self._concluded(chunk)
        self._chunks.append(chunk)
        self.is_due = True
        return b""

    def _concluded(self, held: bytes) -> bytes:
        # What leaves has been through `EventStream`, or was made here: events are whole.
        splitter = EventSplitter()
        events = splitter.feed(held)
        rest = splitter.finish()
        leaving = b""
        for event in [*events, *([rest] if rest else [])]:
            leaving += self._event(event)
            if self._is_over:
                break
        return leaving

    def _event(self, event: bytes) -> bytes:
        data = data_of(event)
        try:
            fields = fields_of(data)
            kind = value_of(fields.get("type", b"null"))
            response = fields_of(fields["response"])
        except (*UNDECODABLE, KeyError):  # it is an event without a response
            return event
        is_kept = self._is_kept
        if kind in ("response.completed", "response.incomplete"):
            try:
                is_kept = self._keep(response)
            except OpenAIError as error:
                self._is_over = True
                answer = {**value_of(fields["response"]), "store": False}
                return failed_response(error, answer, _number(fields))
        elif kind == "response.failed":
            is_kept = False
        said = self._said(response, is_kept=is_kept)
        if said is response:
            return event
        changed = msgspec.json.encode({**fields, "response": said})
        if data in event:
            return event.replace(data, changed, 1)
        return b"event: " + str(kind).encode() + b"\ndata: " + changed + b"\n\n"

    def _whole(self, body: bytes) -> bytes:
        try:
            response = fields_of(body)
        except UNDECODABLE:
            return body
        said = self._said(response, is_kept=self._keep(response))
        return body if said is response else msgspec.json.encode(said)

    def _said(self, response: dict[str, Any], *, is_kept: bool) -> dict[str, Any]:
        """The response, with what became of it."""
        own = {"store": Raw(b"true" if is_kept else b"false")}
        if self.head is not None:
            own["conversation"] = Raw(encoded({"id": self.head.id}))
        if all(name in response and bytes(response[name]) == bytes(value) for name, value in own.items()):
            return response
        return {**response, **own}

    def _keep(self, response: Mapping[str, Raw]) -> bool:
        """Keep a response that is complete. Whether it can be read again.

        Raises:
            OpenAIError: Its conversation cannot have it.
        """
        if not self._is_kept and self.head is None:
            return False
        turn = self._turn(response)
        if turn is None:
            return False
        try:
            self._backend.keep_turn(self.owner, turn)
        except ConversationChangedError as error:
            message = "Somebody else has written to this conversation meanwhile. Send the request again."
            code = "conversation_conflict"
            raise ConflictError(message, param="conversation", code=code, should_retry=True) from error
        except (UnavailableError, TooLargeError) as error:
            if self.head is not None:
                raise not_available(error) from error
            logger.error("responses.create: the answer could not be stored: %s.", reason_of(error))
            return False
        return self._is_kept

    def _turn(self, response: Mapping[str, Raw]) -> Turn | None:
        status = response.get("status")
        if (status if status is None else bytes(status)) not in _COMPLETE:
            return None
        identifier = value_of(response.get("id", b"null"))
        output = value_of(response.get("output", b"null"))
        if not is_storable(identifier):
            logger.warning("responses.create: %s", _NO_ID)
            return None
        if not isinstance(output, list) or not all(isinstance(item, Mapping) for item in output):
            logger.warning("responses.create: the answer has no output that is a list of items, and is not stored.")
            return None
        kept = self._said(dict(response), is_kept=True)
        return Turn(
            input=input_items(value_of(self.input)),
            output=output_items(output),
            response_id=identifier if self._is_kept else None,
            response=msgspec.json.encode({**kept, "output": []}),
            parent=self.parent,
            conversation=self.head,
        )


class CompletionRecorder(_Recorder):
    """Keeps a chat completion. See `Recorder`.

    Args:
        backend: Where it is kept.
        owner: Whose it is.
        messages: The messages of the request, as JSON.
        metadata: The metadata of the request.
        is_stream: Whether the client asked for events.
    """

    def __init__(self, backend: Backend, owner: str, messages: bytes, metadata: Any, *, is_stream: bool) -> None:
        super().__init__(backend, is_stream=is_stream)
        self._owner = owner
        self._messages = messages
        self._metadata = metadata if isinstance(metadata, Mapping) else {}
        self._reader = EventReader()
        self._collector = collector_of("chat.completions.create")
        self._has_failed = False
        self._open: set[str] = set()
        self._ended: set[str] = set()

    def _streamed(self, chunk: bytes, *, is_last: bool) -> bytes:
        for data in self._reader.feed(chunk):
            if data.startswith(DONE):
                self.is_due = not self._has_failed
                break
            self._take(data)
        if not self.is_due:
            return chunk
        self._chunks.append(chunk)
        return b""

    def _take(self, data: bytes) -> None:
        try:
            event = value_of(data)
        except UNDECODABLE:
            return
        if failure_in(event) is not None:
            self._has_failed = True
        elif isinstance(event, Mapping):
            self._collector.feed(event)
            choices = event.get("choices")
            for choice in choices if isinstance(choices, list) else ():
                if isinstance(choice, Mapping):
                    has_ended = choice.get("finish_reason") is not None
                    (self._ended if has_ended else self._open).add(str(choice.get("index")))

    def _concluded(self, held: bytes) -> bytes:
        # What the mapping has repaired ends with `[DONE]` also where the app's stream was cut.
        whole = self._collector.whole() if self._ended and self._open <= self._ended else None
        if whole is not None:
            self._keep(whole)
        return held

    def _whole(self, body: bytes) -> bytes:
        self._keep(body)
        return body

    def _keep(self, completion: bytes) -> None:
        try:
            fields = fields_of(completion)
            identifier, model = (value_of(fields.get(name, b"null")) for name in ("id", "model"))
        except UNDECODABLE:
            return
        if not is_storable(identifier):
            logger.warning("chat.completions.create: %s", _NO_ID)
            return
        kept = Completion(
            id=identifier,
            data=msgspec.json.encode({**fields, "metadata": self._metadata}),
            messages=self._messages,
            model=searchable(model) if isinstance(model, str) else "",
            metadata=searchable_metadata(self._metadata),
        )
        try:
            self._backend.keep_completion(self._owner, kept)
        except (UnavailableError, TooLargeError) as error:
            logger.error("chat.completions.create: the answer could not be stored: %s.", reason_of(error))


def _number(fields: Mapping[str, Raw]) -> int:
    number = value_of(fields.get("sequence_number", b"0"))
    return number if isinstance(number, int) else 0
