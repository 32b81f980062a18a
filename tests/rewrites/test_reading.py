"""How streams of an app are split and read: the same pieces, however the bytes arrive."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_middleware import Rewrite
from openai_middleware.answer.server_sent_events import EventReader
from openai_middleware.rewrites.reading import compiled_reading
from openai_middleware.rewrites.streams import LineSplitter, StreamReader, StreamReading
from openai_middleware.rewrites.template import last_prompt


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """The body in chunks that end at these places."""
    ends = sorted(place % (len(body) + 1) for place in places)
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


def pieces(reader: Any, chunks: list[bytes]) -> list[Any]:
    return [piece for chunk in chunks for piece in reader.feed(chunk)] + list(reader.finish())


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b""))), st.lists(st.integers(0)))
def test_lines_are_the_same_however_their_bytes_arrive(lines: list[bytes], places: list[int]) -> None:  # T6
    body = b"\n".join(lines)
    assert pieces(LineSplitter(), cut(body, places)) == [line for line in lines if line.strip()]


@given(st.lists(st.integers(0)))
@pytest.mark.parametrize("is_lines", [False, True])
def test_pieces_are_the_same_however_their_bytes_arrive(is_lines: bool, places: list[int]) -> None:  # T6
    documents = ['{"t": "Grüße"}', '{"x": 1}', "no JSON", '{"t": null}', '{"t": 5, "end": true}', '{"t": "never"}']
    body = "".join(f"{one}\n" if is_lines else f"data: {one}\n\n" for one in documents).encode()
    splitter = LineSplitter() if is_lines else EventReader()
    rewrite = Rewrite("/ask", delta="$.t", done="$.end")
    reader = StreamReader(StreamReading("x", compiled_reading("$.t"), rewrite), splitter, "req_1")
    assert pieces(reader, cut(body, places)) == ["Grüße", None, "5"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda item: st.lists(item) | st.dictionaries(st.text(), item),
    )
)
@pytest.mark.parametrize("path", ["$", "$.a", "$.a.b", "$[*]", "$[0].x", "$..a", "$[?@.a > 1].b"])
def test_any_answer_can_be_looked_into(path: str, answer: Any) -> None:  # T5
    compiled_reading(path)(answer)
    compiled_reading({"content": path})(answer)


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([], ""),
        (None, ""),
        ([{"role": "system", "content": "x"}], ""),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": None}], ""),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, 5]}], "a"),
    ],
)
def test_prompt_is_the_text_of_the_last_user_message(messages: Any, prompt: str) -> None:  # T4
    assert last_prompt(messages) == prompt


@pytest.mark.parametrize(("target", "method", "path"), [("/ask", "POST", "/ask"), ("GET /a/{b}", "GET", "/a/{b}")])
def test_target_is_a_method_and_a_path(target: str, method: str, path: str) -> None:  # T1
    assert (Rewrite(target).method, Rewrite(target).path) == (method, path)
