"""Counts of a text do not depend on how it is cut into records, and become TFDV's statistics."""

import pytest
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics

from components.ingest.passages import cut
from components.validate import text_statistics
from components.validate.text_statistics import TextCounts, passage_hash, shares, sketch

LINES = [f"Line {number} has its number, so that it is unlike any other.\n" for number in range(100)]


def counts(text: str, length: int = 10_000, rule: str = "file", name: str = "a.txt") -> TextCounts:
    made = TextCounts(rule)
    for record in cut(name, text, length, 0.0, 0.0, rule):
        made.add(name, record.text, record.position == 0)
    return made


def test_characters_are_counted_once_however_a_text_is_cut() -> None:
    whole, cut_up = (shares(counts("".join(LINES), length).statistics(), "character") for length in (10_000, 130))
    assert whole == cut_up
    assert whole["\n"] == pytest.approx(100 / sum(map(len, LINES)))


def test_lines_and_documents_have_ranges_of_lengths() -> None:
    found = counts("".join(LINES) + "short\n" * 40).statistics()
    assert shares(found, "line_length") == {"32 to 63": 100 / 140, "4 to 7": 40 / 140}
    assert shares(found, "document_length") == {}, "one document has no distribution"
    names = counts("emma\nolivia\nava\n" * 20, rule="line").statistics()
    assert shares(names, "document_length") == {"4 to 7": 2 / 3, "2 to 3": 1 / 3}


def test_passages_repeat_the_text_itself_or_an_earlier_one() -> None:
    before = counts("".join(LINES[:50])).statistics()
    twice = counts("".join(LINES[50:100] + LINES[60:70] + LINES[:40]))
    assert shares(twice.statistics(), "passage")["repeated"] == 0.1
    assert shares(twice.statistics(before), "passage")["repeated"] == 0.5
    assert shares(twice.statistics(before, repeats=False), "passage")["repeated"] == 0.1


def test_of_many_passages_those_with_the_smallest_hashes_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_statistics, "_SKETCH", 20)
    text = [f"Line {number} has its number, so that it is unlike any other.\n" for number in range(2_000)]
    before = counts("".join(text[:1_000])).statistics()
    known, limit = sketch(before)
    assert 10 < len(known) <= 40
    assert {passage_hash(line) for line in text[:1_000] if (passage_hash(line) or 0) < limit} == known
    found = shares(counts("".join(text[500:1_500])).statistics(before), "passage")
    assert found["repeated"] == pytest.approx(0.5, abs=0.3)


def test_statistics_are_read_as_written_whatever_the_characters() -> None:
    made = counts("half \ud800 of a pair, \0, \x03 and \u4e66\n" * 40).statistics()
    assert Statistics.FromString(made.SerializeToString()) == made
    assert "\\ud800" in shares(made, "character")
