"""What goes over the wire while the SDK is driven: recorded, and kept within limits."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast

import httpx

__all__ = ["Exchange", "Limits", "Recorder"]

_SHORTEST: Final = 0.001


@dataclass
class Limits:
    """What a check may cost.

    Attributes:
        case_seconds: How long one case may take.
        total_seconds: How long all of them may take.
        requests: How many requests they may send.
        body_bytes: How long the body of one answer may be.
    """

    case_seconds: float = 30
    total_seconds: float = 300
    requests: int = 500
    body_bytes: int = 32 * 1024 * 1024


@dataclass
class Exchange:
    """One request, and what came back. Where it was sent on by a redirect, the last of them.

    Attributes:
        method: The HTTP method.
        path: The path, with the query.
        status: The status; 0 where no answer came.
        content_type: The media type of the answer, without parameters.
        body: The body as far as it came.
        problem: Why the body did not come to its end; empty where it did, or where nobody wanted it all.
    """

    method: str = ""
    path: str = ""
    status: int = 0
    content_type: str = ""
    body: bytearray = field(default_factory=bytearray)
    problem: str = ""


class Recorder(httpx.BaseTransport):
    """A transport that records every exchange, and sends nothing that is over the limits.

    Attributes:
        exchanges: Those of the case that runs.
        sent: How many requests have been sent, but for those that clean up.
        cleaned: How many requests have been sent to clean up.
        reads_to_the_end: Whether an answer that the SDK leaves is read to its end all the same.
        over: Which limit of all cases was reached; empty where none was.
    """

    def __init__(self, limits: Limits) -> None:
        # Connections of their own: no answer can spoil the next, and none is sent on one that the server is closing.
        self._transport = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
        self.limits = limits
        self._seconds_spent = 0.0
        self._begin = time.monotonic()
        self._is_cleaning = False
        self.exchanges: list[Exchange] = []
        self.sent = self.cleaned = 0
        self.reads_to_the_end = True
        self.over = ""

    def begin_case(self) -> None:
        """Forget what was recorded, and begin to measure the time of a case."""
        self.exchanges = []
        self.reads_to_the_end = True
        self._begin = time.monotonic()
        if self._seconds_spent >= self.limits.total_seconds:
            self.note_time()

    def end_case(self) -> float:
        """End a case, and return how long it took, in seconds. What lies between cases is not counted."""
        seconds = time.monotonic() - self._begin
        self._seconds_spent += seconds
        self._begin = time.monotonic()
        return seconds

    @contextmanager
    def cleaning(self) -> Iterator[None]:
        """Send what deletes what was created, beyond the limits of all cases. It may take as long as another case."""
        self._is_cleaning = self.reads_to_the_end = True
        self._begin = time.monotonic()
        try:
            yield
        finally:
            self._is_cleaning = False
            self.end_case()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return an answer whose body is recorded while it is read.

        A redirect to another host is no redirect any more, so that nobody follows it.
        """
        self._count()
        # A request that follows a redirect has what was noted on the one before.
        exchange = request.extensions.get("exchange")
        if exchange is None:
            exchange = request.extensions["exchange"] = Exchange()
            self.exchanges.append(exchange)
        exchange.method, exchange.path = request.method, request.url.raw_path.decode()
        exchange.status = 0
        exchange.body.clear()
        deadline = _Deadline(self.seconds_left())
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), deadline.seconds)
        request.extensions["trace"] = deadline.trace
        try:
            response = self._transport.handle_request(request)
        except httpx.TransportError as error:
            deadline.cancel()
            if isinstance(error, httpx.TimeoutException) or deadline.is_over:
                exchange.problem = f"no answer came within {self.limits.case_seconds:g} s"
                self.note_time()
                raise httpx.ReadTimeout(exchange.problem) from error
            exchange.problem = f"no answer came: {error}"
            raise
        exchange.status = response.status_code
        exchange.content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.has_redirect_location and not _is_within(request.url, response.headers["location"]):
            del response.headers["location"]
        response.stream = _RecordedStream(cast(httpx.SyncByteStream, response.stream), exchange, self, deadline)
        return response

    def seconds_left(self) -> float:
        """How much of the time of the case is left."""
        left = self.limits.total_seconds
        if not self._is_cleaning:
            left -= self._seconds_spent
        return min(self.limits.case_seconds, left) - (time.monotonic() - self._begin)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def note_time(self) -> None:
        """Note that time was over, where it was that of all cases."""
        if self.limits.total_seconds - self._seconds_spent < self.limits.case_seconds and not self._is_cleaning:
            self.over = f"the time of {self.limits.total_seconds:g} s was over"

    def _count(self) -> None:
        if self._is_cleaning:
            self.cleaned += 1
            return
        if self.sent >= self.limits.requests:
            self.over = f"the limit of {self.limits.requests} requests was reached"
        if self.over:
            raise httpx.RequestError(self.over)
        if self.seconds_left() <= 0 and self.exchanges:
            raise httpx.RequestError("the time of the case was over")
        self.sent += 1


class _Deadline:
    """Shuts the connection of a request when its time is over. A timeout of httpx is that of one read alone."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(seconds, _SHORTEST)
        self.is_over = False
        self._connection: socket.socket | None = None
        self._timer = threading.Timer(self.seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Note the connection; httpx calls it as the extension `trace`."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._connection = info["return_value"].get_extra_info("socket")
            if self.is_over:
                self._shut()

    def cancel(self) -> None:
        """The request is over."""
        self._timer.cancel()

    def _shut(self) -> None:
        self.is_over = True
        if self._connection is not None:
            with suppress(OSError):
                # That of TLS has a method of its own, which is not for another thread.
                socket.socket.shutdown(self._connection, socket.SHUT_RDWR)


def _is_within(url: httpx.URL, location: str) -> bool:
    """Whether a redirect leads to the same host."""
    try:
        return url.join(location).host == url.host
    except httpx.InvalidURL:
        return False


class _RecordedStream(httpx.SyncByteStream):
    def __init__(
        self, stream: httpx.SyncByteStream, exchange: Exchange, recorder: Recorder, deadline: _Deadline
    ) -> None:
        self._stream = stream
        self._exchange = exchange
        self._recorder = recorder
        self._deadline = deadline
        self._chunks = self._recorded()

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def _recorded(self) -> Iterator[bytes]:
        try:
            yield from self._pieces()
        except httpx.TransportError as error:
            is_late = isinstance(error, httpx.TimeoutException) or self._deadline.is_over
            if is_late:
                self._recorder.note_time()
            reason = "the answer did not end in time" if is_late else "the answer broke off before its end"
            self._exchange.problem = self._exchange.problem or reason
            if is_late:
                raise httpx.ReadTimeout(reason) from error
            raise

    def _pieces(self) -> Iterator[bytes]:
        longest = self._recorder.limits.body_bytes
        for chunk in self._stream:
            self._exchange.body += chunk
            if len(self._exchange.body) > longest:
                self._exchange.problem = f"the answer is longer than {longest} bytes"
                raise httpx.ReadError(self._exchange.problem)
            yield chunk
        if self._deadline.is_over:
            # A body without a length ends where the connection does, so that it seems to be whole.
            raise httpx.ReadTimeout("The time of the case is over.")

    def close(self) -> None:
        try:
            if self._recorder.reads_to_the_end:
                for _ in self._chunks:
                    pass
        except httpx.TransportError:
            pass  # it is told as the exchange's problem
        finally:
            self._deadline.cancel()
            self._stream.close()
