"""The yardstick for `threshold = "auto"`: an interpolated character trigram model, fitted by counting.

Jelinek-Mercer interpolation of trigram, bigram, unigram and uniform estimates (Jelinek and Mercer, "Interpolated
estimation of Markov source parameters from sparse data", 1980) with the weights Witten and Bell give to each
context: a context that was seen n times with t different successors trusts its own counts with n / (n + t). No
parameter to tune, and a finite figure for any text.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data import Split

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


def cross_entropy(
    train: Split, evaluation: Split, vocabulary_size: int, unknown: int, unknown_characters: int
) -> float:
    """Nats per character of the evaluation split under a trigram model of the train split.

    Targets are those of the language model: every character but each document's first. Contexts do not cross documents;
    a document's second character has one character of context. An out-of-vocabulary target costs
    log(unknown_characters) more, as for the language model.

    Args:
      vocabulary_size: ids that exist, the out-of-vocabulary one included.
      unknown: the out-of-vocabulary id.
      unknown_characters: code points that share it.

    Raises:
      ValueError: the evaluation split has nothing to predict.
    """
    if not evaluation.targets:
        raise ValueError("The evaluation split has no character to predict.")
    v = vocabulary_size
    orders = [_counts(codes) for codes in _n_grams(train, v)]
    unigrams, bigrams, trigrams = _n_grams(evaluation, v)
    probability = np.full(len(unigrams), 1.0 / v)  # uniform
    probability = _interpolate(orders[0], unigrams, probability, v)
    probability = _interpolate(orders[1], bigrams, probability, v)
    has_two = trigrams >= 0
    probability[has_two] = _interpolate(orders[2], trigrams[has_two], probability[has_two], v)
    nats = -np.log(probability) + np.where(unigrams % v == unknown, np.log(unknown_characters), 0.0)
    return float(nats.mean())


def _n_grams(split: Split, v: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Codes of the n-grams that end in each target, for n = 1, 2, 3; -1 where a document begins too late for three."""
    ids = np.asarray(split.ids).astype(np.int64)
    begins = np.concatenate([[0], np.cumsum(split.lengths)[:-1]]).astype(np.int64)
    within = np.arange(len(ids)) - np.repeat(begins, split.lengths)  # place in the document
    target = np.flatnonzero(within >= 1)
    bigram = ids[target - 1] * v + ids[target]
    trigram = np.where(within[target] >= 2, ids[np.maximum(target - 2, 0)] * v * v + bigram, -1)
    return ids[target], bigram, trigram


def _counts(codes: NDArray[np.int64]) -> Counts:
    return np.unique(codes[codes >= 0], return_counts=True)


def _interpolate(counts: Counts, codes: NDArray[np.int64], lower: NDArray[Any], v: int) -> NDArray[Any]:
    """(count(context, c) + t * lower) / (n + t) for each code, with n and t of its context."""
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
