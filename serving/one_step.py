"""The OneStep model: the exported graph that turns prompts into text and text into figures.

A plain `tf.Module`: whoever loads the SavedModel needs TensorFlow (or TF Serving) and nothing of this project. The
embedding is folded into the first layer's input projection, so a step of the first layer looks its input up in a
table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving import cells, sampling
from transform.vocabulary import Vocabulary

_EXACT_IN_FLOAT32 = 2**24  # the state counts draws in a float32
_BOOKKEEPING = 2  # state: after the recurrent values, the last character's id plus one, and the number of draws so far


@dataclass(frozen=True)
class Weights:
    """Trained weights, float32, in the layout of Keras' layers.

    Attributes:
      embedding: (vocab, features).
      layers: for each layer kernel (features, gates * units), recurrent kernel (units, gates * units) and bias: "rnn"
        and "lstm" (gates * units,), "gru" (2, 3 * units) for the input's and the recurrent product, "layer_norm_lstm"
        gains and offsets (2, 5, units).
      projection: (units, vocab).
      projection_bias: (vocab,).
      cell: a name of `serving.cells.KINDS`.
    """

    embedding: NDArray[np.float32]
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]
    projection: NDArray[np.float32]
    projection_bias: NDArray[np.float32]
    cell: str = "gru"


@dataclass(frozen=True)
class Defaults:
    """What `serving_default` does, and the most one request may ask for."""

    num_chars: int
    temperature: float
    top_k: int
    max_chars: int


class OneStep(tf.Module):
    """All signatures share these variables and the recurrence."""

    def __init__(self, weights: Weights, vocabulary: Vocabulary, defaults: Defaults, yardstick_nll: float) -> None:
        """Fold the embedding and make constants of the vocabulary.

        Args:
          yardstick_nll: nats per character of the trigram model on the eval split, which `eval_nll` hands to the
          Evaluator.
        """
        super().__init__(name="one_step")
        self._cell = weights.cell
        folded, *kernels = [
            (kernel, np.asarray(cells.input_bias(weights.cell, bias))) for kernel, _, bias in weights.layers
        ]
        self.table = tf.Variable(weights.embedding @ folded[0] + folded[1], trainable=False)  # (vocab, gates * units)
        self.kernels = [tf.Variable(kernel, trainable=False) for kernel, _ in kernels]
        self.input_biases = [tf.Variable(bias, trainable=False, dtype=tf.float32) for _, bias in kernels]
        self.recurrent_kernels = [tf.Variable(kernel, trainable=False) for _, kernel, _ in weights.layers]
        biases = [cells.recurrent_bias(weights.cell, bias) for _, _, bias in weights.layers]
        self.recurrent_biases = [None if bias is None else tf.Variable(bias, trainable=False) for bias in biases]
        self.projection = tf.Variable(weights.projection, trainable=False)
        self.projection_bias = tf.Variable(weights.projection_bias, trainable=False)
        self.defaults = defaults
        self.units = weights.projection.shape[0]
        self._parts = cells.KINDS[weights.cell].states  # tensors of state in a layer
        self.state_size = len(weights.layers) * self._parts * self.units + _BOOKKEEPING
        self._vocabulary = vocabulary
        self._characters = tf.constant([c.encode("utf-8", "replace") for c in vocabulary.characters])
        self._ids = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(vocabulary.code_points, tf.int32), tf.range(len(vocabulary.code_points), dtype=tf.int32)
            ),
            default_value=vocabulary.out_of_vocabulary,
        )
        self._newline = vocabulary.encode("\n")[0]
        if self._newline == vocabulary.out_of_vocabulary:
            self._newline = 0  # no lines in this corpus: begin as after the most frequent character
        self._yardstick_nll = yardstick_nll

    def generate_from_state(
        self,
        prompt: tf.Tensor,
        state: tf.Tensor,
        num_chars: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Read the prompts and write on.

        Args:
          prompt: string (batch,), UTF-8, may be empty.
          state: float32 (batch, state_size) of a former call, or zeros for a fresh start. A fresh start with an empty
            prompt begins as after a line's end.
          num_chars: int32 (batch,), at least 0.
          temperature: float32 (batch,), at least 0.
          top_k: int32 (batch,), at least 0; 0 draws from all characters.
          seed: int64 (batch,).

        Returns:
          The new text, string (batch,), without the prompt; and the state after it.
        """
        checks = self._checks(state, num_chars, temperature, top_k)
        with tf.control_dependencies(checks):
            # All of them, so that nothing is made of a refused value: its random numbers could take all memory.
            prompt, state, num_chars, temperature, top_k = map(
                tf.identity, (prompt, state, num_chars, temperature, top_k)
            )
        ids, lengths = self._encode(prompt)  # (batch, time), (batch,)
        hidden, last, draws = self._unpack(state)
        last = tf.where((last == 0) & (lengths == 0), self._newline + 1, last)
        # The last character read is the next step's input: the recurrence has not seen it yet.
        hidden, last = self._read(ids, lengths, hidden, last)
        written, hidden, last = self._write(hidden, last, draws, num_chars, temperature, top_k, seed)
        draws = (draws + tf.cast(num_chars, tf.int64)) % _EXACT_IN_FLOAT32
        return written, self._pack(hidden, last, draws)

    def score(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """How well the model foresees each character but the first, from a fresh start.

        Args:
          text: string (batch,).

        Returns:
          `nll` float32 (batch, time), nats, zeros after a text's end; `nll_sum` float32 (batch,) and `num_chars` int32
          (batch,), characters predicted. An out-of-vocabulary character costs log(code points that share its id) more.
        """
        ids, lengths = self._encode(text)
        nll = self._nll(ids, lengths)
        return {"nll": nll, "nll_sum": tf.reduce_sum(nll, 1), "num_chars": tf.maximum(lengths - 1, 0)}

    def eval_nll(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the Evaluator sums up, for serialized `tf.Example`s with a `text`.

        Returns:
          float32 (batch,) each: `nll_sum`, `num_chars`, `num_unknown` (out-of-vocabulary targets) and
          `yardstick_nll_sum` (nats of the trigram model for as many characters).
        """
        parsed = tf.io.parse_example(examples, {"text": tf.io.FixedLenFeature([], tf.string)})
        ids, lengths = self._encode(parsed["text"])
        nll = self._nll(ids, lengths)
        chars = tf.cast(tf.maximum(lengths - 1, 0), tf.float32)
        time = tf.range(1, tf.shape(ids)[1])
        unknown = (ids[:, 1:] == self._vocabulary.out_of_vocabulary) & (time[None, :] < lengths[:, None])
        return {
            "nll_sum": tf.reduce_sum(nll, 1),
            "num_chars": chars,
            "num_unknown": tf.reduce_sum(tf.cast(unknown, tf.float32), 1),
            "yardstick_nll_sum": chars * self._yardstick_nll,
        }

    def _checks(self, state: tf.Tensor, num_chars: tf.Tensor, temperature: tf.Tensor, top_k: tf.Tensor) -> list[Any]:
        most = self.defaults.max_chars
        return [
            tf.debugging.Assert(
                tf.reduce_all((num_chars >= 0) & (num_chars <= most)),
                [f"num_chars must be from 0 to {most}", num_chars],
            ),
            tf.debugging.Assert(
                tf.reduce_all((temperature >= 0.0) & (temperature <= 100.0)),
                ["temperature must be from 0 to 100", temperature],
            ),
            tf.debugging.Assert(tf.reduce_all(top_k >= 0), ["top_k must be 0 (all characters) or more", top_k]),
            tf.debugging.Assert(
                tf.reduce_all(tf.math.is_finite(state)),
                ["state must be one that generate_from_state returned, or zeros"],
            ),
        ]

    def _encode(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        code_points = tf.strings.unicode_decode(text, "UTF-8")  # ragged (batch, time)
        ids = tf.ragged.map_flat_values(self._ids.lookup, code_points)
        dense = ids.to_tensor()
        short = tf.maximum(2 - tf.shape(dense)[1], 0)  # two columns at least, so that every loop takes a step
        return tf.pad(dense, [[0, 0], [0, short]]), tf.cast(code_points.row_lengths(), tf.int32)

    def _unpack(self, state: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        parts = len(self.recurrent_kernels) * self._parts
        hidden = [state[:, i * self.units : (i + 1) * self.units] for i in range(parts)]
        largest = float(self._vocabulary.size)
        last = tf.cast(tf.clip_by_value(state[:, -2], 0.0, largest), tf.int32)
        return hidden, last, tf.cast(state[:, -1], tf.int64)

    def _pack(self, hidden: list[tf.Tensor], last: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        return tf.concat([*hidden, tf.cast(last, tf.float32)[:, None], tf.cast(draws, tf.float32)[:, None]], 1)

    def _step(self, projected: tf.Tensor, hidden: list[tf.Tensor]) -> list[tf.Tensor]:
        """One character through all layers; `projected` is the first layer's input (batch, gates * units)."""
        x, after = projected, list[tf.Tensor]()
        for i, kernel in enumerate(self.recurrent_kernels):
            states = hidden[i * self._parts : (i + 1) * self._parts]
            if i:
                x = tf.matmul(after[-self._parts], self.kernels[i - 1]) + self.input_biases[i - 1]
            after += cells.step(self._cell, x, tf.matmul(states[0], kernel), states, self.recurrent_biases[i]).states
        return after

    def _output(self, hidden: list[tf.Tensor]) -> tf.Tensor:
        return hidden[-self._parts]

    def _read(
        self, ids: tf.Tensor, lengths: tf.Tensor, hidden: list[tf.Tensor], last: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Advance each row over `last` and its prompt but for the prompt's last character, which becomes `last`."""
        # The inputs: what was last, and then the prompt. Rows without anything last skip their first step.
        inputs = tf.concat([last[:, None], ids + 1], 1)  # (batch, 1 + time), id plus one
        table = self.table.read_value()

        def step(t: tf.Tensor, hidden: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
            now = inputs[:, t]
            after = self._step(tf.gather(table, tf.maximum(now - 1, 0)), hidden)
            moves = ((t < lengths) & (now > 0))[:, None]
            return t + 1, [tf.where(moves, new, old) for new, old in zip(after, hidden)]

        _, hidden = tf.while_loop(lambda t, _: t < tf.shape(ids)[1], step, (0, hidden))
        return hidden, tf.gather(inputs, lengths, batch_dims=1)

    def _write(
        self,
        hidden: list[tf.Tensor],
        last: tf.Tensor,
        draws: tf.Tensor,
        num_chars: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
        """Generate; a row that has all its characters waits unchanged for the others."""
        count = tf.reduce_max(tf.concat([num_chars, [1]], 0))  # at least one step: an empty TensorArray does not stack
        with tf.device("/CPU:0"):
            random = sampling.uniforms(seed, draws, count)  # (count, batch)
        any_top_k = tf.reduce_any(top_k > 0)
        known = len(self._vocabulary.code_points)
        table, kernel, bias = self.table.read_value(), self.projection.read_value(), self.projection_bias.read_value()
        kernel, bias = kernel[:, :known], bias[:known]  # the out-of-vocabulary id is never written

        def step(t: tf.Tensor, hidden: list[tf.Tensor], last: tf.Tensor, written: Any) -> tuple[Any, ...]:
            after = self._step(tf.gather(table, last - 1), hidden)
            logits = tf.matmul(self._output(after), kernel) + bias
            drawn = tf.cond(
                any_top_k,
                lambda: sampling.draw_top_k(logits, temperature, top_k, random[t]),
                lambda: sampling.draw(logits, temperature, random[t]),
            )
            moves = t < num_chars
            hidden = [tf.where(moves[:, None], new, old) for new, old in zip(after, hidden)]
            return t + 1, hidden, tf.where(moves, drawn + 1, last), written.write(t, drawn)

        written = tf.TensorArray(tf.int32, count, element_shape=(None,))
        _, hidden, last, written = tf.while_loop(lambda t, *_: t < count, step, (0, hidden, last, written))
        ids = tf.transpose(written.stack())  # (batch, count)
        texts = tf.where(tf.range(count)[None, :] < num_chars[:, None], tf.gather(self._characters, ids), "")
        return tf.strings.reduce_join(texts, 1), hidden, last

    def _nll(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Nats of each character but the first, (batch, time - 1), zero after a text's end."""
        steps = tf.shape(ids)[1] - 1
        table = self.table.read_value()
        parts = len(self.recurrent_kernels) * self._parts
        hidden = [tf.zeros((tf.shape(ids)[0], self.units)) for _ in range(parts)]

        def step(t: tf.Tensor, hidden: list[tf.Tensor], outputs: Any) -> tuple[Any, ...]:
            hidden = self._step(tf.gather(table, ids[:, t]), hidden)
            return t + 1, hidden, outputs.write(t, self._output(hidden))

        outputs = tf.TensorArray(tf.float32, steps, element_shape=(None, self.units))
        _, _, outputs = tf.while_loop(lambda t, *_: t < steps, step, (0, hidden, outputs))
        flat = tf.reshape(outputs.stack(), (-1, self.units))  # (time * batch, units)
        logits = tf.matmul(flat, self.projection.read_value()) + self.projection_bias.read_value()
        targets = tf.transpose(ids[:, 1:])  # (time, batch)
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.reshape(targets, [-1]), logits)
        unknown = tf.cast(targets == self._vocabulary.out_of_vocabulary, tf.float32)
        nll = tf.reshape(nats, tf.shape(targets)) + unknown * float(np.log(self._vocabulary.unknown_characters))
        exists = tf.range(1, steps + 1)[:, None] < lengths[None, :]
        return tf.transpose(tf.where(exists, nll, 0.0))
