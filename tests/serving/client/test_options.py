"""Validation of the options of `generate`, seeds and rows."""

import dataclasses
import doctest
import math
from typing import Any

import pytest

from serving.client import options
from serving.client.errors import Unsupported
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
        ("top_p", 0),
        ("top_p", 1.001),
        ("top_p", math.nan),
        ("top_p", "a"),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", 10.1),
        ("repetition_penalty", math.nan),
        ("repetition_penalty", None),
        ("stop", "x" * 65),
        ("stop", "\ud800"),
        ("stop", None),
        ("stop", b"x"),
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


def test_only_controls_need_the_signature_sample() -> None:
    plain = GenerateOptions(**GOOD, top_p=1, repetition_penalty=1, stop="")
    assert (plain.controls, plain.signature, plain.state_signature) == ({}, "generate", "generate_from_state")
    assert plain.rows(["A"]) == GenerateOptions(**GOOD).rows(["A"])
    for name, value in (("top_p", 0.5), ("repetition_penalty", 2), ("stop", "x" * 64)):
        options = GenerateOptions(**GOOD, **{name: value})
        assert options.controls == {name: value}
        assert (options.signature, options.state_signature) == ("sample", "sample_from_state")
        defaults = {"top_p": 1.0, "repetition_penalty": 1.0, "stop": ""}
        assert options.rows(["A"]) == [{**plain.rows(["A"])[0], **defaults, name: value}]


def test_options_are_adapted_to_the_export() -> None:
    old, new = ("generate", "generate_from_state"), ("generate_from_state", "sample_from_state")
    plain, stop = GenerateOptions(**GOOD), GenerateOptions(**GOOD, stop="x")
    assert plain.adapted(old, "model") == plain
    assert stop.adapted(new, "model") == stop
    assert stop.adapted(old, "model") == plain
    with pytest.raises(Unsupported) as caught:
        GenerateOptions(**GOOD, top_p=0.5, stop="x").adapted(old, "Version 3 of m")
    assert str(caught.value) == (
        "Version 3 of m was exported before top_p and stop existed. Run the pipeline, which exports and pushes a new "
        "version, choose another version, or do without. Received: top_p=0.5, stop='x'"
    )


def test_keyword_arguments_are_the_fields() -> None:
    fields = {field.name: field.type for field in dataclasses.fields(GenerateOptions)}
    assert fields == GenerateArguments.__annotations__


def test_example() -> None:
    result = doctest.testmod(options)
    assert result.failed == 0 < result.attempted
