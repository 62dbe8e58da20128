"""The training loop: one distributed step, truncated back-propagation through time, evaluation, checkpoints."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.errors import UserError
from trainer.checkpoint import Checkpoints, Position
from trainer.data import windows as w
from trainer.model import LanguageModel, State
from trainer.progress import Reporter


class Loop:
    """Fits a model on one split and watches its loss on another.

    The gradient reaches back through one window; with `data_order` "contiguous" the state is carried from window to
    window (truncated back-propagation through time) and forgotten where a document ends.
    """

    def __init__(
        self,
        training: dict[str, Any],
        seed: int,
        strategy: tf.distribute.Strategy,
        model: LanguageModel,
        optimizer: Any,
        train: w.Windows,
        evaluation: w.Windows,
    ) -> None:
        """Take the training section of the configuration, and a model and optimizer made in the strategy's scope."""
        self._training, self._seed = training, seed
        self._strategy, self._model, self._optimizer = strategy, model, optimizer
        self._train, self._evaluation = train, evaluation
        self._replicas = strategy.num_replicas_in_sync
        resolver = strategy.cluster_resolver
        self._workers = max(1, len(resolver.cluster_spec().as_dict().get("worker", ()))) if resolver else 1
        self.carries = training["data_order"] == "contiguous"
        self.batch_size = batch_rows(train, training, self.carries, self._replicas)
        self.steps_in_epoch = w.steps_in_a_pass(train, self.batch_size, whole=not self.carries)
        self.total_steps = self.count_steps(training, train, self._replicas)
        self._eval_rows = w.stream_count(evaluation, max(self.batch_size, self._replicas), self._replicas)
        self._train_step, self._eval_step = self._compile()

    @staticmethod
    def count_steps(training: dict[str, Any], train: w.Windows, replicas: int) -> int:
        """Steps of the whole run, unless it stops early."""
        carries = training["data_order"] == "contiguous"
        rows = batch_rows(train, training, carries, replicas)
        return training["steps"] or training["epochs"] * w.steps_in_a_pass(train, rows, whole=not carries)

    def run(self, checkpoints: Checkpoints, reporter: Reporter, sample: Callable[[int], str] | None = None) -> Position:
        """Train to the end, from the newest checkpoint if there is one; the best weights are in the model afterwards.

        Args:
          sample: gives generated text for a step, shown with every evaluation.
        """
        restored = checkpoints.restore()
        position, carried = restored or (Position(), [s.numpy() for s in self._model.zero_state(self.batch_size)])
        state = tuple(self._spread(np.asarray(part)) for part in carried)
        eval_every = self._training["eval_every"] or self.steps_in_epoch
        saved = time.monotonic()
        while not position.finished:
            for batch in self._pass(position):
                loss, state = self._one_step(position.step, batch, state)
                position.step += 1
                position.batch += 1
                # Dynamic loss scaling skips a step that overflows, so there a single one is no divergence.
                if not math.isfinite(loss) and not isinstance(self._optimizer, keras.optimizers.LossScaleOptimizer):
                    raise self._diverged(position.step, loss)
                reporter.step(position.step, loss, int(batch.mask.sum()))
                epoch_ends = position.batch == self.steps_in_epoch
                at_end = position.step >= self.total_steps
                watched = position.step % eval_every == 0 or at_end
                if watched:
                    self._watch(position, checkpoints, reporter, sample)
                if epoch_ends:
                    position.epoch, position.batch = position.epoch + 1, 0
                    checkpoints.save_epoch(position.epoch)
                patience = self._training["early_stopping"]
                position.finished = at_end or bool(patience and position.without_better >= patience)
                # Saving is a joint act of all workers, whose clocks differ: they keep to evaluations.
                due = self._workers == 1 and time.monotonic() - saved >= self._training["checkpoint_seconds"]
                if position.finished or watched or due:
                    checkpoints.save(position, [self._collect(part) for part in state])
                    saved = time.monotonic()
                if position.finished:
                    break
        if self._training["restore_best"]:
            checkpoints.use_best()
        return position

    def evaluate(self) -> float:
        """Nats per character of the evaluation split, state carried along parallel streams."""
        state: Any = tuple(self._spread(s.numpy()) for s in self._model.zero_state(self._eval_rows))
        total = 0.0
        for batch in w.contiguous_batches(self._evaluation, self._eval_rows):
            loss, state = self._eval_step(
                *map(self._spread, (batch.inputs, batch.targets, batch.mask, batch.keep)), state
            )
            total += float(loss)
        return total / self._evaluation.targets

    def _watch(
        self, position: Position, checkpoints: Checkpoints, reporter: Reporter, sample: Callable[[int], str] | None
    ) -> None:
        loss = self.evaluate()
        if not math.isfinite(loss):
            raise self._diverged(position.step, loss)
        better = loss < position.best_loss
        if better:
            position.best_loss, position.best_step, position.without_better = loss, position.step, 0
            checkpoints.keep_as_best()
        else:
            position.without_better += 1
        reporter.evaluation(position.step, loss, better, sample(position.step) if sample else None)

    def _diverged(self, step: int, loss: float) -> UserError:
        return UserError(
            f"Training diverged: the loss at step {step} is {loss}. Lower training.learning_rate or training.clip_norm."
            f" Received: training.learning_rate={self._training['learning_rate']}, "
            f"training.clip_norm={self._training['clip_norm']}"
        )

    def _pass(self, position: Position) -> Iterator[w.Batch]:
        if self.carries:
            return w.contiguous_batches(self._train, self.batch_size, first=position.batch)
        order = [self._seed, position.epoch]
        buffer = self._training["shuffle_buffer"]
        return w.shuffled_batches(self._train, self.batch_size, buffer, order, first=position.batch)

    def _one_step(self, step: int, batch: w.Batch, state: State) -> tuple[float, State]:
        arrays = map(self._spread, (batch.inputs, batch.targets, batch.mask, batch.keep))
        loss, state = self._train_step(
            *arrays, state, tf.constant(step), tf.constant(1.0 / max(1.0, float(batch.mask.sum())))
        )
        return float(loss), state

    def _compile(self) -> tuple[Any, Any]:
        model, optimizer, strategy, replicas = self._model, self._optimizer, self._strategy, self._replicas

        def losses(inputs: Any, targets: Any, mask: Any, keep: Any, state: State, seed: Any) -> tuple[Any, State]:
            logits, state = model(inputs, tuple(part * keep for part in state), seed)
            nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)  # (batch, time)
            return tf.reduce_sum(nats * mask), state

        def train(inputs: Any, targets: Any, mask: Any, keep: Any, state: State, step: Any, scale: Any) -> Any:
            context = tf.distribute.get_replica_context()
            replica = context.replica_id_in_sync_group
            seed = tf.stack([step * 64, tf.cast(replica, tf.int32)])
            with tf.GradientTape() as tape:
                total, state = losses(inputs, targets, mask, keep, state, seed)
                loss = total * scale
                scaled = optimizer.scale_loss(loss)  # the loss itself, but for float16
            variables = model.weights_to_train
            gradients = [tf.convert_to_tensor(g) for g in tape.gradient(scaled, [v.value for v in variables])]
            if replicas > 1:
                # Clipping needs the sum over all replicas; Keras sums again, see trainer.optimizer.
                gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
                gradients = [gradient / replicas for gradient in gradients]
            optimizer.apply(gradients, variables)
            return loss, state

        @tf.function(autograph=False)
        def train_step(*arguments: Any) -> Any:
            loss, state = strategy.run(train, arguments)
            return strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None), state

        @tf.function(autograph=False)
        def eval_step(*arguments: Any) -> Any:
            loss, state = strategy.run(losses, (*arguments, None))
            return strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None), state

        return train_step, eval_step

    def _spread(self, rows: np.ndarray) -> Any:
        """Give each replica its equal part of the rows."""
        if self._replicas == 1:
            return tf.constant(rows)
        parts = np.split(rows, self._replicas)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )

    def _collect(self, rows: Any) -> np.ndarray:
        """The opposite of `_spread`."""
        return (rows if self._replicas == 1 else self._strategy.gather(rows, axis=0)).numpy()


def batch_rows(train: w.Windows, training: dict[str, Any], carries: bool, replicas: int) -> int:
    """Windows in one step over all devices: the batch size, less for a small split, a multiple of the replicas."""
    if carries:
        return w.stream_count(train, training["batch_size"], replicas)
    return max(replicas, min(training["batch_size"], len(train)) // replicas * replicas)
