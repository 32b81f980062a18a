"""A rewrite at work: the request that goes to another route of the app, and what that answers."""

from collections.abc import Callable, Sequence

from openai_middleware.answer.answer import Answer
from openai_middleware.answer.server_sent_events import EventReader
from openai_middleware.config.rewrite import Rewrite
from openai_middleware.headers import Header, is_json
from openai_middleware.replies.answers import PlainAnswer, ReplyAnswer
from openai_middleware.replies.forms import RENDERINGS, refuse_choices
from openai_middleware.request.call import AppRequest, OpenAICall
from openai_middleware.request.path import printable
from openai_middleware.rewrites.reading import (
    FirstEventDecides,
    Read,
    StreamReader,
    WholeReader,
    compiled_reading,
    compiled_values,
    splitter_of,
)
from openai_middleware.rewrites.request import RewrittenRequest
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
        self._operation = operation
        self._name = name
        self._once = once
        self._expects_json = expects_json
        self._request = RewrittenRequest(rewrite)
        compiled = compiled_reading if operation in RENDERINGS else compiled_values
        self._reply: Read | None = None if rewrite.reply is None else compiled(rewrite.reply)
        delta = rewrite.reply if rewrite.delta is None else rewrite.delta
        self._delta: Read | None = None if delta is None else compiled(delta)

    def request(self, request: AppRequest, mount: str) -> AppRequest:
        """See `AppRewrite.request`."""
        self._refuse_choices(request.call)
        return self._request.make(request, mount)

    async def arequest(self, request: AppRequest, mount: str) -> AppRequest:
        """See `AppRewrite.arequest`."""
        self._refuse_choices(request.call)
        if self._request.has_functions:
            return await self._request.amake(request, mount)
        return self._request.make(request, mount)

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
        reader = self.reader(kind, call.request_id)
        render = RENDERINGS.get(self._operation or "")
        if reader is None:
            if render is not None and kind == "text/event-stream":
                text = StreamReader(self._name, call.request_id, EventReader(), None, self.rewrite.done)
                as_text = ReplyAnswer(text, render(call.kwargs), headers, is_stream=is_stream)
                return FirstEventDecides(as_text, native())
            answer = native()
            if answer is None and self._expects_json and not is_json(kind):
                self._once.warn(
                    f"{self._name}: {self.rewrite.target} answers with {kind or 'no content type'}, which leaves as it "
                    "is."
                )
            return answer
        if render is not None:
            return ReplyAnswer(reader, render(call.kwargs), headers, is_stream=is_stream)
        return PlainAnswer(self._name, call.request_id, self._operation, call.kwargs, reader, headers)

    def reader(self, kind: str, request_id: str) -> WholeReader | StreamReader | None:
        """What reads an answer of this media type as a reply; None where OpenAI's own object or plain text is meant."""
        if is_json(kind):
            read = self._reply or self._delta
            path = self.rewrite.delta if self.rewrite.reply is None else self.rewrite.reply
            return None if read is None else WholeReader(self._name, request_id, read, path)
        splitter = splitter_of(kind)
        if splitter is None or self._operation not in RENDERINGS:
            return None
        if self._delta is None and kind == "text/event-stream":
            return None
        return StreamReader(self._name, request_id, splitter, self._delta, self.rewrite.done)

    def _refuse_choices(self, call: OpenAICall) -> None:
        if self._delta is not None and self._operation in RENDERINGS:
            refuse_choices(call.kwargs)
