import dataclasses
import doctest
from decimal import ROUND_FLOOR, Decimal
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import UserError
from components.ingest import passages as module
from components.ingest.documents import END, ROW
from components.ingest.passages import MIN_HELD_OUT, Passage, cut, cut_rows, measure, measure_rows, split_blocks

FRACTIONS = st.sampled_from([0.0, 0.05, 0.1, 0.125, 0.2, 0.3, 1e-05])
TEXTS = st.builds(lambda seed, length: (seed * length)[:length], st.text(min_size=1), st.integers(0, 3000))


def by_split(passages: list[Passage]) -> dict[str, list[Passage]]:
    return {split: list(group) for split, group in groupby(passages, lambda passage: passage.split)}


def restored(passages: list[Passage]) -> str:
    return passages[0].text + "".join(passage.text[1:] for passage in passages[1:])


def test_docstring_example_runs() -> None:
    assert doctest.testmod(module).failed == 0


def test_example() -> None:
    assert list(cut("a.txt", "abcdefgh", 3, 0.1)) == [
        Passage("train", "a.txt", 0, "abc"),
        Passage("train", "a.txt", 2, "cde"),
        Passage("train", "a.txt", 4, "efgh"),
    ]


def test_sizes_have_no_rounding_errors_of_floats() -> None:
    assert split_blocks(1_115_394, 0.1) == [("train", 0, 1_003_854), ("eval", 1_003_854, 1_115_394)]
    # In floats, 1 - 0.1 - 0.2 is 0.7000000000000001 and 1 - 0.3 - 0.6 is 0.10000000000000003.
    assert split_blocks(1000, 0.1, 0.2) == [("train", 0, 700), ("eval", 700, 800), ("test", 800, 1000)]
    assert split_blocks(10_000, 0.3, 0.6) == [("train", 0, 1000), ("eval", 1000, 4000), ("test", 4000, 10_000)]


@given(st.integers(2, 10**7), st.integers(0, 99))
def test_train_size_is_the_floor_of_exact_arithmetic(length: int, percent: int) -> None:
    sizes = {split: end - start for split, start, end in split_blocks(length, percent / 100)}
    train = int((Decimal(length) * (100 - percent) / 100).to_integral_value(ROUND_FLOOR))
    held_out = length - train
    expected = {"train": train, "eval": held_out} if held_out >= MIN_HELD_OUT else {"train": length}
    assert sizes == {split: size for split, size in expected.items() if size}


@pytest.mark.parametrize(
    ("length", "eval_fraction", "test_fraction", "expected"),
    [
        (0, 0.1, 0.1, []),
        (1, 0.1, 0.1, []),
        (2, 0.1, 0.1, [("train", 0, 2)]),
        (990, 0.1, 0.0, [("train", 0, 990)]),
        (991, 0.1, 0.0, [("train", 0, 891), ("eval", 891, 991)]),
        (1000, 0.0, 0.1, [("train", 0, 900), ("test", 900, 1000)]),
        (1000, 0.0, 0.0, [("train", 0, 1000)]),
        # A small eval block is added to train; after a small test block is, eval is at the end.
        (1000, 0.05, 0.2, [("train", 0, 800), ("test", 800, 1000)]),
        (1000, 0.2, 0.05, [("train", 0, 800), ("eval", 800, 1000)]),
        (1000, 0.05, 0.05, [("train", 0, 1000)]),
    ],
)
def test_blocks(length: int, eval_fraction: float, test_fraction: float, expected: list[tuple[str, int, int]]) -> None:
    assert split_blocks(length, eval_fraction, test_fraction) == expected


@given(TEXTS, st.integers(1, 400), FRACTIONS, FRACTIONS)
def test_passages_restore_splits_and_document(
    content: str, passage_length: int, eval_fraction: float, test_fraction: float
) -> None:
    splits = by_split(list(cut("a.txt", content, passage_length, eval_fraction, test_fraction)))
    assert list(splits) == [split for split in ("train", "eval", "test") if split in splits]
    assert "".join(map(restored, splits.values())) == (content if len(content) > 1 else "")
    spans = split_blocks(len(content), eval_fraction, test_fraction)
    if eval_fraction and "eval" not in {split for split, _, _ in spans}:
        assert len(splits) == len(spans[:1])  # it is too short to be divided
    else:
        assert {split: restored(group) for split, group in splits.items()} == {s: content[a:b] for s, a, b in spans}


@given(TEXTS, st.integers(1, 400), FRACTIONS, FRACTIONS)
def test_passages_have_nearly_equal_sizes_and_overlap_by_one(
    content: str, passage_length: int, eval_fraction: float, test_fraction: float
) -> None:
    for split, group in by_split(list(cut("a.txt", content, passage_length, eval_fraction, test_fraction))).items():
        characters = len(restored(group))
        targets = [len(passage.text) - 1 for passage in group]
        assert sum(targets) == characters - 1
        assert max(targets) - min(targets) <= 1
        assert max(targets) <= passage_length
        assert len(group) == max(1, -(-(characters - 1) // passage_length))
        assert split == "train" or characters >= MIN_HELD_OUT or characters == len(content)
        for passage in group:
            assert passage.document == "a.txt"
            assert content[passage.position : passage.position + len(passage.text)] == passage.text
        for before, after in pairwise(group):
            assert before.position + len(before.text) - 1 == after.position


def test_file_that_is_too_short_to_be_divided_is_in_one_split_as_a_whole() -> None:
    poems = [f"{number} roses are red\n" * 30 for number in range(400)]  # 480 to 540 characters: 48 to 54 for eval
    pieces = [list(cut(f"{number}.txt", poem, 1_000, 0.1, 0.2)) for number, poem in enumerate(poems)]
    assert [[piece.text for piece in some] for some in pieces] == [[poem] for poem in poems]
    splits = [some[0].split for some in pieces]
    assert splits.count("eval") / 400 == pytest.approx(0.1, abs=0.04)
    assert splits.count("test") / 400 == pytest.approx(0.2, abs=0.05)
    assert [piece.split for piece in cut("other.txt", poems[7], 1_000, 0.1, 0.2)] == [splits[7]]  # whatever its name
    assert [piece.split for piece in cut("long.txt", poems[7] * 3, 10_000, 0.1, 0.0)] == ["train", "eval"]


def test_short_documents_are_in_one_split_as_a_whole() -> None:
    content = "\n".join(f"name {index}" for index in range(500))
    pieces = by_split(list(cut("names.txt", content, 40, 0.1, 0.0, "line")))
    texts = {split: restored(group) for split, group in pieces.items()}
    assert list(texts) == ["train", "eval"]
    assert [group[0].position for group in pieces.values()] == [0, 0]
    for split, group in pieces.items():
        assert {passage.document for passage in group} == {"names.txt"}
        assert max(len(passage.text) for passage in group) <= 41
        for passage in group:
            assert texts[split][passage.position : passage.position + len(passage.text)] == passage.text
    lines = [line for text in texts.values() for line in text.strip("\x03").split("\x03")]
    assert sorted(lines) == sorted(content.split("\n"))


def test_tiny_documents() -> None:
    assert list(cut("a.txt", "", 5, 0.1)) == []
    assert list(cut("a.txt", "x", 5, 0.1)) == []
    assert list(cut("a.txt", "xy", 5, 0.1)) == [Passage("train", "a.txt", 0, "xy")]


@pytest.mark.parametrize(
    ("eval_fraction", "test_fraction", "complaint"),
    [
        (-0.1, 0.0, "eval_fraction is a part .* Received: eval_fraction=-0.1$"),
        (float("nan"), 0.0, "Received: eval_fraction=nan$"),
        (0.1, float("inf"), "Received: test_fraction=inf$"),
        (0.5, 0.5, "less than 1.* Received: eval_fraction=0.5, test_fraction=0.5$"),
    ],
)
def test_impossible_fractions_are_an_error_of_the_call(
    eval_fraction: float, test_fraction: float, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        cut("a.txt", "abc", 5, eval_fraction, test_fraction)


def test_impossible_passage_length_is_an_error_of_the_call() -> None:
    with pytest.raises(UserError, match="Received: passage_length=0$"):
        cut("a.txt", "abc", 0, 0.1)


@given(st.lists(st.text("ab\n", max_size=9)), st.integers(1, 30))
def test_rows_are_cut_and_measured_like_the_text_of_all_rows(rows: list[str], passage_length: int) -> None:
    text = "".join(row + END for row in rows)
    assert list(cut_rows("a.csv", rows, passage_length, 0.3, 0.2)) == list(
        cut("a.csv", text, passage_length, 0.3, 0.2, ROW)
    )
    sizes, missing = measure(text, 0.3, 0.2, ROW), sum(not row.strip("\n") for row in rows)
    assert measure_rows(rows, 0.3, 0.2) == dataclasses.replace(sizes, missing=missing, distinct={END, *text})
