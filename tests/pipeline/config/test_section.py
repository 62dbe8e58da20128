"""A section accepts its own keys with values of exactly their types, and is frozen."""

import doctest
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config import section
from pipeline.config.section import Section


class Sizes(Section):
    units: int = 3
    rate: float = 0.5


def test_example_runs() -> None:
    assert doctest.testmod(section).failed == 0


def test_values_and_defaults() -> None:
    assert Sizes(units=4) == Sizes(units=4, rate=0.5)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sizes().units = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    "given", [{"unit": 3}, {"units": "3"}, {"units": 3.0}, {"units": True}, {"rate": float("inf")}, {"rate": "nan"}]
)
def test_unknown_key_or_other_type_is_an_error(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given))):
        Sizes(**given)
