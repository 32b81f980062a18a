"""What a case drives an app with: calls of the SDK, each judged by the oracles as soon as it is over."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import httpx

from openai_middleware.check.calls import Caller, SkippedError, operation_of
from openai_middleware.check.exchange import Recorder
from openai_middleware.check.facts import Fact
from openai_middleware.check.judge import NOT_IMPLEMENTED, BrokenError, Judge, NotImplementedByAppError
from openai_middleware.check.result import CaseResult
from openai_middleware.check.settings import Settings
from openai_middleware.check.wire import Json, ids_in, json_in

__all__ = ["Probe", "UnusableError"]

_MOST_PAGES: Final = 3


class UnusableError(SkippedError):
    """The case cannot be tried, since what it needs is there, and broken. The message says what."""


class Probe:
    """Drives the app for one case.

    Args:
        base_url: Where the API is.
        settings: How the app is driven.
        recorder: What the requests are sent by.

    Attributes:
        model: What is asked for as the model.
        prompt: What is asked.
        judge: Who notes what the oracles find.
        is_broken: The operations whose own cases have run, and whether something was found.
    """

    def __init__(self, base_url: str, settings: Settings, recorder: Recorder) -> None:
        self.model = settings.model or ""
        self.prompt = settings.prompt
        self.judge = Judge(settings.oracles)
        self.is_broken: dict[str, bool] = {}
        self._settings = settings
        self._recorder = recorder
        self._caller = Caller(base_url, settings, recorder)

    def close(self) -> None:
        """Close all connections."""
        self._caller.close()

    def clean(self) -> None:
        """Delete what the case has created."""
        self._caller.clean()

    @property
    def answer(self) -> Json:
        """The JSON object that came last; an empty one where it was none."""
        return json_in(self._recorder.exchanges[-1])

    def has_fixture(self, operation: str) -> bool:
        """Whether the settings have arguments for an operation."""
        return operation in self._settings.fixture

    def models(self) -> list[str]:
        """The models that the app lists, as far as it does; nothing is judged.

        Raises:
            httpx.ConnectError: Nothing answers.
            SkippedError: A limit was reached.
        """
        call = self._caller.call("models.list", lambda method: method(), {})
        if call.error is not None and isinstance(call.error.__cause__, httpx.ConnectError):
            raise call.error.__cause__
        return ids_in(json_in(call.exchange))

    def whole(self, name: str, /, *, refusals: Sequence[int] = (), is_kept: bool = False, **arguments: Any) -> Any:
        """Call an operation whose answer is no stream.

        Args:
            name: The operation.
            refusals: Statuses that are as good an answer as a success.
            is_kept: Whether the app keeps what this creates: it is deleted at the end of the case, where the app can
                delete; another case judges that.
            arguments: Those of the SDK's method. What the fixture says of the operation goes before them.

        Returns:
            What the SDK returned; None where the app refused.

        Raises:
            NotImplementedByAppError: The app does not have it.
            BrokenError: An oracle found something.
            SkippedError: The SDK cannot send it.
        """
        call = self._caller.call(name, lambda method: method(**arguments), arguments, is_kept=is_kept)
        if call.exchange.status in refusals:
            self.judge.refusal(call, name, refusals)
            return None
        self.judge.whole(name, call)
        return call.value

    def given(self, name: str, /, **arguments: Any) -> Json:
        """Call an operation that other cases judge, and without whose answer this case cannot be tried.

        Returns:
            The JSON object that came. It may be broken, where the operation's own cases tell that.

        Raises:
            BrokenError: An oracle found something that the operation's own cases have not.
            UnusableError: It succeeds without a JSON object, which its own cases tell.
            SkippedError: The app does not have it, or refuses, which its own cases tell.
        """
        judged = self.judge.result
        self.judge.result = CaseResult(judged.operation, judged.name)
        try:
            self.whole(name, **arguments)
        except NotImplementedByAppError as error:
            raise SkippedError(f"{name} is not implemented") from error
        except BrokenError:
            if not self.is_broken.get(name, True):
                judged.facts = self.judge.result.facts
                raise
        finally:
            self.judge.result = judged
        if not 200 <= self._recorder.exchanges[-1].status < 300:
            raise SkippedError(f"{name} is broken")
        if not self.answer:
            raise UnusableError(f"{name} is broken")
        return self.answer

    def given_id(self, name: str, /, **arguments: Any) -> str:
        """Call an operation that other cases judge for the id of what it creates, which is deleted at the end.

        Raises:
            BrokenError: As `given`.
            UnusableError: As `given`, or there is no id.
            SkippedError: As `given`.
        """
        created = self.given(name, is_kept=True, **arguments).get("id")
        if not created or not isinstance(created, str):
            raise UnusableError(f"{name} is broken")
        return created

    def stream(self, name: str, /, **arguments: Any) -> list[Any]:
        """Call an operation for a stream, and return its events.

        Raises:
            NotImplementedByAppError: The app does not have it.
            BrokenError: An oracle found something.
            SkippedError: The SDK cannot send it.
        """
        found: list[Any] = []
        call = self._caller.call(name, lambda method: found.extend(method(**arguments, stream=True)), arguments)
        self.judge.stream(name, call, wants_usage=name == "responses.create" or "stream_options" in arguments)
        return found

    def helper(self, name: str, /, **arguments: Any) -> Any:
        """Call the SDK's `.stream()` beside an operation, and return the final object."""

        def run(create: Any) -> Any:
            open_stream: Callable[..., AbstractContextManager[Any]] = create.__self__.stream
            with open_stream(**arguments) as stream:
                chat = getattr(stream, "get_final_completion", None)
                return chat() if chat is not None else stream.get_final_response()

        call = self._caller.call(name, run, arguments)
        self.judge.stream(name, call, wants_usage=False)
        return call.value

    def left_stream(self, name: str, /, **arguments: Any) -> None:
        """Call an operation for a stream, and leave it after its first event."""
        self._recorder.reads_to_the_end = False

        def run(create: Any) -> None:
            with create(**arguments, stream=True) as stream:
                next(iter(stream), None)

        call = self._caller.call(name, run, arguments)
        self.judge.status(name, call.exchange)
        if call.error is not None:
            raise SkippedError("its stream is broken")
        self._recorder.reads_to_the_end = True

    def pages(self, name: str, /, **arguments: Any) -> list[Any]:
        """Call an operation that lists, and let the SDK ask for the next pages, up to the third.

        Raises:
            NotImplementedByAppError: The app does not have it.
            BrokenError: An oracle found something.
            SkippedError: The SDK cannot send it.
        """
        if "limit" in operation_of(name).query:
            arguments = {"limit": 2, **arguments}
        items: list[Any] = []
        first = len(self._recorder.exchanges)

        def run(method: Any) -> None:
            for item in method(**arguments):
                items.append(item)
                if len(self._recorder.exchanges) - first >= _MOST_PAGES:
                    break

        call = self._caller.call(name, run, arguments)
        self.judge.pages(name, call)
        return items

    def refused(self, name: str, asked: str, *, body: Any, statuses: Sequence[int] = (400, 422)) -> None:
        """Send a body that is to be refused.

        Args:
            name: The operation.
            asked: What is wrong with the body, in words.
            body: A JSON value, or bytes that are none.
            statuses: Those that are right.

        Raises:
            NotImplementedByAppError: The app does not have it.
            SkippedError: A limit was reached.
        """
        call = self._caller.post(name, body)
        if call.exchange.status in NOT_IMPLEMENTED:
            raise NotImplementedByAppError(str(call.exchange.status))
        self.judge.refusal(call, asked, statuses)

    def not_found(self, name: str, /, *, is_there: bool = True, **arguments: Any) -> None:
        """Call an operation for something that does not exist.

        Args:
            name: The operation.
            is_there: Whether the app is known to have the operation. Where it is not, an answer that it has not is none
                to judge.
            arguments: Those of the SDK's method, and no fixture goes before them.
        """
        call = self._caller.call(name, lambda method: method(**arguments), {})
        if is_there or call.exchange.status not in NOT_IMPLEMENTED:
            self.judge.refusal(call, "something that does not exist", (404,))

    def note(self, oracle: str, place: str, what: str) -> None:
        """Note something that is wrong.

        Raises:
            BrokenError: Always.
        """
        self.judge.note(oracle, [Fact(place, what)], go_on=False)
