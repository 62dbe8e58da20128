"""Round ticks inside the interval, few points, and lines inside the picture."""

import doctest
import math
import re

from hypothesis import given
from hypothesis import strategies as st

from pipeline.learning_curve import Curves
from pipeline.page import charts


def test_docstring_examples_are_true() -> None:
    assert doctest.testmod(charts).failed == 0


@given(st.floats(-10, 10), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(low: float, size: float) -> None:
    found = charts.ticks(low, low + size)
    assert 2 <= len(found) <= 11
    assert all(low - 1e-6 * size <= tick <= low + size * (1 + 1e-6) for tick in found)


def test_points_are_thinned_to_the_means_of_neighbors() -> None:
    found = charts.thinned([(step, float(step % 2)) for step in range(1, 1001)])
    assert len(found) == 200
    assert found[0] == (1, 0.6)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=30), st.floats(1, 1e6) | st.just(math.inf))
def test_lines_are_inside_the_picture(losses: list[float], threshold: float) -> None:
    points = [(10 * number, loss) for number, loss in enumerate(losses, 1)]
    svg = charts.learning_curve(Curves(points, points[-1:]), threshold)
    for x, y in re.findall(r"([\d.]+),([\d.]+)[ \"]", "".join(re.findall(r"points=\"[^\"]*\"", svg))):
        assert 0 <= float(x) <= 480
        assert 0 <= float(y) <= 250
    assert ("bound" in svg) == math.isfinite(threshold)
