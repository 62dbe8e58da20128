"""The OneStep model: the exported graph that generates text from prompts and scores texts.

A plain `tf.Module`: the SavedModel needs TensorFlow or TF Serving, and nothing of this project.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from serving.graph import checks, controls, scoring, writing
from serving.graph.generation_config import WINDOW, Limits
from serving.graph.network import Network, Weights
from transform.vocabulary import Vocabulary

__all__ = ["Defaults", "OneStep", "Weights"]

_EXACT_IN_FLOAT32 = 2**24  # the state counts samples in a float32
_BOOKKEEPING = 2  # state: after the recurrent values, the last character's id plus one, and the number of samples

# Ids (batch, time), lengths (batch,), recurrent values, last character and number of samples: see `OneStep.read`.
Read = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, list[tf.Tensor], tf.Tensor, tf.Tensor]]


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
    max_batch_chars: int = 2_000_000


class OneStep(Network):
    """The network and its generation of text; all signatures share its variables.

    Example: `test_texts_are_those_of_the_reference` in tests/serving/graph/test_one_step.py.

    Attributes:
      defaults: and limits of requests.
      state_size: width of the state of `generate_from_state`.
      sample_state_size: width of the state of `sample_from_state`.
    """

    def __init__(self, weights: Weights, vocabulary: Vocabulary, defaults: Defaults) -> None:
        """Take trained weights."""
        super().__init__(weights, vocabulary, defaults.precision)
        self.defaults = defaults
        self.state_size = self.parts * self.units + _BOOKKEEPING
        self.sample_state_size = self.state_size + WINDOW

    @property
    def limits(self) -> Limits:
        """The limits and defaults that an export states."""
        own = self.defaults
        bounds = own.max_temperature, own.max_score_chars, own.max_batch_chars
        form = self.vocabulary.normalization, self.vocabulary.fold_case
        return Limits(own.num_chars, own.temperature, own.top_k, own.max_chars, self.state_size, *bounds, *form)

    def generate_from_state(
        self,
        prompt: tf.Tensor,
        state: tf.Tensor,
        num_chars: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        seed: tf.Tensor,
        read: Read | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Continue the prompts.

        Args:
          prompt: string (batch,), UTF-8, may be empty.
          state: float32 (batch, state_size) of a previous call, or zeros to start a text: a short document,
            or any text, which with an empty prompt starts like a line.
          num_chars: int32 (batch,), at least 0.
          temperature: float32 (batch,), at least 0.
          top_k: int32 (batch,), at least 0; 0 samples from all characters.
          seed: int64 (batch,).
          read: the function `read` of this model.

        Returns:
          The new text, string (batch,), without the prompt; and the state after it.
        """
        with tf.control_dependencies(self._checks(state, num_chars, temperature, top_k)):
            # All of them: nothing must be computed from a rejected value, whose random numbers could take all memory.
            prompt, state, num_chars, temperature, top_k = map(
                tf.identity, (prompt, state, num_chars, temperature, top_k)
            )
        _, _, hidden, last, sampled = (read or self.read)(prompt, state)
        text, hidden, last = writing.generate(self, hidden, last, sampled, num_chars, temperature, top_k, seed)
        return text, _pack(hidden, last, sampled, num_chars)

    def sample_from_state(
        self,
        prompt: tf.Tensor,
        state: tf.Tensor,
        num_chars: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        top_p: tf.Tensor,
        repetition_penalty: tf.Tensor,
        stop: tf.Tensor,
        seed: tf.Tensor,
        read: Read | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Continue the prompts, with the sampling controls that `generate_from_state` does not have.

        Args:
          prompt: as in `generate_from_state`, like all arguments that are not listed here.
          state: float32 (batch, sample_state_size) of a previous call, or zeros to start a text.
          top_p: float32 (batch,), see `serving.graph.sampling.sample_limited`; 1 is off.
          repetition_penalty: float32 (batch,), see `serving.graph.controls.penalize`; 1 is off.
          stop: string (batch,), at most 64 characters; a row ends with the character that completes it. "" is off.

        Returns:
          The new text, string (batch,), with the stop string at its end; the state after it; and whether the stop
          string ended it, bool (batch,).
        """
        found = self._checks(state, num_chars, temperature, top_k)
        with tf.control_dependencies([*found, *checks.controls(top_p, repetition_penalty, stop)]):
            prompt, state, num_chars, temperature, top_k, top_p, repetition_penalty, stop = map(
                tf.identity, (prompt, state, num_chars, temperature, top_k, top_p, repetition_penalty, stop)
            )
        end = self.parts * self.units  # of the recurrent values; the window follows
        ids = float(self.vocabulary.size)  # bounds what may be any state that a client made up
        window = tf.cast(tf.clip_by_value(state[:, end:-_BOOKKEEPING], -ids, ids), tf.int32)
        plain = tf.concat([state[:, :end], state[:, -_BOOKKEEPING:]], 1)  # (batch, state_size)
        ids, lengths, hidden, last, sampled = (read or self.read)(prompt, plain)
        window = controls.append(window, ids, lengths)
        text, hidden, last, window, ends, stopped = writing.sample(
            self, hidden, last, window, sampled, num_chars, temperature, top_k, top_p, repetition_penalty, stop, seed
        )
        return text, _pack([*hidden, tf.cast(window, tf.float32)], last, sampled, ends), stopped

    def read(
        self, prompt: tf.Tensor, state: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor], tf.Tensor, tf.Tensor]:
        """Read the prompts.

        Args:
          prompt: string (batch,).
          state: float32 (batch, state_size).

        Returns:
          The prompts' ids, int32 (batch, time), and lengths, int32 (batch,); the recurrent values, (batch, units)
          each, before the last character, which they have not seen yet; its id plus one, int32 (batch,); and the
          number of characters that were sampled before, int64 (batch,).
        """
        bound = self.defaults.max_batch_chars
        counted = "number of prompts times length of the longest"
        ids, lengths = self.encode(prompt, bound, f"prompts have at most {bound} characters: {counted}")
        hidden = [state[:, i * self.units : (i + 1) * self.units] for i in range(self.parts)]
        last = tf.cast(tf.clip_by_value(state[:, -2], 0.0, float(self.vocabulary.size)), tf.int32)
        # Short documents were learned from their start; other texts from any place.
        begins = (last == 0) & ((lengths == 0) | (self.end is not None))
        last = tf.where(begins, self.start + 1, last)
        # Rows without a last character (id plus one is 0) skip their first step.
        inputs = tf.concat([last[:, None], ids + 1], 1)  # (batch, 1 + time), id plus one
        table = self.table.read_value()

        def step(t: tf.Tensor, hidden: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
            now = inputs[:, t]
            after = self.step(table, tf.maximum(now - 1, 0), hidden)
            moves = ((t < lengths) & (now > 0))[:, None]
            return t + 1, [tf.where(moves, new, old) for new, old in zip(after, hidden)]

        _, hidden = tf.while_loop(lambda t, _: t < tf.shape(ids)[1], step, (0, hidden))
        return ids, lengths, hidden, tf.gather(inputs, lengths, batch_dims=1), tf.cast(state[:, -1], tf.int64)

    def nll(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """The loop of `score` and `eval_nll`, see `serving.graph.scoring.nll`."""
        return scoring.nll(self, ids, lengths)

    def score(self, text: tf.Tensor, nll: scoring.Nll | None = None) -> dict[str, tf.Tensor]:
        """The signature `score`, see `serving.graph.scoring.score`."""
        return scoring.score(self, text, self.defaults.max_score_chars, nll or self.nll)

    def eval_nll(self, examples: tf.Tensor, nll: scoring.Nll) -> dict[str, tf.Tensor]:
        """The signature `eval_nll`, see `serving.graph.scoring.eval_nll`."""
        return scoring.eval_nll(self, examples, nll)

    def alternatives(self, text: tf.Tensor, top_n: tf.Tensor) -> dict[str, tf.Tensor]:
        """The signature `alternatives`, see `serving.graph.scoring.alternatives`."""
        return scoring.alternatives(self, text, top_n, self.defaults.max_score_chars)

    def _checks(self, state: tf.Tensor, num_chars: tf.Tensor, temperature: tf.Tensor, top_k: tf.Tensor) -> list[Any]:
        own = self.defaults
        bounds = own.max_chars, max(own.max_chars, own.max_batch_chars), own.max_temperature
        return checks.generation(state, num_chars, temperature, top_k, *bounds)


def _pack(values: list[tf.Tensor], last: tf.Tensor, sampled: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Join what a state holds after `count` more samples."""
    sampled = (sampled + tf.cast(count, tf.int64)) % _EXACT_IN_FLOAT32
    return tf.concat([*values, tf.cast(last, tf.float32)[:, None], tf.cast(sampled, tf.float32)[:, None]], 1)
