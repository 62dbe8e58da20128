"""Recurrent layers over a window of text, each one operation with its own gradient, for CPUs.

The cells themselves are in `serving/graph/cells.py`; "Add a cell" in `CONTRIBUTING.md` lists what a new one needs.

It is faster than a differentiated loop: the input projection is one matrix product before the loop, the kernel
gradients are matrix products after it, and the products may run in bfloat16 while the states, the gates and the sums
stay float32. `README.md` in this folder has the equations, the shapes and a slow reference implementation.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

from serving.graph import cells
from trainer.engine.layout import Layout
from trainer.engine.projection import InputProjection, Vectors, project_ids, project_vectors
from trainer.engine.steps import Loops

States = tuple[tf.Tensor, ...]
LayerWeights = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # kernel, recurrent kernel, bias: see `run`
Dropout = Callable[[tf.Tensor], tf.Tensor]
Arguments = TypeVar("Arguments")
Result = TypeVar("Result")


def run(
    cell: str,
    ids: tf.Tensor,
    state: Sequence[tf.Tensor],
    weights: Sequence[LayerWeights],
    embedding: tf.Tensor,
    compute_dtype: tf.DType = tf.float32,
    dropouts: Sequence[Dropout | None] | None = None,
    recurrent_masks: Sequence[tf.Tensor | None] | None = None,
) -> tuple[tf.Tensor, States]:
    """Run the embedding and all recurrent layers over a window; differentiable in state, weights and embedding.

    Args:
      cell: a key of `serving.graph.cells.KINDS`.
      ids: int32 or int64 (batch, time), static shape.
      state: before the first step, float32 (batch, units) each: for each layer its output, then its cell state if any.
      weights: for each layer kernel (features, gates * units), recurrent kernel (units, gates * units) and a bias of
        the shape `Kind.bias_shape`.
      embedding: (vocab, features).
      compute_dtype: of the matrix products.
      dropouts: one for the input of each layer and one for the last layer's output; None: no dropout.
      recurrent_masks: for each layer (batch, units): multiplies the previous output before the recurrent product, the
        same in every step (variational dropout); None: nothing does.

    Returns:
      Outputs of the last layer (batch, time, units) in `compute_dtype`, and the state after the last step.
    """
    *dropouts, last_dropout = dropouts or [None] * (len(weights) + 1)
    layout = Layout.fastest(ids.shape[0], compute_dtype)
    ids = tf.transpose(ids)  # (time, batch)
    by_table = dropouts[0] is None and _is_table_faster(embedding, layout)
    x = ids if by_table else layout.to_layout(tf.gather(embedding, ids))  # (time, batch, features) in the layout
    count, after = cells.KINDS[cell].states, list[tf.Tensor]()
    for i, (drop, mask) in enumerate(zip(dropouts, recurrent_masks or [None] * len(weights), strict=True)):
        x = drop(x) if drop else x
        states, table_of = state[i * count : (i + 1) * count], embedding if by_table and i == 0 else None
        x, last = layer(cell, x, states, weights[i], layout, compute_dtype, mask, table_of)
        after += last
    x = tf.cast(last_dropout(x) if last_dropout else x, compute_dtype)  # before it is transposed: half the memory
    return tf.transpose(x, (2, 0, 1) if layout.batch_last else (1, 0, 2)), tuple(after)


def _is_table_faster(embedding: tf.Tensor, layout: Layout) -> bool:
    """Whether to project every id of the vocabulary once instead of the input of every step.

    Two products as wide as the vocabulary (one where rows of the table are gathered) then replace three that are as
    wide as the embedding.
    """
    vocab, features = embedding.shape
    return (2 if layout.batch_last else 1) * vocab <= 3 * features


def layer(
    cell: str,
    x: tf.Tensor,
    states: Sequence[tf.Tensor],
    weights: LayerWeights,
    layout: Layout,
    compute_dtype: tf.DType = tf.float32,
    recurrent_mask: tf.Tensor | None = None,
    embedding: tf.Tensor | None = None,
) -> tuple[tf.Tensor, States]:
    """Run one layer over a window.

    Args:
      cell: a key of `serving.graph.cells.KINDS`.
      x: float32 (time, batch, features), the last two in the layout; with `embedding` int32 ids (time, batch).
      states: as in `run`, of this layer. Like weights and mask they are not in the layout.
      weights: as in `run`, of this layer.
      layout: of a step's matrices.
      compute_dtype: of the matrix products.
      recurrent_mask: as in `run`, of this layer.
      embedding: (vocab, features): every id is projected once, and `x` looked up in the results.

    Returns:
      Outputs float32 (time, batch, units), the last two in the layout, and the states after the last step.
    """
    kernel, recurrent_kernel, bias = weights
    input_bias = cells.input_bias(cell, bias)
    source: Any = Vectors(x, kernel, None if cells.KINDS[cell].norms else input_bias)
    project: Callable[..., InputProjection] = project_vectors
    if embedding is not None:
        product = tf.matmul(tf.cast(embedding, compute_dtype), tf.cast(kernel, compute_dtype))  # (vocab, gates * units)
        source, project = tf.cast(product, tf.float32) + input_bias, functools.partial(project_ids, x)
    steps, batch = x.shape[0], states[0].shape[0]
    mask = None if recurrent_mask is None else layout.to_layout(recurrent_mask)

    def forward(given: _Given) -> tuple[_Results, Callable[[_Results], _Given]]:
        kernel = tf.cast(given.recurrent_kernel, compute_dtype)
        bias = None if given.recurrent_bias is None else layout.broadcast_bias(given.recurrent_bias, batch)
        loops = Loops(cell, steps, layout, kernel, tf.transpose(kernel), bias, mask)
        projection = project(given.source, layout, compute_dtype)
        last, residuals = loops.forward(projection.step_input, [layout.to_layout(state) for state in given.states])

        def gradient(d: _Results) -> _Given:
            grads = loops.backward(d.outputs, [layout.to_layout(state) for state in d.states], residuals)
            recurrent_inputs = layout.join_steps(residuals.recurrent_inputs.stack())
            return _Given(
                projection.gradient(grads.input_grads),
                layout.kernel_gradient(recurrent_inputs, grads.recurrent_grads),
                [layout.to_layout(state) for state in grads.state_grads],
                grads.bias_grad,
            )

        outputs = residuals.hidden.gather(tf.range(1, steps + 1))
        return _Results(outputs, [layout.to_layout(state) for state in last]), gradient

    given = _Given(source, recurrent_kernel, list(states), cells.recurrent_bias(cell, bias))
    results = with_gradient(forward, given)
    return results.outputs, tuple(results.states)


class _Given(NamedTuple):
    """What a layer is differentiated by; also its gradients."""

    source: Any  # what the input projection projects
    recurrent_kernel: tf.Tensor
    states: list[tf.Tensor]
    recurrent_bias: tf.Tensor | None


class _Results(NamedTuple):
    """What a layer returns; also its gradients."""

    outputs: tf.Tensor
    states: list[tf.Tensor]


def with_gradient(
    function: Callable[[Arguments], tuple[Result, Callable[[Result], Arguments]]], arguments: Arguments
) -> Result:
    """Call a function that defines its own gradient: `tf.custom_gradient` for structures of tensors.

    Args:
      function: returns its result and a function from the gradients of the result to those of the arguments. Gradients
        have the structure (see `tf.nest`) of what they are gradients by.
      arguments: a structure of tensors, with None where there is no tensor.
    """

    @tf.custom_gradient
    def flat(*tensors: tf.Tensor) -> Any:
        remaining = iter(tensors)
        given = tf.nest.map_structure(lambda leaf: None if leaf is None else next(remaining), arguments)
        result, gradient = function(given)
        return result, lambda *grads: _tensors(gradient(tf.nest.pack_sequence_as(result, grads)))

    return flat(*_tensors(arguments))


def _tensors(structure: Any) -> list[tf.Tensor]:
    return [leaf for leaf in tf.nest.flatten(structure) if leaf is not None]
