"""The checks of the five months find what is not as it should be."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.months import SHARES, Month

GOOD: dict[str, Any] = {
    "spans": ["2", "3"],
    "drift": "The new text differs.",
    "perplexity": 7.5,
    "baseline_perplexity": 9.0,
    "pushed_version": "3",
    "reasons": [],
}
WITHHELD = {"baseline_perplexity": 7.0, "pushed_version": None, "reasons": ["perplexity rose by 0.07 over the last"]}


def complaints(number: int = 3, scratch: float = 8.0, **changed: Any) -> list[str]:
    return Month(number, GOOD | changed, {"perplexity": scratch}).complaints()


def test_third_and_fifth_month_change() -> None:
    assert [number for number in range(1, len(SHARES) + 1) if Month(number, {}, {}).changed] == [3, 5]


@pytest.mark.parametrize("changed", [{}, WITHHELD, {"number": 4, "spans": ["3", "4"], "drift": None}])
def test_month_as_it_should_be_has_no_complaint(changed: dict[str, Any]) -> None:
    assert complaints(**changed) == []


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"spans": ["3"]}, r"trained on the spans \['3'\] and not on \['2', '3'\]"),
        ({"drift": None}, "drift: None"),
        ({"number": 4, "spans": ["3", "4"]}, "drift: The new text differs."),
        ({"baseline_perplexity": 7.0}, r"version 3, reasons \[\], expected \['rose by'\]"),
        (WITHHELD | {"baseline_perplexity": 9.0}, r"version None, reasons .*, expected \[\]"),
        (WITHHELD | {"reasons": []}, r"reasons \[\], expected \['rose by'\]"),
        ({"scratch": 7.5}, "not better than from scratch"),
    ],
)
def test_complaint_names_what_is_wrong(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        assert complaints(**changed) == []


@pytest.mark.slow
@pytest.mark.e2e
def test_five_months_are_as_they_should_be() -> None:
    folder = os.environ.get("CORPORA")
    if not folder:
        pytest.skip("the folder CORPORA is not set")
    program = Path(__file__).resolve().parents[2] / "benchmarks" / "months.py"
    done = subprocess.run([sys.executable, program, "--corpora", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
