"""What one owner has stored: how it is found, and how lists of it are shown."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar

from openai_middleware.errors import BadRequestError, NotFoundError, OpenAIError
from openai_middleware.store.items import is_reference, is_storable, shown
from openai_middleware.store.store import Backend, Item, Listed, Page, UnknownCursorError

Found = TypeVar("Found")
Kwargs = Mapping[str, Any]

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 20

_NAMES: Final = {
    "response_id": "Response",
    "completion_id": "Chat completion",
    "conversation_id": "Conversation",
    "item_id": "Item",
}


class OwnerStore:
    """What one owner has stored.

    Args:
        backend: Where it is.
        owner: The owner.
    """

    def __init__(self, backend: Backend, owner: str) -> None:
        self._backend = backend
        self._owner = owner

    def _found(self, parameter: str, kwargs: Kwargs, find: Callable[[str, str], Found | None]) -> Found:
        """What is found under the id in a parameter.

        Raises:
            NotFoundError: Nothing is, or it is somebody else's.
        """
        identifier = kwargs[parameter]
        found = find(self._owner, identifier) if is_storable(identifier) else None
        if found is None or found is False:
            what = _NAMES[parameter]
            raise NotFoundError(f"{what} with id '{identifier}' not found.", param=parameter, code="not_found")
        return found

    def _listed(
        self, parameter: str, kwargs: Kwargs, page: Page, find: Callable[[str, str, Page], Listed | None]
    ) -> Listed:
        try:
            return self._found(parameter, kwargs, lambda owner, identifier: find(owner, identifier, page))
        except UnknownCursorError as error:
            raise unknown_after() from error


def page_of(kwargs: Kwargs, order: Literal["asc", "desc"]) -> Page:
    """The part of a list that a request asks for.

    Raises:
        BadRequestError: A parameter is none that lists know.
    """
    limit = kwargs.get("limit", DEFAULT_LIMIT)
    if not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise BadRequestError(f"`limit` is a number from 1 to {MAX_LIMIT}.", param="limit", code="invalid_value")
    asked = kwargs.get("order", order)
    if asked not in ("asc", "desc"):
        raise BadRequestError("`order` is 'asc' or 'desc'.", param="order", code="invalid_value")
    after = kwargs.get("after")
    if after is not None and not is_storable(after):
        raise unknown_after()
    return Page(limit, asked, after)


def unknown_after() -> OpenAIError:
    """What a client gets whose `after` is not in the list."""
    return BadRequestError("`after` is no entry of this list.", param="after", code="invalid_value")


def list_object(entries: list[Any], has_more: bool, ids: list[str] | None = None) -> dict[str, Any]:
    """A page of a list.

    Args:
        entries: Its entries.
        has_more: Whether there are more after them.
        ids: Their ids, where they do not have them as `id`.
    """
    names = [entry["id"] for entry in entries] if ids is None else ids
    first, last = (names[0], names[-1]) if names else (None, None)
    return {"object": "list", "data": entries, "first_id": first, "last_id": last, "has_more": has_more}


def resolved(backend: Backend, owner: str, given: Any, field: str) -> Any:
    """Items of a request with what they refer to in the place of references. The very same where none refers.

    Args:
        backend: Where the items are.
        owner: Whose they are.
        given: The items.
        field: The field of the request, for messages.

    Raises:
        BadRequestError: One refers to an item that is not there.
    """
    references = [item.get("id") for item in given if is_reference(item)] if isinstance(given, list) else []
    if not references:
        return given
    found = backend.items(owner, [identifier for identifier in references if is_storable(identifier)])
    items = []
    for index, item in enumerate(given):
        if is_reference(item):
            identifier = item.get("id")
            if not isinstance(identifier, str) or identifier not in found:
                message = f"The item in `{field}[{index}]` was not found."
                raise BadRequestError(message, param=f"{field}[{index}]", code="item_not_found")
            items.append(shown(Item(identifier, found[identifier])))
        else:
            items.append(item)
    return items
