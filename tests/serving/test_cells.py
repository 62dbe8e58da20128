"""The cells' pieces that the whole-layer tests do not show: see tests/trainer/test_recurrent.py for the equations."""

import numpy as np
import pytest
import tensorflow as tf

from serving import cells


def test_sigmoid_is_the_logistic_function() -> None:
    x = tf.linspace(-20.0, 20.0, 401)
    np.testing.assert_allclose(cells.sigmoid(x), 1 / (1 + np.exp(-x.numpy().astype(np.float64))), atol=2e-7)


def test_normalise_gives_mean_0_and_variance_1() -> None:
    x = np.random.default_rng(1).normal(3.0, 5.0, (7, 50)).astype(np.float32)
    normal, deviation = cells.normalise(tf.constant(x))
    np.testing.assert_allclose(np.mean(normal, -1), 0.0, atol=1e-6)
    np.testing.assert_allclose(np.var(normal, -1), 1.0, atol=1e-5)
    np.testing.assert_allclose(deviation[:, 0], 1 / x.std(-1), rtol=1e-5)


def test_the_parts_of_a_bias_are_those_of_the_input_and_of_the_recurrent_product() -> None:
    bias = np.arange(6.0).reshape(2, 3)
    assert cells.input_bias("gru", bias).tolist() == [0, 1, 2]
    assert cells.recurrent_bias("gru", bias).tolist() == [3, 4, 5]
    for cell in ("rnn", "lstm"):
        assert cells.input_bias(cell, bias) is bias
        assert cells.recurrent_bias(cell, bias) is None
    assert cells.input_bias("layer_norm_lstm", bias) == 0.0
    assert cells.recurrent_bias("layer_norm_lstm", bias) is bias


@pytest.mark.parametrize("cell", list(cells.KINDS))
def test_a_step_gives_as_many_states_as_its_kind_says(cell: str) -> None:
    kind, batch, units = cells.KINDS[cell], 2, 3
    product = tf.ones((batch, kind.gates * units))
    bias = {"gru": tf.zeros(3 * units), "layer_norm_lstm": tf.ones((2, cells.NORMS, units))}.get(cell)
    after = cells.step(cell, product, product, [tf.zeros((batch, units))] * kind.states, bias)
    assert [tuple(state.shape) for state in after.states] == [(batch, units)] * kind.states
