"""What the model expects at each position of a text: the signatures `score`, `eval_nll` and `alternatives`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from serving.graph import checks
from serving.graph.network import Network

Nll = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# Padded characters in one call of `eval_nll`: 64 passages of the greatest length that the configuration allows, and
# some more. The bound of `score` is a setting of the export.
MAX_EVAL_CHARS = 8_000_000
_BLOCK = 64  # steps whose outputs are kept until their cross-entropy is computed


def score(network: Network, text: tf.Tensor, max_chars: int, nll: Nll) -> dict[str, tf.Tensor]:
    """Compute the negative log-likelihood of each character but the first, from the initial state.

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
      `nll_sum`, `num_chars` and `num_unknown` (out-of-vocabulary targets), float32 (batch,) each; `nll` as `score`.
    """
    text = tf.io.parse_example(examples, {"text": tf.io.FixedLenFeature([], tf.string)})["text"]
    ids, lengths = _encode(network, text, "eval_nll", MAX_EVAL_CHARS)
    time = tf.range(1, tf.shape(ids)[1])
    unknown = (ids[:, 1:] == network.vocabulary.out_of_vocabulary) & (time[None, :] < lengths[:, None])
    nats = nll(ids, lengths)
    return {
        "nll": nats,
        "nll_sum": tf.reduce_sum(nats, 1),
        "num_chars": tf.cast(tf.maximum(lengths - 1, 0), tf.float32),
        "num_unknown": tf.reduce_sum(tf.cast(unknown, tf.float32), 1),
    }


def nll(network: Network, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Compute the nats of each character but the first, (batch, time - 1), zero after a text's end.

    Args:
      ids: int32 (batch, time), at least two columns.
      lengths: int32 (batch,).
    """
    kernel, bias = network.projection.read_value(), network.projection_bias.read_value()

    def entropy(outputs: tf.Tensor, targets: tf.Tensor) -> list[tf.Tensor]:
        logits = network.product(outputs, kernel) + bias
        return [tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)]

    (nats,) = _in_blocks(network, ids, entropy, [tf.TensorSpec((None, None))])
    unknown = tf.cast(ids[:, 1:] == network.vocabulary.out_of_vocabulary, tf.float32)
    surcharge = unknown * float(np.log(network.vocabulary.unknown_characters))
    exists = tf.range(1, tf.shape(ids)[1])[None, :] < lengths[:, None]
    return tf.where(exists, tf.transpose(nats) + surcharge, 0.0)


def alternatives(network: Network, text: tf.Tensor, top_n: tf.Tensor, max_chars: int) -> dict[str, tf.Tensor]:
    """Compute the most likely characters at each position of a text, from the initial state.

    Args:
      text: string (batch,).
      top_n: int32 (batch,), from 1 to the number of known characters.
      max_chars: upper bound of the number of texts times the length of the longest times the greatest `top_n`.

    Returns:
      `characters` string and `probabilities` float32 (batch, time, greatest top_n): the most likely characters in the
      place of each character of the text, most likely first, with their probabilities at temperature 1 among all
      characters that can be generated; "" and 0 after a text's end and after a row's `top_n`. `num_chars` int32
      (batch,), the lengths of the texts.
    """
    with tf.control_dependencies(checks.top_n(top_n, network.known)):
        text, top_n = tf.identity(text), tf.identity(top_n)
    count = tf.reduce_max(tf.concat([top_n, [1]], 0))
    counted = "number of texts times length of the longest times the greatest top_n"
    message = f"alternatives takes at most {max_chars} characters: {counted}"
    ids, lengths = network.encode(text, max_chars // count, message)
    logits_of = network.logits()

    def most_likely(outputs: tf.Tensor, _: Any = None) -> list[tf.Tensor]:
        values, best = tf.math.top_k(tf.nn.softmax(logits_of(outputs)), count)
        return [values, best]  # (..., count) each

    # The first character of a text has the alternatives of an empty prompt.
    line = network.step(network.table.read_value(), tf.constant([network.start]), network.zero_state(1))
    first = most_likely(network.output(line))  # (1, count) each
    specs = [tf.TensorSpec((None, None, None), dtype) for dtype in (tf.float32, tf.int32)]
    following = _in_blocks(network, ids, most_likely, specs)  # (time - 1, batch, count) each
    batch, longest = tf.shape(ids)[0], tf.reduce_max(tf.concat([lengths, [0]], 0))
    values, best = (
        tf.concat([tf.tile(start[:, None], (batch, 1, 1)), tf.transpose(rest, (1, 0, 2))], 1)[:, :longest]
        for start, rest in zip(first, following)
    )  # (batch, time, count) each
    exists = (tf.range(longest)[None, :] < lengths[:, None])[:, :, None]
    exists &= (tf.range(count)[None, :] < top_n[:, None])[:, None, :]
    return {
        "characters": tf.where(exists, tf.gather(network.characters, best), ""),
        "probabilities": tf.where(exists, values, 0.0),
        "num_chars": lengths,
    }


def _in_blocks(
    network: Network,
    ids: tf.Tensor,
    reduce: Callable[[tf.Tensor, tf.Tensor], list[tf.Tensor]],
    specs: Sequence[tf.TensorSpec],
) -> list[tf.Tensor]:
    """Read texts from the initial state, and reduce the network's output at each step.

    The outputs of a few steps only are kept at a time, so that the memory does not grow by a state per character.

    Args:
      ids: int32 (batch, time), at least two columns.
      reduce: maps outputs (n, units), and the ids that follow them, int32 (n,), to results (n, ...).
      specs: of `reduce`'s results, (time, batch, ...) each.

    Returns:
      The results after each character but the last, (time - 1, batch, ...) each.
    """
    steps = tf.shape(ids)[1] - 1
    table = network.table.read_value()

    def block(first: tf.Tensor, hidden: list[tf.Tensor], kept: list[Any]) -> tuple[Any, ...]:
        end = tf.minimum(first + _BLOCK, steps)

        def step(t: tf.Tensor, hidden: list[tf.Tensor], outputs: Any) -> tuple[Any, ...]:
            hidden = network.step(table, ids[:, t], hidden)
            return t + 1, hidden, outputs.write(t - first, network.output(hidden))

        outputs = tf.TensorArray(tf.float32, end - first, element_shape=(None, network.units))
        _, hidden, outputs = tf.while_loop(lambda t, *_: t < end, step, (first, hidden, outputs))
        targets = tf.transpose(ids[:, first + 1 : end + 1])  # (block, batch)
        flat = tf.reshape(outputs.stack(), (-1, network.units))  # (block * batch, units)
        shape = tf.shape(targets)
        results = [
            tf.reshape(result, tf.concat([shape, tf.shape(result)[1:]], 0))
            for result in reduce(flat, tf.reshape(targets, [-1]))
        ]
        return end, hidden, [array.write(first // _BLOCK, result) for array, result in zip(kept, results)]

    blocks = (steps + _BLOCK - 1) // _BLOCK
    kept = [tf.TensorArray(spec.dtype, blocks, element_shape=spec.shape, infer_shape=False) for spec in specs]
    start = (0, network.initial_state(tf.shape(ids)[0]), kept)
    _, _, kept = tf.while_loop(lambda t, *_: t < steps, block, start)
    return [array.concat() for array in kept]


def _encode(network: Network, text: tf.Tensor, signature: str, max_chars: int) -> tuple[tf.Tensor, tf.Tensor]:
    counted = "number of texts times length of the longest"
    return network.encode(text, max_chars, f"{signature} takes at most {max_chars} characters: {counted}")
