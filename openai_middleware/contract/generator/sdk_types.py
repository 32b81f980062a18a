"""Reads the types of the OpenAI SDK: `TypedDict`s of request parameters and pydantic models of answers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    TypeGuard,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel

_WRAPPERS = (Annotated, Required, NotRequired)


def members(hint: Any) -> Iterator[Any]:
    """The members of a union, however nested and annotated; of any other type, that type."""
    origin = get_origin(hint)
    if origin in _WRAPPERS:
        yield from members(get_args(hint)[0])
    elif origin in (Union, UnionType):
        for member in get_args(hint):
            yield from members(member)
    else:
        yield hint


def parameters(
    types: Iterable[Any], keys: Iterable[str], named: Callable[[Iterable[Any]], str]
) -> dict[str, tuple[bool, str]]:
    """What `TypedDict`s say of these keys: their name on the wire -> (mandatory, type).

    The types are alternatives, and each may itself be a union: mandatory is what is mandatory in all of them. `named`
    gives the alternatives of a key one name: `json_type` or `annotation`.

    Raises:
        KeyError: none of the types has such a key.
    """
    variants = [_typed_dict_fields(member) for hint in types for member in members(hint)]
    found: dict[str, tuple[bool, str]] = {}
    for key in keys:
        hints = [variant[key][0] for variant in variants if key in variant]
        if not hints:
            raise KeyError(key)
        mandatory = all(key in variant and variant[key][1] for variant in variants)
        found[_alias(hints[0]) or key] = (mandatory, named(hints))
    return found


def _typed_dict_fields(typed_dict: Any) -> dict[str, tuple[Any, bool]]:
    """Key -> (type, mandatory). `__required_keys__` does not tell: it is blind to annotations that are strings."""
    inherited: dict[str, bool] = {}
    for base in getattr(typed_dict, "__orig_bases__", ()):
        if hasattr(base, "__total__"):  # typing.is_typeddict does not know those of typing_extensions
            inherited |= {key: mandatory for key, (_, mandatory) in _typed_dict_fields(base).items()}
    fields = {}
    for key, hint in get_type_hints(typed_dict, include_extras=True).items():
        markers = set(_wrappers(hint))
        by_class = inherited.get(key, typed_dict.__total__)
        fields[key] = hint, Required in markers or (by_class and NotRequired not in markers)
    return fields


def _wrappers(hint: Any) -> Iterator[Any]:
    while get_origin(hint) in _WRAPPERS:
        yield get_origin(hint)
        hint = get_args(hint)[0]


def _alias(hint: Any) -> str | None:
    while get_origin(hint) in _WRAPPERS:
        for metadata in getattr(hint, "__metadata__", ()):
            if alias := getattr(metadata, "alias", None):
                return str(alias)
        hint = get_args(hint)[0]
    return None


def json_type(hints: Iterable[Any]) -> str:
    """The one JSON type of a parameter; `string`, which is how it arrives, where it may have several."""
    kinds = {_json_kind(member) for hint in hints for member in members(hint) if member is not NoneType}
    if kinds == {"integer", "number"}:
        return "number"
    return kinds.pop() if len(kinds) == 1 else "string"


def _json_kind(hint: Any) -> str:
    origin = get_origin(hint) or hint
    if origin is Literal:
        origin = type(get_args(hint)[0])
    # In this order: bool is an int, str is iterable, and so is every mapping.
    for python_type, kind in _JSON_KINDS:
        if isinstance(origin, type) and issubclass(origin, python_type):
            return kind
    return "string"


_JSON_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (Mapping, "object"),
    (Iterable, "array"),
)


def annotation(hints: Iterable[Any]) -> str:
    """What a parameter is once its JSON is decoded, as an annotation. Objects are told from lists, and no deeper."""
    found = {_annotation(member) for hint in hints for member in members(hint)}
    if "Any" in found:
        return "Any"
    if "float" in found:
        found.discard("int")
    return " | ".join(sorted(found, key=lambda name: (name == "None", name)))


def _annotation(hint: Any) -> str:
    if hint is NoneType:
        return "None"
    if hint in (Any, object):
        return "Any"
    kind = _json_kind(hint)
    return f"list[{annotation(get_args(hint))}]" if kind == "array" else _ANNOTATIONS[kind]


_ANNOTATIONS = {
    "boolean": "bool",
    "integer": "int",
    "number": "float",
    "string": "str",
    "object": "dict[str, Any]",
}


def answer_fields(models: Iterable[type[BaseModel]]) -> dict[str, tuple[bool, bool]]:
    """The top-level fields of an answer of one of these models: their name on the wire -> (mandatory, nullable)."""
    variants = [
        {field.alias or name: (field.is_required(), _is_nullable(field.annotation)) for name, field in fields.items()}
        for fields in (model.model_fields for model in models)
    ]
    names = {name for variant in variants for name in variant}
    return {
        name: (
            all(name in variant and variant[name][0] for variant in variants),
            any(name in variant and variant[name][1] for variant in variants),
        )
        for name in names
    }


def _is_nullable(hint: Any) -> bool:
    return any(member in (NoneType, Any, object) for member in members(hint))


def item_models(answer: Iterable[type[BaseModel]]) -> list[type[BaseModel]]:
    """The models of the items that an answer of one of these models lists in `data`.

    None where it lists nothing, and none where an item may be something else than a model: what its fields are, the
    SDK does not tell then.
    """
    fields = [model.model_fields["data"] for model in answer if "data" in model.model_fields]
    lists = [hint for field in fields for hint in members(field.annotation) if get_origin(hint) is list]
    items = [item for hint in lists for item in members(get_args(hint)[0])]
    return items if all(is_model(item) for item in items) else []


def is_model(hint: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a type is a model."""
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def event_types(model: type[BaseModel]) -> tuple[str, ...]:
    """The values of an event's `type` field; one empty string if the events of this model carry no type."""
    field = model.model_fields.get("type")
    hints = list(members(field.annotation)) if field else []
    return tuple(value for hint in hints if get_origin(hint) is Literal for value in get_args(hint)) or ("",)
