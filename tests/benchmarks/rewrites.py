"""What a rewrite costs above the app's own route, in process. Run it with `python -m tests.benchmarks.rewrites`.

The bare app answers its own request at its own route; the wrapped one gets the request of the API that a rewrite makes
that of. All rows are measured in turn in one process, in short turns after one that is not counted, and the least of
the rounds is kept: other work on the machine only adds.
"""

import gc
import json
from typing import Any

from openai_middleware import OpenAIMiddleware, Rewrite
from tests.benchmarks.in_process import cost, round_trip
from tests.benchmarks.workloads import BODY, CHAT, EVENTS, JSON, App, Row, encoded

ROUNDS = 500
REQUESTS = 40
RESPONSES = "/v1/responses"
QUESTION = {"question": "$.prompt", "stream": "$.stream", "user": "$.user"}
ASKED = encoded({"question": "And how is the weather in Paris, Oslo and Rome?", "stream": True, "user": "user-1"})
ANSWER = encoded({"answer": "Twice half its length, as ever. " * 24, "tokens": {"in": 100, "out": 100}})
TOKEN = encoded({"token": "Twice half ", "id": 17})
STREAMS = {
    "a line of JSON": (b"application/x-ndjson", TOKEN + b"\n"),
    "an event": (b"text/event-stream", b"data: " + TOKEN + b"\n\n"),
    "a piece of text": (b"text/plain; charset=utf-8", b"Twice half "),
}
WHOLE = "a whole answer"
APIS = {"chat": CHAT, "Responses, by way of chat": RESPONSES}


def rows() -> dict[tuple[str, str], Row]:
    """What the client sends, and the app answers, by the API and the kind of answer."""
    chat = json.loads(BODY)
    bodies = {CHAT: chat, RESPONSES: {"model": "m", "input": chat["messages"][1:], "user": "user-1"}}
    found = {}
    for api, target in APIS.items():
        whole, streamed = encoded(bodies[target]), encoded({**bodies[target], "stream": True})
        found[api, WHOLE] = Row(api, BODY, "POST", target, whole, JSON, [ANSWER])
        for name, (kind, part) in STREAMS.items():
            found[api, name] = Row(api, BODY, "POST", target, streamed, kind, [part] * EVENTS, EVENTS)
    return found


def wrapped(app: Any) -> OpenAIMiddleware:
    rewrite = Rewrite("/ask", body=QUESTION, reply="$.answer", delta="$.token")
    return OpenAIMiddleware(
        app, prefix="/v1", rewrites={"chat.completions.create": rewrite, "responses.create": "chat.completions.create"}
    )


def measured(rounds: int) -> tuple[dict[tuple[str, str], float], float]:
    """Microseconds above the bare app, of a request or of one piece of its answer; and those of a J."""
    table = rows()
    own = {one: row._replace(target="/ask", body=ASKED) for one, row in table.items()}
    apps = [(one, App(own[one]), wrapped(App(row))) for one, row in table.items()]
    bare, sent = (dict.fromkeys(table, float("inf")) for _ in range(2))
    unit = float("inf")
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        unit = min(unit, round_trip(BODY, 100))
        for one, app, ours in apps:
            count = max(1, REQUESTS // table[one].per)
            for found, served, row in ((bare, app, own[one]), (sent, ours, table[one])):
                cost(served, row, count)  # what the caches lost to the rows before
                found[one] = min(found[one], cost(served, row, count))
        gc.collect()
    gc.enable()
    return {one: (sent[one] - bare[one]) / row.per * 1e6 for one, row in table.items()}, unit * 1e6


def main() -> None:
    """Print the table."""
    table, unit = measured(ROUNDS)
    print(f"J is {unit:.2f} us.")
    for (api, answer), above in table.items():
        told = f"{above / unit:8.2f} J" if answer == WHOLE else f"{above:8.2f} us"
        print(f"{api:28}{answer:20}{told}")


if __name__ == "__main__":
    main()
