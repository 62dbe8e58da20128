"""The fused operation against its equations in float64: outputs, states and every gradient, to what rounding explains.

tests/test_reference.py compares those equations with stock Keras layers.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.graph import cells
from serving.graph.cells import KINDS, NORMS
from tests import numeric, reference
from trainer.engine import recurrent
from trainer.engine.layout import Layout

pytestmark = [pytest.mark.integration, pytest.mark.numeric]
TIME, BATCH, FEATURES, UNITS, IDS = 6, 4, 5, 8, 7
LAYOUTS = [Layout(batch_last=False), Layout(batch_last=True)]
MASK = np.random.default_rng(6).integers(0, 2, (BATCH, UNITS)) * 2.0
Array = np.ndarray
# Runs a layer: from embedded input, states and weights to outputs (time, batch, units) and last states.
Run = Callable[[Any, list[Any], list[Any]], tuple[Any, list[Any]]]


@dataclass(frozen=True)
class Given:
    """Some layer's arguments, and what its outputs are multiplied by in the scalar whose gradients are compared."""

    ids: Array
    sources: list[Array]  # embedding, states, kernel, recurrent kernel, bias
    pull: Array

    @classmethod
    @functools.cache
    def of(cls, cell: str) -> "Given":
        random, gates = np.random.default_rng(7), KINDS[cell].gates
        bias = {"gru": (2, 3 * UNITS), "layer_norm_lstm": (2, NORMS, UNITS)}.get(cell, (gates * UNITS,))
        shapes = [(IDS, FEATURES), *[(BATCH, UNITS)] * KINDS[cell].states]
        weights = [(FEATURES, gates * UNITS), (UNITS, gates * UNITS), bias]
        sources = [random.standard_normal(shape) for shape in shapes]
        sources += [random.standard_normal(shape) * 0.3 for shape in weights]
        ids = random.integers(0, IDS - 2, (TIME, BATCH))  # some never occur
        pull = random.standard_normal((TIME, BATCH, UNITS))
        return cls(ids, [source.astype(np.float32) for source in sources], pull.astype(np.float32))

    def results(self, run: Run, sources: list[Any], axis: int = 0) -> list[Any]:
        """Outputs, last states, and gradients by all sources of a scalar of all of them."""
        with tf.GradientTape() as tape:
            tape.watch(sources)
            embedding, *rest = sources
            outputs, last = run(embedding, rest[:-3], rest[-3:])
            pull = tf.cast(self.pull, outputs.dtype)
            total = tf.reduce_sum(outputs * pull) + tf.add_n([tf.reduce_sum(part**2) for part in last])
        return [outputs, *last, *map(tf.convert_to_tensor, tape.gradient(total, sources))]


@functools.cache
def expected(cell: str, products: str = "float32", masked: bool = False, by_id: bool = False) -> list[Array]:
    """All runs of the reference."""
    given, noise = Given.of(cell), reference.Noise(products=numeric.UNIT[products])

    def run(embedding: Any, states: list[Any], weights: list[Any]) -> Any:
        ids, mask = given.ids if by_id else None, MASK if masked else None
        x = embedding if by_id else reference.looked_up(noise, embedding, given.ids)
        return reference.layer(noise, cell, x, states, weights, mask, ids)

    return [value.numpy() for value in given.results(run, [noise.given(source) for source in given.sources])]


def assert_close(actual: list[Any], cell: str, *how: Any) -> None:
    names = ["outputs", *["state"] * KINDS[cell].states]
    names += [f"gradient by {name}" for name in ["embedding", *names[1:], "kernel", "recurrent kernel", "bias"]]
    for name, value, runs in zip(names, actual, expected(cell, *how), strict=True):
        numeric.close(value, runs, name)


def fused(cell: str, layout: Layout, compute_dtype: tf.DType = tf.float32, mask: Any = None) -> Any:
    """The operation, for input and with outputs of (time, batch, features) in either layout."""
    mask = None if mask is None else tf.constant(mask, tf.float32)

    def run(x: tf.Tensor, states: list[tf.Tensor], weights: list[tf.Tensor]) -> Any:
        outputs, last = recurrent.layer(cell, layout.turned(x), states, *weights, layout, compute_dtype, mask)
        return layout.turned(outputs), list(last)

    return run


@pytest.mark.parametrize(("compute_dtype", "masked"), [("float32", False), ("float32", True), ("bfloat16", True)])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cell", list(KINDS))
def test_agrees_with_the_reference(cell: str, layout: Layout, compute_dtype: str, masked: bool) -> None:
    """As a graph; the mask multiplies the former output before the recurrent product, in every step."""
    given = Given.of(cell)
    layer = fused(cell, layout, tf.as_dtype(compute_dtype), MASK if masked else None)

    def run(embedding: tf.Tensor, states: list[tf.Tensor], weights: list[tf.Tensor]) -> Any:
        return layer(tf.gather(embedding, given.ids), states, weights)

    graph = tf.function(functools.partial(given.results, run), autograph=False)
    assert_close(graph([tf.constant(source) for source in given.sources]), cell, compute_dtype, masked)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cell", list(KINDS))
def test_a_projection_that_is_looked_up_is_the_one_that_is_computed(cell: str, layout: Layout, masked: bool) -> None:
    """Outputs, states and gradients by embedding, kernels, bias and first states; some ids never occur."""
    given = Given.of(cell)
    mask = tf.constant(MASK, tf.float32) if masked else None

    def run(embedding: tf.Tensor, states: list[tf.Tensor], weights: list[tf.Tensor]) -> Any:
        kernel, recurrent_kernel, bias = weights
        table = embedding @ kernel + cells.input_bias(cell, bias)
        rest, ids = cells.recurrent_bias(cell, bias), tf.constant(given.ids, tf.int32)
        outputs, last = recurrent.layer_of_ids(
            cell, ids, table, states, recurrent_kernel, rest, layout, recurrent_mask=mask
        )
        return layout.turned(outputs), list(last)

    assert_close(given.results(run, [tf.constant(source) for source in given.sources]), cell, "float32", masked, True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cell", list(KINDS))
def test_a_window_in_two_parts_is_the_window_in_one(cell: str, layout: Layout) -> None:
    """State goes in and comes out."""
    given = Given.of(cell)
    embedding, *states, kernel, recurrent_kernel, bias = map(tf.constant, given.sources)
    x, weights = tf.gather(embedding, given.ids), [kernel, recurrent_kernel, bias]
    first, between = fused(cell, layout)(x[:4], states, weights)
    second, last = fused(cell, layout)(x[4:], between, weights)
    for value, runs in zip([tf.concat([first, second], 0), *last], expected(cell)):
        numeric.close(value, runs)
