"""The way back through one step of each kind of cell in `serving.cells`."""

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


def back(cell: str, states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any) -> Back:
    """Gradients of one step.

    Args:
      cell: a name of `serving.cells.KINDS`.
      states: gradients of the states after the step, (batch, units) each.
      saved: of that step.
      before: the output before the step (batch, units).
      bias: what the step got.
    """
    return _BACK[cell](states, saved, before, bias)


def _rnn(states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any) -> Back:
    del bias
    (h,) = saved
    return Back([_tanh(h, states[0])], [], [tf.zeros_like(before)])


def _gru(states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any) -> Back:
    del bias
    update, reset, candidate, product = saved
    d_candidate = _tanh(candidate, states[0] * (1.0 - update))
    d_update = _sigmoid(update, states[0] * (before - candidate))
    d_reset = _sigmoid(reset, d_candidate * product)
    # The reset gate multiplies the candidate's recurrent product only: there the two gradients differ.
    return Back([d_update, d_reset, d_candidate * reset], [d_candidate], [states[0] * update])


def _lstm(states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any) -> Back:
    del before, bias
    gates, candidate, output, squashed, c = saved
    d_h, d_c = states
    d_c = d_c + _tanh(squashed, d_h * output)
    return _through_gates(d_h, d_c, gates, candidate, output, squashed, c)


def _layer_norm_lstm(states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any) -> Back:
    del before
    gates, candidate, output, squashed, c, normal, deviation, normal_c, deviation_c = saved
    units = c.shape[-1]
    d_h, d_c = states
    d_after = d_c + _tanh(squashed, d_h * output)
    d_sum = _through_norm(d_after * bias[0, 4], normal_c, deviation_c)
    inner = _through_gates(d_h, d_sum, gates, candidate, output, squashed, c)
    d_scaled = tf.reshape(inner.recurrent[0], (-1, 4, units))
    d_total = _through_norm(d_scaled * bias[0, :4], normal, deviation)
    gain = tf.concat([tf.reduce_sum(d_scaled * normal, 0), tf.reduce_sum(d_after * normal_c, 0)[None]], 0)
    offset = tf.concat([tf.reduce_sum(d_scaled, 0), tf.reduce_sum(d_after, 0)[None]], 0)
    return Back([tf.reshape(d_total, (-1, 4 * units))], [], inner.states, tf.stack([gain, offset]))


def _through_gates(
    d_h: tf.Tensor,
    d_c: tf.Tensor,
    gates: tf.Tensor,
    candidate: tf.Tensor,
    output: tf.Tensor,
    squashed: tf.Tensor,
    c: tf.Tensor,
) -> Back:
    units = c.shape[-1]
    entry, forget = gates[:, :units], gates[:, units:]
    recurrent = tf.concat(
        [
            _sigmoid(entry, d_c * candidate),
            _sigmoid(forget, d_c * c),
            _tanh(candidate, d_c * entry),
            _sigmoid(output, d_h * squashed),
        ],
        1,
    )
    return Back([recurrent], [], [tf.zeros_like(d_h), d_c * forget])


def _sigmoid(y: tf.Tensor, d_y: tf.Tensor) -> tf.Tensor:
    """Gradient before a sigmoid whose result is y, in one pass."""
    return tf.raw_ops.SigmoidGrad(y=y, dy=d_y)


def _tanh(y: tf.Tensor, d_y: tf.Tensor) -> tf.Tensor:
    """Gradient before a hyperbolic tangent whose result is y, in one pass."""
    return tf.raw_ops.TanhGrad(y=y, dy=d_y)


def _through_norm(d_normal: tf.Tensor, normal: tf.Tensor, deviation: tf.Tensor) -> tf.Tensor:
    mean = tf.reduce_mean(d_normal, -1, keepdims=True)
    along = tf.reduce_mean(d_normal * normal, -1, keepdims=True)
    return deviation * (d_normal - mean - normal * along)


_BACK = {"rnn": _rnn, "gru": _gru, "lstm": _lstm, "layer_norm_lstm": _layer_norm_lstm}
