"""Repetition penalty and stop strings: what `sample` knows of the characters before the next one.

A window holds the last characters of each row's text, int32 (batch, WINDOW), newest last: an id plus one for a
generated character, minus that for a character of a prompt, and 0 for none.
"""

import tensorflow as tf

from serving.graph.generation_config import WINDOW

_LARGEST_LOGIT = 1e30  # a tiny penalty divides by nearly zero: the logits must stay finite


def append(window: tf.Tensor, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Append prompts to the windows.

    Args:
      window: int32 (batch, WINDOW).
      ids: int32 (batch, time), padded.
      lengths: int32 (batch,).
    """
    longer = tf.concat([window, -1 - ids], 1)  # (batch, WINDOW + time)
    return tf.gather(longer, lengths[:, None] + tf.range(WINDOW)[None, :], batch_dims=1)


def push(window: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Append one generated character, int32 (batch,), to each window."""
    return tf.concat([window[:, 1:], ids[:, None] + 1], 1)


def penalize(logits: tf.Tensor, window: tf.Tensor, penalty: tf.Tensor) -> tf.Tensor:
    """Make characters of the window less likely (more likely with a penalty below 1).

    The penalized sampling of CTRL (Keskar et al. 2019, arXiv:1909.05858, section 4.1), with negative logits
    multiplied, so that a penalty above 1 always lowers the probability.

    Args:
      logits: float32 (batch, vocab).
      window: int32 (batch, WINDOW).
      penalty: float32 (batch,), above 0; with 1 the logits stay as they are.
    """
    occurs = tf.raw_ops.DenseBincount(
        input=tf.abs(window), size=logits.shape[1] + 1, weights=tf.zeros((0,)), binary_output=True
    )[:, 1:]  # (batch, vocab): 1 where the window has the character
    penalized = tf.where(logits > 0.0, logits / penalty[:, None], logits * penalty[:, None])
    return tf.where(occurs > 0.0, tf.clip_by_value(penalized, -_LARGEST_LOGIT, _LARGEST_LOGIT), logits)


def pattern(ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Align stop strings, int32 (batch, time) and their lengths (batch,), with the end of a window (batch, WINDOW)."""
    nothing = tf.zeros((tf.shape(ids)[0], WINDOW), tf.int32)
    return -append(nothing, ids, lengths)


def ends_with(window: tf.Tensor, pattern: tf.Tensor) -> tf.Tensor:
    """Return which windows end with a stop string that was generated from its first character on, bool (batch,)."""
    fits = tf.reduce_all((pattern == 0) | (window == pattern), 1)
    return fits & (pattern[:, -1] > 0)


def consume(window: tf.Tensor, stopped: tf.Tensor) -> tf.Tensor:
    """Let no later stop string begin within one that was found: `stopped` is bool (batch,)."""
    return tf.where(stopped[:, None], -tf.abs(window), window)
