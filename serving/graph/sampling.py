"""Sampling of the next character: a pure function of logits and of random numbers by seed and position of a row."""

import tensorflow as tf

_GAMMA = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_GREEDY_TEMPERATURE = 1e-6  # below it the most likely character is always sampled


def uniforms(seed: tf.Tensor, position: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Compute random numbers for `count` samples, from number `position` of each row's sequence.

    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014) as a counter-based
    generator: a row's sequence depends on its seed only and can be read from any position. TensorFlow's stateless
    generators take one seed for the complete tensor, which would make a row's text depend on the other rows.

    Args:
      seed: int64 (batch,).
      position: int64 (batch,).
      count: int32 scalar.

    Returns:
      float32 (count, batch) in [0, 1), 24 bits each.
    """
    start = _mix(tf.bitcast(seed, tf.uint64) + tf.constant(_GAMMA, tf.uint64))  # (batch,)
    numbers = tf.cast(tf.range(1, count + 1), tf.uint64)[:, None] + tf.bitcast(position, tf.uint64)  # (count, batch)
    bits = _mix(start + numbers * tf.constant(_GAMMA, tf.uint64))
    top = tf.bitwise.right_shift(bits, tf.constant(40, tf.uint64))
    return tf.cast(tf.cast(top, tf.int32), tf.float32) * (2.0**-24)


def _mix(z: tf.Tensor) -> tf.Tensor:
    for shift, factor in _MIX:
        z = _xor_shifted(z, shift) * tf.constant(factor, tf.uint64)
    return _xor_shifted(z, 31)


def _xor_shifted(z: tf.Tensor, shift: int) -> tf.Tensor:
    return tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, tf.constant(shift, tf.uint64)))


def sample(logits: tf.Tensor, temperature: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Sample from softmax(logits / temperature) by inverting its cumulative distribution.

    Args:
      logits: float32 (batch, vocab).
      temperature: float32 (batch,); zero samples the most likely character.
      uniform: float32 (batch,) in [0, 1).

    Returns:
      int32 (batch,).
    """
    cumulative = tf.cumsum(_powers(logits, temperature), axis=1)  # (batch, vocab), not divided by its last value
    below = cumulative <= uniform[:, None] * cumulative[:, -1:]
    # Rounding may put every value below: then sample the last character with a probability above zero.
    last = tf.argmax(cumulative, 1, output_type=tf.int32)
    return tf.minimum(tf.reduce_sum(tf.cast(below, tf.int32), 1), last)


def sample_limited(
    logits: tf.Tensor, temperature: tf.Tensor, top_k: tf.Tensor, top_p: tf.Tensor | None, uniform: tf.Tensor
) -> tf.Tensor:
    """Like `sample`, among the most likely characters of each row.

    Args:
      logits: float32 (batch, vocab).
      temperature: float32 (batch,).
      top_k: int32 (batch,), their number; 0 or at least vocab: all.
      top_p: float32 (batch,), above 0: nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751), the fewest whose
        probabilities, after temperature and `top_k`, reach `top_p` in sum; 1 or None: all.
      uniform: float32 (batch,) in [0, 1).
    """
    vocab = tf.shape(logits)[1]
    ordered, ids = tf.math.top_k(logits, vocab)  # most likely first; of equal ones the lower id
    is_limited = (top_k > 0) & (top_k < vocab)
    kept = tf.range(vocab)[None, :] < tf.where(top_k > 0, top_k, vocab)[:, None]  # (batch, vocab)
    if top_p is not None:
        powers = tf.where(kept, _powers(ordered, temperature), 0.0)
        before = tf.cumsum(powers, 1, exclusive=True)  # of the more likely characters
        # The most likely one is always kept, even if `top_p` is too small for float32.
        in_nucleus = (before < top_p[:, None] * tf.reduce_sum(powers, 1, keepdims=True)) | (before == 0.0)
        kept &= in_nucleus | (top_p >= 1.0)[:, None]
        is_limited |= top_p < 1.0
    ordered = tf.where(kept, ordered, ordered.dtype.min)
    among_top = tf.gather(ids, sample(ordered, temperature, uniform), batch_dims=1)
    # A row that samples from all characters keeps their order, so that its result does not depend on other rows.
    return tf.where(is_limited, among_top, sample(logits, temperature, uniform))


def _powers(logits: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    """Return the probabilities, not divided by their sum."""
    scaled = (logits - tf.reduce_max(logits, 1, keepdims=True)) / tf.maximum(temperature, _GREEDY_TEMPERATURE)[:, None]
    return tf.exp(scaled)
