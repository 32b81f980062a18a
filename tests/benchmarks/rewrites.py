"""What a rewrite costs above the app's own route, in process. Run it with `python -m tests.benchmarks.rewrites`.

The app and the driver are raw ASGI. Of each row the bare app answers its own request at its own route, and the wrapped
one the request of the API that a rewrite makes that of. All rows are measured in turn in one process, and the least of
the rounds is kept: other work on the machine only adds. J is a round trip of the 1 KB request body through orjson.
"""

import gc
import json
from typing import Any, NamedTuple

from openai_middleware import OpenAIMiddleware, Rewrite
from tests.benchmarks.in_process import cost, round_trip
from tests.benchmarks.workloads import BODY, CHAT, JSON, App, Row, encoded

ROUNDS = 500
PIECES = 200
RESPONSES = "/v1/responses"
QUESTION = {"question": "$.prompt", "stream": "$.stream", "user": "$.user"}
TEXT = "Twice half its length, as ever. " * 24
ASKED = encoded({"question": "And how is the weather in Paris, Oslo and Rome?", "stream": True, "user": "user-1"})
RESPONSE = encoded({"model": "m", "input": json.loads(BODY)["messages"][1:], "temperature": 0.5, "user": "user-1"})

LINES, EVENTS = b"application/x-ndjson", b"text/event-stream"
TOKEN = encoded({"token": "Twice half ", "id": 17})
STREAMS = {
    "lines of JSON": (LINES, TOKEN + b"\n"),
    "events": (EVENTS, b"data: " + TOKEN + b"\n\n"),
    "plain text": (b"text/plain; charset=utf-8", b"Twice half "),
}


class Pair(NamedTuple):
    """What is compared: the app's own request, and the one of the API that becomes it."""

    name: str
    bare: Row
    sent: Row


def pair(name: str, target: str, body: bytes, kind: bytes, parts: list[bytes], per: int = 1) -> Pair:
    own = Row(name, BODY, "POST", "/ask", ASKED, kind, parts, per)
    return Pair(name, own, own._replace(target=target, body=body))


def pairs() -> list[Pair]:
    answer = [encoded({"answer": TEXT, "tokens": {"input_tokens": 100, "output_tokens": 100}})]
    apis = {"chat": (CHAT, json.loads(BODY)), "Responses": (RESPONSES, json.loads(RESPONSE))}
    whole = [pair(f"{name}, whole", target, encoded(body), JSON, answer) for name, (target, body) in apis.items()]
    streams = [
        pair(f"{name}, {form}", target, encoded({**body, "stream": True}), kind, [part] * PIECES, PIECES)
        for name, (target, body) in apis.items()
        for form, (kind, part) in STREAMS.items()
    ]
    return [*whole, *streams]


def wrapped(app: Any) -> OpenAIMiddleware:
    rewrite = Rewrite("/ask", body=QUESTION, reply="$.answer", delta="$.token")
    return OpenAIMiddleware(
        app, prefix="/v1", rewrites={"chat.completions.create": rewrite, "responses.create": "chat.completions.create"}
    )


def main() -> None:
    table = [(one, App(one.bare), wrapped(App(one.sent))) for one in pairs()]
    bare, sent = ([float("inf")] * len(table) for _ in range(2))
    unit = float("inf")
    gc.collect()
    gc.disable()
    for _ in range(ROUNDS):
        unit = min(unit, round_trip(BODY, 100))
        for index, (one, app, ours) in enumerate(table):
            count = max(1, 40 // one.bare.per)
            for measured, served, row in ((bare, app, one.bare), (sent, ours, one.sent)):
                cost(served, row, count)  # what the caches lost to the rows before
                measured[index] = min(measured[index], cost(served, row, count))
        gc.collect()
    print(f"J is {unit * 1e6:.2f} us, of {len(BODY)} bytes.")
    for index, (one, *_) in enumerate(table):
        above = (sent[index] - bare[index]) / one.bare.per
        in_unit = f"{above / unit:8.2f} J a request" if one.bare.per == 1 else f"{above * 1e6:8.2f} us a piece"
        print(f"{one.name:28}{in_unit}")


if __name__ == "__main__":
    main()
