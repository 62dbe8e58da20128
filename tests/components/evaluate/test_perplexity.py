"""Perplexity from nats per character."""

import doctest
import math

import pytest

from components.evaluate import perplexity


def test_docstring_examples() -> None:
    attempted = doctest.testmod(perplexity)
    assert attempted.attempted
    assert not attempted.failed


@pytest.mark.parametrize("nats", [1e6, math.inf, math.nan])
def test_overflow_and_nan_give_infinity(nats: float) -> None:
    assert perplexity.from_nats(nats) == math.inf


def test_uniform_choice_has_the_perplexity_of_its_size() -> None:
    assert perplexity.from_nats(math.log(65)) == pytest.approx(65)
