"""Headers: request ids, what is told of an answer's body, what HTTP can carry, and how headers are looked up."""

import os
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware.frontend import Frontend
from openai_middleware.headers import (
    Header,
    Headers,
    as_bytes,
    as_text,
    describing,
    identified,
    malformed,
    media_type,
    new_request_id,
    sent_request_id,
)
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


NAMES = st.sampled_from(
    [b"Content-Length", b"content-length", b"ETag", b"content-md5", b"Transfer-Encoding", b"X-A", b"x-a", b"Set-Cookie"]
)
LISTS = st.lists(st.tuples(NAMES, st.sampled_from([b"0", b"3", b"5", b"x", b""])), max_size=5)
BODIES = st.binary(max_size=6)
MODEL = b'{"id":"m","object":"model","created":1,"owned_by":"x"}'
OF_OLD_BYTES = {b"etag", b"content-md5", b"transfer-encoding"}


def without(headers: list[Header], *names: bytes) -> list[Header]:
    return [header for header in headers if header[0].lower() not in names]


def lengths(headers: list[Header]) -> list[bytes]:
    return [value for name, value in headers if name.lower() == b"content-length"]


@given(LISTS, BODIES)
def test_answer_with_other_bytes_has_one_length_and_nothing_of_the_old_ones(  # O2
    headers: list[Header], body: bytes
) -> None:
    described = describing(headers, body)

    assert lengths(described) == [b"%d" % len(body)]
    assert without(described, b"content-length") == without(headers, b"content-length", *OF_OLD_BYTES)


@given(st.lists(st.tuples(NAMES, st.sampled_from([b"%d" % len(MODEL), b"0%d" % len(MODEL), b"3", b""])), max_size=4))
def test_answer_with_its_own_bytes_keeps_its_headers_but_for_a_wrong_length(given: list[Header]) -> None:  # O2
    headers = [(b"content-type", b"application/json"), *given]
    exchange = Frontend(["models"], "/v1").open("GET", "/v1/models/m", b"", [])
    assert exchange is not None
    answer = exchange.answer(200, headers)
    assert answer is not None
    answer.feed(MODEL)

    assert answer.finish() is MODEL
    assert lengths(list(answer.headers)) == [b"%d" % len(MODEL)] * min(1, len(lengths(headers)))
    assert without(list(answer.headers), b"content-length") == without(headers, b"content-length")
    if lengths(headers) in ([], [b"%d" % len(MODEL)]):
        assert answer.headers is headers


@given(st.text(max_size=5), st.text(max_size=8))
def test_header_is_malformed_if_a_byte_of_it_could_end_its_line_or_its_name(name: str, value: str) -> None:  # E1
    separators = set('()<>@,;:\\"/[]?={} \t')
    is_token = name != "" and all("\x20" < char < "\x7f" and char not in separators for char in name)
    is_text = all(char == "\t" or (char >= " " and char != "\x7f") for char in value)

    assert malformed({"x-first": "1", name: value}) == (None if is_token and is_text else name)


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\rb", "a\0b", "\n", "a\x0b"])
@pytest.mark.parametrize("name", ["location", "x-trace"])
def test_line_end_in_a_value_is_malformed(name: str, value: str) -> None:  # E1
    assert malformed({name: value}) == name


@given(
    st.text(st.characters(codec="ascii", exclude_characters='\x00\r\n\t;"()\\,<>@:[]?=', min_codepoint=32), max_size=20)
)
def test_media_type_is_that_of_the_standard_library(kind: str) -> None:  # O1 B10
    message = Message()
    message["content-type"] = kind = f"text/{kind.strip().replace(' ', '').replace('/', '')}x"

    assert media_type(f" {kind.upper()} ; charset=utf-8; a=b".encode()) == message.get_content_type()


@given(LISTS)
def test_headers_are_found_by_names_in_any_case_and_joined_where_they_came_twice(headers: list[Header]) -> None:  # B7
    found = Headers(headers)

    assert list(found) == list(dict.fromkeys(name.decode().lower() for name, _ in headers))
    for name in found:
        values = [value.decode() for other, value in headers if other.decode().lower() == name]
        assert found[name.title()] == ", ".join(values)
        assert name.upper() in found
    assert len(found) == len(list(found))
    assert repr(found) == f"Headers({', '.join(found)})"


@given(st.lists(st.tuples(st.binary(), st.binary())))
def test_headers_are_the_same_after_they_were_text(headers: list[Header]) -> None:  # O2
    assert as_bytes(as_text(headers)) == headers
