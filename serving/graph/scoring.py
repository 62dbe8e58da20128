"""Log-likelihood of texts under the model: the signatures `score` and `eval_nll`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from serving.graph.network import Network

Nll = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# Padded characters in one call of `eval_nll`: 64 passages of the greatest length that the configuration allows, and
# some more. The bound of `score` is a setting of the export.
MAX_EVAL_CHARS = 8_000_000
_BLOCK = 64  # steps whose outputs are kept until their cross-entropy is computed


def score(network: Network, text: tf.Tensor, max_chars: int, nll: Nll) -> dict[str, tf.Tensor]:
    """Compute the negative log-likelihood of each character but the first, from the zero state.

    Args:
      text: string (batch,).
      max_chars: upper bound of the number of texts times the length of the longest.
      nll: the function `nll` of this network.

    Returns:
      `nll` float32 (batch, time), nats, zeros after a text's end; `nll_sum` float32 (batch,) and `num_chars` int32
      (batch,), the predicted characters. An out-of-vocabulary character costs log(code points that share its id) more.
    """
    ids, lengths = _encode(network, text, "score", max_chars)
    nats = nll(ids, lengths)
    return {"nll": nats, "nll_sum": tf.reduce_sum(nats, 1), "num_chars": tf.maximum(lengths - 1, 0)}


def eval_nll(network: Network, examples: tf.Tensor, nll: Nll) -> dict[str, tf.Tensor]:
    """Compute the figures that the Evaluator sums up.

    Args:
      examples: serialized `tf.Example`s with a feature `text`, string (batch,).
      nll: the function `nll` of this network.

    Returns:
      `nll_sum`, `num_chars` and `num_unknown` (out-of-vocabulary targets), float32 (batch,) each.
    """
    text = tf.io.parse_example(examples, {"text": tf.io.FixedLenFeature([], tf.string)})["text"]
    ids, lengths = _encode(network, text, "eval_nll", MAX_EVAL_CHARS)
    time = tf.range(1, tf.shape(ids)[1])
    unknown = (ids[:, 1:] == network.vocabulary.out_of_vocabulary) & (time[None, :] < lengths[:, None])
    return {
        "nll_sum": tf.reduce_sum(nll(ids, lengths), 1),
        "num_chars": tf.cast(tf.maximum(lengths - 1, 0), tf.float32),
        "num_unknown": tf.reduce_sum(tf.cast(unknown, tf.float32), 1),
    }


def nll(network: Network, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Compute the nats of each character but the first, (batch, time - 1), zero after a text's end.

    The outputs of a few steps only are kept at a time, so that the memory does not grow by a state per character.

    Args:
      ids: int32 (batch, time), at least two columns.
      lengths: int32 (batch,).
    """
    steps = tf.shape(ids)[1] - 1
    table, kernel, bias = network.table.read_value(), network.projection.read_value(), network.projection_bias
    bias = bias.read_value()

    def block(first: tf.Tensor, hidden: list[tf.Tensor], nats: Any) -> tuple[Any, ...]:
        end = tf.minimum(first + _BLOCK, steps)

        def step(t: tf.Tensor, hidden: list[tf.Tensor], outputs: Any) -> tuple[Any, ...]:
            hidden = network.step(tf.gather(table, ids[:, t]), hidden)
            return t + 1, hidden, outputs.write(t - first, network.output(hidden))

        outputs = tf.TensorArray(tf.float32, end - first, element_shape=(None, network.units))
        _, hidden, outputs = tf.while_loop(lambda t, *_: t < end, step, (first, hidden, outputs))
        flat = tf.reshape(outputs.stack(), (-1, network.units))  # (block * batch, units)
        targets = tf.transpose(ids[:, first + 1 : end + 1])  # (block, batch)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.reshape(targets, [-1]), network.product(flat, kernel) + bias
        )
        return end, hidden, nats.write(first // _BLOCK, tf.reshape(entropy, tf.shape(targets)))

    blocks = (steps + _BLOCK - 1) // _BLOCK
    nats = tf.TensorArray(tf.float32, blocks, element_shape=(None, None), infer_shape=False)
    start = (0, network.zero_state(tf.shape(ids)[0]), nats)
    _, _, nats = tf.while_loop(lambda t, *_: t < steps, block, start)
    unknown = tf.cast(ids[:, 1:] == network.vocabulary.out_of_vocabulary, tf.float32)
    surcharge = unknown * float(np.log(network.vocabulary.unknown_characters))
    exists = tf.range(1, steps + 1)[None, :] < lengths[:, None]
    return tf.where(exists, tf.transpose(nats.concat()) + surcharge, 0.0)


def _encode(network: Network, text: tf.Tensor, signature: str, max_chars: int) -> tuple[tf.Tensor, tf.Tensor]:
    counted = "number of texts times length of the longest"
    return network.encode(text, max_chars, f"{signature} takes at most {max_chars} characters: {counted}")
