"""A help desk as it has been for years: routes and tokens of its own, and nothing of OpenAI in it."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

ARTICLES = {
    "refund": "Refunds take five working days.",
    "password": "Reset it under Settings, Security.",
}
USERS = {"token-of-ada": "Ada"}


class Question(BaseModel):
    question: str
    stream: bool = False
    format: str = "text"


def user(token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    if token.credentials not in USERS:
        raise HTTPException(401, "Unknown token.")
    return USERS[token.credentials]


app = FastAPI()


@app.post("/ask", response_model=None)
async def ask(asked: Question, name: Annotated[str, Depends(user)]) -> StreamingResponse | dict[str, Any]:
    topic, text = next(
        ((topic, text) for topic, text in ARTICLES.items() if topic in asked.question.lower()),
        ("unknown", "Please call us."),
    )
    answer = f"Dear {name}: {text}" if asked.format == "text" else json.dumps({"topic": topic, "text": text})
    if asked.stream:
        return StreamingResponse(tokens(answer), media_type="application/x-ndjson")
    return {"topic": topic, "answer": answer, "tokens": {"input_tokens": 3, "output_tokens": len(answer.split())}}


async def tokens(answer: str) -> AsyncIterator[str]:
    for word in answer.split(" "):
        yield json.dumps({"token": f"{word} "}) + "\n"
    yield json.dumps({"tokens": {"input_tokens": 3, "output_tokens": len(answer.split())}}) + "\n"


@app.get("/topics")
async def topics(name: Annotated[str, Depends(user)]) -> list[dict[str, str]]:
    return [{"name": topic, "text": text} for topic, text in ARTICLES.items()]
