"""The reader of request bodies: any split, any limit, any declared length."""

import json
import sys
from contextlib import nullcontext
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware.errors import BadRequestError, OpenAIError, RequestTooLargeError
from openai_middleware.request.body import MAX_VALUES, BodyReader, declared_length, decode_body

CHUNKS = st.lists(st.binary(max_size=6), max_size=6)
SIZES = st.none() | st.integers(0, 40)
LIMITS = st.integers(0, 40) | st.just(sys.maxsize)


def read(chunks: list[bytes], length: int | None, limit: int, *, is_complete: bool) -> bytes | type[OpenAIError]:
    """The body of these chunks, or what its reader raised."""
    try:
        reader = BodyReader(length, limit)
        for chunk in chunks:
            reader.feed(chunk)
        return reader.body if is_complete else reader.end()
    except OpenAIError as error:
        return type(error)


def expected(chunks: list[bytes], length: int | None, limit: int, *, is_complete: bool) -> bytes | type[OpenAIError]:
    """The same, by another way than the code's."""
    body = b"".join(chunks)
    if len(body) > limit:
        return RequestTooLargeError
    if not is_complete and length is not None and len(body) < length:
        return BadRequestError
    return body


@given(CHUNKS, SIZES, LIMITS, st.booleans())
def test_body_is_that_of_its_chunks_within_limit_and_length(  # B11 E2 W1
    chunks: list[bytes], length: int | None, limit: int, is_complete: bool
) -> None:
    assert read(chunks, length, limit, is_complete=is_complete) == expected(
        chunks, length, limit, is_complete=is_complete
    )


@given(CHUNKS, st.integers(0, 20))
def test_reading_stops_at_the_first_chunk_over_the_limit(chunks: list[bytes], limit: int) -> None:  # E2
    reader = BodyReader(None, limit)
    taken = 0

    with pytest.raises(RequestTooLargeError) if sum(map(len, chunks)) > limit else nullcontext():
        for chunk in chunks:
            reader.feed(chunk)
            taken += 1

    assert taken == sum(size <= limit for size in accumulate(map(len, chunks)))


@given(CHUNKS)
def test_size_is_what_has_come(chunks: list[bytes]) -> None:  # E2
    reader = BodyReader(None, sys.maxsize)
    for count, chunk in enumerate(chunks, 1):
        reader.feed(chunk)
        assert reader.size == sum(map(len, chunks[:count]))


@given(st.lists(st.binary(min_size=1, max_size=6), min_size=2, max_size=6))
def test_chunks_of_the_caller_stay_as_they_are(chunks: list[bytes]) -> None:  # O9
    before = [bytes(bytearray(chunk)) for chunk in chunks]
    read(chunks, None, sys.maxsize, is_complete=True)
    assert chunks == before


@given(st.integers(0, 10**29), st.integers(0, 5))
def test_declared_length_is_a_number_with_any_zeros_before_it(length: int, zeros: int) -> None:  # E2
    assert declared_length(b"0" * zeros + b"%d" % length) == length


@pytest.mark.parametrize("value", [b"", b"x", b"-1", b"+1", b" 1", b"1 ", b"1.0", b"0x1", "\u0663".encode()])
def test_length_that_is_no_number_is_none(value: bytes) -> None:  # E2
    assert declared_length(value) is None


def test_length_of_thousands_of_digits_is_a_very_large_number() -> None:  # E2
    length = declared_length(b"9" * 10_000)
    assert length is not None
    assert length > 2**64


# --- the number of values


@pytest.mark.parametrize("value", [b"[]", b"{}", b"0", b'{"a":[1,2]}', b'"\\"[[[["'])
def test_body_of_too_many_values_is_refused_before_it_is_decoded(value: bytes) -> None:  # B12
    body = b"[" + b",".join([value] * (MAX_VALUES + 1)) + b"]"

    with pytest.raises(RequestTooLargeError) as caught:
        decode_body(body, is_json=False)

    assert caught.value.code == "request_too_large"


@pytest.mark.parametrize("text", [",[{" * MAX_VALUES, '\\",' * MAX_VALUES])
def test_prose_is_one_value_whatever_it_holds(text: str) -> None:  # B12
    body = json.dumps({"text": text}).encode()

    assert decode_body(body, is_json=True) == {"text": text}


def test_body_of_just_as_many_values_is_decoded() -> None:  # B12
    body = b"[" + b",".join([b"0"] * MAX_VALUES) + b"]"

    assert len(decode_body(body, is_json=True)) == MAX_VALUES
