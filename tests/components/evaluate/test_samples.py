"""Samples are read as they were written; an export without them has none."""

from pathlib import Path

import pytest

from components.evaluate import samples

pytestmark = pytest.mark.integration


def test_samples_are_read_as_written(tmp_path: Path) -> None:
    assert samples.read(str(tmp_path)) == {}
    samples.write(str(tmp_path), texts := {0.5: "the the", 1.0: "\u03a9\nso"})
    assert samples.read(str(tmp_path)) == texts
