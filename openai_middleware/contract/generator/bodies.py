"""Writes what functions are called with as types: the bodies of common operations, out of the OpenAI SDK's own types.

python -m openai_middleware.contract.generator.bodies > openai_middleware/contract/bodies.py
"""

from collections.abc import Mapping

from openai_middleware.contract import shipped
from openai_middleware.contract.generator.generate import body_types

OPERATIONS = (
    "audio.speech.create",
    "chat.completions.create",
    "completions.create",
    "embeddings.create",
    "images.generate",
    "moderations.create",
    "responses.create",
)

_HEAD = '''"""The bodies of common operations, for editors and type checkers. Written by: make contract

Named as the SDK names the operation: a function for `chat.completions.create` gets a `ChatCompletionsCreateBody`. They
say what the API has, on the top level; only mandatory fields are checked to be there, and no type is. Nothing in the
package imports them.
"""

from typing import Any, Required, TypedDict
'''


def bodies() -> str:
    """The source of the module."""
    types = body_types(OPERATIONS)
    public = ["__all__ = [", *(f'    "{_name(operation)}",' for operation in OPERATIONS), "]", ""]
    return "\n".join([_HEAD, *public, *(_typed_dict(operation, types[operation]) for operation in OPERATIONS)])


def _name(operation: str) -> str:
    return "".join(word.title() for word in operation.split(".")) + "Body"


def _typed_dict(operation: str, types: Mapping[str, str]) -> str:
    lines = [f"\nclass {_name(operation)}(TypedDict, total=False):", f'    """The body of `{operation}`."""', ""]
    known = shipped().operation(operation)
    body = {} if known is None else known.body
    for field in sorted(body, key=lambda field: (not body[field], field)):
        type_ = types.get(field, "Any")  # what Open Responses alone has comes without a type
        lines.append(f"    {field}: Required[{type_}]" if body[field] else f"    {field}: {type_}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(bodies(), end="")
