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
            return _named_tool(choice)
        if kind == "allowed_tools":
            return _allowed_tools(choice)
        message = f"This server has no tools of its own, such as '{kind}': choose one of the request's functions."
        raise BadRequestError(message, param="tool_choice", code="unsupported_value")
    if choice == "required" and not tools:
        raise _nothing_to_require()
    return choice


def _allowed_tools(choice: Mapping[str, Any]) -> Any:
    kinds = ("function", "custom")
    allowed = [_named_tool(tool) for tool in tools_of(choice) if tool.get("type") in kinds]
    if allowed:
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode"), "tools": allowed}}
    if choice.get("mode") == "required":
        raise _nothing_to_require()
    return "none"


def _named_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool["type"]
    return {"type": kind, kind: {"name": tool.get("name")}}


def _nothing_to_require() -> BadRequestError:
    message = (
        "`tool_choice` requires a tool, and names none that this server can call: add a function, or leave it out."
    )
    return BadRequestError(message, param="tool_choice", code="invalid_value")
