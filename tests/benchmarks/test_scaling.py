"""The text that grows, and the tables."""

from typing import Any

import pytest

from benchmarks import scaling

pytestmark = pytest.mark.integration


def test_a_noisy_text_has_the_length_the_characters_and_nearly_the_content() -> None:
    text = "Täuschung: 私は猫である。\n" * 20
    grown = scaling.noisy(text, 10_000, seed=3)
    repeated = (text * 50)[:10_000]
    assert len(grown) == 10_000
    assert set(grown) <= set(text)
    different = sum(a != b for a, b in zip(grown, repeated))
    assert 0.5 * scaling.NOISE < different / 10_000 <= scaling.NOISE
    assert scaling.noisy(text, 10_000, seed=3) == grown != scaling.noisy(text, 10_000, seed=4)


def grown(millions: int) -> dict[str, Any]:
    """What the program finds of a text of so many million characters."""
    stages = {"stage": {"wall": 9.0, "cpu": 8.0}, "Transform": {"wall": 1.0, "cpu": 5.0 + 3.0 * millions}}
    trained = {"wall": 1.0, "cpu": 0.5, "characters": 50_000}
    return {"megabytes": millions, "characters": millions * 10**6, "stages": stages, "trained": trained}


def test_costs_are_per_million_characters_and_a_further_million_does_not_pay_for_starting_up() -> None:
    head, *rows = (line.split() for line in scaling.text_table([grown(1), grown(10)]))
    assert head[-5:] == ["1", "MB", "10", "MB", "further"]
    assert rows == [
        ["stage", "8.00", "0.80", "0.00"],
        ["Transform", "8.00", "3.50", "3.00"],
        ["all", "until", "training", "16.00", "4.30", "3.00"],
        ["training,", "of", "characters", "trained", "on", "10.00", "10.00"],
        ["wall", "seconds", "until", "training", "10.0", "10.0"],
    ]


def test_one_text_has_nothing_to_grow_from() -> None:
    assert [len(line.split()) for line in scaling.text_table([grown(4)])[1:3]] == [2, 2]


def test_a_text_that_fails_does_not_take_the_others_along() -> None:
    failed = {"megabytes": 100, "left_out": "ended with code -9"}
    assert scaling.text_table([grown(1), failed])[-1] == "100 MB is left out: ended with code -9"
    assert scaling.text_table([grown(1), failed])[:-1] == scaling.text_table([grown(1)])
    assert scaling.text_table([failed]) == ["100 MB is left out: ended with code -9"]


def test_a_size_that_fails_is_in_the_table_with_its_reason() -> None:
    size: dict[str, Any] = {"units": 8, "layers": 1, "replicas": 2, "operations": 2e9, "batch": 10, "length": 100}
    _, measured, failed = scaling.model_table([{**size, "wall": 0.5, "cpu": 1.0}, {**size, "left_out": "no memory"}])
    assert measured.split() == ["8", "1", "2", "2", "0.500", "1.000", "2,000", "4", "1000.0"]
    assert failed.endswith("left out: no memory")
