"""The operations that read, list, change and delete what is stored, answered without the app."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final

from msgspec import Raw

from openai_middleware.answer.server_sent_events import data_of
from openai_middleware.errors import BadRequestError
from openai_middleware.handlers.response import Response
from openai_middleware.iteration import OwnLoop, is_on_asyncio
from openai_middleware.mapping.json_codec import encoded, items_of, value_of
from openai_middleware.replies.turning import events_of
from openai_middleware.request.call import OpenAICall
from openai_middleware.store.conversations import StoredConversations
from openai_middleware.store.failures import not_available
from openai_middleware.store.items import shown
from openai_middleware.store.labels import checked_metadata, searchable, searchable_metadata
from openai_middleware.store.settings import Settings
from openai_middleware.store.store import TooLargeError, UnavailableError, UnknownCursorError
from openai_middleware.store.stored import Kwargs, list_object, page_of, unknown_after


class StoredOperation:
    """Answers one operation out of the store. See `HandlerSource` and `CallHandler`.

    Args:
        store: The store.
        operation: The operation.
    """

    takes_choices = only_replies = False

    def __init__(self, store: Settings, operation: str) -> None:
        self._store = store
        self._answer = OPERATIONS[operation]
        self.name = f"the store's {operation}"

    def handler_for(self, call: OpenAICall) -> "StoredOperation":
        """See `HandlerSource.handler_for`."""
        return self

    def run(self, call: OpenAICall, *first: Any, loop: OwnLoop | None = None) -> Response:
        """See `CallHandler.run`.

        Raises:
            RuntimeError: The adapter does not know of stores: it has not said who asks.
        """
        if call.owner is None:
            raise RuntimeError("This adapter has no part for a store: `Exchange.store` has to prepare the request.")
        try:
            answer = self._answer(Stored(self._store.backend, call.owner), call.kwargs)
        except (UnavailableError, TooLargeError) as error:
            raise not_available(error) from error
        call.delivery.is_final = True
        return answer if isinstance(answer, Response) else Response.rendered(encoded(answer))

    async def arun(self, call: OpenAICall, *first: Any, pool: ThreadPoolExecutor | None = None) -> Response:
        """See `CallHandler.arun`."""
        if not is_on_asyncio():
            raise RuntimeError("The store needs a server that runs on asyncio.")
        run = copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._store.threads, run, self.run, call)


class Stored(StoredConversations):
    """What one owner has stored, all of it."""

    # Responses

    def retrieve_response(self, kwargs: Kwargs) -> Any:
        """`responses.retrieve`; as events, too, from any number on."""
        response = self._found("response_id", kwargs, self._backend.response)
        if kwargs.get("stream") is not True:
            return Raw(response)
        after = kwargs.get("starting_after")
        events = events_of("responses.create", value_of(response)).split(b"\n\n")[:-1]
        wanted = [event + b"\n\n" for event in events if after is None or _number_of(event) > after]
        return Response.rendered(iter((b"".join(wanted),)))

    def delete_response(self, kwargs: Kwargs) -> Any:
        """`responses.delete`."""
        self._found("response_id", kwargs, self._backend.delete_response)
        return {"id": kwargs["response_id"], "object": "response", "deleted": True}

    def cancel_response(self, kwargs: Kwargs) -> Any:
        """`responses.cancel`.

        Raises:
            BadRequestError: In any case, since no response is made in the background.
        """
        self._found("response_id", kwargs, self._backend.response)
        message = "Only responses that are made in the background can be cancelled."
        raise BadRequestError(message, param="response_id", code="response_not_cancellable")

    def list_input_items(self, kwargs: Kwargs) -> Any:
        """`responses.input_items.list`."""
        page = page_of(kwargs, "desc")
        listed = self._listed("response_id", kwargs, page, self._backend.input_items)
        return list_object([shown(item) for item in listed.entries], listed.has_more)

    # Chat completions

    def retrieve_completion(self, kwargs: Kwargs) -> Any:
        """`chat.completions.retrieve`."""
        return Raw(self._found("completion_id", kwargs, self._backend.completion))

    def update_completion(self, kwargs: Kwargs) -> Any:
        """`chat.completions.update`."""
        metadata = checked_metadata(kwargs.get("metadata"))
        self._found("completion_id", kwargs, self._backend.completion)
        updated = self._found(
            "completion_id", kwargs, lambda owner, id: self._backend.update_completion(owner, id, metadata)
        )
        return Raw(updated)

    def delete_completion(self, kwargs: Kwargs) -> Any:
        """`chat.completions.delete`."""
        self._found("completion_id", kwargs, self._backend.delete_completion)
        return {"id": kwargs["completion_id"], "object": "chat.completion.deleted", "deleted": True}

    def list_completions(self, kwargs: Kwargs) -> Any:
        """`chat.completions.list`."""
        page = page_of(kwargs, "asc")
        model, metadata = kwargs.get("model"), kwargs.get("metadata")
        if metadata is not None and not isinstance(metadata, Mapping):
            raise BadRequestError("`metadata` is written as metadata[name]=value.", param="metadata")
        wanted = None if model is None else searchable(str(model))
        try:
            listed = self._backend.completions(self._owner, page, wanted, searchable_metadata(metadata or {}))
        except UnknownCursorError as error:
            raise unknown_after() from error
        ids = [item.id for item in listed.entries]
        return list_object([Raw(item.data) for item in listed.entries], listed.has_more, ids)

    def list_messages(self, kwargs: Kwargs) -> Any:
        """`chat.completions.messages.list`. A message has the id of the completion and its number."""
        page = page_of(kwargs, "asc")
        split = items_of(self._found("completion_id", kwargs, self._backend.completion_messages))
        ids = [f"{kwargs['completion_id']}-{number}" for number in range(len(split))]
        by_id = dict(zip(ids, split, strict=True))
        if page.order == "desc":
            ids.reverse()
        if page.after is not None and page.after not in by_id:
            raise unknown_after()
        rest = ids if page.after is None else ids[ids.index(page.after) + 1 :]
        messages = [_message(identifier, by_id[identifier]) for identifier in rest[: page.limit]]
        return list_object(messages, len(rest) > page.limit)


OPERATIONS: Final[Mapping[str, Callable[[Stored, Kwargs], Any]]] = {
    "responses.retrieve": Stored.retrieve_response,
    "responses.delete": Stored.delete_response,
    "responses.cancel": Stored.cancel_response,
    "responses.input_items.list": Stored.list_input_items,
    "chat.completions.retrieve": Stored.retrieve_completion,
    "chat.completions.update": Stored.update_completion,
    "chat.completions.delete": Stored.delete_completion,
    "chat.completions.list": Stored.list_completions,
    "chat.completions.messages.list": Stored.list_messages,
    "conversations.create": Stored.create_conversation,
    "conversations.retrieve": Stored.retrieve_conversation,
    "conversations.update": Stored.update_conversation,
    "conversations.delete": Stored.delete_conversation,
    "conversations.items.create": Stored.create_items,
    "conversations.items.list": Stored.list_items,
    "conversations.items.retrieve": Stored.retrieve_item,
    "conversations.items.delete": Stored.delete_item,
}


def _message(identifier: str, message: Raw) -> dict[str, Any]:
    """A message of a request as it is listed: its content is text, and parts where it came in parts."""
    value = value_of(message)
    fields: dict[str, Any] = value if isinstance(value, dict) else {"content": value}
    content = fields.get("content")
    if not isinstance(content, list):
        return {"content": None, **fields, "id": identifier}
    texts = [part.get("text") for part in content if isinstance(part, Mapping)]
    text = "\n".join(text for text in texts if isinstance(text, str))
    return {**fields, "id": identifier, "content": text or None, "content_parts": content}


def _number_of(event: bytes) -> int:
    number: int = value_of(data_of(event)).get("sequence_number", 0)
    return number
