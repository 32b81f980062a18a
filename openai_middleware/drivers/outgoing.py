"""The messages of an ASGI app on their way to the server."""

import asyncio
import sys
from collections.abc import Awaitable, Sequence
from contextlib import nullcontext, suppress

from openai_middleware.answer.answer import Answer
from openai_middleware.errors import OpenAIError
from openai_middleware.exchange import Exchange
from openai_middleware.headers import Header, identified
from openai_middleware.interfaces import Message, Receive, Send, error_messages
from openai_middleware.iteration import is_on_asyncio


class Outgoing:
    """The app's messages on their way to the server.

    state      entered by                                 a message of the app
    ---------  -----------------------------------------  ----------------------------------------------------------
    waiting    the request                                its start is kept back until it shows what leaves first
    suspended  a 500 of one part, sent while an           kept back: a framework's page for an OpenAIError that it
               OpenAIError is on its way                  raises again, and that is answered instead
    mapping    a start whose answer the exchange maps     goes through the answer
    ending     the last body of a stream that does not    kept back, until the app has returned, failed, or waits
               say itself that it is over                 for the client: frameworks end bodies before they raise
    passing    any other start; a file; an answer's end   leaves as it is
    replaced   an error in the place of the answer        goes nowhere

    Args:
        exchange: The request that the app answers.
        receive: The server's.
        send: The server's.

    Attributes:
        request: The body of the request as one message, until the app has received it; None where it was not read.
        has_started: Whether something has left.
        is_withholding: Whether something is kept back that `end` lets go of.
    """

    __slots__ = (
        "_answer",
        "_ending",
        "_exchange",
        "_headers",
        "_held",
        "_is_broken",
        "_is_passing",
        "_is_replaced",
        "_is_suspended",
        "_last",
        "_queue",
        "_receive",
        "_receiving",
        "_send",
        "_stream",
        "has_started",
        "is_withholding",
        "request",
    )

    def __init__(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._answer: Answer | None = None
        self._stream: Answer | None = None
        self._held: list[Message] | None = None
        self._last: Message | None = None
        self._queue: list[Message] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._headers: Sequence[Header] = ()
        self._receiving = 0
        self._is_suspended = self._is_passing = self._is_replaced = self._is_broken = False
        self.request: Message | None = None
        self.has_started = self.is_withholding = False

    async def receive(self) -> Message:
        """The app's `receive`: the body that was read, then the server's own."""
        request = self.request
        if request is not None:
            self.request = None
            return request
        # An app that waits for the client to go has answered: nothing else will come to replace the answer.
        if self.is_withholding:
            await self._end_beside_the_app()
        self._receiving += 1
        try:
            return await self._receive()
        finally:
            self._receiving -= 1

    def send(self, message: Message) -> Awaitable[None]:
        """The app's `send`. What passes is the server's own business: no step more for each of its messages."""
        stream = self._stream
        if stream is not None and self._queue is None and message["type"] == "http.response.body":
            part = message.get("body")
            if message.get("more_body") and type(part) is bytes:
                # In the middle of a stream.
                ready = stream.feed(part)
                if ready is part:
                    return self._forward_one(message)
                return self._forward_one({**message, "body": ready}) if ready else _nothing()
        if not self._is_passing:
            is_start = message["type"] == "http.response.start"
            leaving = self._started(message) if is_start else self._leaving(message)
            return self._forward(leaving) if leaving else _nothing()
        return self._send(message) if self._queue is None else self._forward((message,))

    async def end(self) -> None:
        """Let go of what was held back for an exception that has not come, and wait until it has left."""
        await (self._ending or self._end())

    async def _end(self) -> None:
        if self._is_suspended:
            await self._forward(self._released())
        elif self._last is not None:
            await self._forward(self._ended())
        self.is_withholding = False

    async def _end_beside_the_app(self) -> None:
        """The same for a task of the app that waits for the client: the app may cancel it before all has left."""
        if not is_on_asyncio():
            trio = sys.modules.get("trio")
            with trio.CancelScope(shield=True) if trio and trio.lowlevel.in_trio_run() else nullcontext():
                await self._end()
            return
        self._ending = self._ending or asyncio.ensure_future(self._end())
        await asyncio.shield(self._ending)

    async def fail(self, error: Exception) -> bool:
        """End what has begun for an app that failed. Whether the error has become the answer, and is done with."""
        if not self.has_started and isinstance(error, OpenAIError):
            self._held = self._last = None
            await self._forward(self._replaced_by(error))
            return True
        if self._is_suspended:
            await self._forward(self._released())
        elif self._answer is not None and self._is_unfinished:
            self._last, self._is_passing, self._stream = None, True, None
            with suppress(OSError):
                await self._forward(({"type": "http.response.body", "body": self._answer.fail(error)},))
        return False

    @property
    def _is_unfinished(self) -> bool:
        """Whether something has left, and the server waits for more of it."""
        return self.has_started and not (self._is_passing or self._is_replaced or self._is_broken)

    def _leaving(self, message: Message) -> Sequence[Message]:
        """What leaves when the app has sent this."""
        kind = message["type"]
        if self._is_replaced:
            return ()
        if kind == "http.response.body" and self._is_suspended:
            if message.get("more_body", False):
                return (*self._released(), message)
            self._hold(message)
            return ()
        if kind == "http.response.body" and self._answer is not None and self._last is None:
            part = bytes(message.get("body", b""))  # Starlette sends memoryviews too; of bytes this is no copy
            is_last = not message.get("more_body", False)
            if self._answer.is_stream:
                return self._streamed(self._answer, message, part, is_last=is_last)
            return self._collected(self._answer, message, part, is_last=is_last)
        if kind in ("http.response.pathsend", "http.response.zerocopysend"):
            return (*self._released(), message)
        return (*self._ended(), message)

    def _started(self, start: Message) -> Sequence[Message]:
        """The same of a start."""
        if self._is_replaced:
            return ()
        if self.has_started:
            return (*self._ended(), start)
        if self._answer is not None or self._held:
            # It would overtake the one that is kept back. Servers say the same of one that has left.
            raise RuntimeError("The app sent a second http.response.start.")
        given = start.get("headers", ())
        # ASGI allows any iterable; one that can be read only once is read here.
        given = given if isinstance(given, (list, tuple)) else list(given)
        headers = identified(given, self._exchange.request_id)
        self._held, self._headers = [start], headers
        if start["status"] == 500 and isinstance(sys.exc_info()[1], OpenAIError) and not start.get("trailers"):
            self._is_suspended = self.is_withholding = True
            return ()
        self._answer = self._exchange.answer(start["status"], headers)
        return self._released() if self._answer is None else ()

    def _collected(self, answer: Answer, message: Message, part: bytes, *, is_last: bool) -> Sequence[Message]:
        answer.feed(part)
        if not is_last:
            self._hold(message)
            return ()
        try:
            body = answer.finish()
        except OpenAIError as error:
            return self._replaced_by(error)
        held, self._held = self._held or [], None
        self.has_started = self._is_passing = True
        start = held[0]
        if start["headers"] is not answer.headers:
            held[0] = start = {**start, "headers": answer.headers}
        return (start, {**message, "body": body}) if answer.is_changed else [*held, message]

    def _hold(self, message: Message) -> None:
        held = self._held = self._held or []
        held.append(message)

    def _streamed(self, answer: Answer, message: Message, part: bytes, *, is_last: bool) -> Sequence[Message]:
        ready = answer.feed(part)
        if is_last:
            self._stream = None
            if not answer.is_complete and not self._receiving:
                self._last, self.is_withholding = message, True
                return (*self._begun(answer), {**message, "body": ready, "more_body": True}) if ready else ()
            try:
                ready += answer.finish()
            except OpenAIError as error:
                return self._replaced_by(error)
            self._is_passing = True
        elif not ready:
            return ()
        else:
            self._stream = answer
        return (*self._begun(answer), message if ready == part else {**message, "body": ready})

    def _ended(self) -> Sequence[Message]:
        """The end of a stream whose last body was held back."""
        last, answer = self._last, self._answer
        if last is None or answer is None:
            return ()
        self._last, self._is_passing, self._stream = None, True, None
        try:
            rest = answer.finish()
        except OpenAIError as error:
            return self._replaced_by(error)
        return (*self._begun(answer), {**last, "body": rest})

    def _begun(self, answer: Answer) -> Sequence[Message]:
        """The start of a stream, when its first bytes leave."""
        if not self._held:
            return ()
        [start], self._held = self._held, None
        self.has_started = True
        return ({**start, "headers": answer.headers},)

    def _released(self) -> Sequence[Message]:
        """All that was held back, as it is."""
        held, self._held = self._held or [], None
        self.has_started = self._is_passing = True
        self._is_suspended = False
        if held and held[0].get("headers", ()) is not self._headers:
            held[0] = {**held[0], "headers": self._headers}
        return held

    def _replaced_by(self, error: OpenAIError) -> Sequence[Message]:
        self.has_started = self._is_replaced = True
        self._is_passing = False
        return error_messages(error, self._exchange.request_id)

    async def _forward_one(self, message: Message) -> None:
        send = self._send
        try:
            await send(message)
        except BaseException:
            self._is_broken = True
            raise

    async def _forward(self, messages: Sequence[Message]) -> None:
        if self._queue is not None:
            # Another task of the app sends what was held back; this comes after it.
            self._queue.extend(messages)
            return
        send = self._send
        try:
            if len(messages) == 1:
                await send(messages[0])
            elif messages:
                self._queue = queue = list(messages)
                try:
                    # It may grow meanwhile.
                    for message in queue:
                        await send(message)
                finally:
                    self._queue = None
        except BaseException:
            self._is_broken = True
            raise


async def _nothing() -> None:
    """Nothing leaves."""
