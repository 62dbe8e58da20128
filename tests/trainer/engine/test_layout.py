"""Both layouts against numpy; the recurrent operation in either is in tests/trainer/test_recurrent.py."""

import numpy as np
import pytest
import tensorflow as tf

from tests import numeric
from trainer.engine.layout import Layout

pytestmark = pytest.mark.integration

LAYOUTS = [Layout(batch_last=False), Layout(batch_last=True)]
STEPS, BATCH, N, M = 3, 4, 5, 6


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("batch", "dtype", "batch_last"),
    [
        (64, tf.bfloat16, True),
        (32, tf.bfloat16, True),
        (50, tf.bfloat16, False),  # rows of 100 bytes
        (16, tf.bfloat16, False),
        (64, tf.float32, False),
    ],
)
def test_the_batch_is_last_in_bfloat16_where_rows_fill_cache_lines(
    batch: int, dtype: tf.DType, batch_last: bool
) -> None:
    assert Layout.fastest(batch, dtype).batch_last == batch_last


@pytest.mark.parametrize("layout", LAYOUTS)
def test_units_is_the_axis_of_units(layout: Layout) -> None:
    x = layout.turned(tf.constant(random(BATCH, N)))
    assert x.shape[layout.units] == N
    np.testing.assert_array_equal(layout.turned(x), random(BATCH, N))


@pytest.mark.numeric
@pytest.mark.parametrize("layout", LAYOUTS)
def test_products_of_one_step_and_of_many(layout: Layout) -> None:
    kernel, noise = random(N, M), numeric.Noise()
    for x in (random(BATCH, N), random(STEPS, BATCH, N)):
        product = layout.product(layout.turned(tf.constant(x)), kernel, kernel.T)
        numeric.close(layout.turned(product), noise.product(noise.runs(x), kernel))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_bias_is_added_to_every_passage(layout: Layout) -> None:
    x, bias = random(BATCH, N), random(2, N)
    for one, spread in zip(bias, tf.unstack(layout.for_each_row(tf.constant(bias), BATCH)), strict=True):
        np.testing.assert_array_equal(layout.turned(layout.turned(tf.constant(x)) + spread), x + one)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_steps_are_joined_and_split(layout: Layout) -> None:
    x = random(STEPS, BATCH, N)
    steps = layout.turned(tf.constant(x))
    joined = layout.join_steps(steps)
    np.testing.assert_array_equal(layout.turned(joined), x.reshape(-1, N))
    np.testing.assert_array_equal(layout.split_steps(joined, STEPS), steps)


@pytest.mark.numeric
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_of_a_kernel_and_of_a_bias_are_sums_over_time_and_batch(layout: Layout) -> None:
    x, d = random(STEPS * BATCH, N), random(STEPS * BATCH, M)
    pieces = [layout.turned(tf.constant(piece)) for piece in (d[:, :2], d[:, 2:])]
    noise, ones = numeric.Noise(), np.ones((1, STEPS * BATCH))
    found = layout.kernel_gradient(layout.turned(tf.constant(x)), pieces)
    numeric.close(found, noise.product(noise.runs(x.T), d))
    numeric.close(layout.sums(pieces), noise.product(noise.runs(ones), d)[:, 0])
