import doctest
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import UserError
from components.ingest import documents
from components.ingest.documents import END, divide, split_of, streams

NAMES = [f"name {index}" for index in range(2_000)]
EVAL, TEST = Fraction(1, 10), Fraction(1, 20)


def test_docstring_examples_run() -> None:
    assert doctest.testmod(documents).failed == 0


@pytest.mark.parametrize(
    ("text", "rule", "expected"),
    [
        ("\n\nemma\n \nava", "line", ["emma", " ", "ava"]),
        ("One\ntwo\n\n\t\n\nThree\n", "blank_line", ["One\ntwo", "Three"]),
        ("One\n---\nTwo\n---\n\n---\nThree --- four", "^---$", ["One", "Two", "Three --- four"]),
        ("a(1)b(2)c", r"\((\d)\)", ["a", "b", "c"]),
        (f"a{END}b\nc", "line", ["ab", "c"]),
        ("", "line", []),
        ("\n\n", "blank_line", []),
    ],
)
def test_text_is_divided(text: str, rule: str, expected: list[str]) -> None:
    assert list(divide(text, rule)) == expected


@pytest.mark.parametrize("rule", ["x*", "(", "", "^", "Line"])
def test_rule_that_separates_nothing_is_an_error(rule: str) -> None:
    with pytest.raises(UserError, match=r"must be one of file, line, blank_line, or .*Received: corpus\.documents="):
        documents.separator(rule)


def test_splits_have_the_fractions_and_do_not_depend_on_other_documents() -> None:
    found = [split_of(name, EVAL, TEST) for name in NAMES]
    assert found.count("eval") / len(NAMES) == pytest.approx(0.1, abs=0.02)
    assert found.count("test") / len(NAMES) == pytest.approx(0.05, abs=0.015)
    alone = [split for split in found if split != "test"]
    # Without a test split, its documents are trained on and the others stay where they are.
    without = [split_of(name, EVAL, Fraction(0)) for name, split in zip(NAMES, found) if split != "test"]
    assert without == alone


@given(st.lists(st.text(st.characters(exclude_characters="\n" + END, exclude_categories=["Cs"]), min_size=1)))
def test_streams_hold_every_document_once_between_symbols(lines: list[str]) -> None:
    joined, count = streams("\n".join(lines), "line", EVAL, TEST)
    assert count == len(lines)
    for stream in joined.values():
        assert stream[0] == stream[-1] == END
    found = {split: sorted(stream[1:-1].split(END)) for split, stream in joined.items()}
    expected: dict[str, list[str]] = {}
    for line in lines:
        expected.setdefault(split_of(line, EVAL, TEST), []).append(line)
    assert found == {split: sorted(some) for split, some in expected.items()}
    assert list(joined) == [split for split in ("train", "eval", "test") if split in expected]


def test_order_of_the_file_does_not_matter() -> None:
    forth, back = (streams("\n".join(names), "line", EVAL, TEST) for names in (NAMES, NAMES[::-1]))
    assert forth == back
    first = forth[0]["train"][1:].split(END)[:50]
    assert first != sorted(first)
