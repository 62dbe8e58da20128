"""Crash-loop detection: when to give up restarting a process."""

import time
from collections.abc import Callable

LIMIT, SECONDS = 5, 300.0
GAVE_UP = f"It ended {LIMIT} times in {SECONDS / 60:.0f} minutes: giving up."


class RestartLimiter:
    """Allows restarts until a process has ended `LIMIT` times within `SECONDS` seconds.

    Example:
      >>> limiter = RestartLimiter()
      >>> [limiter.should_give_up() for _ in range(LIMIT)]
      [False, False, False, False, True]
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: list[float] = []

    def should_give_up(self) -> bool:
        """Count one more end of the process; returns whether to stop restarting it."""
        self._ends = [*self._ends[1 - LIMIT :], self._clock()]
        return len(self._ends) == LIMIT and self._ends[-1] - self._ends[0] < SECONDS
