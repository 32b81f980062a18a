"""More of the API than chat: models, embeddings, uploads, downloads and lists.

uvicorn --app-dir docs/examples whole_api:app
"""

import asyncio
import itertools
import time
from typing import Annotated, Any

import httpx2
import openai

# --8<-- [start:app]
from fastapi import Depends, FastAPI, Form, Response, UploadFile

from openai_middleware.adapters.fastapi import openai_kwargs, set_openai_frontend
from openai_middleware.errors import NotFoundError

app = FastAPI()
set_openai_frontend(app, prefix="/v1")

Kwargs = Annotated[dict[str, Any], Depends(openai_kwargs)]
files: dict[str, dict[str, Any]] = {}
contents: dict[str, bytes] = {}
numbers = itertools.count(1)
# --8<-- [end:app]


# --8<-- [start:upload]
@app.post("/v1/files")
async def create_file(file: UploadFile, purpose: Annotated[str, Form()]) -> dict[str, Any]:
    content = await file.read()
    stored: dict[str, Any] = {
        "id": f"file-{next(numbers)}",
        "object": "file",
        "bytes": len(content),
        "created_at": int(time.time()),
        "filename": file.filename,
        "purpose": purpose,
        "status": "processed",
        "path": "/srv/files/1",  # an internal field: no client ever sees it
    }
    files[stored["id"]] = stored
    contents[stored["id"]] = content
    return stored


# --8<-- [end:upload]


# --8<-- [start:download]
@app.get("/v1/files/{file_id}/content")
async def download(file_id: str) -> Response:
    if file_id not in contents:
        raise NotFoundError("There is no such file.", param="file_id")
    return Response(contents[file_id], media_type="application/json")  # leaves byte for byte all the same


@app.post("/v1/audio/speech")
async def speak(kwargs: Kwargs) -> Response:
    return Response(f"ID3 {kwargs['voice']}: {kwargs['input']}".encode(), media_type="audio/mpeg")


# --8<-- [end:download]


# --8<-- [start:list]
@app.get("/v1/files")
async def list_files(kwargs: Kwargs) -> dict[str, Any]:
    ids = list(files)
    start = ids.index(kwargs["after"]) + 1 if "after" in kwargs else 0
    page = [files[file_id] for file_id in ids[start : start + kwargs.get("limit", 20)]]
    has_more = bool(page) and page[-1]["id"] != ids[-1]
    return {"object": "list", "data": page, "has_more": has_more}


# --8<-- [end:list]


# --8<-- [start:model]
@app.get("/v1/models/{model:path}")
async def retrieve_model(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": 1, "owned_by": model.partition("/")[0]}


# --8<-- [end:model]


@app.post("/v1/embeddings")
async def embed(kwargs: Kwargs) -> dict[str, Any]:
    asked: str | list[str] = kwargs["input"]
    texts = [asked] if isinstance(asked, str) else asked
    data = [{"object": "embedding", "index": i, "embedding": [len(text) / 100]} for i, text in enumerate(texts)]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "model": kwargs["model"], "data": data, "usage": usage}


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(base_url="http://app/v1", api_key="unused", http_client=http_client) as client:
        for name in ("a.jsonl", "b.jsonl", "c.jsonl"):
            created = await client.files.create(file=(name, b'{"a": 1}\n{"a": 2}\n'), purpose="batch")
        assert created.model_extra == {}

        downloaded = await client.files.content(created.id)
        assert downloaded.content == b'{"a": 1}\n{"a": 2}\n'
        try:
            await client.files.content("file-0")
        except openai.NotFoundError as error:
            print(error.param, error)

        # --8<-- [start:iterate]
        names = [file.filename async for file in client.files.list(limit=2)]  # two requests
        assert names == ["a.jsonl", "b.jsonl", "c.jsonl"]
        # --8<-- [end:iterate]

        async with client.audio.speech.with_streaming_response.create(
            model="tts", voice="alloy", input="Hello"
        ) as speech:
            assert await speech.read() == b"ID3 alloy: Hello"

        assert (await client.models.retrieve("org/name")).owned_by == "org"
        embedded = await client.embeddings.create(model="e", input=["a", "bc"], encoding_format="float")
        assert [one.embedding for one in embedded.data] == [[0.01], [0.02]]
    print("Files, speech, models and embeddings came back as they should.")


if __name__ == "__main__":
    asyncio.run(main())
