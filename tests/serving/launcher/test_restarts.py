"""A process that dies too often is given up; one that dies now and then is not."""

import pytest

from serving.launcher.restarts import LIMIT, SECONDS, Deaths


@pytest.mark.parametrize(("apart", "too_many"), [(SECONDS / LIMIT, True), (SECONDS / (LIMIT - 1), False)])
def test_only_deaths_close_together_count(apart: float, too_many: bool) -> None:
    times = iter(number * apart for number in range(2 * LIMIT))
    deaths = Deaths(lambda: next(times))
    assert [deaths.another() for _ in range(LIMIT + 1)] == [False] * (LIMIT - 1) + [too_many] * 2
