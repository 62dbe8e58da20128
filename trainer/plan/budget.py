"""Fit the number of steps to a time limit, from the speed of the first steps."""

import statistics
import time
from collections.abc import Callable

from pipeline.config.training import MEASURED_STEPS, TrainingConfig
from trainer.plan import choices
from trainer.plan.sizes import Size

_UNSTEADY = 5  # the first of the measured steps, which are traced and fill caches


class TimeLimit:
    """The number of steps that fit into `training.max_minutes`.

    The learning rate of the measured steps does not depend on the number of steps: they are part of the warm-up.
    Therefore a run with the same `training.steps` repeats them exactly.

    Example: `test_steps_fill_the_time` in tests/trainer/plan/test_budget.py.
    """

    def __init__(
        self, training: TrainingConfig, most: int, size: Size, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start the time.

        Args:
          training: with `max_minutes`.
          most: steps of a training without a limit.
          size: of the data.
          clock: returns seconds.
        """
        self._training, self._most, self._size, self._clock = training, most, size, clock
        # Two warm-ups, because a shorter training would have a shorter one.
        self._least = min(most, max(choices.FEWEST_STEPS, 2 * training.warmup_steps))
        self._times = [clock()]

    def after_step(self) -> int | None:
        """Note the end of a step.

        Returns:
          The number of steps that fit, after `MEASURED_STEPS` of them; None before.
        """
        self._times.append(self._clock())
        done = len(self._times) - 1
        if done < MEASURED_STEPS:
            return None
        steady = self._times[_UNSTEADY:]
        seconds = statistics.median(end - begin for begin, end in zip(steady, steady[1:]))
        left = 60.0 * (self._training.max_minutes or 0.0) - (self._times[-1] - self._times[0])
        fitting = self._most
        for _ in range(2):  # fewer steps have a little more evaluations each
            every = choices.plan(self._training, fitting, self._size).eval_every
            evaluation = self._size.evaluation_time / every  # steps, for each step
            fitting = min(self._most, max(self._least, done + int(left / (seconds * (1.0 + evaluation)))))
        return fitting
