"""The reference model for `threshold = "auto"`: an interpolated character trigram model, fitted by counting.

Jelinek-Mercer interpolation of trigram, bigram, unigram and uniform estimates (Jelinek and Mercer, "Interpolated
estimation of Markov source parameters from sparse data", 1980) with the weights of Witten and Bell: counts of a context
that occurs n times with t different successors have the weight n / (n + t). There is no parameter to tune, and the
result is finite for every text.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.documents import Split

Codes = NDArray[np.int64]
Counts = tuple[Codes, NDArray[np.int64]]  # codes in ascending order, and how often each occurs
_NOTHING: Counts = (np.zeros(0, np.int64), np.zeros(0, np.int64))
_BLOCK = 1 << 22  # characters


def cross_entropy(
    train: Split, evaluation: Split, vocabulary_size: int, unknown: int, unknown_characters: int
) -> float:
    """Compute nats per character of the evaluation split under a trigram model of the train split.

    Targets are those of the language model: every character but each document's first. Contexts do not cross documents;
    a document's second character has one character of context. An out-of-vocabulary target costs
    log(unknown_characters) more, as for the language model.

    Args:
      vocabulary_size: number of ids, including the out-of-vocabulary one.
      unknown: the out-of-vocabulary id.
      unknown_characters: code points that share it.

    Raises:
      ValueError: the evaluation split has no character to predict.
    """
    if not evaluation.targets:
        raise ValueError("The evaluation split has no character to predict.")
    v = vocabulary_size
    counts = [_NOTHING] * 3
    for block in _n_grams(train, v):
        counts = [_merge(count, codes) for count, codes in zip(counts, block)]
    nats = 0.0
    for unigrams, bigrams, trigrams in _n_grams(evaluation, v):
        probability = np.full(len(unigrams), 1.0 / v)  # uniform
        probability = _interpolate(counts[0], unigrams, probability, v)
        probability = _interpolate(counts[1], bigrams, probability, v)
        has_two = trigrams >= 0
        probability[has_two] = _interpolate(counts[2], trigrams[has_two], probability[has_two], v)
        nats += float(-np.log(probability).sum() + np.log(unknown_characters) * np.sum(unigrams == unknown))
    return nats / evaluation.targets


def _n_grams(split: Split, v: int) -> Iterator[tuple[Codes, Codes, Codes]]:
    """Yield codes of the n-grams that end in each target, for n = 1, 2, 3; -1 if the document has no third character.

    In blocks: codes of a memory-mapped split would not fit in memory.
    """
    ends = np.cumsum(split.lengths)
    for at in range(0, len(split.ids), _BLOCK):
        index = np.arange(at, min(at + _BLOCK, len(split.ids)))
        document = np.searchsorted(ends, index, side="right")
        within = index - (ends - split.lengths)[document]  # position in the document
        target, within = index[within >= 1], within[within >= 1]
        last, before, first = (split.ids[np.maximum(target - back, 0)].astype(np.int64) for back in (0, 1, 2))
        bigram = before * v + last
        yield last, bigram, np.where(within >= 2, first * v * v + bigram, -1)


def _merge(counts: Counts, codes: Codes) -> Counts:
    """Add a block's codes to the counts; the codes stay sorted."""
    added, times = np.unique(codes[codes >= 0], return_counts=True)
    known, where = np.unique(np.concatenate([counts[0], added]), return_inverse=True)
    return known, np.bincount(where, weights=np.concatenate([counts[1], times]), minlength=len(known)).astype(np.int64)


def _interpolate(counts: Counts, codes: NDArray[np.int64], lower: NDArray[Any], v: int) -> NDArray[Any]:
    """Compute (count(context, c) + t * lower) / (n + t) for each code, with n and t of its context."""
    known, count = counts
    contexts, first = np.unique(known // v, return_index=True)
    n = np.add.reduceat(count, first) if len(known) else np.zeros(0)
    t = np.diff(np.append(first, len(known)))  # different successors
    own = _look_up(known, count, codes)
    n_own, t_own = _look_up(contexts, n, codes // v), _look_up(contexts, t, codes // v)
    seen = n_own > 0
    return np.where(seen, (own + t_own * lower) / np.where(seen, n_own + t_own, 1), lower)


def _look_up(keys: NDArray[np.int64], values: NDArray[Any], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    if not len(keys):
        return np.zeros(len(wanted))
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0).astype(np.float64)
