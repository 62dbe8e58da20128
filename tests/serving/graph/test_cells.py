"""Parts of the cells; tests/trainer/engine/test_recurrent.py compares complete layers with their equations."""

import doctest

import keras
import numpy as np
import pytest
import tensorflow as tf

from serving.graph import cells
from tests import numeric, reference

pytestmark = pytest.mark.integration


def test_example_of_the_docstring() -> None:
    assert doctest.testmod(cells) == (0, 1)


@pytest.mark.numeric
def test_sigmoid_is_the_logistic_function() -> None:
    x, noise = tf.linspace(-20.0, 20.0, 401), reference.Noise()
    runs = noise.sigmoid(noise.given(x))
    np.testing.assert_allclose(runs[0], 1 / (1 + np.exp(-x.numpy().astype(np.float64))), rtol=0, atol=1e-15)
    numeric.close(cells.sigmoid(x), runs)


@pytest.mark.numeric
def test_normalize_gives_mean_0_and_variance_1() -> None:
    x = np.random.default_rng(1).normal(3.0, 5.0, (7, 50)).astype(np.float32)
    noise = reference.Noise()
    normalized, inverse_std = reference.normalized(noise, noise.given(x))
    np.testing.assert_allclose(np.mean(normalized[0], -1), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.var(normalized[0], -1), 1.0, atol=reference.EPSILON)
    found = cells.normalize(tf.constant(x))
    numeric.close(found[0], normalized)
    numeric.close(found[1], inverse_std[..., :1])


def test_bias_is_split_between_the_input_and_the_recurrent_product() -> None:
    bias = np.array([[0.0, 1.0, 2.0], [30.0, 40.0, 50.0]])
    assert cells.input_bias("gru", bias).tolist() == [
        30.0,
        41.0,
        2.0,
    ]  # in the update and the reset gate the products are added anyway
    assert cells.recurrent_bias("gru", bias).tolist() == [50.0]
    for cell in ("rnn", "lstm"):
        assert cells.input_bias(cell, bias) is bias
        assert cells.recurrent_bias(cell, bias) is None
    assert cells.input_bias("layer_norm_lstm", bias) == 0.0
    assert cells.recurrent_bias("layer_norm_lstm", bias) is bias


@pytest.mark.parametrize("cell", list(cells.KINDS))
def test_step_returns_as_many_states_as_its_kind_has(cell: str) -> None:
    kind, batch, units = cells.KINDS[cell], 2, 3
    product = tf.ones((batch, kind.gates * units))
    bias = cells.recurrent_bias(cell, tf.ones(kind.bias_shape(units)))
    after = cells.step(cell, product, product, [tf.zeros((batch, units))] * kind.states, bias)
    assert [tuple(state.shape) for state in after.states] == [(batch, units)] * kind.states


STEP_ROUNDINGS = 30.0  # in units of roundoff: five functions of five each, and some sums and products


@pytest.mark.numeric
@pytest.mark.parametrize("cell", list(cells.KINDS))
def test_step_on_transposed_matrices_returns_the_transposed_step(cell: str) -> None:
    random, kind, batch, units = np.random.default_rng(2), cells.KINDS[cell], 2, 3
    x, recurrent = (random.standard_normal((batch, kind.gates * units)).astype(np.float32) for _ in range(2))
    states = [random.standard_normal((batch, units)).astype(np.float32) for _ in range(kind.states)]
    bias = cells.recurrent_bias(cell, random.standard_normal(kind.bias_shape(units)).astype(np.float32))
    one = cells.step(cell, x, recurrent, [tf.constant(state) for state in states], bias)
    columns = None if bias is None else tf.repeat(bias[..., None], batch, -1)
    other = cells.step(cell, tf.constant(x.T), tf.constant(recurrent.T), [state.T for state in states], columns, axis=0)
    # The same step in float64, with the runs as rows of the batch: its arguments and results are rounded.
    noise = numeric.Noise()
    many = [noise(noise.runs(value), STEP_ROUNDINGS).reshape(-1, value.shape[1]) for value in (x, recurrent, *states)]
    exact = cells.step(cell, many[0], many[1], many[2:], None if bias is None else tf.constant(bias, tf.float64))
    for runs, actual, transposed in zip(
        *([*step.states, *step.activations] for step in (exact, one, other)), strict=True
    ):
        for found in (actual, tf.transpose(transposed)):
            numeric.close(found, noise(np.reshape(runs, (-1, batch, runs.shape[1])), numeric.FUNCTION))


@pytest.mark.parametrize("cell", [cell for cell, kind in cells.KINDS.items() if kind.keras_layer])
def test_stock_layer_of_a_kind_has_its_bias_and_states(cell: str) -> None:
    kind, units = cells.KINDS[cell], 3
    layer = getattr(keras.layers, str(kind.keras_layer))(units, return_state=True)
    output, *states = layer(tf.zeros((2, 4, 5)))
    assert [tuple(weight.shape) for weight in layer.weights] == [
        (5, kind.gates * units),
        (units, kind.gates * units),
        kind.bias_shape(units),
    ]
    assert len(states) == kind.states
