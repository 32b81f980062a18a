"""The official SDK, strict about what it gets, against apps with a store: on every kind of server and database."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseInputItemParam

from openai_middleware.store import Store, by_api_key
from tests.store.apps import asgi_app
from tests.store.conftest import DATABASES, url_of
from tests.support.servers import gunicorn_server, uvicorn_server


def uvicorn(url: str) -> AbstractContextManager[str]:
    return uvicorn_server(asgi_app(Store(url, owner=by_api_key)))


def gunicorn(app: str) -> Callable[[str], AbstractContextManager[str]]:
    return lambda url: gunicorn_server(f"tests.store.apps:{app}()", env={"STORE_URL": url})


SERVERS: dict[str, Callable[[str], AbstractContextManager[str]]] = {
    "uvicorn": uvicorn,
    "django": gunicorn("django_app"),
}
# PostgreSQL where it is there.
STACKS = [("uvicorn", "sqlite"), ("django", DATABASES[-1])]


@pytest.fixture(scope="module", params=STACKS, ids="-".join)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server, database = request.param
    with SERVERS[server](url_of(database, tmp_path_factory.mktemp("store"))) as url:
        yield f"{url}/v1"


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key="none", _strict_response_validation=True, max_retries=0) as client:
        yield client


@pytest.fixture
def ada(client: OpenAI, request: pytest.FixtureRequest) -> OpenAI:
    """Somebody new for each test."""
    return client.with_options(api_key=f"ada-{request.node.name}")


@pytest.fixture
def bob(client: OpenAI, request: pytest.FixtureRequest) -> OpenAI:
    return client.with_options(api_key=f"bob-{request.node.name}")


def known(text: str) -> list[list[str]]:
    """What the app was told before it answered this."""
    told: list[list[str]] = json.loads(text.removeprefix("I know: "))
    return told


LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}


def test_response_is_kept_whole_or_streamed(ada: OpenAI) -> None:  # P2 P3
    whole = ada.responses.create(model="m", input="Think", metadata={"a": "b"})
    with ada.responses.create(model="m", input="Cut", stream=True) as stream:
        events = list(stream)
    first, last = events[0], events[-1]
    assert first.type == "response.created"
    assert last.type == "response.incomplete"

    assert ada.responses.retrieve(whole.id).to_dict() == whole.to_dict()
    assert ada.responses.retrieve(last.response.id).to_dict() == last.response.to_dict()
    assert [one.to_dict()["store"] for one in (whole, first.response, last.response)] == [True] * 3
    with ada.responses.retrieve(whole.id, stream=True, starting_after=1) as stream:
        again = list(stream)
    assert again[0].sequence_number == 2
    assert again[-1].type == "response.completed"
    assert again[-1].response.to_dict() == whole.to_dict()


def test_response_is_not_kept_where_it_must_not_be(ada: OpenAI) -> None:  # P2
    unkept = ada.responses.create(model="m", input="Hi", store=False)
    assert unkept.to_dict()["store"] is False
    with ada.responses.create(model="m", input="Break", stream=True) as stream:
        begun = next(iter(stream))
        with pytest.raises(openai.APIError, match=r"It broke\."):
            list(stream)
    assert begun.type == "response.created"
    for id in (unkept.id, begun.response.id):
        with pytest.raises(openai.NotFoundError):
            ada.responses.retrieve(id)


def test_responses_follow_each_other(ada: OpenAI) -> None:  # P4 P5
    first = ada.responses.create(model="m", input="One", instructions="Be brief.")
    second = ada.responses.create(model="m", input="Two", previous_response_id=first.id, instructions="Be kind.")
    assert known(second.output_text) == [
        ["system", "Be kind."],
        ["user", "One"],
        ["assistant", first.output_text],
        ["user", "Two"],
    ]
    fork = ada.responses.create(model="m", input="Fork", previous_response_id=first.id)
    assert [text for _, text in known(fork.output_text)][::2] == ["One", "Fork"]

    ada.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        ada.responses.retrieve(first.id)
    third = ada.responses.create(model="m", input="Three", previous_response_id=second.id)
    assert [text for role, text in known(third.output_text) if role == "user"] == ["One", "Two", "Three"]
    with pytest.raises(openai.BadRequestError) as caught:
        ada.responses.create(model="m", input="Four", previous_response_id=first.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


def test_tool_loop_goes_by_references_alone(ada: OpenAI) -> None:  # P4
    called = ada.responses.create(model="m", input="Call", tools=[LOOK])
    [call] = called.output
    assert call.type == "function_call"
    items: list[ResponseInputItemParam] = [
        {"role": "user", "content": "Call"},
        {"type": "item_reference", "id": call.id or ""},
        {"type": "function_call_output", "call_id": call.call_id, "output": "It is there."},
    ]
    answered = ada.responses.create(model="m", input=items, tools=[LOOK])
    assert known(answered.output_text)[1:] == [["assistant", ""], ["tool", "It is there."]]

    listed = ada.responses.input_items.list(answered.id, order="asc").data
    assert [item.type for item in listed] == ["message", "function_call", "function_call_output"]
    assert listed[1].id == call.id
    with pytest.raises(openai.BadRequestError) as caught:
        ada.responses.create(model="m", input=[items[0], {"type": "item_reference", "id": "msg_unknown"}])
    assert (caught.value.code, caught.value.param) == ("item_not_found", "input[1]")


def test_input_items_are_the_responses_own_page_by_page(ada: OpenAI) -> None:  # P3 P6
    first = ada.responses.create(model="m", input="Zero")
    numbers = [str(number) for number in range(7)]
    said: list[ResponseInputItemParam] = [
        {"role": "assistant", "content": number} if int(number) % 2 else {"role": "user", "content": number}
        for number in numbers
    ]
    second = ada.responses.create(model="m", input=said, previous_response_id=first.id)

    def texts(**options: Any) -> list[str]:
        items = ada.responses.input_items.list(second.id, **options)
        return [
            content.text
            for item in items
            if item.type == "message"
            for content in item.content
            if hasattr(content, "text")
        ]

    assert texts(limit=2) == numbers[::-1]
    assert texts(limit=3, order="asc") == numbers
    page = ada.responses.input_items.list(second.id, limit=7)
    assert page.has_more is False


def test_chat_completions_are_kept_listed_changed_and_deleted(ada: OpenAI) -> None:  # P2 P3 P6
    question: Any = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    kept = [
        ada.chat.completions.create(model=f"m{number % 2}", messages=question, store=True, metadata={"n": str(number)})
        for number in range(5)
    ]
    with ada.chat.completions.create(model="m0", messages=question, store=True, stream=True) as stream:
        chunks = list(stream)
    ada.chat.completions.create(model="m0", messages=question)
    ids = [*(one.id for one in kept), chunks[0].id]

    assert [one.id for one in ada.chat.completions.list(limit=2)] == ids
    assert [one.id for one in ada.chat.completions.list(limit=1, order="desc", model="m0")] == ids[5::-1][:1] + ids[
        4::-2
    ]
    assert [one.id for one in ada.chat.completions.list(metadata={"n": "3"})] == [ids[3]]
    again = ada.chat.completions.retrieve(ids[1])
    assert again.to_dict() == {**kept[1].to_dict(), "metadata": {"n": "1"}}
    streamed = ada.chat.completions.retrieve(ids[5])
    assert streamed.choices[0].message.content == "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices
    )
    updated = ada.chat.completions.update(ids[1], metadata={"n": "new"})
    assert updated.to_dict()["metadata"] == {"n": "new"}
    assert [one.id for one in ada.chat.completions.list(metadata={"n": "new"})] == [ids[1]]
    assert [one.id for one in ada.chat.completions.list(metadata={"n": "1"})] == []
    assert ada.chat.completions.delete(ids[1]).deleted
    with pytest.raises(openai.NotFoundError):
        ada.chat.completions.retrieve(ids[1])
    assert len(ada.chat.completions.list().data) == 5


def test_messages_of_a_chat_completion_are_listed(url: str) -> None:  # P3
    # Not strict: the SDK's own type of a message that was stored knows no role but the assistant's.
    with OpenAI(base_url=url, api_key="messages") as client:
        said: Any = [{"role": "user", "content": str(number)} for number in range(5)]
        said.append({"role": "user", "content": [{"type": "text", "text": "5"}, {"type": "text", "text": "and more"}]})
        kept = client.chat.completions.create(model="m", messages=said, store=True)
        listed = list(client.chat.completions.messages.list(kept.id, limit=2))
        backwards = client.chat.completions.messages.list(kept.id, limit=4, order="desc")

        assert [message.content for message in listed] == [*"01234", "5\nand more"]
        assert [message.id for message in backwards.data] == [f"{kept.id}-{number}" for number in (5, 4, 3, 2)]
        assert [part.to_dict() for part in listed[5].content_parts or []] == said[5]["content"]


def test_conversations_are_created_changed_and_deleted(ada: OpenAI) -> None:  # P3
    made = ada.conversations.create(metadata={"topic": "tea"}, items=[{"role": "user", "content": "Hi"}])
    assert ada.conversations.retrieve(made.id) == made
    assert ada.conversations.update(made.id, metadata={"topic": "coffee"}).metadata == {"topic": "coffee"}

    picture: Any = {"role": "user", "content": [{"type": "input_image", "image_url": "data:,x"}]}
    added = ada.conversations.items.create(
        made.id,
        items=[
            {"role": "assistant", "content": "Hello"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "done"},
            picture,
        ],
    )
    assert {getattr(item, "status", None) for item in added.data} == {"completed"}
    everything = list(ada.conversations.items.list(made.id, limit=2, order="asc"))
    assert [item.type for item in everything] == [
        "message",
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]
    shown = everything[-1].to_dict()
    assert shown["content"] == [{"type": "input_image", "image_url": "data:,x", "detail": "auto"}]
    newest_first = ada.conversations.items.list(made.id, limit=1).data
    assert newest_first == everything[-1:]
    hello = everything[1]
    assert ada.conversations.items.retrieve(hello.id or "", conversation_id=made.id) == hello
    assert ada.conversations.items.delete(hello.id or "", conversation_id=made.id).id == made.id
    with pytest.raises(openai.NotFoundError):
        ada.conversations.items.retrieve(hello.id or "", conversation_id=made.id)
    assert ada.conversations.delete(made.id).deleted
    gone: list[Callable[[str], Any]] = [ada.conversations.retrieve, ada.conversations.delete]
    for call in [*gone, ada.conversations.items.list]:
        with pytest.raises(openai.NotFoundError):
            call(made.id)


def test_conversation_goes_on_with_each_response(ada: OpenAI) -> None:  # P4 P7
    talk = ada.conversations.create(items=[{"role": "user", "content": "Zero"}])
    first = ada.responses.create(model="m", input="One", conversation=talk.id)
    assert [text for _, text in known(first.output_text)] == ["Zero", "One"]
    assert first.conversation is not None
    assert first.conversation.id == talk.id
    with ada.responses.create(model="m", input="Two", conversation={"id": talk.id}, stream=True, store=False) as stream:
        [*_, last] = stream
    assert last.type == "response.completed"
    assert [text for role, text in known(last.response.output_text) if role == "user"] == ["Zero", "One", "Two"]
    assert last.response.to_dict()["store"] is False

    items = [item for item in ada.conversations.items.list(talk.id, order="asc") if item.type == "message"]
    assert [item.role for item in items] == ["user", "user", "assistant", "user", "assistant"]
    with pytest.raises(openai.BadRequestError) as caught:
        ada.responses.create(model="m", input="x", conversation=talk.id, previous_response_id=first.id)
    assert caught.value.param == "previous_response_id"
    with pytest.raises(openai.BadRequestError) as caught:
        ada.responses.create(model="m", input="x", conversation="conv_unknown")
    assert (caught.value.code, caught.value.param) == ("conversation_not_found", "conversation")


def test_nobody_sees_what_is_somebody_elses(ada: OpenAI, bob: OpenAI) -> None:  # P1
    response = ada.responses.create(model="m", input="Secret")
    message = response.output[0]
    completion = ada.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], store=True)
    talk = ada.conversations.create(items=[{"role": "user", "content": "Secret"}])
    [item] = ada.conversations.items.list(talk.id).data

    def refused(call: Callable[..., Any], *ids: str, **more: Any) -> None:
        """An id of somebody else's is answered as one that nobody has, but for the id itself."""
        envelopes = []
        for given in (ids, tuple("x" * len(id) for id in ids)):
            with pytest.raises(openai.NotFoundError) as caught:
                call(*given, **more)
            text = caught.value.response.text
            for id in given:
                text = text.replace(id, "ID")
            envelopes.append(text)
        assert envelopes[0] == envelopes[1]

    responses, completions, talks = bob.responses, bob.chat.completions, bob.conversations
    calls: list[tuple[Callable[..., Any], str]] = [
        *((call, response.id) for call in (responses.retrieve, responses.delete, responses.cancel)),
        (responses.input_items.list, response.id),
        *((call, completion.id) for call in (completions.retrieve, completions.delete, completions.messages.list)),
        *((call, talk.id) for call in (talks.retrieve, talks.delete, talks.items.list)),
    ]
    for call, id in calls:
        refused(call, id)
    refused(completions.update, completion.id, metadata={})
    refused(bob.conversations.update, talk.id, metadata={})
    refused(bob.conversations.items.create, talk.id, items=[{"role": "user", "content": "x"}])
    refused(lambda id: bob.conversations.items.retrieve(item.id or "", conversation_id=id), talk.id)
    refused(lambda id: bob.conversations.items.delete(item.id or "", conversation_id=id), talk.id)
    assert bob.chat.completions.list().data == []
    referring: list[dict[str, Any]] = [
        {"previous_response_id": response.id},
        {"conversation": talk.id},
        {"input": [{"type": "item_reference", "id": message.id}]},
    ]
    for more in referring:
        with pytest.raises(openai.BadRequestError, match="not found"):
            bob.responses.create(**{"model": "m", "input": "x", **more})
    # What Bob sends under Ada's ids is Bob's own.
    mine: Any = {**message.to_dict(), "content": "Mine"}
    own = bob.responses.create(model="m", input=[mine])
    assert ada.responses.retrieve(response.id) == response
    assert [item.id for item in bob.responses.input_items.list(own.id)] == [message.id]


def test_lists_refuse_what_they_do_not_know(ada: OpenAI) -> None:  # P6
    response = ada.responses.create(model="m", input="x")
    talk = ada.conversations.create()
    lists: list[Callable[..., Any]] = [
        lambda **more: ada.responses.input_items.list(response.id, **more),
        lambda **more: ada.conversations.items.list(talk.id, **more),
        ada.chat.completions.list,
    ]
    for listed in lists:
        for name, value in [("limit", 0), ("limit", 101), ("order", "up"), ("after", "unknown"), ("after", "\0")]:
            with pytest.raises(openai.BadRequestError) as caught:
                listed(**{name: value})
            assert caught.value.param == name


def test_only_what_runs_in_the_background_could_be_cancelled(ada: OpenAI) -> None:  # P3
    response = ada.responses.create(model="m", input="x")
    with pytest.raises(openai.BadRequestError, match="background"):
        ada.responses.cancel(response.id)


@pytest.mark.parametrize(
    "metadata",
    [{"a": 1}, {str(number): "x" for number in range(17)}, {"x" * 65: "x"}, {"x": "x" * 513}],
    ids=["no string", "many", "long name", "long value"],
)
def test_metadata_that_openai_would_not_take_is_refused(ada: OpenAI, metadata: Any) -> None:  # P3
    with pytest.raises(openai.BadRequestError) as caught:
        ada.conversations.create(metadata=metadata)
    assert caught.value.param == "metadata"


def test_who_sends_no_key_owns_nothing(url: str) -> None:  # P1
    with OpenAI(base_url=url, api_key="none", default_headers={"Authorization": ""}, max_retries=0) as nobody:
        calls: list[Callable[[], Any]] = [
            lambda: nobody.responses.create(model="m", input="x"),
            lambda: nobody.responses.create(model="m", input="x", store=False, previous_response_id="resp_x"),
            lambda: nobody.responses.retrieve("resp_x"),
            lambda: nobody.chat.completions.list(),
        ]
        for call in calls:
            with pytest.raises(openai.AuthenticationError) as caught:
                call()
            assert caught.value.code == "unknown_owner"
        assert nobody.responses.create(model="m", input="x", store=False).output_text
        assert nobody.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}]).choices
