"""A rewrite at work: the request that goes to another route of the app, and what that answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openai_middleware.answer.answer import Answer
from openai_middleware.answer.server_sent_events import EventReader
from openai_middleware.config.rewrite import Rewrite
from openai_middleware.headers import Header, is_json
from openai_middleware.replies.answers import ReplyAnswer
from openai_middleware.replies.forms import RENDERINGS, refuse_choices
from openai_middleware.replies.rendering import Rendering
from openai_middleware.request.call import AppRequest, OpenAICall
from openai_middleware.request.path import printable
from openai_middleware.rewrites.reading import compiled_reading, compiled_values
from openai_middleware.rewrites.request import RewrittenRequest
from openai_middleware.rewrites.streams import FirstEventDecides, StreamReader, StreamReading, splitter_of
from openai_middleware.rewrites.whole_answers import ReadAnswer, WholeReading
from openai_middleware.route import Once


class RouteRewrite:
    """An operation served by another route of the app. See `AppRewrite`.

    Args:
        operation: The operation, or None.
        name: What messages call it.
        rewrite: What users wrote.
        once: What has been said in the log.
        expects_json: Whether the operation's answer is a JSON document that is mapped.
    """

    def __init__(
        self, operation: str | None, name: str, rewrite: Rewrite, once: Once, *, expects_json: bool = True
    ) -> None:
        self.rewrite = rewrite
        self._name = name
        self._once = once
        self._expects_json = expects_json
        self._request = RewrittenRequest(rewrite)
        self.is_async = self._request.has_functions
        self._render = RENDERINGS.get(operation or "")
        compiled = compiled_values if self._render is None else compiled_reading
        whole, piece = rewrite.reply, rewrite.delta
        whole, piece = (piece if whole is None else whole), (whole if piece is None else piece)
        self._whole = None if whole is None else WholeReading(name, compiled(whole), whole)
        self._stream = StreamReading(name, None if piece is None else compiled(piece), rewrite)
        # Several choices have no form in a reply.
        self._gives_one_choice = piece is not None and self._render is not None

    def request(self, request: AppRequest, mount: str) -> AppRequest:
        """See `AppRewrite.request`."""
        if self._gives_one_choice:
            refuse_choices(request.call.kwargs)
        return self._request.make(request, mount)

    async def arequest(self, request: AppRequest, mount: str) -> AppRequest:
        """See `AppRewrite.arequest`."""
        if self._gives_one_choice:
            refuse_choices(request.call.kwargs)
        return await self._request.amake(request, mount)

    def refused(self, status: int, path: str) -> None:
        """See `AppRewrite.refused`."""
        message = f"{self._name}: {printable(path)} goes to {self.rewrite.target}, and the app answers {status} there."
        self._once.warn(message, about=f"{self._name} {status}")

    def answer(
        self,
        call: OpenAICall,
        kind: str,
        headers: Sequence[Header],
        *,
        is_stream: bool,
        native: Callable[[], Answer | None],
    ) -> Answer | None:
        """See `AppRewrite.answer`."""
        render = self._render
        answer = self.read(call, kind, headers, render, is_stream=is_stream)
        if answer is not None:
            return answer
        if render is not None and kind == "text/event-stream":
            text = StreamReader(self._stream, EventReader(), call.request_id)
            as_text = ReplyAnswer(text, render(call.kwargs), headers, is_stream=is_stream)
            return FirstEventDecides(as_text, native())
        answer = native()
        if answer is None and self._expects_json and not is_json(kind):
            self._once.warn(
                f"{self._name}: {self.rewrite.target} answers with {kind or 'no content type'}, which leaves as it is."
            )
        return answer

    def read(
        self,
        call: OpenAICall,
        kind: str,
        headers: Sequence[Header],
        render: Callable[[Mapping[str, Any]], Rendering] | None,
        *,
        is_stream: bool,
    ) -> Answer | None:
        """An answer that is read as a reply or a list; None where OpenAI's own object or plain text is meant.

        Args:
            call: The client's call.
            kind: The media type of the answer.
            headers: Its headers.
            render: What renders a reply for the client; None where a list is read.
            is_stream: Whether the client asked for events.
        """
        if kind == "application/json" or is_json(kind):
            return None if self._whole is None else ReadAnswer(self._whole, call, headers, render, is_stream=is_stream)
        splitter = None if render is None else splitter_of(kind)
        if splitter is None or render is None or (self._stream.read is None and kind == "text/event-stream"):
            return None
        reader = StreamReader(self._stream, splitter, call.request_id)
        return ReplyAnswer(reader, render(call.kwargs), headers, is_stream=is_stream)
