"""A handler and a configuration that were written for MLRun, in front of them this middleware."""

import asyncio
import json
from typing import Any

import httpx2

from openai_middleware import APIHandlerConfig, OpenAICall, OpenAIMiddleware

# --8<-- [start:config]
# What MLRun's APIHandlerConfig.to_dict() returned, read from a file, say.
MLRUN_CONFIG = {
    "enabled": True,
    "include_url_info": True,
    "endpoints": {
        "POST:/v1/ask": {
            "path": "/v1/ask",
            "http_method": "POST",
            "action": "allow",
            "description": "Ask the graph.",
            "input_body_mappings": {
                "mappings": [{"source_path": "$.question", "destination_path": "question", "mandatory": True}]
            },
            "output_body_mappings": {
                "mappings": [
                    {"source_path": "message.content", "destination_path": "content", "mandatory": True},
                    {"source_path": "finish_reason", "destination_path": "finish_reason", "mandatory": False},
                ]
            },
        },
        "GET:/v1/admin/*": {"path": "/v1/admin/*", "http_method": "GET", "action": "forbid"},
    },
}
# --8<-- [end:config]


# --8<-- [start:handler]
def handler(body: Any, *, question: str, mlrun_request_path: str, mlrun_request_method: str) -> dict[str, Any]:
    return {"message": {"content": f"You asked: {question}"}, "tokens": 12}


async def app(scope: Any, receive: Any, send: Any) -> None:
    call: OpenAICall = scope["openai_middleware.call"]
    answer = handler(call.body, **call.kwargs)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


application = OpenAIMiddleware(app, config=MLRUN_CONFIG, unmatched="reject", absent_optional="null")
# --8<-- [end:handler]


async def main() -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(application), base_url="http://app") as client:
        # --8<-- [start:requests]
        answer = await client.post("/v1/ask", json={"question": "Why?"})
        assert answer.json() == {"content": "You asked: Why?", "finish_reason": None}

        assert (await client.post("/v1/ask", json={})).status_code == 422
        assert (await client.get("/v1/admin/users")).status_code == 403
        assert (await client.get("/v1/ask")).status_code == 405
        assert (await client.get("/v1/elsewhere")).status_code == 404
        # --8<-- [end:requests]

    # --8<-- [start:openai]
    config = APIHandlerConfig.from_dict(MLRUN_CONFIG)
    config.set_openai_frontend(prefix="/v1")
    # --8<-- [end:openai]
    print(len(config.endpoints), "endpoints, and every request went as with MLRun.")


if __name__ == "__main__":
    asyncio.run(main())
