"""A recurrent layer over a whole window as one operation with its own gradient, for CPUs.

What makes it faster than differentiating a loop: the input projection is one matrix product before the loop, or a
look-up in a table; the gradients of all kernels are matrix products after it; nothing as large as the window is
copied, cast or summed; and matrix products may run in bfloat16 while state, gates and sums stay float32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving import cells
from trainer import gradients

States = tuple[tf.Tensor, ...]
Pieces = list[tf.Tensor]  # (time * batch, part of gates * units), side by side
# From the tensors that the input is made of: a step's projected input (batch, gates * units), and their own gradients
# from that of all steps' projected inputs.
Begin = Callable[..., tuple[Callable[[tf.Tensor], tf.Tensor], Callable[[Pieces], list[tf.Tensor]]]]


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
      bias: in the layout of `serving.network.Weights`.
      compute_dtype: of the matrix products.
      recurrent_mask: (batch, units), multiplies the former output before the recurrent product, the same in every step
        (variational dropout); None: nothing.

    Returns:
      Outputs float32 (time, batch, units), and the states after the last step.
    """
    steps, batch, features = x.shape
    input_bias, rest = cells.input_bias(cell, bias), cells.recurrent_bias(cell, bias)
    trained = [kernel] + ([] if isinstance(input_bias, float) else [input_bias])

    def begin(x: tf.Tensor, kernel: tf.Tensor, *input_bias: tf.Tensor) -> Any:
        flat, multiplied = tf.cast(tf.reshape(x, (-1, features)), compute_dtype), tf.cast(kernel, compute_dtype)
        product = tf.reshape(tf.matmul(flat, multiplied), (steps, batch, -1))  # stays in compute_dtype: half the memory

        def at(t: tf.Tensor) -> tf.Tensor:
            projected = tf.cast(product[t], tf.float32)
            return projected + input_bias[0] if input_bias else projected

        def gradient(pieces: Pieces) -> list[tf.Tensor]:
            parts = tf.split(multiplied, [piece.shape[-1] for piece in pieces], 1)
            d_x = tf.add_n([tf.cast(tf.matmul(p, k, transpose_b=True), tf.float32) for p, k in zip(pieces, parts)])
            d_kernel = _transposed_product(flat, pieces)
            return [tf.reshape(d_x, x.shape), d_kernel, *([_sums(pieces)] if input_bias else [])]

        return at, gradient

    run = _operation(cell, steps, begin, 1 + len(trained), len(states), compute_dtype, recurrent_mask)
    outputs, *last = run(x, *trained, recurrent_kernel, *states, *([] if rest is None else [rest]))
    return outputs, tuple(last)


def layer_of_ids(
    cell: str,
    ids: tf.Tensor,
    table: tf.Tensor,
    states: Sequence[tf.Tensor],
    recurrent_kernel: tf.Tensor,
    recurrent_bias: tf.Tensor | None,
    compute_dtype: tf.DType = tf.float32,
    recurrent_mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, States]:
    """As `layer`, with an input projection that is looked up: the same for the same character.

    Args:
      ids: int32 (time, batch), static shape.
      table: of each id its projection with the input's bias, float32 (vocab, gates * units).
      recurrent_bias: what `serving.cells.recurrent_bias` gives.
    """

    def begin(table: tf.Tensor) -> Any:
        def gradient(pieces: Pieces) -> list[tf.Tensor]:
            one_hot = tf.one_hot(tf.reshape(ids, [-1]), table.shape[0], dtype=compute_dtype)  # (time * batch, vocab)
            return [_transposed_product(one_hot, pieces)]

        return (lambda t: tf.gather(table, ids[t])), gradient

    run = _operation(cell, ids.shape[0], begin, 1, len(states), compute_dtype, recurrent_mask)
    outputs, *last = run(table, recurrent_kernel, *states, *([] if recurrent_bias is None else [recurrent_bias]))
    return outputs, tuple(last)


def _operation(
    cell: str, steps: int, begin: Begin, given: int, states: int, compute_dtype: tf.DType, mask: tf.Tensor | None
) -> Any:
    """The operation, over `given` tensors for `begin`, the recurrent kernel, the states and perhaps a bias."""

    @tf.custom_gradient
    def run(*arguments: tf.Tensor) -> Any:
        first, recurrent_kernel, rest = arguments[:given], arguments[given], arguments[given + 1 :]
        bias = rest[states] if len(rest) > states else None
        kernel = tf.cast(recurrent_kernel, compute_dtype)
        projected, gradients_of_given = begin(*first)
        last, kept = _forward(cell, steps, projected, list(rest[:states]), kernel, bias, mask)

        def gradient(d_outputs: tf.Tensor, *d_last: tf.Tensor) -> tuple[tf.Tensor, ...]:
            d_states, d_bias, recurrents, inputs = _backward(
                cell, steps, d_outputs, list(d_last), kept, kernel, bias, mask
            )
            d_kernel = _transposed_product(_flat(kept.seen.stack()), recurrents)
            if bias is not None and d_bias is None:
                d_bias = _sums(recurrents)
            return *gradients_of_given(inputs), d_kernel, *d_states, *([] if d_bias is None else [d_bias])

        return (kept.outputs.gather(tf.range(1, steps + 1)), *last), gradient

    return run


@dataclass(frozen=True)
class _Kept:
    """What the way back needs, in arrays from which it reads without a copy.

    Attributes:
      outputs: (batch, units) before the first step and after each.
      seen: what each step's recurrent product multiplied, in its type.
      saved: what else each step keeps.
    """

    outputs: tf.TensorArray
    seen: tf.TensorArray
    saved: list[tf.TensorArray]


def _forward(
    cell: str,
    steps: int,
    projected: Callable[[tf.Tensor], tf.Tensor],
    states: list[tf.Tensor],
    kernel: tf.Tensor,
    bias: Any,
    mask: tf.Tensor | None,
) -> tuple[list[tf.Tensor], _Kept]:
    def body(t: tf.Tensor, now: Any, outputs: Any, seen: Any, saved: Any) -> tuple[Any, ...]:
        multiplied = tf.cast(now[0] if mask is None else now[0] * mask, kernel.dtype)
        recurrent = tf.cast(tf.matmul(multiplied, kernel), tf.float32)
        after = cells.step(cell, projected(t), recurrent, now, bias)
        kept = [array.write(t, value) for array, value in zip(saved, after.saved)]
        return t + 1, after.states, outputs.write(t + 1, after.states[0]), seen.write(t, multiplied), kept

    shape = states[0].shape
    start = (
        0,
        states,
        _array(steps + 1, shape, tf.float32, clear=False).write(0, states[0]),
        _array(steps, shape, kernel.dtype),
        [_array(steps, saved, tf.float32, clear=False) for saved in _saved_shapes(cell, kernel.shape[1], states, bias)],
    )
    _, last, *kept = tf.while_loop(lambda t, *_: t < steps, body, start, maximum_iterations=steps)
    return last, _Kept(*kept)


def _saved_shapes(cell: str, width: int, states: list[tf.Tensor], bias: Any) -> list[tf.TensorShape]:
    """Of what a step saves: told by the cell itself, in a step that is built aside and never run."""
    with tf.Graph().as_default():
        aside = tf.zeros((states[0].shape[0], width))
        parts = [tf.zeros(state.shape) for state in states]
        step = cells.step(cell, aside, aside, parts, None if bias is None else tf.zeros(bias.shape))
        return [value.shape for value in step.saved]


def _backward(
    cell: str,
    steps: int,
    d_outputs: tf.Tensor,
    d_last: list[tf.Tensor],
    kept: _Kept,
    kernel: tf.Tensor,
    bias: Any,
    mask: tf.Tensor | None,
) -> tuple[list[tf.Tensor], tf.Tensor | None, list[tf.Tensor], list[tf.Tensor]]:
    """Gradients of first states and bias, and of all recurrent and all input products.

    The last two are in pieces side by side, each (time * batch, part of gates * units) in the type of the products.
    """
    transposed = tf.transpose(kernel)
    own_bias = cell == "layer_norm_lstm"

    def body(i: tf.Tensor, d_states: Any, d_bias: Any, recurrents: Any, apart: Any) -> tuple[Any, ...]:
        t = steps - 1 - i
        d_states = [d_states[0] + d_outputs[t], *d_states[1:]]
        now = gradients.back(cell, d_states, [array.read(t) for array in kept.saved], kept.outputs.read(t), bias)
        pieces = [tf.cast(piece, kernel.dtype) for piece in now.recurrent]
        through = tf.cast(tf.matmul(tf.concat(pieces, 1), transposed), tf.float32)
        d_h = now.states[0] + (through if mask is None else through * mask)
        return (
            i + 1,
            [d_h, *now.states[1:]],
            d_bias + now.bias if own_bias else d_bias,
            [array.write(t, piece) for array, piece in zip(recurrents, pieces)],
            [array.write(t, tf.cast(piece, kernel.dtype)) for array, piece in zip(apart, now.apart)],
        )

    batch, units = d_last[0].shape
    start = (
        0,
        d_last,
        tf.zeros_like(bias) if own_bias else 0.0,
        [_array(steps, (batch, units), kernel.dtype) for _ in range(cells.KINDS[cell].gates)],
        [_array(steps, (batch, units), kernel.dtype)] if cell == "gru" else [],
    )
    _, d_states, d_bias, recurrents, apart = tf.while_loop(
        lambda i, *_: i < steps, body, start, maximum_iterations=steps
    )
    flat, flat_apart = ([_flat(array.stack()) for array in arrays] for arrays in (recurrents, apart))
    return d_states, d_bias if own_bias else None, flat, [*flat[: len(flat) - len(flat_apart)], *flat_apart]


def _transposed_product(x: tf.Tensor, pieces: Pieces) -> tf.Tensor:
    """Gradient of a kernel that multiplied `x` (rows, n), from those of its products: float32 (n, sum of widths)."""
    return tf.concat([tf.cast(tf.matmul(x, piece, transpose_a=True), tf.float32) for piece in pieces], 1)


def _sums(pieces: Pieces) -> tf.Tensor:
    """Sums over all rows, float32: as a product, which needs no copy in float32."""
    return _transposed_product(tf.ones((pieces[0].shape[0], 1), pieces[0].dtype), pieces)[0]


def _flat(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, (-1, x.shape[-1]))


def _array(steps: int, shape: Any, dtype: tf.DType, clear: bool = True) -> tf.TensorArray:
    return tf.TensorArray(dtype, steps, element_shape=shape, clear_after_read=clear)
