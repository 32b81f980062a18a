"""What the drivers know of a store: what keeps the answers of a route, or reads what was kept."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from openai_middleware.headers import Header
from openai_middleware.request.call import AppRequest

Result = TypeVar("Result")


class Recorder(Protocol):
    """Takes note of an answer as it leaves for the server, and keeps it before its end has left.

    Attributes:
        headers: The headers, right as soon as bytes have come out.
        is_due: Whether something is held back until it was kept: by `conclude`, which may block.
    """

    headers: Sequence[Header]
    is_due: bool

    def begin(self, status: int, headers: Sequence[Header]) -> bool:
        """An answer begins: whether it goes through here. If not, it leaves as it is."""

    def feed(self, chunk: bytes, *, is_last: bool) -> bytes:
        """Take some bytes, and return those that leave now."""

    def conclude(self) -> bytes:
        """Keep what is due, and return what was held back.

        Raises:
            OpenAIError: It cannot be kept, and must be. Nothing of the answer has left then.
        """


class StoreSession(Protocol):
    """One request, to what keeps answers or reads what was kept.

    Attributes:
        recorder: What the answer goes through, once `prepare` has returned; or None.
    """

    recorder: Recorder | None

    def prepare(self, request: AppRequest) -> AppRequest:
        """The request with what was kept before: the history, and the items that it refers to. It may block.

        Args:
            request: What `Exchange.receive` returned.

        Raises:
            OpenAIError: Nobody knows who asks, or there is no such history.
        """

    async def aprepare(self, request: AppRequest) -> AppRequest:
        """The same from async code; what may block runs in a thread."""

    async def in_thread(self, function: Callable[[], Result]) -> Result:
        """Call something that may block in a thread."""


class RouteStore(Protocol):
    """Keeps the answers of a route, or reads what was kept."""

    def session(self, carrier: Any) -> StoreSession:
        """Begin a request.

        Args:
            carrier: What tells who asks: the ASGI scope, the WSGI environ, or the framework's own request.
        """
