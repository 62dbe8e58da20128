"""The way back through one step of each kind of cell in `serving.graph.cells`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Back:
    """Gradients of one step.

    Attributes:
      recurrent: of the recurrent product, in pieces side by side that are (batch, gates * units) together.
      apart: of the input's product where it differs from that: the last piece of a GRU, else nothing.
      states: of the states before the step, without what comes by way of the recurrent product.
      bias: of the part of the bias that `step` takes; None where it is the sum of `recurrent`, or there is none.
    """

    recurrent: list[tf.Tensor]
    apart: list[tf.Tensor]
    states: list[tf.Tensor]
    bias: tf.Tensor | None = None


def back(
    cell: str,
    states: Sequence[tf.Tensor],
    saved: Sequence[tf.Tensor],
    before: tf.Tensor,
    bias: Any,
    axis: int,
) -> Back:
    """Gradients of one step.

    Args:
      cell: a name of `serving.graph.cells.KINDS`.
      states: gradients of the states after the step, (batch, units) each.
      saved: of that step.
      before: the output before the step (batch, units).
      bias: what the step got.
      axis: of the units; 0 if all of these are units by batch, as the step's were.
    """
    return _BACK[cell](states, saved, before, bias, axis)


def _rnn(states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any, axis: int) -> Back:
    del bias, axis
    (h,) = saved
    return Back([_tanh(h, states[0])], [], [tf.zeros_like(before)])


def _gru(states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any, axis: int) -> Back:
    del bias, axis
    update, reset, candidate, product = saved
    d_candidate = _tanh(candidate, states[0] * (1.0 - update))
    d_update = _sigmoid(update, states[0] * (before - candidate))
    d_reset = _sigmoid(reset, d_candidate * product)
    # The reset gate multiplies the candidate's recurrent product only: there the two gradients differ.
    return Back([d_update, d_reset, d_candidate * reset], [d_candidate], [states[0] * update])


def _lstm(states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any, axis: int) -> Back:
    del before, bias, axis
    output, squashed = saved[3], saved[4]
    d_h, d_c = states
    d_gates, d_before = _through_gates(d_h, d_c + _tanh(squashed, d_h * output), saved)
    return Back(d_gates, [], [tf.zeros_like(d_h), d_before])


def _layer_norm_lstm(
    states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any, axis: int
) -> Back:
    del before
    output, squashed = saved[3], saved[4]
    normals, deviations = saved[6:11], saved[11:16]
    gains, over_batch = tf.unstack(bias[0]), 1 if axis == 0 else 0
    d_h, d_c = states
    d_after = d_c + _tanh(squashed, d_h * output)
    d_gates, d_before = _through_gates(d_h, _through_norm(d_after * gains[4], normals[4], deviations[4], axis), saved)
    scaled = [*d_gates, d_after]
    products = [
        _through_norm(d_gate * gain, normal, deviation, axis)
        for d_gate, gain, normal, deviation in zip(d_gates, gains, normals, deviations)
    ]
    d_gains = tf.stack([tf.reduce_sum(d * normal, over_batch) for d, normal in zip(scaled, normals)])
    d_offsets = tf.stack([tf.reduce_sum(d, over_batch) for d in scaled])
    return Back(products, [], [tf.zeros_like(d_h), d_before], tf.stack([d_gains, d_offsets]))


def _through_gates(d_h: tf.Tensor, d_c: tf.Tensor, saved: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Gradients of what the four gates squash, and of the cell before the step; `d_c` is that of the cell after it."""
    entry, forget, candidate, output, squashed, c = saved[:6]
    gates = [
        _sigmoid(entry, d_c * candidate),
        _sigmoid(forget, d_c * c),
        _tanh(candidate, d_c * entry),
        _sigmoid(output, d_h * squashed),
    ]
    return gates, d_c * forget


def _sigmoid(y: tf.Tensor, d_y: tf.Tensor) -> tf.Tensor:
    """Gradient before a sigmoid whose result is y, in one pass."""
    return tf.raw_ops.SigmoidGrad(y=y, dy=d_y)


def _tanh(y: tf.Tensor, d_y: tf.Tensor) -> tf.Tensor:
    """Gradient before a hyperbolic tangent whose result is y, in one pass."""
    return tf.raw_ops.TanhGrad(y=y, dy=d_y)


def _through_norm(d_normal: tf.Tensor, normal: tf.Tensor, deviation: tf.Tensor, axis: int) -> tf.Tensor:
    mean = tf.reduce_mean(d_normal, axis, keepdims=True)
    along = tf.reduce_mean(d_normal * normal, axis, keepdims=True)
    return deviation * (d_normal - mean - normal * along)


_BACK = {"rnn": _rnn, "gru": _gru, "lstm": _lstm, "layer_norm_lstm": _layer_norm_lstm}
