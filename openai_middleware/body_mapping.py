"""Body mappings compiled once: what becomes a keyword argument, and which fields of an answer the client gets."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import msgspec
from msgspec import Raw

from openai_middleware.errors import (
    ConfigurationError,
    ConfigurationMistake,
    UnprocessableEntityError,
    raise_mistakes,
)

AbsentOptional = Literal["omit", "null"]

_TOP_LEVEL_FIELD = re.compile(r"(?:\$\.)?([A-Za-z_][A-Za-z0-9_]*)|\$?\['([^'\\]*)'\]|\$?\[\"([^\"\\]*)\"\]")
_NULL: Final = Raw(b"null")
_BOOLEANS: Final = (Raw(b"true"), Raw(b"false"))
ABSENT: Final = object()
fields_of = msgspec.json.Decoder(dict[str, Raw]).decode
value_of = msgspec.json.Decoder().decode

# What msgspec raises for a document that it does not take: RecursionError is how it refuses deep nesting.
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class BodyMapping:
    """One rule: the value at `source_path` goes to `destination_path`.

    Attributes:
        source_path: A JSONPath (RFC 9535); the leading `$.` may be left out.
        destination_path: A keyword argument's name on the way in, a field of the JSON answer on the way out.
        mandatory: Whether its absence is a 422.
    """

    source_path: str
    destination_path: str
    mandatory: bool = False

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Refuse rules that can never work.

        Raises:
            ConfigurationError: The source or the destination is empty, or the source is no JSONPath.
        """
        raise_mistakes(self._mistakes())

    def _mistakes(self) -> Iterator[ConfigurationMistake]:
        if not self.source_path:
            hint = "Write a JSONPath such as '$.model'; '$' is the whole body."
            yield ConfigurationMistake("source_path_empty", "A mapping needs a source.", "", hint)
        else:
            try:
                compile_source(self.source_path)
            except ConfigurationError as error:
                yield from error.mistakes
        if not self.destination_path:
            hint = "Name the keyword argument, or the field of the answer, that gets the value."
            yield ConfigurationMistake("destination_path_empty", "A mapping needs a destination.", "", hint)


def merged(inherited: Iterable[BodyMapping], specific: Collection[BodyMapping]) -> list[BodyMapping]:
    """The rules of two scopes in one list; a specific rule replaces those that share its source or its destination.

    Sources are compared as they are written.
    """
    sources = {rule.source_path for rule in specific}
    destinations = {rule.destination_path for rule in specific}
    kept = [rule for rule in inherited if rule.source_path not in sources and rule.destination_path not in destinations]
    return [*kept, *specific]


def top_level_field(source_path: str) -> str | None:
    """The field that a path names where it names just one field of the body itself, else None."""
    found = _TOP_LEVEL_FIELD.fullmatch(source_path)
    return next(group for group in found.groups() if group is not None) if found else None


def compile_source(source_path: str) -> Callable[[Any], Any]:
    """Compile a JSONPath to a function from a body to the value found.

    No match is ABSENT, one match is its value, several are a list. The function raises RecursionError on a body that
    is nested more deeply than the path can follow.

    Raises:
        ConfigurationError: The path is no JSONPath.
    """
    field = top_level_field(source_path)
    if field is not None:
        return lambda body: body.get(field, ABSENT)
    import jsonpath  # half of the package's import time, and most applications name top-level fields only

    try:
        path = jsonpath.compile(source_path)
    except (jsonpath.JSONPathError, ValueError, re.error) as error:
        # The last two the library lets through, for an index `1e5` and for a bad regular expression; and its own
        # rendering of an error at the end of a path raises in its turn.
        raise _invalid_source(source_path, error.args[0] if error.args else "") from error
    if str(path) == "$" and source_path.strip() != "$":
        raise _invalid_source(source_path, "it names nothing")

    def find(body: Any) -> Any:
        try:
            values = path.findall(body)
        except jsonpath.exceptions.JSONPathRecursionError as error:
            raise RecursionError(source_path) from error
        return values if len(values) > 1 else values[0] if values else ABSENT

    return find


def _invalid_source(source_path: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        ConfigurationMistake(
            "source_path_invalid",
            f"This is no JSONPath: {reason}.",
            source_path,
            "Write a path of RFC 9535, such as '$.model' or \"$['a name']\"; '$' is the whole body.",
        )
    )


class RequestMapping:
    """Input rules compiled: from a decoded request body to keyword arguments."""

    __slots__ = ("_fields", "_mandatory", "_rules")

    def __init__(self, rules: Sequence[BodyMapping]) -> None:
        self._rules = [(rule.destination_path, compile_source(rule.source_path)) for rule in rules]
        self._mandatory = [rule for rule in rules if rule.mandatory]
        fields = [(rule.destination_path, top_level_field(rule.source_path)) for rule in rules]
        # Bodies have few of the fields that there are rules for: a look-up is cheaper than a call.
        self._fields = None if any(field is None for _, field in fields) else fields

    def extract(self, body: Any) -> dict[str, Any]:
        """The keyword arguments in a decoded body; None stands for a body that was empty.

        Raises:
            UnprocessableEntityError: A mandatory field is absent, or the body is no object and some field is mandatory.
        """
        if body is not None and not isinstance(body, dict):
            self.refuse(_json_kind(body))
            return {}
        kwargs: dict[str, Any] = {}
        if body is not None and self._fields is not None:
            kwargs = {destination: body[field] for destination, field in self._fields if field in body}
        elif body is not None:
            found = ((destination, find(body)) for destination, find in self._rules)
            kwargs = {destination: value for destination, value in found if value is not ABSENT}
        missing = [_source_name(rule) for rule in self._mandatory if rule.destination_path not in kwargs]
        if missing:
            names = ", ".join(f"'{name}'" for name in missing)
            message = f"Missing required parameter{'s' if len(missing) > 1 else ''}: {names}."
            raise UnprocessableEntityError(message, param=missing[0], code="missing_required_parameter")
        return kwargs

    def refuse(self, kind: str) -> None:
        """Refuse a body that is no JSON object, but this kind of thing, where a field of it would be mandatory.

        Raises:
            UnprocessableEntityError: A field is mandatory.
        """
        if self._mandatory:
            message = f"The request body must be a JSON object, not {kind}."
            raise UnprocessableEntityError(message, code="invalid_type")


def _source_name(rule: BodyMapping) -> str:
    return top_level_field(rule.source_path) or rule.source_path


def _json_kind(value: Any) -> str:
    kinds = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array"}
    return kinds[type(value)]


class MissingFieldError(Exception):
    """An answer of the app lacks a mandatory field; `field` is None where the answer is no JSON object at all."""

    def __init__(self, field: str | None) -> None:
        super().__init__(field)
        self.field = field


class ResponseMapping:
    """Output rules compiled: from the bytes of a JSON answer to the bytes that the client gets.

    Args:
        rules: The output rules.
        nullable: Mandatory destinations that are filled with null where they are absent.
        absent_optional: Whether an absent optional field is left out (`"omit"`) or filled with null (`"null"`).
        booleans: Destinations where anything but true and false counts as absent.
    """

    __slots__ = ("_booleans", "_decode", "_filled", "_fits", "_rules")

    def __init__(
        self,
        rules: Sequence[BodyMapping],
        nullable: Collection[str] = (),
        absent_optional: AbsentOptional = "omit",
        booleans: Collection[str] = (),
    ) -> None:
        self._booleans = booleans
        self._rules = [(rule.destination_path, compile_source(rule.source_path), rule.mandatory) for rule in rules]
        self._filled = {
            rule.destination_path
            for rule in rules
            if (rule.destination_path in nullable if rule.mandatory else absent_optional == "null")
        }
        fields = [top_level_field(rule.source_path) for rule in rules]
        # A top-level field is moved as the bytes it stands in; only what lies deeper has to be decoded.
        self._decode: Callable[[bytes], Any] = value_of if None in fields else fields_of
        renames = any(rule.destination_path != field for rule, field in zip(rules, fields, strict=True))
        self._fits = None if renames else self._compile_test()

    def _compile_test(self) -> Callable[[bytes], object] | None:
        """A decoder that refuses every object which does not have just the fields that the client is to get.

        None where a field has a name that msgspec takes for no struct: with a quote or a control character.
        """
        names = {f"field_{index}": destination for index, (destination, _, _) in enumerate(self._rules)}
        fields = [
            (name, bool if destination in self._booleans else Raw)
            if mandatory or destination in self._filled
            else (name, Raw, _NULL)
            for name, (destination, _, mandatory) in zip(names, self._rules, strict=True)
        ]
        try:
            fitting = msgspec.defstruct(
                "Fitting", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False
            )
        except ValueError:
            return None
        return msgspec.json.Decoder(fitting).decode

    def apply(self, body: bytes) -> bytes:
        """Map an answer; the very same object comes back where nothing has to change.

        Raises:
            MissingFieldError: A mandatory field is absent, or the answer is no object and some field is mandatory.
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: The bytes are not taken as JSON (`UNDECODABLE`).
        """
        if self._fits is not None:
            try:
                self._fits(body)
            except msgspec.ValidationError:
                pass
            else:
                return body
        try:
            fields = self._decode(body)
        except msgspec.ValidationError:
            fields = value_of(body)
        if not isinstance(fields, dict):
            if any(mandatory for _, _, mandatory in self._rules):
                raise MissingFieldError(None)
            return body
        return msgspec.json.encode(self._select(fields))

    def _select(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        selected = {}
        for destination, find, mandatory in self._rules:
            value = find(fields)
            if destination in self._booleans and not (isinstance(value, bool) or value in _BOOLEANS):
                value = ABSENT
            if value is not ABSENT:
                selected[destination] = value
            elif destination in self._filled:
                selected[destination] = None
            elif mandatory:
                raise MissingFieldError(destination)
        return selected
