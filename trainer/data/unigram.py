"""Sample of ids that estimates the softmax of a large vocabulary in a training step, and the frequencies of the ids.

The full softmax of a large vocabulary costs many times as much as the recurrent layers. Importance sampling estimates
its denominator (Bengio and Senecal, "Adaptive importance sampling to accelerate training of a neural probabilistic
language model", 2008), from one sample for all characters of a batch (Jean et al., 2015, arXiv:1412.2007). An id that
is sampled with the probability p counts 1/p times, so that the expected denominator is that of the full softmax.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ONE = 1 << 32  # probability 1: in integers, rounding cannot sample an id twice
_BLOCK = 1 << 24  # ids


class Sample(NamedTuple):
    """Ids that a step samples.

    Attributes:
      ids: int32 (sampled,), all different.
      log_probabilities: float32 (sampled,), logarithm of each id's probability of being sampled.
    """

    ids: NDArray[np.int32]
    log_probabilities: NDArray[np.float32]


class Sampler:
    """Samples ids by their frequency.

    >>> Sampler(np.array([90, 9, 0, 0]), sampled=1, seed=1).sample(step=0).ids.tolist()
    [0]
    """

    def __init__(self, counts: NDArray[np.int64], sampled: int, seed: int) -> None:
        """Derive each id's probability of being sampled.

        Args:
          counts: occurrences of each id in the train split, (vocabulary,).
          sampled: size of a sample, at most the vocabulary.
          seed: of the run.
        """
        # Plus one: an id that does not occur is a possible prediction as well.
        self._probabilities = inclusion_probabilities(counts + 1.0, sampled)
        self._ends = cumulative(self._probabilities)
        self._sampled, self._seed = sampled, seed

    def sample(self, step: int) -> Sample:
        """Return the sample of a step, which seed and step determine."""
        starts = self._ends[-1] - (self._sampled - 1) * ONE
        start = np.random.default_rng([self._seed, step]).integers(starts)
        ids = systematic_sample(self._ends, self._sampled, start)
        return Sample(ids.astype(np.int32), np.log(self._probabilities[ids]).astype(np.float32))


def create(sampled: int, ids: NDArray[np.generic], vocabulary_size: int, seed: int) -> Sampler | None:
    """Return the sampler of a train split's ids; None for the full softmax: 0, or no fewer than the vocabulary."""
    return Sampler(count(ids, vocabulary_size), sampled, seed) if 0 < sampled < vocabulary_size else None


def log_frequencies(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the logarithms of the frequencies of the ids, each counted once more, minus their mean.

    >>> log_frequencies(np.array([7, 0])).round(2)
    array([ 1.04, -1.04], dtype=float32)
    """
    logs = np.log(counts + 1.0)
    return (logs - logs.mean()).astype(np.float32)


def count(ids: NDArray[np.generic], vocabulary_size: int) -> NDArray[np.int64]:
    """Count each id; in blocks, because the ids may be memory-mapped.

    >>> count(np.array([0, 2, 2], np.uint8), 4).tolist()
    [1, 0, 2, 0]
    """
    total = np.zeros(vocabulary_size, np.int64)
    for at in range(0, len(ids), _BLOCK):
        total += np.bincount(ids[at : at + _BLOCK], minlength=vocabulary_size)
    return total


def inclusion_probabilities(weights: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return probabilities that add up to `size`: proportional to the weights, but at most 1.

    >>> inclusion_probabilities(np.array([6.0, 1.0, 1.0, 0.0]), 2).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    certain = np.zeros(len(weights), bool)
    while True:
        remaining = weights[~certain].sum()
        scale = (size - certain.sum()) / remaining if remaining else 0.0
        exceeds = ~certain & (weights * scale >= 1.0)
        if not exceeds.any():
            return np.where(certain, 1.0, weights * scale)
        certain |= exceeds


def cumulative(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the cumulative sums of probabilities, as multiples of 1 / ONE."""
    return np.cumsum(np.rint(probabilities * ONE).astype(np.int64))


def systematic_sample(ends: NDArray[np.int64], size: int, start: int) -> NDArray[np.int64]:
    """Sample `size` different indices, each with its probability.

    Systematic sampling with unequal probabilities (Madow, "On the theory of systematic sampling, II", 1949):
    equidistant points on the line of the cumulative probabilities.

    >>> systematic_sample(cumulative(np.array([1.0, 0.5, 0.25, 0.25])), 2, ONE * 6 // 10).tolist()
    [0, 2]

    Args:
      ends: from `cumulative`, of probabilities that add up to `size`, each at most 1.
      start: the first point, random, from 0 to less than `ends[-1] - (size - 1) * ONE`.
    """
    return np.searchsorted(ends, start + np.arange(size) * ONE, side="right")
