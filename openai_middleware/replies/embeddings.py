"""Vectors as the answer of `embeddings.create`."""

import base64
import struct
from collections.abc import Mapping
from typing import Any


def is_vectors(value: Any) -> bool:
    """Whether a value is a list of lists of numbers, one for each input."""
    return isinstance(value, list | tuple) and all(
        isinstance(vector, list | tuple) and all(_is_number(number) for number in vector) for vector in value
    )


def embeddings(request: Mapping[str, Any], vectors: Any) -> dict[str, Any]:
    """The list of embeddings that some vectors are, in the encoding that the request asks for.

    Raises:
        ValueError: There are more or fewer vectors than inputs.
    """
    count = _inputs(request.get("input"))
    if count is not None and count != len(vectors):
        raise ValueError(f"{count} inputs need as many vectors, and there are {len(vectors)}.")
    is_base64 = request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if is_base64 else [*map(float, vector)]}
        for index, vector in enumerate(vectors)
    ]
    # The API requires a usage; zeros stand for tokens that nobody counted.
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    return {"object": "list", "data": data, "model": request.get("model"), "usage": usage}


def _inputs(given: Any) -> int | None:
    """How many inputs a request has: one text, one list of token ids, or a list of either."""
    if isinstance(given, str):
        return 1
    if isinstance(given, list):
        return 1 if given and all(_is_number(item) for item in given) else len(given)
    return None


def _base64(vector: Any) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
