"""Draw the next character: a pure function of logits, and random numbers that depend on a row's seed and place only."""

import tensorflow as tf

_GAMMA = 0x9E3779B97F4A7C15
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_GREEDY_TEMPERATURE = 1e-6  # below it the most likely character is drawn in any case


def uniforms(seed: tf.Tensor, position: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Random numbers for `count` draws, the first of which is draw number `position` of its row's sequence.

    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014) used as a counter-based
    generator: each row has the sequence that its seed names, readable from any place, on its own. TensorFlow's
    stateless generators take one seed for the whole tensor, which would make a row's text depend on its neighbours.

    Args:
      seed: int64 (batch,).
      position: int64 (batch,).
      count: int32 scalar.

    Returns:
      float32 (count, batch) in [0, 1), 24 bits each.
    """
    start = _mix(tf.bitcast(seed, tf.uint64) + tf.constant(_GAMMA, tf.uint64))  # (batch,)
    draws = tf.cast(tf.range(1, count + 1), tf.uint64)[:, None] + tf.bitcast(position, tf.uint64)  # (count, batch)
    bits = _mix(start + draws * tf.constant(_GAMMA, tf.uint64))
    top = tf.bitwise.right_shift(bits, tf.constant(40, tf.uint64))
    return tf.cast(tf.cast(top, tf.int32), tf.float32) * (2.0**-24)


def _mix(z: tf.Tensor) -> tf.Tensor:
    z = tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, tf.constant(30, tf.uint64))) * tf.constant(
        _MIX[0], tf.uint64
    )
    z = tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, tf.constant(27, tf.uint64))) * tf.constant(
        _MIX[1], tf.uint64
    )
    return tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, tf.constant(31, tf.uint64)))


def draw(logits: tf.Tensor, temperature: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Draw from softmax(logits / temperature) by inverting its cumulative distribution.

    Args:
      logits: float32 (batch, vocab).
      temperature: float32 (batch,); zero draws the most likely character.
      uniform: float32 (batch,) in [0, 1).

    Returns:
      int32 (batch,).
    """
    scaled = (logits - tf.reduce_max(logits, 1, keepdims=True)) / tf.maximum(temperature, _GREEDY_TEMPERATURE)[:, None]
    cumulative = tf.cumsum(tf.exp(scaled), axis=1)  # (batch, vocab), not divided by its last value
    below = cumulative <= uniform[:, None] * cumulative[:, -1:]
    # Rounding may put every value below; the most that can be drawn is then the last with a probability above zero.
    last = tf.argmax(cumulative, 1, output_type=tf.int32)
    return tf.minimum(tf.reduce_sum(tf.cast(below, tf.int32), 1), last)


def draw_top_k(logits: tf.Tensor, temperature: tf.Tensor, top_k: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Like `draw`, among the `top_k` (int32 (batch,)) most likely characters of each row; 0 or vocab: among all."""
    vocab = tf.shape(logits)[1]
    ordered, ids = tf.math.top_k(logits, vocab)  # most likely first; of equal ones the lower id
    ordered = tf.where(tf.range(vocab)[None, :] < top_k[:, None], ordered, ordered.dtype.min)
    among_top = tf.gather(ids, draw(ordered, temperature, uniform), batch_dims=1)
    # In its own order, a row that draws from all gives what it would give without a neighbour's top_k.
    is_limited = (top_k > 0) & (top_k < vocab)
    return tf.where(is_limited, among_top, draw(logits, temperature, uniform))
