"""A recurrent layer over a whole window as one operation with its own gradient, for CPUs.

What makes it faster than differentiating a loop: the input projection is one matrix product before the loop; the
gradients of all kernels are matrix products after it; and matrix products may run in bfloat16 while state, gates and
what a product adds up stay float32. The memory layout of a step's matrices is the caller's choice
(`trainer.engine.layout`); shapes are given here as for batch by units.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from serving.graph import cells
from trainer.engine.layout import Layout
from trainer.engine.steps import Loops, Pieces

States = tuple[tf.Tensor, ...]
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
    layout: Layout,
    compute_dtype: tf.DType = tf.float32,
    recurrent_mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, States]:
    """Run a recurrent layer over time-major input.

    Args:
      cell: a name of `serving.graph.cells.KINDS`.
      x: float32 (time, batch, features), the last two as the layout has them; static shape.
      states: float32 (batch, units) each, before the first step.
      kernel: (features, gates * units), gates in Keras' order.
      recurrent_kernel: (units, gates * units).
      bias: in the layout of `serving.graph.network.Weights`.
      layout: of a step's matrices. States, masks and kernels come and go as described here in either.
      compute_dtype: of the matrix products.
      recurrent_mask: (batch, units), multiplies the former output before the recurrent product, the same in every step
        (variational dropout); None: nothing.

    Returns:
      Outputs float32 (time, batch, units), the last two as the layout has them, and the states after the last step.
    """
    input_bias, rest = cells.input_bias(cell, bias), cells.recurrent_bias(cell, bias)
    trained = [kernel] + ([] if isinstance(input_bias, float) else [input_bias])
    steps, batch = x.shape[0], states[0].shape[0]

    def begin(x: tf.Tensor, kernel: tf.Tensor, *input_bias: tf.Tensor) -> Any:
        inputs, multiplied = tf.cast(x, compute_dtype), tf.cast(kernel, compute_dtype)
        transposed = tf.transpose(multiplied)
        product = layout.product(inputs, multiplied, transposed)  # stays in compute_dtype: half the memory
        biases = [layout.for_each_row(one, batch) for one in input_bias]

        def at(t: tf.Tensor) -> tf.Tensor:
            return sum(biases, start=tf.cast(product[t], tf.float32))

        def gradient(pieces: Pieces) -> list[tf.Tensor]:
            widths = [piece.shape[layout.units] for piece in pieces]
            parts = zip(pieces, tf.split(transposed, widths, 0), tf.split(multiplied, widths, 1))
            d_x = tf.add_n([tf.cast(layout.product(p, back, forth), tf.float32) for p, back, forth in parts])
            d_kernel = layout.kernel_gradient(layout.join_steps(inputs), pieces)
            return [layout.split_steps(d_x, steps), d_kernel, *([layout.sums(pieces)] if input_bias else [])]

        return at, gradient

    run = _operation(cell, steps, begin, 1 + len(trained), len(states), layout, compute_dtype, recurrent_mask)
    outputs, *last = run(x, *trained, recurrent_kernel, *states, *([] if rest is None else [rest]))
    return outputs, tuple(last)


def layer_of_ids(
    cell: str,
    ids: tf.Tensor,
    table: tf.Tensor,
    states: Sequence[tf.Tensor],
    recurrent_kernel: tf.Tensor,
    recurrent_bias: tf.Tensor | None,
    layout: Layout,
    compute_dtype: tf.DType = tf.float32,
    recurrent_mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, States]:
    """As `layer`, with an input projection that is the same for the same character.

    With the batch last the projection is rounded to the type of the products, its bias included.

    Args:
      ids: int32 (time, batch), static shape.
      table: of each id its projection with the input's bias, float32 (vocab, gates * units).
      recurrent_bias: what `serving.graph.cells.recurrent_bias` gives.
    """

    def begin(table: tf.Tensor) -> Any:
        def gradient(pieces: Pieces) -> list[tf.Tensor]:
            # (time * batch, vocab), as the layout has it
            flat = tf.one_hot(tf.reshape(ids, [-1]), table.shape[0], axis=layout.units, dtype=compute_dtype)
            return [layout.kernel_gradient(flat, pieces)]

        if not layout.batch_last:
            return (lambda t: tf.gather(table, ids[t])), gradient
        # Looking up columns is slow: a product does it for all steps at once.
        chosen = tf.one_hot(ids, table.shape[0], axis=1, dtype=compute_dtype)  # (time, vocab, batch)
        product = tf.matmul(tf.transpose(tf.cast(table, compute_dtype)), chosen)  # (time, gates * units, batch)
        return (lambda t: tf.cast(product[t], tf.float32)), gradient

    run = _operation(cell, ids.shape[0], begin, 1, len(states), layout, compute_dtype, recurrent_mask)
    outputs, *last = run(table, recurrent_kernel, *states, *([] if recurrent_bias is None else [recurrent_bias]))
    return outputs, tuple(last)


def _operation(
    cell: str,
    steps: int,
    begin: Begin,
    given: int,
    states: int,
    layout: Layout,
    compute_dtype: tf.DType,
    recurrent_mask: tf.Tensor | None,
) -> Any:
    """The operation, over `given` tensors for `begin`, the recurrent kernel, the states and perhaps a bias."""
    mask = None if recurrent_mask is None else layout.turned(recurrent_mask)

    @tf.custom_gradient
    def run(*arguments: tf.Tensor) -> Any:
        first, recurrent_kernel, rest = arguments[:given], arguments[given], arguments[given + 1 :]
        kernel = tf.cast(recurrent_kernel, compute_dtype)
        batch = rest[0].shape[0]
        bias = layout.for_each_row(rest[states], batch) if len(rest) > states else None
        loops = Loops(cell, steps, layout, kernel, tf.transpose(kernel), bias, mask)
        projected, gradients_of_given = begin(*first)
        last, kept = loops.forward(projected, [layout.turned(state) for state in rest[:states]])

        def gradient(d_outputs: tf.Tensor, *d_last: tf.Tensor) -> tuple[tf.Tensor, ...]:
            d_last_turned = [layout.turned(d) for d in d_last]
            d_states, d_bias, recurrents, inputs = loops.backward(d_outputs, d_last_turned, kept)
            d_kernel = layout.kernel_gradient(layout.join_steps(kept.seen.stack()), recurrents)
            if bias is not None and d_bias is None:
                d_bias = layout.sums(recurrents[-1:])  # the candidate's
            d_first = [layout.turned(d) for d in d_states]
            return *gradients_of_given(inputs), d_kernel, *d_first, *([] if d_bias is None else [d_bias])

        outputs = kept.outputs.gather(tf.range(1, steps + 1))
        return (outputs, *(layout.turned(state) for state in last)), gradient

    return run
