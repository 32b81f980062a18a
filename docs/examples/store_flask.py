"""What is stored belongs to the user who has logged in to a Flask app.

gunicorn --chdir docs/examples --threads 8 store_flask:app
"""

from typing import Any

import httpx2
import openai

# --8<-- [start:app]
from flask import Flask, request, session

from openai_middleware import Dispatcher
from openai_middleware.adapters.flask import set_openai_frontend
from openai_middleware.store import Store

app = Flask(__name__)
app.secret_key = "not a secret"


@app.post("/login")
def login() -> str:
    session["user"] = request.form["user"]  # after a look at the password, in a real app
    return "Welcome."


def owner(environ: dict[str, Any]) -> str | None:
    # The frontend stands in front of Flask, which reads its session in a request's context.
    # With Flask-Login: `return current_user.get_id()`.
    with app.request_context(environ):
        return session.get("user")


dispatch = Dispatcher()
store = Store("sqlite://", owner=owner)
set_openai_frontend(app, prefix="/v1", handlers=dispatch, store=store)
# --8<-- [end:app]


@dispatch.reply
def answer(messages: list[dict[str, Any]]) -> str:
    return "Hello!"


def main() -> None:
    with (
        httpx2.Client(transport=httpx2.WSGITransport(app)) as http_client,
        openai.OpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client,
    ):
        for user in ("ada", "bob"):
            http_client.post("http://app/login", data={"user": user})
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": user}], store=True)
        for user in ("ada", "bob"):
            http_client.post("http://app/login", data={"user": user})
            [completion] = client.chat.completions.list()
            [message] = client.chat.completions.messages.list(completion.id)
            print(message.content)
    store.close()


if __name__ == "__main__":
    main()
