"""Figures next to an export."""

from pathlib import Path

import pytest

from components.evaluate import generalization
from components.evaluate.generalization import Generalization

pytestmark = pytest.mark.integration
SHARES = {20: 0.0312, 50: 0.0004, 100: 0.0}
MEASURED = Generalization(1.25, 1.5, 20_480, SHARES, "to be,\nor not\x1b[31m", "hamlet.txt")
NAMES = Generalization(1.9, 2.0, 20_480, dict.fromkeys(SHARES), "emma", "names.txt", 2_847, 0.187)


@pytest.mark.parametrize("measured", [MEASURED, NAMES], ids=["file", "documents"])
def test_export_states_what_was_written(tmp_path: Path, measured: Generalization) -> None:
    generalization.write(str(tmp_path), measured)
    assert generalization.read(str(tmp_path)) == measured


def test_export_of_an_earlier_release_states_nothing(tmp_path: Path) -> None:
    assert generalization.read(str(tmp_path)) is None


def test_bounded_share_is_that_of_50_characters_or_0_without_such_spans() -> None:
    assert (MEASURED.bounded, NAMES.bounded) == (0.0004, 0.0)
