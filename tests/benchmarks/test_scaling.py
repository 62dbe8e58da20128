"""The repeated text and the tables."""

from typing import Any

import pytest

from benchmarks import scaling

pytestmark = pytest.mark.integration


def test_noisy_text_has_the_requested_length_and_nearly_the_original_content() -> None:
    text = "Täuschung: 私は猫である。\n" * 20
    repeated_text = scaling.noisy(text, 10_000, seed=3)
    repeated = (text * 50)[:10_000]
    assert len(repeated_text) == 10_000
    assert set(repeated_text) <= set(text)
    different = sum(a != b for a, b in zip(repeated_text, repeated))
    assert 0.5 * scaling.NOISE < different / 10_000 <= scaling.NOISE
    assert scaling.noisy(text, 10_000, seed=3) == repeated_text != scaling.noisy(text, 10_000, seed=4)


def results(millions: int) -> dict[str, Any]:
    """Results for a text of this many million characters."""
    stages = {"stage": {"wall": 9.0, "cpu": 8.0, "peak_mib": 5.0}}
    stages["Transform"] = {"wall": 1.0, "cpu": 5.0 + 3.0 * millions, "peak_mib": 10.0 * millions}
    trained = {"wall": 1.0, "cpu": 0.5, "characters": 50_000}
    return {"megabytes": millions, "characters": millions * 10**6, "stages": stages, "trained": trained}


def test_costs_are_per_million_characters_and_the_last_column_excludes_start_up() -> None:
    head, *rows = (line.split() for line in scaling.text_table([results(1), results(10)]))
    assert head[-5:] == ["1", "MB", "10", "MB", "further"]
    assert rows == [
        ["stage", "8.00", "0.80", "0.00"],
        ["Transform", "8.00", "3.50", "3.00"],
        ["all", "until", "training", "16.00", "4.30", "3.00"],
        ["training,", "of", "characters", "trained", "on", "10.00", "10.00"],
        ["wall", "seconds", "until", "training", "10.0", "10.0"],
        ["peak", "memory", "until", "training,", "MiB", "10", "100"],
    ]


def test_evaluator_is_compared_with_the_batches_that_tfma_chooses() -> None:
    fixed = {"wall": 2.0, "cpu": 4.0, "perplexity": 5.0, "characters": 1000}
    adaptive = {**fixed, "wall": 10.0, "cpu": 10.0, "perplexity": 5.0 * (1 + 3e-7)}
    text = {**results(1), "evaluated": {"fixed": fixed, "adaptive": adaptive}}
    assert [line.split()[-2:] for line in scaling.evaluator_table([results(4), text])[2:]] == [
        ["10.0", "10.0"],
        ["2.0", "4.0"],
        ["5.0", "2.5"],
        ["perplexity", "3e-07"],
    ]


def test_single_text_has_no_further_column() -> None:
    assert [len(line.split()) for line in scaling.text_table([results(4)])[1:3]] == [2, 2]


def test_failed_text_does_not_affect_the_others() -> None:
    failed = {"megabytes": 100, "left_out": "ended with code -9"}
    assert scaling.text_table([results(1), failed])[-1] == "100 MB is left out: ended with code -9"
    assert scaling.text_table([results(1), failed])[:-1] == scaling.text_table([results(1)])
    assert scaling.text_table([failed]) == ["100 MB is left out: ended with code -9"]


def test_failed_size_is_listed_with_its_reason() -> None:
    size: dict[str, Any] = {"units": 8, "layers": 1, "replicas": 2, "operations": 2e9, "batch": 10, "length": 100}
    _, measured, failed = scaling.model_table([{**size, "wall": 0.5, "cpu": 1.0}, {**size, "left_out": "no memory"}])
    assert measured.split() == ["8", "1", "2", "2", "0.500", "1.000", "2,000", "4", "1000.0"]
    assert failed.endswith("left out: no memory")
