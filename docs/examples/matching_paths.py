"""Which endpoint a request belongs to. Each `assert` is a fact of the documentation."""

import asyncio
from typing import Any

import httpx2

from openai_middleware import APIHandlerAction, APIHandlerConfig, BodyMappings, OpenAICall, OpenAIMiddleware

seen: list[OpenAICall | None] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    seen.append(scope.get("openai_middleware.call"))
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def client_of(application: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(application), base_url="http://app")


async def main() -> None:
    # --8<-- [start:paths]
    config = APIHandlerConfig()
    config.add_endpoint_handler("/items/first", "GET")  # exact
    config.add_endpoint_handler("/items/{item_id}", "GET")  # template
    config.add_endpoint_handler("/items/*", "GET")  # wildcard
    client = client_of(OpenAIMiddleware(app, config=config))

    async def path_params(path: str) -> dict[str, str] | None:
        await client.get(path)
        call = seen.pop()
        return None if call is None else call.path_params

    assert await path_params("/items/first") == {}
    assert await path_params("/items/7") == {"item_id": "7"}
    assert await path_params("/items/7/parts") == {}  # only the wildcard matches
    assert await path_params("/items") is None  # nothing matches
    assert await path_params("/Items/7") is None
    # --8<-- [end:paths]

    # --8<-- [start:encoded]
    assert await path_params("/items/a%2Fb") == {"item_id": "a/b"}
    assert await path_params("/items/a%252Fb") == {"item_id": "a%2Fb"}
    assert await path_params("/items/a+b") == {"item_id": "a+b"}
    assert await path_params("/%69tems/7") == {"item_id": "7"}
    # --8<-- [end:encoded]

    # --8<-- [start:inherit]
    tracing = BodyMappings()
    tracing.add_mapping("$.trace", "trace_id")
    tracing.add_mapping("$.tenant", "tenant", mandatory=True)
    running = BodyMappings()
    running.add_mapping("$.prompt", "prompt", mandatory=True)
    running.add_mapping("$.run.tenant", "tenant")

    config = APIHandlerConfig()
    config.add_endpoint_handler("/agents/*", "POST", input_body_mappings=tracing)
    config.add_endpoint_handler("/agents/run", "POST", input_body_mappings=running)
    agents = client_of(OpenAIMiddleware(app, config=config))

    await agents.post("/agents/run", json={"prompt": "Go", "trace": "t1"})
    call = seen.pop()
    assert call is not None
    assert call.kwargs == {"trace_id": "t1", "prompt": "Go"}  # the tenant is optional here

    answer = await agents.post("/agents/stop", json={"trace": "t1"})
    assert answer.status_code == 422  # and mandatory everywhere else
    # --8<-- [end:inherit]

    # --8<-- [start:prefixes]
    azure = "/openai/deployments/{deployment}"
    both = client_of(OpenAIMiddleware(app, prefix=["/v1", azure], include_url_info=False))

    await both.post("/openai/deployments/blue/chat/completions?api-version=1", json={"model": "m", "messages": []})
    call = seen.pop()
    assert call is not None
    assert call.kwargs == {"messages": [], "model": "m", "api-version": "1", "deployment": "blue"}
    # --8<-- [end:prefixes]

    # --8<-- [start:forbid]
    config = APIHandlerConfig()
    config.set_openai_frontend(prefix="/v1")
    config.add_endpoint_handler("/v1/internal/*", "GET", APIHandlerAction.FORBID)
    config.add_endpoint_handler("/v1/internal/health", "GET")
    guarded = client_of(OpenAIMiddleware(app, config=config))

    async def status(method: str, path: str) -> int:
        return (await guarded.request(method, path)).status_code

    assert await status("GET", "/v1/internal/keys") == 403
    assert await status("HEAD", "/v1/internal/keys") == 403
    assert await status("GET", "/v1/internal%2Fkeys") == 403
    assert await status("GET", "/v1//internal/keys/") == 403
    assert await status("GET", "/v1/internal/health") == 204
    assert await status("POST", "/v1/internal/keys") == 204  # another method: nothing forbids it
    # --8<-- [end:forbid]

    # --8<-- [start:reject]
    gate = client_of(OpenAIMiddleware(app, prefix="/v1", unmatched="reject"))

    answer = await gate.get("/v1/nothing")
    assert answer.status_code == 404

    answer = await gate.put("/v1/responses")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    # --8<-- [end:reject]

    print("Every path was matched as the documentation says.")


if __name__ == "__main__":
    asyncio.run(main())
