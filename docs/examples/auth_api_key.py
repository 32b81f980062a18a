"""An API key in front of a plain function, for ASGI and for WSGI servers.

uvicorn --app-dir docs/examples auth_api_key:app
gunicorn --chdir docs/examples auth_api_key:wsgi_app
"""

import asyncio
from contextvars import ContextVar
from typing import Any

import httpx2
import openai

# --8<-- [start:check]
from openai_middleware import HandlerApp, OpenAIMiddleware, OpenAIWSGIMiddleware, WSGIHandlerApp
from openai_middleware.errors import AuthenticationError

USERS = {"sk-ada": "Ada", "sk-bob": "Bob"}  # a table of hashed keys, in a real app
current_user: ContextVar[str] = ContextVar("current_user")


def user_of(authorization: str) -> str | None:
    return USERS.get(authorization.removeprefix("Bearer "))


def refusal() -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    return AuthenticationError("Incorrect API key provided.", code="invalid_api_key").response()


# --8<-- [end:check]


# --8<-- [start:asgi]
class KeyCheck:
    """Refuses requests without a known API key."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            user = user_of(dict(scope["headers"]).get(b"authorization", b"").decode("latin-1"))
            if user is None:
                status, headers, body = refusal()
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                return
            current_user.set(user)
        await self.app(scope, receive, send)


def whoami() -> str:
    return f"You are {current_user.get()}."


app = KeyCheck(OpenAIMiddleware(HandlerApp(whoami), prefix="/v1"))
# --8<-- [end:asgi]


# --8<-- [start:wsgi]
def key_check(app: Any) -> Any:
    def checked(environ: Any, start_response: Any) -> Any:
        user = user_of(environ.get("HTTP_AUTHORIZATION", ""))
        if user is None:
            _, headers, body = refusal()
            start_response("401 Unauthorized", [(name.decode(), value.decode()) for name, value in headers])
            return [body]
        current_user.set(user)
        return app(environ, start_response)

    return checked


wsgi_app = key_check(OpenAIWSGIMiddleware(WSGIHandlerApp(whoami), prefix="/v1"))
# --8<-- [end:wsgi]

# --8<-- [start:inside]
app_checked_inside = OpenAIMiddleware(KeyCheck(HandlerApp(whoami)), prefix="/v1")
wsgi_app_checked_inside = OpenAIWSGIMiddleware(key_check(WSGIHandlerApp(whoami)), prefix="/v1")
# --8<-- [end:inside]

MESSAGES: Any = [{"role": "user", "content": "Who am I?"}]


async def ask(application: Any, api_key: str) -> str | None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(application))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key=api_key, http_client=http_client) as client:
        completion = await client.chat.completions.create(model="m", messages=MESSAGES)
        return completion.choices[0].message.content


def ask_wsgi(application: Any, api_key: str) -> str | None:
    http_client = httpx2.Client(transport=httpx2.WSGITransport(application))
    with openai.OpenAI(base_url="http://app/v1", api_key=api_key, http_client=http_client) as client:
        return client.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.content


def main() -> None:
    for place, application, wsgi in [
        ("outside", app, wsgi_app),
        ("inside", app_checked_inside, wsgi_app_checked_inside),
    ]:
        print(f"The check is {place}.")
        print("  ASGI:", asyncio.run(ask(application, "sk-ada")))
        print("  WSGI:", ask_wsgi(wsgi, "sk-bob"))
        try:
            asyncio.run(ask(application, "sk-eve"))
        except openai.AuthenticationError as error:
            print("  ASGI:", error.code, error)
        try:
            ask_wsgi(wsgi, "sk-eve")
        except openai.AuthenticationError as error:
            print("  WSGI:", error.code, error)


if __name__ == "__main__":
    main()
