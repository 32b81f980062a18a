"""Vectors that a function returns, as the answer of `embeddings.create`."""

import base64
import struct
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse

from openai_middleware import Dispatcher
from tests.support.drivers import Sent
from tests.support.handlers import by_asgi, by_wsgi

BOTH = pytest.mark.parametrize("serve", [by_asgi, by_wsgi])


def embed(vectors: Any, serve: Any = by_asgi, **fields: Any) -> Sent:
    dispatch = Dispatcher()
    dispatch("embeddings.create")(lambda body: vectors)
    request = {"model": "m", "input": ["a", "b"], **fields}
    sent: Sent = serve(dispatch, "POST", "/v1/embeddings", request, endpoints=["embeddings"])
    return sent


@BOTH
def test_vectors_are_the_embeddings_of_the_inputs(serve: Any) -> None:  # R70
    answer = embed([[0.5, 1], (2, 3.25)], serve).json
    assert answer == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, 1.0]},
            {"object": "embedding", "index": 1, "embedding": [2.0, 3.25]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }
    CreateEmbeddingResponse.model_validate(answer, strict=True)


def test_ints_are_floats() -> None:  # R70
    assert b"[1.0,2.0]" in embed([[1, 2]], input="a").body


def test_vectors_leave_in_base64_where_that_is_asked_for() -> None:  # R70
    answer = embed([[0.5, -1]], input="a", encoding_format="base64").json
    assert struct.unpack("<2f", base64.b64decode(answer["data"][0]["embedding"])) == (0.5, -1.0)


@pytest.mark.parametrize(
    ("given", "count"), [("a", 1), (["a"], 1), ([1, 2, 3], 1), ([[1, 2], [3]], 2), (["a", "b"], 2)]
)
def test_there_are_as_many_vectors_as_inputs(given: Any, count: int, caplog: pytest.LogCaptureFixture) -> None:  # R70
    assert len(embed([[1.0]] * count, input=given).json["data"]) == count
    sent = embed([[1.0]] * (count + 1), input=given)
    assert (sent.status, sent.error["type"]) == (500, "server_error")
    assert f"{count + 1}" in caplog.text


def test_object_of_openai_s_passes() -> None:  # R70
    answer = {"object": "list", "data": [], "model": "own", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    assert embed(answer).json == answer
