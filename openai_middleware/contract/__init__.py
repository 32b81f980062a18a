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
from openai_middleware.contract.names import GroupName, OperationName

__all__ = [
    "FORMAT",
    "SHIPPED",
    "Contract",
    "GroupName",
    "OpenAIEndpoint",
    "Operation",
    "OperationName",
    "QueryParameter",
    "ResponseField",
    "Stream",
    "StreamEvent",
    "shipped",
]
