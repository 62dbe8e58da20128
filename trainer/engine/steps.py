"""Loops over the time steps of a window, forward and backward, without the products that are taken out of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving.graph import cells
from trainer.engine.gradients import backward_step
from trainer.engine.layout import Layout

Pieces = list[tf.Tensor]  # for each gate (time * batch, units), in the layout and the type of the products


@dataclass(frozen=True)
class Residuals:
    """Activations saved for the backward pass, in arrays that are read without a copy."""

    hidden: tf.TensorArray  # the output before the first step and after each step, (batch, units)
    recurrent_inputs: tf.TensorArray  # factor of each recurrent product, (batch, units) in the type of the products
    activations: list[tf.TensorArray]  # `serving.graph.cells.Step.activations` of each step


@dataclass(frozen=True)
class WindowGradients:
    """Gradients of the loss by the arguments of the forward loop."""

    state_grads: list[tf.Tensor]  # by the states before the first step, (batch, units) each
    recurrent_grads: Pieces  # by the recurrent products of all steps
    input_grads: Pieces  # by the projected inputs of all steps
    bias_grad: tf.Tensor | None  # by the bias of the recurrent product, or the gains and offsets


@dataclass(frozen=True)
class Loops:
    """The forward and the backward loop of one layer; all matrices of a step are in the layout."""

    cell: str
    steps: int
    layout: Layout
    kernel: tf.Tensor  # recurrent kernel (units, gates * units), in the type of the products
    transposed: tf.Tensor  # the kernel as (gates * units, units)
    bias: tf.Tensor | None  # as `serving.graph.cells.step` takes it
    mask: tf.Tensor | None  # (batch, units), multiplies the input of every recurrent product

    def forward(
        self, step_input: Callable[[tf.Tensor], tf.Tensor], states: list[tf.Tensor]
    ) -> tuple[list[tf.Tensor], Residuals]:
        """Return the states after the last step, and what the backward pass needs."""

        def body(t: tf.Tensor, states: Any, hidden: Any, recurrent_inputs: Any, activations: Any) -> tuple[Any, ...]:
            recurrent_input = tf.cast(self._masked(states[0]), self.kernel.dtype)
            recurrent = tf.cast(self.layout.product(recurrent_input, self.kernel, self.transposed), tf.float32)
            after = cells.step(self.cell, step_input(t), recurrent, states, self.bias, self.layout.units_axis)
            return (
                t + 1,
                after.states,
                hidden.write(t + 1, after.states[0]),
                recurrent_inputs.write(t, recurrent_input),
                [array.write(t, value) for array, value in zip(activations, after.activations)],
            )

        shape = states[0].shape
        start = (
            0,
            states,
            self._array(shape, tf.float32, more=1, clear=False).write(0, states[0]),
            self._array(shape),
            [self._array(shape, tf.float32, clear=False) for shape in self._activation_shapes(states)],
        )
        _, last, *saved = tf.while_loop(lambda t, *_: t < self.steps, body, start, maximum_iterations=self.steps)
        return last, Residuals(*saved)

    def backward(self, d_outputs: tf.Tensor, d_last: list[tf.Tensor], residuals: Residuals) -> WindowGradients:
        """Return the gradients, given those by the outputs (time, batch, units) and by the last states."""

        def body(i: tf.Tensor, d_states: Any, d_bias: Any, recurrents: Any, inputs: Any) -> tuple[Any, ...]:
            t = self.steps - 1 - i
            d_states = [d_states[0] + d_outputs[t], *d_states[1:]]
            activations, previous = [array.read(t) for array in residuals.activations], residuals.hidden.read(t)
            grads = backward_step(self.cell, d_states, activations, previous, self.bias, self.layout.units_axis)
            pieces = [tf.cast(piece, self.kernel.dtype) for piece in grads.recurrent_grads]
            d_product = tf.concat(pieces, self.layout.units_axis)
            d_recurrent_input = tf.cast(self.layout.product(d_product, self.transposed, self.kernel), tf.float32)
            return (
                i + 1,
                [grads.state_grads[0] + self._masked(d_recurrent_input), *grads.state_grads[1:]],
                d_bias if grads.bias_grad is None else d_bias + grads.bias_grad,
                [array.write(t, piece) for array, piece in zip(recurrents, pieces)],
                [array.write(t, tf.cast(d, self.kernel.dtype)) for array, d in zip(inputs, grads.input_grads)],
            )

        shape, kind = d_last[0].shape, cells.KINDS[self.cell]
        start = (
            0,
            d_last,
            tf.zeros(kind.bias_shape(self.kernel.shape[0])) if kind.norms else 0.0,
            [self._array(shape) for _ in range(kind.gates)],
            [self._array(shape)] if kind.reset_after else [],
        )
        _, d_states, d_bias, *arrays = tf.while_loop(
            lambda i, *_: i < self.steps, body, start, maximum_iterations=self.steps
        )
        recurrents, inputs = ([self.layout.join_steps(array.stack()) for array in some] for some in arrays)
        if not kind.norms:  # the only bias in a step is that of the candidate's recurrent product
            d_bias = None if self.bias is None else self.layout.sum_over_batch(recurrents[-1:])
        shared = recurrents[: len(recurrents) - len(inputs)]  # gradients that the input products have in common
        return WindowGradients(d_states, recurrents, [*shared, *inputs], d_bias)

    def _masked(self, x: tf.Tensor) -> tf.Tensor:
        return x if self.mask is None else x * self.mask

    def _array(self, shape: Any, dtype: Any = None, more: int = 0, clear: bool = True) -> tf.TensorArray:
        size = self.steps + more
        return tf.TensorArray(dtype or self.kernel.dtype, size, element_shape=shape, clear_after_read=clear)

    def _activation_shapes(self, states: list[tf.Tensor]) -> list[tf.TensorShape]:
        """Infer the shapes of a step's activations from a step in a graph that is discarded."""
        with tf.Graph().as_default():
            parts = [tf.zeros(state.shape) for state in states]
            product = tf.concat([parts[0]] * cells.KINDS[self.cell].gates, self.layout.units_axis)
            bias = None if self.bias is None else tf.zeros(self.bias.shape)
            step = cells.step(self.cell, product, product, parts, bias, self.layout.units_axis)
            return [value.shape for value in step.activations]
