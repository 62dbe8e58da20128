"""A process in a crash loop is given up; one that ends now and then is not."""

import doctest

import pytest

from serving.launcher import restarts
from serving.launcher.restarts import LIMIT, SECONDS, RestartLimiter


@pytest.mark.parametrize(("interval", "gives_up"), [(SECONDS / LIMIT, True), (SECONDS / (LIMIT - 1), False)])
def test_only_ends_close_together_count(interval: float, gives_up: bool) -> None:
    times = iter(number * interval for number in range(2 * LIMIT))
    limiter = RestartLimiter(lambda: next(times))
    assert [limiter.should_give_up() for _ in range(LIMIT + 1)] == [False] * (LIMIT - 1) + [gives_up] * 2


def test_example() -> None:
    result = doctest.testmod(restarts)
    assert result.failed == 0 < result.attempted
