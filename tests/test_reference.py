"""The float64 reference equals stock Keras layers, and for layer normalization the equations of the paper."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from serving.graph.cells import KINDS
from tests import numeric, reference

pytestmark = pytest.mark.integration
TIME, BATCH, FEATURES, UNITS = 4, 3, 2, 5
STOCK = [cell for cell, kind in KINDS.items() if kind.keras_layer]
random = np.random.default_rng(3)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cell", STOCK)
def test_outputs_states_and_gradients_equal_those_of_the_stock_layer(cell: str, masked: bool) -> None:
    """Both run in float64, so that only the equations can differ."""
    kind = KINDS[cell]
    x = tf.constant(random.standard_normal((BATCH, TIME, FEATURES)))
    states = [tf.constant(random.standard_normal((BATCH, UNITS))) for _ in range(kind.states)]
    mask = tf.constant(random.integers(0, 2, (BATCH, UNITS)) * 2.0) if masked else None
    stock = getattr(keras.layers, str(kind.keras_layer))(
        UNITS, return_sequences=True, return_state=True, recurrent_dropout=0.5 * masked, dtype="float64"
    )
    stock.build((None, None, FEATURES))
    stock.set_weights([random.standard_normal(weight.shape) for weight in stock.weights])
    if masked:  # it samples a mask only if it has none
        stock.cell._recurrent_dropout_mask = mask if kind.gates == 1 else [mask] * kind.gates
    weights = [variable.value for variable in stock.trainable_variables]
    noise = reference.Noise()

    def by_keras(sources: list[Any]) -> Any:
        outputs, *last = stock(sources[0], initial_state=sources[1 : len(states) + 1], training=masked)
        return outputs, last

    def by_reference(sources: list[Any]) -> Any:
        x, rest = tf.transpose(sources[0], (0, 2, 1, 3)), sources[1:]
        runs = None if mask is None else noise.given(mask)
        outputs, last = reference.layer(noise, cell, x, rest[: len(states)], rest[len(states) :], runs)
        return tf.transpose(outputs, (0, 2, 1, 3)), last

    found = []
    given = [x, *states, *weights]
    for run, sources in ((by_keras, given), (by_reference, [noise.given(source) for source in given])):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs, last = run(sources)
            total = tf.reduce_sum(outputs**2) + tf.add_n([tf.reduce_sum(part**3) for part in last])
        found.append([outputs, *last, *tape.gradient(total, sources)])
    for expected, runs in zip(*found, strict=True):
        np.testing.assert_allclose(runs[0], expected, rtol=1e-11, atol=1e-13)
        assert (numeric.bound(runs) > 0)[runs[0] != 0].all()


def test_layer_normalized_step_equals_the_published_equations() -> None:
    """Ba, Kiros, and Hinton (2016), equations 20 to 22, for one passage and one step; gates in the order i, f, g, o."""
    noise = reference.Noise()
    x, h, c = random.standard_normal(FEATURES), random.standard_normal(UNITS), random.standard_normal(UNITS)
    kernel, recurrent_kernel = (random.standard_normal((rows, 4 * UNITS)) for rows in (FEATURES, UNITS))
    bias = random.standard_normal((2, 5, UNITS))

    def norm(a: Any, which: int) -> Any:
        return bias[0, which] * (a - a.mean()) / np.sqrt(a.var() + 1e-6) + bias[1, which]

    def sigmoid(a: Any) -> Any:
        return 1 / (1 + np.exp(-a))

    i, f, g, o = (norm(a, which) for which, a in enumerate(np.split(x @ kernel + h @ recurrent_kernel, 4)))
    c_after = norm(sigmoid(f) * c + sigmoid(i) * np.tanh(g), 4)
    h_after = sigmoid(o) * np.tanh(c_after)

    states = [noise.given(state[None]) for state in (h, c)]
    weights = [noise.given(weight) for weight in (kernel, recurrent_kernel, bias)]
    outputs, last = reference.layer(noise, "layer_norm_lstm", noise.given(x[None, None]), states, weights)
    for value, exact in zip([outputs[0, 0, 0], *(part[0, 0] for part in last)], [h_after, h_after, c_after]):
        np.testing.assert_allclose(value, exact, rtol=1e-11)
