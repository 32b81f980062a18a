"""The options that are features, in the order in which they are applied to a route."""

from collections.abc import Iterator
from dataclasses import replace

from openai_middleware.contract import Contract
from openai_middleware.handlers.dispatcher import Dispatcher
from openai_middleware.options import Options
from openai_middleware.route import Feature, Route


def features_of(options: Options, contract: Contract) -> Iterator[Feature]:
    """The features that some options ask for.

    Raises:
        ConfigurationError: An option is none that makes a feature.
    """
    handlers = options.get("handlers")
    if handlers is not None:
        yield answered_by(Dispatcher.of(handlers, contract))


def answered_by(dispatcher: Dispatcher) -> Feature:
    """The feature that lets the functions of a dispatcher answer their operations instead of the app."""

    def answered(route: Route) -> Route:
        handler = dispatcher.handler_of(route.operation)
        return route if handler is None else replace(route, handler=handler)

    return answered
