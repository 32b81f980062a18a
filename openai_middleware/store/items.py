"""Items as they are kept, and as lists show them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from openai_middleware.identifiers import new_identifier
from openai_middleware.mapping.json_codec import encoded, value_of
from openai_middleware.store.store import MAX_ID_LENGTH, Item

_PREFIXES: Final = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
}
# The SDK's types of what is listed want a status of all of these but reasoning.
_WITHOUT_STATUS: Final = ("reasoning",)


def is_storable(text: object) -> bool:
    """Whether something is an id that databases take: not too long, and without characters that they do not know."""
    if not isinstance(text, str) or not 0 < len(text) <= MAX_ID_LENGTH or "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_reference(item: Any) -> bool:
    """Whether an item of an input is the reference to another. The SDK lets its type be null."""
    if not isinstance(item, Mapping):
        return False
    return item.get("type") == "item_reference" or (item.get("type") is None and item.keys() <= {"id", "type"})


def input_items(value: Any) -> list[Item]:
    """An input as items: complete as the lists of them have to be. What is no item is left out."""
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    return [_item(item) for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def output_items(value: list[Mapping[str, Any]]) -> list[Item]:
    """An output as items: word by word, since the response shows them again. What has no id gets one beside it."""
    return [_identified(item) for item in value]


def shown(item: Item) -> dict[str, Any]:
    """An item as it is listed, and as it stands in a history: always with its id and a status."""
    value: dict[str, Any] = value_of(item.data)
    return _with_status({**value, "id": item.id})


def _item(item: Mapping[str, Any]) -> Item:
    fields = {name: value for name, value in item.items() if value is not None}
    kind = fields.setdefault("type", "message" if "role" in fields else "unknown")
    if kind == "message":
        fields["content"] = list(_parts(fields.get("content"), is_output=fields.get("role") == "assistant"))
    elif kind == "reasoning":
        fields.setdefault("summary", [])
    return _identified(_with_status(fields))


def _identified(item: Mapping[str, Any]) -> Item:
    identifier = item.get("id")
    if isinstance(identifier, str) and is_storable(identifier):
        return Item(identifier, encoded(item))
    prefix = _PREFIXES.get(str(item.get("type")), "item_")
    return Item(new_identifier(prefix), encoded(item))


def _with_status(item: dict[str, Any]) -> dict[str, Any]:
    if item.get("status") is None and item.get("type") not in _WITHOUT_STATUS:
        item["status"] = "completed"
    return item


def _parts(content: Any, *, is_output: bool) -> Iterator[Any]:
    if isinstance(content, str):
        content = [{"type": "output_text" if is_output else "input_text", "text": content}]
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "output_text":
            yield {"annotations": [], "logprobs": [], **part}
        elif kind == "input_image":
            yield {"detail": "auto", **part}
        else:
            yield part


def is_same(one: bytes | None, other: bytes, is_exact: bool) -> bool:
    """Whether two items are the same. A client may have left out or filled in what says nothing."""
    if one is None or is_exact:
        return one == other
    return one == other or _essence(value_of(one)) == _essence(value_of(other))


def _essence(value: Any) -> Any:
    if isinstance(value, dict):
        fields = {name: _essence(item) for name, item in value.items() if name not in ("id", "status")}
        return {name: item for name, item in fields.items() if item not in (None, [], {})}
    return [_essence(item) for item in value] if isinstance(value, list) else value
