"""The trigram reference against the same formula with plain dictionaries, one character at a time."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import trigram
from trainer.data.documents import Split
from trainer.data.trigram import cross_entropy
from transform.vocabulary import UNICODE_SIZE

pytestmark = pytest.mark.integration

V = 4  # ids 0, 1, 2 and the out-of-vocabulary 3
CHECK = settings(max_examples=100)
DOCUMENTS = st.lists(st.lists(st.integers(0, V - 1), min_size=1, max_size=20), min_size=1, max_size=4)
TO_PREDICT = DOCUMENTS.filter(lambda documents: any(len(document) > 1 for document in documents))


def split(documents: list[list[int]]) -> Split:
    names = tuple(f"{i}.txt" for i in range(len(documents)))
    lengths = np.array([len(document) for document in documents], np.int64)
    return Split(names, lengths, np.array([i for document in documents for i in document], np.uint8))


def nats(train: list[list[int]], evaluation: list[list[int]], unknown_characters: int = 1) -> float:
    return cross_entropy(split(train), split(evaluation), V, V - 1, unknown_characters)


class Naive:
    """Counts of each context's successors, for contexts of zero, one and two characters."""

    def __init__(self, documents: list[list[int]]) -> None:
        self.successors: dict[tuple[int, ...], Counter[int]] = {}
        for document in documents:
            for place in range(1, len(document)):
                for size in (0, 1, 2):
                    if size <= place:
                        context = tuple(document[place - size : place])
                        self.successors.setdefault(context, Counter())[document[place]] += 1

    def probability(self, context: tuple[int, ...], character: int) -> float:
        lower = self.probability(context[1:], character) if context else 1 / V
        seen = self.successors.get(context)
        if seen is None:
            return lower
        n, t = sum(seen.values()), len(seen)
        own_weight = n / (n + t)
        return own_weight * seen[character] / n + (1 - own_weight) * lower

    def cross_entropy(self, documents: list[list[int]], unknown_characters: int) -> float:
        costs = [
            -math.log(self.probability(tuple(document[max(0, place - 2) : place]), document[place]))
            + (math.log(unknown_characters) if document[place] == V - 1 else 0.0)
            for document in documents
            for place in range(1, len(document))
        ]
        return sum(costs) / len(costs)


@CHECK
@given(DOCUMENTS, TO_PREDICT, st.sampled_from([1, 7, UNICODE_SIZE]))
def test_agrees_with_plain_counting(train: list[list[int]], evaluation: list[list[int]], unknown: int) -> None:
    expected = Naive(train).cross_entropy(evaluation, unknown)
    assert nats(train, evaluation, unknown) == pytest.approx(expected, rel=1e-12)


@CHECK
@given(DOCUMENTS, st.integers(0, V - 1), st.integers(0, V - 1))
def test_probabilities_of_all_next_characters_sum_to_one(train: list[list[int]], before: int, last: int) -> None:
    after_one = [math.exp(-nats(train, [[last, character]])) for character in range(V)]
    assert sum(after_one) == pytest.approx(1.0)
    second = nats(train, [[before, last]])
    after_two = [math.exp(second - 2 * nats(train, [[before, last, character]])) for character in range(V)]
    assert sum(after_two) == pytest.approx(1.0)


def test_worked_example() -> None:
    # Train targets 1, 0, 1: all unigrams of 0 1 0 1 but its first. n = 3, t = 2.
    uniform = 1 / 4
    unigram = (2 + 2 * uniform) / (3 + 2)  # 1
    bigram = (2 + 1 * unigram) / (2 + 1)  # 1 after 0, which is all that follows it
    assert nats([[0, 1, 0, 1]], [[0, 1]]) == pytest.approx(-math.log(bigram))
    trigram = (1 + 1 * bigram) / (1 + 1)  # 1 after 1 0
    second = -math.log((1 + ((1 + 2 * uniform) / (3 + 2))) / (1 + 1))  # 0 after 1
    assert nats([[0, 1, 0, 1]], [[1, 0, 1]]) == pytest.approx((second - math.log(trigram)) / 2)


def test_empty_train_split_gives_the_uniform_distribution() -> None:
    assert nats([[1]], [[0, 1, 2, 0]]) == pytest.approx(math.log(V))


def test_unseen_characters_cost_a_finite_number_of_nats() -> None:
    never, twice = nats([[0, 1, 0, 1, 0]], [[2, 2, 2]]), nats([[0, 1, 0, 1, 0]], [[0, 1, 0]])
    assert math.isfinite(never)
    assert never > math.log(V) > twice


def test_out_of_vocabulary_target_costs_the_log_of_the_characters_that_share_its_id() -> None:
    train, evaluation = [[0, 1, 2, 0, 1]], [[0, 3, 1, 3, 2, 0, 1]]  # two of six targets
    extra = nats(train, evaluation, UNICODE_SIZE) - nats(train, evaluation, 1)
    assert extra == pytest.approx(math.log(UNICODE_SIZE) * 2 / 6)


def test_contexts_do_not_cross_documents() -> None:
    apart = nats([[0, 1], [2, 0], [1, 2]], [[0, 1], [2, 0]])
    assert apart == pytest.approx(nats([[1, 2], [0, 1], [2, 0]], [[2, 0], [0, 1]]))
    assert apart != pytest.approx(nats([[0, 1, 2, 0, 1, 2]], [[0, 1, 2, 0]]))


def test_ids_of_the_smallest_type_with_the_largest_vocabulary() -> None:
    ids = np.array([65_535, 65_534, 65_535, 65_534], np.uint16)
    corpus = Split(("a",), np.array([4], np.int64), ids)
    unigram = (2 + 2 / 65_536) / (3 + 2)  # 65,534 after nothing
    bigram = (2 + unigram) / (2 + 1)
    actual = cross_entropy(corpus, Split(("a",), np.array([2], np.int64), ids[:2]), 65_536, 0, 1)
    assert actual == pytest.approx(-math.log(bigram))


@pytest.mark.parametrize("evaluation", [[], [[1]], [[1], [2]]])
def test_evaluation_split_without_a_target_is_an_error(evaluation: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="no character to predict"):
        nats([[0, 1, 2]], evaluation)


def test_result_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(8)
    lengths = np.array([1, 40, 2, 57])
    names = ("a", "b", "c", "d")
    train, held_out = (Split(names, lengths, random.integers(0, 5, 100).astype(np.uint8)) for _ in range(2))
    whole = cross_entropy(train, held_out, 6, 5, 1000)
    monkeypatch.setattr(trigram, "_BLOCK", 7)
    assert cross_entropy(train, held_out, 6, 5, 1000) == pytest.approx(whole, rel=1e-12)
