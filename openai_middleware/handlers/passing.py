"""Chat completions of another client that leave as they are, and what a function says beside them."""

from typing import Any

from openai_middleware.handlers.response import encode_event
from openai_middleware.replies.chat import ChatRendering
from openai_middleware.replies.chat_reader import is_chat_object, is_chunk
from openai_middleware.replies.forms import is_reply
from openai_middleware.replies.reply import fields_of_object
from openai_middleware.request.call import OpenAICall


class PassingChunks:
    """Items of an iterator whose first one is a chat completion or a chunk, where chat completions were asked for.

    Chunks leave as they are. What is said beside them becomes chunks of the same answer; from then on all items are
    rendered, since the calls of both are counted together.

    Args:
        call: The call.
        first: The first item.
        only_replies: See `CallHandler`.
    """

    def __init__(self, call: OpenAICall, first: Any, *, only_replies: bool) -> None:
        self._call = call
        self._first = first
        self._only_replies = only_replies
        self._rendering: ChatRendering | None = None
        self._is_open = self._has_ended = False
        # The chunks that a rendering has to know: those with calls.
        self._told: list[Any] = []

    def feed(self, item: Any) -> bytes:
        """The events that an item makes.

        Raises:
            NotAReplyError: It is no piece of a reply, and the function gives nothing else.
            TypeError: Something in it has no JSON form.
        """
        rendering = self._rendering
        if rendering is None and is_chunk(item):
            return self._passed(item)
        if item is None or item == "":
            return b""
        if not self._only_replies:
            # A function that writes its own events may go on with that.
            if item == "[DONE]":
                return self.finish() or encode_event(item)
            if not (is_reply(item) or is_chat_object(item)):
                return encode_event(item)
        rendering = rendering or self._begun()
        ready = rendering.feed(item)
        if ready:
            rendering.has_ended = False
        return ready

    def finish(self) -> bytes:
        """The events that end the stream, where the chunks do not."""
        rendering, self._rendering = self._rendering, None
        return b"" if rendering is None else rendering.finish()

    def _passed(self, chunk: Any) -> bytes:
        event = encode_event(chunk)
        # No string holds these, since its quotes would have backslashes.
        if b'"tool_calls":[' in event or b'"function_call":{' in event:
            self._told.append(chunk)
        self._is_open = self._is_open or b'"role":"' in event
        self._has_ended = self._has_ended or b'"finish_reason":"' in event
        return event

    def _begun(self) -> ChatRendering:
        call = self._call
        request = call.kwargs
        if request.get("stream") is not True:
            # Where a whole answer is wanted, the chunks are collected.
            request = {**request, "stream": True, "stream_options": {"include_usage": True}}
        rendering = self._rendering = ChatRendering(request, fields_of_object(self._first))
        rendering.follow(self._told, is_open=self._is_open)
        rendering.has_ended = self._has_ended
        return rendering
