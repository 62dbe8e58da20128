"""One step of each kind of recurrent cell.

The same equations serve the exported graph and training; training also keeps what the way back needs. Equations, order
of the gates and layout of the weights are those of Keras' `SimpleRNN`, `GRU(reset_after=True)` and `LSTM`. The
layer-normalised LSTM is Ba, Kiros and Hinton's (2016, arXiv:1607.06450): every gate's sum of products and the cell are
normalised over the units, each with a gain and an offset of its own, which take the place of the bias.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

_NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class Kind:
    """What distinguishes a cell from outside.

    Attributes:
      gates: width of its products, in units.
      states: tensors that it carries: its output, and for an LSTM the cell.
    """

    gates: int
    states: int


KINDS = {"rnn": Kind(1, 1), "gru": Kind(3, 1), "lstm": Kind(4, 2), "layer_norm_lstm": Kind(4, 2)}
NORMS = 5  # of a layer-normalised LSTM: input, forget, candidate, output, cell


@dataclass(frozen=True)
class Step:
    """A step's results.

    Attributes:
      states: after the step, (batch, units) each; the first is the cell's output.
      saved: what the gradient needs, (batch, ...) each.
    """

    states: list[tf.Tensor]
    saved: list[tf.Tensor]


def input_bias(cell: str, bias: Any) -> Any:
    """The part of a layer's bias (see `serving.graph.network.Weights`) that is added to the input's product."""
    if cell == "gru":
        # The reset gate multiplies the candidate's recurrent part: there alone the second bias has to wait.
        with_both = np.repeat(np.array([1, 1, 0], np.float32), bias.shape[-1] // 3)
        return bias[0] + bias[1] * with_both
    return 0.0 if cell == "layer_norm_lstm" else bias


def recurrent_bias(cell: str, bias: Any) -> Any:
    """The part of a layer's bias that `step` takes; None for cells that have no such part."""
    if cell == "gru":
        return bias[1, -(bias.shape[-1] // 3) :]
    return bias if cell == "layer_norm_lstm" else None


def part(x: tf.Tensor, first: int, count: int, axis: int) -> tf.Tensor:
    """Columns of a matrix, or rows for axis 0, by the fastest operation for each: rows are not even copied."""
    return x[first : first + count] if axis == 0 else tf.slice(x, (0, first), (-1, count))


def sigmoid(x: tf.Tensor) -> tf.Tensor:
    """The logistic function by way of tanh, which TensorFlow computes several times faster on a CPU."""
    return 0.5 * tf.tanh(0.5 * x) + 0.5


def step(cell: str, x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: Any, axis: int = -1) -> Step:
    """One character through one layer.

    Args:
      cell: a name of `KINDS`.
      x: product of the input, with its bias, (batch, gates * units).
      recurrent: product of the former output, (batch, gates * units).
      states: before the step.
      bias: what `recurrent_bias` gave.
      axis: 0 if all of them are transposed, units before batch; the bias then has an axis for the batch, too.
    """
    return _STEPS[cell](x, recurrent, states, bias, axis)


def _rnn(x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: Any, axis: int) -> Step:
    del states, bias, axis
    h = tf.tanh(x + recurrent)
    return Step([h], [h])


def _gru(x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: Any, axis: int) -> Step:
    (h,) = states
    units = h.shape[axis]
    gates = sigmoid(part(x, 0, 2 * units, axis) + part(recurrent, 0, 2 * units, axis))
    update, reset = part(gates, 0, units, axis), part(gates, units, units, axis)
    product = part(recurrent, 2 * units, units, axis) + bias
    candidate = tf.tanh(part(x, 2 * units, units, axis) + reset * product)
    return Step([candidate + update * (h - candidate)], [update, reset, candidate, product])


def _lstm(x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: Any, axis: int) -> Step:
    del bias
    total, units = x + recurrent, states[0].shape[axis]
    entry, forget, candidate, output = _lstm_gates([part(total, gate * units, units, axis) for gate in range(4)])
    c = forget * states[1] + entry * candidate
    squashed = tf.tanh(c)
    return Step([output * squashed, c], [entry, forget, candidate, output, squashed, states[1]])


def _layer_norm_lstm(x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: Any, axis: int) -> Step:
    total, units = x + recurrent, states[0].shape[axis]
    gains, offsets = tf.unstack(bias[0]), tf.unstack(bias[1])
    normals, deviations = zip(*(normalise(part(total, gate * units, units, axis), axis) for gate in range(4)))
    scaled = [normal * gain + offset for normal, gain, offset in zip(normals, gains, offsets)]
    entry, forget, candidate, output = _lstm_gates(scaled)
    normal, deviation = normalise(forget * states[1] + entry * candidate, axis)
    c = normal * gains[4] + offsets[4]
    squashed = tf.tanh(c)
    saved = [entry, forget, candidate, output, squashed, states[1], *normals, normal, *deviations, deviation]
    return Step([output * squashed, c], saved)


def _lstm_gates(parts: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Input gate, forget gate, candidate, output gate."""
    entry, forget, candidate, output = parts
    return sigmoid(entry), sigmoid(forget), tf.tanh(candidate), sigmoid(output)


def normalise(x: tf.Tensor, axis: int = -1) -> tuple[tf.Tensor, tf.Tensor]:
    """Zero mean and unit variance over an axis; and one over the standard deviation."""
    mean = tf.reduce_mean(x, axis, keepdims=True)
    centred = x - mean
    deviation = tf.math.rsqrt(tf.reduce_mean(centred * centred, axis, keepdims=True) + _NORM_EPSILON)
    return centred * deviation, deviation


_STEPS = {"rnn": _rnn, "gru": _gru, "lstm": _lstm, "layer_norm_lstm": _layer_norm_lstm}
