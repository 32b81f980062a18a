"""What a function says in plain form: text, tool calls, a refusal, reasoning, and what was used."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, get_args

import msgspec

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]

_FINISH_REASONS: Final = frozenset(get_args(FinishReason))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the client is asked to call, with all of its arguments.

    What the server has run itself is no tool call: the client would run it again.

    Args:
        name: The name of one of the request's tools.
        arguments: The arguments as an object, or as the JSON text that a model made; of a custom tool the input. They
            do not count for the hash.
        id: What the tool's result will be sent back with; without it, a new one.

    Raises:
        TypeError: The name or the id is no str, or the arguments are neither a str nor a mapping that has a JSON form.
        ValueError: The name or the id is empty, or a number among the arguments is none that JSON has.
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict, hash=False)
    id: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_text("name", self.name)
        _check_text("id", self.id, is_optional=True)
        if not self.name or self.id == "":
            raise ValueError(f"A tool call needs a name and an id that are not empty, not {self.name!r}, {self.id!r}.")
        if isinstance(self.arguments, str):
            return
        if not isinstance(self.arguments, Mapping):
            raise TypeError(f"The arguments of a tool call are a mapping or a str, not {_kind(self.arguments)}.")
        try:
            json.dumps(msgspec.to_builtins(self.arguments, str_keys=True), allow_nan=False)
        except TypeError as error:
            raise TypeError(f"The arguments of a tool call have no JSON form: {error}.") from None
        except ValueError:
            raise ValueError("The arguments of a tool call hold NaN or infinity, which JSON does not have.") from None


@dataclass(frozen=True, slots=True)
class Usage:
    """How many tokens a reply took.

    Args:
        input_tokens: Those of the request.
        output_tokens: Those of the reply.
        cached_tokens: How many of the input came from a cache.
        cache_write_tokens: How many of the input were written to it.
        reasoning_tokens: How many of the output were reasoning.
        total_tokens: All together; without it, the sum.

    Raises:
        TypeError: A number is no int.
        ValueError: A number is below zero.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = field(default=0, kw_only=True)
    cache_write_tokens: int = field(default=0, kw_only=True)
    reasoning_tokens: int = field(default=0, kw_only=True)
    total_tokens: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in self.__slots__:
            number = getattr(self, name)
            if number is None and name == "total_tokens":
                continue
            if not isinstance(number, int) or isinstance(number, bool):
                raise TypeError(f"{name} is an int, not {_kind(number)}.")
            if number < 0:
                raise ValueError(f"{name} is not below zero, as {number} is.")

    @classmethod
    def of(cls, value: Any) -> Self:
        """The usage that a value tells of.

        Args:
            value: A `Usage`; or a mapping or an SDK's object with the words of chat completions (`prompt_tokens`,
                `completion_tokens`), of Responses, or of this class.

        Raises:
            TypeError: It is something else, or a number is no int.
            ValueError: A number is missing, or below zero.
        """
        if isinstance(value, cls):
            return value
        fields = fields_of_object(value)
        if fields is None:
            raise TypeError(f"usage is a Usage, or an object of the OpenAI API, not {_kind(value)}.")
        input_tokens = _first(fields, "input_tokens", "prompt_tokens")
        output_tokens = _first(fields, "output_tokens", "completion_tokens")
        if input_tokens is None or output_tokens is None:
            raise ValueError(
                "usage needs input_tokens and output_tokens (or prompt_tokens and completion_tokens); it has "
                f"{', '.join(fields) or 'nothing'}."
            )
        input_details = fields_of_object(_first(fields, "input_tokens_details", "prompt_tokens_details")) or {}
        output_details = fields_of_object(_first(fields, "output_tokens_details", "completion_tokens_details")) or {}
        return cls(
            input_tokens,
            output_tokens,
            cached_tokens=_first(fields, "cached_tokens") or input_details.get("cached_tokens") or 0,
            cache_write_tokens=_first(fields, "cache_write_tokens") or input_details.get("cache_write_tokens") or 0,
            reasoning_tokens=_first(fields, "reasoning_tokens") or output_details.get("reasoning_tokens") or 0,
            total_tokens=fields.get("total_tokens"),
        )

    @property
    def total(self) -> int:
        """All tokens together: as reported, else the sum."""
        return self.input_tokens + self.output_tokens if self.total_tokens is None else self.total_tokens


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, or a piece of one where an iterator gives several.

    Args:
        content: The text.
        tool_calls: Functions that the client is asked to call.
        refusal: Why the request was refused.
        reasoning: What was thought before, as far as the client may read it.
        finish_reason: `"length"` where the text was cut, `"content_filter"` where it was kept back; `"stop"` and
            `"tool_calls"` follow from the rest.
        usage: A `Usage`, or what either API calls its usage: a mapping or the SDK's object.

    Raises:
        TypeError: Something has the wrong type.
        ValueError: The finish reason is none, or the usage lacks a number.
    """

    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = field(default=(), kw_only=True)
    refusal: str | None = field(default=None, kw_only=True)
    reasoning: str | None = field(default=None, kw_only=True)
    finish_reason: FinishReason | None = field(default=None, kw_only=True)
    usage: Usage | None = field(default=None, kw_only=True)

    def __init__(
        self,
        content: str | None = None,
        *,
        tool_calls: Iterable[ToolCall] = (),
        refusal: str | None = None,
        reasoning: str | None = None,
        finish_reason: FinishReason | None = None,
        usage: Usage | Mapping[str, Any] | object | None = None,
    ) -> None:
        _check_text("content", content, is_optional=True)
        _check_text("refusal", refusal, is_optional=True)
        _check_text("reasoning", reasoning, is_optional=True)
        _check_text("finish_reason", finish_reason, is_optional=True)
        if finish_reason is not None and finish_reason not in _FINISH_REASONS:
            raise ValueError(f"finish_reason is one of {', '.join(get_args(FinishReason))}, not {finish_reason!r}.")
        if isinstance(tool_calls, ToolCall) or not isinstance(tool_calls, Iterable):
            raise TypeError(f"tool_calls is a list of ToolCall, not {_kind(tool_calls)}.")
        calls = tuple(tool_calls)
        for call in calls:
            if not isinstance(call, ToolCall):
                raise TypeError(f"tool_calls holds ToolCall objects, not {_kind(call)}.")
        for name, value in (
            ("content", content),
            ("tool_calls", calls),
            ("refusal", refusal),
            ("reasoning", reasoning),
            ("finish_reason", finish_reason),
            ("usage", None if usage is None else Usage.of(usage)),
        ):
            object.__setattr__(self, name, value)


def fields_of_object(value: Any) -> Mapping[str, Any] | None:
    """The fields of a mapping, or of an SDK's object; None where it is neither."""
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    # An SDK marks what was never set by leaving it out.
    return dump(mode="json", by_alias=True, exclude_unset=True) if callable(dump) else None


def _first(fields: Mapping[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _check_text(name: str, value: object, *, is_optional: bool = False) -> None:
    if not isinstance(value, str) and not (value is None and is_optional):
        raise TypeError(f"{name} is a str, not {_kind(value)}.")


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
