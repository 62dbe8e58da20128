"""Float64 reference of the recurrent layers, with the roundings of `tests.numeric` in the forward and backward pass.

TensorFlow differentiates it. tests/test_reference.py compares it with stock Keras layers, and
tests/trainer/engine/test_readme.py with the slow reference in the engine's README. The equations are the published
ones; where two forms of an equation round differently, the engine's form is used.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tests import numeric

EPSILON = 1e-6  # in layer normalization


class Noise(numeric.Noise):
    """Applies roundings to float64 tensors and to their gradients."""

    def given(self, x: Any) -> tf.Tensor:
        """Repeat a value for each run."""
        return tf.constant(self.runs(x))

    def __call__(self, x: tf.Tensor, units: float = 1.0) -> tf.Tensor:
        rounded = super().__call__

        @tf.custom_gradient
        def run(x: tf.Tensor) -> Any:
            return rounded(x, units), rounded

        return run(x)

    def tanh(self, x: tf.Tensor) -> tf.Tensor:
        """Return tanh; its gradient is computed from the rounded result."""
        rounded = super().__call__

        @tf.custom_gradient
        def run(x: tf.Tensor) -> Any:
            y = rounded(tf.tanh(x), numeric.FUNCTION)
            return y, lambda d: rounded(d * rounded(1.0 - y * y), 2.0)

        return run(x)

    def sigmoid(self, x: tf.Tensor) -> tf.Tensor:
        """Return the sigmoid, computed with tanh: results near zero are rounded like one half."""
        return self(0.5 * self.tanh(0.5 * x) + 0.5)

    def stored(self, x: tf.Tensor) -> tf.Tensor:
        """Round to the type of products, in both passes."""
        return self(x, self.products / self.unit)

    def product(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """Return a matrix product whose left factor and result are stored; `b` has been stored before."""
        product = super().product

        @tf.custom_gradient
        def run(a: tf.Tensor, b: tf.Tensor) -> Any:
            def gradient(d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                return product(d, tf.linalg.matrix_transpose(b)), product(tf.linalg.matrix_transpose(a), d)

            return product(a, b), gradient

        return self.stored(run(self.stored(a), b))

    def mean(self, x: tf.Tensor) -> tf.Tensor:
        """Return the mean over the last axis, repeated along it; both passes are sums."""
        rounded, n = super().__call__, x.shape[-1]

        def of(x: tf.Tensor) -> tf.Tensor:
            mean = tf.reduce_mean(x, -1, keepdims=True)
            rounding = n**0.5 * self.unit * tf.reduce_mean(abs(x), -1, keepdims=True)
            return tf.repeat(rounded(mean + rounding * self.signs(mean.shape)), n, -1)

        @tf.custom_gradient
        def run(x: tf.Tensor) -> Any:
            return of(x), of

        return run(x)

    def shared(self, x: tf.Tensor, counts: Sequence[int], terms: int) -> tf.Tensor:
        """Repeat along new axes after that of the runs; the gradient is a sum of `terms`."""
        axes = list(range(1, 1 + len(counts)))

        @tf.custom_gradient
        def run(x: tf.Tensor) -> Any:
            def gradient(d: tf.Tensor) -> tf.Tensor:
                size = float(terms) ** 0.5 * self.unit * tf.reduce_sum(abs(d), axes)
                return tf.reduce_sum(d, axes) + size * self.signs(size.shape)

            shape = [x.shape[0], *counts, *x.shape[1:]]
            return tf.broadcast_to(tf.reshape(x, [x.shape[0], *[1] * len(counts), *x.shape[1:]]), shape), gradient

        return run(x)


def layer(
    noise: Noise,
    cell: str,
    x: tf.Tensor,
    states: Sequence[tf.Tensor],
    weights: Sequence[tf.Tensor],
    mask: Any = None,
    ids: Any = None,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Return outputs and last states, with the axis of the runs before the axes of `trainer.engine.recurrent.layer`.

    Args:
      ids: (time, batch); `x` is then the embedding (ids, features), and the input product is computed once per id, so
        that its roundings repeat with the id.
    """
    time, batch = x.shape[1:3] if ids is None else ids.shape
    # The rounding of a weight to the type of products is the same in every step.
    kernel, recurrent_kernel = noise.stored(weights[0]), noise.stored(weights[1])
    recurrent_kernel = noise.shared(recurrent_kernel, [time], time * batch)
    bias = noise.shared(noise.stored(weights[2]), [time, batch], time * batch)
    if ids is None:
        product = noise.product(x, noise.shared(kernel, [time], time * batch))
        projected = noise(INPUT_BIASES[cell](product, bias))
    else:
        table = INPUT_BIASES[cell](noise.product(x, kernel), noise.shared(weights[2], [x.shape[1]], time * batch))
        projected = looked_up(noise, noise.stored(table), ids)
    outputs = []
    for t in range(time):
        masked = states[0] if mask is None else noise(states[0] * mask)
        recurrent = noise.product(masked, recurrent_kernel[:, t])
        states = [noise(state) for state in STEPS[cell](noise, projected[:, t], recurrent, states, bias[:, t])]
        outputs.append(states[0])
    return tf.stack(outputs, 1), list(states)


def looked_up(noise: Noise, table: tf.Tensor, ids: Any) -> tf.Tensor:
    """Return rows of a table (rows, n): (*ids, n). The gradient is a sum over all ids."""
    hot = noise.given(np.eye(table.shape[1])[ids])
    spread = noise.shared(table, ids.shape, int(np.prod(ids.shape)))
    return tf.reduce_sum(hot[..., None] * spread, -2)


def logits(
    noise: Noise,
    cell: str,
    ids: Any,
    states: Sequence[tf.Tensor],
    weights: Sequence[tf.Tensor],
    inside: Noise | None = None,
    by_id: bool = False,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Return a language model's logits (runs, batch, time, vocabulary) and last states.

    Args:
      ids: (batch, time).
      weights: the embedding, three per layer, kernel and bias of the projection.
      inside: the noise of the layers, if they use other types.
      by_id: whether the first layer's input product is computed once per id.
    """
    embedding, *stack, kernel, bias = weights
    inside, count = inside or noise, len(states) * 3 // len(stack)
    x, last = embedding if by_id else looked_up(noise, embedding, ids.T), []
    for i in range(len(stack) // 3):
        of_layer = states[i * count : (i + 1) * count]
        x, after = layer(inside, cell, x, of_layer, stack[3 * i : 3 * i + 3], ids=ids.T if by_id and i == 0 else None)
        last += after
    runs, time, batch, units = x.shape
    flat = tf.reshape(tf.transpose(x, (0, 2, 1, 3)), (runs, batch * time, units))
    out = noise(noise.product(flat, noise.stored(kernel)) + noise.shared(bias, [batch * time], batch * time))
    return tf.reshape(out, (runs, batch, time, -1)), last


def cross_entropy(noise: Noise, logits: tf.Tensor, targets: Any) -> tf.Tensor:
    """Return the mean of each run."""
    centered = noise(logits - tf.stop_gradient(tf.reduce_max(logits, -1, keepdims=True)))
    powers = noise(tf.exp(centered), numeric.FUNCTION)
    total = noise(tf.reduce_sum(powers, -1), float(logits.shape[-1]) ** 0.5)
    hot = np.eye(logits.shape[-1])[targets]
    nats = noise(noise(tf.math.log(total), numeric.FUNCTION) - tf.reduce_sum(centered * hot, -1))
    return tf.reduce_mean(noise(nats, float(targets.size) ** 0.5), [1, 2])


def _gru_input_bias(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Add all of the bias but the part that the reset gate multiplies."""
    units = x.shape[-1] // 3
    return x + bias[..., 0, :] + bias[..., 1, :] * np.repeat([1.0, 1.0, 0.0], units)


def _rnn(noise: Noise, x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: tf.Tensor) -> Any:
    return [noise.tanh(noise(x + recurrent))]


def _gru(noise: Noise, x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: tf.Tensor) -> Any:
    (x_u, x_r, x_c), (r_u, r_r, r_c) = tf.split(x, 3, -1), tf.split(recurrent, 3, -1)
    update, reset = noise.sigmoid(noise(x_u + r_u)), noise.sigmoid(noise(x_r + r_r))
    product = noise(r_c + tf.split(bias[..., 1, :], 3, -1)[2])
    candidate = noise.tanh(noise(x_c + noise(reset * product)))
    return [candidate + noise(update * noise(states[0] - candidate))]


def _lstm(noise: Noise, x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: tf.Tensor) -> Any:
    input_gate, forget, candidate, output = tf.split(noise(x + recurrent), 4, -1)
    c = noise(_new_cell(noise, input_gate, forget, candidate, states[1]))
    return [noise.sigmoid(output) * noise.tanh(c), c]


def _layer_norm_lstm(
    noise: Noise, x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: tf.Tensor
) -> Any:
    def norm(value: tf.Tensor, which: int) -> tf.Tensor:
        normal, _ = normalized(noise, value)
        return noise(noise(normal * bias[..., 0, which, :]) + bias[..., 1, which, :])

    total = tf.split(noise(x + recurrent), 4, -1)
    input_gate, forget, candidate, output = (norm(value, which) for which, value in enumerate(total))
    c = norm(_new_cell(noise, input_gate, forget, candidate, states[1]), 4)
    return [noise.sigmoid(output) * noise.tanh(c), c]


def normalized(noise: Noise, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Normalize over the last axis; also return the reciprocal standard deviation, repeated along it."""
    centered = noise(x - noise.mean(x))
    inverse_std = noise(tf.math.rsqrt(noise(noise.mean(noise(centered * centered)) + EPSILON)), numeric.FUNCTION)
    return noise(centered * inverse_std), inverse_std


def _new_cell(noise: Noise, input_gate: tf.Tensor, forget: tf.Tensor, candidate: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
    return noise(noise(noise.sigmoid(forget) * c) + noise(noise.sigmoid(input_gate) * noise.tanh(candidate)))


# Adds the part of the bias that can be added before the steps to the input product.
INPUT_BIASES: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "rnn": tf.add,
    "gru": _gru_input_bias,
    "lstm": tf.add,
    "layer_norm_lstm": lambda x, bias: x,
}
STEPS: dict[str, Callable[..., Any]] = {
    "rnn": _rnn,
    "gru": _gru,
    "lstm": _lstm,
    "layer_norm_lstm": _layer_norm_lstm,
}
