"""When to stop starting a process again that dies again and again."""

import time
from collections.abc import Callable

LIMIT, SECONDS = 5, 300.0


class Deaths:
    """The last deaths of a process: it is started again unless it dies `LIMIT` times in `SECONDS` seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """None so far."""
        self._clock = clock
        self._times: list[float] = []

    def another(self) -> bool:
        """Count one more; whether these are too many."""
        self._times = [*self._times[1 - LIMIT :], self._clock()]
        return len(self._times) == LIMIT and self._times[-1] - self._times[0] < SECONDS


TOO_MANY = f"It ended {LIMIT} times in {SECONDS / 60:.0f} minutes: giving up."
