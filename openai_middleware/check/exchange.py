"""What goes over the wire while the SDK is driven: recorded, and kept within limits."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, cast

import httpx

__all__ = ["Exchange", "Limits", "Recorder"]

_LONGEST_BODY: Final = 32 * 1024 * 1024


@dataclass
class Limits:
    """What a check may cost.

    Attributes:
        case_seconds: How long one case may take.
        total_seconds: How long all of them may take.
        requests: How many requests they may send.
    """

    case_seconds: float = 30
    total_seconds: float = 300
    requests: int = 500


@dataclass
class Exchange:
    """One request, and what came back.

    Attributes:
        method: The HTTP method.
        path: The path, with the query.
        status: The status; 0 where no answer came.
        content_type: The media type of the answer, without parameters.
        body: The body as far as it came.
        problem: Why the body did not come to its end; empty where it did, or where nobody wanted it all.
    """

    method: str
    path: str
    status: int = 0
    content_type: str = ""
    body: bytearray = field(default_factory=bytearray)
    problem: str = ""


class Recorder(httpx.BaseTransport):
    """A transport that records every exchange, and sends nothing that is over the limits.

    Attributes:
        exchanges: Those of the case that runs.
        sent: How many requests have been sent.
        reads_to_the_end: Whether an answer that the SDK leaves is read to its end all the same.
        over: Which limit of all cases was reached; empty where none was.
    """

    def __init__(self, limits: Limits) -> None:
        # Connections of their own: no answer can spoil the next, and none is sent on one that the server is closing.
        self._transport = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
        self._limits = limits
        self._seconds_spent = 0.0
        self._case_begin = time.monotonic()
        self.exchanges: list[Exchange] = []
        self.sent = 0
        self.reads_to_the_end = True
        self.over = ""

    def begin_case(self) -> None:
        """Forget what was recorded, and begin to measure the time of a case."""
        self.exchanges = []
        self.reads_to_the_end = True
        self._case_begin = time.monotonic()
        if self._seconds_spent >= self._limits.total_seconds:
            self.over = f"the time of {self._limits.total_seconds:g} s was over"

    def end_case(self) -> float:
        """End a case, and return how long it took, in seconds. What lies between cases is not counted."""
        seconds = time.monotonic() - self._case_begin
        self._seconds_spent += seconds
        return seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return an answer whose body is recorded while it is read."""
        if self.sent >= self._limits.requests:
            self.over = f"the limit of {self._limits.requests} requests was reached"
        if self.over:
            raise httpx.RequestError(self.over)
        self.sent += 1
        exchange = Exchange(request.method, request.url.raw_path.decode())
        self.exchanges.append(exchange)
        seconds = self.seconds_left()
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), max(seconds, 0.001))
        try:
            response = self._transport.handle_request(request)
        except httpx.TimeoutException:
            exchange.problem = f"no answer came within {self._limits.case_seconds:g} s"
            raise
        except httpx.TransportError as error:
            exchange.problem = f"no answer came: {error}"
            raise
        exchange.status = response.status_code
        exchange.content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        response.stream = _RecordedStream(cast(httpx.SyncByteStream, response.stream), exchange, self)
        return response

    def seconds_left(self) -> float:
        """How much of the time of the case is left."""
        limit = min(self._limits.case_seconds, self._limits.total_seconds - self._seconds_spent)
        return limit - (time.monotonic() - self._case_begin)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()


class _RecordedStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, exchange: Exchange, recorder: Recorder) -> None:
        self._stream = stream
        self._exchange = exchange
        self._recorder = recorder
        self._chunks = self._recorded()

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def _recorded(self) -> Iterator[bytes]:
        try:
            for chunk in self._stream:
                self._exchange.body += chunk
                if self._recorder.seconds_left() <= 0:
                    raise httpx.ReadTimeout("The time of the case is over.")
                if len(self._exchange.body) > _LONGEST_BODY:
                    raise httpx.ReadError(f"it is longer than {_LONGEST_BODY} bytes")
                yield chunk
        except httpx.TimeoutException:
            self._exchange.problem = "the answer did not end in time"
            raise
        except httpx.TransportError:
            self._exchange.problem = "the answer broke off before its end"
            raise

    def close(self) -> None:
        try:
            if self._recorder.reads_to_the_end:
                for _ in self._chunks:
                    pass
        except httpx.TransportError:
            pass  # it is told as the exchange's problem
        finally:
            self._stream.close()
