"""The contract: which operations the OpenAI API has, and which fields each of them takes and returns.

It is read from a data file. What writes that file is in `generator`, and needs the OpenAI SDK; nothing else here
imports the SDK, and nothing that runs imports `generator`.
"""

from openai_middleware.contract.contract import (
    FORMAT,
    SHIPPED,
    Contract,
    Operation,
    QueryParameter,
    ResponseField,
    Stream,
    StreamEvent,
    shipped,
)
from openai_middleware.contract.groups import OpenAIEndpoint

__all__ = [
    "FORMAT",
    "SHIPPED",
    "Contract",
    "OpenAIEndpoint",
    "Operation",
    "QueryParameter",
    "ResponseField",
    "Stream",
    "StreamEvent",
    "shipped",
]
