"""The fused operation against the stock Keras layer: outputs, state and every gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.recurrent import gru, sigmoid

TIME, BATCH, FEATURES, UNITS = 9, 4, 5, 8


def _stock_and_fused(compute_dtype: tf.DType) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outputs, last state and gradients of a scalar of them, from the stock layer and from the fused operation."""
    random = np.random.default_rng(3)
    layer = keras.layers.GRU(UNITS, return_sequences=True, return_state=True)
    layer.build((None, None, FEATURES))
    for variable in layer.trainable_variables:
        variable.assign(random.standard_normal(variable.shape) * 0.5)
    x = tf.constant(random.standard_normal((TIME, BATCH, FEATURES)), tf.float32)
    state = tf.constant(random.standard_normal((BATCH, UNITS)), tf.float32)
    pull = tf.constant(random.standard_normal((TIME, BATCH, UNITS)), tf.float32)
    cell = layer.cell
    weights = [cell.kernel.value, cell.recurrent_kernel.value, cell.bias.value]

    @tf.function
    def stock() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([x, state])
            outputs, last = layer(tf.transpose(x, (1, 0, 2)), initial_state=state)
            outputs = tf.transpose(outputs, (1, 0, 2))
            total = tf.reduce_sum(outputs * pull) + tf.reduce_sum(last**2)
        return [outputs, last, *tape.gradient(total, [x, state, *weights])]

    @tf.function
    def fused() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([x, state])
            outputs, last = gru(x, state, *weights, compute_dtype=compute_dtype)
            total = tf.reduce_sum(outputs * pull) + tf.reduce_sum(last**2)
        return [outputs, last, *tape.gradient(total, [x, state, *weights])]

    return [value.numpy() for value in stock()], [value.numpy() for value in fused()]


@pytest.mark.parametrize(("compute_dtype", "tolerance"), [(tf.float32, 1e-5), (tf.bfloat16, 2e-2)])
def test_agrees_with_the_stock_layer(compute_dtype: tf.DType, tolerance: float) -> None:
    stock, fused = _stock_and_fused(compute_dtype)
    for expected, actual in zip(stock, fused):
        scale = np.abs(expected).max()
        assert np.abs(expected - actual).max() <= tolerance * max(1.0, scale)


def test_sigmoid_is_the_logistic_function() -> None:
    x = tf.linspace(-20.0, 20.0, 401)
    np.testing.assert_allclose(sigmoid(x), 1 / (1 + np.exp(-x.numpy().astype(np.float64))), atol=2e-7)
