"""The oracle `sdk`: what of an answer the official SDK could not take, and what its types do not."""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

import openai
from pydantic import TypeAdapter, ValidationError

from openai_middleware.check.facts import Fact, facts_of_pydantic, kind_of

__all__ = ["GAPS", "Client", "judge", "judge_refusal"]

# The types of the SDK refuse what OpenAI's own API answers: chunks of a text completion have no finish reason but for
# the last, and the messages of a stored completion are the user's too. Here the SDK reads without strict validation,
# and what it would say of these places is no fact.
GAPS: Final[Mapping[str, re.Pattern[str]]] = {
    "completions.create": re.compile(r"choices\[\d+\]\.finish_reason: is null"),
    "chat.completions.messages.list": re.compile(r"data\[\d+\]\.role: is '"),
}
_ERRORS: Final = {
    400: openai.BadRequestError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
}


class Client(openai.OpenAI):
    """The SDK, which notes of what type the answer of its last request is to be, or the events of that answer."""

    answer_type: Any = None

    def request(self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        """Send a request, and return what the SDK makes of the answer."""
        self.answer_type = get_args(stream_cls)[0] if stream else cast_to
        return super().request(cast_to, options, stream=stream, stream_cls=stream_cls)


def judge(operation: str, answer_type: Any, documents: Sequence[Any], error: Exception | None) -> list[Fact]:
    """What the SDK could not take of a successful answer.

    Its own strict validation takes the text `"3"` for a number, and ends at the first wrong event; so all is validated
    once more, by pydantic's strict mode.

    Args:
        operation: What was called.
        answer_type: The SDK's type of each of the documents.
        documents: The JSON of the answer, or of its events.
        error: What the SDK raised; None where nothing.
    """
    facts = dict.fromkeys(fact for one in documents for fact in _facts_of(answer_type, one))
    gap = GAPS.get(operation)
    known = [fact for fact in facts if gap is None or not gap.match(str(fact))]
    if known or error is None or _is_of_the_content(error):
        return known
    return [Fact("", f"the SDK raised {type(error).__name__}: {str(error)[:200]}")]


def judge_refusal(error: Exception | None, statuses: Sequence[int]) -> list[Fact]:
    """What is wrong with what the SDK raised for an answer that refuses.

    Args:
        error: What it raised; None where nothing.
        statuses: Those that are right.
    """
    wanted = tuple(_ERRORS[status] for status in statuses)
    if not isinstance(error, wanted):
        raised = "nothing" if error is None else type(error).__name__
        return [Fact("", f"the SDK raised {raised}, not {' or '.join(one.__name__ for one in wanted)}")]
    name = type(error).__name__
    if not isinstance(error.body, dict):
        return [Fact(f"{name}.body", f"is {kind_of(error.body)}, not an object")]
    return [
        Fact(f"{name}.{field}", f"is {kind_of(value)}, not a string{' or null' * is_nullable}")
        for field, is_nullable in (("message", False), ("type", False), ("param", True), ("code", True))
        if not isinstance(value := error.body.get(field), str) and not (is_nullable and value is None)
    ]


@functools.cache
def _adapter(answer_type: Any) -> TypeAdapter[Any]:
    return TypeAdapter(answer_type)


def _facts_of(answer_type: Any, document: Any) -> list[Fact]:
    try:
        _adapter(answer_type).validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        facts = facts_of_pydantic(error.errors(include_url=False), document)
    else:
        return []
    event = document.get("type") if isinstance(document, dict) else None
    if not isinstance(event, str) or not event.startswith("response."):
        return facts
    return [Fact(f"{event}.{fact.place}" if fact.place else event, fact.what) for fact in facts]


def _is_of_the_content(error: Exception) -> bool:
    """Whether it is one that the content of an answer makes the SDK raise, OpenAI's own answers included."""
    return isinstance(error, openai.LengthFinishReasonError | openai.ContentFilterFinishReasonError)
