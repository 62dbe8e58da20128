"""The trained network in the exported graph: its weights, its vocabulary, and one step through all layers.

The embedding is folded into the first layer's input projection: the first layer looks its input up in a table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.graph import cells
from transform.vocabulary import Vocabulary

_STEP_VALUES = 50_000_000  # float32, of all rows in one step with its temporary results


@dataclass(frozen=True)
class Weights:
    """Trained weights, float32, in the layout of Keras' layers.

    Attributes:
      embedding: (vocab, features).
      layers: for each layer kernel (features, gates * units), recurrent kernel (units, gates * units) and a bias of the
        shape that `serving.graph.cells.Kind.bias_shape` gives: separate biases of the input and the recurrent product
        for "gru", gains and offsets for "layer_norm_lstm".
      projection: (units, vocab).
      projection_bias: (vocab,).
      cell: a key of `serving.graph.cells.KINDS`.
    """

    embedding: NDArray[np.float32]
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]
    projection: NDArray[np.float32]
    projection_bias: NDArray[np.float32]
    cell: str = "gru"


def arrange(variables: Sequence[NDArray[np.float32]], cell: str, tied: bool) -> Weights:
    """Name the values of `trainer.model.LanguageModel.weights_to_train`, which a checkpoint stores as a list.

    Args:
      variables: embedding; for each layer kernel, recurrent kernel and bias; output kernel unless tied; output bias.
      cell: a name of `serving.graph.cells.KINDS`.
      tied: whether the embedding is the output's matrix as well.
    """
    embedding, *recurrent, projection_bias = variables
    projection = embedding.T if tied else recurrent.pop()
    layers = list(zip(*(iter(recurrent),) * 3, strict=True))
    return Weights(embedding, layers, projection, projection_bias, cell)


class Network(tf.Module):
    """Weights and vocabulary of a OneStep model, and the recurrence that all signatures share.

    Attributes:
      units: recurrent units in each layer.
      parts: number of state tensors, (batch, units) each.
      vocabulary: characters of the model.
      known: number of characters; the ids from there on stand for unknown ones and are never sampled.
      characters: UTF-8 of each id, string (vocab,).
      max_rows: of one request, so that one step of all rows takes some 200 MB.
      start: id of the character before a text without a prompt, see `Vocabulary.start`.
      end: id of the end-of-document symbol; None if the texts have none.
    """

    def __init__(self, weights: Weights, vocabulary: Vocabulary, precision: str = "float32") -> None:
        """Fold the embedding and create the variables.

        Args:
          weights: of the trained model.
          vocabulary: of the trained model.
          precision: of the matrix products; sums and state are float32.
        """
        super().__init__(name="one_step")
        self._cell, self._product_dtype = weights.cell, tf.as_dtype(precision)
        self._keep_unfolded(weights, vocabulary)
        folded, *kernels = [
            (kernel, np.asarray(cells.input_bias(weights.cell, bias), np.float32)) for kernel, _, bias in weights.layers
        ]
        self.table = tf.Variable(weights.embedding @ folded[0] + folded[1], trainable=False)  # (vocab, gates * units)
        self.kernels = [self._kernel(kernel) for kernel, _ in kernels]
        self.input_biases = [tf.Variable(bias, trainable=False, dtype=tf.float32) for _, bias in kernels]
        self.recurrent_kernels = [self._kernel(kernel) for _, kernel, _ in weights.layers]
        biases = [cells.recurrent_bias(weights.cell, bias) for _, _, bias in weights.layers]
        self.recurrent_biases = [None if bias is None else tf.Variable(bias, trainable=False) for bias in biases]
        self.projection = self._kernel(weights.projection)
        self.projection_bias = tf.Variable(weights.projection_bias, trainable=False)
        self.units = weights.projection.shape[0]
        self._states = cells.KINDS[weights.cell].states  # state tensors of a layer
        self.parts = len(weights.layers) * self._states
        kind = cells.KINDS[weights.cell]
        self.max_rows = max(64, _STEP_VALUES // (self.units * (4 * kind.gates + kind.states)))
        self.vocabulary, self.known = vocabulary, len(vocabulary.code_points)
        self.characters = tf.constant([c.encode("utf-8", "replace") for c in vocabulary.characters])
        self.start, self.end = vocabulary.start, vocabulary.end_of_document
        self._normalizer = None
        if vocabulary.normalization or vocabulary.fold_case:
            from transform.normalization import Normalizer  # late: few models need it

            self._normalizer = Normalizer(vocabulary.normalization, vocabulary.fold_case)
        self._ids = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(vocabulary.code_points, tf.int32), tf.range(len(vocabulary.code_points), dtype=tf.int32)
            ),
            default_value=vocabulary.out_of_vocabulary,
        )

    def encode(self, text: tf.Tensor, max_chars: Any = None, message: str = "") -> tuple[tf.Tensor, tf.Tensor]:
        """Normalize texts as the corpus was, and encode them as ids.

        Args:
          text: string (batch,).
          max_chars: upper bound of the number of texts times the length of the longest normalized one, to which all are
            padded, as a number or scalar tensor; with `message` the graph refuses more before it allocates them. None:
            no bound.

        Returns:
          ids int32 (batch, time), padded with zeros to at least two columns, and lengths int32 (batch,).
        """
        if max_chars is not None:
            text = self.few(text)
        code_points = tf.strings.unicode_decode(text, "UTF-8")  # ragged (batch, time)
        if self._normalizer:
            code_points = self._normalizer(code_points)
        if max_chars is not None:
            lengths = code_points.row_lengths()
            padded = tf.size(lengths, tf.int64) * tf.reduce_max(lengths)
            fits = padded <= tf.cast(max_chars, tf.int64)
            with tf.control_dependencies([tf.debugging.Assert(fits, [message, padded])]):
                code_points = code_points.with_flat_values(tf.identity(code_points.flat_values))
        ids = tf.ragged.map_flat_values(self._ids.lookup, code_points)
        dense = ids.to_tensor()
        short = tf.maximum(2 - tf.shape(dense)[1], 0)  # so that every loop takes a step
        return tf.pad(dense, [[0, 0], [0, short]]), tf.cast(code_points.row_lengths(), tf.int32)

    def few(self, text: tf.Tensor) -> tf.Tensor:
        """Refuse more than `max_rows` texts; return the texts."""
        message = f"a request takes at most {self.max_rows} rows"
        with tf.control_dependencies([tf.debugging.Assert(tf.size(text) <= self.max_rows, [message, tf.size(text)])]):
            return tf.identity(text)

    def zero_state(self, batch: tf.Tensor) -> list[tf.Tensor]:
        """Return the state before the first character that is read."""
        return [tf.zeros((batch, self.units)) for _ in range(self.parts)]

    def initial_state(self, batch: tf.Tensor) -> list[tf.Tensor]:
        """Return the state before a text: with short documents, after the end-of-document symbol."""
        zeros = self.zero_state(batch)
        if self.end is None:
            return zeros
        return self.step(self.table.read_value(), tf.fill([batch], self.end), zeros)

    def step(self, table: tf.Tensor, ids: tf.Tensor, hidden: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Advance all layers by one character; the end-of-document symbol is read from the zero state, as in training.

        Args:
          table: the value of `table`; read it outside a loop.
          ids: int32 (batch,).
          hidden: recurrent values, (batch, units) each.
        """
        if self.end is not None:
            carries = tf.cast(ids != self.end, tf.float32)[:, None]  # (batch, 1)
            hidden = [part * carries for part in hidden]
        x, after = tf.gather(table, ids), list[tf.Tensor]()  # (batch, gates * units)
        for i, kernel in enumerate(self.recurrent_kernels):
            states = hidden[i * self._states : (i + 1) * self._states]
            if i:
                x = self.product(self.output(after), self.kernels[i - 1]) + self.input_biases[i - 1]
            recurrent = self.product(states[0], kernel)
            after += cells.step(self._cell, x, recurrent, states, self.recurrent_biases[i]).states
        return after

    def output(self, hidden: Sequence[tf.Tensor]) -> tf.Tensor:
        """Return the last layer's output (batch, units)."""
        return hidden[-self._states]

    def logits(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Return the function from the last layer's output (batch, units) to the logits (batch, known).

        Call this outside a loop, so that the weights are read once.
        """
        kernel, bias = self.projection.read_value(), self.projection_bias.read_value()
        kernel, bias = kernel[:, : self.known], bias[: self.known]  # the out-of-vocabulary id is never sampled
        return lambda output: self.product(output, kernel) + bias

    def product(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Multiply in the model's precision; return float32."""
        return tf.cast(tf.matmul(tf.cast(x, self._product_dtype), kernel), tf.float32)

    def _kernel(self, values: NDArray[np.float32]) -> tf.Variable:
        return tf.Variable(tf.cast(values, self._product_dtype), trainable=False)

    def _keep_unfolded(self, weights: Weights, vocabulary: Vocabulary) -> None:
        """Store what folding removes, and the characters in the order of their ids, for warm starts."""
        kernel, _, bias = weights.layers[0]
        self.embedding = tf.Variable(weights.embedding, trainable=False)
        self.first_kernel = tf.Variable(kernel, trainable=False)
        self.first_bias = tf.Variable(bias, trainable=False)
        self.biases = [tf.Variable(bias, trainable=False) for _, _, bias in weights.layers[1:]]
        self.code_points = tf.Variable(vocabulary.code_points, trainable=False, dtype=tf.int32)
