"""The oracles together: each judges an answer, and what it finds is noted as that of the case."""

from collections.abc import Sequence
from typing import Final

from openai_middleware.check import events, open_responses, sdk, wire
from openai_middleware.check.calls import Call, operation_of
from openai_middleware.check.exchange import Exchange
from openai_middleware.check.facts import Fact, printable
from openai_middleware.check.result import CaseResult
from openai_middleware.contract import shipped

__all__ = ["NOT_IMPLEMENTED", "BrokenError", "Judge", "NotImplementedByAppError"]

NOT_IMPLEMENTED: Final = (404, 405, 501)
"""The statuses of an app that does not have an operation."""

_NO_USAGE: Final = "usage: missing"


class NotImplementedByAppError(Exception):
    """The app does not have the operation. The message is what it answered."""


class BrokenError(Exception):
    """Something is wrong, and noted, and the case cannot go on."""


class Judge:
    """Notes what the oracles find.

    Args:
        oracles: Those that are asked.

    Attributes:
        result: What is found; each case has its own.
    """

    def __init__(self, oracles: Sequence[str]) -> None:
        self.result: CaseResult
        self._oracles = oracles
        self._answered: set[str] = set()

    def whole(self, name: str, call: Call) -> None:
        """Judge an answer that is no stream, and ought to be a success.

        Raises:
            NotImplementedByAppError: The app does not have the operation.
            BrokenError: An oracle found something.
        """
        self.status(name, call.exchange)
        self.note("wire", wire.judge_whole(call.exchange, operation_of(name)), go_on=False)
        answer = wire.json_in(call.exchange)
        self.note("wire", wire.judge_text(answer, name))
        documents = [answer] if operation_of(name).response == "json" else []
        self.note("sdk", sdk.judge(name, call.answer_type, documents, call.error))
        if name in open_responses.SCHEMAS:
            self.note("open-responses", open_responses.judge_whole(name, answer))
        if name in wire.TEXT and not answer.get("usage"):
            self._warn_of_usage()
        self._end(call)

    def pages(self, name: str, call: Call) -> None:
        """Judge the pages of a list.

        Raises:
            NotImplementedByAppError: The app does not have the operation.
            BrokenError: An oracle found something.
        """
        for one in call.exchanges:
            self.status(name, one)
            self.note("wire", wire.judge_whole(one, operation_of(name)), go_on=False)
        self.note("wire", wire.judge_pages(call.exchanges), go_on=False)
        pages = [wire.json_in(one) for one in call.exchanges]
        self.note("sdk", sdk.judge(name, call.answer_type, pages, call.error))
        self._end(call)

    def stream(self, name: str, call: Call, *, wants_usage: bool) -> None:
        """Judge a stream.

        Args:
            name: The operation.
            call: What came of it.
            wants_usage: Whether the stream ought to tell the usage.

        Raises:
            NotImplementedByAppError: The app does not have the operation.
            BrokenError: An oracle found something.
        """
        self.status(name, call.exchange)
        stream = shipped().stream(operation_of(name).stream or "")
        found, facts = events.read_events(call.exchange, stream)
        self.note("wire", facts, go_on=False)
        self.note("wire", events.judge_events(found, stream))
        told = [event for event in found if event]
        # The SDK's helper has no final object for a response that is incomplete, which is none of the app's faults.
        is_incomplete = any(event.get("type") == "response.incomplete" for event in told)
        error = None if is_incomplete and isinstance(call.error, RuntimeError) else call.error
        facts = sdk.judge(name, call.answer_type, told, error)
        if not self.result.facts.get("wire") or not facts or facts[0].place:
            # What a helper raises without naming a field follows from what `wire` has found.
            self.note("sdk", facts)
        if name == "responses.create":
            self.note("open-responses", open_responses.judge_events(told))
        if wants_usage and not events.usage_in(found):
            self._warn_of_usage()
        self._end(call)

    def refusal(self, call: Call, asked: str, statuses: Sequence[int]) -> None:
        """Judge the answer to a request that is to be refused.

        Args:
            call: What came of it.
            asked: What was asked for, in words.
            statuses: Those that are right.
        """
        facts = wire.judge_refusal(call.exchange, asked, statuses)
        self.note("wire", facts)
        # What the SDK makes of an answer that is wrong follows from that.
        if not facts or "wire" not in self._oracles:
            self.note("sdk", sdk.judge_refusal(call.error, statuses))

    def status(self, name: str, exchange: Exchange) -> None:
        """Judge whether an answer is a success.

        Raises:
            NotImplementedByAppError: The app does not have the operation.
            BrokenError: It is none.
        """
        if exchange.status == 0:
            self.note("wire", [Fact("", exchange.problem)], go_on=False)
        if 200 <= exchange.status < 300:
            self._answered.add(name)
            # An answer without a body is none to judge.
            self.note("wire", wire.judge_status(exchange), go_on=bool(exchange.body))
            return
        error = wire.error_in(exchange)
        # An app that has answered has the operation, and says of a part of it that it has not with 501 alone.
        absent = (501,) if name in self._answered else NOT_IMPLEMENTED
        if exchange.status in absent and error.get("param") != "model":
            raise NotImplementedByAppError(str(exchange.status))
        message = error.get("message")
        told = f": {message[:200]}" if isinstance(message, str) else ""
        self.note("wire", [Fact("", f"the status is {exchange.status}{told}")], go_on=False)

    def note(self, oracle: str, facts: Sequence[Fact], *, go_on: bool = True) -> None:
        """Note what an oracle has found.

        Args:
            oracle: Which.
            facts: What it has found; with none it has judged, and all is well.
            go_on: Whether others can say something all the same. What ends a case is told by whoever is asked.

        Raises:
            BrokenError: There is something, and the case does not go on.
        """
        teller = oracle if oracle in self._oracles or go_on or not facts else self._oracles[0]
        if teller in self._oracles:
            noted = self.result.facts.setdefault(teller, [])
            told = [Fact(printable(fact.place), printable(fact.what)) for fact in facts]
            noted.extend(fact for fact in told if fact not in noted)
        if facts and not go_on:
            raise BrokenError

    def _end(self, call: Call) -> None:
        if call.error is not None or any(self.result.facts.values()):
            raise BrokenError

    def _warn_of_usage(self) -> None:
        if _NO_USAGE not in self.result.warnings:
            self.result.warnings.append(_NO_USAGE)
