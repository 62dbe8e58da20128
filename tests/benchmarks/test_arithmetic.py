import pytest

from benchmarks import arithmetic

pytestmark = pytest.mark.integration

GRU = {"cell": "gru", "units": 5, "embedding": 3, "layers": 1}


def test_operations_equal_the_formula() -> None:
    rows = 2 * 7
    forward = 2 * rows * (3 * 5) * (3 + 5) + 2 * rows * 5 * 11
    assert arithmetic.operations(GRU, vocabulary_size=11, batch=2, length=7) == 3 * forward


def test_later_layers_have_units_as_input_features() -> None:
    one = arithmetic.operations(GRU, 11, 2, 7)
    two = arithmetic.operations({**GRU, "layers": 2}, 11, 2, 7)
    assert two - one == 3 * 2 * (2 * 7) * (3 * 5) * (5 + 5)


def test_lstm_needs_four_thirds_of_the_operations_of_a_gru() -> None:
    gru = arithmetic.operations(GRU, 0, 2, 7)
    lstm = arithmetic.operations({**GRU, "cell": "lstm"}, 0, 2, 7)
    assert 3 * lstm == 4 * gru


def test_medians_are_per_step() -> None:
    turns = [
        {"steps": 2, "wall": 2.0, "cpu": 3.0, "loss": 4.0},
        {"steps": 2, "wall": 20.0, "cpu": 30.0, "loss": 3.0},
        {"steps": 2, "wall": 4.0, "cpu": 5.0, "loss": 2.0},
    ]
    assert arithmetic.medians(turns) == {"wall": 2.0, "cpu": 2.5, "loss": 3.0}


def test_ratio_above_one_means_that_the_other_takes_longer() -> None:
    assert arithmetic.ratio({"wall": 3.0}, {"wall": 2.0}, "wall") == pytest.approx(1.5)
