"""A recurrent layer over a whole window as one operation with its own gradient, for CPUs.

What makes it faster than differentiating a loop: the input projection is one matrix product before the loop, the
gradient of the recurrent kernel is one matrix product after it, and matrix products may run in bfloat16 while
state, gates and sums stay float32.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from serving import cells
from trainer import gradients

States = tuple[tf.Tensor, ...]


def dense(x: tf.Tensor, kernel: tf.Tensor, bias: Any, compute_dtype: tf.DType) -> tf.Tensor:
    """`x @ kernel + bias` over the last axis, multiplied in `compute_dtype`, returned in float32."""
    product = tf.tensordot(tf.cast(x, compute_dtype), tf.cast(kernel, compute_dtype), 1)
    return tf.cast(product, tf.float32) + bias


def layer(
    cell: str,
    x: tf.Tensor,
    states: Sequence[tf.Tensor],
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    compute_dtype: tf.DType = tf.float32,
    recurrent_mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, States]:
    """Run a recurrent layer over time-major input.

    Args:
      cell: a name of `serving.cells.KINDS`.
      x: float32 (time, batch, features), with static time and batch.
      states: float32 (batch, units) each, before the first step.
      kernel: (features, gates * units), gates in Keras' order.
      recurrent_kernel: (units, gates * units).
      bias: in the layout of `serving.one_step.Weights`.
      compute_dtype: of the matrix products.
      recurrent_mask: (batch, units), multiplies the former output before the recurrent product, the same in every step
        (variational dropout); None: nothing.

    Returns:
      Outputs float32 (time, batch, units), and the states after the last step.
    """
    projected = dense(x, kernel, cells.input_bias(cell, bias), compute_dtype)  # (time, batch, gates * units)
    run = _operation(cell, len(states), compute_dtype, recurrent_mask)
    rest = cells.recurrent_bias(cell, bias)
    outputs, *last = run(projected, recurrent_kernel, *states, *([] if rest is None else [rest]))
    return outputs, tuple(last)


def _operation(cell: str, count: int, compute_dtype: tf.DType, mask: tf.Tensor | None) -> Any:
    @tf.custom_gradient
    def run(projected: tf.Tensor, recurrent_kernel: tf.Tensor, *rest: tf.Tensor) -> Any:
        states, bias = list(rest[:count]), rest[count] if len(rest) > count else None
        kernel = tf.cast(recurrent_kernel, compute_dtype)
        outputs, last, saved = _forward(cell, projected, states, kernel, bias, mask)

        def gradient(d_outputs: tf.Tensor, *d_last: tf.Tensor) -> tuple[tf.Tensor, ...]:
            before = tf.concat([states[0][None], outputs[:-1]], 0)  # (time, batch, units)
            d_recurrent, apart, d_states, d_bias = _backward(
                cell, d_outputs, list(d_last), before, saved, kernel, bias, mask
            )
            width = d_recurrent.shape[-1]
            flat = tf.reshape(d_recurrent, (-1, width))  # (time * batch, gates * units)
            seen = before if mask is None else before * mask
            flat_seen = tf.cast(tf.reshape(seen, (-1, before.shape[-1])), compute_dtype)
            d_kernel = tf.cast(tf.matmul(flat_seen, flat, transpose_a=True), tf.float32)
            if apart:
                d_recurrent = tf.concat([d_recurrent[:, :, : width - apart[0].shape[-1]], apart[0]], 2)
            if bias is None:
                d_rest = []
            else:
                d_rest = [tf.reduce_sum(tf.cast(flat, tf.float32), 0) if d_bias is None else d_bias]
            return tf.cast(d_recurrent, tf.float32), d_kernel, *d_states, *d_rest

        return (outputs, *last), gradient

    return run


def _forward(
    cell: str, projected: tf.Tensor, states: list[tf.Tensor], kernel: tf.Tensor, bias: Any, mask: tf.Tensor | None
) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.TensorArray]]:
    """Outputs (time, batch, units), the last states, and what each step saved.

    The last stay in arrays, from which the way back reads without a copy.
    """
    steps = projected.shape[0]

    def body(t: tf.Tensor, now: Any, outputs: Any, saved: Any) -> tuple[Any, ...]:
        seen = now[0] if mask is None else now[0] * mask
        recurrent = tf.cast(tf.matmul(tf.cast(seen, kernel.dtype), kernel), tf.float32)
        after = cells.step(cell, projected[t], recurrent, now, bias)
        kept = [array.write(t, value) for array, value in zip(saved, after.saved)]
        return t + 1, after.states, outputs.write(t, after.states[0]), kept

    arrays = [
        _array(steps, shape, tf.float32, clear=False) for shape in _saved_shapes(cell, projected[0], states, bias)
    ]
    _, last, outputs, saved = tf.while_loop(
        lambda t, *_: t < steps,
        body,
        (0, states, _array(steps, states[0].shape, tf.float32, clear=False), arrays),
        maximum_iterations=steps,
    )
    return outputs.stack(), last, saved


def _saved_shapes(cell: str, x: tf.Tensor, states: list[tf.Tensor], bias: Any) -> list[tf.TensorShape]:
    """Of what a step saves: told by the cell itself, in a step that is built aside and never run."""
    with tf.Graph().as_default():
        aside = tf.zeros(x.shape)
        parts = [tf.zeros(state.shape) for state in states]
        return [
            value.shape
            for value in cells.step(cell, aside, aside, parts, None if bias is None else tf.zeros(bias.shape)).saved
        ]


def _backward(
    cell: str,
    d_outputs: tf.Tensor,
    d_last: list[tf.Tensor],
    before: tf.Tensor,
    saved: list[tf.TensorArray],
    kernel: tf.Tensor,
    bias: Any,
    mask: tf.Tensor | None,
) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor], tf.Tensor | None]:
    """Gradients of the recurrent products and, apart, of the inputs' (time, batch, ...), of first states and bias."""
    steps, batch, units = before.shape
    transposed = tf.transpose(kernel)
    own_bias = cell == "layer_norm_lstm"

    def body(i: tf.Tensor, d_states: Any, d_bias: Any, d_recurrents: Any, aparts: Any) -> tuple[Any, ...]:
        t = steps - 1 - i
        d_states = [d_states[0] + d_outputs[t], *d_states[1:]]
        now = gradients.back(cell, d_states, [array.read(t) for array in saved], before[t], bias)
        d_recurrent = tf.cast(now.recurrent, kernel.dtype)
        through = tf.cast(tf.matmul(d_recurrent, transposed), tf.float32)
        d_h = now.states[0] + (through if mask is None else through * mask)
        kept = [array.write(t, tf.cast(value, kernel.dtype)) for array, value in zip(aparts, now.apart)]
        d_bias = d_bias + now.bias if own_bias else d_bias
        return i + 1, [d_h, *now.states[1:]], d_bias, d_recurrents.write(t, d_recurrent), kept

    aparts = [_array(steps, (batch, units), kernel.dtype)] if cell == "gru" else []
    start = (
        0,
        d_last,
        tf.zeros_like(bias) if own_bias else 0.0,
        _array(steps, (batch, kernel.shape[1]), kernel.dtype),
        aparts,
    )
    _, d_states, d_bias, d_recurrents, aparts = tf.while_loop(
        lambda i, *_: i < steps, body, start, maximum_iterations=steps
    )
    return d_recurrents.stack(), [array.stack() for array in aparts], d_states, d_bias if own_bias else None


def _array(steps: int, shape: Any, dtype: tf.DType, clear: bool = True) -> tf.TensorArray:
    return tf.TensorArray(dtype, steps, element_shape=shape, clear_after_read=clear)
