"""What a handler returns, as a `Response`: a reply is rendered for the operation, all else leaves as it is.

The first item of an iterator is awaited: until then, a failure is a status.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from openai_middleware.errors import OpenAIError
from openai_middleware.handlers.handler import reported
from openai_middleware.handlers.reply_handler import Choices
from openai_middleware.handlers.response import Response
from openai_middleware.iteration import aclose, aiterate, close, iterate
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.replies.chat import ChatRendering
from openai_middleware.replies.chat_reader import is_chat_object
from openai_middleware.replies.forms import RENDERINGS, is_reply, plain_answer, refuse_choices
from openai_middleware.replies.rendering import NotAReplyError, Rendering
from openai_middleware.request.call import OpenAICall
from openai_middleware.route import CallHandler, HandlerSource

_END: Final = object()


def respond(source: HandlerSource, call: OpenAICall, *first: Any) -> Response:
    """Call a handler from sync code, and make a response of what it returns.

    Args:
        source: What finds the function.
        call: The call.
        first: See `Handler.__call__`.

    Raises:
        NotFoundError: No function is there for the call.
        TypeError: It returned what is neither a reply nor has a JSON form.
    """
    handler = source.handler_for(call)
    answering = _Answering(handler, call)
    result = handler.run(call, *first)
    if not answering.may_iterate(result):
        return answering.whole(result)
    items = iterate(result)
    try:
        item = next(items, _END)
        if not answering.is_said(item):
            return Response(_preceded(item, items))
        rendering = answering.begin()
        if answering.is_stream:
            return answering.rendered(_events(answering, rendering, answering.fed(rendering, item), items))
        answering.fed(rendering, item)
        for item in items:
            answering.fed(rendering, item)
    except BaseException:
        close(items)
        raise
    close(items)
    return answering.collected(rendering)


async def arespond(
    source: HandlerSource, call: OpenAICall, *first: Any, pool: ThreadPoolExecutor | None = None
) -> Response:
    """The same as `respond`, from async code.

    Args:
        source: What finds the function.
        call: The call.
        first: See `Handler.__call__`.
        pool: Where sync code runs; None is the pool that all handlers share.
    """
    handler = source.handler_for(call)
    answering = _Answering(handler, call)
    result = await handler.arun(call, *first, pool=pool)
    if not answering.may_iterate(result):
        return answering.whole(result)
    items = aiterate(result, pool)
    try:
        item = await anext(items, _END)
        if not answering.is_said(item):
            return Response(_apreceded(item, items))
        rendering = answering.begin()
        if answering.is_stream:
            return answering.rendered(_aevents(answering, rendering, answering.fed(rendering, item), items))
        answering.fed(rendering, item)
        async for item in items:
            answering.fed(rendering, item)
    except BaseException:
        await aclose(items)
        raise
    await aclose(items)
    return answering.collected(rendering)


class _Answering:
    """What a handler's result is for one call."""

    def __init__(self, handler: CallHandler, call: OpenAICall) -> None:
        self._handler = handler
        self.call = call
        self._render = RENDERINGS.get(call.operation or "")
        self.is_stream = call.kwargs.get("stream") is True

    def may_iterate(self, result: Any) -> bool:
        """Whether a result is an iterator that may give the pieces of a reply."""
        return self._render is not None and isinstance(result, Iterator | AsyncIterable)

    def is_said(self, item: Any) -> bool:
        """Whether the first item of an iterator shows that its items are a reply."""
        if item is _END or is_reply(item):
            return True
        return self.call.operation != "chat.completions.create" and is_chat_object(item)

    def begin(self) -> Rendering:
        """Begin a reply."""
        assert self._render is not None
        if not self._handler.takes_choices:
            refuse_choices(self.call.kwargs)
        return self._render(self.call.kwargs)

    def fed(self, rendering: Rendering, item: Any) -> bytes:
        """Feed an item, and return what it makes.

        Raises:
            TypeError: It is no piece of a reply.
        """
        try:
            return rendering.feed(None if item is _END else item)
        except NotAReplyError as error:
            raise TypeError(f"{self._handler.name} gave no reply: {error}.") from None

    def whole(self, result: Any) -> Response:
        """The response that a result is which is no iterator."""
        if isinstance(result, Response):
            return result
        call = self.call
        if isinstance(result, Choices):
            choices = ChatRendering(call.kwargs)
            events = b""
            for index, reply in enumerate(result):
                choices.choose(index)
                events += self.fed(choices, reply)
            return self._said(choices, events)
        if self._render is not None and self.is_said(result):
            rendering = self.begin()
            return self._said(rendering, self.fed(rendering, result))
        plain = plain_answer(call.operation, call.kwargs, result)
        if plain is None:
            return Response.of(result)
        return self._final(encoded(plain))

    def collected(self, rendering: Rendering) -> Response:
        """The response of a reply that was fed to its end."""
        rendering.finish()
        return self._final(encoded(rendering.whole()))

    def rendered(self, events: Iterator[bytes] | AsyncIterator[bytes]) -> Response:
        """The response of events."""
        self.call.delivery.is_final = True
        return Response.rendered(events)

    def _said(self, rendering: Rendering, events: bytes) -> Response:
        if self.is_stream:
            return self._final_stream(events + rendering.finish())
        return self.collected(rendering)

    def _final(self, body: bytes) -> Response:
        self.call.delivery.is_final = True
        return Response.rendered(body)

    def _final_stream(self, events: bytes) -> Response:
        self.call.delivery.is_final = True
        return Response.rendered(iter((events,)))

    def failed(self, rendering: Rendering, error: Exception) -> bytes:
        """What ends a stream whose handler failed; the log has the rest."""
        return rendering.fail(error if isinstance(error, OpenAIError) else reported(error, self.call))


def _events(answering: _Answering, rendering: Rendering, ready: bytes, items: Iterator[Any]) -> Iterator[bytes]:
    try:
        try:
            yield ready
            for item in items:
                if ready := answering.fed(rendering, item):
                    yield ready
            ready = rendering.finish()
        except Exception as error:
            ready = answering.failed(rendering, error)
        yield ready
    finally:
        close(items)


async def _aevents(
    answering: _Answering, rendering: Rendering, ready: bytes, items: AsyncIterator[Any]
) -> AsyncIterator[bytes]:
    try:
        try:
            yield ready
            async for item in items:
                if ready := answering.fed(rendering, item):
                    yield ready
            ready = rendering.finish()
        except Exception as error:
            ready = answering.failed(rendering, error)
        yield ready
    finally:
        await aclose(items)


def _preceded(item: Any, items: Iterator[Any]) -> Iterator[Any]:
    try:
        yield item
        yield from items
    finally:
        close(items)


async def _apreceded(item: Any, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        yield item
        async for following in items:
            yield following
    finally:
        await aclose(items)
