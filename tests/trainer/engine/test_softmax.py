"""Both cross-entropies against the formula in float64, and the sampled one in expectation."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.data.test_unigram import COUNTS, expected_over_starts
from trainer import engine
from trainer.data.unigram import Sampler, inclusion_probabilities
from trainer.engine import softmax
from trainer.model import LanguageModel

pytestmark = pytest.mark.integration

TARGETS = np.array([[0, 7, 1], [8, 0, 0]], np.int32)
V, UNITS = len(COUNTS), 6
RANDOM = np.random.default_rng(3)
OUTPUTS, KERNEL, BIAS = (RANDOM.normal(size=shape) for shape in ((*TARGETS.shape, UNITS), (V, UNITS), (V,)))


def by_formula(sample: Any, probabilities: Any, outputs: Any, kernel: Any, bias: Any) -> tf.Tensor:
    """The sampled loss with all logits: each row sums over the sample with weights, and over its target."""
    logits = tf.tensordot(outputs, tf.transpose(kernel), 1) + bias  # (batch, time, vocab)
    weights = np.zeros(V)
    weights[sample] = 1.0 / probabilities[sample]
    is_target = tf.one_hot(TARGETS, V, dtype=tf.float64)
    powers = tf.exp(logits) * (is_target + (1.0 - is_target) * weights)
    return tf.math.log(tf.reduce_sum(powers, -1)) - tf.reduce_sum(logits * is_target, -1)


def exact() -> tf.Tensor:
    """The full softmax."""
    return by_formula(np.arange(V), np.ones(V), OUTPUTS, KERNEL, BIAS)


@pytest.mark.numeric
@pytest.mark.parametrize("sampled", [1, 4, V])
def test_sampled_loss_and_all_its_gradients_are_those_of_the_formula(sampled: int) -> None:
    sample, probabilities = Sampler(COUNTS, sampled, seed=1).sample(0), inclusion_probabilities(COUNTS + 1.0, sampled)
    found = []
    for dtype in (tf.float32, tf.float64):
        arguments = [tf.constant(value, dtype) for value in (OUTPUTS, KERNEL, BIAS)]
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            if dtype == tf.float32:
                outputs, *output = arguments
                nats = engine.sampled_cross_entropy(*output, *map(tf.constant, sample), outputs, tf.constant(TARGETS))
            else:
                nats = by_formula(sample.ids, probabilities, *arguments)
            total = tf.reduce_sum(nats * np.arange(1.0, 1.0 + TARGETS.size).reshape(TARGETS.shape))
        found.append([nats, *map(tf.convert_to_tensor, tape.gradient(total, arguments))])
    for actual, expected in zip(*found, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)
    if sampled == V:
        np.testing.assert_allclose(found[1][0], exact(), rtol=1e-12)


def test_expected_denominator_is_that_of_the_full_softmax() -> None:
    sampled = 3
    probabilities = inclusion_probabilities(COUNTS + 1.0, sampled)
    assert 0 < (probabilities < 1).sum() < V
    assert (probabilities[TARGETS] < 1).any(), "a target that may be sampled"
    found = expected_over_starts(
        probabilities, sampled, lambda sample: np.exp(by_formula(sample, probabilities, OUTPUTS, KERNEL, BIAS))
    )
    np.testing.assert_allclose(found, np.exp(exact()), rtol=1e-7)


@pytest.mark.parametrize("limit", [2 * 3 * V, 2 * V, 1])
def test_full_loss_in_blocks_is_that_at_once(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, once = [], softmax.logits

    def logits(kernel: Any, bias: Any, outputs: Any) -> tf.Tensor:
        sizes.append(tuple(outputs.shape))
        return once(kernel, bias, outputs)

    def loss() -> tf.Tensor:
        arguments = (tf.constant(value, tf.float32) for value in (KERNEL.T, BIAS, OUTPUTS))
        return engine.full_cross_entropy(*arguments, tf.constant(TARGETS))

    monkeypatch.setattr(softmax, "_BLOCK", limit)
    monkeypatch.setattr(softmax, "logits", logits)
    np.testing.assert_allclose(tf.function(loss, autograph=False)(), exact(), rtol=1e-5)
    assert set(sizes) == {(2, 3 if limit > 2 * V else 1, UNITS)}


@pytest.mark.numeric
@pytest.mark.parametrize("tied", [False, True])
def test_model_that_samples_all_ids_has_the_loss_and_gradients_of_the_full_softmax(tied: bool) -> None:
    model = LanguageModel(V, UNITS, UNITS, tied=tied, seed=2)
    sample = tuple(map(tf.constant, Sampler(COUNTS, V, seed=1).sample(0)))
    variables, found = [variable.value for variable in model.weights_to_train], []
    for given in ((), sample):
        with tf.GradientTape() as tape:
            outputs, _ = model.outputs(tf.constant(TARGETS[:, ::-1]), model.zero_state(len(TARGETS)))
            nats = tf.reduce_mean(model.cross_entropy(outputs, tf.constant(TARGETS), given))
        found.append([nats, *map(tf.convert_to_tensor, tape.gradient(nats, variables))])
    for full, sampled in zip(*found, strict=True):
        np.testing.assert_allclose(sampled, full, rtol=1e-4, atol=1e-6)
        assert np.abs(full).max() > 0
