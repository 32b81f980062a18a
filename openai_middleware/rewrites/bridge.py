"""The bridge: an operation served by way of chat completions."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from openai_middleware.answer.answer import Answer
from openai_middleware.answer.server_sent_events import EventReader
from openai_middleware.errors import UnprocessableEntityError
from openai_middleware.handlers.bridged import chat_path
from openai_middleware.headers import Header, charset, is_json
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.mapping.json_path import ABSENT
from openai_middleware.replies.answers import PieceReader, ReplyAnswer, TextReader
from openai_middleware.replies.chat_call import chat_call
from openai_middleware.replies.chat_reader import is_chat_object
from openai_middleware.replies.forms import RENDERINGS, refuse_choices
from openai_middleware.request.call import AppRequest, OpenAICall
from openai_middleware.request.path import printable
from openai_middleware.rewrites.app_rewrite import RouteRewrite
from openai_middleware.rewrites.streams import StreamReader, StreamReading
from openai_middleware.rewrites.whole_answers import ReadAnswer, WholeReading
from openai_middleware.route import Once


class Bridge:
    """An operation served by way of chat completions: the app's own, or what a rewrite makes of them. See `AppRewrite`.

    Args:
        operation: The operation that clients ask for.
        target: The rewrite of chat completions, or None where the app serves them itself.
        once: What has been said in the log.
    """

    def __init__(self, operation: str, target: RouteRewrite | None, once: Once) -> None:
        self._operation = operation
        self._target = target
        self._once = once
        self.is_async = target is not None and target.is_async
        self._chat_stream = StreamReading(operation, None, None if target is None else target.rewrite)
        self._chat_object = WholeReading(operation, _chat_object, "$.choices")

    def request(self, request: AppRequest, mount: str) -> AppRequest:
        """See `AppRewrite.request`."""
        call = self._chat_call(request)
        if self._target is None:
            return self._chat_request(request, call, mount)
        return self._target.request(replace(request, call=call), mount)

    async def arequest(self, request: AppRequest, mount: str) -> AppRequest:
        """See `AppRewrite.arequest`."""
        call = self._chat_call(request)
        if self._target is None:
            return self._chat_request(request, call, mount)
        return await self._target.arequest(replace(request, call=call), mount)

    def refused(self, status: int, path: str) -> None:
        """See `AppRewrite.refused`."""
        if self._target is not None:
            self._target.refused(status, path)
        else:
            shown, where = printable(path), printable(chat_path(self._operation, path))
            message = f"{self._operation}: {shown} goes to {where}, and the app answers {status} there."
            self._once.warn(message, about=f"{self._operation} {status}")

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
        render = RENDERINGS[self._operation]
        if self._target is not None:
            answer = self._target.read(call, kind, headers, render, is_stream=is_stream)
            if answer is not None:
                return answer
        if is_json(kind):
            return ReadAnswer(self._chat_object, call, headers, render, is_stream=is_stream)
        reader = self._chat_reader(kind, call.request_id, headers)
        if reader is None:
            self._once.warn(f"{self._operation}: the app answers chat with {kind or 'no content type'}, as it is.")
            return None
        return ReplyAnswer(reader, render(call.kwargs), headers, is_stream=is_stream)

    def _chat_call(self, request: AppRequest) -> OpenAICall:
        if request.body is None:
            message = "The request body must be a JSON object, not a multipart or octet-stream body."
            raise UnprocessableEntityError(message, code="invalid_type")
        call = request.call
        refuse_choices(call.kwargs)
        return chat_call(call, chat_path(self._operation, call.path))

    def _chat_request(self, request: AppRequest, call: OpenAICall, mount: str) -> AppRequest:
        body = encoded(call.body)
        path = mount + call.path
        return AppRequest(
            call=call,
            method=request.method,
            path=path,
            headers=[
                *request.headers,
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
            ],
            body=body,
            raw_path=quote(path).encode(),
        )

    def _chat_reader(self, kind: str, request_id: str, headers: Sequence[Header]) -> PieceReader | None:
        if kind == "text/event-stream":
            return StreamReader(self._chat_stream, EventReader(), request_id)
        if kind == "text/plain":
            content_types = [value for name, value in headers if name.lower() == b"content-type"]
            return TextReader(charset(content_types[-1]))
        return None


def _chat_object(value: Any) -> Any:
    return value if isinstance(value, str) or is_chat_object(value) else ABSENT
