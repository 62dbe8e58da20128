"""Perplexity from nats per character."""

import doctest
import math

import pytest

from components.evaluate import perplexity
from serving.client.values import Score


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


@pytest.mark.parametrize("nats", [0.0, 2.5, 705.0, 709.0, 709.5, 1e4])
def test_the_client_has_the_same_perplexity(nats: float) -> None:
    assert Score((nats,), nats, 1).perplexity == perplexity.from_nats(nats)
