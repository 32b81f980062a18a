"""The messages of an ASGI app on their way to the server."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from typing import Final

from openai_middleware.answer.answer import Answer
from openai_middleware.errors import OpenAIError
from openai_middleware.exchange import Exchange
from openai_middleware.headers import Header
from openai_middleware.interfaces import Message, Receive, Send, error_messages
from openai_middleware.iteration import is_on_asyncio


class Outgoing:
    """The app's messages on their way to the server.

    state       entered by                                 a message of the app
    ----------  -----------------------------------------  ---------------------------------------------------------
    waiting     the request                                its start is kept back until it shows what leaves first
    suspended   a 500 of one part, sent while an           kept back: a framework's page for an OpenAIError that it
                OpenAIError is on its way                  raises again, and that is answered instead
    collecting  a start of a whole answer that is mapped   its body is kept back until it is complete
    streaming   a start of a stream that is mapped         goes through the answer; the start leaves with the first
                                                           bytes
    ending      the last body of a stream that does not    leaves after that body, which is kept back until then,
                say itself that it is over                 or until the app has returned, failed, or waits for the
                                                           client: frameworks end bodies before they raise
    passing     any other start; a file; an answer's end   leaves as it is
    replaced    an error in the place of the answer        goes nowhere

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
        "_end_task",
        "_exchange",
        "_headers",
        "_held",
        "_is_broken",
        "_last",
        "_queue",
        "_receive",
        "_receiving",
        "_send",
        "_stream",
        "_take",
        "has_started",
        "is_withholding",
        "request",
    )

    def __init__(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        self._exchange = exchange
        self._receive = receive
        self._send = send
        # The state: what takes the app's next message. It is no bound method, which would hold this in turn.
        self._take: Callable[[Outgoing, Message], Awaitable[None]] = _WAITING
        self._answer: Answer | None = None
        # The same while the app is in the middle of a stream: `send` takes a shorter way then.
        self._stream: Answer | None = None
        self._held: list[Message] | None = None
        self._last: Message | None = None
        self._queue: list[Message] | None = None
        self._end_task: asyncio.Task[None] | None = None
        self._headers: Sequence[Header] = ()
        self._receiving = 0
        self._is_broken = self.has_started = self.is_withholding = False
        self.request: Message | None = None

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
        """The app's `send`."""
        stream = self._stream
        if stream is not None and self._queue is None and message["type"] == "http.response.body":
            part = message.get("body")
            if message.get("more_body") and type(part) is bytes:
                ready = stream.feed(part)
                if ready is part:
                    return self._forward_one(message)
                return self._forward_one({**message, "body": ready}) if ready else _nothing()
        return self._take(self, message)

    async def end(self) -> None:
        """Let go of what was held back for an exception that has not come, and wait until it has left."""
        await (self._end_task or self._end())

    async def _end(self) -> None:
        if self._take is _SUSPENDED:
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
        self._end_task = self._end_task or asyncio.ensure_future(self._end())
        await asyncio.shield(self._end_task)

    async def fail(self, error: Exception) -> bool:
        """End what has begun for an app that failed. Whether the error has become the answer, and is done with."""
        if not self.has_started and isinstance(error, OpenAIError):
            self._held = self._last = None
            await self._forward(self._replaced_by(error))
            return True
        if self._take is _SUSPENDED:
            await self._forward(self._released())
        elif self._answer is not None and self._is_unfinished:
            self._last, self._stream, self._take = None, None, _PASSING
            with suppress(OSError):
                await self._forward([{"type": "http.response.body", "body": self._answer.fail(error)}])
        return False

    @property
    def _is_unfinished(self) -> bool:
        """Whether something has left, and the server waits for more of it."""
        return self.has_started and not self._is_broken and self._take in (_STREAMING, _ENDING)

    def _waiting(self, message: Message) -> Awaitable[None]:
        if message["type"] != "http.response.start":
            return self._other(message)
        given = message.get("headers", ())
        # ASGI allows any iterable; one that can be read only once is read here.
        given = given if isinstance(given, (list, tuple)) else list(given)
        status = message["status"]
        if status == 500 and isinstance(sys.exc_info()[1], OpenAIError) and not message.get("trailers"):
            self._held, self._headers = [message], self._exchange.identified(given)
            self._take, self.is_withholding = _SUSPENDED, True
            return _nothing()
        headers, answer = self._exchange.begin(status, given)
        self._held, self._headers = [message], headers
        if answer is None:
            return self._forward(self._released())
        self._answer, self._take = answer, _STREAMING if answer.is_stream else _COLLECTING
        return _nothing()

    def _suspended(self, message: Message) -> Awaitable[None]:
        if message["type"] != "http.response.body" or self._held is None:
            return self._other(message)
        if message.get("more_body", False):
            return self._forward([*self._released(), message])
        self._held.append(message)
        return _nothing()

    def _collecting(self, message: Message) -> Awaitable[None]:
        answer, held = self._answer, self._held
        if message["type"] != "http.response.body" or answer is None or held is None:
            return self._other(message)
        part = message.get("body", b"")
        answer.feed(part if type(part) is bytes else bytes(part))  # Starlette sends memoryviews too
        if message.get("more_body", False):
            held.append(message)
            return _nothing()
        try:
            body = answer.finish()
        except OpenAIError as error:
            return self._forward(self._replaced_by(error))
        self._held, self._take, self.has_started = None, _PASSING, True
        if held[0]["headers"] is not answer.headers:
            held[0] = {**held[0], "headers": answer.headers}
        return self._forward([held[0], {**message, "body": body}] if answer.is_changed else [*held, message])

    def _streaming(self, message: Message) -> Awaitable[None]:
        answer = self._answer
        if message["type"] != "http.response.body" or answer is None:
            return self._other(message)
        part = message.get("body", b"")
        part = part if type(part) is bytes else bytes(part)
        ready = answer.feed(part)
        if not message.get("more_body", False):
            self._stream = None
            if not answer.is_complete and not self._receiving:
                self._last, self._take, self.is_withholding = message, _ENDING, True
                return self._forward(
                    [*self._begun(answer), {**message, "body": ready, "more_body": True}] if ready else []
                )
            try:
                ready += answer.finish()
            except OpenAIError as error:
                return self._forward(self._replaced_by(error))
            self._take = _PASSING
        elif not ready:
            return _nothing()
        else:
            self._stream = answer
        return self._forward([*self._begun(answer), message if ready == part else {**message, "body": ready}])

    def _ending(self, message: Message) -> Awaitable[None]:
        return self._other(message)

    def _passing(self, message: Message) -> Awaitable[None]:
        # The server's own business: no step more for each message.
        return self._send(message) if self._queue is None else self._forward([message])

    def _replaced(self, message: Message) -> Awaitable[None]:
        return _nothing()

    def _other(self, message: Message) -> Awaitable[None]:
        """What comes out of its turn, or is none of the answer's."""
        kind = message["type"]
        if kind == "http.response.start" and self._held:
            # It would overtake the one that is kept back. Servers say the same of one that has left.
            raise RuntimeError("The app sent a second http.response.start.")
        is_file = kind in ("http.response.pathsend", "http.response.zerocopysend")
        return self._forward([*(self._released() if is_file else self._ended()), message])

    def _ended(self) -> list[Message]:
        """The end of a stream whose last body was held back."""
        last, answer = self._last, self._answer
        if last is None or answer is None:
            return []
        self._last, self._stream, self._take = None, None, _PASSING
        try:
            rest = answer.finish()
        except OpenAIError as error:
            return self._replaced_by(error)
        return [*self._begun(answer), {**last, "body": rest}]

    def _begun(self, answer: Answer) -> list[Message]:
        """The start of a stream, when its first bytes leave."""
        if not self._held:
            return []
        [start], self._held = self._held, None
        self.has_started = True
        return [{**start, "headers": answer.headers}]

    def _released(self) -> list[Message]:
        """All that was held back, as it is."""
        held, self._held = self._held or [], None
        self.has_started, self._stream, self._take = True, None, _PASSING
        if held and held[0].get("headers", ()) is not self._headers:
            held[0] = {**held[0], "headers": self._headers}
        return held

    def _replaced_by(self, error: OpenAIError) -> list[Message]:
        self.has_started, self._take = True, _REPLACED
        return error_messages(error, self._exchange.request_id)

    async def _forward_one(self, message: Message) -> None:
        send = self._send
        try:
            await send(message)
        except BaseException:
            self._is_broken = True
            raise

    async def _forward(self, messages: list[Message]) -> None:
        if self._queue is not None:
            # Another task of the app sends what was held back; this comes after it.
            self._queue.extend(messages)
            return
        send = self._send
        try:
            if len(messages) == 1:
                await send(messages[0])
            elif messages:
                self._queue = queue = messages
                try:
                    # It may grow meanwhile.
                    for message in queue:
                        await send(message)
                finally:
                    self._queue = None
        except BaseException:
            self._is_broken = True
            raise


# By a global name each: an attribute of a class takes several times as long to look up.
_WAITING: Final = Outgoing._waiting
_SUSPENDED: Final = Outgoing._suspended
_COLLECTING: Final = Outgoing._collecting
_STREAMING: Final = Outgoing._streaming
_ENDING: Final = Outgoing._ending
_PASSING: Final = Outgoing._passing
_REPLACED: Final = Outgoing._replaced


async def _nothing() -> None:
    """Nothing leaves."""
