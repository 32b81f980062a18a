"""The operations that take replies, and what a reply becomes on each."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from openai_middleware.errors import BadRequestError
from openai_middleware.replies.chat import ChatRendering
from openai_middleware.replies.completions import CompletionRendering
from openai_middleware.replies.embeddings import embeddings, is_vectors
from openai_middleware.replies.models import is_names, model_list
from openai_middleware.replies.rendering import CHOICES, Rendering, choices_asked
from openai_middleware.replies.reply import Reply, ToolCall, Usage
from openai_middleware.replies.responses import ResponseRendering

RENDERINGS: Final[Mapping[str, Callable[[Mapping[str, Any]], Rendering]]] = {
    "chat.completions.create": ChatRendering,
    "responses.create": ResponseRendering,
    "completions.create": CompletionRendering,
}


def is_reply(value: Any) -> bool:
    """Whether a value is a reply, or a piece of one. None is: it says nothing."""
    return value is None or isinstance(value, str | Reply | ToolCall | Usage)


def plain_answer(operation: str | None, request: Mapping[str, Any], value: Any) -> dict[str, Any] | None:
    """The answer that plain values are: vectors for `embeddings.create`, names for `models.list`. None for all else.

    Raises:
        ValueError: There are more or fewer vectors than inputs.
    """
    if operation == "embeddings.create" and is_vectors(value):
        return embeddings(request, value)
    if operation == "models.list" and is_names(value):
        return model_list(value)
    return None


def refuse_choices(request: Mapping[str, Any], names: Iterable[str] = CHOICES) -> None:
    """Refuse a request for several choices.

    Args:
        request: The fields of the request.
        names: The parameters that may not ask for them.

    Raises:
        BadRequestError: The request asks for more than one.
    """
    name = choices_asked(request, names)
    if name is not None:
        message = f"This server gives one choice: leave `{name}` out, or send 1."
        raise BadRequestError(message, param=name, code="unsupported_value")
