"""What an app answers on the operations that take plain answers, whatever it answers with."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from openai_middleware.answer.answer import Answer
from openai_middleware.answer.event_stream import EventStream
from openai_middleware.answer.json_answer import JSONAnswer
from openai_middleware.answer.response_mapping import ResponseMapping
from openai_middleware.headers import Header, as_json, charset, streaming
from openai_middleware.mapping.json_codec import UNDECODABLE, encoded, value_of
from openai_middleware.replies.answers import ReplyAnswer, TextReader, invalid_answer
from openai_middleware.replies.collected import CollectedEvents
from openai_middleware.replies.forms import RENDERINGS, plain_answer, refuse_choices
from openai_middleware.replies.rendering import Rendering, asks_for_usage, choices_asked
from openai_middleware.replies.turning import events_of
from openai_middleware.request.call import OpenAICall

# What a JSON document begins with, after the white space that may stand there.
_FIRST: Final = re.compile(rb"[ \t\r\n]*([^ \t\r\n])")


class JSONReply(JSONAnswer, kw_only=True, eq=False):
    """A whole JSON answer: a text or plain values that are a reply, or OpenAI's object, turned over where events were
    asked for. See `Answer`.

    Args:
        form: What replies become on the operation.
        call: The request, where it is known.
        asks_for_stream: Whether the client asked for events.
    """

    form: "ReplyForm"
    call: OpenAICall | None
    asks_for_stream: bool

    def finish(self) -> bytes:
        """See `Answer.finish`."""
        if not self.asks_for_stream and self.chunks and self.chunks[0].startswith(b"{"):
            # An object, and asked for.
            return super().finish()
        form = self.form
        plain = self._plain_value()
        if isinstance(plain, str) and form.render is not None:
            request = _fields_of(self.call)
            refuse_choices(request)
            return self._rendered(form.render(request), plain)
        try:
            answer = None if plain is None else plain_answer(form.operation, _fields_of(self.call), plain)
        except ValueError as error:
            raise invalid_answer(form.operation, str(error), self.request_id) from error
        if answer is not None:
            return self._changed(encoded(answer), is_stream=False)
        mapped = super().finish()
        if not self.asks_for_stream or form.render is None:
            return mapped
        try:
            answer = value_of(mapped)
        except UNDECODABLE:
            return mapped
        if not isinstance(answer, Mapping):
            return mapped
        events = events_of(form.operation, answer, with_usage=asks_for_usage(_fields_of(self.call)))
        return self._changed(events, is_stream=True)

    def _plain_value(self) -> Any:
        """The value of a body that is no object, or None."""
        body = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks = [body]
        found = _FIRST.match(body)
        if found is None or found[1] == b"{":
            return None
        try:
            return value_of(body)
        except UNDECODABLE:
            return None

    def _rendered(self, rendering: Rendering, text: str) -> bytes:
        events = rendering.feed(text) + rendering.finish()
        if self.asks_for_stream:
            return self._changed(events, is_stream=True)
        return self._changed(encoded(rendering.whole()), is_stream=False)

    def _changed(self, body: bytes, *, is_stream: bool) -> bytes:
        self.is_changed = self.is_complete = True
        self.headers = streaming(self.headers) if is_stream else as_json(self.headers, body)
        return body


class RefusedChoices:
    """A reply for a request that asks for several choices: the client gets an error. See `Answer`."""

    is_stream = False
    is_changed = True
    is_complete = False
    has_started = False

    def __init__(self, request: Mapping[str, Any], headers: Sequence[Header]) -> None:
        self._request = request
        self.headers = headers

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer.feed`."""
        return b""

    def finish(self) -> bytes:
        """See `Answer.finish`."""
        refuse_choices(self._request)
        return b""

    def fail(self, error: BaseException) -> bytes:
        """See `Answer.fail`."""
        return b""


class ReplyForm:
    """What replies become on an operation: how an app's answers are read there.

    Args:
        operation: The operation.
        render: What renders a reply to a request; None where the operation takes other plain values.
    """

    def __init__(self, operation: str, render: Callable[[Mapping[str, Any]], Rendering] | None) -> None:
        self.operation = operation
        self.render = render

    def text(self, call: OpenAICall | None, headers: Sequence[Header], *, is_stream: bool) -> Answer | None:
        """An answer of plain text; None where the operation has no place for it."""
        if self.render is None:
            return None
        request = _fields_of(call)
        if choices_asked(request) is not None:
            return RefusedChoices(request, headers)
        content_types = [value for name, value in headers if name.lower() == b"content-type"]
        reader = TextReader(charset(content_types[-1]))
        return ReplyAnswer(reader, self.render(request), headers, is_stream=is_stream)

    def collected(
        self, stream: EventStream, mapping: ResponseMapping | None, headers: Sequence[Header], request_id: str
    ) -> Answer:
        """An answer of events to a request that asked for none."""
        if self.render is None:
            return stream
        return CollectedEvents(self.operation, stream, mapping, headers, request_id)


def _fields_of(call: OpenAICall | None) -> Mapping[str, Any]:
    return {} if call is None else call.kwargs


REPLY_FORMS: Final[Mapping[str, ReplyForm]] = {
    operation: ReplyForm(operation, RENDERINGS.get(operation))
    for operation in (*RENDERINGS, "embeddings.create", "models.list")
}
