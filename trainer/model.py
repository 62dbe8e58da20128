"""The recurrent language model: embedding, recurrent layers and a projection to logits, with explicit state."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from serving.graph.cells import KINDS
from trainer import engine

State = tuple[tf.Tensor, ...]  # float32 (batch, units) each: for each layer its output, then its cell state if any
# Initial embeddings are uniform between this and its negative, as large as the recurrent product that is added to them.
# With Keras' 0.05 the network is slow to use its input, and with layer normalization it never does.
INITIAL_EMBEDDING = 1.0


class LanguageModel(keras.layers.Layer):
    """Character-level recurrent language model with explicit state.

    Weights live in stock Keras layers. With `stock_layer` those layers also do the work (cuDNN on a GPU); otherwise
    `trainer.engine` runs on the same weights.

    >>> model = LanguageModel(vocabulary_size=66, embedding=16, units=32, cell="lstm")
    >>> logits, state = model(tf.zeros((8, 100), tf.int32), model.zero_state(8))
    >>> logits.shape, len(state)
    (TensorShape([8, 100, 66]), 2)
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
        """Create the layers and their weights; the model section of the configuration documents the other arguments.

        Args:
          vocabulary_size: number of ids, and of logits per character.
          seed: of the initial weights and of dropout.
          precision: of the matrix products: "float32", "bfloat16" or "float16".
          stock_layer: run the stock Keras layer if there is one.
        """
        super().__init__(dtype="float32")
        self.cell, self.units, self.tied = cell, units, tied
        self.vocabulary_size = vocabulary_size
        self.recurrent_dropout = recurrent_dropout
        stock = KINDS[cell].keras_layer
        self.stock_layer = stock_layer and stock is not None and not recurrent_dropout
        between = [dropout if layer_dropout is None else layer_dropout] * (layers - 1)
        first, last = (dropout if rate is None else rate for rate in (input_dropout, output_dropout))
        self.dropouts = [first, *between, last]  # before each layer and after the last one
        self.base_seed = seed
        self.product_dtype = tf.as_dtype(precision)
        # TensorFlow has no cuDNN layer in bfloat16: it casts everything to float32 and back. With float32 input it uses
        # the same tensor cores (as TensorFloat-32), and the state stays float32 within a window as well.
        stays_float32 = precision == "float32" or (self.stock_layer and precision == "bfloat16")
        policy = "float32" if stays_float32 else f"mixed_{precision}"
        # Tied embeddings are also the output matrix, which has to be small.
        limit = initial_embedding or (0.05 if tied else INITIAL_EMBEDDING)
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            embedding,
            embeddings_initializer=keras.initializers.RandomUniform(-limit, limit, seed=seed),
        )
        layer_type = getattr(keras.layers, stock) if stock else LayerNormLSTM
        self.recurrent = [
            layer_type(
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
        """All weights but the projection kernel that tied embeddings replace."""
        return [v for v in self.trainable_variables if not (self.tied and v is self.projection.kernel)]

    @property
    def projection_kernel(self) -> tf.Tensor:
        """Kernel of the output (units, vocabulary_size)."""
        return tf.transpose(self.embedding.embeddings.value) if self.tied else self.projection.kernel.value

    @property
    def _output(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Kernel (units, vocabulary_size), in the type of the products, and bias (vocabulary_size,) of the output."""
        return tf.cast(self.projection_kernel, self.product_dtype), self.projection.bias.value

    def zero_state(self, batch: int) -> State:
        """Return the state before the first character."""
        return tuple(tf.zeros((batch, self.units)) for _ in range(len(self.recurrent) * KINDS[self.cell].states))

    def call(self, ids: tf.Tensor, state: State, seed: tf.Tensor | None = None) -> tuple[tf.Tensor, State]:
        """Predict each next character.

        Args:
          ids: int32 or int64 (batch, time), static shape.
          state: from `zero_state` or a previous call.
          seed: int32 (2,) for this call's dropout; None: no dropout.

        Returns:
          Logits float32 (batch, time, vocabulary_size), and the state after the last character.
        """
        outputs, state = self.outputs(ids, state, seed)
        return engine.logits(*self._output, outputs), state

    def outputs(self, ids: tf.Tensor, state: State, seed: tf.Tensor | None = None) -> tuple[tf.Tensor, State]:
        """Return the last layer's outputs (batch, time, units) and the state; arguments as in `call`."""
        dropouts = [self._dropout(rate, seed, place) for place, rate in enumerate(self.dropouts)]
        if self.stock_layer:
            outputs, state = self._run_stock_layers(ids, state, dropouts)
        else:
            cells = [layer.cell for layer in self.recurrent]
            weights = [(cell.kernel.value, cell.recurrent_kernel.value, cell.bias.value) for cell in cells]
            embedding = self.embedding.embeddings.value
            drops = [self._dropout(self.recurrent_dropout, seed, 32 + i) for i in range(len(cells))]
            masks = [drop and drop(tf.ones_like(state[0])) for drop in drops]
            outputs, state = engine.run(self.cell, ids, state, weights, embedding, self.product_dtype, dropouts, masks)
        return tf.cast(outputs, self.product_dtype), state

    def cross_entropy(self, outputs: tf.Tensor, targets: tf.Tensor, sample: tuple[tf.Tensor, ...] = ()) -> tf.Tensor:
        """Return nats float32 (batch, time) of targets (batch, time), given outputs (batch, time, units).

        Args:
          sample: `trainer.data.unigram.Sample` as tensors, from which the nats are estimated. Empty: full softmax.
        """
        if not sample:
            return engine.full_cross_entropy(*self._output, outputs, targets)
        kernel, bias = tf.transpose(self.projection_kernel), self.projection.bias.value  # (vocab, units), (vocab,)
        ids, log_probabilities = sample
        return engine.sampled_cross_entropy(kernel, bias, ids, log_probabilities, outputs, targets)

    def _run_stock_layers(self, ids: tf.Tensor, state: State, dropouts: list[Any]) -> tuple[tf.Tensor, State]:
        x, after = tf.gather(self.embedding.embeddings.value, ids), list[tf.Tensor]()  # (batch, time, features)
        count = KINDS[self.cell].states
        *before_layers, last = dropouts
        for i, (layer, drop) in enumerate(zip(self.recurrent, before_layers)):
            results = layer(drop(x) if drop else x, initial_state=list(state[i * count : (i + 1) * count]))
            x, *states = (tf.cast(result, tf.float32) for result in results)
            after += states
        return last(x) if last else x, tuple(after)

    def _dropout(self, rate: float, seed: tf.Tensor | None, place: int) -> Callable[[tf.Tensor], tf.Tensor] | None:
        """Return dropout whose random numbers depend on the call's seed and the place in the model; None: none."""
        if seed is None or not rate:
            return None
        return lambda x: tf.nn.experimental.stateless_dropout(x, rate, seed=seed + [self.base_seed + place, 0])


class LayerNormLSTM(keras.layers.Layer):
    """Weights of a layer-normalized LSTM, which Keras does not provide; `trainer.engine` runs it.

    Attributes:
      kernel: (features, 4 * units).
      recurrent_kernel: (units, 4 * units).
      bias: gains and offsets of the norms (2, 5, units). The forget gate's offset is initially 1.
    """

    def __init__(self, units: int, kernel_initializer: Any, recurrent_initializer: Any, dtype: Any, **_: Any) -> None:
        """Accept the arguments of a stock layer; those that say what a call returns have no effect."""
        super().__init__(dtype=dtype)
        self.units = units
        self._kernel_initializer, self._recurrent_initializer = kernel_initializer, recurrent_initializer

    @property
    def cell(self) -> "LayerNormLSTM":
        """Return the layer itself: stock layers keep their weights in a cell."""
        return self

    def build(self, shape: Any) -> None:
        """Create the weights for input (..., features)."""
        kind = KINDS["layer_norm_lstm"]
        width = kind.gates * self.units
        self.kernel = self.add_weight(shape=(shape[-1], width), initializer=self._kernel_initializer, name="kernel")
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, width), initializer=self._recurrent_initializer, name="recurrent_kernel"
        )
        norms = np.zeros(kind.bias_shape(self.units), np.float32)
        norms[0] = 1.0  # gains
        norms[1, 1] = 1.0
        # Named "bias" so that weight decay excludes it.
        self.bias = self.add_weight(shape=norms.shape, initializer=lambda *_, **__: norms, name="bias")
        self.built = True
