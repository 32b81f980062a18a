"""What a user says of a store, and what it costs those who have none."""

import asyncio
import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from openai_middleware import Dispatcher, HandlerApp, OpenAIMiddleware
from openai_middleware.adapters.django.checks import check_settings
from openai_middleware.errors import ConfigurationError
from openai_middleware.iteration import is_on_asyncio
from openai_middleware.replies.chat_request import ChatRequest
from openai_middleware.store import Backend, Item, Store, by_api_key, session
from tests.store.apps import asgi_app, dispatch
from tests.support.django_site import DjangoSite
from tests.support.drivers import http_scope, request_messages


def mistakes(url: Any = "sqlite://", **arguments: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        Store(url, **arguments)
    return [mistake.code for mistake in caught.value.mistakes]


def test_all_mistakes_are_told_together() -> None:
    assert mistakes(owner="ada", ttl=0, max_bytes=0.5) == ["store_owner", "store_ttl", "store_max_bytes"]
    assert mistakes(owner="shared", ttl=timedelta(0)) == ["store_ttl"]
    assert mistakes(owner="shared", max_bytes=True) == ["store_max_bytes"]
    assert mistakes(url="mysql://x/y", owner="ada", ttl=0) == ["store_owner", "store_ttl", "store_url"]
    assert mistakes(url=None, owner="ada") == ["store_owner", "store_url"]
    with pytest.raises(TypeError, match="owner"):
        Store("sqlite://")  # type: ignore[call-arg]


@pytest.mark.parametrize("ttl", [timedelta.max, 10**14, float("inf"), float("nan"), True, "1"])
def test_time_to_live_that_no_database_can_count_is_refused(ttl: Any) -> None:
    assert mistakes(owner="shared", ttl=ttl) == ["store_ttl"]


@pytest.mark.parametrize("url", [Path("openai.db"), None, sqlalchemy.make_url("sqlite://"), Backend, 5])
def test_what_is_neither_a_url_nor_a_backend_is_refused(url: Any) -> None:
    assert mistakes(url=url, owner="shared") == ["store_url"]


def test_limits_of_a_store_are_not_for_backends() -> None:
    backend = Store("sqlite://", owner="shared").backend
    assert mistakes(url=backend, owner="shared", ttl=60, max_bytes=None) == ["store_ttl", "store_max_bytes"]


async def ask(carrier: Any) -> str:
    return "ada"


class Asking:
    async def __call__(self, carrier: Any) -> str:
        return "ada"


@pytest.mark.parametrize("owner", [ask, Asking(), functools.partial(ask)])
def test_owner_that_is_async_is_refused_at_the_start(owner: Any) -> None:  # P1
    assert mistakes(owner=owner) == ["store_owner"]


def test_owner_may_be_any_object_that_can_be_called() -> None:
    class Asking:
        def __call__(self, carrier: Any) -> str:
            return "ada"

    owners: list[Any] = [Asking(), str, functools.partial(by_api_key), {}.get]
    for owner in owners:
        Store("sqlite://", owner=owner).close()


@pytest.mark.parametrize("store", ["sqlite://", Store])
def test_something_else_than_a_store_is_refused(store: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OpenAIMiddleware(HandlerApp(dispatch), prefix="/v1", store=store)
    assert [mistake.code for mistake in caught.value.mistakes] == ["store_type"]


@pytest.mark.parametrize(
    ("store", "ids"),
    [
        ({"url": "sqlite://", "owner": "tests.store.apps.django_owner"}, []),
        ({"url": "sqlite://", "owner": "shared", "ttl": 60, "max_bytes": None}, []),
        ({"url": "sqlite://"}, ["store_owner"]),
        ({"owner": "no.such.function"}, ["settings_import"]),
        ({"url": "mysql://x/y", "owner": "shared"}, ["store_url"]),
        ({"url": "sqlite://", "owner": "tests.store.test_store.ask"}, ["store_owner"]),
        ({"url": "sqlite://", "owner": "shared", "size": 1, "ttl": -1}, ["extra_forbidden"]),
        ({"url": "sqlite://", "owner": "shared", "ttl": -1}, ["store_ttl"]),
        ("sqlite://", ["store_type"]),
    ],
)
def test_django_checks_the_setting(store: Any, ids: list[str]) -> None:
    site = DjangoSite("sync", lambda request: None)
    with site.active(), django_setting({"prefix": "/v1", "store": store}):
        found = check_settings(None)
    assert [message.id for message in found] == [f"openai_middleware.{id}" for id in ids]
    assert all(str(message.obj).startswith("store") for message in found)


def django_setting(options: Any) -> Any:
    from django.test.utils import override_settings

    return override_settings(OPENAI_MIDDLEWARE=options)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"headers": [(b"Authorization", b"Bearer a")]}, {"HTTP_AUTHORIZATION": "Bearer a"}),
        ({"headers": [(b"authorization", b"no"), (b"authorization", b"Bearer a")]}, {"HTTP_AUTHORIZATION": "Bearer a"}),
        ({"headers": [(b"api-key", b"a")]}, {"HTTP_API_KEY": "a"}),
    ],
)
def test_key_is_the_same_by_every_interface(given: Any, same: Any) -> None:  # P1
    assert by_api_key(given) == by_api_key(same)
    assert by_api_key(given) != by_api_key({"HTTP_AUTHORIZATION": "Bearer b"})
    assert by_api_key({"headers": []}) is by_api_key({}) is by_api_key(None) is None


def test_nothing_of_it_is_imported_where_there_is_no_store() -> None:  # P10
    code = """if True:
        import json, sys
        from openai_middleware import OpenAIMiddleware
        from openai_middleware.adapters.django import OpenAIMiddleware as Django
        OpenAIMiddleware(print, prefix="/v1")
        without = [name for name in sys.modules if "sqlalchemy" in name or "openai_middleware.store" in name]
        from openai_middleware.store import Store
        own = [name for name in sys.modules if "sqlalchemy" in name]
        Store("sqlite://", owner="shared")
        print(json.dumps([without, own, "sqlalchemy" in sys.modules, "psycopg" in sys.modules]))
    """
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], [], True, False]


class Watched:
    """A backend that notes in which threads it works."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.threads: set[str] = set()
        self.was_on_loop = False

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            if name not in ("open", "close"):
                self.threads.add(threading.current_thread().name.partition("_")[0])
                self.was_on_loop |= is_on_asyncio()
            return getattr(self.backend, name)(*args)

        return call


async def sent_by(app: Any, method: str, target: str, body: Any = b"", *, leaves_after: int | None = None) -> Any:
    """What a client gets; one that leaves does so after so many messages."""
    pending = request_messages(body if isinstance(body, bytes) else json.dumps(body).encode())
    messages: list[Any] = []
    has_left = asyncio.Event()

    async def receive() -> Any:
        if pending:
            return pending.pop(0)
        await has_left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)
        if leaves_after is not None and len(messages) > leaves_after:
            has_left.set()
            await asyncio.sleep(0)

    await app(http_scope(method, target), receive, send)
    return messages


async def test_event_loop_does_not_wait_for_the_database() -> None:  # P10
    watched = Watched(Store("sqlite://", owner="shared").backend)
    store = Store(watched, owner="shared")
    app = asgi_app(store)
    [_, body] = await sent_by(app, "POST", "/v1/responses", {"model": "m", "input": "Hi"})
    id = json.loads(body["body"])["id"]
    await sent_by(
        app, "POST", "/v1/responses", {"model": "m", "input": "Hi", "previous_response_id": id, "stream": True}
    )
    await sent_by(app, "GET", f"/v1/responses/{id}")
    [start, _] = await sent_by(app, "GET", "/v1/chat/completions")
    assert start["status"] == 200
    assert watched.threads == {"openai-store"}
    assert not watched.was_on_loop
    store.close()


BRIDGED: Any = {"prefix": "/v1", "rewrites": {"responses.create": "chat.completions.create"}}


async def counting(scope: Any, receive: Any, send: Any) -> None:
    """An app that speaks chat completions, and tells what it was sent."""
    asked = json.loads((await receive())["body"])
    message = {"role": "assistant", "content": f"I know: {json.dumps(asked['messages'])}"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(completion).encode()})


@pytest.mark.parametrize(("count", "is_on_loop"), [(100, True), (101, False)])
async def test_long_history_is_brought_into_the_form_of_chat_beside_the_event_loop(
    count: int, is_on_loop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:  # P10
    was_on_loop: list[bool] = []

    class Noted(ChatRequest):
        def __init__(self, *args: Any) -> None:
            was_on_loop.append(is_on_asyncio())
            super().__init__(*args)

    for module in ("handlers.reply_handler", "replies.chat_call"):
        monkeypatch.setattr(f"openai_middleware.{module}.ChatRequest", Noted)
    store = Store("sqlite://", owner="shared")
    text = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    items = [Item(f"i{number}", json.dumps(text).encode()) for number in range(count)]

    for name, app in (("a", asgi_app(store)), ("b", OpenAIMiddleware(counting, **BRIDGED, store=store))):
        store.backend.create_conversation("shared", name, b"{}", items)
        question = {"model": "m", "input": "Hi", "conversation": name}
        [start, body] = await sent_by(app, "POST", "/v1/responses", question)
        assert start["status"] == 200
        said = json.loads(body["body"])["output"][0]["content"][0]["text"]
        assert len(json.loads(said.removeprefix("I know: "))) == count + 1
    assert was_on_loop == [is_on_loop, is_on_loop]
    store.close()


async def test_client_that_leaves_in_the_middle_leaves_nothing_behind() -> None:  # P2
    endless = Dispatcher()
    is_closed = asyncio.Event()

    @endless.reply
    async def count(messages: Any) -> Any:
        try:
            while True:
                yield "and on "
                await asyncio.sleep(0)
        finally:
            is_closed.set()

    store = Store("sqlite://", owner="shared")
    app = OpenAIMiddleware(HandlerApp(endless), prefix="/v1", store=store)
    messages = await sent_by(app, "POST", "/v1/responses", {"model": "m", "input": "x", "stream": True}, leaves_after=4)
    await is_closed.wait()
    begun = json.loads(messages[1]["body"].split(b"data: ")[1].split(b"\n")[0])
    [start, _] = await sent_by(app, "GET", f"/v1/responses/{begun['response']['id']}")
    assert start["status"] == 404
    store.close()


FORKING = """if True:
    import asyncio, os, sys
    from openai_middleware.store import Item, Store
    store = Store(sys.argv[1], owner="shared")
    store.open()
    store.backend.create_conversation("o", "parent", b"{}", [Item("x", b"{}")])
    store.threads.submit(print).result()
    if os.fork() == 0:
        store.threads.submit(store.backend.create_conversation, "o", "child", b"{}", []).result(20)
        store.close()
        os._exit(0)
    _, status = os.wait()
    assert status == 0, status
    assert store.backend.conversation("o", "child") and store.backend.conversation("o", "parent")
    store.close()
"""


FORKING_IN_MEMORY = """if True:
    import os
    from openai_middleware.store import Store
    store = Store("sqlite://", owner="shared")
    store.open()
    store.backend.create_conversation("o", "parent", b"{}", [])
    if os.fork() == 0:
        assert store.backend.conversation("o", "parent") is None
        store.backend.create_conversation("o", "child", b"{}", [])
        os._exit(0)
    _, status = os.wait()
    assert status == 0, status
    assert store.backend.conversation("o", "parent") and not store.backend.conversation("o", "child")
    store.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_server_may_fork_behind_a_store_in_memory() -> None:
    command = [sys.executable, "-W", "error", "-c", FORKING_IN_MEMORY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_server_may_fork_behind_a_store(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", FORKING, f"sqlite:///{tmp_path / 'openai.db'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_adapter_that_does_not_know_of_stores_serves_nothing_stored() -> None:  # P1
    from openai_middleware.drivers import Frontend

    store = Store("sqlite://", owner=by_api_key)
    exchange = Frontend(prefix="/v1", store=store).open("GET", "/v1/chat/completions", b"", [])
    assert exchange is not None
    assert exchange.handler is not None
    request = exchange.receive(b"")
    with pytest.raises(RuntimeError, match="no part for a store"):
        exchange.handler.handler_for(request.call).run(request.call)
    store.close()


# --- requests that cannot be


async def answered(app: Any, method: str, target: str, body: Any = b"") -> tuple[int, Any]:
    start, *parts = await sent_by(app, method, target, body)
    return start["status"], json.loads(b"".join(part.get("body", b"") for part in parts))


@pytest.fixture
def app() -> Iterator[Any]:
    store = Store("sqlite://", owner="shared")
    yield asgi_app(store)
    store.close()


async def test_history_that_is_too_long_is_refused(app: Any) -> None:  # P5
    long = "x" * (17 * 1024 * 1024)
    _, response = await answered(app, "POST", "/v1/responses", {"model": "m", "input": long})
    items = {"items": [{"role": "user", "content": long}]}
    _, talk = await answered(app, "POST", "/v1/conversations", items)
    for field, id in (("previous_response_id", response["id"]), ("conversation", talk["id"])):
        status, body = await answered(app, "POST", "/v1/responses", {"model": "m", "input": "x", field: id})
        assert (status, body["error"]["code"], body["error"]["param"]) == (400, "context_length_exceeded", field)


async def test_chain_of_too_many_turns_is_refused(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # P5
    assert session.MAX_TURNS == 1000
    monkeypatch.setattr(session, "MAX_TURNS", 3)
    body: dict[str, Any] = {"model": "m", "input": "x"}
    statuses = []
    for _ in range(5):
        status, answer = await answered(app, "POST", "/v1/responses", body)
        statuses.append(status)
        if status == 200:
            body["previous_response_id"] = answer["id"]
    assert statuses == [200, 200, 200, 200, 400]


@pytest.mark.parametrize(
    ("target", "body", "param"),
    [
        ("/v1/responses", {"input": "x", "previous_response_id": 3}, "previous_response_id"),
        ("/v1/responses", {"input": "x", "previous_response_id": "\0"}, "previous_response_id"),
        ("/v1/responses", {"input": "x", "conversation": ["c"]}, "conversation"),
        ("/v1/responses", {"input": "x", "conversation": {}}, "conversation"),
        ("/v1/responses", {"input": "x", "previous_response_id": "msg_unknown"}, "previous_response_id"),
        ("/v1/responses", {"input": "x", "conversation": {"id": "msg_unknown"}}, "conversation"),
        ("/v1/responses", {"input": [{"type": "item_reference", "id": "msg_unknown"}]}, "input[0]"),
        ("/v1/responses", {"input": [{"type": "item_reference"}]}, "input[0]"),
        ("/v1/responses", {"input": [{"id": 5}]}, "input[0]"),
        ("/v1/conversations", {"items": "x"}, "items"),
        ("/v1/conversations", {"items": [{"role": "user", "content": "x"}, 5]}, "items[1]"),
        ("/v1/conversations", {"items": [{"id": "msg_unknown"}]}, "items[0]"),
        ("/v1/conversations", {"metadata": "x"}, "metadata"),
    ],
)
async def test_request_that_refers_to_nothing_names_the_field(
    app: Any, target: str, body: Any, param: str
) -> None:  # P4
    status, answer = await answered(app, "POST", target, {"model": "m", **body})
    assert (status, answer["error"]["param"]) == (400, param)
    assert "msg_unknown" not in answer["error"]["message"]


async def test_conversation_takes_twenty_items_at_a_time(app: Any) -> None:
    items = [{"role": "user", "content": str(number)} for number in range(21)]
    _, talk = await answered(app, "POST", "/v1/conversations", {"items": items[:20]})
    target = f"/v1/conversations/{talk['id']}/items"
    assert (await answered(app, "POST", target, {"items": items[:20]}))[0] == 200

    for refused in ("/v1/conversations", target):
        status, answer = await answered(app, "POST", refused, {"items": items})
        assert (status, answer["error"]["param"], answer["error"]["code"]) == (400, "items", "invalid_value")
        assert "at most 20 items" in answer["error"]["message"]
    _, listed = await answered(app, "GET", f"{target}?limit=100")
    assert len(listed["data"]) == 40


async def test_items_of_a_conversation_may_be_references(app: Any) -> None:  # P4
    _, response = await answered(app, "POST", "/v1/responses", {"model": "m", "input": "x"})
    id = response["output"][0]["id"]
    _, talk = await answered(app, "POST", "/v1/conversations", {"items": [{"type": "item_reference", "id": id}]})
    _, listed = await answered(app, "GET", f"/v1/conversations/{talk['id']}/items")
    assert [item["id"] for item in listed["data"]] == [id]
    # It is the response's, too, and stays with it.
    await answered(app, "DELETE", f"/v1/conversations/{talk['id']}")
    assert (await answered(app, "GET", f"/v1/responses/{response['id']}"))[1] == response


async def test_filter_that_is_none_is_refused(app: Any) -> None:  # P6
    status, answer = await answered(app, "GET", "/v1/chat/completions?metadata=x")
    assert (status, answer["error"]["param"]) == (400, "metadata")


def test_missing_sqlalchemy_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai_middleware.store.sql", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'openai-middleware\[store\]'"):
        Store("sqlite://", owner="shared")


@pytest.mark.parametrize(
    ("missing", "url"), [("sqlalchemy", "sqlite://"), ("psycopg", "postgresql+psycopg://localhost/x")]
)
def test_missing_package_is_named_with_what_installs_it(missing: str, url: str) -> None:
    code = f"""if True:
        import sys
        sys.modules[{missing!r}] = None
        from openai_middleware.store import Store
        from openai_middleware.errors import ConfigurationError
        try:
            Store({url!r}, owner="shared")
        except ConfigurationError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert "[store_driver]" in done.stdout
    assert "pip install 'openai-middleware[" in done.stdout
