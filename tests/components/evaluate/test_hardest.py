"""The hardest part of a passage, with the loss of each of its characters."""

import doctest
from pathlib import Path

import numpy as np
import pytest

from components.evaluate import hardest
from components.evaluate.hardest import Passage

pytestmark = pytest.mark.integration


def test_docstring_example_is_true() -> None:
    assert doctest.testmod(hardest).failed == 0


def test_part_is_where_the_loss_is_highest_and_padding_is_left_out() -> None:
    text = "".join(chr(0x4E00 + number) for number in range(1_000))
    nats = np.zeros(1_500, np.float32)
    nats[300:700] = 2.0
    nats[1_000:] = 9.0
    found = hardest.part("a", 50, text, nats)
    assert (found.position, found.text, found.mean) == (351, text[301:701], 2.0)
    assert hardest.part("a", 0, "x", np.zeros(4)) == Passage("a", 1, "", ())


def test_passages_are_read_as_written(tmp_path: Path) -> None:
    assert hardest.read(str(tmp_path)) == []
    hardest.write(str(tmp_path), [passage := Passage("a", 3, "\u03a9\n", (0.5, 1.25))])
    assert hardest.read(str(tmp_path)) == [passage]
