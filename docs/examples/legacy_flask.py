"""A help desk in Flask, with nothing of OpenAI in it, behind the OpenAI API.

gunicorn --chdir docs/examples --threads 8 legacy_flask:app
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
from flask import Flask, Response, abort, request

from openai_middleware import Rewrite
from openai_middleware.adapters.flask import set_openai_frontend

# --8<-- [start:app]
app = Flask(__name__)


@app.before_request
def check_token() -> None:
    if request.headers.get("Authorization") != "Bearer token-of-ada":
        abort(401)


@app.post("/ask")
def ask() -> Response | dict[str, Any]:
    asked = request.get_json()
    answer = f"You asked: {asked['question']}"
    if asked.get("format", "text") != "text":
        answer = json.dumps({"topic": "echo", "text": answer})
    if asked.get("stream"):
        return Response(tokens(answer), mimetype="text/plain")
    return {"answer": answer}


def tokens(answer: str) -> Iterator[str]:
    for word in answer.split(" "):
        yield f"{word} "


# --8<-- [end:app]

# --8<-- [start:served]
question = {"question": "$.prompt", "stream": "$.stream", "format": "$.response_format.type"}
rewrites: dict[str, Rewrite | str] = {
    "chat.completions.create": Rewrite("/ask", body=question, reply="$.answer"),
    "responses.create": "chat.completions.create",
}
set_openai_frontend(app, prefix="/v1", rewrites=rewrites)
# --8<-- [end:served]


def main() -> None:
    http_client = httpx2.Client(transport=httpx2.WSGITransport(app))
    with openai.OpenAI(base_url="http://app/v1", api_key="token-of-ada", http_client=http_client) as client:
        print(client.responses.create(model="desk", input="Where is my refund?").output_text)
        for chunk in client.chat.completions.create(
            model="desk", messages=[{"role": "user", "content": "And my password?"}], stream=True
        ):
            print(chunk.choices[0].delta.content or "", end="|")
        print()


if __name__ == "__main__":
    main()
