"""Copied spans and documents against a search with Python's strings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.documents import Split
from trainer.generalization import copies

pytestmark = pytest.mark.integration

SIZES = (2, 3, 5)
END = 0  # id of "|"
ALPHABET = "|abc"
texts = st.lists(st.text(ALPHABET, min_size=1, max_size=25), min_size=1, max_size=3)


def ids(text: str) -> list[int]:
    return [ALPHABET.index(character) for character in text]


def split(documents: list[str]) -> Split:
    names = tuple(f"{i}.txt" for i in range(len(documents)))
    return Split(names, np.array([len(text) for text in documents]), np.array(ids("".join(documents)), np.uint8))


def runs(rows: list[str], end: int | None) -> list[str]:
    """The parts of the rows that no span crosses."""
    return [run for row in rows for run in (row.split("|") if end is not None else [row])]


@settings(max_examples=60, deadline=None)
@given(train=texts, rows=texts, end=st.sampled_from([END, None]), block=st.sampled_from([1, 7, 1000]))
def test_everything_is_as_a_search_by_string_finds_it(
    train: list[str], rows: list[str], end: int | None, block: int
) -> None:
    if end is not None:  # as `components.ingest.documents` joins them
        train = [f"|{text}|" for text in train]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "_FILTER_BITS", 8)  # a smaller table is made faster
        patch.setattr(copies, "_BLOCK", block)
        found = copies.find(split(train), [ids(row) for row in rows], SIZES, end)
    generated = runs(rows, end)
    for size, share in zip(SIZES, found.shares):
        spans = [run[at : at + size] for run in generated for at in range(len(run) - size + 1)]
        copied = [any(span in text for text in train) for span in spans]
        assert share == (sum(copied) / len(spans) if spans else None)
    parts = {run[a:b] for run in generated for a in range(len(run)) for b in range(a + 1, len(run) + 1)}
    assert len(found.longest) == max((len(part) for part in parts if any(part in text for text in train)), default=0)
    longest = "".join(ALPHABET[i] for i in found.longest)
    if longest:
        assert longest in parts
        assert longest in train[found.document or 0]
    documents = [one for row in rows for one in row.split("|")[:-1] if one] if end is not None else []
    known = {one for text in train for one in text.split("|")[1:-1]}
    assert (found.documents, found.copied_documents) == (len(documents), sum(one in known for one in documents))


def test_equal_hashes_of_different_spans_are_not_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_random", lambda count: np.zeros(count, np.uint64))
    found = copies.find(split(["aaaaaa"]), [ids("bbbbbb")], (2,))
    assert (found.shares, found.longest, found.document) == ((0.0,), (), None)


def test_copy_of_many_characters_is_found_in_its_document() -> None:
    random = np.random.default_rng(1)
    text = random.integers(1, 90, 30_000).astype(np.uint8)
    train = Split(("a", "b", "c"), np.array([10_000] * 3), text)
    row = [*random.integers(1, 90, 200), *text[19_000:19_150], *random.integers(1, 90, 150)]
    found = copies.find(train, [row], (20, 50, 100))
    assert found.longest == tuple(text[19_000:19_150])
    assert found.document == 1
    assert found.shares == (131 / 481, 101 / 451, 51 / 401)
