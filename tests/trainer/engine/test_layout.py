"""Both layouts, compared with NumPy; test_recurrent.py runs a layer in each of them."""

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
def test_batch_is_last_in_bfloat16_if_rows_fill_cache_lines(batch: int, dtype: tf.DType, batch_last: bool) -> None:
    assert Layout.fastest(batch, dtype).batch_last == batch_last


@pytest.mark.parametrize("layout", LAYOUTS)
def test_to_layout_is_its_own_inverse_and_axes_are_those_of_the_layout(layout: Layout) -> None:
    x = layout.to_layout(tf.constant(random(BATCH, N)))
    assert (x.shape[layout.units_axis], x.shape[layout.batch_axis]) == (N, BATCH)
    np.testing.assert_array_equal(layout.to_layout(x), random(BATCH, N))


@pytest.mark.numeric
@pytest.mark.parametrize("layout", LAYOUTS)
def test_product_of_one_step_and_of_several(layout: Layout) -> None:
    kernel, noise = random(N, M), numeric.Noise()
    for x in (random(BATCH, N), random(STEPS, BATCH, N)):
        product = layout.product(layout.to_layout(tf.constant(x)), kernel, kernel.T)
        numeric.close(layout.to_layout(product), noise.product(noise.runs(x), kernel))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bias_is_added_to_every_row_of_the_batch(layout: Layout) -> None:
    x, bias = random(BATCH, N), random(2, N)
    for one, spread in zip(bias, tf.unstack(layout.broadcast_bias(tf.constant(bias), BATCH)), strict=True):
        np.testing.assert_array_equal(layout.to_layout(layout.to_layout(tf.constant(x)) + spread), x + one)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_split_steps_reverts_join_steps(layout: Layout) -> None:
    x = random(STEPS, BATCH, N)
    steps = layout.to_layout(tf.constant(x))
    joined = layout.join_steps(steps)
    np.testing.assert_array_equal(layout.to_layout(joined), x.reshape(-1, N))
    np.testing.assert_array_equal(layout.split_steps(joined, STEPS), steps)


@pytest.mark.numeric
@pytest.mark.parametrize("layout", LAYOUTS)
def test_kernel_and_bias_gradients_are_sums_over_time_and_batch(layout: Layout) -> None:
    x, d = random(STEPS * BATCH, N), random(STEPS * BATCH, M)
    pieces = [layout.to_layout(tf.constant(piece)) for piece in (d[:, :2], d[:, 2:])]
    noise, ones = numeric.Noise(), np.ones((1, STEPS * BATCH))
    found = layout.kernel_gradient(layout.to_layout(tf.constant(x)), pieces)
    numeric.close(found, noise.product(noise.runs(x.T), d))
    numeric.close(layout.sum_over_batch(pieces), noise.product(noise.runs(ones), d)[:, 0])
