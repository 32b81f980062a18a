"""Answers on their way to the server that are kept before their end has left; beside the drivers, for a store."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from openai_middleware.errors import OpenAIError
from openai_middleware.headers import as_bytes, as_text
from openai_middleware.interfaces import (
    ExcInfo,
    Message,
    Send,
    StartResponse,
    Write,
    WSGIHeaders,
    error_messages,
    start_error,
)
from openai_middleware.iteration import aclose, close
from openai_middleware.keeping import Recorder, StoreSession


class RecordedSend:
    """The server's `send` behind a recorder.

    Args:
        session: The request, to the store.
        request_id: The id of the request, for an error that takes the place of the answer.
        send: The server's.
    """

    _start: Message | None = None
    _recorder: Recorder | None = None
    _is_replaced = False

    def __init__(self, session: StoreSession, request_id: str, send: Send) -> None:
        self._session = session
        self._request_id = request_id
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Send a message: later, where it has to wait for what is kept."""
        kind = message["type"]
        if kind == "http.response.start":
            recorder = self._session.recorder
            if recorder is not None and recorder.begin(message["status"], list(message.get("headers", ()))):
                self._recorder, self._start = recorder, message
                return
        elif self._recorder is not None:
            if kind == "http.response.body":
                await self._body(self._recorder, message)
                return
            await self._begin(self._recorder)
            self._recorder = None
        await self._send(message)

    async def _body(self, recorder: Recorder, message: Message) -> None:
        if self._is_replaced:
            return
        has_more = message.get("more_body", False)
        part = bytes(message.get("body", b""))
        try:
            ready = await _akept(self._session, recorder, part, is_last=not has_more)
        except OpenAIError as error:
            self._is_replaced = True
            for replacing in error_messages(error, self._request_id):
                await self._send(replacing)
            return
        if ready or not has_more:
            await self._begin(recorder)
            await self._send(message if ready == part else {**message, "body": ready})

    async def _begin(self, recorder: Recorder) -> None:
        start, self._start = self._start, None
        if start is not None:
            await self._send({**start, "headers": recorder.headers})


class RecordedStart:
    """The server's `start_response` behind a recorder, and the body that goes with it.

    Args:
        session: The request, to the store.
        request_id: The id of the request, for an error that takes the place of the answer.
        start_response: The server's.
    """

    _start: tuple[str, tuple[ExcInfo, ...]] | None = None
    _recorder: Recorder | None = None
    _write: Write | None = None

    def __init__(self, session: StoreSession, request_id: str, start_response: StartResponse) -> None:
        self._session = session
        self._request_id = request_id
        self._start_response = start_response

    def start_response(self, status: str, headers: WSGIHeaders, exc_info: ExcInfo | None = None) -> Write:
        """Start an answer: later, where it has to wait for what is kept."""
        recorder = self._session.recorder
        more = (exc_info,) if exc_info else ()
        if recorder is not None and recorder.begin(int(status[:3]), as_bytes(headers)):
            self._recorder, self._start = recorder, (status, more)
            return self.write
        self._recorder = self._start = None
        return self._start_response(status, headers, *more)

    def write(self, data: bytes) -> None:
        """The callable that `start_response` returns (PEP 3333, "The write() Callable")."""
        taken = self._taken(data, is_last=False)
        if taken and self._write is not None:
            self._write(taken)

    def chunks(self, answer: Iterable[bytes]) -> Iterator[bytes]:
        """What the server iterates over."""
        for chunk in answer:
            if ready := self._taken(chunk, is_last=False):
                yield ready
        if ready := self._taken(b"", is_last=True):
            yield ready

    def _taken(self, chunk: bytes, *, is_last: bool) -> bytes:
        recorder = self._recorder
        if recorder is None:
            return chunk
        try:
            ready = _kept(recorder, chunk, is_last=is_last)
        except OpenAIError as error:
            self._recorder = self._start = None
            return b"".join(start_error(error, self._start_response, request_id=self._request_id))
        if (ready or is_last) and self._start is not None:
            (status, more), self._start = self._start, None
            self._write = self._start_response(status, as_text(recorder.headers), *more)
        return ready


def recorded(recorder: Recorder, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks of an answer that goes through a recorder, for frameworks that hand over response objects.

    Args:
        recorder: The recorder, whose `begin` has said that it does.
        chunks: The chunks, which are closed in the end.

    Raises:
        OpenAIError: It cannot be kept, and must be. Nothing has left then.
    """
    try:
        for chunk in chunks:
            if ready := _kept(recorder, chunk):
                yield ready
        if ready := _kept(recorder, b"", is_last=True):
            yield ready
    finally:
        close(chunks)


def _kept(recorder: Recorder, chunk: bytes, *, is_last: bool = False) -> bytes:
    ready = recorder.feed(chunk, is_last=is_last)
    return ready + recorder.conclude() if recorder.is_due else ready


async def arecorded(session: StoreSession, recorder: Recorder, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same as `recorded`, from async code.

    Args:
        session: The request, to the store.
        recorder: See `recorded`.
        chunks: See `recorded`.
    """
    try:
        async for chunk in chunks:
            if ready := await _akept(session, recorder, chunk):
                yield ready
        if ready := await _akept(session, recorder, b"", is_last=True):
            yield ready
    finally:
        await aclose(chunks)


async def _akept(session: StoreSession, recorder: Recorder, chunk: bytes, *, is_last: bool = False) -> bytes:
    ready = recorder.feed(chunk, is_last=is_last)
    return ready + await session.in_thread(recorder.conclude) if recorder.is_due else ready
