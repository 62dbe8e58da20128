"""The training loop: one distributed step, truncated back-propagation through time, evaluation, checkpoints."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.errors import UserError
from pipeline.config.training import TrainingConfig
from trainer.checkpoint import Checkpoints, Position
from trainer.cluster import collective
from trainer.data import unigram
from trainer.data import windows as w
from trainer.model import LanguageModel, State
from trainer.optimizer import schedule_steps
from trainer.plan import budget, choices, sizes
from trainer.progress import Reporter

Sample = Callable[[int], str]  # generated text for a step


class Loop:
    """Fits a model on one split and evaluates it on another.

    The gradient is truncated to one window. With `data_order` "contiguous" the state is carried from window to window
    (truncated back-propagation through time) and reset where a document ends.

    Example: `test_loss_falls_on_predictable_text` in tests/trainer/test_loop.py.
    """

    def __init__(
        self,
        training: TrainingConfig,
        seed: int,
        strategy: tf.distribute.Strategy,
        model: LanguageModel,
        optimizer: Any,
        train: w.Windows,
        evaluation: w.Windows,
        limit: budget.TimeLimit | None = None,
        decay_steps: tf.Variable | None = None,
    ) -> None:
        """Compile the steps; model and optimizer must have been created in the strategy's scope.

        Args:
          limit: shortens the training to a number of minutes.
          decay_steps: of the optimizer's cosine schedule, which this changes; None: it is fixed.
        """
        self._training, self._seed = training, seed
        self._strategy, self._model, self._optimizer = strategy, model, optimizer
        self._train, self._evaluation = train, evaluation
        self._replicas = strategy.num_replicas_in_sync
        self.carries = training.data_order == "contiguous"
        self.size = sizes.measure(training, train, evaluation, self._replicas, model.vocabulary_size)
        self.plan = choices.plan(training, choices.count_steps(training, self.size), self.size)
        self._limit, self._decay_steps = limit, decay_steps
        self._sampler = unigram.create(int(training.sampled_softmax), train.ids, model.vocabulary_size, seed)
        self._compiled_train, self._compiled_eval = self._compile()

    def run(self, checkpoints: Checkpoints, reporter: Reporter, sample: Sample | None = None) -> Position:
        """Train to the end, from the newest checkpoint if there is one; then restore the best weights if configured.

        Args:
          sample: generates a text that is reported with every evaluation.
        """
        restored = checkpoints.restore()
        position = restored[0] if restored else Position()
        checkpoints.check_same(self._strategy, position)
        state = tuple(map(self._distribute, restored[1])) if restored else self.zero_state(self.size.rows)
        if position.total_steps or not self._limit:
            self._set_total_steps(position.total_steps or self.plan.steps, position, reporter)
        saved_at = time.monotonic()
        while not position.finished:
            for batch in self.batches(position):
                # Processes save together and their clocks differ: the first one that finds it due decides.
                due = time.monotonic() - saved_at >= self._training.checkpoint_seconds
                state, due = self._train_on(batch, state, position, reporter, due)
                evaluated = self._is_evaluation_due(position)
                if evaluated:
                    self._evaluate_and_checkpoint_best(position, checkpoints, reporter, sample)
                self._end_epoch(position, checkpoints)
                position.finished = self._is_finished(position)
                # A run that is killed before it knows its number of steps begins again: those were a few steps.
                if position.total_steps and (position.finished or evaluated or due):
                    checkpoints.save(position, [self._gather(part) for part in state])
                    saved_at = time.monotonic()
                if position.finished:
                    break
        if self._training.restore_best:
            checkpoints.use_best()
        return position

    def zero_state(self, rows: int) -> Any:
        """Return the state before a document's first character, distributed over the replicas."""
        return tuple(self._distribute(part.numpy()) for part in self._model.zero_state(rows))

    def batches(self, position: Position) -> Iterator[w.Batch]:
        """Yield the rest of an epoch."""
        order, buffer = [self._seed, position.epoch], self._training.shuffle_buffer
        if self.carries:
            return w.contiguous_batches(w.shuffle_documents(self._train, order), self.size.rows, first=position.batch)
        return w.shuffled_batches(self._train, self.size.rows, buffer, order, first=position.batch)

    def train_step(self, step: int, batch: w.Batch, state: Any, vote: bool = False) -> tuple[float, Any, bool]:
        """Take one optimizer step.

        Args:
          step: number of steps before it, the seed of its dropout.
          state: carried state, distributed over the replicas.
          vote: whether this process votes for something that all must do together.

        Returns:
          Nats per character before the step, the state after the batch, and whether any process voted.
        """
        scale, votes = 1.0 / max(1.0, float(batch.mask.sum())), float(vote)
        scalars = tuple(map(tf.constant, (step, scale, votes)))
        sampled = self._sampler.sample(step) if self._sampler else ()
        sums, state = self._compiled_train(self._distribute_batch(batch), state, scalars, sampled)
        loss, votes = sums.numpy().tolist()
        return loss, state, votes > 0

    def evaluate(self, windows: w.Windows | None = None) -> float:
        """Return nats per character of windows or of the evaluation split, state carried along parallel streams."""
        windows = self._evaluation if windows is None else windows
        state, total = self.zero_state(self.size.evaluation_rows), 0.0
        for batch in w.contiguous_batches(windows, self.size.evaluation_rows):
            loss, state = self._compiled_eval(self._distribute_batch(batch), state)
            total += float(loss)
        return total / windows.targets

    def _train_on(
        self, batch: w.Batch, state: Any, position: Position, reporter: Reporter, vote: bool
    ) -> tuple[Any, bool]:
        loss, state, voted = self.train_step(position.step, batch, state, vote)
        position.step += 1
        position.batch += 1
        # Dynamic loss scaling skips a step that overflows: there, one infinite loss is not divergence.
        if not math.isfinite(loss) and not isinstance(self._optimizer, keras.optimizers.LossScaleOptimizer):
            raise self._diverged(position.step, loss)
        reporter.step(position.step, loss, int(batch.mask.sum()))
        if self._limit and not position.total_steps and (fitting := self._limit.after_step()):
            # Clocks differ, and all processes must take the same number of steps.
            self._set_total_steps(collective.mean(self._strategy, fitting), position, reporter)
        return state, voted

    def _set_total_steps(self, steps: int, position: Position, reporter: Reporter) -> None:
        self.plan = choices.plan(self._training, steps, self.size)
        position.total_steps = reporter.total_steps = steps
        if self._decay_steps is not None:
            self._decay_steps.assign(schedule_steps(self._training, steps)[1])
        reporter.choices(choices.explain(self._training, self.plan, self.size))

    def _is_evaluation_due(self, position: Position) -> bool:
        return position.step % self.plan.eval_every == 0 or position.step >= self.plan.steps

    def _evaluate_and_checkpoint_best(
        self, position: Position, checkpoints: Checkpoints, reporter: Reporter, sample: Sample | None
    ) -> None:
        loss = self.evaluate()
        if not math.isfinite(loss):
            raise self._diverged(position.step, loss)
        is_best = loss < position.best_loss
        if is_best:
            position.best_loss, position.best_step, position.evals_since_best = loss, position.step, 0
            checkpoints.keep_as_best()
        else:
            position.evals_since_best += 1
        reporter.evaluation(position.step, loss, is_best, sample(position.step) if sample else None)

    def _end_epoch(self, position: Position, checkpoints: Checkpoints) -> None:
        if position.batch == self.size.steps_per_epoch:
            position.epoch, position.batch = position.epoch + 1, 0
            checkpoints.save_epoch(position.epoch)

    def _is_finished(self, position: Position) -> bool:
        patience = self.plan.early_stopping
        stops_early = bool(patience) and position.evals_since_best >= patience
        return stops_early or position.step >= self.plan.steps

    def _diverged(self, step: int, loss: float) -> UserError:
        rate, clip_norm = self._training.learning_rate, self._training.clip_norm
        if clip_norm:
            advice = "Lower training.learning_rate or training.clip_norm."
        else:
            advice = "Set training.clip_norm to 1, which limits the gradients, or lower training.learning_rate."
        return UserError(
            f"Training diverged: the loss at step {step} is {loss}. {advice} "
            f"Received: training.learning_rate={rate}, training.clip_norm={clip_norm}"
        )

    def _compile(self) -> tuple[Any, Any]:
        model, optimizer, strategy, replicas = self._model, self._optimizer, self._strategy, self._replicas

        def losses(batch: Any, state: State, seed: Any = None, sampled: Any = ()) -> tuple[Any, State]:
            inputs, targets, mask, carry = batch
            outputs, state = model.outputs(inputs, tuple(part * carry for part in state), seed)
            nats = model.cross_entropy(outputs, targets, sampled)  # (batch, time)
            return tf.reduce_sum(nats * mask), state

        def train(batch: Any, state: State, scalars: Any, sampled: Any) -> Any:
            step, scale, vote = scalars
            context = tf.distribute.get_replica_context()
            seed = tf.stack([step * 64, tf.cast(context.replica_id_in_sync_group, tf.int32)])
            with tf.GradientTape() as tape:
                total, state = losses(batch, state, seed, sampled)
                loss = total * scale
                scaled = optimizer.scale_loss(loss)  # differs from the loss for float16 only
            variables = model.weights_to_train
            gradients = [tf.convert_to_tensor(g) for g in tape.gradient(scaled, [v.value for v in variables])]
            if replicas > 1:
                # Clipping needs the sum over all replicas; Keras sums again, see trainer.optimizer.
                gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
                gradients = [gradient / replicas for gradient in gradients]
            optimizer.apply(gradients, variables)
            return tf.stack([loss, vote]), state

        @tf.function(autograph=False)
        def train_step(*arguments: Any) -> Any:
            sums, state = strategy.run(train, arguments)
            return strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None), state

        @tf.function(autograph=False)
        def eval_step(*arguments: Any) -> Any:
            loss, state = strategy.run(losses, arguments)
            return strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None), state

        return train_step, eval_step

    def _distribute_batch(self, batch: w.Batch) -> tuple[Any, ...]:
        return tuple(map(self._distribute, (batch.inputs, batch.targets, batch.mask, batch.carry_mask)))

    def _distribute(self, rows: np.ndarray) -> Any:
        """Give each replica an equal part of the rows."""
        if self._replicas == 1:
            return tf.constant(rows)
        parts = np.split(rows, self._replicas)
        distributed = self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )
        # With one device in this process a step returns a tensor; given anything else first, it would be traced twice.
        local = self._strategy.experimental_local_results(distributed)
        return local[0] if len(local) == 1 else distributed

    def _gather(self, rows: Any) -> np.ndarray:
        """Invert `_distribute`."""
        return (rows if self._replicas == 1 else self._strategy.gather(rows, axis=0)).numpy()
