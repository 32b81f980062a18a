"""Whether an app can be wrapped."""

import inspect
from collections.abc import Callable, Iterator
from typing import Final, Literal

from openai_middleware.mistakes import ConfigurationMistake

# How an app of each interface is called, and what wraps it.
_INTERFACES: Final = {
    "ASGI": (3, "OpenAIMiddleware"),
    "WSGI": (2, "OpenAIWSGIMiddleware"),
}


def app_mistakes(app: object, interface: Literal["ASGI", "WSGI"]) -> Iterator[ConfigurationMistake]:
    """Find out whether an app can be called at all, and whether it is one of the other interface."""
    if not callable(app):
        hint = "Pass the app itself, such as the FastAPI or the Django application object."
        yield ConfigurationMistake("app_not_callable", "An ASGI or WSGI app is a callable.", app, hint, "app")
        return
    for other, (count, middleware) in _INTERFACES.items():
        if other != interface and _takes(app, count) and not _takes(app, _INTERFACES[interface][0]):
            message = f"This app speaks {other}: it is called with {count} arguments."
            yield ConfigurationMistake("app_interface", message, app, f"Wrap it with {middleware}.", "app")


def _takes(app: Callable[..., object], count: int) -> bool:
    try:
        inspect.signature(app).bind(*range(count))
    except (TypeError, ValueError):  # it takes another number, or does not tell
        return False
    return True
