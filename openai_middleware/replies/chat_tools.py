"""The tools of a Responses request in the form of chat completions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openai_middleware.errors import BadRequestError
from openai_middleware.replies.rendering import tools_of


def chat_tools(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tools of a Responses request that chat knows. Those that OpenAI runs itself are left out silently."""
    found: dict[tuple[str, Any], dict[str, Any]] = {}
    for tool in _flat(tools_of(request)):
        kind = tool.get("type")
        fields = {name: value for name, value in tool.items() if name != "type" and value is not None}
        if kind == "function":
            known = _only(fields, "name", "description", "parameters", "strict")
            found.setdefault((kind, fields.get("name")), {"type": kind, "function": known})
        elif kind == "custom":
            known = _only(fields, "name", "description", "format")
            if isinstance(known.get("format"), Mapping):
                known["format"] = _custom_format(known["format"])
            found.setdefault((kind, fields.get("name")), {"type": kind, "custom": known})
    return list(found.values())


def _only(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}


def _flat(tools: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for tool in tools:
        if tool.get("type") == "namespace":
            yield from tools_of(tool)
        else:
            yield tool


def _custom_format(form: Mapping[str, Any]) -> dict[str, Any]:
    if form.get("type") != "grammar":
        return dict(form)
    grammar = {name: form[name] for name in ("syntax", "definition") if form.get(name) is not None}
    return {"type": "grammar", "grammar": grammar}


def chat_tool_choice(request: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> Any:
    """The tool choice of a Responses request as chat knows it; None where there is none.

    Args:
        request: The fields of the request.
        tools: What `chat_tools` made of its tools.

    Raises:
        BadRequestError: A hosted tool is chosen, or a tool is required and none is left.
    """
    choice = request.get("tool_choice")
    if isinstance(choice, Mapping):
        kind = choice.get("type")
        if kind in ("function", "custom"):
            return {"type": kind, kind: {"name": choice.get("name")}}
        if kind == "allowed_tools":
            allowed = {"mode": choice.get("mode"), "tools": [_named_tool(tool) for tool in tools_of(choice)]}
            return {"type": kind, kind: allowed}
        message = f"This server has no tools of its own: it cannot take a `tool_choice` of type '{kind}'."
        raise BadRequestError(message, param="tool_choice", code="unsupported_value")
    if choice == "required" and not tools:
        message = "`tool_choice` is 'required', and `tools` has no tool that this server can call."
        raise BadRequestError(message, param="tool_choice", code="invalid_value")
    return choice


def _named_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool.get("type")
    return {"type": kind, kind: {"name": tool.get("name")}} if kind in ("function", "custom") else dict(tool)
