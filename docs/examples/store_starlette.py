"""What is stored belongs to the user whom Starlette's AuthenticationMiddleware found.

uvicorn --app-dir docs/examples store_starlette:app
"""

import asyncio
from typing import Any

import httpx2
import openai

# --8<-- [start:app]
from fastapi import FastAPI
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from openai_middleware import Dispatcher
from openai_middleware.adapters.fastapi import set_openai_frontend
from openai_middleware.store import Store

USERS = {
    "Bearer sk-ada": "ada",
    "Bearer sk-ada-too": "ada",
    "Bearer sk-bob": "bob",
}  # a table of hashed keys, in an app


class KeyBackend(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        user = USERS.get(conn.headers.get("authorization", ""))
        return None if user is None else (AuthCredentials(["authenticated"]), SimpleUser(user))


def owner(scope: dict[str, Any]) -> str | None:
    user = scope["user"]
    return user.display_name if user.is_authenticated else None


app = FastAPI()
dispatch = Dispatcher()
store = Store("sqlite://", owner=owner)
set_openai_frontend(app, prefix="/v1", handlers=dispatch, store=store)
# Added later, and so outside: the user is known before the store asks for it.
app.add_middleware(AuthenticationMiddleware, backend=KeyBackend())
# --8<-- [end:app]


@dispatch.reply
def answer(messages: list[dict[str, Any]]) -> str:
    return "Hello!"


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="sk-ada", http_client=http_client) as client:
        response = await client.responses.create(model="m", input="Hi")
        for key in ("sk-ada-too", "sk-bob", "sk-eve"):
            try:
                found = await client.with_options(api_key=key).responses.retrieve(response.id)
                print(key, found.output_text)
            except openai.APIStatusError as error:
                print(key, error.status_code)
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
