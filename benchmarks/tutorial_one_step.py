"""The peer of `benchmarks/serving.py`: one step at a time, driven by a Python loop.

Follows the description in TensorFlow's tutorial "Text generation with an RNN": stock Keras layers, a `tf.function` that
maps the last characters and the states to the next ones, `[UNK]` masked, and a Python loop that calls it once for each
character.
"""

import keras
import tensorflow as tf


class TutorialOneStep:
    """A model with random weights of a given size; speed does not depend on their values."""

    def __init__(self, characters: str, embedding: int, units: int, temperature: float = 0.8) -> None:
        self._ids = keras.layers.StringLookup(vocabulary=list(characters), mask_token=None)
        self._characters = tf.constant(self._ids.get_vocabulary())
        size = len(self._ids.get_vocabulary())
        self._embedding = keras.layers.Embedding(size, embedding)
        self._gru = keras.layers.GRU(units, return_sequences=True, return_state=True)
        self._dense = keras.layers.Dense(size)
        self._units, self._temperature = units, temperature
        unknown = self._ids(tf.constant(["[UNK]"])).numpy()
        self._mask = tf.constant([[-float("inf") if i in unknown else 0.0 for i in range(size)]])
        self._step = tf.function(self._one_step, reduce_retracing=True)

    def _one_step(self, texts: tf.Tensor, states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ids = self._ids(tf.strings.unicode_split(texts, "UTF-8")).to_tensor()
        outputs, states = self._gru(self._embedding(ids), initial_state=states)
        logits = self._dense(outputs)[:, -1] / self._temperature + self._mask
        sampled = tf.squeeze(tf.random.categorical(logits, 1), -1)
        return tf.gather(self._characters, sampled), states

    def generate(self, prompts: list[str], count: int) -> list[str]:
        """Generate `count` characters after each prompt."""
        states = tf.zeros((len(prompts), self._units))
        texts, written = tf.constant(prompts), []
        for _ in range(count):
            texts, states = self._step(texts, states)
            written.append(texts)
        return [text.decode() for text in tf.strings.join(written).numpy()]
