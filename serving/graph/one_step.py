"""The OneStep model: the exported graph that generates text from prompts and scores texts.

A plain `tf.Module`: the SavedModel needs TensorFlow or TF Serving, and nothing of this project.
"""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving.graph import sampling, scoring
from serving.graph.generation_config import Limits
from serving.graph.network import Network, Weights
from transform.vocabulary import Vocabulary

__all__ = ["Defaults", "OneStep", "Weights"]

_EXACT_IN_FLOAT32 = 2**24  # the state counts samples in a float32
_BOOKKEEPING = 2  # state: after the recurrent values, the last character's id plus one, and the number of samples


@dataclass(frozen=True)
class Defaults:
    """Defaults of `serving_default`, limits of one request, and the precision of all matrix products.

    See the configuration's `pipeline.config.run.ExportConfig` for each value.
    """

    num_chars: int
    temperature: float
    top_k: int
    max_chars: int
    precision: str = "float32"
    max_temperature: float = Limits.max_temperature
    max_score_chars: int = 500_000


class OneStep(Network):
    """The network and its generation of text; all signatures share its variables.

    Example: `test_texts_are_those_of_the_reference` in tests/serving/graph/test_one_step.py.
    """

    def __init__(self, weights: Weights, vocabulary: Vocabulary, defaults: Defaults) -> None:
        """Take trained weights."""
        super().__init__(weights, vocabulary, defaults.precision)
        self.defaults = defaults
        self.state_size = self.parts * self.units + _BOOKKEEPING
        self._characters = tf.constant([c.encode("utf-8", "replace") for c in vocabulary.characters])
        self._newline = vocabulary.encode("\n")[0]
        if self._newline == vocabulary.out_of_vocabulary:
            self._newline = 0  # no lines in this corpus: start after the most frequent character

    @property
    def limits(self) -> Limits:
        """The limits and defaults that an export states."""
        own = self.defaults
        bounds = own.max_temperature, own.max_score_chars
        return Limits(own.num_chars, own.temperature, own.top_k, own.max_chars, self.state_size, *bounds)

    def generate_from_state(
        self,
        prompt: tf.Tensor,
        state: tf.Tensor,
        num_chars: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Continue the prompts.

        Args:
          prompt: string (batch,), UTF-8, may be empty.
          state: float32 (batch, state_size) of a previous call, or zeros to start a text. With an empty prompt, a text
            starts like a line.
          num_chars: int32 (batch,), at least 0.
          temperature: float32 (batch,), at least 0.
          top_k: int32 (batch,), at least 0; 0 samples from all characters.
          seed: int64 (batch,).

        Returns:
          The new text, string (batch,), without the prompt; and the state after it.
        """
        checks = self._checks(state, num_chars, temperature, top_k)
        with tf.control_dependencies(checks):
            # All of them: nothing must be computed from a rejected value, whose random numbers could take all memory.
            prompt, state, num_chars, temperature, top_k = map(
                tf.identity, (prompt, state, num_chars, temperature, top_k)
            )
        ids, lengths = self.encode(prompt)  # (batch, time), (batch,)
        hidden, last, sampled = self._unpack(state)
        last = tf.where((last == 0) & (lengths == 0), self._newline + 1, last)
        # The last character read is the next step's input: the recurrence has not seen it yet.
        hidden, last = self._read(ids, lengths, hidden, last)
        text, hidden, last = self._write(hidden, last, sampled, num_chars, temperature, top_k, seed)
        sampled = (sampled + tf.cast(num_chars, tf.int64)) % _EXACT_IN_FLOAT32
        return text, self._pack(hidden, last, sampled)

    def nll(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """The loop of `score` and `eval_nll`, see `serving.graph.scoring.nll`."""
        return scoring.nll(self, ids, lengths)

    def score(self, text: tf.Tensor, nll: scoring.Nll | None = None) -> dict[str, tf.Tensor]:
        """The signature `score`, see `serving.graph.scoring.score`."""
        return scoring.score(self, text, self.defaults.max_score_chars, nll or self.nll)

    def eval_nll(self, examples: tf.Tensor, nll: scoring.Nll) -> dict[str, tf.Tensor]:
        """The signature `eval_nll`, see `serving.graph.scoring.eval_nll`."""
        return scoring.eval_nll(self, examples, nll)

    def _checks(self, state: tf.Tensor, num_chars: tf.Tensor, temperature: tf.Tensor, top_k: tf.Tensor) -> list[Any]:
        max_chars, max_temperature = self.defaults.max_chars, self.defaults.max_temperature
        return [
            tf.debugging.Assert(
                tf.reduce_all((num_chars >= 0) & (num_chars <= max_chars)),
                [f"num_chars must be from 0 to {max_chars}", num_chars],
            ),
            tf.debugging.Assert(
                tf.reduce_all((temperature >= 0.0) & (temperature <= max_temperature)),
                [f"temperature must be from 0 to {max_temperature:g}", temperature],
            ),
            tf.debugging.Assert(tf.reduce_all(top_k >= 0), ["top_k must be 0 (all characters) or more", top_k]),
            tf.debugging.Assert(
                tf.reduce_all(tf.math.is_finite(state)),
                ["state must be one that generate_from_state returned, or zeros"],
            ),
        ]

    def _unpack(self, state: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        hidden = [state[:, i * self.units : (i + 1) * self.units] for i in range(self.parts)]
        largest = float(self.vocabulary.size)
        last = tf.cast(tf.clip_by_value(state[:, -2], 0.0, largest), tf.int32)
        return hidden, last, tf.cast(state[:, -1], tf.int64)

    def _pack(self, hidden: list[tf.Tensor], last: tf.Tensor, sampled: tf.Tensor) -> tf.Tensor:
        return tf.concat([*hidden, tf.cast(last, tf.float32)[:, None], tf.cast(sampled, tf.float32)[:, None]], 1)

    def _read(
        self, ids: tf.Tensor, lengths: tf.Tensor, hidden: list[tf.Tensor], last: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Advance each row over `last` and its prompt except the prompt's last character, which becomes `last`."""
        # Rows without a last character (id plus one is 0) skip their first step.
        inputs = tf.concat([last[:, None], ids + 1], 1)  # (batch, 1 + time), id plus one
        table = self.table.read_value()

        def step(t: tf.Tensor, hidden: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
            now = inputs[:, t]
            after = self.step(tf.gather(table, tf.maximum(now - 1, 0)), hidden)
            moves = ((t < lengths) & (now > 0))[:, None]
            return t + 1, [tf.where(moves, new, old) for new, old in zip(after, hidden)]

        _, hidden = tf.while_loop(lambda t, _: t < tf.shape(ids)[1], step, (0, hidden))
        return hidden, tf.gather(inputs, lengths, batch_dims=1)

    def _write(
        self,
        hidden: list[tf.Tensor],
        last: tf.Tensor,
        sampled: tf.Tensor,
        num_chars: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
        """Generate; a row with all its characters stays unchanged until the others have theirs."""
        count = tf.reduce_max(tf.concat([num_chars, [1]], 0))  # at least one step: an empty TensorArray does not stack
        with tf.device("/CPU:0"):
            random = sampling.uniforms(seed, sampled, count)  # (count, batch)
        any_top_k = tf.reduce_any(top_k > 0)
        known = len(self.vocabulary.code_points)
        table, kernel, bias = self.table.read_value(), self.projection.read_value(), self.projection_bias.read_value()
        kernel, bias = kernel[:, :known], bias[:known]  # the out-of-vocabulary id is never sampled

        def step(t: tf.Tensor, hidden: list[tf.Tensor], last: tf.Tensor, written: Any) -> tuple[Any, ...]:
            after = self.step(tf.gather(table, last - 1), hidden)
            logits = self.product(self.output(after), kernel) + bias
            ids = tf.cond(
                any_top_k,
                lambda: sampling.sample_top_k(logits, temperature, top_k, random[t]),
                lambda: sampling.sample(logits, temperature, random[t]),
            )
            moves = t < num_chars
            hidden = [tf.where(moves[:, None], new, old) for new, old in zip(after, hidden)]
            return t + 1, hidden, tf.where(moves, ids + 1, last), written.write(t, ids)

        written = tf.TensorArray(tf.int32, count, element_shape=(None,))
        _, hidden, last, written = tf.while_loop(lambda t, *_: t < count, step, (0, hidden, last, written))
        ids = tf.transpose(written.stack())  # (batch, count)
        texts = tf.where(tf.range(count)[None, :] < num_chars[:, None], tf.gather(self._characters, ids), "")
        return tf.strings.reduce_join(texts, 1), hidden, last
