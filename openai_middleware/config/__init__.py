"""What is wanted: which endpoints there are, what is allowed, and how bodies are mapped.

Its classes are made when they are first asked for: that takes pydantic longer than all the rest takes to be imported.
"""

from typing import TYPE_CHECKING, Any

from openai_middleware.config.action import APIHandlerAction

__all__ = ["APIHandlerAction", "APIHandlerConfig", "BodyMappings", "EndpointConfig"]

if TYPE_CHECKING:
    from openai_middleware.config.api_handler import APIHandlerConfig
    from openai_middleware.config.body_mappings import BodyMappings
    from openai_middleware.config.endpoint import EndpointConfig
else:  # type checkers would take any name for one that `__getattr__` finds

    def __getattr__(name: str) -> Any:
        if name in __all__:
            from openai_middleware.config import api_handler

            return getattr(api_handler, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
