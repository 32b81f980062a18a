"""The cases of what is kept: created, read, listed and deleted; and of the operations that a fixture describes."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from openai_middleware.check.calls import SkippedError
from openai_middleware.check.case import Case
from openai_middleware.check.probe import Probe, UnusableError
from openai_middleware.check.wire import Json, ids_in
from openai_middleware.contract import shipped

__all__ = ["resource_cases"]

_UNKNOWN: Final = "unknown_of_check"


class _Resource:
    """Something that is created, and then read by its id.

    Args:
        group: What its operations begin with: `responses`.
        noun: What is created, in words.
        parameter: What its id is called.
        new: The arguments that create one.
        update: The arguments that change one; None where it cannot be changed.
    """

    def __init__(
        self, group: str, noun: str, parameter: str, new: Callable[[Probe], Json], update: Json | None = None
    ) -> None:
        self.group = group
        self.noun = noun
        self._parameter = parameter
        self._new = new
        self._update = update

    def cases(self) -> Iterator[Case]:
        creates = f"a {self.noun}"
        # How these are created is judged with all else that is asked of them.
        if self.group not in ("responses", "chat.completions"):
            yield Case(f"{self.group}.create", "create", self._create, creates)
        yield Case(f"{self.group}.retrieve", "retrieve", self._retrieve, creates)
        if self._update is not None:
            yield Case(f"{self.group}.update", "update", self._change, creates)
        if shipped().operation(f"{self.group}.list"):
            yield Case(f"{self.group}.list", "list", self._list, f"three {self.noun}s")
        yield Case(f"{self.group}.delete", "delete", self._delete, creates)

    def given(self, probe: Probe) -> Json:
        """One that is there: its id as an argument."""
        return {self._parameter: probe.given_id(f"{self.group}.create", **self._new(probe))}

    def _create(self, probe: Probe) -> None:
        created = probe.whole(f"{self.group}.create", is_kept=True, **self._new(probe))
        if not created.id:
            probe.note("wire", "id", "is empty")

    def _retrieve(self, probe: Probe) -> None:
        name = f"{self.group}.retrieve"
        unknown: Json = {self._parameter: _UNKNOWN}
        try:
            known = self.given(probe)
        except UnusableError:
            probe.not_found(name, is_there=False, **unknown)
            raise
        _about(probe, name, known, known[self._parameter])
        probe.not_found(name, **unknown)

    def _change(self, probe: Probe) -> None:
        known = self.given(probe)
        _about(probe, f"{self.group}.update", known | (self._update or {}), known[self._parameter])

    def _list(self, probe: Probe) -> None:
        created = 0
        with suppress(SkippedError):  # what cannot be created here may be there all the same
            for _ in range(3):
                self.given(probe)
                created += 1
        is_told_otherwise = any(probe.has_fixture(f"{self.group}.{verb}") for verb in ("create", "list"))
        if not probe.pages(f"{self.group}.list") and created and not is_told_otherwise:
            probe.note("wire", "data", f"is empty, and {created} were created")

    def _delete(self, probe: Probe) -> None:
        known = self.given(probe)
        deleted = _about(probe, f"{self.group}.delete", known, known[self._parameter]).get("deleted", True)
        if not deleted:
            probe.note("wire", "deleted", "is false, not true")
        probe.not_found(f"{self.group}.retrieve", **known)


def _about(probe: Probe, name: str, arguments: Json, wanted: str) -> Json:
    """Call an operation about one thing, which the answer has to be about, unless a fixture asks for another."""
    probe.whole(name, **arguments)
    answer = probe.answer  # the SDK leaves out that of responses.delete
    if answer.get("id", wanted) != wanted and not probe.has_fixture(name):
        probe.note("wire", "id", "is not that of the one that was asked for")
    return answer


def _stored_completion(probe: Probe) -> Json:
    return {"model": probe.model, "messages": [{"role": "user", "content": probe.prompt}], "store": True}


def _stored_response(probe: Probe) -> Json:
    return {"model": probe.model, "input": probe.prompt, "store": True}


def _file(_: Probe) -> Json:
    return {"file": ("check.txt", b"Written by a check."), "purpose": "user_data"}


_TOPIC: Final[Json] = {"metadata": {"topic": "check"}}
_MESSAGE: Final[Json] = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}

_COMPLETIONS: Final = _Resource("chat.completions", "stored completion", "completion_id", _stored_completion, _TOPIC)
_RESPONSES: Final = _Resource("responses", "response", "response_id", _stored_response)
_CONVERSATIONS: Final = _Resource("conversations", "conversation", "conversation_id", lambda _: {}, _TOPIC)
_FILES: Final = _Resource("files", "file", "file_id", _file)
_VECTOR_STORES: Final = _Resource(
    "vector_stores", "vector store", "vector_store_id", lambda _: {"name": "check"}, {"name": "checked"}
)


def _models(probe: Probe) -> None:
    probe.pages("models.list")


def _model(probe: Probe) -> None:
    name = "models.retrieve"
    try:
        listed = ids_in(probe.given("models.list"))
    except UnusableError:
        probe.not_found(name, is_there=False, model=_UNKNOWN)
        raise
    if not listed:
        probe.not_found(name, is_there=False, model=_UNKNOWN)
        raise SkippedError("models.list has none")
    _about(probe, name, {"model": listed[0]}, listed[0])
    probe.not_found(name, model=_UNKNOWN)


def _messages(probe: Probe) -> None:
    known = _COMPLETIONS.given(probe)
    probe.pages("chat.completions.messages.list", **known)


def _input_items(probe: Probe) -> None:
    known = _RESPONSES.given(probe)
    probe.pages("responses.input_items.list", **known)


def _cancel(probe: Probe) -> None:
    known = _RESPONSES.given(probe)
    # Only a response that is made in the background can be cancelled.
    probe.whole("responses.cancel", refusals=(400, 409), **known)


def _file_content(probe: Probe) -> None:
    known = _FILES.given(probe)
    probe.whole("files.content", **known)


def _search(probe: Probe) -> None:
    known: Json = {} if probe.has_fixture("vector_stores.search") else _VECTOR_STORES.given(probe)
    probe.whole("vector_stores.search", query=probe.prompt, **known)


def _conversation_items(probe: Probe, then: Callable[[Probe, Json, str], object]) -> None:
    known = _CONVERSATIONS.given(probe)
    items = ids_in(probe.given("conversations.items.create", **known, items=[_MESSAGE] * 3))
    if not items:
        raise SkippedError("conversations.items.create returned no items")
    then(probe, known, items[0])


def _create_items(probe: Probe) -> None:
    known = _CONVERSATIONS.given(probe)
    probe.whole("conversations.items.create", **known, items=[_MESSAGE])


def _list_items(probe: Probe) -> None:
    _conversation_items(probe, lambda probe, known, _: probe.pages("conversations.items.list", **known))


def _retrieve_item(probe: Probe) -> None:
    name = "conversations.items.retrieve"
    _conversation_items(probe, lambda probe, known, item: _about(probe, name, {**known, "item_id": item}, item))


def _delete_item(probe: Probe) -> None:
    _conversation_items(
        probe, lambda probe, known, item: probe.whole("conversations.items.delete", item_id=item, **known)
    )


def _respond_in_conversation(probe: Probe) -> None:
    known = _CONVERSATIONS.given(probe)
    question: Json = {"model": probe.model, "input": probe.prompt, "store": False}
    probe.whole("responses.create", **question, conversation=known["conversation_id"])


def _embeddings(probe: Probe) -> None:
    # The SDK's own default is base64, which its types do not have.
    texts = [probe.prompt, "Hello."]
    made = probe.whole("embeddings.create", model=probe.model, input=texts, encoding_format="float")
    if len(made.data) != len(texts) and not probe.has_fixture("embeddings.create"):
        probe.note("wire", "data", f"holds {len(made.data)} for {len(texts)} inputs")


def _input_tokens(probe: Probe) -> None:
    probe.whole("responses.input_tokens.count", model=probe.model, input=probe.prompt)


def _compact(probe: Probe) -> None:
    probe.whole("responses.compact", model=probe.model, input=probe.prompt)


def _moderations(probe: Probe) -> None:
    probe.whole("moderations.create", input=probe.prompt)


def resource_cases() -> Iterator[Case]:
    """The cases, operation by operation."""
    yield Case("models.list", "list", _models)
    yield Case("models.retrieve", "retrieve", _model)
    yield Case("embeddings.create", "create", _embeddings)
    yield Case("moderations.create", "create", _moderations)
    yield from _RESPONSES.cases()
    yield Case("responses.input_items.list", "list", _input_items, "a response")
    yield Case("responses.cancel", "cancel", _cancel, "a response")
    yield Case("responses.compact", "compact", _compact)
    yield Case("responses.input_tokens.count", "count", _input_tokens)
    yield from _COMPLETIONS.cases()
    yield Case("chat.completions.messages.list", "list", _messages, "a stored completion")
    yield from _CONVERSATIONS.cases()
    yield Case("conversations.items.create", "create", _create_items, "a conversation")
    yield Case("conversations.items.list", "list", _list_items, "a conversation")
    yield Case("conversations.items.retrieve", "retrieve", _retrieve_item, "a conversation")
    yield Case("conversations.items.delete", "delete", _delete_item, "a conversation")
    yield Case("responses.create", "in a conversation", _respond_in_conversation, "a conversation")
    yield from _FILES.cases()
    yield Case("files.content", "content", _file_content, "a file")
    yield from _VECTOR_STORES.cases()
    yield Case("vector_stores.search", "search", _search, "a vector store")
