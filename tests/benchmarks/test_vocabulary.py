import doctest

import pytest

from benchmarks import vocabulary

pytestmark = pytest.mark.integration


def test_examples() -> None:
    failed, attempted = doctest.testmod(vocabulary)
    assert (failed, attempted) == (0, 1)


def test_frequencies_fall_with_the_rank() -> None:
    text = vocabulary.zipf(50, 20_000)
    counts = [int((text.train.ids == i).sum()) for i in (0, 1, 9)]
    assert counts == sorted(counts, reverse=True)
    assert text.vocabulary.size == 50
