"""One step of each cell type: the equations that training and the exported graph share.

Equations, gate order and weight layout are those of Keras' `SimpleRNN`, `GRU(reset_after=True)` and `LSTM`. The
layer-normalized LSTM is that of Ba, Kiros and Hinton (2016, arXiv:1607.06450): the input of every gate and the cell
state are normalized over the units, each with its own gain and offset, which replace the bias.
`trainer/engine/README.md` lists the equations and their gradients; CONTRIBUTING.md lists what a new cell needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

_NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class Kind:
    """Properties of a cell type.

    >>> KINDS["gru"].bias_shape(units=256)
    (2, 768)

    Attributes:
      gates: width of its matrix products, in units.
      states: state tensors of a layer: the output, and for an LSTM the cell state.
      keras_layer: name of the Keras layer with these equations and weights; None if Keras does not provide one.
      reset_after: the reset gate multiplies the candidate's recurrent product after its bias is added; therefore the
        two products have separate biases.
      norms: layer-normalized values in a step, each with a gain and an offset in place of a bias.
    """

    gates: int
    states: int
    keras_layer: str | None = None
    reset_after: bool = False
    norms: int = 0

    def bias_shape(self, units: int) -> tuple[int, ...]:
        """Shape of a layer's bias, or of its gains and offsets."""
        if self.norms:
            return 2, self.norms, units
        return (2, self.gates * units) if self.reset_after else (self.gates * units,)


KINDS = {
    "rnn": Kind(gates=1, states=1, keras_layer="SimpleRNN"),
    "gru": Kind(gates=3, states=1, keras_layer="GRU", reset_after=True),
    "lstm": Kind(gates=4, states=2, keras_layer="LSTM"),
    "layer_norm_lstm": Kind(gates=4, states=2, norms=5),  # the inputs of the four gates, and the cell state
}


@dataclass(frozen=True)
class Step:
    """Result of one step.

    Attributes:
      states: after the step, (batch, units) each; the first is the cell's output.
      activations: what the backward pass needs, (batch, units) or (batch, 1) each.
    """

    states: list[tf.Tensor]
    activations: list[tf.Tensor]


def input_bias(cell: str, bias: Any) -> Any:
    """Return the part of a layer's bias that is added to the input product; 0.0 if the cell normalizes instead.

    Args:
      cell: a key of `KINDS`.
      bias: of the shape that `Kind.bias_shape` gives.
    """
    kind = KINDS[cell]
    if kind.reset_after:
        # The reset gate multiplies the candidate's recurrent product, so only that bias cannot be added beforehand.
        with_both = np.repeat(np.array([1, 1, 0], np.float32), bias.shape[-1] // kind.gates)
        return bias[0] + bias[1] * with_both
    return 0.0 if kind.norms else bias


def recurrent_bias(cell: str, bias: Any) -> Any:
    """Return the part of a layer's bias that `step` takes; None if the cell has no such part."""
    kind = KINDS[cell]
    if kind.reset_after:
        return bias[1, -(bias.shape[-1] // kind.gates) :]
    return bias if kind.norms else None


def slice_units(x: tf.Tensor, first: int, count: int, axis: int) -> tf.Tensor:
    """Slice columns of a matrix, or rows for axis 0, with the fastest operation for each: rows are not copied."""
    return x[first : first + count] if axis == 0 else tf.slice(x, (0, first), (-1, count))


def sigmoid(x: tf.Tensor) -> tf.Tensor:
    """Compute the logistic function from tanh, which TensorFlow computes several times faster on a CPU."""
    return 0.5 * tf.tanh(0.5 * x) + 0.5


def step(cell: str, x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: Any, axis: int = -1) -> Step:
    """Advance one layer by one character.

    Args:
      cell: a key of `KINDS`.
      x: input product with its bias, (batch, gates * units).
      recurrent: product of the previous output, (batch, gates * units).
      states: before the step, (batch, units) each.
      bias: the result of `recurrent_bias`.
      axis: of the units; 0 if all of these are transposed to (units, batch), the bias then with a last axis for the
        batch.
    """
    return _STEPS[cell](x, recurrent, states, bias, axis)


def _rnn(x: tf.Tensor, recurrent: tf.Tensor, *_: Any) -> Step:
    h = tf.tanh(x + recurrent)
    return Step([h], [h])


def _gru(x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: Any, axis: int) -> Step:
    (h,) = states
    units = h.shape[axis]
    gates = sigmoid(slice_units(x, 0, 2 * units, axis) + slice_units(recurrent, 0, 2 * units, axis))
    update, reset = slice_units(gates, 0, units, axis), slice_units(gates, units, units, axis)
    recurrent_candidate = slice_units(recurrent, 2 * units, units, axis) + bias
    candidate = tf.tanh(slice_units(x, 2 * units, units, axis) + reset * recurrent_candidate)
    return Step([candidate + update * (h - candidate)], [update, reset, candidate, recurrent_candidate])


def _lstm(x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], _: Any, axis: int) -> Step:
    gates = _activate(_split_gates(x + recurrent, states[0].shape[axis], axis))
    input_gate, forget_gate, candidate, output_gate = gates
    c = forget_gate * states[1] + input_gate * candidate
    tanh_c = tf.tanh(c)
    return Step([output_gate * tanh_c, c], [*gates, tanh_c, states[1]])


def _layer_norm_lstm(x: tf.Tensor, recurrent: tf.Tensor, states: Sequence[tf.Tensor], bias: Any, axis: int) -> Step:
    gains, offsets = tf.unstack(bias[0]), tf.unstack(bias[1])
    parts = _split_gates(x + recurrent, states[0].shape[axis], axis)
    normalized, inverse_stds = zip(*(normalize(part, axis) for part in parts))
    gates = _activate([value * gain + offset for value, gain, offset in zip(normalized, gains, offsets)])
    input_gate, forget_gate, candidate, output_gate = gates
    normalized_c, inverse_std_c = normalize(forget_gate * states[1] + input_gate * candidate, axis)
    c = normalized_c * gains[4] + offsets[4]
    tanh_c = tf.tanh(c)
    activations = [*gates, tanh_c, states[1], *normalized, normalized_c, *inverse_stds, inverse_std_c]
    return Step([output_gate * tanh_c, c], activations)


def _split_gates(x: tf.Tensor, units: int, axis: int) -> list[tf.Tensor]:
    return [slice_units(x, gate * units, units, axis) for gate in range(4)]


def _activate(gates: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Activate an LSTM's input gate, forget gate, candidate and output gate."""
    input_gate, forget_gate, candidate, output_gate = gates
    return [sigmoid(input_gate), sigmoid(forget_gate), tf.tanh(candidate), sigmoid(output_gate)]


def normalize(x: tf.Tensor, axis: int = -1) -> tuple[tf.Tensor, tf.Tensor]:
    """Scale to zero mean and unit variance over an axis; return the result and one over the standard deviation."""
    mean = tf.reduce_mean(x, axis, keepdims=True)
    centered = x - mean
    inverse_std = tf.math.rsqrt(tf.reduce_mean(centered * centered, axis, keepdims=True) + _NORM_EPSILON)
    return centered * inverse_std, inverse_std


_STEPS = {"rnn": _rnn, "gru": _gru, "lstm": _lstm, "layer_norm_lstm": _layer_norm_lstm}
