"""Cross-entropy by the full softmax, in blocks of bounded memory, and by a sampled one (`trainer.data.unigram`)."""

from typing import Any

import tensorflow as tf

_BLOCK = 1 << 25  # logits
_NEVER = -1e9  # logit of what is not there


def logits(kernel: tf.Tensor, bias: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Return logits float32 (..., vocab) of the last layer's outputs (..., units), in the kernel's type."""
    return tf.cast(tf.tensordot(outputs, kernel, 1), tf.float32) + bias


def full(kernel: tf.Tensor, bias: tf.Tensor, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Return nats, float32 (batch, time), in blocks of steps whose logits take little memory.

    Args:
      kernel: of the output (units, vocab), in the type of `outputs`.
      bias: of the output, float32 (vocab,).
      outputs: of the last layer (batch, time, units).
      targets: int32 or int64 (batch, time), static shape.
    """

    def nats(given: Any) -> tf.Tensor:
        outputs, targets = given
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits(kernel, bias, outputs))

    batch, steps = targets.shape
    counts = [count for count in range(1, steps + 1) if steps % count == 0]
    blocks = next((count for count in counts if batch * steps // count * bias.shape[0] <= _BLOCK), steps)
    if blocks == 1:
        return nats((outputs, targets))
    parts = tuple(tf.stack(tf.split(whole, blocks, 1)) for whole in (outputs, targets))  # (blocks, batch, steps, ...)
    found = tf.map_fn(nats, parts, fn_output_signature=tf.float32, parallel_iterations=1)
    return tf.reshape(tf.transpose(found, (1, 0, 2)), (batch, steps))


def sampled(
    kernel: tf.Tensor,
    bias: tf.Tensor,
    ids: tf.Tensor,
    log_probabilities: tf.Tensor,
    outputs: tf.Tensor,
    targets: tf.Tensor,
) -> tf.Tensor:
    """Return estimated nats, float32 (batch, time).

    The estimated denominator of a row is exp(logit) of its target, plus exp(logit) / probability of every sampled id
    other than the target.

    Args:
      kernel: of the output, float32 (vocab, units).
      bias: of the output (vocab,).
      ids: of the sample, in the targets' type (sampled,), all different.
      log_probabilities: logarithm of the probability of being sampled (sampled,).
      outputs: of the last layer (batch, time, units), in the type of the product with the sample.
      targets: int32 or int64 (batch, time).
    """
    flat, target = tf.reshape(outputs, (-1, outputs.shape[-1])), tf.reshape(targets, [-1])  # (rows, units), (rows,)
    others = tf.matmul(flat, tf.cast(tf.gather(kernel, ids), flat.dtype), transpose_b=True)  # (rows, sampled)
    others = tf.cast(others, tf.float32) + tf.gather(bias, ids) - log_probabilities
    others = tf.where(target[:, None] == ids, _NEVER, others)
    # In float32: the gradient adds up all rows of a frequent target.
    own = tf.reduce_sum(tf.cast(flat, tf.float32) * tf.gather(kernel, target), 1) + tf.gather(bias, target)  # (rows,)
    logits = tf.concat([own[:, None], others], 1)  # (rows, 1 + sampled)
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.zeros_like(target), logits)
    return tf.reshape(nats, targets.shape)
