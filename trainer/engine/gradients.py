"""Backward pass of one time step, for each cell type. `trainer/engine/README.md` states the equations and all shapes.

In brief, with G = `Kind.gates` (3 for "gru"): the gradients by both products of a step are (batch, G * units), kept
here in G pieces (batch, units). After the last step `steps.py` and `projection.py` sum them into the gradients by the
weights, each of the shape of what it belongs to: recurrent kernel (units, G * units), kernel (features, G * units),
bias (G * units,) or, for "gru", (2, G * units).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Tensors = Sequence[tf.Tensor]


@dataclass(frozen=True)
class StepGradients:
    """Gradients of the loss by the arguments of a step.

    Attributes:
      recurrent_grads: by the recurrent product, in pieces (batch, units), one for each gate.
      input_grads: by the last gates of the input product, if they differ from those of the recurrent product (only
        "gru": the candidate); else empty.
      state_grads: by the states before the step, without the path through the recurrent product.
      bias_grad: by the gains and offsets of a cell that normalizes, summed over the batch. None for other cells, whose
        bias gradients are sums of the gradients above over time and batch.
    """

    recurrent_grads: list[tf.Tensor]
    input_grads: list[tf.Tensor]
    state_grads: list[tf.Tensor]
    bias_grad: tf.Tensor | None = None


def backward_step(
    cell: str, d_states: Tensors, activations: Tensors, previous: tf.Tensor, bias: Any, axis: int
) -> StepGradients:
    """Differentiate one step.

    Args:
      cell: a key of `serving.graph.cells.KINDS`.
      d_states: gradients of the states after the step, (batch, units) each.
      activations: `serving.graph.cells.Step.activations` of the step.
      previous: the output before the step (batch, units).
      bias: the argument of the step.
      axis: of the units; 0 if all of these are (units, batch), as in the step.
    """
    return _BACKWARD_STEPS[cell](d_states, activations, previous, bias, axis)


def _rnn(d_states: Tensors, activations: Tensors, previous: tf.Tensor, *_: Any) -> StepGradients:
    (h,) = activations
    return StepGradients([_tanh_grad(h, d_states[0])], [], [tf.zeros_like(previous)])


def _gru(d_states: Tensors, activations: Tensors, previous: tf.Tensor, *_: Any) -> StepGradients:
    (d_h,) = d_states
    update, reset, candidate, recurrent_candidate = activations
    d_candidate = _tanh_grad(candidate, d_h * (1.0 - update))
    d_update = _sigmoid_grad(update, d_h * (previous - candidate))
    d_reset = _sigmoid_grad(reset, d_candidate * recurrent_candidate)
    # The reset gate multiplies the candidate's recurrent product only, so the two products' gradients differ there.
    return StepGradients([d_update, d_reset, d_candidate * reset], [d_candidate], [d_h * update])


def _lstm(d_states: Tensors, activations: Tensors, *_: Any) -> StepGradients:
    d_h, d_c = d_states
    output_gate, tanh_c = activations[3:5]
    d_gates, d_previous_c = _lstm_gate_grads(d_h, d_c + _tanh_grad(tanh_c, d_h * output_gate), activations)
    return StepGradients(d_gates, [], [tf.zeros_like(d_h), d_previous_c])


def _layer_norm_lstm(d_states: Tensors, activations: Tensors, _: tf.Tensor, bias: Any, axis: int) -> StepGradients:
    d_h, d_c = d_states
    output_gate, tanh_c = activations[3:5]
    normalized, inverse_stds = activations[6:11], activations[11:16]
    gains, batch_axis = tf.unstack(bias[0]), 1 if axis == 0 else 0
    d_c = d_c + _tanh_grad(tanh_c, d_h * output_gate)
    d_cell_sum = _norm_grad(d_c * gains[4], normalized[4], inverse_stds[4], axis)
    d_gates, d_previous_c = _lstm_gate_grads(d_h, d_cell_sum, activations)
    d_products = [
        _norm_grad(d_gate * gain, value, inverse_std, axis)
        for d_gate, gain, value, inverse_std in zip(d_gates, gains, normalized, inverse_stds)
    ]
    d_scaled = [*d_gates, d_c]
    d_gains = tf.stack([tf.reduce_sum(d * value, batch_axis) for d, value in zip(d_scaled, normalized)])
    d_offsets = tf.stack([tf.reduce_sum(d, batch_axis) for d in d_scaled])
    return StepGradients(d_products, [], [tf.zeros_like(d_h), d_previous_c], tf.stack([d_gains, d_offsets]))


def _lstm_gate_grads(d_h: tf.Tensor, d_c: tf.Tensor, activations: Tensors) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Return gradients of the four gates before their activation functions, and of the previous cell state.

    Args:
      d_h: by the output.
      d_c: by `forget_gate * previous_c + input_gate * candidate`.
      activations: of the step.
    """
    input_gate, forget_gate, candidate, output_gate, tanh_c, previous_c = activations[:6]
    d_input_gate = _sigmoid_grad(input_gate, d_c * candidate)
    d_forget_gate = _sigmoid_grad(forget_gate, d_c * previous_c)
    d_candidate = _tanh_grad(candidate, d_c * input_gate)
    d_output_gate = _sigmoid_grad(output_gate, d_h * tanh_c)
    return [d_input_gate, d_forget_gate, d_candidate, d_output_gate], d_c * forget_gate


def _sigmoid_grad(y: tf.Tensor, d_y: tf.Tensor) -> tf.Tensor:
    """Return `d_y * y * (1 - y)`, the gradient of the argument of a sigmoid with result y, in one operation."""
    return tf.raw_ops.SigmoidGrad(y=y, dy=d_y)


def _tanh_grad(y: tf.Tensor, d_y: tf.Tensor) -> tf.Tensor:
    """Return `d_y * (1 - y * y)`, the gradient of the argument of a tanh with result y, in one operation."""
    return tf.raw_ops.TanhGrad(y=y, dy=d_y)


def _norm_grad(d_y: tf.Tensor, y: tf.Tensor, inverse_std: tf.Tensor, axis: int) -> tf.Tensor:
    """Return the gradient of the argument of `serving.graph.cells.normalize`, whose results are y and inverse_std."""
    mean = tf.reduce_mean(d_y, axis, keepdims=True)
    projected = tf.reduce_mean(d_y * y, axis, keepdims=True)
    return inverse_std * (d_y - mean - y * projected)


_BACKWARD_STEPS = {"rnn": _rnn, "gru": _gru, "lstm": _lstm, "layer_norm_lstm": _layer_norm_lstm}
