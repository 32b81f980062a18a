"""Calls of the SDK: what they return or raise, and the exchanges that they lead to."""

import functools
import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, cast

import httpx
import openai

from openai_middleware.check import sdk, wire
from openai_middleware.check.exchange import Exchange, Recorder
from openai_middleware.check.settings import Settings
from openai_middleware.contract import Operation, shipped

__all__ = ["Call", "Caller", "SkippedError", "operation_of"]

_PARAMETER: Final = re.compile(r"{(\w+)")


class SkippedError(Exception):
    """The case cannot be tried. The message says why."""


class Call(NamedTuple):
    """One call of an SDK method.

    Attributes:
        value: What it returned.
        error: What it raised; None where nothing.
        exchanges: What went over the wire, one at least.
        answer_type: The SDK's type of the answer, or of each of its events.
    """

    value: Any
    error: Exception | None
    exchanges: list[Exchange]
    answer_type: Any

    @property
    def exchange(self) -> Exchange:
        """The first exchange, which is the only one but for the pages of a list."""
        return self.exchanges[0]


class Caller:
    """Sends what the cases ask for.

    Args:
        base_url: Where the API is.
        settings: How the app is driven.
        recorder: What the requests are sent by.
    """

    def __init__(self, base_url: str, settings: Settings, recorder: Recorder) -> None:
        self._fixture = settings.fixture
        self._recorder = recorder
        self._created: list[tuple[str, dict[str, Any]]] = []
        # With a transport of its own it does not heed the environment, such as HTTP_PROXY.
        self._http = httpx.Client(transport=recorder, follow_redirects=True)
        self._strict, self._lenient = (
            sdk.Client(
                base_url=base_url,
                api_key=settings.api_key,
                max_retries=0,
                default_headers={"Accept-Encoding": "identity", **settings.headers},
                http_client=cast(Any, self._http),  # its types know the newer httpx2 alone
                _strict_response_validation=is_strict,
            )
            for is_strict in (True, False)
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def call(self, name: str, run: Callable[[Any], Any], arguments: dict[str, Any], *, is_kept: bool = False) -> Call:
        """Call a method of the SDK.

        Args:
            name: The operation.
            run: Is given the method, and calls it.
            arguments: What `run` gives to it. What the fixture says of the operation goes before them.
            is_kept: Whether the app keeps what the call creates: `clean` deletes it.

        Raises:
            SkippedError: The SDK cannot send it, or a limit was reached.
        """
        arguments |= self._fixture.get(name, {})
        client = self._lenient if name in sdk.GAPS else self._strict
        call = self._sent(client, lambda: run(_method(client, name)))
        if is_kept:
            self._clean_later(name, call.exchange, arguments)
        return call

    def post(self, name: str, body: Any) -> Call:
        """Send a body that no method of the SDK would.

        Args:
            name: The operation, one of `POST`.
            body: A JSON value, or bytes that are none.

        Raises:
            SkippedError: A limit was reached.
        """
        content = {"content": body} if isinstance(body, bytes) else {"body": body}
        path = operation_of(name).path
        return self._sent(self._lenient, lambda: self._lenient.post(path, cast_to=object, **content))

    def clean(self) -> None:
        """Delete what has been created and is kept, where the app can delete."""
        if not self._created:
            return
        with self._recorder.cleaning():
            while self._created:
                name, arguments = self._created.pop()
                # A ValueError is one of the SDK, which cannot send the id.
                with suppress(openai.OpenAIError, ValueError):
                    _method(self._lenient, name)(**arguments)

    def _sent(self, client: sdk.Client, run: Callable[[], Any]) -> Call:
        first = len(self._recorder.exchanges)
        value, raised = None, None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # those of the SDK, about its own methods
                value = run()
        except Exception as error:  # whatever it is: the SDK raises all kinds of errors for what it cannot take
            raised = error
        exchanges = self._recorder.exchanges[first:]
        if self._recorder.over and (raised is not None or any(one.problem for one in exchanges)):
            raise SkippedError(self._recorder.over)
        if not exchanges:
            raise SkippedError(f"the SDK did not send it: {(raised and raised.__cause__) or raised}")
        return Call(value, raised, exchanges, client.answer_type)

    def _clean_later(self, name: str, exchange: Exchange, arguments: Mapping[str, Any]) -> None:
        """Note what was created before anyone judges it: what is wrong with the answer keeps no one from deleting."""
        group, _, verb = name.rpartition(".")
        deletion = shipped().operation(f"{group}.delete")
        answer = wire.read_json(bytes(exchange.body), "the body")
        created = answer.get("id") if isinstance(answer, dict) and 200 <= exchange.status < 300 else None
        if verb != "create" or deletion is None or not created or not isinstance(created, str):
            return
        *outer, own = _PARAMETER.findall(deletion.path)
        self._created.append((deletion.name, {own: created, **{one: arguments.get(one) for one in outer}}))


def _method(client: openai.OpenAI, name: str) -> Any:
    return functools.reduce(getattr, name.split("."), client)


def operation_of(name: str) -> Operation:
    """The operation of a name.

    Raises:
        ValueError: There is none.
    """
    operation = shipped().operation(name)
    if operation is None:
        raise ValueError(f"There is no operation {name!r}.")
    return operation
