"""The trained network in the exported graph: its weights, its characters, and one step through all layers.

The embedding is folded into the first layer's input projection, so a step of the first layer looks its input up in a
table.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.graph import cells
from transform.vocabulary import Vocabulary


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
      cell: a name of `serving.graph.cells.KINDS`.
    """

    embedding: NDArray[np.float32]
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]
    projection: NDArray[np.float32]
    projection_bias: NDArray[np.float32]
    cell: str = "gru"


class Network(tf.Module):
    """Weights and vocabulary of a OneStep model, and the recurrence that all signatures share.

    Attributes:
      units: recurrent units in each layer.
      parts: tensors of recurrent state, (batch, units) each.
      vocabulary: of the model.
    """

    def __init__(self, weights: Weights, vocabulary: Vocabulary, precision: str = "float32") -> None:
        """Fold the embedding and make constants of the vocabulary.

        Args:
          precision: of the matrix products; all sums and the state are float32.
        """
        super().__init__(name="one_step")
        self._cell, self._products = weights.cell, tf.as_dtype(precision)
        self._keep_unfolded(weights, vocabulary)
        folded, *kernels = [
            (kernel, np.asarray(cells.input_bias(weights.cell, bias), np.float32)) for kernel, _, bias in weights.layers
        ]
        self.table = tf.Variable(weights.embedding @ folded[0] + folded[1], trainable=False)  # (vocab, gates * units)
        self.kernels = [self._multiplied(kernel) for kernel, _ in kernels]
        self.input_biases = [tf.Variable(bias, trainable=False, dtype=tf.float32) for _, bias in kernels]
        self.recurrent_kernels = [self._multiplied(kernel) for _, kernel, _ in weights.layers]
        biases = [cells.recurrent_bias(weights.cell, bias) for _, _, bias in weights.layers]
        self.recurrent_biases = [None if bias is None else tf.Variable(bias, trainable=False) for bias in biases]
        self.projection = self._multiplied(weights.projection)
        self.projection_bias = tf.Variable(weights.projection_bias, trainable=False)
        self.units = weights.projection.shape[0]
        self._states = cells.KINDS[weights.cell].states  # tensors of state in a layer
        self.parts = len(weights.layers) * self._states
        self.vocabulary = vocabulary
        self._ids = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(vocabulary.code_points, tf.int32), tf.range(len(vocabulary.code_points), dtype=tf.int32)
            ),
            default_value=vocabulary.out_of_vocabulary,
        )

    def encode(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Ids int32 (batch, time), zero after a text's end and at least two columns; and lengths int32 (batch,)."""
        code_points = tf.strings.unicode_decode(text, "UTF-8")  # ragged (batch, time)
        ids = tf.ragged.map_flat_values(self._ids.lookup, code_points)
        dense = ids.to_tensor()
        short = tf.maximum(2 - tf.shape(dense)[1], 0)  # two columns at least, so that every loop takes a step
        return tf.pad(dense, [[0, 0], [0, short]]), tf.cast(code_points.row_lengths(), tf.int32)

    def zero_state(self, batch: tf.Tensor) -> list[tf.Tensor]:
        """State before the first character, (batch, units) for each part."""
        return [tf.zeros((batch, self.units)) for _ in range(self.parts)]

    def step(self, projected: tf.Tensor, hidden: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """One character through all layers; `projected` is the first layer's input (batch, gates * units)."""
        x, after = projected, list[tf.Tensor]()
        for i, kernel in enumerate(self.recurrent_kernels):
            states = hidden[i * self._states : (i + 1) * self._states]
            if i:
                x = self.product(self.output(after), self.kernels[i - 1]) + self.input_biases[i - 1]
            recurrent = self.product(states[0], kernel)
            after += cells.step(self._cell, x, recurrent, states, self.recurrent_biases[i]).states
        return after

    def output(self, hidden: Sequence[tf.Tensor]) -> tf.Tensor:
        """The last layer's output (batch, units)."""
        return hidden[-self._states]

    def product(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """`x @ kernel` in the model's precision, returned in float32."""
        return tf.cast(tf.matmul(tf.cast(x, self._products), kernel), tf.float32)

    def _multiplied(self, kernel: NDArray[np.float32]) -> tf.Variable:
        return tf.Variable(tf.cast(kernel, self._products), trainable=False)

    def _keep_unfolded(self, weights: Weights, vocabulary: Vocabulary) -> None:
        """What folding takes away, and the characters in the order of their ids: a later training may begin from it."""
        kernel, _, bias = weights.layers[0]
        self.embedding = tf.Variable(weights.embedding, trainable=False)
        self.first_kernel = tf.Variable(kernel, trainable=False)
        self.first_bias = tf.Variable(bias, trainable=False)
        self.biases = [tf.Variable(bias, trainable=False) for _, _, bias in weights.layers[1:]]
        self.code_points = tf.Variable(vocabulary.code_points, trainable=False, dtype=tf.int32)
