"""TFDV's comparators find a text that differs, and the sentences name what moved."""

from collections import Counter
from pathlib import Path

import pytest

from components.validate import drift
from components.validate.text_statistics import TextCounts

pytestmark = pytest.mark.integration
THRESHOLDS = (Path(drift.__file__).parent / "schema" / "text.pbtxt").read_text()


def verses(first: int) -> str:
    """300 lines of two lengths, none of which is in the verses with other numbers."""
    numbers = [number * 7_919 % 10_007 for number in range(first, first + 150)]
    return "".join(f"A line of verse, {number},\nand a second one, which is longer, {number}.\n" for number in numbers)


EARLIER, LATER = verses(0), verses(150)


def sentences(text: str) -> tuple[str, ...]:
    before = counts(EARLIER).statistics()
    return drift.compare(counts(text).statistics(before), before, THRESHOLDS).sentences


def counts(text: str) -> TextCounts:
    made = TextCounts("file")
    made.add("a.txt", text, True)
    return made


def test_similar_text_has_not_drifted() -> None:
    assert sentences(LATER) == ()


def test_other_characters_are_named() -> None:
    characters, unknown = sentences(LATER.replace("e", "\u00e9"))
    assert characters.startswith("The characters have a Jensen-Shannon divergence of 0.")
    assert "moved most: 'e' (9.4%, now 0.0%), '\u00e9' (0.0%, now 9.4%), " in characters
    assert unknown.startswith("9.4")
    assert unknown.endswith("are not in the earlier text, more than 0.20%: '\u00e9' 9.41%.")


def test_other_lengths_of_lines_are_named() -> None:
    lines = next(one for one in sentences(LATER.replace(",\n", ", ")) if "lines" in one)
    assert lines.startswith("The lengths of lines have a Jensen-Shannon divergence of ")
    assert "32 to 63 (50.0%, now 100.0%)" in lines


def test_repeated_passages_are_reported() -> None:
    assert sentences(EARLIER[:6_000] + LATER[6_000:]) == (
        "62.5% of the passages repeat an earlier one, and 0.0% of the earlier text: a difference of more than 5.0%.",
    )


def test_documents_that_are_furthest_away_come_first() -> None:
    before = counts(EARLIER).statistics()
    found = {"same": Counter(LATER[:2_000]), "other": Counter("\u00e9" * 2_000), "short": Counter("\u00e9" * 10)}
    assert drift.furthest(found, before) == ["other", "same", "short"]
