"""The number of steps that fit into a time, on a clock of the test's."""

import itertools
import math
from collections.abc import Iterator

import pytest

from pipeline.config.training import MEASURED_STEPS, TrainingConfig
from trainer.plan import choices
from trainer.plan.budget import TimeLimit
from trainer.plan.sizes import Size

SIZE = Size(10**6, 1, 64, 6_400, 157, 64, 18)
TRACING = 8.0  # seconds of the first step


def fitted(seconds: float, minutes: float = 5.0, most: int = 1_000, slow: frozenset[int] = frozenset()) -> int | None:
    """Return the steps of a machine that takes so many seconds for each, and ten times as many for some of them."""

    def clock() -> Iterator[float]:
        now = 0.0
        for step in itertools.count():
            yield now
            now += seconds * (10.0 if step in slow else 1.0) + (TRACING if step == 0 else 0.0)

    times = clock()
    limit = TimeLimit(TrainingConfig(max_minutes=minutes), most, SIZE, lambda: next(times))
    found = [limit.after_step() for _ in range(MEASURED_STEPS)]
    assert not any(found[:-1])
    return found[-1]


@pytest.mark.parametrize("minutes", [2.0, 5.0])
def test_steps_fill_the_time(minutes: float) -> None:
    steps = fitted(0.6, minutes)
    assert steps is not None
    every = choices.plan(TrainingConfig(), steps, SIZE).eval_every
    evaluations = math.ceil(steps / every) * SIZE.evaluation_time
    assert TRACING + 0.6 * (steps + evaluations) == pytest.approx(60 * minutes, abs=4.0)  # one evaluation


def test_fast_machine_takes_all_steps() -> None:
    assert fitted(0.16) == 1_000


def test_slow_machine_takes_a_few_steps_anyway() -> None:
    assert fitted(60.0) == 2 * TrainingConfig().warmup_steps
    assert fitted(60.0, most=30) == 30


def test_single_slow_steps_do_not_count() -> None:
    assert fitted(0.6, slow=frozenset({9, 12})) == pytest.approx(fitted(0.6), abs=25)
