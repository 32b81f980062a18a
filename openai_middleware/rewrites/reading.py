"""What an app's JSON says, read as a reply or as a piece of one."""

from collections.abc import Callable, Mapping
from typing import Any

from openai_middleware.config.rewrite import Reading
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.mapping.json_path import ABSENT, compile_list, compile_lookup, top_level_field
from openai_middleware.replies.reply import Reply, ToolCall, Usage

Read = Callable[[Any], Any]


class UnreadableError(ValueError):
    """What stands at a path is no part of a reply. The message names the paths, and has no values."""


def compiled_reading(reading: Reading) -> Read:
    """A function from an app's JSON to a piece of a reply; ABSENT where there is none. It raises UnreadableError.

    Args:
        reading: What users wrote.
    """
    if callable(reading):
        return reading
    if isinstance(reading, str):
        return _compiled_text(reading)
    fields = [(name, compile_lookup(path)) for name, path in reading.items()]

    def read_fields(value: Any) -> Any:
        present = {}
        is_there = False
        for name, find in fields:
            found = find(value)
            if found is not ABSENT:
                is_there = True
                if found is not None:
                    present[name] = found
        if len(present) == 1 and "content" in present:
            # All that most pieces of a stream hold.
            return _text(present["content"])
        if not is_there:
            return ABSENT
        try:
            return _reply(present)
        except (TypeError, ValueError) as error:
            # What it says may hold values.
            raise UnreadableError(f"{_arrows(reading)} is no tool call or usage") from error

    return read_fields


def _compiled_text(path: str) -> Read:
    field = top_level_field(path)
    if field is None:
        find = compile_lookup(path)
        return lambda value: _text(find(value))

    def read_field(value: Any) -> Any:
        found = value.get(field, ABSENT) if isinstance(value, dict) else ABSENT
        return found if isinstance(found, str) else _text(found)

    return read_field


def compiled_values(reading: Reading) -> Read:
    """A function from an app's JSON to a list: of names, or of vectors. The argument is that of above."""
    if callable(reading):
        return reading
    if not isinstance(reading, str):
        raise TypeError(f"A list is read by a path or by a function, not by a {type(reading).__name__}.")
    return compile_list(reading)


def _text(value: Any) -> Any:
    if value is ABSENT or value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(item if isinstance(item, str) else encoded(item).decode() for item in value)
    return encoded(value).decode()


def _reply(fields: Mapping[str, Any]) -> Reply:
    texts = {name: _text(fields[name]) for name in ("content", "refusal", "reasoning") if name in fields}
    calls = fields.get("tool_calls", ())
    reason = fields.get("finish_reason")
    return Reply(
        **texts,
        tool_calls=[_tool_call(call) for call in (calls if isinstance(calls, list) else [calls])] if calls else (),
        finish_reason=reason if reason in ("stop", "length", "tool_calls", "content_filter") else None,
        usage=Usage.of(fields["usage"]) if "usage" in fields else None,
    )


def _tool_call(call: Any) -> ToolCall:
    """A tool call in the words of `ToolCall`, or in those of chat completions."""
    fields = call if isinstance(call, Mapping) else {}
    details = fields.get("function") or fields.get("custom") or fields
    arguments = details.get("arguments", details.get("input", {}))
    return ToolCall(details.get("name", ""), {} if arguments is None else arguments, id=fields.get("id"))


def shown(reading: object) -> object:
    """What is looked for, for the log."""
    return _arrows(reading) if isinstance(reading, Mapping) else reading


def _arrows(reading: Mapping[str, str]) -> str:
    return " or ".join(f"{path} ({name})" for name, path in reading.items())
