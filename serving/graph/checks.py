"""Checks of a request's inputs in the exported graph: whatever is out of range is refused with a message."""

from typing import Any

import tensorflow as tf

from serving.graph.generation_config import MAX_PENALTY, WINDOW


def generation(
    state: tf.Tensor,
    num_chars: tf.Tensor,
    temperature: tf.Tensor,
    top_k: tf.Tensor,
    max_chars: int,
    max_batch_chars: int,
    max_temperature: float,
) -> list[Any]:
    """Return the checks of `generate_from_state`: of its inputs, by the limits of the export."""
    longest = tf.cast(tf.reduce_max(tf.concat([num_chars, [0]], 0)), tf.int64)
    return [
        tf.debugging.Assert(
            tf.reduce_all((num_chars >= 0) & (num_chars <= max_chars)),
            [f"num_chars must be from 0 to {max_chars}", num_chars],
        ),
        tf.debugging.Assert(
            tf.size(num_chars, tf.int64) * longest <= max_batch_chars,
            [f"a request generates at most {max_batch_chars} characters: number of rows times the greatest num_chars"],
        ),
        tf.debugging.Assert(
            tf.reduce_all((temperature >= 0.0) & (temperature <= max_temperature)),
            [f"temperature must be from 0 to {max_temperature:g}", temperature],
        ),
        tf.debugging.Assert(tf.reduce_all(top_k >= 0), ["top_k must be 0 (all characters) or more", top_k]),
        tf.debugging.Assert(
            tf.reduce_all(tf.math.is_finite(state)),
            ["state must be one that this signature returned, or zeros"],
        ),
    ]


def controls(top_p: tf.Tensor, repetition_penalty: tf.Tensor, stop: tf.Tensor) -> list[Any]:
    """Return the checks of the inputs that only `sample_from_state` has."""
    length = tf.strings.length(stop, unit="UTF8_CHAR")
    return [
        tf.debugging.Assert(
            tf.reduce_all((top_p > 0.0) & (top_p <= 1.0)), ["top_p must be above 0 and at most 1 (off)", top_p]
        ),
        tf.debugging.Assert(
            tf.reduce_all((repetition_penalty > 0.0) & (repetition_penalty <= MAX_PENALTY)),
            [f"repetition_penalty must be above 0 and at most {MAX_PENALTY:g}; 1 is off", repetition_penalty],
        ),
        tf.debugging.Assert(tf.reduce_all(length <= WINDOW), [f"stop must have at most {WINDOW} characters", length]),
    ]


def top_n(top_n: tf.Tensor, known: int) -> list[Any]:
    """Return the check of the number of alternatives, up to the number of known characters."""
    return [
        tf.debugging.Assert(
            tf.reduce_all((top_n >= 1) & (top_n <= known)),
            [f"top_n must be from 1 to {known}, the number of characters that the model knows", top_n],
        )
    ]
