"""Validation of the options of `generate`, seeds and rows."""

import dataclasses
import doctest
import math
from typing import Any

import pytest

from serving.client import options
from serving.client.options import GenerateArguments, GenerateOptions

GOOD: dict[str, Any] = {"num_chars": 5, "temperature": 1, "top_k": 0, "seed": 3}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_chars", -1),
        ("num_chars", 2**31),
        ("num_chars", 1.0),
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", "a"),
        ("temperature", None),
        ("temperature", 10**400),
        ("top_k", -1),
        ("top_k", 2**31),
        ("seed", 2**63 - 1),  # the second row's would be too large
        ("seed", -(2**63) - 1),
        ("seed", 0.5),
        ("seed", [1]),
        ("seed", [1, 2, 3]),
    ],
)
def test_invalid_option_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}.*Received: "):
        GenerateOptions(**{**GOOD, name: value}).seeds(2)


def test_seeds_count_up_or_are_explicit_or_random() -> None:
    assert GenerateOptions(**GOOD).seeds(2) == (3, 4)
    assert GenerateOptions(**{**GOOD, "seed": [9, -9]}).seeds(2) == (9, -9)
    random = [GenerateOptions(**{**GOOD, "seed": None}) for _ in range(3)]
    assert len({one.seeds(2) for one in random}) == 3
    assert all(one.seeds(2) == (one.seed, one.seeds(1)[0] + 1) for one in random)
    assert all(0 <= one.seeds(1)[0] < 2**31 for one in random)


def test_row_is_an_instance_of_the_generate_signature() -> None:
    row = GenerateOptions(**GOOD).rows(["A", "B"])[1]
    assert row == {"prompt": "B", "num_chars": 5, "temperature": 1.0, "top_k": 0, "seed": 4}
    assert isinstance(row["temperature"], float)


def test_keyword_arguments_are_the_fields() -> None:
    fields = {field.name: field.type for field in dataclasses.fields(GenerateOptions)}
    assert fields == GenerateArguments.__annotations__


def test_example() -> None:
    result = doctest.testmod(options)
    assert result.failed == 0 < result.attempted
