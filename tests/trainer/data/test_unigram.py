import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import unigram
from trainer.data.unigram import ONE, Sampler, count, create, cumulative, inclusion_probabilities, systematic_sample

COUNTS = np.array([500, 90, 40, 9, 3, 1, 1, 0, 0, 2])


def expected_over_starts(probabilities: Any, size: int, value: Any) -> Any:
    """The exact expectation of a function of the sample: the sample changes at few values of its start."""
    ends = cumulative(probabilities)
    starts = ends[-1] - (size - 1) * ONE
    edges = np.unique(np.concatenate([[0], (ends % ONE)[ends % ONE < starts], [starts]]))
    return sum(
        (after - before) / starts * value(systematic_sample(ends, size, before))
        for before, after in zip(edges, edges[1:])
    )


def test_examples_of_the_docstrings() -> None:
    failed, attempted = doctest.testmod(unigram)
    assert (failed, attempted > 4) == (0, True)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=30), st.data())
def test_every_sample_has_its_size_and_every_id_its_probability(counts: list[int], data: Any) -> None:
    size = data.draw(st.integers(1, len(counts)))
    weights = np.array(counts) + 1.0
    probabilities = inclusion_probabilities(weights, size)
    assert probabilities.sum() == pytest.approx(size, rel=1e-12)
    assert 0 < probabilities.min() <= probabilities.max() <= 1
    uncertain = probabilities < 1
    shares = probabilities[uncertain] / weights[uncertain]
    assert shares == pytest.approx(shares[:1].repeat(len(shares)), rel=1e-9)
    ends = cumulative(probabilities)
    for start in (0, ONE // 2, ends[-1] - (size - 1) * ONE - 1):
        sample = systematic_sample(ends, size, start)
        assert len(set(sample)) == len(sample) == size
    found = expected_over_starts(probabilities, size, lambda sample: np.bincount(sample, minlength=len(counts)))
    np.testing.assert_allclose(found, probabilities, atol=1e-7)


def test_sample_has_different_ids_with_their_probabilities() -> None:
    sample = Sampler(COUNTS, 4, seed=1).sample(5)
    assert len(set(sample.ids.tolist())) == 4
    np.testing.assert_allclose(np.exp(sample.log_probabilities), inclusion_probabilities(COUNTS + 1.0, 4)[sample.ids])


def test_step_and_seed_determine_the_sample() -> None:
    def samples(seed: int) -> list[list[int]]:
        sampler = Sampler(COUNTS, 4, seed)
        return [sampler.sample(step).ids.tolist() for step in range(12)]

    assert samples(1) == samples(1)
    assert samples(1) != samples(2)
    assert len({tuple(sample) for sample in samples(1)}) > 1


@pytest.mark.parametrize("sampled", [0, 10, 11])
def test_full_softmax_needs_no_sampler(sampled: int) -> None:
    assert create(sampled, np.zeros(3, np.uint8), 10, seed=1) is None


def test_softmax_of_the_log_frequencies_is_the_unigram_model() -> None:
    powers = np.exp(unigram.log_frequencies(COUNTS).astype(np.float64))
    np.testing.assert_allclose(powers / powers.sum(), (COUNTS + 1) / (COUNTS + 1).sum(), rtol=1e-6)


def test_counting_in_blocks_counts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.random.default_rng(1).integers(9, size=100).astype(np.uint8)
    expected = count(ids, 12)
    monkeypatch.setattr(unigram, "_BLOCK", 7)
    np.testing.assert_array_equal(count(ids, 12), expected)
    assert expected.sum() == 100
