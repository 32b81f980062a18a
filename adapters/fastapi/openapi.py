"""What FastAPI's own documentation says of the operations: made from the contract."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.applications import Starlette

from openai_middleware.contract import Operation
from openai_middleware.drivers import Frontend

__all__ = ["describe_operations"]

_BODIES = {"json": "application/json", "multipart": "multipart/form-data"}
_DETAIL = {name: {"type": ["string", "null"]} for name in ("message", "type", "param", "code")}
_ERROR = {"type": "object", "properties": {"error": {"type": "object", "properties": _DETAIL}}}
_PLACEHOLDER = re.compile(r"\{([^{}:]+)")


def describe_operations(app: Starlette, frontend: Frontend) -> None:
    """Let the OpenAPI document of an app say what its operations take and answer.

    What a route says itself stays: the request body of its own parameters, and the schema of its answer.

    Args:
        app: The app; one of Starlette alone has no such document.
        frontend: What knows the operations.
    """
    original = getattr(app, "openapi", None)
    if original is None:
        return

    def openapi() -> dict[str, Any]:
        document: dict[str, Any] = original()
        for path, methods in document.get("paths", {}).items():
            for method, description in methods.items():
                operation = frontend.operation_at(method.upper(), path)
                if operation is not None:
                    _describe(description, operation, _PLACEHOLDER.findall(path))
        return document

    app.openapi = openapi  # type: ignore[attr-defined]


def _describe(description: dict[str, Any], operation: Operation, path_params: Iterable[str]) -> None:
    kind = _BODIES.get(operation.request)
    if kind is not None and operation.body and "requestBody" not in description:
        schema = _schema(operation.body)
        description["requestBody"] = {"required": "required" in schema, "content": {kind: {"schema": schema}}}
    text = {"type": "string"}
    parameters = [{"name": name, "in": "path", "required": True, "schema": text} for name in path_params]
    parameters += [
        {"name": name, "in": "query", "required": parameter.mandatory, "schema": {"type": parameter.type}}
        for name, parameter in operation.query.items()
    ]
    described = {(one.get("in"), one.get("name")) for one in description.get("parameters", [])}
    missing = [one for one in parameters if (one["in"], one["name"]) not in described]
    if missing:
        description["parameters"] = [*description.get("parameters", []), *missing]
    responses = description.setdefault("responses", {})
    answer = responses.setdefault("200", {"description": "Successful Response"})
    content = answer.setdefault("content", {})
    if operation.response == "json" and not content.get("application/json", {}).get("schema"):
        schema = _schema({name: field.mandatory for name, field in operation.fields.items()})
        content["application/json"] = {"schema": schema}
        if operation.stream is not None:
            content["text/event-stream"] = {"schema": {"type": "string"}}
    responses.setdefault(
        "default", {"description": "OpenAI's error envelope", "content": {"application/json": {"schema": _ERROR}}}
    )


def _schema(fields: Mapping[str, bool]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": {name: {} for name in fields}}
    required = [name for name, is_mandatory in fields.items() if is_mandatory]
    return schema | {"required": required} if required else schema
