"""A Responses request, or one for a text completion, in the form of chat completions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from openai_middleware.errors import BadRequestError
from openai_middleware.replies.chat_tools import chat_tool_choice, chat_tools
from openai_middleware.replies.completions import prompt_of
from openai_middleware.request.call import REQUEST_METHOD, REQUEST_PATH

_ROLES: Final = ("system", "developer", "user", "assistant")
_TEXTS: Final = ("input_text", "output_text", "text")
# What a decoded object is; all others, such as a store's, are asked for the long way.
_OBJECTS: Final = (dict, Mapping)
_SAME_NAME: Final = frozenset(
    (
        *("model", "temperature", "top_p", "metadata", "service_tier", "prompt_cache_key"),
        *("safety_identifier", "user", "stream", REQUEST_PATH, REQUEST_METHOD),
    )
)
# So many items take about half a millisecond to bring into the form of chat: more would keep an event loop from its
# other requests.
_MANY_ITEMS: Final = 100
_WAY_OUT: Final = "Nothing is stored on this server: send the items themselves in `input`, and `store: false`."


class ChatRequest:
    """What a request is in chat form.

    Args:
        operation: The operation that the client asked for.
        kwargs: The fields of its request.
        history: The items of earlier turns, where a store has looked for them; None where nothing is stored.

    Attributes:
        messages: The messages.
        kwargs: All other fields. Of a chat request those that came.

    Raises:
        BadRequestError: Something in the request has no form there, or refers to what nobody stores.
    """

    def __init__(
        self,
        operation: str | None,
        kwargs: Mapping[str, Any],
        history: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.kwargs: dict[str, Any]
        self.messages: Any
        if operation == "responses.create":
            self.messages, self.kwargs = messages_of(kwargs, history), dict(_chat_fields(kwargs))
        elif operation == "completions.create":
            self.messages = [{"role": "user", "content": prompt_of(kwargs)}]
            self.kwargs = {name: value for name, value in kwargs.items() if name != "prompt"}
        else:
            self.messages = kwargs.get("messages")
            self.kwargs = {name: value for name, value in kwargs.items() if name != "messages"}


def takes_long(history: Sequence[Mapping[str, Any]] | None) -> bool:
    """Whether to bring a request with this history into the form of chat is nothing for an event loop."""
    return len(history or ()) > _MANY_ITEMS


def messages_of(request: Mapping[str, Any], history: Sequence[Mapping[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The messages that the instructions and the input of a Responses request are, with the history between them.

    Raises:
        BadRequestError: An item, or a part of one, has no form in chat.
    """
    if history is None:
        _refuse_what_refers_to_stored(request)
    _refuse_what_is_not_served(request)
    messages = _Messages()
    for field in ("instructions", "history", "input"):
        if field == "history":
            origin = "conversation" if request.get("previous_response_id") is None else "previous_response_id"
            for item in history or ():
                messages.add_item(item, origin)
            continue
        value = request.get(field)
        if isinstance(value, str):
            messages.add({"role": "system" if field == "instructions" else "user", "content": value})
        elif isinstance(value, list):
            for index, item in enumerate(value):
                messages.add_item(item, f"{field}[{index}]")
        elif value is not None:
            raise BadRequestError(f"`{field}` is a string or a list of items.", param=field, code="invalid_type")
    return messages.all


def _refuse_what_refers_to_stored(request: Mapping[str, Any]) -> None:
    for field, what, code in (
        ("previous_response_id", "response", "previous_response_not_found"),
        ("conversation", "conversation", "conversation_not_found"),
    ):
        if request.get(field) is not None:
            raise BadRequestError(f"The {what} in `{field}` was not found. {_WAY_OUT}", param=field, code=code)


def _refuse_what_is_not_served(request: Mapping[str, Any]) -> None:
    if request.get("background") is True:
        message = "This server has no background responses: leave `background` out."
        raise BadRequestError(message, param="background", code="unsupported_parameter")
    if request.get("prompt") is not None:
        message = "This server has no stored prompts: send `instructions` and `input` themselves."
        raise BadRequestError(message, param="prompt", code="unsupported_parameter")


class _Messages:
    """Messages as they grow, item after item."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []
        self._reasoning: list[str] = []

    def add(self, message: dict[str, Any]) -> None:
        """Add a whole message; the reasoning before it becomes a part of it, where the assistant speaks.

        What the assistant says between calls and their results is a part of the message that calls: chat wants the
        results right after it.
        """
        if message["role"] != "assistant":
            self._reasoning = []
            self.all.append(message)
            return
        message |= self._taken_reasoning()
        if not self._has_open_calls():
            self.all.append(message)
            return
        last = self.all[-1]
        for name, separator in (("content", ""), ("refusal", ""), ("reasoning_content", "\n")):
            said = [text for text in (last.get(name), message.get(name)) if text]
            if said:
                last[name] = separator.join(said)

    def add_item(self, item: Any, place: str) -> None:
        """Add one item of an input.

        Raises:
            BadRequestError: It has no form in chat.
        """
        if not isinstance(item, _OBJECTS):
            raise BadRequestError(f"`{place}` is no item: an item is an object.", param=place, code="invalid_type")
        kind = item.get("type") or ("message" if "role" in item else None)
        match kind:
            case "message":
                self.add(_message(item, place))
            case "function_call":
                function = {"name": item.get("name"), "arguments": item.get("arguments")}
                self._add_call({"id": item.get("call_id"), "type": "function", "function": function})
            case "custom_tool_call":
                custom = {"name": item.get("name"), "input": item.get("input")}
                self._add_call({"id": item.get("call_id"), "type": "custom", "custom": custom})
            case "function_call_output" | "custom_tool_call_output":
                content = _content(item.get("output"), place, "output")
                self.add({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
            case "reasoning":
                text = _reasoning_text(item)
                if text:
                    self._reasoning.append(text)
            case "item_reference":
                message = f"The item in `{place}` was not found. {_WAY_OUT}"
                raise BadRequestError(message, param=place, code="item_not_found")
            case None:
                message = f"`{place}` is no item: an item has a `type`, or as a message a `role`."
                raise BadRequestError(message, param=place, code="invalid_value")
            case _:
                message = f"This server does not take items of type '{kind}': leave them out of `input`."
                raise BadRequestError(message, param=place, code="unsupported_item")

    def _add_call(self, call: dict[str, Any]) -> None:
        last = self.all[-1] if self.all else None
        if last is None or last["role"] != "assistant" or self._reasoning:
            self.add({"role": "assistant", "content": None})
        self.all[-1].setdefault("tool_calls", []).append(call)

    def _has_open_calls(self) -> bool:
        """Whether the last message has calls, whose results may follow."""
        return bool(self.all) and "tool_calls" in self.all[-1]

    def _taken_reasoning(self) -> dict[str, str]:
        texts, self._reasoning = self._reasoning, []
        return {"reasoning_content": "\n".join(texts)} if texts else {}


def _message(item: Mapping[str, Any], place: str) -> dict[str, Any]:
    role = item.get("role")
    if role not in _ROLES:
        message = f"`{place}.role` is one of {', '.join(_ROLES)}."
        raise BadRequestError(message, param=place, code="invalid_value")
    content = item.get("content")
    if role != "assistant" or not isinstance(content, list):
        return {"role": role, "content": _content(content, place, "content")}
    refusals = [str(part["refusal"]) for part in content if _kind(part) == "refusal" and "refusal" in part]
    texts = [
        _text(part, f"{place}.content[{index}]", place)
        for index, part in enumerate(content)
        if _kind(part) != "refusal"
    ]
    if refusals:
        return {"role": role, "content": "".join(texts) or None, "refusal": "".join(refusals)}
    return {"role": role, "content": "".join(texts)}


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, _OBJECTS) else None


def _text(part: Any, where: str, place: str) -> str:
    if _is_text(part):
        return str(part["text"])
    raise _unsupported_part(part, where, place)


def _is_text(part: Any) -> bool:
    return _kind(part) in _TEXTS and isinstance(part.get("text"), str)


def _content(content: Any, place: str, field: str) -> Any:
    """A content in chat form: text alone is one string, so that nobody has to know who sends parts and who does not."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        message = f"`{place}.{field}` is a string or a list of parts."
        raise BadRequestError(message, param=place, code="invalid_type")
    if all(map(_is_text, content)):
        return "\n".join([part["text"] for part in content])
    return [_part(part, f"{place}.{field}[{index}]", place) for index, part in enumerate(content)]


def _part(part: Any, where: str, place: str) -> dict[str, Any]:
    match _kind(part):
        case kind if kind in _TEXTS:
            return {"type": "text", "text": _text(part, where, place)}
        case "input_image":
            if not isinstance(part.get("image_url"), str):
                message = f"`{where}` is an image without `image_url`: send the image as a data URL."
                raise BadRequestError(message, param=place, code="unsupported_content")
            detail = {} if part.get("detail") is None else {"detail": part["detail"]}
            return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
        case "input_file":
            file = {name: part[name] for name in ("filename", "file_data", "file_id") if part.get(name) is not None}
            if "file_data" not in file and "file_id" not in file:
                message = f"`{where}` is a file without `file_data` or `file_id`: send the file itself."
                raise BadRequestError(message, param=place, code="unsupported_content")
            return {"type": "file", "file": file}
        case "input_audio":
            return dict(part)
        case _:
            raise _unsupported_part(part, where, place)


def _unsupported_part(part: Any, where: str, place: str) -> BadRequestError:
    kind = _kind(part)
    what = f"of type '{kind}'" if kind is not None else "that is no part"
    message = f"`{where}` has content {what}, which this server does not take: leave it out."
    return BadRequestError(message, param=place, code="unsupported_content")


def _reasoning_text(item: Mapping[str, Any]) -> str:
    for field in ("content", "summary"):
        parts = item.get(field)
        texts = [part.get("text") for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
        text = "\n".join(text for text in texts if isinstance(text, str) and text)
        if text:
            return text
    return ""


def _chat_fields(request: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The other fields of a Responses request in chat form."""
    for name, value in request.items():
        if name in _SAME_NAME and value is not None:
            yield name, value
        elif name == "max_output_tokens" and value is not None:
            yield "max_completion_tokens", value
        elif name == "reasoning" and isinstance(value, Mapping) and value.get("effort") is not None:
            yield "reasoning_effort", value["effort"]
        elif name == "text" and isinstance(value, Mapping):
            yield from _text_fields(value)
        elif name == "top_logprobs" and value:
            yield from (("logprobs", True), (name, value))
    if request.get("stream") is True:
        # Responses always tell the usage, and chunks only where they were asked for it.
        yield "stream_options", {"include_usage": True}
    tools = chat_tools(request)
    choice = chat_tool_choice(request, tools)
    if tools:
        yield "tools", tools
        if choice is not None:
            yield "tool_choice", choice
        if request.get("parallel_tool_calls") is not None:
            yield "parallel_tool_calls", request["parallel_tool_calls"]


def _text_fields(text: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    form = text.get("format")
    if isinstance(form, Mapping) and form.get("type") == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type" and value is not None}
        yield "response_format", {"type": "json_schema", "json_schema": schema}
    elif isinstance(form, Mapping) and form.get("type") not in (None, "text"):
        yield "response_format", dict(form)
    if text.get("verbosity") is not None:
        yield "verbosity", text["verbosity"]
