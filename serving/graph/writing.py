"""The loops that generate text: plain, and with the sampling controls."""

from typing import Any

import tensorflow as tf

from serving.graph import controls, sampling
from serving.graph.network import Network


def generate(
    network: Network,
    hidden: list[tf.Tensor],
    last: tf.Tensor,
    sampled: tf.Tensor,
    num_chars: tf.Tensor,
    temperature: tf.Tensor,
    top_k: tf.Tensor,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
    """Generate; a row with all its characters stays unchanged until the others have theirs.

    Args:
      network: whose weights are read once.
      hidden: recurrent values, (batch, units) each.
      last: int32 (batch,), id plus one of the last character, which `hidden` has not seen yet.
      sampled: int64 (batch,), characters that were sampled before.
      num_chars: int32 (batch,), like the others of `OneStep.generate_from_state`.
      temperature: float32 (batch,).
      top_k: int32 (batch,).
      seed: int64 (batch,).

    Returns:
      The texts, string (batch,); `hidden` and `last` after them.
    """
    count, random = _random(num_chars, sampled, seed)
    any_top_k = tf.reduce_any(top_k > 0)
    table, logits_of = network.table.read_value(), network.logits()

    def step(t: tf.Tensor, hidden: list[tf.Tensor], last: tf.Tensor, written: Any) -> tuple[Any, ...]:
        after = network.step(table, last - 1, hidden)
        logits = logits_of(network.output(after))
        ids = tf.cond(
            any_top_k,
            lambda: sampling.sample_limited(logits, temperature, top_k, None, random[t]),
            lambda: sampling.sample(logits, temperature, random[t]),
        )
        moves = t < num_chars
        return t + 1, _moved(moves, after, hidden), tf.where(moves, ids + 1, last), written.write(t, ids)

    written = tf.TensorArray(tf.int32, count, element_shape=(None,))
    _, hidden, last, written = tf.while_loop(lambda t, *_: t < count, step, (0, hidden, last, written))
    return _text(network, written.stack(), num_chars), hidden, last


def sample(
    network: Network,
    hidden: list[tf.Tensor],
    last: tf.Tensor,
    window: tf.Tensor,
    sampled: tf.Tensor,
    num_chars: tf.Tensor,
    temperature: tf.Tensor,
    top_k: tf.Tensor,
    top_p: tf.Tensor,
    repetition_penalty: tf.Tensor,
    stop: tf.Tensor,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Generate with the sampling controls; the loop ends when all rows have all characters or their stop string.

    Args are those of `generate`, and:
      window: int32 (batch, WINDOW), see `serving.graph.controls`.
      top_p: float32 (batch,), like the others of `OneStep.sample_from_state`.
      repetition_penalty: float32 (batch,).
      stop: string (batch,).

    Returns:
      The texts, string (batch,); `hidden`, `last` and `window` after them; the number of characters of each row,
      int32 (batch,); and whether it ended with its stop string, bool (batch,).
    """
    count, random = _random(num_chars, sampled, seed)
    pattern = controls.pattern(*network.encode(stop))
    table, logits_of = network.table.read_value(), network.logits()

    def goes_on(t: tf.Tensor, ends: tf.Tensor, *_: Any) -> tf.Tensor:
        return (t < 1) | tf.reduce_any(t < ends)  # at least one step: an empty TensorArray does not stack

    def step(
        t: tf.Tensor,
        ends: tf.Tensor,
        stopped: tf.Tensor,
        hidden: list[tf.Tensor],
        last: tf.Tensor,
        window: tf.Tensor,
        written: Any,
    ) -> tuple[Any, ...]:
        after = network.step(table, last - 1, hidden)
        logits = controls.penalize(logits_of(network.output(after)), window, repetition_penalty)
        ids = sampling.sample_limited(logits, temperature, top_k, top_p, random[t])
        moves = t < ends
        window = tf.where(moves[:, None], controls.push(window, ids), window)
        found = moves & controls.ends_with(window, pattern)
        return (
            t + 1,
            tf.where(found, t + 1, ends),
            stopped | found,
            _moved(moves, after, hidden),
            tf.where(moves, ids + 1, last),
            window,
            written.write(t, ids),
        )

    written = tf.TensorArray(tf.int32, count, element_shape=(None,))
    stopped = tf.zeros_like(num_chars, tf.bool)
    t, ends, stopped, hidden, last, window, written = tf.while_loop(
        goes_on, step, (0, num_chars, stopped, hidden, last, window, written)
    )
    ids = written.gather(tf.range(t))  # (t, batch)
    return _text(network, ids, ends), hidden, last, controls.consume(window, stopped), ends, stopped


def _random(num_chars: tf.Tensor, sampled: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the number of steps, at least one, because an empty TensorArray does not stack; and their numbers."""
    count = tf.reduce_max(tf.concat([num_chars, [1]], 0))
    with tf.device("/CPU:0"):
        return count, sampling.uniforms(seed, sampled, count)  # (count, batch)


def _moved(moves: tf.Tensor, after: list[tf.Tensor], before: list[tf.Tensor]) -> list[tf.Tensor]:
    return [tf.where(moves[:, None], new, old) for new, old in zip(after, before)]


def _text(network: Network, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Join the characters of ids (time, batch) up to each row's length."""
    ids = tf.transpose(ids)  # (batch, time)
    exists = tf.range(tf.shape(ids)[1])[None, :] < lengths[:, None]
    return tf.strings.reduce_join(tf.where(exists, tf.gather(network.characters, ids), ""), 1)
