"""The file of the chosen values, and the line of their names."""

import doctest
from pathlib import Path

from trainer.plan import record


def test_docstring_examples_run() -> None:
    assert doctest.testmod(record).failed == 0


def test_values_are_read_as_they_were_written(tmp_path: Path) -> None:
    chosen = {"training.steps": {"value": 1_480, "reason": "so many characters"}}
    record.write(str(tmp_path), chosen)
    assert record.read(str(tmp_path)) == chosen


def test_run_without_the_file_has_no_values(tmp_path: Path) -> None:
    assert record.read(str(tmp_path)) == {}
