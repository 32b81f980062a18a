"""The second act of the demo: the help desk of legacy_app, unchanged, answers the official OpenAI SDK."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import openai
import uvicorn

DESK = Path(__file__).with_name("legacy_app.py")


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
    lines = DESK.read_text("utf-8").splitlines()
    print("\nAn app that knows nothing of OpenAI\n===================================")
    print(f"The help desk has {len(lines)} lines. Nothing of OpenAI is in them, and nothing of it was changed.")
    http_client = openai.DefaultHttpxClient(trust_env=False)
    with (
        running_desk() as base_url,
        openai.OpenAI(base_url=base_url, api_key="token-of-ada", http_client=http_client) as client,
    ):
        print(f'\n>>> client = openai.OpenAI(base_url="{base_url}", api_key="token-of-ada")')
        print('\n>>> client.chat.completions.create(model="desk", messages=[... "Where is my refund?"])')
        completion = client.chat.completions.create(
            model="desk", messages=[{"role": "user", "content": "Where is my refund?"}]
        )
        show(completion.choices[0].message.content, "Dear Ada: Refunds take five working days.")

        print("\n>>> client.chat.completions.create(..., stream=True)")
        chunks = client.chat.completions.create(
            model="desk", messages=[{"role": "user", "content": "I forgot my password."}], stream=True
        )
        words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
        show("|".join(word for word in words if word), "Dear |Ada: |Reset |it |under |Settings, |Security. ")

        print('\n>>> client.responses.create(model="desk", input="Where is my refund?")')
        response = client.responses.create(model="desk", input="Where is my refund?")
        show(response.output_text, "Dear Ada: Refunds take five working days.")

        print("\n>>> client.responses.create(..., stream=True)")
        events = list(client.responses.create(model="desk", input="Where is my refund?", stream=True))
        show(
            f"{len(events)} events, the last of them {events[-1].type}",
            "15 events, the last of them response.completed",
        )

        print("\n>>> client.models.list()")
        show([model.id for model in client.models.list()], ["refund", "password"])


def show(actual: object, wanted: object) -> None:
    print(f"    {actual}", flush=True)
    if actual != wanted:
        raise SystemExit(f"Expected {wanted!r}, got {actual!r}.")


if __name__ == "__main__":
    main()
