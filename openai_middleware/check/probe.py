"""What a case drives an app with: calls of the SDK, each judged by the oracles as soon as it is over."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, cast

import httpx
import openai

from openai_middleware.check import open_responses, sdk, wire
from openai_middleware.check.exchange import Exchange, Recorder
from openai_middleware.check.facts import Fact, printable
from openai_middleware.check.result import CaseResult
from openai_middleware.check.settings import Settings
from openai_middleware.contract import Operation, shipped

__all__ = ["BrokenError", "NotImplementedByAppError", "Probe", "SkippedError"]

_NOT_IMPLEMENTED: Final = (404, 405, 501)
_REPORT_USAGE: Final = ("chat.completions.create", "completions.create", "responses.create")
_MOST_PAGES: Final = 3
_NO_USAGE: Final = "usage: missing"


class NotImplementedByAppError(Exception):
    """The app does not have the operation. The message is what it answered."""


class BrokenError(Exception):
    """Something is wrong, and noted, and the case cannot go on."""


class SkippedError(Exception):
    """The case cannot be tried. The message says why."""


class Probe:
    """Drives the app for one case, and notes what the oracles find.

    Args:
        base_url: Where the API is.
        model: What is asked for as the model.
        settings: How the app is driven.
        recorder: What the requests are sent by.

    Attributes:
        model: What is asked for as the model.
        prompt: What is asked.
        result: What is found; each case has its own.
        is_broken: The operations whose own cases have run, and whether something was found.
    """

    def __init__(self, base_url: str, model: str, settings: Settings, recorder: Recorder) -> None:
        self.model = model
        self.prompt = settings.prompt
        self.result: CaseResult
        self.is_broken: dict[str, bool] = {}
        self._settings = settings
        self._recorder = recorder
        self._created: list[tuple[str, dict[str, Any]]] = []
        # Environment variables such as HTTP_PROXY would lead around the recorder.
        self._http = httpx.Client(transport=recorder, headers={**settings.headers}, trust_env=False)
        self._strict, self._lenient = (
            openai.OpenAI(
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

    def has_fixture(self, operation: str) -> bool:
        """Whether the settings have arguments for an operation."""
        return operation in self._settings.fixture

    def whole(self, name: str, /, *, refusals: Sequence[int] = (), **arguments: Any) -> Any:
        """Call an operation whose answer is no stream.

        Args:
            name: The operation.
            refusals: Statuses that are as good an answer as a success.
            arguments: Those of the SDK's method. What the fixture says of the operation goes before them.

        Returns:
            What the SDK returned; None where the app refused.

        Raises:
            NotImplementedByAppError: The app does not have it.
            BrokenError: An oracle found something.
            SkippedError: The SDK cannot send it.
        """
        value, error, exchange = self._sent(name, lambda method: method(**arguments), arguments)
        if exchange.status in refusals:
            self._note("wire", wire.judge_refusal(exchange, name, refusals))
            return None
        self._check_status(exchange)
        self._note("wire", wire.judge_whole(exchange, _operation(name)), go_on=False)
        self._note("sdk", [] if error is None else sdk.facts_of_error(error))
        if name in open_responses.SCHEMAS:
            self._note("open-responses", open_responses.judge_whole(name, wire.json_in(exchange)))
        if name in _REPORT_USAGE and not wire.json_in(exchange).get("usage"):
            self._warn_of_usage()
        if error is not None or any(self.result.facts.values()):
            raise BrokenError
        return value

    def given(self, name: str, /, **arguments: Any) -> Any:
        """Call an operation that other cases judge, and without which this case cannot be tried.

        Raises:
            BrokenError: An oracle found something that the operation's own cases have not.
            SkippedError: The app does not have it, or it is broken, which its own cases tell.
        """
        judged = self.result
        self.result = CaseResult(judged.operation, judged.name)
        try:
            return self.whole(name, **arguments)
        except NotImplementedByAppError as error:
            raise SkippedError(f"{name} is not implemented") from error
        except BrokenError as error:
            if self.is_broken.get(name, True):
                raise SkippedError(f"{name} is broken") from error
            judged.facts = self.result.facts
            raise
        finally:
            self.result = judged

    def stream(self, name: str, /, **arguments: Any) -> list[Any]:
        """Call an operation for a stream, and return its events.

        Raises:
            NotImplementedByAppError: The app does not have it.
            BrokenError: An oracle found something.
            SkippedError: The SDK cannot send it.
        """
        events: list[Any] = []
        _, error, exchange = self._sent(name, lambda method: events.extend(method(**arguments, stream=True)), arguments)
        self._judge_stream(
            name, error, exchange, wants_usage=name == "responses.create" or "stream_options" in arguments
        )
        return events

    def helper(self, name: str, /, **arguments: Any) -> Any:
        """Call the SDK's `.stream()` beside an operation, and return the final object."""

        def run(create: Any) -> Any:
            open_stream: Callable[..., AbstractContextManager[Any]] = create.__self__.stream
            with open_stream(**arguments) as stream:
                chat = getattr(stream, "get_final_completion", None)
                return chat() if chat is not None else stream.get_final_response()

        value, error, exchange = self._sent(name, run, arguments)
        self._judge_stream(name, error, exchange, wants_usage=False)
        return value

    def left_stream(self, name: str, /, **arguments: Any) -> None:
        """Call an operation for a stream, and leave it after its first event."""
        self._recorder.reads_to_the_end = False

        def run(create: Any) -> None:
            with create(**arguments, stream=True) as stream:
                next(iter(stream), None)

        _, error, exchange = self._sent(name, run, arguments)
        self._check_status(exchange)
        if error is not None:
            raise SkippedError("its stream is broken")
        self._recorder.reads_to_the_end = True

    def pages(self, name: str, /, **arguments: Any) -> list[Any]:
        """Call an operation that lists, and let the SDK ask for the next pages, up to the third."""
        if "limit" in _operation(name).query:
            arguments = {"limit": 2, **arguments}
        items: list[Any] = []
        first = len(self._recorder.exchanges)

        def run(method: Any) -> None:
            for item in method(**arguments):
                items.append(item)
                if len(self._recorder.exchanges) - first >= _MOST_PAGES:
                    break

        _, error, exchange = self._sent(name, run, arguments)
        exchanges = self._recorder.exchanges[first:]
        self._check_status(exchange)
        for one in exchanges:
            self._check_status(one)
            self._note("wire", wire.judge_whole(one, _operation(name)), go_on=False)
        self._note("wire", wire.judge_pages(exchanges), go_on=False)
        self._note("sdk", [] if error is None else sdk.facts_of_error(error), go_on=False)
        return items

    def refused(self, name: str, asked: str, *, body: Any, statuses: Sequence[int] = (400, 422)) -> None:
        """Send a body that is to be refused.

        Args:
            name: The operation.
            asked: What is wrong with the body, in words.
            body: A JSON value, or bytes that are none.
            statuses: Those that are right.
        """
        operation, client = _operation(name), self._strict
        path = str(client.base_url) + operation.path.removeprefix("/")
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        headers = {**client.auth_headers, "Content-Type": "application/json", **self._settings.headers}
        first = len(self._recorder.exchanges)
        try:
            self._http.request(operation.method, path, headers=headers, **content)
        except httpx.HTTPError as error:
            if len(self._recorder.exchanges) == first:
                raise SkippedError(str(error)) from error
        exchange = self._recorder.exchanges[-1]
        if exchange.status in _NOT_IMPLEMENTED:
            raise NotImplementedByAppError(str(exchange.status))
        self._note("wire", wire.judge_refusal(exchange, asked, statuses))

    def not_found(self, name: str, /, **arguments: Any) -> None:
        """Call an operation for something that does not exist."""
        _, error, exchange = self._sent(name, lambda method: method(**arguments), {})
        self._note("wire", wire.judge_refusal(exchange, "something that does not exist", (404,)), go_on=False)
        if not isinstance(error, openai.NotFoundError):
            self._note("sdk", [Fact("", f"the SDK raised {type(error).__name__}, not NotFoundError")])

    def clean_later(self, name: str, /, **arguments: Any) -> None:
        """Delete at the end of the case what it has created, where the app can delete; another case judges that."""
        self._created.append((name, arguments))

    def clean(self) -> None:
        """Delete what the case has created."""
        while self._created:
            name, arguments = self._created.pop()
            with contextlib.suppress(openai.OpenAIError):
                _method(self._lenient, name)(**arguments)

    def note(self, oracle: str, place: str, what: str) -> None:
        """Note something that is wrong."""
        self._note(oracle, [Fact(place, what)])

    def _sent(
        self, name: str, run: Callable[[Any], Any], arguments: dict[str, Any]
    ) -> tuple[Any, Exception | None, Exchange]:
        """What an SDK method returned or raised, and the first exchange that it led to."""
        arguments |= self._settings.fixture.get(name, {})
        first = len(self._recorder.exchanges)
        value, raised = None, None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # those of the SDK, about its own methods
                value = run(_method(self._lenient if name in sdk.GAPS else self._strict, name))
        except (
            Exception
        ) as error:  # whatever it is: the SDK's helpers raise all kinds of errors for what they cannot take
            raised = error
        if len(self._recorder.exchanges) == first:
            raise SkippedError(self._recorder.over or f"the SDK did not send it: {raised}")
        return value, raised, self._recorder.exchanges[first]

    def _judge_stream(self, name: str, error: Exception | None, exchange: Exchange, *, wants_usage: bool) -> None:
        self._check_status(exchange)
        events, facts = wire.read_events(exchange)
        self._note("wire", facts, go_on=False)
        stream = shipped().stream(_operation(name).stream or "")
        self._note("wire", wire.judge_events(events, stream))
        facts = [] if error is None else sdk.facts_of_error(error)
        if not self.result.facts.get("wire") or not facts or facts[0].place:
            # What a helper raises without naming a field follows from what `wire` has found.
            self._note("sdk", facts)
        if name == "responses.create":
            self._note("open-responses", open_responses.judge_events(event for event in events if event))
        if wants_usage and not wire.usage_in(events):
            self._warn_of_usage()
        if error is not None or any(self.result.facts.values()):
            raise BrokenError

    def _check_status(self, exchange: Exchange) -> None:
        if exchange.status == 0:
            self._note("wire", [Fact("", exchange.problem)], go_on=False)
        error = wire.error_in(exchange) if exchange.status >= 400 else {}
        if exchange.status in _NOT_IMPLEMENTED and error.get("param") != "model":
            raise NotImplementedByAppError(str(exchange.status))
        if not 200 <= exchange.status < 300:
            message = error.get("message")
            told = f": {message[:200]}" if isinstance(message, str) else ""
            self._note("wire", [Fact("", f"the status is {exchange.status}{told}")], go_on=False)

    def _note(self, oracle: str, facts: Sequence[Fact], *, go_on: bool = True) -> None:
        if oracle in self._settings.oracles:
            noted = self.result.facts.setdefault(oracle, [])
            told = [Fact(printable(fact.place), printable(fact.what)) for fact in facts]
            noted.extend(fact for fact in told if fact not in noted)
        if facts and not go_on:
            raise BrokenError

    def _warn_of_usage(self) -> None:
        if _NO_USAGE not in self.result.warnings:
            self.result.warnings.append(_NO_USAGE)


def _method(client: openai.OpenAI, name: str) -> Any:
    return functools.reduce(getattr, name.split("."), client)


def _operation(name: str) -> Operation:
    operation = shipped().operation(name)
    if operation is None:
        raise ValueError(f"There is no operation {name!r}.")
    return operation
