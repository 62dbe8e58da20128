"""The recurrent language model: embedding, recurrent layers, a projection to logits; state goes in and comes out."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from serving.graph.cells import KINDS, NORMS, input_bias, recurrent_bias
from trainer.engine import recurrent
from trainer.engine.layout import Layout
from trainer.engine.recurrent import dense

State = tuple[tf.Tensor, ...]  # (batch, units): for each layer its output, and for an LSTM then its cell
# Embeddings begin between this and its negative, as large as what the recurrent product adds to them: with Keras' 0.05
# the network is slow to see its input, and one with layer normalisation never does.
INITIAL_EMBEDDING = 1.0
_STOCK = {"rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}


class LanguageModel(keras.layers.Layer):
    """Character-level recurrent language model with explicit state.

    Weights live in stock Keras layers. With `stock_layer` those layers also do the work (cuDNN on a GPU); otherwise the
    operation of `trainer.engine.recurrent` runs on the same weights.
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
        *,
        cell: str = "gru",
        initial_embedding: float | None = None,
        tied: bool = False,
        input_dropout: float | None = None,
        layer_dropout: float | None = None,
        output_dropout: float | None = None,
        recurrent_dropout: float = 0.0,
    ) -> None:
        """Create the layers and their weights; what is not said here is said in the configuration's model section.

        Args:
          vocabulary_size: ids that exist, and logits per character.
          seed: of the weights and of dropout.
          precision: of the matrix products: "float32", "bfloat16" or "float16".
          stock_layer: run the stock Keras layer where there is one.
        """
        super().__init__(dtype="float32")
        self.cell, self.units, self.tied = cell, units, tied
        self.recurrent_dropout = recurrent_dropout
        self.stock_layer = stock_layer and cell in _STOCK and not recurrent_dropout
        between = [dropout if layer_dropout is None else layer_dropout] * (layers - 1)
        first, last = (dropout if rate is None else rate for rate in (input_dropout, output_dropout))
        self.dropouts = [first, *between, last]  # before each layer and after the last one
        self.base_seed = seed
        self.products = tf.as_dtype(precision)
        # TensorFlow has no cuDNN layer in bfloat16: it casts everything to float32 and back. Given float32 at once, it
        # uses the same tensor cores (as TensorFloat-32), and the state stays float32 within a window, too.
        stays_float32 = precision == "float32" or (self.stock_layer and precision == "bfloat16")
        policy = "float32" if stays_float32 else f"mixed_{precision}"
        # As the output's matrix it has to be small.
        most = initial_embedding or (0.05 if tied else INITIAL_EMBEDDING)
        self.embedding = keras.layers.Embedding(
            vocabulary_size, embedding, embeddings_initializer=keras.initializers.RandomUniform(-most, most, seed=seed)
        )
        self.recurrent = [
            _STOCK.get(self.cell, LayerNormLSTM)(
                self.units,
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
            layer.build((None, None, embedding if i == 0 else self.units))
        self.projection.build((None, None, self.units))
        self.built = True

    @property
    def weights_to_train(self) -> list[Any]:
        """All but the kernel that tied embeddings stand in for."""
        return [v for v in self.trainable_variables if not (self.tied and v is self.projection.kernel)]

    @property
    def projection_kernel(self) -> tf.Tensor:
        """(units, vocabulary_size)."""
        return tf.transpose(self.embedding.embeddings.value) if self.tied else self.projection.kernel.value

    def zero_state(self, batch: int) -> State:
        """State before the first character: float32 zeros (batch, units) for each part of it."""
        return tuple(tf.zeros((batch, self.units)) for _ in range(len(self.recurrent) * KINDS[self.cell].states))

    def call(self, ids: tf.Tensor, state: State, seed: tf.Tensor | None = None) -> tuple[tf.Tensor, State]:
        """Predict each next character.

        Args:
          ids: int32 (batch, time), static shape.
          state: as `zero_state` or a former call returned it.
          seed: int32 (2,) for this call's dropout; None: no dropout.

        Returns:
          Logits float32 (batch, time, vocabulary_size), and the state after the last character.
        """
        layout = Layout.fastest(ids.shape[0], self.products)
        after: list[tf.Tensor] = []
        parts = KINDS[self.cell].states
        looked_up = self._pays_to_look_up(layout) and (seed is None or not self.dropouts[0])
        order = ids if self.stock_layer else tf.transpose(ids)
        x = order if looked_up else tf.gather(self.embedding.embeddings.value, order)
        if not (looked_up or self.stock_layer):
            x = layout.turned(x)  # (time, batch, embedding); batch first for the stock layer
        for i, layer in enumerate(self.recurrent):
            dropped = x if looked_up and i == 0 else self._drop(x, self.dropouts[i], seed, i)
            x, last = self._layer(layer, dropped, state[i * parts : (i + 1) * parts], seed, i, layout)
            after += last
        x = self._drop(x, self.dropouts[-1], seed, len(self.recurrent))
        x = tf.cast(x, self.products)  # before it is transposed: half the memory
        if not self.stock_layer:
            x = tf.transpose(x, (2, 0, 1) if layout.batch_last else (1, 0, 2))  # (batch, time, units)
        return dense(x, self.projection_kernel, self.projection.bias.value, self.products), tuple(after)

    def _pays_to_look_up(self, layout: Layout) -> bool:
        """Whether the first layer's input projection, which depends on the character only, is made for each one once.

        Then two products as wide as the vocabulary (one where the table's rows are gathered) stand in for three as wide
        as the embedding.
        """
        vocabulary_size, embedding = self.embedding.embeddings.shape
        return not self.stock_layer and (2 if layout.batch_last else 1) * vocabulary_size <= 3 * embedding

    def _layer(
        self, layer: Any, x: tf.Tensor, state: State, seed: tf.Tensor | None, place: int, layout: Layout
    ) -> tuple[tf.Tensor, State]:
        if self.stock_layer:
            outputs, *last = layer(x, initial_state=list(state))
            return tf.cast(outputs, tf.float32), tuple(tf.cast(part, tf.float32) for part in last)
        mask = None
        if seed is not None and self.recurrent_dropout:
            mask = self._drop(tf.ones_like(state[0]), self.recurrent_dropout, seed, 32 + place)
        kernel, recurrent_kernel, bias = (
            w.value for w in (layer.cell.kernel, layer.cell.recurrent_kernel, layer.cell.bias)
        )
        if x.dtype.is_floating:
            return recurrent.layer(self.cell, x, state, kernel, recurrent_kernel, bias, layout, self.products, mask)
        table = dense(self.embedding.embeddings.value, kernel, input_bias(self.cell, bias), self.products)
        rest = recurrent_bias(self.cell, bias)
        return recurrent.layer_of_ids(self.cell, x, table, state, recurrent_kernel, rest, layout, self.products, mask)

    def _drop(self, x: tf.Tensor, rate: float, seed: tf.Tensor | None, place: int) -> tf.Tensor:
        if seed is None or not rate:
            return x
        return tf.nn.experimental.stateless_dropout(x, rate, seed=seed + [self.base_seed + place, 0])


class LayerNormLSTM(keras.layers.Layer):
    """Weights of a layer-normalised LSTM, which Keras has not; `trainer.engine.recurrent` does the work.

    Attributes:
      kernel: (features, 4 * units). recurrent_kernel: (units, 4 * units).
      bias: gains and offsets (2, 5, units) of the norms; the forget gate's offset begins at 1.
    """

    def __init__(
        self,
        units: int,
        return_sequences: bool,
        return_state: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        dtype: Any,
    ) -> None:
        """Take what a stock layer takes."""
        super().__init__(dtype=dtype)
        if not (return_sequences and return_state):
            raise ValueError("This layer always returns sequences and states.")
        self.units = units
        self._kernel_initializer, self._recurrent_initializer = kernel_initializer, recurrent_initializer

    @property
    def cell(self) -> "LayerNormLSTM":
        """Itself, for stock layers keep their weights in a cell."""
        return self

    def build(self, shape: Any) -> None:
        """Make the weights for input (..., features)."""
        self.kernel = self.add_weight(
            shape=(shape[-1], 4 * self.units), initializer=self._kernel_initializer, name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, 4 * self.units), initializer=self._recurrent_initializer, name="recurrent_kernel"
        )
        norms = np.stack([np.ones((NORMS, self.units)), np.zeros((NORMS, self.units))]).astype(np.float32)
        norms[1, 1] = 1.0
        # Called a bias, for like one it is kept out of weight decay.
        self.bias = self.add_weight(shape=norms.shape, initializer=lambda *_, **__: norms, name="bias")
        self.built = True
