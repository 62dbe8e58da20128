"""The training loop: truncated back-propagation through time, evaluation, checkpoints."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from components.errors import UserError
from pipeline.config.training import TrainingConfig
from trainer.checkpoint import Checkpoints, Position
from trainer.cluster import collective
from trainer.compiled.steps import Steps, is_jit_faster
from trainer.data import unigram
from trainer.data import windows as w
from trainer.model import LanguageModel
from trainer.optimizer import schedule_steps
from trainer.plan import budget, choices, sizes
from trainer.progress import Reporter

Sample = Callable[[int], str]  # generated text for a step
MOST_STEPS = 64  # of a call
CALL_SECONDS = 0.25  # shortest call that is long enough: the host's share of it is small


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
        """Define the steps; model and optimizer must have been created in the strategy's scope.

        Args:
          limit: shortens the training to a number of minutes.
          decay_steps: of the optimizer's cosine schedule, which this changes; None: it is fixed.
        """
        self._training, self._seed = training, seed
        self._strategy, self._model, self._optimizer = strategy, model, optimizer
        self._train, self._evaluation = train, evaluation
        self.carries = training.data_order == "contiguous"
        self.size = sizes.measure(training, train, evaluation, strategy.num_replicas_in_sync, model.vocabulary_size)
        self.plan = choices.plan(training, choices.count_steps(training, self.size), self.size)
        self._limit, self._decay_steps = limit, decay_steps
        self._sampler = unigram.create(int(training.sampled_softmax), train.ids, model.vocabulary_size, seed)
        self._at_once = 1 if training.steps_per_call == choices.AUTO else int(training.steps_per_call)
        self._was_short = False  # the previous call
        jit = training.jit_compile
        if jit == choices.AUTO:
            replicas, precision = strategy.num_replicas_in_sync, model.product_dtype.name
            jit = is_jit_faster(self.size.rows * model.units, self.size.characters, precision, replicas)
        self.compiled = Steps(strategy, model, optimizer, max(MOST_STEPS, self._at_once), bool(jit))

    def run(self, checkpoints: Checkpoints, reporter: Reporter, sample: Sample | None = None) -> Position:
        """Train to the end, from the newest checkpoint if there is one; then restore the best weights if configured.

        Args:
          sample: generates a text that is reported with every evaluation.
        """
        restored = checkpoints.restore()
        position = restored[0] if restored else Position()
        checkpoints.check_same(self._strategy, position)
        state = tuple(map(self.compiled.distribute, restored[1])) if restored else self.zero_state(self.size.rows)
        if position.total_steps or not self._limit:
            self._set_total_steps(position.total_steps or self.plan.steps, position, reporter)
        saved_at = time.monotonic()
        while not position.finished:
            epoch = self.batches(position)
            while not position.finished and (batches := list(itertools.islice(epoch, self._steps_of_call(position)))):
                # Processes save together and their clocks differ: the first one that finds it due decides.
                due = time.monotonic() - saved_at >= self._training.checkpoint_seconds
                state, due = self._train_on(batches, state, position, reporter, due)
                evaluated = self._is_evaluation_due(position)
                if evaluated:
                    self._evaluate_and_checkpoint_best(position, checkpoints, reporter, sample)
                self._end_epoch(position, checkpoints)
                position.finished = self._is_finished(position)
                # A run that is killed before it knows its number of steps begins again: those were a few steps.
                if position.total_steps and (position.finished or evaluated or due):
                    checkpoints.save(position, [self.compiled.gather(part) for part in state])
                    saved_at = time.monotonic()
        if self._training.restore_best:
            checkpoints.use_best()
        return position

    def zero_state(self, rows: int) -> Any:
        """Return the state before a document's first character, distributed over the replicas."""
        return tuple(self.compiled.distribute(part.numpy()) for part in self._model.zero_state(rows))

    def batches(self, position: Position) -> Iterator[w.Batch]:
        """Yield the rest of an epoch."""
        order, buffer = [self._seed, position.epoch], self._training.shuffle_buffer
        if self.carries:
            return w.contiguous_batches(w.shuffle_documents(self._train, order), self.size.rows, first=position.batch)
        return w.shuffled_batches(self._train, self.size.rows, buffer, order, first=position.batch)

    def train_steps(
        self, step: int, batches: Sequence[w.Batch], state: Any, votes: Sequence[bool] = ()
    ) -> tuple[list[float], Any, list[float]]:
        """Take one optimizer step for each batch; see `trainer.compiled.steps.Steps.train`."""
        samples = [self._sampler.sample(step + i) for i in range(len(batches))] if self._sampler else []
        return self.compiled.train(step, batches, state, samples, votes)

    def evaluate(self, windows: w.Windows | None = None) -> float:
        """Return nats per character of windows or of the evaluation split, state carried along parallel streams."""
        windows = self._evaluation if windows is None else windows
        state, total = self.zero_state(self.size.evaluation_rows), 0.0
        remaining = w.contiguous_batches(windows, self.size.evaluation_rows)
        while batches := list(itertools.islice(remaining, self._at_once)):
            losses, state = self.compiled.evaluate(batches, state)
            for loss in losses:
                total += loss
        return total / windows.targets

    def _steps_of_call(self, position: Position) -> int:
        """Count the steps until something else is due, at most those of a call."""
        if self._limit and not position.total_steps:
            return 1  # each one is timed
        every = self.plan.eval_every
        return max(1, min(self._at_once, every - position.step % every, self.plan.steps - position.step))

    def _train_on(
        self, batches: Sequence[w.Batch], state: Any, position: Position, reporter: Reporter, due: bool
    ) -> tuple[Any, bool]:
        began = time.monotonic()
        votes = due, self._was_short
        losses, state, (for_saving, for_more) = self.train_steps(position.step, batches, state, votes)
        self._was_short = time.monotonic() - began < CALL_SECONDS
        # Processes must take equally many steps in a call, so all must have found the previous one short.
        if for_more >= self._strategy.num_replicas_in_sync and self._training.steps_per_call == choices.AUTO:
            self._at_once = min(2 * self._at_once, MOST_STEPS)
        for batch, loss in zip(batches, losses):
            position.step += 1
            position.batch += 1
            # Dynamic loss scaling skips a step that overflows: there, one infinite loss is not divergence.
            if not math.isfinite(loss) and not isinstance(self._optimizer, keras.optimizers.LossScaleOptimizer):
                raise self._diverged(position.step, loss)
            reporter.step(position.step, loss, int(batch.lengths.sum()))
        if self._limit and not position.total_steps and (fitting := self._limit.after_step()):
            # Clocks differ, and all processes must take the same number of steps.
            self._set_total_steps(collective.mean(self._strategy, fitting), position, reporter)
        return state, for_saving > 0

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
