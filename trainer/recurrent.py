"""A recurrent layer over a whole window as one operation with its own gradient, for CPUs.

What makes it faster than differentiating a loop: the input projection is one matrix product before the loop; the
gradients of all kernels are matrix products after it; nothing as large as the window is summed or kept twice; and
matrix products may run in bfloat16 while state, gates and sums stay float32. Which way round a step's matrices lie is
the caller's choice (`trainer.layout`); shapes are given here as for batch by units.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving import cells
from trainer import gradients
from trainer.layout import Layout

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
    layout: Layout,
    compute_dtype: tf.DType = tf.float32,
    recurrent_mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, States]:
    """Run a recurrent layer over time-major input.

    Args:
      cell: a name of `serving.cells.KINDS`.
      x: float32 (time, batch, features), the last two as the layout has them; static shape.
      states: float32 (batch, units) each, before the first step.
      kernel: (features, gates * units), gates in Keras' order.
      recurrent_kernel: (units, gates * units).
      bias: in the layout of `serving.network.Weights`.
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
            d_kernel = layout.kernel_gradient(layout.beside(tf.unstack(inputs)), pieces)
            return [layout.apart(d_x, steps), d_kernel, *([layout.sums(pieces)] if input_bias else [])]

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

    Args:
      ids: int32 (time, batch), static shape.
      table: of each id its projection with the input's bias, float32 (vocab, gates * units).
      recurrent_bias: what `serving.cells.recurrent_bias` gives.
    """

    def begin(table: tf.Tensor) -> Any:
        def at(t: tf.Tensor) -> tf.Tensor:
            return tf.gather(table, ids[t])

        if layout.batch_last:  # as a product, for looking up columns is slow
            chosen = tf.one_hot(ids, table.shape[0], axis=1, dtype=compute_dtype)  # (time, vocab, batch)
            product = tf.matmul(tf.transpose(tf.cast(table, compute_dtype)), chosen)  # (time, gates * units, batch)

            def at(t: tf.Tensor) -> tf.Tensor:
                return tf.cast(product[t], tf.float32)

        def gradient(pieces: Pieces) -> list[tf.Tensor]:
            # (time * batch, vocab), as the layout has it
            flat = tf.one_hot(tf.reshape(ids, [-1]), table.shape[0], axis=layout.units, dtype=compute_dtype)
            return [layout.kernel_gradient(flat, pieces)]

        return at, gradient

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
        loops = _Loops(cell, steps, layout, kernel, tf.transpose(kernel), bias, mask)
        projected, gradients_of_given = begin(*first)
        last, kept = loops.forward(projected, [layout.turned(state) for state in rest[:states]])

        def gradient(d_outputs: tf.Tensor, *d_last: tf.Tensor) -> tuple[tf.Tensor, ...]:
            d_last_turned = [layout.turned(d) for d in d_last]
            d_states, d_bias, recurrents, inputs = loops.backward(d_outputs, d_last_turned, kept)
            d_kernel = layout.kernel_gradient(loops.all_steps(kept.seen), recurrents)
            if bias is not None and d_bias is None:
                d_bias = layout.sums(recurrents[-1:])  # the candidate's
            d_first = [layout.turned(d) for d in d_states]
            return *gradients_of_given(inputs), d_kernel, *d_first, *([] if d_bias is None else [d_bias])

        outputs = kept.outputs.gather(tf.range(1, steps + 1))
        return (outputs, *(layout.turned(state) for state in last)), gradient

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


@dataclass(frozen=True)
class _Loops:
    """The loop over all steps, and the one back; all matrices of a step are as the layout has them.

    Attributes:
      kernel: (units, gates * units), in the type of the products.
      transposed: the same.
      bias: what `cells.step` takes.
    """

    cell: str
    steps: int
    layout: Layout
    kernel: tf.Tensor
    transposed: tf.Tensor
    bias: tf.Tensor | None
    mask: tf.Tensor | None

    def forward(
        self, projected: Callable[[tf.Tensor], tf.Tensor], states: list[tf.Tensor]
    ) -> tuple[list[tf.Tensor], _Kept]:
        """The last states, and what the way back needs."""

        def body(t: tf.Tensor, now: Any, outputs: Any, seen: Any, saved: Any) -> tuple[Any, ...]:
            multiplied = tf.cast(self._masked(now[0]), self.kernel.dtype)
            recurrent = tf.cast(self.layout.product(multiplied, self.kernel, self.transposed), tf.float32)
            after = cells.step(self.cell, projected(t), recurrent, now, self.bias, self.layout.units)
            kept = [array.write(t, value) for array, value in zip(saved, after.saved)]
            return t + 1, after.states, outputs.write(t + 1, after.states[0]), seen.write(t, multiplied), kept

        shape = states[0].shape
        start = (
            0,
            states,
            self._array(shape, tf.float32, more=1, clear=False).write(0, states[0]),
            self._array(shape),
            [self._array(saved, tf.float32, clear=False) for saved in self._saved_shapes(states)],
        )
        _, last, *kept = tf.while_loop(lambda t, *_: t < self.steps, body, start, maximum_iterations=self.steps)
        return last, _Kept(*kept)

    def backward(
        self, d_outputs: tf.Tensor, d_last: list[tf.Tensor], kept: _Kept
    ) -> tuple[list[tf.Tensor], tf.Tensor | None, Pieces, Pieces]:
        """Gradients of first states and bias, and of all recurrent and all input products in the type of products."""
        own_bias = self.cell == "layer_norm_lstm"

        def body(i: tf.Tensor, d_states: Any, d_bias: Any, recurrents: Any, apart: Any) -> tuple[Any, ...]:
            t = self.steps - 1 - i
            d_states = [d_states[0] + d_outputs[t], *d_states[1:]]
            saved, before = [array.read(t) for array in kept.saved], kept.outputs.read(t)
            now = gradients.back(self.cell, d_states, saved, before, self.bias, self.layout.units)
            pieces = [tf.cast(piece, self.kernel.dtype) for piece in now.recurrent]
            d_product = tf.concat(pieces, self.layout.units)
            through = tf.cast(self.layout.product(d_product, self.transposed, self.kernel), tf.float32)
            return (
                i + 1,
                [now.states[0] + self._masked(through), *now.states[1:]],
                d_bias + now.bias if own_bias else d_bias,
                [array.write(t, piece) for array, piece in zip(recurrents, pieces)],
                [array.write(t, tf.cast(piece, self.kernel.dtype)) for array, piece in zip(apart, now.apart)],
            )

        shape = d_last[0].shape
        start = (
            0,
            d_last,
            tf.zeros((2, cells.NORMS, self.kernel.shape[0])) if own_bias else 0.0,
            [self._array(shape) for _ in range(cells.KINDS[self.cell].gates)],
            [self._array(shape)] if self.cell == "gru" else [],
        )
        _, d_states, d_bias, *arrays = tf.while_loop(
            lambda i, *_: i < self.steps, body, start, maximum_iterations=self.steps
        )
        recurrents, apart = ([self.all_steps(array) for array in some] for some in arrays)
        return d_states, d_bias if own_bias else None, recurrents, [*recurrents[: len(recurrents) - len(apart)], *apart]

    def all_steps(self, array: tf.TensorArray) -> tf.Tensor:
        """(time * batch, units): what the array holds for each step."""
        return self.layout.beside([array.read(t) for t in range(self.steps)])

    def _masked(self, output: tf.Tensor) -> tf.Tensor:
        return output if self.mask is None else output * self.mask

    def _array(self, shape: Any, dtype: Any = None, more: int = 0, clear: bool = True) -> tf.TensorArray:
        size = self.steps + more
        return tf.TensorArray(dtype or self.kernel.dtype, size, element_shape=shape, clear_after_read=clear)

    def _saved_shapes(self, states: list[tf.Tensor]) -> list[tf.TensorShape]:
        """Of what a step saves: told by the cell itself, in a step that is built aside and never run."""
        with tf.Graph().as_default():
            parts = [tf.zeros(state.shape) for state in states]
            gates = cells.KINDS[self.cell].gates
            aside = tf.concat([parts[0]] * gates, self.layout.units)
            bias = None if self.bias is None else tf.zeros(self.bias.shape)
            step = cells.step(self.cell, aside, aside, parts, bias, self.layout.units)
            return [value.shape for value in step.saved]
