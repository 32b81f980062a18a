"""One request to the store: who asks, and what was said before."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any, Final, TypeVar

import msgspec

from openai_middleware.errors import AuthenticationError, BadRequestError
from openai_middleware.iteration import is_on_asyncio
from openai_middleware.keeping import Recorder
from openai_middleware.mapping.json_codec import encoded
from openai_middleware.request.call import AppRequest, Arguments, OpenAICall
from openai_middleware.store.failures import not_available
from openai_middleware.store.items import is_reference, is_storable, shown
from openai_middleware.store.owner import SHARED, by_api_key
from openai_middleware.store.recorder import CompletionRecorder, ResponseRecorder
from openai_middleware.store.settings import Settings
from openai_middleware.store.store import MAX_ID_LENGTH, Head, Item, TooLongError, UnavailableError
from openai_middleware.store.stored import resolved

Result = TypeVar("Result")

logger = logging.getLogger("openai_middleware")

MAX_TURNS: Final = 1000
MAX_HISTORY: Final = 16 * 1024 * 1024
"""How many bytes a history may have, as JSON."""

# What takes no longer than this to encode is no reason for a thread.
_SMALL: Final = 32 * 1024
_NEEDS_ASYNCIO: Final = "The store needs a server that runs on asyncio; on trio, such as hypercorn's, there is none."


class Session:
    """A request of an operation that the store answers. See `StoreSession`.

    Args:
        store: The store.
        carrier: What its `owner` is asked with.
    """

    recorder: Recorder | None = None

    def __init__(self, store: Settings, carrier: Any) -> None:
        self._store = store
        self._carrier = carrier

    def prepare(self, request: AppRequest) -> AppRequest:
        """See `StoreSession.prepare`."""
        return _with_call(request, owner=self._identified())

    async def aprepare(self, request: AppRequest) -> AppRequest:
        """See `StoreSession.aprepare`."""
        if not self._may_block(request):
            return self.prepare(request)
        return await self.in_thread(lambda: self.prepare(request))

    async def in_thread(self, function: Callable[[], Result]) -> Result:
        """See `StoreSession.in_thread`."""
        if not is_on_asyncio():
            raise RuntimeError(_NEEDS_ASYNCIO)
        return await asyncio.get_running_loop().run_in_executor(self._store.threads, copy_context().run, function)

    def _may_block(self, request: AppRequest) -> bool:
        return self._store.owner not in (SHARED, by_api_key) or len(request.body or b"") > _SMALL

    def _identified(self) -> str:
        """The owner of the request.

        Raises:
            AuthenticationError: The function has not said it.
        """
        owner: Any = self._store.owner
        if owner == SHARED:
            return SHARED
        try:
            name = owner(self._carrier)
        except Exception:
            logger.exception("The store's owner function failed.")
            name = None
        if name is None or name == "":
            message = "Who asks is not known: what is stored belongs to somebody. Send the credentials of a user."
            raise AuthenticationError(message, code="unknown_owner")
        if not is_storable(name):
            what = f"a str of 1 to {MAX_ID_LENGTH} characters without NUL, or None"
            logger.error("The store's owner function returned a %s: an owner is %s.", type(name).__name__, what)
            raise AuthenticationError("Who asks is not known.", code="unknown_owner")
        return str(name)


class CompletionSession(Session):
    """A request for a chat completion."""

    def prepare(self, request: AppRequest) -> AppRequest:
        """See `StoreSession.prepare`."""
        kwargs = request.call.kwargs
        if kwargs.get("store") is not True:
            return request
        owner = self._identified()
        # A copy: the function that replies may change its messages.
        given = kwargs.get("messages")
        messages = encoded(given if isinstance(given, list) else [])
        is_stream, metadata = kwargs.get("stream") is True, kwargs.get("metadata")
        self.recorder = CompletionRecorder(self._store.backend, owner, messages, metadata, is_stream=is_stream)
        return _with_call(request, owner=owner)


class ResponseSession(Session):
    """A request for a response."""

    def prepare(self, request: AppRequest) -> AppRequest:
        """See `StoreSession.prepare`."""
        kwargs = request.call.kwargs
        is_kept = kwargs.get("store") is not False
        is_stream = kwargs.get("stream") is True
        recorder = self.recorder = ResponseRecorder(self._store.backend, is_kept=is_kept, is_stream=is_stream)
        if not is_kept and not self._needs_history(kwargs):
            return _with_call(request, history=[])
        recorder.owner = owner = self._identified()
        history: list[Item] = []
        previous, conversation = _references(kwargs)
        try:
            if previous is not None:
                history = self._chain(owner, previous)
                recorder.parent = previous
            if conversation is not None:
                recorder.head, history = self._conversation(owner, conversation)
            given = resolved(self._store.backend, owner, kwargs.get("input"), "input")
        except UnavailableError as error:
            raise not_available(error) from error
        recorder.input = encoded(given)
        call = request.call
        found = {} if given is kwargs.get("input") else {"input": given}
        return _with_call(
            request,
            arguments=Arguments((call.body, call.body_params | found, kwargs | found)),
            owner=owner,
            history=[shown(item) for item in history],
        )

    def _may_block(self, request: AppRequest) -> bool:
        return super()._may_block(request) or self._needs_history(request.call.kwargs)

    def _needs_history(self, kwargs: Mapping[str, Any]) -> bool:
        given = kwargs.get("input")
        refers = isinstance(given, list) and any(map(is_reference, given))
        return refers or any(kwargs.get(name) is not None for name in ("previous_response_id", "conversation"))

    def _chain(self, owner: str, response_id: str) -> list[Item]:
        try:
            known = is_storable(response_id)
            history = self._store.backend.history(owner, response_id, MAX_TURNS, MAX_HISTORY) if known else None
        except TooLongError as error:
            raise _too_long("previous_response_id") from error
        if history is None:
            message = "The response in `previous_response_id` was not found."
            raise BadRequestError(message, param="previous_response_id", code="previous_response_not_found")
        return list(history)

    def _conversation(self, owner: str, conversation_id: str) -> tuple[Head, list[Item]]:
        try:
            known = is_storable(conversation_id)
            found = self._store.backend.conversation_history(owner, conversation_id, MAX_HISTORY) if known else None
        except TooLongError as error:
            raise _too_long("conversation") from error
        if found is None:
            message = "The conversation in `conversation` was not found."
            raise BadRequestError(message, param="conversation", code="conversation_not_found")
        head, items = found
        return head, list(items)


def _references(kwargs: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The ids of the response and of the conversation that a request goes on with.

    Raises:
        BadRequestError: Both are there, or one of them is no id.
    """
    previous, conversation = kwargs.get("previous_response_id"), kwargs.get("conversation")
    if previous is not None and conversation is not None:
        message = "`previous_response_id` and `conversation` exclude each other: send one of them."
        raise BadRequestError(message, param="previous_response_id", code="invalid_parameter")
    if isinstance(conversation, Mapping):
        conversation = conversation.get("id", "")
    for name, value in (("previous_response_id", previous), ("conversation", conversation)):
        if value is not None and not isinstance(value, str):
            raise BadRequestError(f"`{name}` is an id.", param=name, code="invalid_type")
    return previous, conversation


def _too_long(field: str) -> BadRequestError:
    message = (
        f"The history of `{field}` is too long: it may have {MAX_TURNS} turns and {MAX_HISTORY // 1024**2} MiB. Begin "
        "a new one."
    )
    return BadRequestError(message, param=field, code="context_length_exceeded")


def _with_call(request: AppRequest, **fields: Any) -> AppRequest:
    call: OpenAICall = msgspec.structs.replace(request.call, **fields)
    return msgspec.structs.replace(request, call=call)
