"""Generates the contract from the source of the installed OpenAI SDK, the overlay, and the Open Responses document.

`python -m openai_middleware.contract --write FILE` writes it. This is the only module that imports `openai`.
"""

import functools
import inspect
import json
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_type_hints

import openai
from openai._legacy_response import HttpxBinaryResponseContent
from openai._resource import SyncAPIResource
from pydantic import BaseModel

from openai_middleware.contract import FORMAT
from openai_middleware.contract.generator.open_responses import OpenResponses, unite
from openai_middleware.contract.generator.sdk_source import (
    Params,
    SentRequest,
    UnreadableSourceError,
    read_sent_request,
)
from openai_middleware.contract.generator.sdk_types import (
    annotation,
    answer_fields,
    event_types,
    is_model,
    item_models,
    json_type,
    members,
    parameters,
)

OVERLAY = Path(__file__).parent.parent / "overlay.toml"

# Not of the API that applications serve: administration of an organization, and previews that change without notice.
_LEFT_OUT = {"admin", "beta"}


def generate() -> dict[str, Any]:
    """Describe every operation of the installed SDK, with what Open Responses has beyond it: the content of the file.

    Raises:
        UnreadableSourceError: the SDK has a method that cannot be understood.
        OSError: the overlay or the Open Responses document cannot be read.
    """
    document = of_the_sdk()
    unite(document, OpenResponses.load())
    return document


def of_the_sdk() -> dict[str, Any]:
    """Describe every operation of the installed SDK outside `admin` and `beta`, in the form of the data file.

    Raises:
        UnreadableSourceError: the SDK has a method that cannot be understood.
        OSError: the overlay cannot be read.
    """
    builder = _Builder()
    for name, function, request in _operations():
        builder.add(name, function, request)
    builder.lay_over(tomllib.loads(OVERLAY.read_text("utf-8")))
    return builder.document()


def body_types(operations: Collection[str]) -> dict[str, dict[str, str]]:
    """The types of the body fields of operations, as annotations: operation -> name on the wire -> `str | None`.

    Raises:
        UnreadableSourceError: the SDK has a method that cannot be understood.
    """
    return {
        name: {key: hint for key, (_, hint) in _parameters(name, request.body, function, annotation).items()}
        for name, function, request in _operations()
        if name in operations and request.body is not None
    }


def render(document: Mapping[str, Any]) -> str:
    """The document as sorted JSON, one line for each innermost object, so that differences are easy to read."""
    return _render(document, "") + "\n"


def _render(value: Any, indent: str) -> str:
    flat = json.dumps(value, sort_keys=True)
    is_innermost = not isinstance(value, Mapping) or not any(isinstance(item, Mapping) for item in value.values())
    if is_innermost and len(indent) + len(flat) <= 110:
        return flat
    deeper = indent + " "
    if isinstance(value, Mapping):
        lines = (f"{deeper}{json.dumps(key)}: {_render(value[key], deeper)}" for key in sorted(value))
        opening, closing = "{}"
    else:
        lines = (deeper + _render(item, deeper) for item in value)
        opening, closing = "[]"
    return "\n".join((opening, ",\n".join(lines), indent + closing))


def _operations() -> Iterator[tuple[str, Callable[..., Any], SentRequest]]:
    """Each operation once: of several methods that send the same, the one that users are told to call."""
    best: dict[tuple[str, str], tuple[tuple[bool, bool, str], Callable[..., Any], SentRequest]] = {}
    with openai.OpenAI(api_key="not used") as client:
        for name, function in _methods(client, ()):
            if request := read_sent_request(inspect.unwrap(function)):
                rank = (hasattr(function, "__deprecated__"), request.post_parsed, name)
                candidate = (rank, function, request)
                route = (request.method, request.path)
                best[route] = min(best.get(route, candidate), candidate, key=lambda one: one[0])
    for (*_, name), function, request in best.values():
        yield name, function, request


def _methods(parent: object, path: tuple[str, ...]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The methods of a resource, or of the client itself, and of all resources below it, by the SDK's names."""
    for name in dir(type(parent)):
        attribute = inspect.getattr_static(type(parent), name)
        if not isinstance(attribute, functools.cached_property) or name in _LEFT_OUT:
            continue
        resource = getattr(parent, name)
        if isinstance(resource, SyncAPIResource):
            yield from _methods(resource, (*path, name))
            for method, function in _generated_functions(type(resource)).items():
                yield ".".join((*path, name, method)), function


def _generated_functions(resource: type) -> dict[str, Callable[..., Any]]:
    """The functions of a resource class, without those that `openai.lib` overrides by hand."""
    functions: dict[str, Callable[..., Any]] = {}
    for base in resource.__mro__:
        if base.__module__.startswith("openai.resources"):
            found = {name: value for name, value in vars(base).items() if inspect.isfunction(value)}
            functions = found | functions
    return functions


class _Builder:
    """Gathers the document, operation by operation."""

    def __init__(self) -> None:
        self.operations: dict[str, dict[str, Any]] = {}
        self.schemas: dict[str, dict[str, list[bool]]] = {}
        self.items: dict[str, list[str]] = {}
        self.streams: dict[str, dict[str, Any]] = {}

    def add(self, name: str, function: Callable[..., Any], request: SentRequest) -> None:
        function = inspect.unwrap(function)
        answer = list(members(get_type_hints(function, include_extras=True)["return"]))
        models = [one for one in answer if is_model(one)]
        items = item_models(models)
        body = _parameters(name, request.body or Params(), function, json_type)
        query = _parameters(name, request.query, function, json_type)
        self.operations[name] = {
            "method": request.method,
            "path": request.path,
            "request": "multipart" if request.multipart else "none" if request.body is None else "json",
            "body": {key: mandatory for key, (mandatory, _) in body.items()},
            "query": {key: list(parameter) for key, parameter in query.items()},
            "response": "json" if models else _other_kind(name, answer),
            "schema": self._schema(name, models) if models else None,
            "items": self._items(name, items) if items else None,
            "stream": self._stream(request.stream, function.__globals__, models) if request.stream else None,
        }

    def _schema(self, operation: str, models: list[type[BaseModel]]) -> str:
        fields = {name: list(flags) for name, flags in answer_fields(models).items()}
        name = _model_name(models[0]) if len(models) == 1 else operation
        if self.schemas.setdefault(name, fields) != fields:
            # Two models of the SDK share a name.
            name = operation
            self.schemas[name] = fields
        return name

    def _items(self, operation: str, models: list[type[BaseModel]]) -> str:
        fields = sorted(answer_fields(models))
        name = _model_name(models[0]) if len(models) == 1 else operation
        if self.items.setdefault(name, fields) != fields:
            name = operation
            self.items[name] = fields
        return name

    def _stream(self, name: str, namespace: Mapping[str, Any], answer: list[type[BaseModel]]) -> str:
        by_type: dict[str, list[type[BaseModel]]] = {}
        for model in members(_resolve(name, namespace)):
            for event_type in event_types(model):
                by_type.setdefault(event_type, []).append(model)
        self.streams[name] = {"events": {event_type: _event(models, answer) for event_type, models in by_type.items()}}
        return name

    def lay_over(self, overlay: Mapping[str, Any]) -> None:
        for name, fields in overlay["required_nullable"].items():
            schema = self.schemas.get(name, {})
            schema.update({field: [True, True] for field in fields if field in schema})
        for name, fields in overlay["schemas"].items():
            if name in self.schemas:
                self.schemas[name].update(fields)
        for name, fields in overlay["lists"].items():
            if operation := self.operations.get(name):
                self.schemas[name] = self.schemas[operation["schema"]] | fields
                operation["schema"] = name
        for name, changes in overlay["operations"].items():
            if name in self.operations:
                self.operations[name].update(changes)

    def document(self) -> dict[str, Any]:
        groups: dict[str, dict[str, Any]] = {}
        for name, operation in self.operations.items():
            groups.setdefault(_group(name), {})[name] = operation
        return {
            "format": FORMAT,
            "openai": openai.__version__,
            "groups": groups,
            "schemas": self.schemas,
            "items": self.items,
            "streams": self.streams,
        }


def _event(models: list[type[BaseModel]], answer: list[type[BaseModel]]) -> dict[str, Any]:
    """One type of event. `nested` are its fields that hold the very model which is the answer without a stream."""
    event: dict[str, Any] = {"fields": sorted(answer_fields(models))}
    nested = {
        field.alias or name: _model_name(field.annotation)
        for model in models
        for name, field in model.model_fields.items()
        if field.annotation in answer
    }
    return event | ({"nested": nested} if nested else {})


def _group(operation: str) -> str:
    resource, *rest = operation.split(".")
    return f"{resource}_{rest[0]}" if resource == "chat" else resource


def _parameters(
    operation: str, params: Params, function: Callable[..., Any], named: Callable[[Iterable[Any]], str]
) -> dict[str, tuple[bool, str]]:
    namespace = inspect.unwrap(function).__globals__
    try:
        return parameters([_resolve(dotted, namespace) for dotted in params.types], params.keys, named)
    except (KeyError, AttributeError) as error:
        raise UnreadableSourceError(f"{operation}: the SDK does not tell the type of {error}.") from error


def _resolve(dotted: str, namespace: Mapping[str, Any]) -> Any:
    first, *rest = dotted.split(".")
    return functools.reduce(getattr, rest, namespace[first])


def _model_name(model: type[BaseModel]) -> str:
    origin = model.__pydantic_generic_metadata__["origin"] or model
    return origin.__name__.removeprefix("Sync")


def _other_kind(operation: str, answer: Iterable[Any]) -> str:
    kinds = set(answer)
    if kinds == {NoneType}:
        return "none"
    if kinds <= {str, HttpxBinaryResponseContent}:
        return "binary"
    raise UnreadableSourceError(f"{operation} answers with {kinds}.")
