"""The cases of chat completions, text completions and responses that are about asking and being answered."""

from collections.abc import Iterator
from typing import Final

from openai_middleware.check.case import Case
from openai_middleware.check.judge import NotImplementedByAppError
from openai_middleware.check.probe import Probe
from openai_middleware.check.wire import TEXT, Json

__all__ = ["text_cases"]

CHAT, COMPLETIONS, RESPONSES = TEXT

_PARAMETERS: Final[Json] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_FUNCTION: Final[Json] = {"name": "get_weather", "description": "The weather in a city", "parameters": _PARAMETERS}


def _question(probe: Probe, operation: str) -> Json:
    if operation == CHAT:
        return {"model": probe.model, "messages": [{"role": "user", "content": probe.prompt}]}
    if operation == COMPLETIONS:
        return {"model": probe.model, "prompt": probe.prompt}
    return {"model": probe.model, "input": probe.prompt, "store": False}


def _conversation(probe: Probe) -> list[Json]:
    return [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": probe.prompt},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": probe.prompt},
    ]


def _items(probe: Probe) -> list[Json]:
    return [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": probe.prompt},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": [{"type": "input_text", "text": probe.prompt}]},
    ]


def _create(operation: str) -> Case:
    return Case(operation, "create", lambda probe: probe.whole(operation, **_question(probe, operation)))


def _stream(operation: str) -> Case:
    def run(probe: Probe) -> None:
        usage = {} if operation == RESPONSES else {"stream_options": {"include_usage": True}}
        probe.stream(operation, **_question(probe, operation), **usage)

    return Case(operation, "stream", run)


def _helper(operation: str) -> Case:
    def run(probe: Probe) -> None:
        probe.helper(operation, **_question(probe, operation))

    return Case(operation, "stream helper", run)


def _left(operation: str) -> Case:
    def run(probe: Probe) -> None:
        probe.left_stream(operation, **_question(probe, operation))
        probe.whole(operation, **_question(probe, operation))

    return Case(operation, "a stream that is left", run)


def _several_turns(operation: str) -> Case:
    def run(probe: Probe) -> None:
        turns = {"messages": _conversation(probe)} if operation == CHAT else {"input": _items(probe)}
        probe.whole(operation, **{**_question(probe, operation), **turns})

    return Case(operation, "several turns", run)


def _tools(operation: str) -> Case:
    def run(probe: Probe) -> None:
        nested = {"type": "function", "function": {**_FUNCTION, "strict": True}}
        flat = {"type": "function", **_FUNCTION, "strict": True}
        probe.whole(operation, **_question(probe, operation), tools=[nested if operation == CHAT else flat])

    return Case(operation, "tools", run)


def _errors(operation: str, *mandatory: str) -> Case:
    def run(probe: Probe) -> None:
        # The middleware refuses these of an operation that the app does not have, too.
        probe.given(operation, **_question(probe, operation))
        probe.refused(operation, "a body that is no JSON", body=b'{"model": ')
        for missing in mandatory:
            body = {name: value for name, value in _question(probe, operation).items() if name != missing}
            probe.refused(operation, f"a body without {missing!r}", body=body)

    return Case(operation, "errors", run)


def _previous_response(probe: Probe) -> None:
    question = {**_question(probe, RESPONSES), "store": True}
    before = probe.given_id(RESPONSES, **question)
    again = probe.whole(RESPONSES, refusals=(400, 404), is_kept=True, **question, previous_response_id=before)
    if again is None:
        raise NotImplementedByAppError("400 for previous_response_id")


def text_cases() -> Iterator[Case]:
    """The cases, operation by operation."""
    yield from (_create(CHAT), _several_turns(CHAT), _tools(CHAT), _stream(CHAT), _helper(CHAT), _left(CHAT))
    yield _errors(CHAT, "messages", "model")
    yield from (_create(COMPLETIONS), _stream(COMPLETIONS), _errors(COMPLETIONS, "prompt", "model"))
    for case in (_create, _several_turns, _tools, _stream, _helper, _left):
        yield case(RESPONSES)
    yield _errors(RESPONSES)
    yield Case(RESPONSES, "previous response", _previous_response, "two responses")
