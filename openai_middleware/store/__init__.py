"""The option `store`: what was created is kept, and what reads it is answered here, for any app."""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from openai_middleware.route import Feature, Route
from openai_middleware.store.operations import OPERATIONS, StoredOperation
from openai_middleware.store.owner import by_api_key
from openai_middleware.store.session import CompletionSession, ResponseSession, Session
from openai_middleware.store.settings import Settings
from openai_middleware.store.store import (
    Backend,
    Completion,
    ConversationChangedError,
    Head,
    Item,
    Listed,
    Page,
    TooLargeError,
    TooLongError,
    Turn,
    UnavailableError,
    UnknownCursorError,
)

__all__ = [
    "Backend",
    "Completion",
    "ConversationChangedError",
    "Head",
    "Item",
    "Listed",
    "Page",
    "Store",
    "TooLargeError",
    "TooLongError",
    "Turn",
    "UnavailableError",
    "UnknownCursorError",
    "by_api_key",
]

_SESSIONS: Final[dict[str | None, type[Session]]] = {
    "responses.create": ResponseSession,
    "chat.completions.create": CompletionSession,
}


class Store(Settings):
    """Keeps responses, chat completions and conversations.

    Args:
        url: `sqlite:///openai.db`, a file; `sqlite://`, the memory of this process; or
            `postgresql+psycopg://user:password@host/database`. Or a `Backend`, which has limits of its own.
        owner: Whose a request is: a function of the ASGI scope, the WSGI environ or Django's request that returns a
            str, such as `by_api_key`; or `"shared"`, where everybody may see everything.
        ttl: How long something is kept, a timedelta or seconds. None: until it is deleted.
        max_bytes: How much is kept of one owner; the oldest goes first. None: no limit.

    Raises:
        ConfigurationError: With every mistake in the arguments.
    """

    def feature(self) -> Feature:
        """The feature that keeps answers, and answers what reads them. Functions of the app's own go first."""

        def stored(route: Route) -> Route:
            if route.operation in _SESSIONS:
                return replace(route, store=RouteStore(self, _SESSIONS[route.operation]))
            if route.operation is not None and route.operation in OPERATIONS and route.handler is None:
                handler = StoredOperation(self, route.operation)
                return replace(route, handler=handler, rewrite=None, store=RouteStore(self, Session))
            return route

        return stored


class RouteStore:
    """See `openai_middleware.route.RouteStore`.

    Args:
        store: The store.
        kind: What a request is to it.
    """

    def __init__(self, store: Settings, kind: Callable[[Settings, Any], Session]) -> None:
        self._store = store
        self._kind = kind

    def session(self, carrier: Any) -> Session:
        """See `openai_middleware.route.RouteStore.session`."""
        return self._kind(self._store, carrier)
