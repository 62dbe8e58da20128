"""The recurrent language model: embedding, GRU layers, a projection to logits; state goes in and comes out."""

from typing import Any

import keras
import tensorflow as tf

from trainer.recurrent import dense, gru

State = tuple[tf.Tensor, ...]  # one (batch, units) for each layer


class LanguageModel(keras.layers.Layer):
    """Character-level recurrent language model with explicit state.

    Weights live in stock Keras layers. With `stock_layer` those layers also do the work (cuDNN on a GPU); otherwise the
    fused operation of `trainer.recurrent` runs on the same weights.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding: int,
        units: int,
        layers: int = 1,
        dropout: float = 0.0,
        seed: int = 0,
        precision: str = "float32",
        stock_layer: bool = False,
    ) -> None:
        """Create the layers and their weights.

        Args:
          vocabulary_size: ids that exist, and logits per character.
          embedding: size of a character's vector.
          units: recurrent units in each layer.
          layers: recurrent layers.
          dropout: rate on the embedding, between layers and before the output.
          seed: of the weights and of dropout.
          precision: of the matrix products: "float32", "bfloat16" or "float16".
          stock_layer: run the stock Keras layer.
        """
        super().__init__(dtype="float32")
        self.units, self.dropout, self.stock_layer = units, dropout, stock_layer
        self.base_seed = seed
        self.products = tf.as_dtype(precision)
        policy = "float32" if precision == "float32" else f"mixed_{precision}"
        self.embedding = keras.layers.Embedding(
            vocabulary_size, embedding, embeddings_initializer=keras.initializers.RandomUniform(-0.05, 0.05, seed=seed)
        )
        self.recurrent = [
            keras.layers.GRU(
                units,
                return_sequences=True,
                return_state=True,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 1 + i),
                recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 101 + i),
                dtype=policy,
            )
            for i in range(layers)
        ]
        self.projection = keras.layers.Dense(
            vocabulary_size, kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 201)
        )
        self.embedding.build((None, None))
        for i, layer in enumerate(self.recurrent):
            layer.build((None, None, embedding if i == 0 else units))
        self.projection.build((None, None, units))
        self.built = True

    def zero_state(self, batch: int) -> State:
        """State before the first character: float32 zeros (batch, units) for each layer."""
        return tuple(tf.zeros((batch, self.units)) for _ in self.recurrent)

    def call(self, ids: tf.Tensor, state: State, seed: tf.Tensor | None = None) -> tuple[tf.Tensor, State]:
        """Predict each next character.

        Args:
          ids: int32 (batch, time), static shape.
          state: as `zero_state` or a former call returned it.
          seed: int32 (2,) for this call's dropout; None: no dropout.

        Returns:
          Logits float32 (batch, time, vocabulary_size), and the state after the last character.
        """
        time_major = not self.stock_layer
        order = tf.transpose(ids) if time_major else ids
        x = tf.gather(
            self.embedding.embeddings.value, order
        )  # (time, batch, embedding); batch first for the stock layer
        after = []
        for i, layer in enumerate(self.recurrent):
            x, last = self._layer(layer, self._drop(x, seed, i), state[i])
            after.append(last)
        x = self._drop(x, seed, len(self.recurrent))
        logits = dense(x, self.projection.kernel.value, self.projection.bias.value, self.products)
        return (tf.transpose(logits, (1, 0, 2)) if time_major else logits), tuple(after)

    def _layer(self, layer: Any, x: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if self.stock_layer:
            outputs, last = layer(x, initial_state=state)
            return tf.cast(outputs, tf.float32), tf.cast(last, tf.float32)
        cell = layer.cell
        return gru(x, state, cell.kernel.value, cell.recurrent_kernel.value, cell.bias.value, self.products)

    def _drop(self, x: tf.Tensor, seed: tf.Tensor | None, place: int) -> tf.Tensor:
        if seed is None or not self.dropout:
            return x
        return tf.nn.experimental.stateless_dropout(x, self.dropout, seed=seed + [self.base_seed + place, 0])
