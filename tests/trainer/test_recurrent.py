"""The fused operation against other people's arithmetic: outputs, states and every gradient.

Stock Keras layers where there are such; for the layer-normalised LSTM its published equations, written out here and
differentiated by TensorFlow.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from serving import cells
from serving.cells import KINDS, NORMS
from trainer import recurrent
from trainer.layout import Layout

TIME, BATCH, FEATURES, UNITS = 9, 4, 5, 8
LAYOUTS = [Layout(batch_last=False), Layout(batch_last=True)]
STOCK = {"rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
Layer = Callable[[tf.Tensor, Sequence[tf.Tensor], Sequence[tf.Tensor]], tuple[tf.Tensor, Sequence[tf.Tensor]]]


def weights_of(cell: str, random: np.random.Generator, features: int = FEATURES) -> list[tf.Tensor]:
    gates = KINDS[cell].gates
    bias = {"gru": (2, 3 * UNITS), "layer_norm_lstm": (2, NORMS, UNITS)}.get(cell, (gates * UNITS,))
    shapes = [(features, gates * UNITS), (UNITS, gates * UNITS), bias]
    return [tf.constant(random.standard_normal(shape) * 0.3, tf.float32) for shape in shapes]


class Stock:
    """Stock Keras layers that hold the weights themselves, with their own recurrent dropout by a mask that is given."""

    def __init__(self, cell: str, stack: Sequence[Sequence[tf.Tensor]], mask: tf.Tensor | None = None) -> None:
        self._layers = {}
        self._masked = mask is not None
        self._masks = mask if cell == "rnn" else [mask] * KINDS[cell].gates
        for weights in stack:
            layer = STOCK[cell](UNITS, return_sequences=True, return_state=True, recurrent_dropout=0.5 * self._masked)
            layer.build((None, None, weights[0].shape[0]))
            layer.set_weights([weight.numpy() for weight in weights])
            variables = [variable.value for variable in layer.trainable_variables]
            self._layers[id(variables[0])] = (layer, variables)

    @property
    def stack(self) -> list[list[tf.Variable]]:
        return [variables for _, variables in self._layers.values()]

    def __call__(self, x: tf.Tensor, states: Sequence[tf.Tensor], weights: Sequence[tf.Variable]) -> Any:
        layer, _ = self._layers[id(weights[0])]
        if self._masked:
            layer.cell._recurrent_dropout_mask = self._masks  # it draws one only if it has none
        outputs, *last = layer(tf.transpose(x, (1, 0, 2)), initial_state=list(states), training=self._masked)
        return tf.transpose(outputs, (1, 0, 2)), last


def published_layer(
    x: tf.Tensor, states: Sequence[tf.Tensor], weights: Sequence[tf.Tensor], mask: tf.Tensor | None = None
) -> Any:
    """Layer-normalised LSTM by its equations; gates in the order input, forget, candidate, output."""
    mask = tf.ones((BATCH, UNITS)) if mask is None else mask
    kernel, recurrent_kernel, (gain, offset) = weights[0], weights[1], tf.unstack(weights[2])
    h, c = states

    def norm(a: tf.Tensor, which: int) -> tf.Tensor:
        mean, variance = tf.nn.moments(a, [-1], keepdims=True)
        return tf.nn.batch_normalization(a, mean, variance, offset[which], gain[which], 1e-6)

    outputs = []
    for t in range(x.shape[0]):
        parts = tf.split(x[t] @ kernel + (h * mask) @ recurrent_kernel, 4, axis=1)
        i, f, g, o = (norm(part, which) for which, part in enumerate(parts))
        c = norm(tf.nn.sigmoid(f) * c + tf.nn.sigmoid(i) * tf.tanh(g), 4)
        h = tf.nn.sigmoid(o) * tf.tanh(c)
        outputs.append(h)
    return tf.stack(outputs), [h, c]


def fused(cell: str, layout: Layout, compute_dtype: tf.DType = tf.float32, mask: tf.Tensor | None = None) -> Layer:
    """The operation, for input and with outputs of (time, batch, features) in either layout."""

    def run(x: tf.Tensor, states: Sequence[tf.Tensor], weights: Sequence[tf.Tensor]) -> Any:
        outputs, last = recurrent.layer(cell, layout.turned(x), states, *weights, layout, compute_dtype, mask)
        return layout.turned(outputs), last

    return run


def results(layer: Layer | None, cell: str, layers: int = 1, mask: tf.Tensor | None = None) -> list[np.ndarray]:
    """Outputs, last states, and gradients by input, first states and weights of a scalar of all of them.

    Without a layer those of the reference, whose former outputs the mask multiplies.
    """
    random = np.random.default_rng(3)
    x = tf.constant(random.standard_normal((TIME, BATCH, FEATURES)), tf.float32)
    count = KINDS[cell].states
    states = [tf.constant(random.standard_normal((BATCH, UNITS)), tf.float32) for _ in range(layers * count)]
    stack = [weights_of(cell, random, UNITS if i else FEATURES) for i in range(layers)]
    pull = tf.constant(random.standard_normal((TIME, BATCH, UNITS)), tf.float32)
    run_layer = layer or partial(published_layer, mask=mask)
    if layer is None and cell in STOCK:
        run_layer = stock = Stock(cell, stack, mask)
        stack = stock.stack
    sources = [x, *states, *(weight for weights in stack for weight in weights)]

    @tf.function(autograph=False)
    def run() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs, last = x, []
            for i, weights in enumerate(stack):
                outputs, after = run_layer(outputs, states[i * count : (i + 1) * count], weights)
                last += list(after)
            total = tf.reduce_sum(outputs * pull) + tf.add_n([tf.reduce_sum(part**2) for part in last])
        return [outputs, *last, *tape.gradient(total, sources)]

    return [value.numpy() for value in run()]


@pytest.mark.parametrize(("compute_dtype", "tolerance"), [(tf.float32, 1e-5), (tf.bfloat16, 1e-2)])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cell", list(KINDS))
def test_agrees_with_the_reference(
    cell: str, layout: Layout, layers: int, compute_dtype: tf.DType, tolerance: float
) -> None:
    """Carried state goes in and comes out; in bfloat16 the mean error counts, for single products are rounded."""
    for expected, actual in zip(results(None, cell, layers), results(fused(cell, layout, compute_dtype), cell, layers)):
        error, scale = np.abs(expected - actual), max(1.0, float(np.abs(expected).max()))
        assert (error.max() if compute_dtype == tf.float32 else error.mean()) <= tolerance * scale


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cell", list(KINDS))
def test_a_recurrent_mask_multiplies_the_former_output_in_every_step(cell: str, layout: Layout) -> None:
    mask = tf.constant(np.random.default_rng(6).integers(0, 2, (BATCH, UNITS)) * 2.0, tf.float32)

    for expected, actual in zip(results(None, cell, mask=mask), results(fused(cell, layout, mask=mask), cell)):
        np.testing.assert_allclose(actual, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cell", list(KINDS))
def test_a_window_in_two_parts_is_the_window_in_one(cell: str, layout: Layout) -> None:
    random = np.random.default_rng(5)
    x = tf.constant(random.standard_normal((TIME, BATCH, FEATURES)), tf.float32)
    states = [tf.zeros((BATCH, UNITS))] * KINDS[cell].states
    weights = weights_of(cell, random)
    whole, last = fused(cell, layout)(x, states, weights)
    first, between = fused(cell, layout)(x[:4], states, weights)
    second, end = fused(cell, layout)(x[4:], between, weights)
    np.testing.assert_allclose(tf.concat([first, second], 0), whole, atol=1e-6)
    for one, other in zip(end, last, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cell", list(KINDS))
def test_a_projection_that_is_looked_up_is_the_one_that_is_computed(cell: str, layout: Layout, masked: bool) -> None:
    """Outputs, states and gradients by embedding, kernels, bias and first states; some ids never occur."""
    random = np.random.default_rng(7)
    ids = tf.constant(random.integers(0, 6, (TIME, BATCH)), tf.int32)
    embedding = tf.constant(random.standard_normal((8, FEATURES)), tf.float32)
    states = [tf.constant(random.standard_normal((BATCH, UNITS)), tf.float32) for _ in range(KINDS[cell].states)]
    weights = weights_of(cell, random)
    mask = tf.constant([[0.0, 2.0] * (UNITS // 2)] * BATCH) if masked else None
    pull = tf.constant(random.standard_normal((TIME, BATCH, UNITS)), tf.float32)

    def computed() -> Any:
        return fused(cell, layout, mask=mask)(tf.gather(embedding, ids), states, weights)

    def looked_up() -> Any:
        kernel, recurrent_kernel, bias = weights
        table = embedding @ kernel + cells.input_bias(cell, bias)
        rest = cells.recurrent_bias(cell, bias)
        outputs, last = recurrent.layer_of_ids(
            cell, ids, table, states, recurrent_kernel, rest, layout, recurrent_mask=mask
        )
        return layout.turned(outputs), last

    def all_of(run: Callable[[], Any]) -> list[tf.Tensor]:
        sources = [embedding, *states, *weights]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs, last = run()
            total = tf.reduce_sum(outputs * pull) + tf.add_n([tf.reduce_sum(part**2) for part in last])
        return [outputs, *last, *map(tf.convert_to_tensor, tape.gradient(total, sources))]

    for expected, actual in zip(all_of(computed), all_of(looked_up), strict=True):
        np.testing.assert_allclose(actual, expected, atol=2e-5, rtol=1e-5)
