import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.implementations import contexts


@pytest.mark.integration
@given(st.integers(2, 60), st.integers(1, 5), st.integers(1, 4))
def test_every_target_counts_once_and_has_its_minimum_context(characters: int, half: int, parts: int) -> None:
    ids, size, stride = np.arange(characters), half * parts, half
    cut = contexts.windows(ids, size, stride)
    counted = cut.counts.astype(bool)
    assert sorted(cut.targets[counted]) == list(range(1, characters))
    np.testing.assert_array_equal(cut.targets[counted], cut.inputs[counted] + 1)
    before = cut.inputs - cut.inputs[:, :1]  # characters in the window before each input
    late = counted & (cut.inputs >= size)
    assert (before[late] >= size - stride).all()


@pytest.mark.parametrize(("stride", "expected"), [(4, ["1234", "5678", "9"]), (2, ["1234", "56", "78", "9"])])
def test_adjacent_and_sliding_windows(stride: int, expected: list[str]) -> None:
    cut = contexts.windows(np.arange(10), 4, stride)
    shown = ["".join(str(t) for t in row[counts > 0]) for row, counts in zip(cut.targets, cut.counts)]
    assert shown == expected
