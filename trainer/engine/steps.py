"""The loops over a window's steps, forward and backward, without the products that `recurrent` takes out of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving.graph import cells
from trainer.engine import gradients
from trainer.engine.layout import Layout

Pieces = list[tf.Tensor]  # (time * batch, part of gates * units), side by side


@dataclass(frozen=True)
class Kept:
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
class Loops:
    """The loop over all steps, and the one back; all matrices of a step are as the layout has them.

    Attributes:
      kernel: (units, gates * units), in the type of the products.
      transposed: the same, (gates * units, units).
      bias: what `cells.step` takes.
      mask: (batch, units), as `trainer.engine.recurrent.layer` takes it.
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
    ) -> tuple[list[tf.Tensor], Kept]:
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
        return last, Kept(*kept)

    def backward(
        self, d_outputs: tf.Tensor, d_last: list[tf.Tensor], kept: Kept
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
        recurrents, apart = ([self.layout.join_steps(array.stack()) for array in some] for some in arrays)
        return d_states, d_bias if own_bias else None, recurrents, [*recurrents[: len(recurrents) - len(apart)], *apart]

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
