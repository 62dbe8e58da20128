"""Text in chunks ends before the stop text, wherever the chunks begin."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from serving.client.stop import until

TEXT = st.text("ab\n", max_size=30)


@given(st.lists(TEXT, max_size=8), st.text("ab\n", min_size=1, max_size=5))
def test_text_ends_where_the_stop_text_begins(chunks: list[str], stop: str) -> None:
    assert "".join(until(chunks, stop)) == "".join(chunks).partition(stop)[0]


@given(st.lists(TEXT, max_size=8))
def test_without_a_stop_text_every_chunk_is_yielded_at_once(chunks: list[str]) -> None:
    assert list(until(chunks, "")) == [chunk for chunk in chunks if chunk]


def test_text_is_held_back_only_while_it_may_be_part_of_the_stop_text() -> None:
    assert list(until(["a\n", "b", "c\n", "\nd"], "\n\n")) == ["a", "\nb", "c"]
    assert list(until(["a\n"], "\n\n")) == ["a", "\n"]


def test_no_chunk_is_read_after_the_stop_text() -> None:
    def endless() -> Iterator[str]:
        yield "some.text"
        raise AssertionError("another chunk was read")

    assert list(until(endless(), ".")) == ["some"]
