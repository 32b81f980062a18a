"""Request ids: what is made, and what is echoed."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware.headers import identified, new_request_id, sent_request_id
from tests.support.drivers import MADE_ID


def test_ids_that_are_made_differ_and_look_like_those_of_openai() -> None:  # I1
    made = {new_request_id() for _ in range(1000)}

    assert len(made) == 1000
    assert all(MADE_ID.fullmatch(found.encode()) for found in made)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_processes_that_were_forked_make_different_ids() -> None:  # I1
    new_request_id()
    made = []
    for _ in range(2):
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, new_request_id().encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            made.append(pipe.read())
        os.wait()

    assert len({*made, new_request_id()}) == 3


@given(st.binary(max_size=140))
def test_id_of_a_request_is_echoed_where_it_is_one_visible_word(value: bytes) -> None:  # I1
    is_word = 1 <= len(value) <= 128 and all(0x21 <= byte <= 0x7E for byte in value)

    assert sent_request_id(value) == (value.decode() if is_word else None)


@pytest.mark.parametrize("name", [b"x-request-id", b"X-Request-ID"])
def test_headers_with_an_id_are_the_very_same(name: bytes) -> None:  # I1
    headers = [(b"a", b"1"), (name, b"own")]

    assert identified(headers, "other") is headers
    assert identified(headers[:1], "other") == [(b"a", b"1"), (b"x-request-id", b"other")]
