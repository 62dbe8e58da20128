"""Text in pieces ends before the stop string, wherever the pieces begin."""

import doctest

from hypothesis import given
from hypothesis import strategies as st

from serving.client import stop
from serving.client.stop import StopString

PIECES = st.lists(st.text("ab\n", max_size=30), min_size=1, max_size=8)


def read(stop: StopString, pieces: list[str]) -> list[str]:
    """What the stop string lets pass of each piece, up to the one that ends the text."""
    passed = []
    for index, piece in enumerate(pieces, 1):
        passed.append(stop.read(piece, last=index == len(pieces)))
        if stop.found:
            break
    return passed


@given(PIECES, st.text("ab\n", min_size=1, max_size=5))
def test_text_ends_where_the_stop_string_begins(pieces: list[str], string: str) -> None:
    stop = StopString(string)
    before, found, _ = "".join(pieces).partition(string)
    assert "".join(read(stop, pieces)) == before
    assert (stop.found, stop.held) == (bool(found), "")


@given(PIECES)
def test_without_a_stop_string_every_piece_is_passed_on_at_once(pieces: list[str]) -> None:
    assert read(StopString(""), pieces) == pieces


def test_text_is_held_back_only_while_it_may_be_part_of_the_stop_string() -> None:
    stop = StopString("\n\n")
    assert [stop.read(piece) for piece in ("a\n", "b", "c\n")] == ["a", "\nb", "c"]
    assert (stop.held, stop.found) == ("\n", False)
    assert stop.read("\nd") == ""
    assert (stop.held, stop.found) == ("", True)
    assert read(StopString("\n\n"), ["a\n"]) == ["a\n"]


@given(st.integers(1, 9))
def test_model_may_write_the_stop_string_in_another_form(size: int) -> None:
    written = "so. stra\u00dfe caf\u00e9 the end".casefold()
    for string in ("CAFE\u0301 The", "Caf\u00c9 THE", "caf\u00e9 the"):
        stop = StopString(string)
        text = written[: written.index("the") + 3]
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        passed = [stop.read(piece, stopped=piece is pieces[-1]) for piece in pieces]
        assert "".join(passed) == "so. strasse "
        assert stop.found


def test_example() -> None:
    result = doctest.testmod(stop)
    assert result.failed == 0 < result.attempted
