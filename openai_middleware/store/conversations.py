"""The operations of conversations."""

import time
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw

from openai_middleware.errors import BadRequestError
from openai_middleware.identifiers import new_identifier
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.store.items import input_items, is_reference, is_storable, shown
from openai_middleware.store.labels import checked_metadata
from openai_middleware.store.store import Item
from openai_middleware.store.stored import Kwargs, OwnerStore, list_object, page_of, resolved

# OpenAI's limit.
_MOST_ITEMS: Final = 20


class StoredConversations(OwnerStore):
    """The conversations that one owner has stored."""

    def create_conversation(self, kwargs: Kwargs) -> Any:
        """`conversations.create`."""
        given = kwargs.get("metadata")
        metadata = {} if given is None else checked_metadata(given)
        items = self._given_items(kwargs.get("items") or [])
        identifier = new_identifier("conv_")
        conversation = {
            "id": identifier,
            "object": "conversation",
            "created_at": int(time.time()),
            "metadata": metadata,
        }
        self._backend.create_conversation(self._owner, identifier, encoded(conversation), items)
        return conversation

    def retrieve_conversation(self, kwargs: Kwargs) -> Any:
        """`conversations.retrieve`."""
        return Raw(self._found("conversation_id", kwargs, self._backend.conversation))

    def update_conversation(self, kwargs: Kwargs) -> Any:
        """`conversations.update`."""
        metadata = checked_metadata(kwargs.get("metadata"))
        updated = self._found(
            "conversation_id", kwargs, lambda owner, id: self._backend.update_conversation(owner, id, metadata)
        )
        return Raw(updated)

    def delete_conversation(self, kwargs: Kwargs) -> Any:
        """`conversations.delete`. Its items go with it, unless a response has them too."""
        self._found("conversation_id", kwargs, self._backend.delete_conversation)
        return {"id": kwargs["conversation_id"], "object": "conversation.deleted", "deleted": True}

    def create_items(self, kwargs: Kwargs) -> Any:
        """`conversations.items.create`."""
        items = self._given_items(kwargs.get("items"))
        kept = self._found("conversation_id", kwargs, lambda owner, id: self._appended(owner, id, items))
        return list_object([shown(item) for item in kept], has_more=False)

    def _appended(self, owner: str, conversation_id: str, items: list[Item]) -> tuple[Item, ...] | None:
        kept = self._backend.append_items(owner, conversation_id, items)
        # Not found is something else than nothing to append.
        return None if kept is None else tuple(kept)

    def list_items(self, kwargs: Kwargs) -> Any:
        """`conversations.items.list`."""
        page = page_of(kwargs, "desc")
        listed = self._listed("conversation_id", kwargs, page, self._backend.conversation_items)
        return list_object([shown(item) for item in listed.entries], listed.has_more)

    def retrieve_item(self, kwargs: Kwargs) -> Any:
        """`conversations.items.retrieve`."""
        conversation = kwargs["conversation_id"]

        def find(owner: str, item_id: str) -> bytes | None:
            known = is_storable(conversation)
            return self._backend.conversation_item(owner, conversation, item_id) if known else None

        return shown(Item(kwargs["item_id"], self._found("item_id", kwargs, find)))

    def delete_item(self, kwargs: Kwargs) -> Any:
        """`conversations.items.delete`, which answers with the conversation."""
        conversation = self._found("conversation_id", kwargs, self._backend.conversation)
        delete = self._backend.delete_conversation_item
        self._found("item_id", kwargs, lambda owner, id: delete(owner, kwargs["conversation_id"], id))
        return Raw(conversation)

    def _given_items(self, given: Any) -> list[Item]:
        """The items of a request, references resolved.

        Raises:
            BadRequestError: They are no items, too many, or refer to nothing.
        """
        if not isinstance(given, list):
            raise BadRequestError("`items` is a list of items.", param="items", code="invalid_type")
        if len(given) > _MOST_ITEMS:
            message = f"`items` has at most {_MOST_ITEMS} items. Append more with further requests."
            raise BadRequestError(message, param="items", code="invalid_value")
        for index, item in enumerate(given):
            if not isinstance(item, Mapping) or not (item.get("type") or "role" in item or is_reference(item)):
                message = f"`items[{index}]` is no item: an item is an object with a `type`, or a message."
                raise BadRequestError(message, param=f"items[{index}]", code="invalid_type")
        return input_items(resolved(self._backend, self._owner, given, "items"))
