"""A call in the form of chat completions."""

from typing import Any

from openai_middleware.replies.chat_request import ChatRequest
from openai_middleware.request.call import REQUEST_METHOD, REQUEST_PATH, Arguments, OpenAICall

CHAT = "chat.completions.create"

# Fields of text completions that chat knows under no name, or with another meaning.
_OF_COMPLETIONS = ("best_of", "echo", "logprobs", "suffix")


def chat_call(call: OpenAICall, path: str) -> OpenAICall:
    """The call that asks for the same by chat completions.

    Args:
        call: A call of `responses.create` or of `completions.create`.
        path: The path of chat completions, as `OpenAICall.path` has it.

    Raises:
        BadRequestError: The request has no form in chat, or refers to what nobody stores.
    """
    request = ChatRequest(call.operation, call.kwargs, call.history)
    kwargs = {"messages": request.messages, **request.kwargs}
    if call.operation == "completions.create":
        kwargs = {name: value for name, value in kwargs.items() if name not in _OF_COMPLETIONS}
    if kwargs.get("stream") is True:
        # Without it the usage of a stream is lost.
        given = kwargs.get("stream_options")
        options: dict[str, Any] = given if isinstance(given, dict) else {}
        kwargs["stream_options"] = options | {"include_usage": True}
    if REQUEST_PATH in kwargs:
        kwargs[REQUEST_PATH] = path
    besides = (REQUEST_PATH, REQUEST_METHOD, *call.query_params)
    body = {name: value for name, value in kwargs.items() if name not in besides}
    return OpenAICall(
        operation=CHAT,
        method=call.method,
        path=path,
        path_params=call.path_params,
        query_params=call.query_params,
        arguments=Arguments((body, body, {**kwargs, **call.query_params})),
        request_headers=call.request_headers,
        request_id=call.request_id,
    )
