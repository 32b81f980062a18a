"""The second act of the demo: the help desk of legacy_app, unchanged, answers the official OpenAI SDK."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import uvicorn
from ask_docs_transcript import INDENT, arrive, called, came_back, console, heading, told

DESK, FRONTEND = (Path(__file__).with_name(name) for name in ("legacy_app.py", "legacy_fastapi.py"))
QUESTION: Any = [{"role": "user", "content": "Where is my refund?"}]


@contextmanager
def running_desk() -> Generator[str]:
    """The base URL of the help desk, which runs in a thread until the end of the `with` block."""
    server = uvicorn.Server(uvicorn.Config("legacy_fastapi:app", log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The socket listens already: who connects early waits until the server takes the connection.
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()


def main() -> None:
    heading("An app that knows nothing of OpenAI")
    lines = len(DESK.read_text("utf-8").splitlines())
    told(f"The help desk has {lines} lines. None of them was changed, and these say what serves the API:")
    served = FRONTEND.read_text("utf-8").partition("[start:served]")[2].partition("# --8<-- [end:served]")[0]
    for line in served[served.index("question =") :].splitlines():
        console.print(f"{INDENT}{line}", style="green")

    heading("The help desk answers the official SDK")
    http_client = openai.DefaultHttpxClient(trust_env=False)
    with (
        running_desk() as base_url,
        openai.OpenAI(base_url=base_url, api_key="token-of-ada", http_client=http_client) as client,
    ):
        called(f'client = openai.OpenAI(base_url="{base_url}",\n                       api_key="token-of-ada")')
        called('messages = [{"role": "user", "content": "Where is my refund?"}]')
        called('client.chat.completions.create(model="desk", messages=messages)')
        completion = client.chat.completions.create(model="desk", messages=QUESTION)
        show(completion.choices[0].message.content, "Dear Ada: Refunds take five working days.")

        called('client.chat.completions.create(\n    model="desk", messages=messages, stream=True\n)')
        chunks = client.chat.completions.create(model="desk", messages=QUESTION, stream=True)
        words = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
        arrive(filter(None, words))
        expect("".join(words), "Dear Ada: Refunds take five working days. ")

        called('client.responses.create(model="desk", input="Where is my refund?")')
        response = client.responses.create(model="desk", input="Where is my refund?")
        show(response.output_text, "Dear Ada: Refunds take five working days.")

        called("client.models.list()")
        show([model.id for model in client.models.list()], ["refund", "password"])


def show(actual: object, wanted: object) -> None:
    came_back(actual)
    expect(actual, wanted)


def expect(actual: object, wanted: object) -> None:
    if actual != wanted:
        raise SystemExit(f"Expected {wanted!r}, got {actual!r}.")


if __name__ == "__main__":
    main()
