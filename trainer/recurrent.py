"""A recurrent layer over a whole window as one operation with its own gradient, for CPUs.

What makes it faster than differentiating a loop: the input projection is one matrix product before the loop; the
gradients of all kernels are matrix products after it; nothing as large as the window is summed or kept twice; and
matrix products may run in bfloat16 while state, gates and sums stay float32.

Inside, the batch comes last: a unit is a row. So gates are rows of a product, which are told apart without a copy, and
a product's left factor is the kernel, which oneDNN multiplies as it lies, where a kernel on the right would be
rearranged in every step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving import cells
from trainer import gradients

States = tuple[tf.Tensor, ...]
Pieces = list[tf.Tensor]  # (part of gates * units, time * batch), on top of each other
# From the tensors that the input is made of: a step's projected input (gates * units, batch), and their own gradients
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
    """Run a recurrent layer over input whose batch comes last.

    Args:
      cell: a name of `serving.cells.KINDS`.
      x: float32 (time, features, batch), static shape.
      states: float32 (batch, units) each, before the first step.
      kernel: (features, gates * units), gates in Keras' order.
      recurrent_kernel: (units, gates * units).
      bias: in the layout of `serving.network.Weights`.
      compute_dtype: of the matrix products.
      recurrent_mask: (batch, units), multiplies the former output before the recurrent product, the same in every step
        (variational dropout); None: nothing.

    Returns:
      Outputs float32 (time, units, batch), and the states after the last step, (batch, units) each.
    """
    steps, features, batch = x.shape
    input_bias, rest = cells.input_bias(cell, bias), cells.recurrent_bias(cell, bias)
    trained = [kernel] + ([] if isinstance(input_bias, float) else [input_bias])

    def begin(x: tf.Tensor, kernel: tf.Tensor, *input_bias: tf.Tensor) -> Any:
        inputs, multiplied = tf.cast(x, compute_dtype), tf.cast(kernel, compute_dtype)
        product = tf.matmul(tf.transpose(multiplied), inputs)  # stays in compute_dtype: half the memory
        wide_bias = [_for_each_row(one, batch) for one in input_bias]

        def at(t: tf.Tensor) -> tf.Tensor:
            return tf.add_n([tf.cast(product[t], tf.float32), *wide_bias])

        def gradient(pieces: Pieces) -> list[tf.Tensor]:
            parts = tf.split(multiplied, [piece.shape[0] for piece in pieces], 1)
            d_x = tf.add_n([tf.cast(tf.matmul(k, p), tf.float32) for p, k in zip(pieces, parts)])
            d_x = tf.transpose(tf.reshape(d_x, (features, steps, batch)), (1, 0, 2))
            return [d_x, _kernel_gradient(_wide(inputs), pieces), *([_sums(pieces)] if input_bias else [])]

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
    """As `layer`, with an input projection that is the same for the same character.

    Args:
      ids: int32 (time, batch), static shape.
      table: of each id its projection with the input's bias, float32 (vocab, gates * units).
      recurrent_bias: what `serving.cells.recurrent_bias` gives.
    """
    vocabulary_size = table.shape[0]

    def begin(table: tf.Tensor) -> Any:
        chosen = tf.one_hot(ids, vocabulary_size, axis=1, dtype=compute_dtype)  # (time, vocab, batch)
        product = tf.matmul(tf.transpose(tf.cast(table, compute_dtype)), chosen)  # (time, gates * units, batch)

        def gradient(pieces: Pieces) -> list[tf.Tensor]:
            return [_kernel_gradient(_wide(chosen), pieces)]

        return (lambda t: tf.cast(product[t], tf.float32)), gradient

    run = _operation(cell, ids.shape[0], begin, 1, len(states), compute_dtype, recurrent_mask)
    outputs, *last = run(table, recurrent_kernel, *states, *([] if recurrent_bias is None else [recurrent_bias]))
    return outputs, tuple(last)


def _operation(
    cell: str, steps: int, begin: Begin, given: int, states: int, compute_dtype: tf.DType, mask: tf.Tensor | None
) -> Any:
    """The operation, over `given` tensors for `begin`, the recurrent kernel, the states and perhaps a bias."""
    column_mask = None if mask is None else tf.transpose(mask)

    @tf.custom_gradient
    def run(*arguments: tf.Tensor) -> Any:
        first, recurrent_kernel, rest = arguments[:given], arguments[given], arguments[given + 1 :]
        kernel = tf.cast(recurrent_kernel, compute_dtype)
        before = [tf.transpose(state) for state in rest[:states]]  # (units, batch)
        bias = _for_each_row(rest[states], before[0].shape[1]) if len(rest) > states else None
        projected, gradients_of_given = begin(*first)
        last, kept = _forward(cell, steps, projected, before, tf.transpose(kernel), bias, column_mask)

        def gradient(d_outputs: tf.Tensor, *d_last: tf.Tensor) -> tuple[tf.Tensor, ...]:
            d_states, d_bias, recurrent, apart = _backward(
                cell, steps, d_outputs, [tf.transpose(d) for d in d_last], kept, kernel, bias, column_mask
            )
            inputs = [recurrent]
            if apart is not None:  # in place of the last gate's
                inputs = [recurrent[: -apart.shape[0]], apart]
            if bias is not None and d_bias is None:
                d_bias = _sums([recurrent[-bias.shape[0] :]])
            d_kernel = _kernel_gradient(_wide(kept.seen.stack()), [recurrent])
            d_before = [tf.transpose(d) for d in d_states]
            return *gradients_of_given(inputs), d_kernel, *d_before, *([] if d_bias is None else [d_bias])

        return (kept.outputs.gather(tf.range(1, steps + 1)), *(tf.transpose(state) for state in last)), gradient

    return run


@dataclass(frozen=True)
class _Kept:
    """What the way back needs, in arrays from which it reads without a copy.

    Attributes:
      outputs: (units, batch) before the first step and after each.
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
    transposed: tf.Tensor,
    bias: Any,
    mask: tf.Tensor | None,
) -> tuple[list[tf.Tensor], _Kept]:
    def body(t: tf.Tensor, now: Any, outputs: Any, seen: Any, saved: Any) -> tuple[Any, ...]:
        multiplied = tf.cast(now[0] if mask is None else now[0] * mask, transposed.dtype)
        recurrent = tf.cast(tf.matmul(transposed, multiplied), tf.float32)
        after = cells.step(cell, projected(t), recurrent, now, bias, axis=0)
        kept = [array.write(t, value) for array, value in zip(saved, after.saved)]
        return t + 1, after.states, outputs.write(t + 1, after.states[0]), seen.write(t, multiplied), kept

    shape = states[0].shape
    start = (
        0,
        states,
        _array(steps + 1, shape, tf.float32, clear=False).write(0, states[0]),
        _array(steps, shape, transposed.dtype),
        [_array(steps, saved, tf.float32, clear=False) for saved in _saved_shapes(cell, transposed.shape[0], states, bias)],
    )
    _, last, *kept = tf.while_loop(lambda t, *_: t < steps, body, start, maximum_iterations=steps)
    return last, _Kept(*kept)


def _saved_shapes(cell: str, width: int, states: list[tf.Tensor], bias: Any) -> list[tf.TensorShape]:
    """Of what a step saves: told by the cell itself, in a step that is built aside and never run."""
    with tf.Graph().as_default():
        aside = tf.zeros((width, states[0].shape[1]))
        parts = [tf.zeros(state.shape) for state in states]
        step = cells.step(cell, aside, aside, parts, None if bias is None else tf.zeros(bias.shape), axis=0)
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
) -> tuple[list[tf.Tensor], tf.Tensor | None, tf.Tensor, tf.Tensor | None]:
    """Gradients of first states and bias, of all recurrent products, and of the input's where they differ from those.

    The last two are (gates * units, time * batch) and (units, time * batch), in the type of the products.
    """
    own_bias = cell == "layer_norm_lstm"

    def body(i: tf.Tensor, d_states: Any, d_bias: Any, recurrents: Any, apart: Any) -> tuple[Any, ...]:
        t = steps - 1 - i
        d_states = [d_states[0] + d_outputs[t], *d_states[1:]]
        now = gradients.back(cell, d_states, [array.read(t) for array in kept.saved], kept.outputs.read(t), bias)
        d_product = tf.concat([tf.cast(piece, kernel.dtype) for piece in now.recurrent], 0)
        through = tf.cast(tf.matmul(kernel, d_product), tf.float32)
        d_h = now.states[0] + (through if mask is None else through * mask)
        return (
            i + 1,
            [d_h, *now.states[1:]],
            d_bias + now.bias if own_bias else d_bias,
            recurrents.write(t, d_product),
            [array.write(t, tf.cast(piece, kernel.dtype)) for array, piece in zip(apart, now.apart)],
        )

    units, batch = d_last[0].shape
    start = (
        0,
        d_last,
        tf.zeros(bias.shape[:-1]) if own_bias else 0.0,
        _array(steps, (kernel.shape[1], batch), kernel.dtype),
        [_array(steps, (units, batch), kernel.dtype)] if cell == "gru" else [],
    )
    _, d_states, d_bias, recurrents, apart = tf.while_loop(
        lambda i, *_: i < steps, body, start, maximum_iterations=steps
    )
    return (
        d_states,
        d_bias if own_bias else None,
        _wide(recurrents.stack()),
        _wide(apart[0].stack()) if apart else None,
    )


def _kernel_gradient(x: tf.Tensor, pieces: Pieces) -> tf.Tensor:
    """That of a kernel which multiplied `x` (n, time * batch), from those of its products: float32 (n, all widths)."""
    return tf.concat([tf.cast(tf.matmul(x, piece, transpose_b=True), tf.float32) for piece in pieces], 1)


def _sums(pieces: Pieces) -> tf.Tensor:
    """Sums over time and batch, float32: as a product, which needs no copy in float32."""
    return _kernel_gradient(tf.ones((1, pieces[0].shape[1]), pieces[0].dtype), pieces)[0]


def _wide(x: tf.Tensor) -> tf.Tensor:
    """(time, n, batch) as (n, time * batch)."""
    return tf.reshape(tf.transpose(x, (1, 0, 2)), (x.shape[1], -1))


def _for_each_row(x: tf.Tensor, batch: int) -> tf.Tensor:
    """(..., n) repeated to (..., n, batch): adding that is faster than spreading a column in every step."""
    return tf.repeat(x[..., None], batch, -1)


def _array(steps: int, shape: Any, dtype: tf.DType, clear: bool = True) -> tf.TensorArray:
    return tf.TensorArray(dtype, steps, element_shape=shape, clear_after_read=clear)
