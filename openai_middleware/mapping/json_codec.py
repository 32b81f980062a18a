"""JSON, decoded as far as it is needed."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

fields_of = msgspec.json.Decoder(dict[str, Raw]).decode
"""The top-level fields of an object, each as the bytes that it stands in."""

items_of = msgspec.json.Decoder(list[Raw]).decode
"""The items of an array, in the same way."""

value_of = msgspec.json.Decoder().decode
"""A whole document."""

# The value of a field that is not there: just this object. A field that is null has another one.
_LEFT_OUT: Final = Raw(b"null")
_EMPTY: Final = b"{}"

# What msgspec raises for a document that it does not take: RecursionError is how it refuses deep nesting.
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def fitting(
    fields: Mapping[str, tuple[Any, ...]],
    *,
    forbids_unknown: bool = True,
    tag: str | None = None,
    attribute: str = "",
    extra: Iterable[str] = (),
) -> type[msgspec.Struct]:
    """A struct whose decoder is a test: it refuses objects with other fields in a third of the time of splitting them.

    Args:
        fields: The fields, each with its type and, where it may be absent, any default.
        forbids_unknown: Whether it refuses objects with more fields than these.
        tag: What the object's `type` has to be, or None.
        attribute: The name of the field that can be read from what was decoded.
        extra: More fields that an object may have, which `without_extra` leaves out.

    Raises:
        ValueError: A name is none that msgspec takes.
    """
    names = {name if name == attribute else f"field_{index}": name for index, name in enumerate(fields)}
    more = {f"extra_{index}": name for index, name in enumerate(extra) if name not in fields}
    return msgspec.defstruct(
        "Fitting",
        [(own_name, *fields[name]) for own_name, name in names.items()]
        + [(own_name, Raw, _LEFT_OUT) for own_name in more],
        rename=names | more,
        namespace={"extra": tuple(more)},
        forbid_unknown_fields=forbids_unknown,
        omit_defaults=True,
        tag=tag,
        kw_only=True,
        gc=False,
    )


def without_extra(decoded: Any) -> bytes | None:
    """What was decoded as a `fitting` struct, without the extra fields; None where it had none, or nothing else.

    The fields come in the order of the struct, each as the bytes that it stood in.
    """
    has_extra = False
    for name in decoded.extra:
        if getattr(decoded, name) is not _LEFT_OUT:
            setattr(decoded, name, _LEFT_OUT)
            has_extra = True
    rest = msgspec.json.encode(decoded) if has_extra else _EMPTY
    return None if rest == _EMPTY else rest


def decoder_of(kind: Any) -> Callable[[bytes], Any]:
    """What decodes a document of this type. It raises `msgspec.ValidationError` for a document of any other."""
    return msgspec.json.Decoder(kind).decode


def reason_of(error: Exception) -> str:
    """Why a document was not taken, for a person."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)


def encoded(value: Any) -> bytes:
    """A value as JSON. What has no UTF-8 form, such as a lone surrogate, is replaced.

    Raises:
        TypeError: Something in it has no JSON form.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_encodable(value))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_encodable(name): _encodable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value


def json_kind(value: Any) -> str:
    """What a decoded value is in the words of JSON, such as `an array`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return kinds.get(type(value), "null")
