"""The oracle `wire`: status, headers and envelopes, read off the bytes. What it says of streams is in `events`."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NoReturn

from openai_middleware.check.exchange import Exchange
from openai_middleware.check.facts import Fact, kind_of
from openai_middleware.contract import Operation

__all__ = [
    "TEXT",
    "Json",
    "error_in",
    "ids_in",
    "json_in",
    "judge_pages",
    "judge_refusal",
    "judge_status",
    "judge_text",
    "judge_whole",
    "message_of",
    "read_json",
    "unfinished",
]

Json = dict[str, Any]

TEXT: Final = ("chat.completions.create", "completions.create", "responses.create")
"""The operations that ask the model for text."""

_REFUSALS: Final = range(400, 500)
_UNFINISHED: Final = ("queued", "in_progress", "cancelled")
# Whose lists need not tell their first and last id, as OpenAI's document has it; all others with these fields do.
_WITHOUT_ENDS: Final = ("audio.", "batches.", "fine_tuning.", "webhooks.")


def judge_status(exchange: Exchange) -> list[Fact]:
    """What is wrong with the status of a success: OpenAI's API has 200."""
    return [] if exchange.status == 200 else [Fact("", f"the status is {exchange.status}, not 200")]


def judge_whole(exchange: Exchange, operation: Operation) -> list[Fact]:
    """What is wrong with a successful answer that is no stream."""
    facts = unfinished(exchange)
    if facts or operation.response == "none":
        return facts
    if operation.response == "binary":
        return list(_of_a_file(exchange))
    answer = _json_in(exchange)
    if isinstance(answer, Fact):
        return [answer]
    # Some objects of the API tell of an error that they ended with.
    if "error" not in operation.fields or "object" not in answer:
        facts = list(_of_an_error_instead(exchange, answer))
    return facts or (list(_of_a_list(answer, operation)) if operation.item_fields else [])


def judge_text(answer: Json, operation: str) -> list[Fact]:
    """What is wrong with an answer of which all fields may be right: that it says nothing, or has not come to its end.

    Args:
        answer: The JSON object.
        operation: What was called; one that does not ask the model for text is never wrong.
    """
    if operation not in TEXT:
        return []
    if operation != "responses.create":
        return [Fact("choices", "is empty")] if answer.get("choices") == [] else []
    status = answer.get("status")
    if status == "failed":
        return [Fact("", f"the response failed: {message_of(answer.get('error'))}")]
    if status in _UNFINISHED and not answer.get("background"):
        return [Fact("status", f"is {status!r}, not 'completed'")]
    return [Fact("output", "is empty")] if status == "completed" and answer.get("output") == [] else []


def judge_refusal(exchange: Exchange, asked: str, statuses: Sequence[int] = _REFUSALS) -> list[Fact]:
    """What is wrong with the answer to a request that is to be refused.

    Args:
        exchange: The answer.
        asked: What was asked for, in words.
        statuses: Those that are right.
    """
    if facts := unfinished(exchange):
        return facts
    if exchange.status not in statuses:
        wanted = "4xx" if statuses == _REFUSALS else " or ".join(map(str, statuses))
        return [Fact("", f"the status is {exchange.status} for {asked}, not {wanted}")]
    answer = _json_in(exchange)
    return [answer] if isinstance(answer, Fact) else list(_of_an_envelope(answer))


def error_in(exchange: Exchange) -> Json:
    """The error that an envelope holds; an empty object where it is none."""
    error = json_in(exchange).get("error")
    return error if isinstance(error, dict) else {}


def json_in(exchange: Exchange) -> Json:
    """The object that a body holds; an empty one where it holds none."""
    answer = _json_in(exchange)
    return {} if isinstance(answer, Fact) else answer


def ids_in(answer: Json) -> list[str]:
    """The ids of what a list holds, those that are none left out."""
    data = answer.get("data")
    found = [one.get("id") for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    return [one for one in found if one and isinstance(one, str)]


def judge_pages(exchanges: Sequence[Exchange]) -> list[Fact]:
    """What is wrong with the pages of a list, one after the other."""
    pages = [json_in(exchange).get("data") for exchange in exchanges]
    for before, page in pairwise(pages):
        if page and page == before:
            return [Fact("data", "is the same on the next page: the list has no end")]
    return []


def unfinished(exchange: Exchange) -> list[Fact]:
    """Why an answer did not come to its end."""
    return [Fact("", exchange.problem)] if exchange.problem else []


def read_json(data: bytes, what: str) -> Any | Fact:
    """The value of a JSON text as `JSON.parse` takes it, which is more than Python is: UTF-8, and without NaN.

    Args:
        data: The text.
        what: What holds it, in words.

    Returns:
        The value, or what is wrong with the text.
    """
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse)
    except UnicodeDecodeError:
        return Fact("", f"{what} is no JSON: it is not UTF-8")
    except _ConstantError as error:
        return Fact("", f"{what} is no JSON: it holds {error}")
    except (ValueError, RecursionError):
        return Fact("", f"{what} is no JSON")


def message_of(error: Any) -> str:
    """The message of an error that may have any form."""
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:200] if message else "without a message"


class _ConstantError(ValueError):
    """A number that JSON does not have."""


def _refuse(constant: str) -> NoReturn:
    raise _ConstantError(constant)


def _json_in(exchange: Exchange) -> Json | Fact:
    if exchange.content_type != "application/json":
        return Fact("Content-Type", f"is {exchange.content_type or 'missing'}, not application/json")
    answer = read_json(bytes(exchange.body), "the body")
    if isinstance(answer, dict | Fact):
        return answer
    return Fact("", f"the body is {kind_of(answer)}, not an object")


def _of_a_file(exchange: Exchange) -> Iterator[Fact]:
    if not exchange.body:
        yield Fact("", "the answer is empty")
    elif (answer := json_in(exchange)).keys() == {"error"}:
        yield from _of_an_error_instead(exchange, answer)


def _of_an_error_instead(exchange: Exchange, answer: Json) -> Iterator[Fact]:
    error = answer.get("error")
    if isinstance(error, dict | str) and error:
        yield Fact("", f"the status is {exchange.status}, and the body is an error: {message_of(error)}")


def _of_an_envelope(answer: Json) -> Iterator[Fact]:
    error = answer.get("error")
    if "error" not in answer:
        yield Fact("error", "missing")
    elif not isinstance(error, dict):
        yield Fact("error", f"is {kind_of(error)}, not an object")
    else:
        for name, is_nullable in (("message", False), ("type", False), ("param", True), ("code", True)):
            if name not in error:
                yield Fact(f"error.{name}", "missing")
            elif not isinstance(error[name], str) and not (is_nullable and error[name] is None):
                yield Fact(f"error.{name}", f"is {kind_of(error[name])}, not a string{' or null' * is_nullable}")


def _of_a_list(answer: Json, operation: Operation) -> Iterator[Fact]:
    data = answer.get("data")
    if "data" in operation.fields and not isinstance(data, list):
        yield Fact("data", f"is {kind_of(data)}, not a list" if "data" in answer else "missing")
    has_more = operation.fields.get("has_more")
    if has_more is not None and has_more.mandatory:
        if "has_more" not in answer:
            yield Fact("has_more", "missing: the SDK would ask for page after page")
        elif not isinstance(answer["has_more"], bool):
            yield Fact("has_more", f"is {kind_of(answer['has_more'])}, not a boolean")
        elif answer["has_more"] and data == []:
            yield Fact("has_more", "is true where data is empty")
    # The types of the SDK do not ask for these.
    yield from (Fact(name, "missing") for name in _told_by_a_list(operation) if name not in answer)


def _told_by_a_list(operation: Operation) -> list[str]:
    fields = operation.fields
    names = ["object"] if operation.name.startswith(_WITHOUT_ENDS) else ["object", "first_id", "last_id"]
    return [name for name in names if "first_id" in fields and name in fields and not fields[name].mandatory]
