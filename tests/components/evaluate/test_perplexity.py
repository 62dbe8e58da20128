"""Perplexity from nats per character."""

import doctest
import math

import pytest

from components.evaluate import perplexity


def test_docstring_examples() -> None:
    attempted = doctest.testmod(perplexity)
    assert attempted.attempted
    assert not attempted.failed


@pytest.mark.parametrize(
    ("nats", "expected"),
    [
        (0.0, 1.0),
        (math.log(66), 66.0),
        (699.0, math.e**699),
        (1e4, math.inf),
        (math.inf, math.inf),
        (math.nan, math.inf),
    ],
)
def test_overflow_and_nan_give_infinity(nats: float, expected: float) -> None:
    assert perplexity.from_nats(nats) == pytest.approx(expected)
