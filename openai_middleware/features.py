"""The options that are features, in the order in which they are applied to a route."""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from openai_middleware.contract import Contract
from openai_middleware.handlers.bridged import BridgedHandler
from openai_middleware.handlers.dispatcher import Dispatcher
from openai_middleware.options import Options
from openai_middleware.replies.chat_call import CHAT
from openai_middleware.rewrites import Rewrite, rewritten
from openai_middleware.rewrites.bridge import Bridge
from openai_middleware.route import Feature, Route


def features_of(options: Options, contract: Contract, rewrites: Mapping[str, Rewrite | str]) -> Iterator[Feature]:
    """The features that some options ask for.

    Raises:
        ConfigurationError: An option is none that makes a feature.
    """
    if rewrites:
        yield rewritten(rewrites)
    handlers = options.get("handlers")
    if handlers is not None:
        yield answered_by(Dispatcher.of(handlers, contract))
    store = options.get("store")
    if store is not None:
        store.open()
        yield store.feature()


def answered_by(dispatcher: Dispatcher) -> Feature:
    """The feature that lets the functions of a dispatcher answer their operations instead of the app."""

    def answered(route: Route) -> Route:
        handler = dispatcher.handler_of(route.operation)
        if handler is not None:
            return replace(route, handler=handler, rewrite=None)
        chat = dispatcher.handler_of(CHAT)
        if chat is not None and isinstance(route.rewrite, Bridge):
            return replace(route, handler=BridgedHandler(chat), rewrite=None)
        return route

    return answered
