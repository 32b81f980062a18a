"""What a check costs, whatever the app does: time, requests and bytes; and that it leaves nothing behind."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest

from openai_middleware.check.exchange import Limits, Recorder
from openai_middleware.check.result import CheckResult, Status
from openai_middleware.check.server import serving
from tests.support.checks import checked, told
from tests.support.faulty_app import FaultyApp

CHAT, FILES = "chat.completions.create", "files"


def of(name: str, app: FaultyApp, **settings: Any) -> CheckResult:
    with serving(app) as url:
        return checked(f"{url}/{name}/v1", **settings)


@contextmanager
def trickling(start: bytes, piece: bytes) -> Iterator[str]:
    """A server that sends the start of an answer, and then piece after piece, for some seconds."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(start)
            for _ in range(500):
                connection.sendall(piece)
                time.sleep(0.01)  # it is what a client has to bear

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        listener.shutdown(socket.SHUT_RDWR)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("start", "piece", "problem"),
    [
        (HEAD + b"X-Long: ", b"a", "no answer came within 0.3 s"),
        (HEAD + b"\r\n", b" ", "the answer did not end in time"),
        (HEAD + b"Content-Length: 9999\r\n\r\n", b" ", "the answer did not end in time"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", "the answer did not end in time"),
    ],
    ids=["headers", "until it closes", "of a length", "in chunks"],
)
def test_an_answer_that_comes_byte_by_byte_ends_with_the_time_of_its_case(
    start: bytes, piece: bytes, problem: str
) -> None:
    recorder = Recorder(Limits(case_seconds=0.3))
    with trickling(start, piece) as url, httpx.Client(transport=recorder, trust_env=False) as client:
        recorder.begin_case()
        with pytest.raises(httpx.ReadTimeout):
            client.get(url)

    assert recorder.exchanges[0].problem == problem
    assert recorder.over == ""


def test_an_answer_ends_with_the_time_of_all_cases_too() -> None:
    recorder = Recorder(Limits(case_seconds=60, total_seconds=0.3))
    with trickling(HEAD + b"\r\n", b" ") as url, httpx.Client(transport=recorder, trust_env=False) as client:
        recorder.begin_case()
        with pytest.raises(httpx.ReadTimeout):
            client.get(url)

    assert recorder.over == "the time of 0.3 s was over"


def test_a_list_of_models_that_does_not_end_costs_as_much_as_a_case() -> None:
    with trickling(HEAD + b"\r\n", b" ") as url:
        result = checked(url, only=("models",), limits=Limits(case_seconds=0.3))

    assert told(result) == {"wire: the answer did not end in time"}
    assert (result.model, result.requests) == ("default", 3)
    reason = "the SDK did not send it: the time of the case was over"
    assert {case.operation: case.reason for case in result.cases} == {"models.list": "", "models.retrieve": reason}


def test_a_case_that_the_time_of_all_cases_ends_is_skipped() -> None:
    result = of("no_end", FaultyApp(), model="m-1", only=(CHAT,), limits=Limits(case_seconds=5, total_seconds=0.5))

    assert told(result) == set()
    assert result.limit == "the time of 0.5 s was over"
    assert {case.name: case.reason for case in result.cases if case.status is Status.SKIPPED}["stream"] == result.limit


def test_a_case_that_the_limit_of_requests_ends_is_skipped() -> None:
    app = FaultyApp()
    result = of("none", app, model="m-1", only=("files.list",), limits=Limits(requests=5))

    assert [(case.status, case.reason) for case in result.cases] == [(Status.SKIPPED, result.limit)]
    assert result.limit == "the limit of 5 requests was reached"
    assert len([one for one in app.apps["none"].asked if one.query]) == 1, "so that the second page was not asked for"
    assert app.apps["none"].kept == {}


def test_an_answer_that_is_too_long_is_told() -> None:
    result = of("none", FaultyApp(), only=("models.list",), limits=Limits(body_bytes=100))

    assert told(result) == {"wire: the answer is longer than 100 bytes"}


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("file_without_a_name", Limits()),
        ("content_without_end", Limits(case_seconds=0.5)),
        ("content_without_end", Limits(case_seconds=5, total_seconds=0.5)),
        ("none", Limits(requests=3)),
        ("none", Limits(requests=7)),
    ],
)
def test_nothing_is_left_behind(name: str, limits: Limits) -> None:
    app = FaultyApp()

    result = of(name, app, model="m-1", only=(FILES,), limits=limits)

    created = [one for one in app.apps[name].asked if (one.method, one.path) == ("POST", "/files")]
    assert created
    assert app.apps[name].kept == {}
    assert result.requests == sum(case.requests for case in result.cases) + 1, "the one that asks for the models"
    assert result.requests + result.cleanup_requests == len(app.connections)
    assert result.requests <= limits.requests


def test_what_a_fixture_creates_is_deleted_too() -> None:
    app = FaultyApp()
    arguments = {"file": ("check.txt", b"Bees."), "purpose": "user_data"}

    result = of("none", app, only=("files.create",), fixture={"files.create": arguments})

    assert result.exit_code == 0
    assert [one.method for one in app.apps["none"].asked] == ["GET", "POST", "DELETE"]


class Redirecting:
    """An app that has its paths with a slash at the end, and sends what comes without one elsewhere."""

    def __init__(self, where: str = "") -> None:
        self.app = FaultyApp()
        self.where = where

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["path"].endswith("/"):
            await self.app({**scope, "path": scope["path"].removesuffix("/")}, receive, send)
            return
        query = f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
        location = f"{self.where or scope['path'] + '/'}{query}"
        headers = [(b"location", location.encode()), (b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body", "body": b"<html>"})


def test_redirects_within_a_host_are_followed_as_the_sdk_does() -> None:
    app = Redirecting()
    with serving(app) as url:
        result = checked(f"{url}/none/v1")

    assert told(result) == set()
    assert result.count(Status.OK) > 45
    assert app.app.apps["none"].kept == {}


@pytest.mark.parametrize("where", ["http://localhost:1/v1/models", "http://[", "/none/v1/models"])
def test_redirects_to_another_host_and_without_an_end_are_not(where: str) -> None:
    with serving(Redirecting(where)) as url:
        result = checked(f"{url}/none/v1", only=("models.list",))

    assert told(result) == {"wire: the status is 307"}


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    assert of("none", FaultyApp(), only=("models",)).exit_code == 0
