"""A layer, compared with its equations in float64: outputs, states and every gradient differ by rounding only.

test_readme.py compares those equations with the README of the engine, tests/test_reference.py with stock Keras layers.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.graph.cells import KINDS
from tests import numeric, reference
from trainer import engine
from trainer.engine import recurrent
from trainer.engine.layout import Layout

pytestmark = [pytest.mark.integration, pytest.mark.numeric]
TIME, BATCH, FEATURES, UNITS, IDS = 4, 4, 5, 8, 7
LAYOUTS = [Layout(batch_last=False), Layout(batch_last=True)]
MASK = np.random.default_rng(6).integers(0, 2, (BATCH, UNITS)) * 2.0
Array = np.ndarray
# Runs a layer: from embedding, states and weights to outputs (time, batch, units) and last states.
Run = Callable[[Any, list[Any], list[Any]], tuple[Any, list[Any]]]


@dataclass(frozen=True)
class Given:
    """Arguments of a layer, and the factors of its outputs in the loss whose gradients are compared."""

    ids: Array
    sources: list[Array]  # embedding, states, kernel, recurrent kernel, bias
    factors: Array

    @classmethod
    @functools.cache
    def of(cls, cell: str) -> "Given":
        random, kind, gates = np.random.default_rng(7), KINDS[cell], KINDS[cell].gates
        shapes = [(IDS, FEATURES), *[(BATCH, UNITS)] * kind.states]
        weights = [(FEATURES, gates * UNITS), (UNITS, gates * UNITS), kind.bias_shape(UNITS)]
        sources = [random.standard_normal(shape) for shape in shapes]
        sources += [random.standard_normal(shape) * 0.3 for shape in weights]
        ids = random.integers(0, IDS - 2, (TIME, BATCH))  # some never occur
        factors = random.standard_normal((TIME, BATCH, UNITS))
        return cls(ids, [source.astype(np.float32) for source in sources], factors.astype(np.float32))

    def results(self, run: Run, sources: list[Any]) -> list[Any]:
        """Outputs, last states, and gradients of a loss that depends on all of them, by all sources."""
        with tf.GradientTape() as tape:
            tape.watch(sources)
            embedding, *rest = sources
            outputs, last = run(embedding, rest[:-3], rest[-3:])
            factors = tf.cast(self.factors, outputs.dtype)
            total = tf.reduce_sum(outputs * factors) + tf.add_n([tf.reduce_sum(part**2) for part in last])
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


def engine_layer(cell: str, layout: Layout, compute_dtype: tf.DType = tf.float32, mask: Any = None) -> Any:
    """The engine's layer, with input and outputs (time, batch, features) for either layout."""
    mask = None if mask is None else tf.constant(mask, tf.float32)

    def run(x: tf.Tensor, states: list[tf.Tensor], weights: Any) -> Any:
        outputs, last = recurrent.layer(cell, layout.to_layout(x), states, weights, layout, compute_dtype, mask)
        return layout.to_layout(outputs), list(last)

    return run


@pytest.mark.parametrize(("compute_dtype", "masked"), [("float32", False), ("float32", True), ("bfloat16", True)])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cell", list(KINDS))
def test_layer_agrees_with_the_reference(cell: str, layout: Layout, compute_dtype: str, masked: bool) -> None:
    """In a graph; the mask multiplies the previous output before the recurrent product, in every step."""
    given = Given.of(cell)
    layer = engine_layer(cell, layout, tf.as_dtype(compute_dtype), MASK if masked else None)

    def run(embedding: tf.Tensor, states: list[tf.Tensor], weights: list[tf.Tensor]) -> Any:
        return layer(tf.gather(embedding, given.ids), states, weights)

    graph = tf.function(functools.partial(given.results, run), autograph=False)
    assert_close(graph([tf.constant(source) for source in given.sources]), cell, compute_dtype, masked)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cell", list(KINDS))
def test_layer_with_a_table_of_projections_agrees_with_the_reference(cell: str, layout: Layout, masked: bool) -> None:
    """Some ids never occur."""
    given = Given.of(cell)
    mask = tf.constant(MASK, tf.float32) if masked else None

    def run(embedding: tf.Tensor, states: list[tf.Tensor], weights: Any) -> Any:
        ids = tf.constant(given.ids, tf.int32)
        outputs, last = recurrent.layer(cell, ids, states, weights, layout, tf.float32, mask, embedding)
        return layout.to_layout(outputs), list(last)

    assert_close(given.results(run, [tf.constant(source) for source in given.sources]), cell, "float32", masked, True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cell", list(KINDS))
def test_two_windows_that_carry_the_state_equal_one_long_window(cell: str, layout: Layout) -> None:
    given = Given.of(cell)
    embedding, *states, kernel, recurrent_kernel, bias = map(tf.constant, given.sources)
    x, weights = tf.gather(embedding, given.ids), [kernel, recurrent_kernel, bias]
    first, between = engine_layer(cell, layout)(x[:2], states, weights)
    second, last = engine_layer(cell, layout)(x[2:], between, weights)
    for value, runs in zip([tf.concat([first, second], 0), *last], expected(cell)):
        numeric.close(value, runs)


def test_gradient_of_a_structure_skips_what_is_none() -> None:
    def function(given: dict[str, Any]) -> Any:
        return [given["a"] * 2.0, given["c"][0] * 3.0], lambda d: {"a": d[0] * 20.0, "b": None, "c": [d[1] * 30.0]}

    a, c = tf.constant(1.0), tf.constant(2.0)
    with tf.GradientTape() as tape:
        tape.watch([a, c])
        first, second = recurrent.with_gradient(function, {"a": a, "b": None, "c": [c]})
        total = first + 10.0 * second
    assert (float(first), float(second)) == (2.0, 6.0)
    assert [float(d) for d in tape.gradient(total, [a, c])] == [20.0, 300.0]


@pytest.mark.parametrize("features", [2, 8])  # vectors are projected, or looked up in a table
@pytest.mark.parametrize("compute_dtype", [tf.float32, tf.bfloat16])  # one layout each
def test_run_is_its_layers_one_after_another(compute_dtype: tf.DType, features: int) -> None:
    """The example of how to call the engine: two GRU layers over a window of ids."""
    random = np.random.default_rng(5)
    batch, kind = 32, KINDS["gru"]

    def normal(*shape: int) -> tf.Tensor:
        return tf.constant(random.standard_normal(shape), tf.float32)

    embedding, state = normal(IDS, features), [normal(batch, UNITS) for _ in range(2)]
    sizes = [(features, UNITS), (UNITS, UNITS)]
    weights = [(normal(f, kind.gates * u), normal(u, kind.gates * u), normal(*kind.bias_shape(u))) for f, u in sizes]
    ids = tf.constant(random.integers(IDS, size=(batch, TIME)), tf.int32)
    dropouts = [None, lambda x: x * 0.5, lambda x: x * 2.0]
    outputs, last = engine.run("gru", ids, state, weights, embedding, compute_dtype, dropouts)

    noise = reference.Noise(products=numeric.UNIT[compute_dtype.name])
    layout = Layout.fastest(batch, compute_dtype)
    table = noise.given(embedding) if recurrent._is_table_faster(embedding, layout) else None
    assert (table is None) == (features == 2)
    x = reference.looked_up(noise, noise.given(embedding), ids.numpy().T) if table is None else table
    expected = []
    for layer, (scale, first) in enumerate(zip((0.5, 2.0), state)):
        given = [noise.given(weight) for weight in weights[layer]]
        by_id = ids.numpy().T if layer == 0 and table is not None else None
        x, after = reference.layer(noise, "gru", x, [noise.given(first)], given, ids=by_id)
        x, expected = x * scale, [*expected, *after]
    assert outputs.dtype == compute_dtype
    numeric.close(tf.cast(outputs, tf.float32), noise.stored(tf.transpose(x, (0, 2, 1, 3))), "outputs")
    for value, runs in zip(last, expected, strict=True):
        numeric.close(value, runs, "state")
