"""The cells' pieces that the whole-layer tests do not show: see tests/trainer/test_recurrent.py for the equations."""

import numpy as np
import pytest
import tensorflow as tf

from serving import cells

pytestmark = pytest.mark.integration


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
    bias = np.array([[0.0, 1.0, 2.0], [30.0, 40.0, 50.0]])
    assert cells.input_bias("gru", bias).tolist() == [30.0, 41.0, 2.0]  # the update and the reset gate add them anyway
    assert cells.recurrent_bias("gru", bias).tolist() == [50.0]
    for cell in ("rnn", "lstm"):
        assert cells.input_bias(cell, bias) is bias
        assert cells.recurrent_bias(cell, bias) is None
    assert cells.input_bias("layer_norm_lstm", bias) == 0.0
    assert cells.recurrent_bias("layer_norm_lstm", bias) is bias


@pytest.mark.parametrize("cell", list(cells.KINDS))
def test_a_step_gives_as_many_states_as_its_kind_says(cell: str) -> None:
    kind, batch, units = cells.KINDS[cell], 2, 3
    product = tf.ones((batch, kind.gates * units))
    bias = {"gru": tf.zeros(units), "layer_norm_lstm": tf.ones((2, cells.NORMS, units))}.get(cell)
    after = cells.step(cell, product, product, [tf.zeros((batch, units))] * kind.states, bias)
    assert [tuple(state.shape) for state in after.states] == [(batch, units)] * kind.states


@pytest.mark.parametrize("cell", list(cells.KINDS))
def test_a_step_on_transposed_matrices_is_the_step_transposed(cell: str) -> None:
    random, kind, batch, units = np.random.default_rng(2), cells.KINDS[cell], 2, 3
    x, recurrent = (random.standard_normal((batch, kind.gates * units)).astype(np.float32) for _ in range(2))
    states = [random.standard_normal((batch, units)).astype(np.float32) for _ in range(kind.states)]
    shape = {"gru": (units,), "layer_norm_lstm": (2, cells.NORMS, units)}.get(cell)
    bias = None if shape is None else random.standard_normal(shape).astype(np.float32)
    one = cells.step(cell, x, recurrent, [tf.constant(state) for state in states], bias)
    columns = None if bias is None else tf.repeat(bias[..., None], batch, -1)
    other = cells.step(cell, tf.constant(x.T), tf.constant(recurrent.T), [state.T for state in states], columns, axis=0)
    for expected, actual in zip([*one.states, *one.saved], [*other.states, *other.saved], strict=True):
        np.testing.assert_allclose(tf.transpose(actual), expected, rtol=1e-5, atol=1e-6)
