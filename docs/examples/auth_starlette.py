"""Starlette's AuthenticationMiddleware in front of a FastAPI app, outside the OpenAI API and inside it.

uvicorn --app-dir docs/examples auth_starlette:app
"""

import asyncio
from typing import Any

import httpx2
import openai

# --8<-- [start:app]
from fastapi import FastAPI, Request, Response
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from openai_middleware import errors
from openai_middleware.adapters.fastapi import set_openai_frontend

USERS = {"sk-ada": "Ada", "sk-bob": "Bob"}  # a table of hashed keys, in a real app


class KeyBackend(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        user = USERS.get(conn.headers.get("authorization", "").removeprefix("Bearer "))
        if user is None:
            raise AuthenticationError("Incorrect API key provided.")
        return AuthCredentials(["authenticated"]), SimpleUser(user)


def refuse(conn: HTTPConnection, error: Exception) -> Response:
    status, headers, body = errors.AuthenticationError(str(error), code="invalid_api_key").response()
    response = Response(body, status)
    response.raw_headers = headers
    return response


def app_with_routes() -> FastAPI:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def create(request: Request) -> str:
        return f"You are {request.user.display_name}."

    return app


# The middleware that is added last is the outermost.
app = app_with_routes()
set_openai_frontend(app, prefix="/v1")
app.add_middleware(AuthenticationMiddleware, backend=KeyBackend(), on_error=refuse)

app_checked_inside = app_with_routes()
app_checked_inside.add_middleware(AuthenticationMiddleware, backend=KeyBackend(), on_error=refuse)
set_openai_frontend(app_checked_inside, prefix="/v1")
# --8<-- [end:app]


async def main() -> None:
    for place, application in [("outside", app), ("inside", app_checked_inside)]:
        for api_key in ["sk-ada", "sk-eve"]:
            http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(application))
            async with openai.AsyncOpenAI(base_url="http://app/v1", api_key=api_key, http_client=http_client) as client:
                question: Any = [{"role": "user", "content": "Who am I?"}]
                try:
                    completion = await client.chat.completions.create(model="m", messages=question)
                    print(f"{place}:", completion.choices[0].message.content)
                except openai.AuthenticationError as error:
                    print(f"{place}:", error.code, error)


if __name__ == "__main__":
    asyncio.run(main())
