"""What users write to have an operation served by another route of the app."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from openai_middleware.mapping.json_path import compile_source
from openai_middleware.mistakes import ConfigurationError, ConfigurationMistake, Mistakes, report_mistakes
from openai_middleware.request.path_template import path_mistakes

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
# The fields of a reply that an app's answer may be read for.
REPLY_FIELDS: Final = ("content", "tool_calls", "refusal", "reasoning", "finish_reason", "usage")

Reading = str | Mapping[str, str] | Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """An operation that another route of the app serves: how its request is made, and how the app's answer is read.

    Args:
        target: The route: a path, such as `/ask`, which gets a POST; or a method and a path, such as
            `GET /assistants/{response_id}`. Placeholders take keyword arguments of the call, each as one segment. The
            path is relative to where the middleware stands.
        body: What the app gets as JSON: an object or list whose strings that are `$`, or begin with `$.` or `$[`, are
            JSONPaths into the call's keyword arguments; or one such path; or a function of the call, which may be a
            coroutine function under ASGI. Two more names can be looked up: `messages`, the request in chat form, and
            `prompt`, the text of the last user message. What a path does not find is left out. Without it, the keyword
            arguments are the body; a GET or DELETE has none.
        query: The query string in the same way, as an object: a list repeats its key.
        reply: Where the app's JSON answer holds the text of the reply (the names for `models.list`, the vectors for
            `embeddings.create`): a JSONPath; or a dict of paths under `content`, `tool_calls`, `refusal`,
            `reasoning`, `finish_reason`, `usage`; or a function of the answer that returns a reply. Without it a JSON
            string or plain text is the reply, and an object is OpenAI's own.
        delta: The same for each piece of a stream; without it, what `reply` says.
        done: What ends a stream early: the data itself, such as `[DONE]`, or a JSONPath that finds something true.

    Raises:
        ConfigurationError: With every mistake in these.
    """

    target: str
    body: Any = field(default=None, kw_only=True)
    query: Any = field(default=None, kw_only=True)
    reply: Reading | None = field(default=None, kw_only=True)
    delta: Reading | None = field(default=None, kw_only=True)
    done: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        report_mistakes(self._mistakes())

    @property
    def method(self) -> str:
        """The HTTP method of the route."""
        method, separator, _ = self.target.partition(" ")
        return method if separator else "POST"

    @property
    def path(self) -> str:
        """The path of the route, with its placeholders."""
        return self.target.rpartition(" ")[2]

    def to_dict(self) -> dict[str, Any]:
        """The rewrite as plain JSON values; what is None is left out.

        Raises:
            ConfigurationError: It holds a function, which has no such form.
        """
        struct = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) is not None}
        report_mistakes(
            ConfigurationMistake(
                "rewrite_function", "A function has no dictionary form.", value, "Write a JSONPath, or a dict.", name
            )
            for name, value in struct.items()
            if callable(value)
        )
        return struct

    @classmethod
    def from_dict(cls, struct: Mapping[str, Any]) -> Self:
        """The rewrite that `to_dict` wrote.

        Raises:
            ConfigurationError: With every mistake in it.
        """
        names = [one.name for one in fields(cls)]
        mistakes = Mistakes()
        for name in struct:
            if name not in names:
                hint = f"Choose from {', '.join(names)}."
                mistakes.add("rewrite_unknown", "A rewrite has no such key.", name, hint)
        with mistakes:
            rewrite = cls(**{"target": None} | {name: struct[name] for name in names if name in struct})
        mistakes.report()
        return rewrite

    def _mistakes(self) -> Iterator[ConfigurationMistake]:
        yield from target_mistakes(self.target)
        for name in ("body", "query"):
            yield from (mistake.inside(name) for mistake in _template_mistakes(getattr(self, name)))
        if self.query is not None and not (
            isinstance(self.query, Mapping) or is_path(self.query) or callable(self.query)
        ):
            hint = "Write a dict such as {'id': '$.response_id'}."
            yield ConfigurationMistake("rewrite_query", "A query is an object.", self.query, hint, "query")
        for name in ("reply", "delta"):
            yield from (mistake.inside(name) for mistake in _reading_mistakes(getattr(self, name)))
        done: object = self.done
        if not (done is None or isinstance(done, str)):
            hint = "Write the data that ends the stream, such as '[DONE]', or a JSONPath."
            yield ConfigurationMistake("rewrite_done", "What ends a stream is a str.", self.done, hint, "done")
        elif is_path(self.done):
            yield from (mistake.inside("done") for mistake in _path_mistakes(self.done))


def is_path(value: Any) -> bool:
    """Whether a value in a body or a query is a JSONPath."""
    return isinstance(value, str) and (value == "$" or value.startswith(("$.", "$[")))


def target_mistakes(target: object) -> Iterator[ConfigurationMistake]:
    """What is wrong with a target."""
    if not isinstance(target, str):
        hint = "Write '/ask', or 'GET /assistants/{response_id}'."
        yield ConfigurationMistake("rewrite_target", "A target is a str.", target, hint)
        return
    method, separator, path = target.partition(" ")
    if separator and method not in _METHODS:
        hint = f"Write one of {', '.join(_METHODS)} before the path, or the path alone for POST."
        yield ConfigurationMistake("rewrite_method", "This is no method of a route.", target, hint)
    path = path if separator else target
    if not path.startswith("/"):
        yield ConfigurationMistake("rewrite_path", "A path starts with '/'.", target, "Write '/ask'.")
    elif "*" in path or ":path}" in path or any(char in path for char in "?# "):
        hint = "Write a path with placeholders of one segment each; what follows '?' goes into query=."
        yield ConfigurationMistake("rewrite_path", "This is no path to send a request to.", target, hint)
    else:
        yield from path_mistakes(path)


def _template_mistakes(value: Any) -> Iterator[ConfigurationMistake]:
    if is_path(value):
        yield from _path_mistakes(value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                yield ConfigurationMistake("rewrite_key", "A key of JSON is a str.", name, "Write a str.")
            yield from (mistake.inside(str(name)) for mistake in _template_mistakes(item))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from (mistake.inside(str(index)) for mistake in _template_mistakes(item))
    elif not (value is None or isinstance(value, str | int | float) or callable(value)):
        hint = "Write what JSON has, a JSONPath, or a function of the call for the whole."
        yield ConfigurationMistake("rewrite_value", "This has no JSON form.", value, hint)


def _reading_mistakes(reading: Any) -> Iterator[ConfigurationMistake]:
    if reading is None or (callable(reading) and not isinstance(reading, str)):
        return
    if isinstance(reading, str):
        yield from _path_mistakes(reading)
    elif isinstance(reading, Mapping):
        for name, path in reading.items():
            if name not in REPLY_FIELDS:
                hint = f"Choose from {', '.join(REPLY_FIELDS)}."
                yield ConfigurationMistake("rewrite_field", "A reply has no such field.", name, hint)
            yield from (mistake.inside(str(name)) for mistake in _path_mistakes(path))
    else:
        hint = "Write a JSONPath, a dict of them, or a function of the answer."
        yield ConfigurationMistake("rewrite_reading", "This reads no answer.", reading, hint)


def _path_mistakes(path: Any) -> Iterator[ConfigurationMistake]:
    if not isinstance(path, str) or not path:
        yield ConfigurationMistake("source_path_empty", "This is no JSONPath.", path, "Write '$.answer'.")
        return
    try:
        compile_source(path)
    except ConfigurationError as error:
        yield from error.mistakes
