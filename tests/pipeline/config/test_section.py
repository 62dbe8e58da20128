"""A section takes what it names, of the very type, and keeps it."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config.section import Section


class Sizes(Section):
    units: int = 3
    rate: float = 0.5


def test_values_and_defaults() -> None:
    assert Sizes(units=4) == Sizes(units=4, rate=0.5)


def test_values_stay_as_they_are() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sizes().units = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    "given", [{"unit": 3}, {"units": "3"}, {"units": 3.0}, {"units": True}, {"rate": float("inf")}, {"rate": "nan"}]
)
def test_everything_else_is_an_error(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given))):
        Sizes(**given)
