"""The way back through one step of each kind of cell in `serving.cells`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Back:
    """Gradients of one step.

    Attributes:
      recurrent: of the recurrent product (batch, gates * units).
      apart: of the input's product where it differs from that: the candidate of a GRU, else nothing.
      states: of the states before the step, without what comes by way of the recurrent product.
      bias: of the part of the bias that `step` takes; None where it is the sum of `recurrent`, or there is none.
    """

    recurrent: tf.Tensor
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
    return Back(states[0] * (1.0 - h * h), [], [tf.zeros_like(before)])


def _gru(states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any) -> Back:
    del bias
    gates, candidate, product = saved
    units = candidate.shape[-1]
    update, reset = gates[:, :units], gates[:, units:]
    d_candidate = states[0] * (1.0 - update) * (1.0 - candidate * candidate)
    d_update = states[0] * (before - candidate) * update * (1.0 - update)
    d_reset = d_candidate * product * reset * (1.0 - reset)
    # The reset gate multiplies the candidate's recurrent product only: there the two gradients differ.
    recurrent = tf.concat([d_update, d_reset, d_candidate * reset], 1)
    return Back(recurrent, [d_candidate], [states[0] * update])


def _lstm(states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any) -> Back:
    del before, bias
    gates, candidate, output, squashed, c = saved
    d_h, d_c = states
    d_c = d_c + d_h * output * (1.0 - squashed * squashed)
    return _through_gates(d_h, d_c, gates, candidate, output, squashed, c)


def _layer_norm_lstm(states: Sequence[tf.Tensor], saved: Sequence[tf.Tensor], before: tf.Tensor, bias: Any) -> Back:
    del before
    gates, candidate, output, squashed, c, normal, deviation, normal_c, deviation_c = saved
    units = c.shape[-1]
    d_h, d_c = states
    d_after = d_c + d_h * output * (1.0 - squashed * squashed)
    d_sum = _through_norm(d_after * bias[0, 4], normal_c, deviation_c)
    inner = _through_gates(d_h, d_sum, gates, candidate, output, squashed, c)
    d_scaled = tf.reshape(inner.recurrent, (-1, 4, units))
    d_total = _through_norm(d_scaled * bias[0, :4], normal, deviation)
    gain = tf.concat([tf.reduce_sum(d_scaled * normal, 0), tf.reduce_sum(d_after * normal_c, 0)[None]], 0)
    offset = tf.concat([tf.reduce_sum(d_scaled, 0), tf.reduce_sum(d_after, 0)[None]], 0)
    return Back(tf.reshape(d_total, (-1, 4 * units)), [], inner.states, tf.stack([gain, offset]))


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
            d_c * candidate * entry * (1.0 - entry),
            d_c * c * forget * (1.0 - forget),
            d_c * entry * (1.0 - candidate * candidate),
            d_h * squashed * output * (1.0 - output),
        ],
        1,
    )
    return Back(recurrent, [], [tf.zeros_like(d_h), d_c * forget])


def _through_norm(d_normal: tf.Tensor, normal: tf.Tensor, deviation: tf.Tensor) -> tf.Tensor:
    mean = tf.reduce_mean(d_normal, -1, keepdims=True)
    along = tf.reduce_mean(d_normal * normal, -1, keepdims=True)
    return deviation * (d_normal - mean - normal * along)


_BACK = {"rnn": _rnn, "gru": _gru, "lstm": _lstm, "layer_norm_lstm": _layer_norm_lstm}
