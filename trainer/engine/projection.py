"""Input projection: the products of the input of all steps, taken out of the loop over the steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from trainer.engine.layout import Layout
from trainer.engine.steps import Pieces


class Vectors(NamedTuple):
    """Input vectors and the weights that project them."""

    x: tf.Tensor  # float32 (time, batch, features), the last two in the layout
    kernel: tf.Tensor  # (features, gates * units)
    bias: tf.Tensor | None  # (gates * units,); None for a cell that normalizes


@dataclass(frozen=True)
class InputProjection:
    """Projected input of a window, and its gradient."""

    step_input: Callable[[tf.Tensor], tf.Tensor]  # of step t: float32 (batch, gates * units) in the layout
    gradient: Callable[[Pieces], Any]  # by what was projected: the `Vectors`, or the table


def project_vectors(source: Vectors, layout: Layout, compute_dtype: tf.DType) -> InputProjection:
    """Multiply the vectors of all steps by the kernel."""
    steps = source.x.shape[0]
    inputs, kernel = tf.cast(source.x, compute_dtype), tf.cast(source.kernel, compute_dtype)
    transposed = tf.transpose(kernel)
    product = layout.product(inputs, kernel, transposed)  # stays in compute_dtype: half the memory
    bias = None if source.bias is None else layout.broadcast_bias(source.bias, inputs.shape[1 + layout.batch_axis])

    def step_input(t: tf.Tensor) -> tf.Tensor:
        x = tf.cast(product[t], tf.float32)
        return x if bias is None else x + bias

    def gradient(pieces: Pieces) -> Vectors:
        widths = [piece.shape[layout.units_axis] for piece in pieces]
        factors = zip(pieces, tf.split(transposed, widths, 0), tf.split(kernel, widths, 1))
        d_x = tf.add_n([tf.cast(layout.product(*three), tf.float32) for three in factors])
        d_kernel = layout.kernel_gradient(layout.join_steps(inputs), pieces)
        d_bias = None if bias is None else layout.sum_over_batch(pieces)
        return Vectors(layout.split_steps(d_x, steps), d_kernel, d_bias)

    return InputProjection(step_input, gradient)


def project_ids(ids: tf.Tensor, table: tf.Tensor, layout: Layout, compute_dtype: tf.DType) -> InputProjection:
    """Look up ids (time, batch) in a table of projected inputs, float32 (vocab, gates * units).

    With the batch last the results are rounded to `compute_dtype`.
    """
    vocab = table.shape[0]

    def gradient(pieces: Pieces) -> tf.Tensor:
        one_hot = tf.one_hot(tf.reshape(ids, [-1]), vocab, axis=layout.units_axis, dtype=compute_dtype)
        return layout.kernel_gradient(one_hot, pieces)

    if not layout.batch_last:
        return InputProjection(lambda t: tf.gather(table, ids[t]), gradient)
    # Gathering columns is slow: one product does it for all steps.
    one_hot = tf.one_hot(ids, vocab, axis=1, dtype=compute_dtype)  # (time, vocab, batch)
    product = tf.matmul(tf.transpose(tf.cast(table, compute_dtype)), one_hot)  # (time, gates * units, batch)
    return InputProjection(lambda t: tf.cast(product[t], tf.float32), gradient)
