"""Windows of the last characters, repetition penalty and stop strings against plain Python."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.graph import controls

pytestmark = pytest.mark.integration

VOCABULARY = 4
prompts = st.lists(st.integers(0, VOCABULARY - 1), max_size=controls.WINDOW + 6)


def window(*rows: list[int]) -> tf.Tensor:
    """Windows that end with the given values."""
    return tf.constant([[0] * (controls.WINDOW - len(row)) + row for row in rows], tf.int32)


@settings(max_examples=15)
@given(st.lists(st.tuples(prompts, prompts), min_size=1, max_size=3))
def test_window_holds_the_last_characters_of_all_prompts(rows: list[tuple[list[int], list[int]]]) -> None:
    current = window(*([] for _ in rows))
    for piece in (0, 1):
        lengths = [len(row[piece]) for row in rows]
        ids = [row[piece] + [0] * (max(lengths) - len(row[piece])) for row in rows]
        current = controls.append(current, tf.constant(ids, tf.int32), tf.constant(lengths))
    for actual, (first, second) in zip(current.numpy(), rows):
        expected = [-1 - id_ for id_ in first + second][-controls.WINDOW :]
        np.testing.assert_array_equal(actual, [0] * (controls.WINDOW - len(expected)) + expected)


def test_generated_character_follows_and_the_oldest_leaves() -> None:
    full = window(list(range(1, controls.WINDOW + 1)))
    np.testing.assert_array_equal(controls.push(full, tf.constant([7]))[0], [*range(2, controls.WINDOW + 1), 8])


def test_penalty_divides_positive_and_multiplies_negative_logits_of_the_window() -> None:
    logits = tf.constant([[2.0, -2.0, 3.0, 0.0]] * 3)
    recent = window([1, 1, 2], [-1, -2, 5], [3, 4])  # of a prompt as well; unknown characters have no logit
    penalized = controls.penalize(logits, recent, tf.constant([2.0, 4.0, 1.0]))
    np.testing.assert_array_equal(penalized, [[1.0, -4.0, 3.0, 0.0], [0.5, -8.0, 3.0, 0.0], [2.0, -2.0, 3.0, 0.0]])


def test_logits_stay_finite_with_a_tiny_penalty() -> None:
    assert np.isfinite(controls.penalize(tf.constant([[9.0, -9.0]]), window([1, 2]), tf.constant([1e-38]))).all()


def test_stop_string_fits_only_at_the_end_and_only_generated_characters() -> None:
    stop = controls.pattern(tf.constant([[0, 1]] * 5), tf.constant([2, 2, 2, 0, 2]))
    windows = window([3, 1, 2], [1, 2, 3], [-1, 2], [1, 2], [2])
    np.testing.assert_array_equal(controls.ends_with(windows, stop), [True, False, False, False, False])
    used = controls.consume(windows, tf.constant([True] * 5))
    assert not controls.ends_with(used, stop).numpy().any()
    np.testing.assert_array_equal(abs(used), abs(windows))
