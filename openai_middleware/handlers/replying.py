"""What a handler returns, as a `Response`: a reply is rendered for the operation, all else leaves as it is.

The first item of an iterator is awaited: until then, a failure is a status.
"""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Final

from asgiref.sync import async_to_sync

from openai_middleware.errors import OpenAIError
from openai_middleware.handlers.handler import reported
from openai_middleware.handlers.passing import PassingChunks
from openai_middleware.handlers.reply_handler import Choices
from openai_middleware.handlers.response import Response
from openai_middleware.iteration import AsyncRest, OwnLoop, Rest, aclose, aiterate, close, iterate
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.replies.chat import ChatRendering
from openai_middleware.replies.chat_call import CHAT
from openai_middleware.replies.chat_reader import is_chat_object
from openai_middleware.replies.forms import RENDERINGS, is_reply, plain_answer, refuse_choices
from openai_middleware.replies.rendering import NotAReplyError, Rendering
from openai_middleware.request.call import OpenAICall
from openai_middleware.route import CallHandler, HandlerSource

logger = logging.getLogger("openai_middleware")

_END: Final = object()


def respond(source: HandlerSource, call: OpenAICall, *first: Any) -> Response:
    """Call a handler from sync code, and make a response of what it returns.

    A coroutine, and the stream that it returns, run on one event loop of their own.

    Args:
        source: What finds the function.
        call: The call.
        first: See `Handler.__call__`.

    Raises:
        NotFoundError: No function is there for the call.
        TypeError: It returned what is neither a reply nor has a JSON form.
    """
    handler = source.handler_for(call)
    loop = OwnLoop()
    try:
        result = handler.run(call, *first, loop=loop)
    except BaseException:
        loop.close()
        raise
    return _response(_Answering(handler, call), result, loop)


def respond_by_asgiref(source: HandlerSource, call: OpenAICall, *first: Any, is_asgi: bool) -> Response:
    """The same, for frameworks that live by asgiref: what a coroutine runs in a thread, runs in this one.

    Args:
        source: See `respond`.
        call: See `respond`.
        first: See `respond`.
        is_asgi: Whether an ASGI server has called this code in a thread: then a stream is read on its event loop.
    """
    handler = source.handler_for(call)
    answering = _Answering(handler, call)
    result = handler.run(call, *first)
    if is_asgi and answering.may_iterate(result):
        on_server: Any = async_to_sync(_aresponse)
        return on_server(answering, result, None)  # type: ignore[no-any-return]
    if is_asgi:
        return answering.whole(result)
    return _response(answering, result, OwnLoop())


def _response(answering: "_Answering", result: Any, loop: OwnLoop) -> Response:
    if not answering.may_iterate(result):
        try:
            response = answering.whole(result)
        except BaseException:
            loop.close()
            raise
        if response.events is None:
            loop.close()
        else:
            response.events = iterate(response.events, loop)
        return response
    items = iterate(result, loop)
    try:
        item = next(items, _END)
        if not answering.is_said(item):
            return Response(Rest(_passed(answering, item, items), items))
        rendering = answering.begin()
        ready = answering.fed(rendering, item)
        if answering.is_stream:
            return answering.rendered(Rest(_events(answering, rendering, ready, items), items))
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
    return await _aresponse(answering, result, pool)


async def _aresponse(answering: "_Answering", result: Any, pool: ThreadPoolExecutor | None) -> Response:
    items = aiterate(result, pool)
    try:
        item = await anext(items, _END)
        if not answering.is_said(item):
            return Response(AsyncRest(_apassed(answering, item, items), items))
        rendering = answering.begin()
        ready = answering.fed(rendering, item)
        if answering.is_stream:
            return answering.rendered(AsyncRest(_aevents(answering, rendering, ready, items), items))
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
        self._takes_replies = call.operation in RENDERINGS
        self.is_stream = call.kwargs.get("stream") is True

    def may_iterate(self, result: Any) -> bool:
        """Whether a result is an iterator that may give the pieces of a reply."""
        return self._takes_replies and isinstance(result, Iterator | AsyncIterable)

    def is_said(self, item: Any) -> bool:
        """Whether a result, or the first item of an iterator, is a reply that is to be rendered.

        Raises:
            TypeError: It is no reply, and the function gives nothing else.
        """
        if item is _END or is_reply(item):
            return True
        if is_chat_object(item):
            return self.call.operation != CHAT
        if self._handler.only_replies:
            raise self.named(NotAReplyError(item))
        return False

    def passing(self, first: Any) -> PassingChunks | None:
        """What becomes of items that are not to be rendered; None where they leave as they are."""
        if not is_chat_object(first):
            return None
        return PassingChunks(self.call, first, only_replies=self._handler.only_replies)

    def begin(self) -> Rendering:
        """Begin a reply."""
        if not self._handler.takes_choices:
            refuse_choices(self.call.kwargs)
        return RENDERINGS[self.call.operation or ""](self.call.kwargs)

    def fed(self, rendering: Rendering, item: Any) -> bytes:
        """Feed an item, and return what it makes.

        Raises:
            TypeError: It is no piece of a reply.
        """
        try:
            return rendering.feed(None if item is _END else item)
        except NotAReplyError as error:
            raise self.named(error) from None

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
        if self._takes_replies and self.is_said(result):
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
            return self.rendered(iter((events + rendering.finish(),)))
        return self.collected(rendering)

    def _final(self, body: bytes) -> Response:
        self.call.delivery.is_final = True
        return Response.rendered(body)

    def failed(self, rendering: Rendering, error: Exception) -> bytes:
        """What ends a stream whose handler failed; the log has the rest."""
        if isinstance(error, NotAReplyError):
            error = self.named(error)
        if not isinstance(error, OpenAIError):
            error = reported(error, self.call)
        else:
            call = self.call
            message = "%s: the reply broke off with %d %s (request %s)."
            logger.warning(message, call.operation, error.status_code, error.code or error.type, call.request_id)
        return rendering.fail(error)

    def named(self, error: NotAReplyError) -> TypeError:
        """An error that names the function besides, for the log."""
        return TypeError(f"{self._handler.name} gave no reply: {error}.")


def _events(answering: _Answering, rendering: Rendering, ready: bytes, items: Iterator[Any]) -> Iterator[bytes]:
    feed = rendering.feed
    try:
        yield ready
        for item in items:
            if ready := feed(item):
                yield ready
        ready = rendering.finish()
    except Exception as error:
        ready = answering.failed(rendering, error)
    yield ready


async def _aevents(
    answering: _Answering, rendering: Rendering, ready: bytes, items: AsyncIterator[Any]
) -> AsyncIterator[bytes]:
    feed = rendering.feed
    try:
        yield ready
        async for item in items:
            if ready := feed(item):
                yield ready
        ready = rendering.finish()
    except Exception as error:
        ready = answering.failed(rendering, error)
    yield ready


def _passed(answering: _Answering, first: Any, items: Iterator[Any]) -> Iterator[Any]:
    passing = answering.passing(first)
    if passing is None:
        yield first
        yield from items
        return
    try:
        for item in chain((first,), items):
            if ready := passing.feed(item):
                yield ready
    except NotAReplyError as error:
        raise answering.named(error) from None
    yield passing.finish()


async def _apassed(answering: _Answering, first: Any, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    passing = answering.passing(first)
    yield first if passing is None else passing.feed(first)
    try:
        async for item in items:
            if passing is None:
                yield item
            elif ready := passing.feed(item):
                yield ready
    except NotAReplyError as error:
        raise answering.named(error) from None
    if passing is not None:
        yield passing.finish()
