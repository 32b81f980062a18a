"""The oracle `sdk`: what of an answer the official SDK, with strict validation, could not take."""

from typing import Any, Final

import openai
from pydantic import ValidationError

from openai_middleware.check.facts import Fact, facts_of_pydantic

__all__ = ["GAPS", "facts_of_error"]

# The types of the SDK refuse what OpenAI's own API answers: chunks of a text completion have no finish reason but for
# the last, and the messages of a stored completion are the user's too. Here the SDK reads without strict validation.
GAPS: Final = ("completions.create", "chat.completions.messages.list")


def facts_of_error(error: Exception) -> list[Fact]:
    """What an error says that an SDK method raised for a successful answer.

    Returns:
        Nothing for an error that the content of an answer makes it raise, OpenAI's own answers included.
    """
    if isinstance(error, openai.LengthFinishReasonError | openai.ContentFilterFinishReasonError):
        return []
    cause = error.__cause__
    if not isinstance(error, openai.APIResponseValidationError) or not isinstance(cause, ValidationError):
        return [Fact("", f"the SDK raised {type(error).__name__}: {str(error)[:200]}")]
    document: Any = error.body
    facts = facts_of_pydantic(cause.errors(include_url=False), document)
    event = document.get("type") if isinstance(document, dict) else None
    if not isinstance(event, str) or not event.startswith("response."):
        return facts
    return [Fact(f"{event}.{fact.place}" if fact.place else event, fact.what) for fact in facts]
