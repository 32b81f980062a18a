"""The full way: a configuration object, its dictionary, and what a wrong one says."""

import asyncio
import json
from http import HTTPMethod
from typing import Any

import httpx2

# --8<-- [start:config]
from openai_middleware import (
    APIHandlerAction,
    APIHandlerConfig,
    BodyMappings,
    EndpointConfig,
    OpenAIEndpoint,
    OpenAIMiddleware,
)
from openai_middleware.errors import ConfigurationError

request_fields = BodyMappings()
request_fields.add_mapping("$.text", "text", mandatory=True)
request_fields.add_mapping("$.options.language", "language")

answer_fields = BodyMappings()
answer_fields.add_mapping("$.result.summary", "summary", mandatory=True)

config = APIHandlerConfig(include_url_info=True)
config.set_openai_frontend([OpenAIEndpoint.RESPONSES], prefix="/v1")
config.add_endpoint_handler(
    "/v1/summaries",
    HTTPMethod.POST,
    description="Not an operation of OpenAI: an endpoint of this server's own.",
    input_body_mappings=request_fields,
    output_body_mappings=answer_fields,
)
config.add_endpoint_handler("/v1/internal/*", HTTPMethod.GET, APIHandlerAction.FORBID)
# --8<-- [end:config]

# --8<-- [start:operation]
config.add_endpoint_config(EndpointConfig("/history", HTTPMethod.GET, operation="chat.completions.list"))
# --8<-- [end:operation]


# --8<-- [start:app]
async def app(scope: Any, receive: Any, send: Any) -> None:
    call = scope["openai_middleware.call"]
    answer = {"result": {"summary": call.kwargs["text"][:5]}, "took_ms": 3}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


application = OpenAIMiddleware(app, config=config)
# --8<-- [end:app]


async def main() -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(application), base_url="http://app") as client:
        answer = await client.post("/v1/summaries", json={"text": "Hello, world", "options": {"language": "en"}})
        assert answer.json() == {"summary": "Hello"}

    # --8<-- [start:round_trip]
    text = json.dumps(config.to_dict())
    assert APIHandlerConfig.from_dict(json.loads(text)) == config
    OpenAIMiddleware(app, config=json.loads(text))  # the dictionary itself will do
    # --8<-- [end:round_trip]

    # --8<-- [start:mistakes]
    options: Any = {"prefix": "v1", "unmatched": "ignore"}
    try:
        OpenAIMiddleware(app, **options)
    except ConfigurationError as error:
        print(error)
    # --8<-- [end:mistakes]


if __name__ == "__main__":
    asyncio.run(main())
