"""Training and evaluation steps, many in one call: between the first and the last one nothing crosses the host.

A call copies the windows of its steps to the devices at once, in the ids' own type. A loop in the graph takes one batch
after the other from them and collects the losses, which the host reads when the call ends.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.data.unigram import Sample
from trainer.data.windows import Batch
from trainer.model import LanguageModel, State

JIT_CELLS = 2_048  # rows times units up to which XLA's steps are faster on a CPU
JIT_CHARACTERS = 100_000  # of a train split whose training repays the compilation by XLA


class Steps:
    """Compiled steps of one model, on one device or distributed over replicas, each of which has a part of the rows.

    Example: `test_many_steps_in_a_call_equal_single_ones` in tests/trainer/compiled/test_steps.py.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy, model: LanguageModel, optimizer: Any, slots: int, jit: bool = False
    ) -> None:
        """Define the graphs; model and optimizer must have been created in the strategy's scope.

        Args:
          slots: the most steps of a call.
          jit: compile forward and backward pass with XLA; for one replica.
        """
        self._strategy, self._model, self._optimizer = strategy, model, optimizer
        self._replicas, self._slots = strategy.num_replicas_in_sync, slots
        self._jit = jit and self._replicas == 1
        self._train, self._evaluate = self._compile()

    def train(
        self, step: int, batches: Sequence[Batch], state: Any, samples: Sequence[Sample], votes: Sequence[bool]
    ) -> tuple[list[float], Any, list[float]]:
        """Take one optimizer step for each batch.

        Args:
          step: number of steps before them; with the replica it determines their dropout.
          batches: at most `slots`.
          state: carried state, distributed over the replicas.
          samples: one for each step that samples its softmax; else empty.
          votes: of this process.

        Returns:
          Nats per character before each step, the state after the last one, and how many replicas voted for each.
        """
        losses, state, counted = self._train(*self._arguments(step, batches, state, samples, votes))
        return losses.numpy()[: len(batches)].tolist(), state, counted.numpy().tolist()

    def _arguments(
        self, step: int, batches: Sequence[Batch], state: Any, samples: Sequence[Sample], votes: Sequence[bool]
    ) -> tuple[Any, ...]:
        scales = np.array([1.0 / max(1, int(batch.lengths.sum())) for batch in batches], np.float32)
        scalars = tf.constant(step), tf.constant(self._pad(scales))
        sampled = [self._pad(np.stack(part)) for part in zip(*samples)]
        # int64 for a GPU, as the segment below.
        sampled = [tf.constant(part, tf.float32 if part.dtype == np.float32 else tf.int64) for part in sampled]
        counted = tf.constant([float(vote) for vote in votes])
        return tf.constant(len(batches)), self._segment(batches), state, scalars, tuple(sampled), counted

    def evaluate(self, batches: Sequence[Batch], state: Any) -> tuple[list[float], Any]:
        """Return the nats of each batch, at most `slots`, and the state after the last one; arguments as in `train`."""
        losses, state = self._evaluate(tf.constant(len(batches)), self._segment(batches), state)
        return losses.numpy()[: len(batches)].tolist(), state

    def distribute(self, rows: np.ndarray, axis: int = 0) -> Any:
        """Give each replica an equal part of the rows, which are along `axis`."""
        if self._replicas == 1:
            return tf.constant(rows)
        parts = np.split(rows, self._replicas, axis)
        distributed = self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )
        # With one device in this process a step returns a tensor; given anything else first, it would be traced twice.
        local = self._strategy.experimental_local_results(distributed)
        return local[0] if len(local) == 1 else distributed

    def gather(self, rows: Any) -> np.ndarray:
        """Invert `distribute`, for rows along the first axis."""
        return (rows if self._replicas == 1 else self._strategy.gather(rows, axis=0)).numpy()

    def _segment(self, batches: Sequence[Batch]) -> tuple[Any, ...]:
        """Return ids (slots, rows, time + 1), lengths (slots, rows) and carry masks (slots, rows, 1), distributed."""
        ids = np.stack([batch.ids for batch in batches])
        lengths = np.stack([batch.lengths for batch in batches]).astype(np.float32)
        carry = np.stack([batch.carry_mask for batch in batches])
        return tuple(self.distribute(self._pad(part), axis=1) for part in (ids, lengths, carry))

    def _pad(self, rows: np.ndarray) -> np.ndarray:
        """Append zeros up to the number of slots: one shape for calls of any length, so the graph is traced once."""
        return np.pad(rows, [(0, self._slots - len(rows)), *[(0, 0)] * (rows.ndim - 1)])

    def _compile(self) -> tuple[Any, Any]:
        model, optimizer, strategy, replicas = self._model, self._optimizer, self._strategy, self._replicas

        def losses(batch: Any, state: State, seed: Any = None, sampled: Any = ()) -> tuple[Any, State]:
            inputs, targets, mask, carry = batch
            outputs, state = model.outputs(inputs, tuple(part * carry for part in state), seed)
            nats = model.cross_entropy(outputs, targets, sampled)  # (batch, time)
            return tf.reduce_sum(nats * mask), state

        def differentiate(batch: Any, state: State, seed: Any, scale: Any, sampled: Any) -> tuple[Any, State, Any]:
            with tf.GradientTape() as tape:
                total, state = losses(batch, state, seed, sampled)
                loss = total * scale
                scaled = optimizer.scale_loss(loss)  # differs from the loss for float16 only
            found = tape.gradient(scaled, [v.value for v in model.weights_to_train])
            return loss, state, [tf.convert_to_tensor(gradient) for gradient in found]

        if self._jit:
            differentiate = tf.function(differentiate, autograph=False, jit_compile=True)

        def train_step(i: Any, segment: Any, state: State, scalars: Any, sampled: Any) -> tuple[Any, State]:
            first, scales = scalars
            context = tf.distribute.get_replica_context()
            seed = tf.stack([(first + i) * 64, tf.cast(context.replica_id_in_sync_group, tf.int32)])
            sample = tuple(part[i] for part in sampled)
            loss, state, gradients = differentiate(_batch(segment, i), state, seed, scales[i], sample)
            if replicas > 1:
                # Clipping needs the sum over all replicas; Keras sums again, see trainer.optimizer.
                gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
                gradients = [gradient / replicas for gradient in gradients]
            optimizer.apply(gradients, model.weights_to_train)
            return loss, state

        def total(value: Any) -> Any:
            return strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)

        def repeat(step: Any, count: Any, segment: Any, state: State, *arguments: Any) -> tuple[Any, State]:
            def body(i: Any, state: State, losses: Any) -> tuple[Any, ...]:
                loss, state = strategy.run(step, (i, segment, state, *arguments))
                return i + 1, state, losses.write(i, total(loss))

            # On a GPU, TensorFlow slices, reshapes and multiplies int32 in the host's memory, int64 in the device's.
            segment = strategy.run(lambda ids, *rest: (tf.cast(ids, tf.int64), *rest), segment)
            collected = tf.TensorArray(tf.float32, self._slots, element_shape=())
            start = (0, state, collected)
            _, state, collected = tf.while_loop(lambda i, *_: i < count, body, start, parallel_iterations=1)
            return collected.stack(), state

        @tf.function(autograph=False)
        def train(count: Any, segment: Any, state: State, scalars: Any, sampled: Any, votes: Any) -> Any:
            results = repeat(train_step, count, segment, state, scalars, sampled)
            return *results, total(strategy.run(lambda: tf.identity(votes)))

        @tf.function(autograph=False)
        def evaluate(count: Any, segment: Any, state: State) -> Any:
            return repeat(lambda i, segment, state: losses(_batch(segment, i), state), count, segment, state)

        return train, evaluate


def _batch(segment: Any, i: Any) -> tuple[tf.Tensor, ...]:
    """Return inputs, targets and mask (batch, time) and carry mask (batch, 1) of step i."""
    ids, lengths, carry = (part[i] for part in segment)
    mask = tf.range(ids.shape[1] - 1, dtype=tf.float32) < lengths[:, None]  # (batch, time)
    counts = tf.cast(mask, ids.dtype)
    return ids[:, :-1] * counts, ids[:, 1:] * counts, tf.cast(mask, tf.float32), carry


def is_jit_faster(cells: int, characters: int, precision: str, replicas: int) -> bool:
    """Whether XLA makes a training on a CPU faster: its operations are so small that starting each one takes longest.

    Args:
      cells: rows of a step times units of a layer.
      characters: of the train split. Not steps: a run with a time limit must repeat as one with its number of steps.
      precision: of the matrix products.
      replicas: that train together.
    """
    on_cpu = not tf.config.list_physical_devices("GPU")
    return on_cpu and replicas == 1 and precision != "float16" and cells <= JIT_CELLS and characters >= JIT_CHARACTERS
