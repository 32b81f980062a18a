"""Which keyword arguments a request becomes. Each `assert` is a fact of the documentation."""

import asyncio
from typing import Any

import httpx2

from openai_middleware import APIHandlerConfig, BodyMappings, OpenAICall, OpenAIMiddleware

calls: list[OpenAICall] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    calls.append(scope["openai_middleware.call"])
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def client_of(application: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(application), base_url="http://app")


async def main() -> None:
    client = client_of(OpenAIMiddleware(app, prefix="/v1"))

    # --8<-- [start:order]
    await client.post(
        "/v1/chat/completions/abc?trace=7",
        json={"metadata": {"reviewed": "yes"}, "comment": "not a field of this operation"},
    )
    call = calls.pop()
    assert call.kwargs == {
        "metadata": {"reviewed": "yes"},  # the body
        "trace": "7",  # the query
        "completion_id": "abc",  # the path
        "mlrun_request_path": "/v1/chat/completions/abc",  # what the URL was
        "mlrun_request_method": "POST",
    }
    assert call.operation == "chat.completions.update"
    assert call.body == {"metadata": {"reviewed": "yes"}, "comment": "not a field of this operation"}
    # --8<-- [end:order]

    # --8<-- [start:missing]
    answer = await client.post("/v1/chat/completions", json={"model": "m"})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "Missing required parameter: 'messages'."
    assert not calls  # the app was not called
    # --8<-- [end:missing]

    quiet = client_of(OpenAIMiddleware(app, prefix="/v1", include_url_info=False))

    # --8<-- [start:null]
    await quiet.post("/v1/chat/completions", json={"model": "m", "messages": [], "temperature": None})
    assert calls.pop().kwargs == {"messages": [], "model": "m", "temperature": None}
    # --8<-- [end:null]

    # --8<-- [start:query]
    await quiet.get("/v1/responses/r1?include[]=a&include[]=b&starting_after=12&stream=false")
    assert calls.pop().kwargs == {
        "include": ["a", "b"],
        "starting_after": 12,  # the contract says that this is an integer,
        "stream": False,  # and that this is a boolean
        "response_id": "r1",
    }

    await quiet.get("/v1/chat/completions?metadata[team]=blue&metadata[env]=test&limit=20&x=1&x=2&flag")
    assert calls.pop().kwargs == {
        "metadata": {"team": "blue", "env": "test"},
        "limit": 20,
        "x": ["1", "2"],
        "flag": "",
    }

    answer = await quiet.get("/v1/chat/completions?limit=many")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "limit"
    # --8<-- [end:query]

    # --8<-- [start:conflict]
    answer = await quiet.post("/v1/responses?model=a", json={"model": "a", "input": "Hello"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "duplicate_parameter"
    # --8<-- [end:conflict]

    # --8<-- [start:bodies]
    await quiet.post("/v1/responses", json=["an", "array"])
    assert calls[-1].body == ["an", "array"]
    assert calls.pop().kwargs == {}

    await quiet.post("/v1/responses/r1/cancel", content="plain text")  # an operation without body fields
    assert calls.pop().body == "plain text"

    await quiet.post("/v1/responses/r1/cancel")
    assert calls.pop().body is None
    # --8<-- [end:bodies]

    # --8<-- [start:own]
    mappings = BodyMappings()
    mappings.add_mapping("$.user.id", "user_id", mandatory=True)
    mappings.add_mapping("$.items[*].price", "prices")
    mappings.add_mapping("$.items[?@.price > 10].name", "expensive")

    config = APIHandlerConfig()
    config.add_endpoint_handler("/orders", "POST", input_body_mappings=mappings)
    shop = client_of(OpenAIMiddleware(app, config=config))

    items = [{"name": "pen", "price": 2}, {"name": "lamp", "price": 30}]
    await shop.post("/orders", json={"user": {"id": "u1"}, "items": items})
    assert calls.pop().kwargs == {"user_id": "u1", "prices": [2, 30], "expensive": "lamp"}
    # --8<-- [end:own]

    print("Every request became what the documentation says.")


if __name__ == "__main__":
    asyncio.run(main())
