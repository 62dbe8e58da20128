"""Log-likelihood of texts under the model: the signatures `score` and `eval_nll`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from serving.graph.network import Network


def score(network: Network, text: tf.Tensor) -> dict[str, tf.Tensor]:
    """Compute the negative log-likelihood of each character but the first, from the zero state.

    Args:
      text: string (batch,).

    Returns:
      `nll` float32 (batch, time), nats, zeros after a text's end; `nll_sum` float32 (batch,) and `num_chars` int32
      (batch,), the predicted characters. An out-of-vocabulary character costs log(code points that share its id) more.
    """
    ids, lengths = network.encode(text)
    nll = _nll(network, ids, lengths)
    return {"nll": nll, "nll_sum": tf.reduce_sum(nll, 1), "num_chars": tf.maximum(lengths - 1, 0)}


def eval_nll(
    network: Network, examples: tf.Tensor, score: Callable[[tf.Tensor], dict[str, tf.Tensor]]
) -> dict[str, tf.Tensor]:
    """Compute the figures that the Evaluator sums up.

    Args:
      examples: serialized `tf.Example`s with a feature `text`, string (batch,).
      score: the function `score` of this network.

    Returns:
      `nll_sum`, `num_chars` and `num_unknown` (out-of-vocabulary targets), float32 (batch,) each.
    """
    text = tf.io.parse_example(examples, {"text": tf.io.FixedLenFeature([], tf.string)})["text"]
    scored = score(text)
    ids, lengths = network.encode(text)
    time = tf.range(1, tf.shape(ids)[1])
    unknown = (ids[:, 1:] == network.vocabulary.out_of_vocabulary) & (time[None, :] < lengths[:, None])
    return {
        "nll_sum": scored["nll_sum"],
        "num_chars": tf.cast(scored["num_chars"], tf.float32),
        "num_unknown": tf.reduce_sum(tf.cast(unknown, tf.float32), 1),
    }


def _nll(network: Network, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Return nats of each character but the first, (batch, time - 1), zero after a text's end."""
    steps = tf.shape(ids)[1] - 1
    table = network.table.read_value()

    def step(t: tf.Tensor, hidden: list[tf.Tensor], outputs: Any) -> tuple[Any, ...]:
        hidden = network.step(tf.gather(table, ids[:, t]), hidden)
        return t + 1, hidden, outputs.write(t, network.output(hidden))

    outputs = tf.TensorArray(tf.float32, steps, element_shape=(None, network.units))
    start = (0, network.zero_state(tf.shape(ids)[0]), outputs)
    _, _, outputs = tf.while_loop(lambda t, *_: t < steps, step, start)
    flat = tf.reshape(outputs.stack(), (-1, network.units))  # (time * batch, units)
    logits = network.product(flat, network.projection.read_value()) + network.projection_bias.read_value()
    targets = tf.transpose(ids[:, 1:])  # (time, batch)
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.reshape(targets, [-1]), logits)
    unknown = tf.cast(targets == network.vocabulary.out_of_vocabulary, tf.float32)
    nll = tf.reshape(nats, tf.shape(targets)) + unknown * float(np.log(network.vocabulary.unknown_characters))
    exists = tf.range(1, steps + 1)[:, None] < lengths[None, :]
    return tf.transpose(tf.where(exists, nll, 0.0))
